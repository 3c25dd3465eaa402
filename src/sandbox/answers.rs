//! What the sandbox says: an answer as plain data, and the signed HTTP response made of it. Handlers
//! give answers; only `server.rs` turns them into responses.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body::Frame;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde_json::{Value, json};

use super::faults::FaultKind;
use super::keys::Keys;
use crate::wechatpay::signing;

/// WeChat Pay's internal error numbers, as the last number of `Request-ID`.
pub(super) mod number {
    pub const NONE: u32 = 0;
    pub const ILLEGAL: u32 = 268_435_461;
    pub const TOO_LONG: u32 = 268_435_462;
    pub const TOO_SHORT: u32 = 268_435_463;
    pub const OUT_OF_RANGE: u32 = 268_435_464;
    pub const APPID_NOT_BOUND: u32 = 268_578_704;
    pub const OBJECT_MISSING: u32 = 268_578_608;
    pub const TOO_FAST: u32 = 270_924_289;
}

/// How far back a stale answer's timestamp lies.
const STALE_SECONDS: i64 = 600;

/// An answer before it is signed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub body: Value,
    /// WeChat Pay's internal error number.
    pub number: u32,
    /// One further header.
    pub extra: Option<(HeaderName, &'static str)>,
}

impl Answer {
    pub fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body, number: number::NONE, extra: None }
    }

    pub fn error(
        status: StatusCode,
        code: &str,
        number: u32,
        message: impl std::fmt::Display,
    ) -> Self {
        let body = json!({ "code": code, "message": message.to_string() });
        Self { status, body, number, extra: None }
    }

    pub fn param_error(number: u32, field: &str, issue: &str, location: &str) -> Self {
        let message = format!("{field}: {issue}");
        let mut answer = Self::error(StatusCode::BAD_REQUEST, "PARAM_ERROR", number, message);
        answer.body["detail"] = json!({ "location": location, "field": field, "issue": issue });
        answer
    }

    pub fn invalid_request(number: u32, message: impl std::fmt::Display) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "INVALID_REQUEST", number, message)
    }

    pub fn already_exists() -> Self {
        let message = "this out_request_no was used before";
        Self::error(StatusCode::BAD_REQUEST, "ALREADY_EXISTS", number::NONE, message)
    }

    pub fn sign_error(message: impl std::fmt::Display) -> Self {
        Self::error(StatusCode::UNAUTHORIZED, "SIGN_ERROR", number::NONE, message)
    }

    pub fn not_found(number: u32, message: impl std::fmt::Display) -> Self {
        Self::error(StatusCode::NOT_FOUND, "NOT_FOUND", number, message)
    }

    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let message = format!("this path takes {allowed} only");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let answer = Self::error(status, "METHOD_NOT_ALLOWED", number::NONE, message);
        Self { extra: Some((header::ALLOW, allowed)), ..answer }
    }

    pub fn too_large(cap: usize) -> Self {
        let message = format!("the body is larger than {cap} bytes");
        Self::error(StatusCode::PAYLOAD_TOO_LARGE, "PARAM_ERROR", number::TOO_LONG, message)
    }

    pub fn too_fast() -> Self {
        let status = StatusCode::TOO_MANY_REQUESTS;
        let message = "too many requests in a second; send the same request again later";
        let answer = Self::error(status, "RATELIMIT_EXCEEDED", number::TOO_FAST, message);
        Self { extra: Some((header::RETRY_AFTER, "1")), ..answer }
    }

    pub fn system_error(message: impl std::fmt::Display) -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "SYSTEM_ERROR", number::NONE, message)
    }

    /// Signs the answer and makes it a response, with a fault built in where one was drawn.
    pub fn into_response(self, keys: &Keys, now: Timestamp, fault: Option<FaultKind>) -> Response {
        let mut body = self.body.to_string();
        let seconds = match fault {
            Some(FaultKind::StaleTimestamp) => now.as_second() - STALE_SECONDS,
            _ => now.as_second(),
        };
        let (timestamp, nonce) = (seconds.to_string(), signing::nonce());
        let message = signing::answer_message(&timestamp, &nonce, body.as_bytes());
        let signature = match (keys.wechatpay.sign(&message), fault) {
            (Ok(signature), Some(FaultKind::BadSignature)) => {
                Some(format!("WECHATPAY/SIGNTEST/{signature}"))
            }
            (Ok(signature), _) => Some(signature),
            (Err(_), _) => None,
        };
        let serial = match fault {
            Some(FaultKind::WrongSerial) => "PUB_KEY_ID_0000000000000000000000000000000000",
            _ => keys.public.wechatpay_public_key_id.as_str(),
        };
        if fault == Some(FaultKind::TamperedBody) {
            body = tampered(body);
        }
        let request_id = format!("08{:030X}-{}", rand::random::<u128>() >> 8, self.number);
        let length = body.len();
        let truncated = fault == Some(FaultKind::TruncatedBody);
        let bytes = Bytes::from(body);
        let body = if truncated {
            Body::new(CutOff { part: Some(bytes.slice(..length / 2)), sent: false })
        } else {
            Body::from(bytes)
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(header::CONTENT_TYPE, "application/json; charset=utf-8");
        set(header::CONTENT_LENGTH, &length.to_string());
        set(HeaderName::from_static("request-id"), &request_id);
        set(HeaderName::from_static("wechatpay-timestamp"), &timestamp);
        set(HeaderName::from_static("wechatpay-nonce"), &nonce);
        set(HeaderName::from_static("wechatpay-serial"), serial);
        if let Some(signature) = signature {
            set(HeaderName::from_static("wechatpay-signature"), &signature);
        }
        // The clock may be a test's, so the date is not left to the HTTP library.
        let printer = rfc2822::DateTimePrinter::new();
        if let Ok(date) = printer.timestamp_to_rfc9110_string(&now) {
            set(header::DATE, &date);
        }
        if let Some((name, value)) = self.extra {
            set(name, value);
        }
        response
    }
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The body with another stock id, or where it names none, with one more space: still JSON, so that
/// only the signature tells.
fn tampered(mut body: String) -> String {
    const BEFORE: &str = "\"stock_id\":\"";
    let digit = body.find(BEFORE).map(|at| at + BEFORE.len());
    match digit.and_then(|at| body.get(at..=at).map(|digit| (at, digit == "9"))) {
        Some((at, nine)) => body.replace_range(at..=at, if nine { "8" } else { "9" }),
        None => body.push(' '),
    }
    body
}

/// A body of unknown length that ends early: the `Content-Length` header promises more.
struct CutOff {
    part: Option<Bytes>,
    sent: bool,
}

impl http_body::Body for CutOff {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(part) = self.part.take() {
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        // The server drops what it has not sent when a body ends early, so it gets a turn to send.
        if !std::mem::replace(&mut self.sent, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(None)
    }
}
