//! Believing an answer: no byte of a body is looked at before its signature, its serial and its clock
//! are right (API document, section on verifying).

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use thiserror::Error;

use super::signing::{PublicKey, answer_message};

/// From this far off on, an answer's clock is refused.
pub const CLOCK_TOLERANCE: Duration = Duration::from_mins(5);

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unverified {
    /// A header that a signed answer has is missing.
    #[error("the answer has no {0} header: it does not come from WeChat Pay")]
    Missing(&'static str),
    /// Signed with another key than the one configured.
    #[error("the answer is signed with key `{found}`, but the settings know `{expected}`")]
    Serial {
        /// The key id in the answer.
        found: String,
        /// The key id in the settings.
        expected: String,
    },
    /// Signed too long ago, or in the future.
    #[error(
        "the answer was signed at {signed_at}, {off} from this machine's clock; 5 minutes or more are refused"
    )]
    Clock {
        /// As in the header.
        signed_at: String,
        /// How far off.
        off: String,
    },
    /// The signature is not of this key over these bytes.
    #[error("the answer's signature does not verify")]
    Signature,
}

/// How far this machine's clock is from another one, in words.
#[must_use]
pub fn off(now: Timestamp, other: Timestamp) -> String {
    let seconds = now.as_second() - other.as_second();
    let way = if seconds >= 0 { "ahead" } else { "behind" };
    match seconds.unsigned_abs() {
        s @ 0..120 => format!("{s} s {way}"),
        s @ 120..7200 => format!("{} min {way}", s / 60),
        s => format!("{} h {way}", s / 3600),
    }
}

/// Verifies an answer.
///
/// # Errors
/// When anything about it is not as it should be.
pub fn verify(
    headers: &HeaderMap,
    body: &[u8],
    key_id: &str,
    key: &PublicKey,
    now: Timestamp,
) -> Result<(), Unverified> {
    let header = |name: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).ok_or(Unverified::Missing(name))
    };
    let serial = header("Wechatpay-Serial")?;
    let timestamp = header("Wechatpay-Timestamp")?;
    let nonce = header("Wechatpay-Nonce")?;
    let signature = header("Wechatpay-Signature")?;
    if serial != key_id {
        let (found, expected) = (serial.to_owned(), key_id.to_owned());
        return Err(Unverified::Serial { found, expected });
    }
    let signed_at = timestamp.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let near = signed_at
        .is_some_and(|at| now.as_second().abs_diff(at.as_second()) < CLOCK_TOLERANCE.as_secs());
    if !near {
        return Err(Unverified::Clock {
            signed_at: signed_at.map_or_else(|| timestamp.to_owned(), |at| at.to_string()),
            off: signed_at.map_or_else(|| "not readable".to_owned(), |at| off(now, at)),
        });
    }
    if key.verify(&answer_message(timestamp, nonce, body), signature) {
        Ok(())
    } else {
        Err(Unverified::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechatpay::signing::PrivateKey;

    const NOW: i64 = 1_800_000_000;
    const BODY: &[u8] = br#"{"stock_id":"1"}"#;

    fn answer(key: &PrivateKey, timestamp: i64) -> HeaderMap {
        let timestamp = timestamp.to_string();
        let signature = key.sign(&answer_message(&timestamp, "nonce", BODY)).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("Wechatpay-Serial", "PUB_KEY_ID_1".parse().unwrap());
        headers.insert("Wechatpay-Timestamp", timestamp.parse().unwrap());
        headers.insert("Wechatpay-Nonce", "nonce".parse().unwrap());
        headers.insert("Wechatpay-Signature", signature.parse().unwrap());
        headers
    }

    #[test]
    fn only_a_fresh_answer_signed_by_the_configured_key_is_believed() {
        let key = PrivateKey::generate().unwrap();
        let public = key.public_key();
        let now = Timestamp::from_second(NOW).unwrap();
        let check =
            |headers: &HeaderMap, body: &[u8]| verify(headers, body, "PUB_KEY_ID_1", &public, now);
        let good = answer(&key, NOW);
        assert_eq!(check(&good, BODY), Ok(()));
        assert_eq!(check(&good, b"{\"stock_id\":\"2\"}"), Err(Unverified::Signature));
        assert_eq!(check(&answer(&key, NOW - 299), BODY), Ok(()));
        assert_eq!(check(&answer(&key, NOW + 299), BODY), Ok(()));
        for stale in [NOW - 300, NOW + 300, i64::MAX, -1] {
            let refused = check(&answer(&key, stale), BODY);
            assert!(matches!(refused, Err(Unverified::Clock { .. })), "{stale}");
        }
        let other = answer(&PrivateKey::generate().unwrap(), NOW);
        assert_eq!(check(&other, BODY), Err(Unverified::Signature));
        let mut probe = good.clone();
        probe.insert("Wechatpay-Signature", "WECHATPAY/SIGNTEST/abc".parse().unwrap());
        assert_eq!(check(&probe, BODY), Err(Unverified::Signature));
        let mut serial = good.clone();
        serial.insert("Wechatpay-Serial", "PUB_KEY_ID_2".parse().unwrap());
        assert!(matches!(check(&serial, BODY), Err(Unverified::Serial { .. })));
        for name in
            ["Wechatpay-Serial", "Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature"]
        {
            let mut headers = good.clone();
            headers.remove(name);
            assert_eq!(check(&headers, BODY), Err(Unverified::Missing(name)));
        }
    }
}
