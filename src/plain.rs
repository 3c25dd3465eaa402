//! Text from outside, made safe for a terminal. Every room may show such text, so this one is at the
//! bottom.

use std::borrow::Cow;

/// Text from outside, made safe for a terminal: control characters, and those that turn the
/// direction of writing, are shown as escapes.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let unsafe_here = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(unsafe_here) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if unsafe_here(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_reversed_text_do_not_reach_the_terminal() {
        assert_eq!(plain("满减券 🎉 a-b"), "满减券 🎉 a-b");
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\u{7}"), "a\\u{1b}[31mb\\u{202e}c\\u{7}");
    }
}
