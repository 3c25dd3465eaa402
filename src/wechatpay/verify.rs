//! Whether an answer comes from WeChat Pay: serial, timestamp and signature over its exact bytes.
//! Nothing of a 2xx is believed before. Also reads the two times that an HTTP answer carries.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::error::{ClockOffset, UnverifiedReason};
use super::shown::{WORD_CHARS, shown};
use super::signing::{PublicKey, answer_message};

/// From this many seconds on a timestamp is refused.
const STALE_SECONDS: u64 = 300;

/// Checks an answer, `now` in Unix seconds. WeChat Pay's probes (`WECHATPAY/SIGNTEST/…`) are no
/// valid signatures and are refused by the same rule.
pub(super) fn verify(
    headers: &HeaderMap,
    body: &[u8],
    key: &PublicKey,
    key_id: &str,
    now: i64,
) -> Result<(), UnverifiedReason> {
    let timestamp = header(headers, "Wechatpay-Timestamp")?;
    let nonce = header(headers, "Wechatpay-Nonce")?;
    let signature = header(headers, "Wechatpay-Signature")?;
    let serial = header(headers, "Wechatpay-Serial")?;
    if serial != key_id {
        return Err(UnverifiedReason::Serial {
            found: shown(serial, WORD_CHARS),
            expected: key_id.to_owned(),
        });
    }
    let ahead = timestamp.parse::<i64>().ok().map(|signed_at| now.saturating_sub(signed_at));
    if ahead.is_none_or(|ahead| ahead.unsigned_abs() >= STALE_SECONDS) {
        return Err(UnverifiedReason::Timestamp { found: shown(timestamp, WORD_CHARS), ahead });
    }
    if key.verify(&answer_message(timestamp, nonce, body), signature) {
        Ok(())
    } else {
        Err(UnverifiedReason::Signature)
    }
}

/// A header that must be there once.
fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, UnverifiedReason> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        _ => Err(UnverifiedReason::MissingHeader(name)),
    }
}

/// How far this machine's clock, `now` in Unix seconds, is from the answer's `Date`.
pub(super) fn clock(headers: &HeaderMap, now: i64) -> Option<ClockOffset> {
    let date = http_date(headers.get(DATE)?.to_str().ok()?)?;
    Some(ClockOffset { ahead_seconds: now.saturating_sub(date) })
}

/// How long the server asks to wait: seconds, or until a date, which is held against the answer's
/// own `Date` so that this machine's clock does not matter.
pub(super) fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let server_now = headers.get(DATE).and_then(|date| http_date(date.to_str().ok()?));
    let wait = http_date(text)?.saturating_sub(server_now.unwrap_or(now));
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// An HTTP date (RFC 9110 section 5.6.7) as Unix seconds.
fn http_date(text: &str) -> Option<i64> {
    let moment = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(moment.timestamp().as_second())
}

/// This machine's time in Unix seconds.
pub(super) fn unix_now() -> i64 {
    Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::super::signing::PrivateKey;
    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name = name.parse::<HeaderName>().unwrap();
            (name, value.parse::<HeaderValue>().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn five_minutes_either_way_are_too_many_and_a_second_less_is_not() {
        let key = PrivateKey::generate().unwrap();
        let at = |timestamp: &str| {
            let signature = key.sign(&answer_message(timestamp, "n", b"{}")).unwrap();
            let headers = headers(&[
                ("wechatpay-timestamp", timestamp),
                ("wechatpay-nonce", "n"),
                ("wechatpay-signature", &signature),
                ("wechatpay-serial", "ID"),
            ]);
            verify(&headers, b"{}", &key.public_key(), "ID", NOW)
        };
        let offset = |seconds: i64| at(&(NOW + seconds).to_string());
        for good in [0, 299, -299] {
            assert_eq!(offset(good), Ok(()), "{good}");
        }
        for bad in [300, -300, 100_000, -100_000] {
            let found = (NOW + bad).to_string();
            let expected = UnverifiedReason::Timestamp { found, ahead: Some(-bad) };
            assert_eq!(offset(bad), Err(expected), "{bad}");
        }
        for bad in ["", "x", "99999999999999999999", "1795000000.0"] {
            let expected = UnverifiedReason::Timestamp { found: bad.to_owned(), ahead: None };
            assert_eq!(at(bad), Err(expected), "{bad}");
        }
        assert!(matches!(at(&i64::MIN.to_string()), Err(UnverifiedReason::Timestamp { .. })));
    }

    #[test]
    fn every_header_must_be_there_once() {
        let key = PrivateKey::generate().unwrap();
        let timestamp = NOW.to_string();
        let signature = key.sign(&answer_message(&timestamp, "n", b"")).unwrap();
        let all = [
            ("wechatpay-timestamp", timestamp.as_str()),
            ("wechatpay-nonce", "n"),
            ("wechatpay-signature", signature.as_str()),
            ("wechatpay-serial", "ID"),
        ];
        let check = |headers: &HeaderMap| verify(headers, b"", &key.public_key(), "ID", NOW);
        assert_eq!(check(&headers(&all)), Ok(()));
        for (name, value) in all {
            let mut without = headers(&all);
            without.remove(name);
            let mut twice = headers(&all);
            twice.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            for headers in [without, twice] {
                let error = check(&headers);
                assert!(matches!(error, Err(UnverifiedReason::MissingHeader(_))), "{error:?}");
            }
        }
    }

    #[test]
    fn a_wait_until_a_date_goes_by_the_servers_clock() {
        let date = ("date", "Mon, 23 Nov 2026 10:00:00 GMT");
        let until = ("retry-after", "Mon, 23 Nov 2026 10:00:07 GMT");
        let wait = |pairs: &[(&str, &str)]| retry_after(&headers(pairs), NOW);
        assert_eq!(wait(&[date, until]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[date, ("retry-after", "3")]), Some(Duration::from_secs(3)));
        let past = ("retry-after", "Mon, 23 Nov 2026 09:00:00 GMT");
        assert_eq!(wait(&[date, past]), Some(Duration::ZERO));
        for nonsense in ["", "-1", "soon", "99999999999999999999999"] {
            assert_eq!(wait(&[("retry-after", nonsense)]), None, "{nonsense}");
        }
        assert_eq!(wait(&[]), None);
    }
}
