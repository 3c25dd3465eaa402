//! Values to text: one file a format. Colours are always written here, and stripped where the output
//! is no terminal.

pub mod doctor;
pub mod explain;
pub mod lock_json;
pub mod lock_text;
pub mod merge_text;
pub mod plan_json;
pub mod plan_markdown;
pub mod plan_text;
pub mod problems;
pub mod watch;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

pub use crate::plain::plain;

/// Something new, or all is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Something that is taken away or failed.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Something to look at.
pub const CARE: Style = AnsiColor::Yellow.on_default();
/// Something that moved.
pub const MOVED: Style = AnsiColor::Cyan.on_default();
/// Less important.
pub const FAINT: Style = Style::new().dimmed();
/// More important.
pub const STRONG: Style = Style::new().bold();

/// Text in a style.
#[must_use]
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A number with commas between its thousands.
#[must_use]
pub fn thousands(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount in fen as CNY.
#[must_use]
pub fn cny(fen: u128) -> String {
    let mut text = format!("CNY {}", thousands(fen / 100));
    // Writing to a string cannot fail.
    let _ = write!(text, ".{:02}", fen % 100);
    text
}

/// `1 stock`, `2 stocks`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number as u128))
}
