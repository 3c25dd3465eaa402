//! Identity v1: canonical JSON, content hash and request number. Pure, and frozen by vectors: a
//! change here needs a new prefix, because a different request number is a second stock.

mod canonical;

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use sha2::{Digest, Sha256};

use crate::wechatpay::stock::Stock;

/// A stock's name: unique in the workspace, `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct StockName(String);

/// Longest stock name, in characters.
pub const NAME_CHARS: usize = 63;
/// The pattern that a stock name follows, for the schema and for messages.
pub const NAME_PATTERN: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

impl StockName {
    /// Takes a name that follows [`NAME_PATTERN`], and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        let fits = (1..=NAME_CHARS).contains(&bytes.len())
            && bytes.iter().all(inner)
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-');
        fits.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An idempotency key of *add stock*: 6 to 40 of `[0-9A-Za-z_-]`, unique within the brand.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct OutRequestNo(String);

impl OutRequestNo {
    /// Takes any request number that the API would take.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let fits = (6..=40).contains(&text.len()) && text.bytes().all(inner);
        fits.then(|| Self(text.to_owned()))
    }

    /// Derives the request number of a stock, always 40 characters.
    #[must_use]
    pub fn derive(brand_id: &str, name: &str, generation: i64, content: &ContentSha256) -> Self {
        let text = format!("couponctl/v1\n{brand_id}\n{name}\n{generation}\n{content}");
        let mut number = String::with_capacity(40);
        number.push_str("cc1-");
        push_hex(&mut number, &Sha256::digest(text.as_bytes())[..18]);
        Self(number)
    }

    /// The number as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The lower-case hex SHA-256 of a stock's canonical content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ContentSha256(String);

impl ContentSha256 {
    /// Takes 64 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let inner = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 64 && text.bytes().all(inner)).then(|| Self(text.to_owned()))
    }

    /// Hashes the canonical content of a stock.
    #[must_use]
    pub fn of(product_coupon_id: &str, stock: &Stock) -> Self {
        Self::of_canonical(product_coupon_id, &canonical_stock(stock))
    }

    /// Hashes the content of a stock that is in canonical form already.
    #[must_use]
    pub fn of_canonical(product_coupon_id: &str, canonical_stock: &str) -> Self {
        let mut hex = String::with_capacity(64);
        let content = content_of(product_coupon_id, canonical_stock);
        push_hex(&mut hex, &Sha256::digest(content.as_bytes()));
        Self(hex)
    }

    /// The hash as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        let digit = |digit: u8| if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 };
        let mut bytes = [0; 32];
        // The text is 64 digits, as its type promises.
        for (byte, digits) in bytes.iter_mut().zip(self.0.as_bytes().chunks_exact(2)) {
            *byte = digit(digits[0]) << 4 | digit(digits[1]);
        }
        bytes
    }

    /// The hash as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_type {
    ($($name:ident: $what:literal),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // Straight from the text that is read: a lock has three of these an entry.
                struct Parse;
                impl Visitor<'_> for Parse {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a string")
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::parse(text)
                            .ok_or_else(|| E::custom(format!(concat!("`{}` is not ", $what), text)))
                    }
                }
                deserializer.deserialize_str(Parse)
            }
        }
    )+};
}
text_type! {
    StockName: "a stock name",
    OutRequestNo: "a request number",
    ContentSha256: "a SHA-256 in lower-case hex"
}

/// Writes bytes as lower-case hex digits.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
}

/// The stock alone in RFC 8785 canonical form, as it stands in the lock.
#[must_use]
#[allow(clippy::missing_panics_doc)]
pub fn canonical_stock(stock: &Stock) -> String {
    // A stock holds only strings, integers, booleans, lists and maps with string keys.
    canonical::to_string(stock).expect("a stock always serialises")
}

/// `{"product_coupon_id":…,"stock":…}` in canonical form: what the content hash is taken of.
#[must_use]
pub fn canonical_content(product_coupon_id: &str, stock: &Stock) -> String {
    content_of(product_coupon_id, &canonical_stock(stock))
}

fn content_of(product_coupon_id: &str, canonical_stock: &str) -> String {
    let id = serde_json::Value::from(product_coupon_id);
    [r#"{"product_coupon_id":"#, &id.to_string(), r#","stock":"#, canonical_stock, "}"].concat()
}

/// The body of *add stock*: the same bytes on every try.
#[must_use]
pub fn request_body(out_request_no: &OutRequestNo, canonical_stock: &str) -> String {
    format!("{{\"out_request_no\":\"{out_request_no}\",\"stock\":{canonical_stock}}}")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Vector {
        brand_id: String,
        name: String,
        generation: i64,
        product_coupon_id: String,
        stock: Stock,
        canonical_content: String,
        content_sha256: String,
        out_request_no: String,
        request_body: String,
    }

    #[test]
    fn every_vector_of_the_other_implementation_is_met() {
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../../tests/data/identity-vectors.json")).unwrap();
        assert_eq!(vectors.len(), 5);
        for vector in vectors {
            let content = canonical_content(&vector.product_coupon_id, &vector.stock);
            assert_eq!(content, vector.canonical_content, "{}", vector.name);
            let hash = ContentSha256::of(&vector.product_coupon_id, &vector.stock);
            assert_eq!(hash.as_str(), vector.content_sha256, "{}", vector.name);
            let number =
                OutRequestNo::derive(&vector.brand_id, &vector.name, vector.generation, &hash);
            assert_eq!(number.as_str(), vector.out_request_no, "{}", vector.name);
            assert_eq!(request_body(&number, &canonical_stock(&vector.stock)), vector.request_body);
        }
    }

    #[test]
    fn a_name_follows_its_pattern() {
        for good in ["a", "0", "a-b", "spring-100-minus-10", &"x".repeat(63)] {
            assert!(StockName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "春", "a b", &"x".repeat(64)] {
            assert!(StockName::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_request_number_is_forty_characters_that_the_api_takes() {
        let hash = ContentSha256::parse(&"0".repeat(64)).unwrap();
        let number = OutRequestNo::derive("1", "a", 1, &hash);
        assert_eq!(number.as_str().len(), 40);
        assert_eq!(OutRequestNo::parse(number.as_str()), Some(number));
    }
}
