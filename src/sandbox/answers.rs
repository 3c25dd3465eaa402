//! The API's answers: errors as the API words them, stock entities, and the signature on each.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::faults::FaultKind;
use super::keys::Keys;
use super::state::StoredStock;
use crate::wechatpay::signing;

/// How long ago a stale answer claims to be signed.
const STALE_SECONDS: i64 = 600;

/// An answer before it is signed.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: StatusCode,
    /// The body.
    pub body: Value,
    /// WeChat Pay's internal error number; 0: none.
    pub number: u32,
}

impl Reply {
    /// A good answer.
    pub fn good(body: Value) -> Self {
        Self { status: StatusCode::OK, body, number: 0 }
    }

    /// An error.
    pub fn error(status: StatusCode, code: &str, number: u32, message: impl Into<String>) -> Self {
        Self { status, body: json!({"code": code, "message": message.into()}), number }
    }

    /// A field that the API does not take.
    pub fn parameter(field: &str, issue: &str) -> Self {
        let number = match issue {
            "too long" => 268_435_462,
            "too short" => 268_435_463,
            "out of range" => 268_435_464,
            _ => 268_435_461,
        };
        let mut reply = Self::error(
            StatusCode::BAD_REQUEST,
            "PARAM_ERROR",
            number,
            format!("参数错误: {field} is {issue}"),
        );
        reply.body["detail"] = json!({"field": field, "issue": issue});
        reply
    }

    /// A business rule that is broken.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "INVALID_REQUEST", 0, message)
    }

    /// No such thing.
    pub fn not_found(what: &str) -> Self {
        let message = format!("{what} does not exist or belongs to another brand");
        Self::error(StatusCode::NOT_FOUND, "NOT_FOUND", 268_578_608, message)
    }

    /// The signature is wrong, in the part named.
    pub fn sign_error(message: impl Into<String>) -> Self {
        Self::error(StatusCode::UNAUTHORIZED, "SIGN_ERROR", 0, message)
    }

    /// The outcome is not known.
    pub fn system_error() -> Self {
        let message = "系统异常,请用原参数重试";
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "SYSTEM_ERROR", 0, message)
    }

    /// Too fast.
    pub fn rate_limited() -> Self {
        let message = "请求频率超限,请降低频率后用原参数重试";
        Self::error(StatusCode::TOO_MANY_REQUESTS, "RATELIMIT_EXCEEDED", 270_924_289, message)
    }

    /// The answer as it goes out: signed, or signed wrongly when that is the fault.
    pub fn sign(self, keys: &Keys, fault: Option<FaultKind>) -> Response<Body> {
        let text = self.body.to_string();
        let stale = fault == Some(FaultKind::StaleTimestamp);
        let now = Timestamp::now();
        let seconds = now.as_second() - if stale { STALE_SECONDS } else { 0 };
        let timestamp = seconds.to_string();
        let nonce = signing::nonce();
        let signed = if fault == Some(FaultKind::BadSignature) { "other bytes" } else { &text };
        let message = signing::answer_message(&timestamp, &nonce, signed.as_bytes());
        // Without random numbers nothing here works; the client sees a signature that does not verify.
        let signature = keys.wechatpay_private_key.sign(&message).unwrap_or_default();
        let serial = match fault {
            Some(FaultKind::WrongSerial) => "PUB_KEY_ID_0000000000000000000000000000000404",
            _ => &keys.wechatpay_public_key_id,
        };
        let request_id =
            format!("08{:X}{:08X}-{}", now.as_millisecond(), rand::random::<u32>(), self.number);
        let sent = if fault == Some(FaultKind::TamperedBody) { tampered(&text) } else { text };
        let length = sent.len();
        let body = if fault == Some(FaultKind::TruncatedBody) {
            Body::new(CutOff(Some(Bytes::copy_from_slice(&sent.as_bytes()[..length / 2]))))
        } else {
            Body::from(sent)
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        for (name, value) in [
            ("Wechatpay-Timestamp", timestamp.as_str()),
            ("Wechatpay-Nonce", &nonce),
            ("Wechatpay-Signature", &signature),
            ("Wechatpay-Serial", serial),
            ("Request-ID", &request_id),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// The body with another stock id, so that whoever believes it records the wrong one.
fn tampered(text: &str) -> String {
    match text.find("\"stock_id\":\"") {
        Some(at) => format!("{}\"stock_id\":\"9{}", &text[..at], &text[at + 12..]),
        None => text.replacen('{', "{ ", 1),
    }
}

/// A body that ends before it is whole, by an error that makes the server close the connection.
struct CutOff(Option<Bytes>);

impl http_body::Body for CutOff {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(Some(match self.0.take() {
            Some(bytes) => Ok(http_body::Frame::data(bytes)),
            None => Err(std::io::Error::other("cut off on purpose")),
        }))
    }
}

/// A stock as the API shows it.
pub fn entity(stock_id: u64, stored: &StoredStock, now: Timestamp) -> Value {
    let mut entity = stored.stock.clone();
    entity["product_coupon_id"] = stored.product_coupon_id.as_str().into();
    entity["stock_id"] = stock_id.to_string().into();
    entity["state"] = stored.state(now).into();
    entity["sent_count_info"] = json!({"total_count": 0, "today_count": 0});
    if entity["coupon_code_mode"] == "UPLOAD" {
        entity["coupon_code_count_info"] = json!({"total_count": 0, "available_count": 0});
    }
    if let Some(deactivated) = &stored.deactivated {
        entity["deactivate_request_no"] = deactivated.request_no.as_str().into();
        entity["deactivate_time"] = deactivated.time.as_str().into();
        entity["deactivate_reason"] = deactivated.reason.as_str().into();
    }
    entity
}
