//! PEM as it is found in the wild (RFC 7468, and what editors and environment variables make of it).

use zeroize::Zeroizing;

use super::signing::KeyError;

/// The first PEM block of a text, whatever editors, tools and environment variables did to it: a
/// byte order mark, text around it, other line ends, indents, `\n` written out. Wiped when dropped,
/// since it may hold a private key.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) text: Zeroizing<String>,
}

impl Block {
    pub(super) fn first(text: &str, expected: &'static str) -> Result<Self, KeyError> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(KeyError::Empty { expected });
        }
        let written_out = Zeroizing::new(if text.contains('\n') {
            String::new()
        } else {
            text.replace("\\r", "").replace("\\n", "\n")
        });
        let text = if written_out.is_empty() { text } else { written_out.as_str() };
        let mut lines = text.lines().map(str::trim).skip_while(|line| label_of(line).is_none());
        let begin = lines.next().ok_or(KeyError::NotPem { expected })?;
        let label = label_of(begin).ok_or(KeyError::NotPem { expected })?.to_owned();
        // Enough from the start: a string that grows leaves copies behind.
        let mut block = Zeroizing::new(String::with_capacity(text.len() + 2));
        block.push_str(begin);
        for line in lines {
            block.push('\n');
            block.push_str(line);
            if line.starts_with("-----END ") {
                block.push('\n');
                return Ok(Self { label, text: block });
            }
        }
        // Cut off: the reader of the block says so.
        Ok(Self { label, text: block })
    }
}

/// The label of the first PEM block of a text, such as `PRIVATE KEY` (PKCS#8) or `RSA PRIVATE KEY`
/// (PKCS#1), see RFC 7468.
#[must_use]
pub fn label(text: &str) -> Option<String> {
    Block::first(text, "").ok().map(|block| block.label)
}

/// The label of a line that begins a PEM block. Only what can be a label, for it may be shown.
fn label_of(line: &str) -> Option<&str> {
    let label = line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")?;
    let is_word = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    (label.len() <= 40 && label.bytes().all(is_word)).then_some(label)
}
