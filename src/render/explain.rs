//! Rules explained: one at length, all as a list, all as a table for the README.

use std::fmt::Write as _;

use super::{FAINT, STRONG, paint};
use crate::desired::diagnostic::Severity;
use crate::validate::rule::{RULES, Rule};

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A rule at length.
#[must_use]
pub fn rule(rule: Rule) -> String {
    let about = rule.about();
    let indent = |text: &str| text.replace('\n', "\n  ");
    format!(
        "{} ({})\n\n{}\n{}\n\nBreaks it:\n  {}\nKeeps it:\n  {}\n\n{}\n",
        paint(STRONG, about.id),
        word(about.severity),
        about.what,
        about.why,
        indent(about.bad),
        indent(about.good),
        paint(FAINT, &format!("Source: {}", about.source)),
    )
}

/// All rules, a line each.
#[must_use]
pub fn list() -> String {
    let mut out = String::new();
    for about in RULES {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{:34}{:9}{}", about.id, word(about.severity), about.what);
    }
    out
}

/// All rules as a Markdown table.
#[must_use]
pub fn table() -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ⏎ ").replace('<', "&lt;");
    let mut out = "| rule | kind | what it asks for | source |\n|---|---|---|---|\n".to_owned();
    for about in RULES {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            about.id,
            word(about.severity),
            cell(about.what),
            cell(about.source)
        );
    }
    out
}
