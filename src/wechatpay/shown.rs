//! Text from the server on its way to a terminal: control characters are escaped and its length is
//! capped, so that an answer can neither move the cursor nor flood the screen.

use crate::plain::plain;

/// Most characters of a message that are shown.
pub(super) const MESSAGE_CHARS: usize = 400;
/// Most characters of an identifier or a code that are shown.
pub(super) const WORD_CHARS: usize = 128;

/// From this many base64 characters on a text is taken for (a part of) a signature; those of WeChat
/// Pay's keys have 344.
const SIGNATURE_CHARS: usize = 100;

/// The text as it may be printed: control and direction characters escaped (`\n`, `\u{1b}`), cut
/// after `max` characters with `…`.
#[must_use]
pub fn shown(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", plain(&text[..end])),
        None => plain(text).into_owned(),
    }
}

/// The text without what looks like a signature: a run of 100 or more base64 characters, such as a
/// proxy's error page may echo from the request that it got.
pub(super) fn without_signatures(text: &str) -> String {
    let is_base64 = |char: char| char.is_ascii_alphanumeric() || "+/=".contains(char);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_base64) {
        let length = rest[start..].find(|char| !is_base64(char)).unwrap_or(rest.len() - start);
        let (run, after) = rest[start..].split_at(length);
        out.push_str(&rest[..start]);
        out.push_str(if run.len() >= SIGNATURE_CHARS { "[withheld]" } else { run });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(shown("a\u{1b}[31m\n\u{9b}\u{202e}b", 99), "a\\u{1b}[31m\\n\\u{9b}\\u{202e}b");
        assert_eq!(shown("满100减10 ☂", 99), "满100减10 ☂");
    }

    #[test]
    fn long_text_is_cut_at_characters() {
        assert_eq!(shown("满满满", 2), "满满…");
        assert_eq!(shown("满满", 2), "满满");
    }
}
