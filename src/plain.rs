//! Text from outside, made safe for a terminal. Every room may show such text, so this one is at the
//! bottom.

use std::borrow::Cow;

/// Characters that a terminal obeys instead of showing, or that nobody sees: C0 and C1 controls, line
/// and paragraph separators, those that turn the direction of text, invisible spaces. Joiners stay,
/// since emoji are made with them.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Text from outside, made safe for a terminal: unsafe characters are shown as escapes.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unsafe(character) {
            safe.extend(character.escape_default());
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
