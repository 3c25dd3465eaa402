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

/// What the first line of a private key in PEM form ends with, whatever its kind (RFC 7468).
const KEY_MARK: &str = "PRIVATE KEY-----";

/// Whether a text holds a private key.
#[must_use]
pub fn holds_private_key(text: &str) -> bool {
    text.contains(KEY_MARK)
}

/// Text that is about to be shown, without the private keys in it: somebody put one where a path, a
/// name or a number goes, and the error that says so must not be what gives it away.
#[must_use]
pub fn without_keys(text: &str) -> Cow<'_, str> {
    if !holds_private_key(text) {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(KEY_MARK) {
        let begin = rest[..at].rfind("-----").unwrap_or(at);
        shown.push_str(&rest[..begin]);
        shown.push_str("(a private key, not shown)");
        rest = behind_key(&rest[at + KEY_MARK.len()..]);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// What follows the rest of a key: its last line and all before it or, where that is missing, whatever
/// could be digits of it.
fn behind_key(rest: &str) -> &str {
    if let Some((_, last)) = rest.split_once("-----END") {
        return last.split_once(KEY_MARK).map_or("", |(_, behind)| behind);
    }
    rest.trim_start_matches(|c: char| {
        c.is_ascii_alphanumeric() || c.is_whitespace() || "+/=\\".contains(c)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_left_out_whole_or_cut_off_and_nothing_else_is() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEvwIBADANBg\nkqhkiG9w0BA==\n-----END RSA PRIVATE KEY-----";
        for (given, shown) in [
            (
                format!("error: `{key}`: no such file"),
                "error: `(a private key, not shown)`: no such file",
            ),
            (key.replace('\n', "\\n"), "(a private key, not shown)"),
            (format!("{key}\n{key}\n"), "(a private key, not shown)\n(a private key, not shown)\n"),
            (format!("a \"{}…\" b", &key[..40]), "a \"(a private key, not shown)…\" b"),
            ("-----BEGIN PUBLIC KEY-----\nMIIE".to_owned(), "-----BEGIN PUBLIC KEY-----\nMIIE"),
        ] {
            assert_eq!(without_keys(&given), shown);
        }
    }

    #[test]
    fn escapes_and_reversed_text_do_not_reach_the_terminal() {
        assert_eq!(plain("满减券 🎉 a-b"), "满减券 🎉 a-b");
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\u{7}"), "a\\u{1b}[31mb\\u{202e}c\\u{7}");
    }
}
