//! What can go wrong with a call: what happened, whether the stock may have been made all the same,
//! and what to do next. Never holds a key, a signature or an Authorization header.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::verify::{self, Unverified};
use crate::plain::plain;

/// Most characters of a server's text that are shown.
const SHOWN_CHARS: usize = 300;

/// A call that failed, after all its attempts.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// What the last attempt failed with.
    pub kind: ErrorKind,
    /// Attempts that went out.
    pub attempts: u32,
    /// From the first attempt to the last answer.
    pub elapsed: Duration,
    /// Whether an attempt may have been carried out though its answer was not believed or not seen.
    pub in_doubt: bool,
}

/// What an attempt failed with.
#[derive(Debug, Clone)]
pub enum ErrorKind {
    /// The API answered with an error.
    Refused(Box<Refusal>),
    /// A 2xx answer that does not verify.
    Unverified {
        /// Why.
        why: Unverified,
        /// For WeChat Pay's support.
        request_id: Option<String>,
    },
    /// A verified answer that is not what such an answer should be.
    Unreadable {
        /// What is wrong with it.
        why: String,
        /// For WeChat Pay's support.
        request_id: Option<String>,
    },
    /// No whole answer came.
    Transport {
        /// Of which sort.
        sort: TransportSort,
        /// What the network stack says.
        message: String,
        /// The host.
        host: String,
    },
    /// The run was stopped.
    Stopped,
    /// The request could not be made.
    Request(String),
}

/// Sorts of network trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportSort {
    /// The host's name is not known.
    Dns,
    /// Nobody listens there, or no way leads there.
    Connect,
    /// The host's certificate is not right.
    Tls,
    /// No answer in time.
    TimedOut,
    /// The connection was closed before the answer was whole.
    CutOff,
    /// The answer is larger than any answer of the API.
    TooLarge,
}

/// An answer with an error status.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `code`, where the body has one.
    pub code: Option<String>,
    /// `message`, or the start of a body that is not JSON.
    pub message: String,
    /// `detail`, as JSON.
    pub detail: Option<String>,
    /// `Request-ID`.
    pub request_id: Option<String>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// How far this machine's clock is from the server's, in words.
    pub clock_off: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    code: Option<String>,
    message: Option<String>,
    detail: Option<serde_json::Value>,
}

fn shown(text: &str) -> String {
    let mut text: String = plain(text.trim()).into_owned();
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Refusal {
    /// Reads an error answer, signed or not, JSON or not.
    #[must_use]
    pub fn read(
        status: u16,
        headers: &reqwest::header::HeaderMap,
        body: &[u8],
        now: Timestamp,
    ) -> Self {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let date = header("Date").and_then(http_date);
        let body_text = String::from_utf8_lossy(body);
        let parsed: Option<Body> = serde_json::from_str(&body_text).ok();
        let (code, message, detail) = match parsed {
            Some(Body { code, message, detail }) => (code, message.unwrap_or_default(), detail),
            None => (None, body_text.into_owned(), None),
        };
        Self {
            status,
            code: code.map(|code| shown(&code)),
            message: shown(&message),
            detail: detail
                .filter(|detail| !detail.is_null())
                .map(|detail| shown(&detail.to_string())),
            request_id: header("Request-ID").map(shown),
            retry_after: header("Retry-After").and_then(|value| retry_after(value, now)),
            clock_off: date.map(|date| verify::off(now, date)),
        }
    }

    fn is_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        Some(Duration::from_secs(seconds))
    } else {
        let seconds = http_date(text)?.as_second() - now.as_second();
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }
}

/// WeChat Pay's internal error number: what follows the last `-` of a `Request-ID`.
#[must_use]
pub fn internal_number(request_id: &str) -> Option<&str> {
    let (_, number) = request_id.rsplit_once('-')?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && number != "0")
        .then_some(number)
}

/// What WeChat Pay's internal numbers mean, as far as they are seen often.
fn internal_meaning(number: &str) -> Option<&'static str> {
    Some(match number {
        "268435461" => "an illegal parameter",
        "268435462" => "a parameter is too long",
        "268435463" => "a parameter is too short",
        "268435464" => "a parameter is out of range",
        "268578704" => "the AppID is not bound to the brand",
        "268578608" => "the object is missing, or another brand's",
        "270924289" => "too fast",
        _ => return None,
    })
}

impl ErrorKind {
    /// Whether the same request may be sent again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                refusal.status == 408 || refusal.status == 429 || refusal.status >= 500
            }
            Self::Unverified { .. } => true,
            Self::Transport { sort, .. } => *sort != TransportSort::Tls,
            Self::Unreadable { .. } | Self::Stopped | Self::Request(_) => false,
        }
    }

    /// Whether the request may have been carried out all the same.
    #[must_use]
    pub fn leaves_doubt(&self) -> bool {
        match self {
            // An answer that is not the API's says nothing about what the API did.
            Self::Refused(r) => r.status == 408 || r.status >= 500 || r.code.is_none(),
            Self::Unverified { .. } | Self::Unreadable { .. } => true,
            Self::Transport { sort, .. } => matches!(
                sort,
                TransportSort::TimedOut | TransportSort::CutOff | TransportSort::TooLarge
            ),
            Self::Stopped | Self::Request(_) => false,
        }
    }

    /// Whether the host itself is in trouble, so that another may do better.
    #[must_use]
    pub fn is_host_trouble(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.status >= 500,
            Self::Transport { .. } => true,
            _ => false,
        }
    }
}

impl ApiError {
    /// Whether the API says that the request number was used before.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        matches!(&self.kind, ErrorKind::Refused(refusal) if refusal.is_code("ALREADY_EXISTS"))
    }

    /// Whether the API says that there is no such product coupon or stock.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(&self.kind, ErrorKind::Refused(refusal) if refusal.status == 404 && refusal.is_code("NOT_FOUND"))
    }

    /// Whether it is certain that no attempt of this call made anything.
    #[must_use]
    pub fn proves_nothing_was_made(&self) -> bool {
        !self.in_doubt && !self.is_already_exists()
    }

    /// Whether the run was stopped before anything went out.
    #[must_use]
    pub fn was_never_sent(&self) -> bool {
        matches!(self.kind, ErrorKind::Stopped) && self.attempts == 0
    }

    /// The API's error code, or a word of our own.
    #[must_use]
    pub fn code(&self) -> String {
        match &self.kind {
            ErrorKind::Refused(refusal) => {
                refusal.code.clone().unwrap_or_else(|| format!("HTTP_{}", refusal.status))
            }
            ErrorKind::Unverified { .. } => "UNVERIFIED".to_owned(),
            ErrorKind::Unreadable { .. } => "UNREADABLE".to_owned(),
            ErrorKind::Transport { sort, .. } => match sort {
                TransportSort::Dns => "DNS",
                TransportSort::Connect => "NO_CONNECTION",
                TransportSort::Tls => "TLS",
                TransportSort::TimedOut => "TIMED_OUT",
                TransportSort::CutOff => "CUT_OFF",
                TransportSort::TooLarge => "TOO_LARGE",
            }
            .to_owned(),
            ErrorKind::Stopped => "STOPPED".to_owned(),
            ErrorKind::Request(_) => "REQUEST".to_owned(),
        }
    }

    /// The `Request-ID` of the last answer.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match &self.kind {
            ErrorKind::Refused(refusal) => refusal.request_id.as_deref(),
            ErrorKind::Unverified { request_id, .. } | ErrorKind::Unreadable { request_id, .. } => {
                request_id.as_deref()
            }
            _ => None,
        }
    }

    /// What to do next, in a sentence.
    #[must_use]
    pub fn advice(&self) -> String {
        let again = "run the command again: it asks for the same stock, never for a second one";
        match &self.kind {
            ErrorKind::Refused(refusal) => advice_on(refusal),
            ErrorKind::Unverified { why, .. } => match why {
                Unverified::Serial { .. } => "download WeChat Pay's current public key in the brand console, and set `credentials.wechatpay_public_key_id` and `wechatpay_public_key_file` to it".to_owned(),
                Unverified::Clock { .. } => format!("set this machine's clock (NTP), then {again}"),
                Unverified::Signature => format!("check that `credentials.wechatpay_public_key_file` holds WeChat Pay's public key of that id (not the brand's certificate), and that no proxy changes answers; then {again}"),
                Unverified::Missing(_) => format!("check `api.base_url` and whatever stands between here and WeChat Pay; then {again}"),
            },
            ErrorKind::Unreadable { .. } => "look whether a newer couponctl knows this answer; nothing was recorded, and the next apply asks for the same stock again".to_owned(),
            ErrorKind::Transport { sort, .. } => match sort {
                TransportSort::Dns => format!("check the network and `api.base_url`; then {again}"),
                TransportSort::Connect => format!("check that the server runs, `api.base_url`, and proxy or firewall; then {again}"),
                TransportSort::Tls => format!("check this machine's clock and root certificates, and whether a proxy opens TLS; then {again}"),
                TransportSort::TimedOut | TransportSort::CutOff | TransportSort::TooLarge => again.to_owned(),
            },
            ErrorKind::Stopped => again.to_owned(),
            ErrorKind::Request(_) => "mend the value, then run the command again".to_owned(),
        }
    }
}

fn advice_on(refusal: &Refusal) -> String {
    let code = refusal.code.as_deref().unwrap_or_default();
    let mut text = match (refusal.status, code) {
        (_, "PARAM_ERROR") => "mend the field that the message names, then apply again",
        (_, "INVALID_REQUEST") => "check the business rules: is the AppID bound to the brand, does the usage rule fit the product coupon's scope and usage mode, has it fewer than 200 live stocks",
        (_, "ALREADY_EXISTS") => "this request number was used before: couponctl looks for the stock that it made",
        (401, _) | (_, "SIGN_ERROR") => "check that the private key belongs to `credentials.certificate_serial_no`, that `brand_id` is that certificate's brand, and this machine's clock",
        (403, _) | (_, "NO_AUTH") => "have the product enabled for the brand in the brand console",
        (404, _) | (_, "NOT_FOUND") => "check `product_coupon_id`: it is not there, or another brand's",
        (429, _) => "apply again later, or lower `api.requests_per_second`: other programs share the brand's limit",
        (500.., _) => "apply again: it asks for the same stock, never for a second one",
        (300..=399, _) => "check `api.base_url`: the API does not redirect",
        _ => "see the message; the Request-ID helps WeChat Pay's support to find the request",
    }
    .to_owned();
    if let Some(off) = refusal.clock_off.as_ref().filter(|_| refusal.status == 401) {
        text.push_str(&format!("; this machine's clock is {off} of the server's"));
    }
    let number = refusal.request_id.as_deref().and_then(internal_number);
    if let Some(number) = number {
        let meaning = internal_meaning(number).map(|text| format!(": {text}")).unwrap_or_default();
        text.push_str(&format!("; WeChat Pay's error number is {number}{meaning}"));
    }
    text
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => {
                let code = refusal.code.as_deref().unwrap_or("no error code");
                write!(f, "{} {code}: {}", refusal.status, refusal.message)?;
                if let Some(detail) = &refusal.detail {
                    write!(f, " {detail}")?;
                }
            }
            Self::Unverified { why, .. } => write!(f, "{why}")?,
            Self::Unreadable { why, .. } => write!(f, "the answer cannot be read: {}", shown(why))?,
            Self::Transport { sort, message, host } => {
                let what = match sort {
                    TransportSort::Dns => "the host is not known",
                    TransportSort::Connect => "no connection",
                    TransportSort::Tls => "no secure connection",
                    TransportSort::TimedOut => "no answer in time",
                    TransportSort::CutOff => "the answer was cut off",
                    TransportSort::TooLarge => "the answer is too large",
                };
                write!(f, "{host}: {what}")?;
                if !message.is_empty() {
                    write!(f, " ({})", shown(message))?;
                }
            }
            Self::Stopped => f.write_str("stopped")?,
            Self::Request(why) => f.write_str(why)?,
        }
        let request_id = match self {
            Self::Refused(refusal) => refusal.request_id.as_deref(),
            Self::Unverified { request_id, .. } | Self::Unreadable { request_id, .. } => {
                request_id.as_deref()
            }
            _ => None,
        };
        request_id.map_or(Ok(()), |id| write!(f, " [Request-ID {id}]"))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if self.attempts > 1 {
            write!(f, " (after {} attempts in {} s)", self.attempts, self.elapsed.as_secs())?;
        }
        Ok(())
    }
}

impl std::error::Error for ApiError {}
