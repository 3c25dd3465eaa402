//! Who may come in: the check of a request's signature and everything that it rests on, and the pace.
//! Each refusal says which part was wrong, because that is what a user has to mend.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};

use super::answers::{Answer, number};
use super::keys::Keys;
use crate::wechatpay::signing::{self, Authorization, SCHEME};

/// A request's clock may be off by less than this many seconds.
const CLOCK_SECONDS: u64 = 300;

/// What a signature is checked against.
pub(super) struct Signed<'a> {
    pub method: &'a str,
    pub path_and_query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// The parts of the `Authorization` header.
    pub fn authorization(&self) -> Result<Authorization, Answer> {
        let form = format!(
            "{SCHEME} brand_id=\"…\",nonce_str=\"…\",signature=\"…\",timestamp=\"…\",serial_no=\"…\""
        );
        let header = self.headers.get(AUTHORIZATION).ok_or_else(|| {
            Answer::sign_error(format!("Authorization is missing; it should be `{form}`"))
        })?;
        header
            .to_str()
            .ok()
            .and_then(Authorization::parse)
            .ok_or_else(|| Answer::sign_error(format!("Authorization is not of the form `{form}`")))
    }

    /// The bytes that were signed.
    pub fn message(&self, authorization: &Authorization) -> Vec<u8> {
        signing::request_message(
            self.method,
            self.path_and_query,
            authorization.timestamp,
            &authorization.nonce_str,
            self.body,
        )
    }
}

/// The nonces of the last minutes.
#[derive(Default)]
pub(super) struct Nonces(BTreeSet<(i64, String)>);

impl Nonces {
    /// Refuses what is not signed by the brand, now, for this sandbox, and for the first time.
    pub fn check(
        &mut self,
        request: &Signed,
        authorization: Authorization,
        message: &[u8],
        keys: &Keys,
        now: i64,
    ) -> Result<(), Answer> {
        let Authorization { brand_id, nonce_str, signature, timestamp, serial_no } = authorization;
        let public = &keys.public;
        let wrong = |message: String| Err(Answer::sign_error(message));
        if brand_id != public.brand_id {
            let ours = &public.brand_id;
            return wrong(format!("brand_id is not the sandbox's, which is {ours}"));
        }
        if serial_no != public.certificate_serial_no {
            let ours = &public.certificate_serial_no;
            return wrong(format!("serial_no is not the sandbox's, which is {ours}"));
        }
        let off = now.abs_diff(timestamp);
        if off >= CLOCK_SECONDS {
            let side = if timestamp < now { "behind" } else { "ahead of" };
            return wrong(format!("timestamp is {off} s {side} the server's clock"));
        }
        let fits = (1..=32).contains(&nonce_str.len())
            && nonce_str.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !fits {
            return wrong("nonce_str must be 1 to 32 letters and digits".to_owned());
        }
        if !keys.brand.verify(message, &signature) {
            return wrong(
                "signature does not verify over method, path and query, timestamp, nonce and \
                 body with the brand's key"
                    .to_owned(),
            );
        }
        let oldest = now.saturating_sub_unsigned(CLOCK_SECONDS);
        self.0 = self.0.split_off(&(oldest, String::new()));
        if !self.0.insert((timestamp, nonce_str)) {
            return wrong(
                "nonce_str was used before: this request was received already".to_owned(),
            );
        }
        let serial = request.headers.get("wechatpay-serial").and_then(|value| value.to_str().ok());
        let ours = &public.wechatpay_public_key_id;
        match serial {
            Some(serial) if serial == ours => {}
            Some(_) => {
                let what = "is not a public key id of WeChat Pay; the sandbox's is";
                return wrong(format!("Wechatpay-Serial {what} {ours}"));
            }
            None => return wrong(format!("Wechatpay-Serial is missing; it should be {ours}")),
        }
        json_body(request)
    }
}

fn json_body(request: &Signed) -> Result<(), Answer> {
    let kind = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if request.body.is_empty() || kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let issue = "must be application/json";
    Err(Answer::param_error(number::ILLEGAL, "Content-Type", issue, "header"))
}

/// The moments of the requests of the last second.
pub(super) struct Pace {
    most: usize,
    recent: VecDeque<Instant>,
}

impl Pace {
    /// At most so many requests in any one second; 0: no limit.
    pub fn new(most: u32) -> Self {
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), recent: VecDeque::new() }
    }

    /// Counts a request, unless it is one too many; those that are refused do not count.
    pub fn admit(&mut self, now: Instant) -> bool {
        if self.most == 0 {
            return true;
        }
        let over = |then: &Instant| now.duration_since(*then) >= Duration::from_secs(1);
        while self.recent.front().is_some_and(over) {
            self.recent.pop_front();
        }
        let fits = self.recent.len() < self.most;
        if fits {
            self.recent.push_back(now);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_any_one_second_there_are_at_most_so_many_requests() {
        let start = Instant::now();
        let mut pace = Pace::new(3);
        let at = [0, 400, 500, 900, 999, 1000, 1001, 1399, 1400, 1500];
        let admitted = at.map(|ms| pace.admit(start + Duration::from_millis(ms)));
        let expected = [true, true, true, false, false, true, false, false, true, true];
        assert_eq!(admitted, expected);
    }

    #[test]
    fn a_pace_of_zero_is_no_limit() {
        let mut pace = Pace::new(0);
        assert!((0..1000).all(|_| pace.admit(Instant::now())));
    }
}
