//! What can go wrong between this machine and the API, told apart by what a caller can do about
//! it. Everything that came from the server is escaped and capped before it is kept here, and no
//! variant ever holds a key, an `Authorization` header or a signature.

use std::time::Duration;

use thiserror::Error;

pub use super::failure::{
    ClockOffset, ErrorAnswer, ListProblem, Transport, TransportKind, Unreadable, Unverified,
    UnverifiedReason,
};

/// Why a client could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// A base URL that requests must not go to.
    #[error("{setting} `{url}` {problem}")]
    Url {
        /// `base_url` or `fallback_url`.
        setting: &'static str,
        /// As written, without a user name and password.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A number that cannot work.
    #[error("{setting} is 0; it must be at least 1")]
    Zero {
        /// The setting.
        setting: &'static str,
    },
    /// A credential that does not fit in a header.
    #[error("{setting} {problem}")]
    Credential {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The HTTP client or TLS could not be set up.
    #[error(
        "the HTTPS client could not be set up: {0}; if it is about CA certificates, install them \
         (package `ca-certificates`) or name a file of them in SSL_CERT_FILE"
    )]
    Setup(String),
}

/// Why a call failed. Cheap to clone and to send between tasks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// `ALREADY_EXISTS`: the request number was used, so the stock exists; its id is found by
    /// listing the product coupon's stocks and comparing content.
    #[error("{0}")]
    AlreadyExists(Box<ErrorAnswer>),
    /// The API answered with an error: a 4xx that the same request would get again, or, inside
    /// [`ApiError::Exhausted`], a 429 or 5xx.
    #[error("{0}")]
    Answered(Box<ErrorAnswer>),
    /// A redirect (3xx), which is never followed: a signature covers one path on one host.
    #[error("{host} answered {status}, a redirect{}, which is never followed", to(location.as_deref()))]
    Redirected {
        /// The host that answered.
        host: String,
        /// The status, 300 to 399.
        status: u16,
        /// Where to, if it said.
        location: Option<String>,
    },
    /// No whole answer came back.
    #[error("{0}")]
    Transport(Transport),
    /// A 2xx whose signature does not prove that WeChat Pay sent it.
    #[error("{0}")]
    Unverified(Box<Unverified>),
    /// A 2xx that verifies but does not read as what was asked for. The stock may well exist.
    #[error("{0}")]
    Unreadable(Box<Unreadable>),
    /// A list that has no end or is not whole.
    #[error("the list of stocks of {product_coupon_id} {problem}")]
    List {
        /// The product coupon whose stocks were listed.
        product_coupon_id: String,
        /// What is wrong with it.
        problem: ListProblem,
    },
    /// Every try failed.
    #[error(
        "gave up after {attempts} attempt{} in {}: {last}", if *attempts == 1 { "" } else { "s" },
        seconds(*elapsed)
    )]
    Exhausted {
        /// Requests sent.
        attempts: u32,
        /// From the first request sent to the end of the last.
        elapsed: Duration,
        /// Why the last one failed.
        last: Box<ApiError>,
        /// Whether an earlier one may have been carried out.
        unknown_before: bool,
    },
    /// The client was stopped before an answer was there; nothing is sent after that.
    #[error("stopped{}", if *attempts == 0 { " before a request was sent" } else { " before the next attempt" })]
    Stopped {
        /// Requests sent before.
        attempts: u32,
        /// Whether one of them may have been carried out.
        unknown_before: bool,
    },
    /// An id that cannot stand in a URL.
    #[error("`{id}` cannot be a {what}")]
    BadId {
        /// What it should be.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// The request could not be signed.
    #[error("{0}")]
    Signing(#[from] super::signing::SigningError),
}

impl ApiError {
    /// The error itself: the last one when every try failed.
    #[must_use]
    pub fn cause(&self) -> &Self {
        match self {
            Self::Exhausted { last, .. } => last.cause(),
            other => other,
        }
    }

    /// The API's error answer, if that is what it is.
    #[must_use]
    pub fn answer(&self) -> Option<&ErrorAnswer> {
        match self.cause() {
            Self::AlreadyExists(answer) | Self::Answered(answer) => Some(answer),
            _ => None,
        }
    }

    /// Whether the API says that the request number was used before.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        matches!(self.cause(), Self::AlreadyExists(_))
    }

    /// Whether the API says that there is no such product coupon or stock.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some("NOT_FOUND")
    }

    /// Whether it is an error answer that bears WeChat Pay's signature.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.answer().is_some_and(|answer| answer.is_signed)
    }

    /// The API's error code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.answer()?.code.as_deref()
    }

    /// A word for the error: the API's code where there is one.
    #[must_use]
    pub fn word(&self) -> String {
        match self.cause() {
            Self::AlreadyExists(answer) | Self::Answered(answer) => {
                answer.code.clone().unwrap_or_else(|| format!("HTTP_{}", answer.status))
            }
            Self::Redirected { status, .. } => format!("HTTP_{status}"),
            Self::Transport(transport) => transport.kind.word().to_owned(),
            Self::Unverified(_) => "UNVERIFIED".to_owned(),
            Self::Unreadable(_) => "UNREADABLE".to_owned(),
            Self::List { .. } => "LIST".to_owned(),
            Self::Stopped { .. } => "STOPPED".to_owned(),
            Self::BadId { .. } => "BAD_ID".to_owned(),
            Self::Exhausted { .. } | Self::Signing(_) => "SIGNING".to_owned(),
        }
    }

    /// The `Request-ID` of the answer, which WeChat Pay's support asks for.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self.cause() {
            Self::AlreadyExists(answer) | Self::Answered(answer) => answer.request_id.as_deref(),
            Self::Unverified(unverified) => unverified.request_id.as_deref(),
            Self::Unreadable(unreadable) => unreadable.request_id.as_deref(),
            _ => None,
        }
    }

    /// Whether the same request, sent again, may well succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Answered(answer) => answer.status == 429 || answer.status >= 500,
            Self::Transport(_) | Self::Unverified(_) => true,
            _ => false,
        }
    }

    /// Whether the server may have carried out the request, or an earlier try of it, although no
    /// proof came back. What was asked for must then be settled before it is dropped.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        match self {
            // An answer without a code is not the API's own: who knows what it stands for.
            Self::Answered(answer) => {
                answer.status >= 500 || answer.code.is_none() || answer.unknown_before
            }
            Self::Transport(transport) => transport.kind.may_have_arrived(),
            Self::AlreadyExists(_)
            | Self::Unverified(_)
            | Self::Unreadable(_)
            | Self::Redirected { .. } => true,
            Self::Exhausted { last, unknown_before, .. } => {
                *unknown_before || last.outcome_unknown()
            }
            Self::Stopped { unknown_before, .. } => *unknown_before,
            Self::List { .. } | Self::BadId { .. } | Self::Signing(_) => false,
        }
    }
}

fn to(location: Option<&str>) -> String {
    location.map(|location| format!(" to `{location}`")).unwrap_or_default()
}

fn seconds(elapsed: Duration) -> String {
    format!("{:.1} s", elapsed.as_secs_f64())
}
