//! What an error of the API client holds: the API's own words, or what did not hold about a
//! transfer, a signature or a body. All of it is fit for a terminal.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// An error answer: `{"code","message","detail"?}`, or what a proxy says instead. It may be
/// unsigned: it is shown and may drive a retry, and never proves that a stock exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// The host that answered.
    pub host: String,
    /// The HTTP status.
    pub status: u16,
    /// The code, such as `PARAM_ERROR`.
    pub code: Option<String>,
    /// The message, or the beginning of a body that is not JSON.
    pub message: Option<String>,
    /// More about it, as compact JSON or text.
    pub detail: Option<String>,
    /// The `Request-ID` header.
    pub request_id: Option<String>,
    /// This machine's clock against the `Date` of the answer.
    pub clock: Option<ClockOffset>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// Whether an earlier attempt of the same request may have been carried out.
    pub unknown_before: bool,
    /// Whether it bears WeChat Pay's signature, so that it is no other server's.
    pub is_signed: bool,
}

/// How a transfer failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", self.sentence())]
pub struct Transport {
    /// What happened.
    pub kind: TransportKind,
    /// The host that the request was for.
    pub host: String,
    /// What the library below says.
    pub detail: String,
}

/// Kinds of failed transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// The name has no address.
    Dns,
    /// Nothing listens there.
    Refused,
    /// The host cannot be reached for another reason.
    Unreachable,
    /// No TLS connection, for another reason than the certificate.
    Tls,
    /// The host's certificate is not one to trust.
    Certificate,
    /// No whole answer in time.
    TimedOut,
    /// The connection ended before the answer did.
    CutOff,
    /// The answer is larger than any real one.
    TooLarge,
    /// Anything else.
    Other,
}

impl TransportKind {
    /// A word for tables and programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Dns => "DNS",
            Self::Refused | Self::Unreachable => "NO_CONNECTION",
            Self::Tls | Self::Certificate => "TLS",
            Self::TimedOut => "TIMED_OUT",
            Self::CutOff => "CUT_OFF",
            Self::TooLarge => "TOO_LARGE",
            Self::Other => "NETWORK",
        }
    }
}

/// A 2xx that is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the answer of {host} is not proven to come from WeChat Pay and was not believed: {reason}{}",
    tail(request_id.as_deref())
)]
pub struct Unverified {
    /// The host that answered.
    pub host: String,
    /// What does not hold.
    pub reason: UnverifiedReason,
    /// The `Request-ID` header.
    pub request_id: Option<String>,
    /// This machine's clock against the `Date` of the answer.
    pub clock: Option<ClockOffset>,
}

/// What does not hold about a signature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnverifiedReason {
    /// A header is missing, given twice or not text.
    #[error("the header {0} is missing, doubled or not text")]
    MissingHeader(&'static str),
    /// Signed with another key than the configured one.
    #[error("it is signed with the key `{found}`, the configured one is `{expected}`")]
    Serial {
        /// `Wechatpay-Serial` of the answer.
        found: String,
        /// The configured WeChat Pay public key id.
        expected: String,
    },
    /// Signed 5 minutes or more ago or ahead, or at no time at all.
    #[error("its timestamp `{found}` {}", off(*ahead))]
    Timestamp {
        /// `Wechatpay-Timestamp` of the answer.
        found: String,
        /// Seconds that this machine's clock is ahead of it; negative: behind. Absent when the
        /// header is not a number.
        ahead: Option<i64>,
    },
    /// The signature is not of this key over these bytes.
    #[error("its signature does not verify")]
    Signature,
}

/// A verified answer that does not read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the answer verifies, but does not read as {expected}: {why}{}{}; it begins `{excerpt}`",
    stock_id.as_ref().map(|id| format!(" (stock_id {id})")).unwrap_or_default(), tail(request_id.as_deref())
)]
pub struct Unreadable {
    /// What it should be.
    pub expected: &'static str,
    /// What is wrong with it.
    pub why: String,
    /// The product coupon, if that much reads.
    pub product_coupon_id: Option<String>,
    /// The stock, if that much reads.
    pub stock_id: Option<String>,
    /// The beginning of the body, fit for a terminal.
    pub excerpt: String,
    /// The `Request-ID` header.
    pub request_id: Option<String>,
}

/// What is wrong with a list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ListProblem {
    /// A page token came twice.
    #[error("goes round in circles: page {page} leads to a page that was read before")]
    Circle {
        /// The page, from 1.
        page: u32,
    },
    /// It has no end.
    #[error("has no end: {pages} pages were read")]
    Endless {
        /// Pages read.
        pages: u32,
    },
    /// Fewer stocks than it says there are.
    #[error("is not whole: it holds {found} stocks and says there are {total}")]
    Incomplete {
        /// Stocks read.
        found: usize,
        /// `total_count` of the last page.
        total: u64,
    },
}

/// How far this machine's clock is from a server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    /// Seconds that this machine is ahead of the server; negative: behind.
    pub ahead_seconds: i64,
}

impl ClockOffset {
    /// Whether the API would refuse requests for it, or nearly so.
    #[must_use]
    pub fn is_harmful(self) -> bool {
        self.ahead_seconds.unsigned_abs() >= 240
    }
}

impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ahead_seconds {
            -2..=2 => f.write_str("this machine's clock agrees with the server's"),
            ahead if ahead > 0 => {
                write!(f, "this machine's clock is {ahead} s ahead of the server's")
            }
            behind => {
                write!(f, "this machine's clock is {} s behind the server's", behind.unsigned_abs())
            }
        }
    }
}

impl ErrorAnswer {
    /// WeChat's internal error number, which users look up: what follows the last `-` of the
    /// `Request-ID`.
    #[must_use]
    pub fn internal_code(&self) -> Option<&str> {
        internal_code(self.request_id.as_deref()?)
    }
}

/// See [`ErrorAnswer::internal_code`].
fn internal_code(request_id: &str) -> Option<&str> {
    let (_, last) = request_id.rsplit_once('-')?;
    (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())).then_some(last)
}

impl fmt::Display for ErrorAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        f.write_str(&tail(self.request_id.as_deref()))
    }
}

impl TransportKind {
    /// Whether the request may have reached the server.
    pub(super) fn may_have_arrived(self) -> bool {
        !matches!(
            self,
            Self::Dns | Self::Refused | Self::Unreachable | Self::Tls | Self::Certificate
        )
    }
}

impl Transport {
    fn sentence(&self) -> String {
        let Self { kind, host, detail } = self;
        let what = match kind {
            TransportKind::Dns => format!("the name {host} has no address"),
            TransportKind::Refused => format!("{host} refused the connection"),
            TransportKind::Unreachable => format!("{host} cannot be reached"),
            TransportKind::Tls => format!("no TLS connection to {host}"),
            TransportKind::Certificate => format!("the TLS certificate of {host} is not trusted"),
            TransportKind::TimedOut => format!("{host} did not answer in time"),
            TransportKind::CutOff => {
                format!("{host} cut the connection off before its answer ended")
            }
            TransportKind::TooLarge => format!("the answer of {host} is too large to be real"),
            TransportKind::Other => format!("the transfer to {host} failed"),
        };
        if detail.is_empty() { what } else { format!("{what}: {detail}") }
    }
}

/// ` [Request-ID …]` behind a message, with WeChat's internal error number.
fn tail(request_id: Option<&str>) -> String {
    match request_id.map(|id| (id, internal_code(id))) {
        Some((id, Some("0") | None)) => format!(" [Request-ID {id}]"),
        Some((id, Some(code))) => format!(" [Request-ID {id}, WeChat's error number {code}]"),
        None => String::new(),
    }
}

fn off(ahead: Option<i64>) -> String {
    match ahead {
        Some(ahead) if ahead >= 0 => format!("is {ahead} s ago; 300 s or more are refused"),
        Some(ahead) => format!("is {} s ahead; 300 s or more are refused", ahead.unsigned_abs()),
        None => "is not a number of seconds".to_owned(),
    }
}
