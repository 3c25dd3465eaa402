//! One sentence of advice per error: what the user can do about it.

use super::error::{ApiError, ClockOffset, ErrorAnswer, TransportKind, UnverifiedReason};

impl ApiError {
    /// What to do about it, in one sentence.
    #[must_use]
    pub fn advice(&self) -> String {
        match self.cause() {
            Self::AlreadyExists(answer) | Self::Answered(answer) => answer_advice(answer),
            Self::Redirected { .. } => {
                "Set base_url to the API itself: something between answers in its place.".into()
            }
            Self::Transport(transport) => transport_advice(transport.kind).into(),
            Self::Unverified(unverified) => {
                unverified_advice(&unverified.reason, unverified.clock)
            }
            Self::Unreadable(_) => {
                "The stock may exist: look at it in the brand console, and adopt it by its stock_id \
                 once a version of couponctl reads it."
                    .into()
            }
            Self::List { .. } => {
                "Nothing was concluded from it; try again, and report it if it stays.".into()
            }
            Self::Exhausted { .. } | Self::Stopped { .. } => {
                "Run the same command again: it goes on where this one ended.".into()
            }
            Self::BadId { .. } => "Copy the id from the brand console as it stands there.".into(),
            Self::Signing(_) => "Try again once the operating system gives random numbers.".into(),
        }
    }
}

/// By WeChat's internal error number where it says more than the code, then by code, then by
/// status. Codes and numbers: the API's error table and the numbers seen often.
fn answer_advice(answer: &ErrorAnswer) -> String {
    let code = answer.code.as_deref().unwrap_or_default();
    let says_it_all = matches!(code, "ALREADY_EXISTS" | "SIGN_ERROR") || answer.status == 401;
    let number = answer.internal_code().filter(|_| !says_it_all);
    if let Some(advice) = number.and_then(internal_advice) {
        return advice.into();
    }
    match (answer.status, code) {
        (_, "PARAM_ERROR") => "Correct the field that the message names, then apply again.".into(),
        (_, "INVALID_REQUEST") => "The request breaks a rule of the API or of the business: check \
             what the message names, that the AppID is bound to the brand, and that the product \
             coupon is EFFECTIVE and has fewer than 200 live stocks."
            .into(),
        (_, "ALREADY_EXISTS") => "This request number was used before, so the stock exists: find \
             its stock_id in the brand console and record it with `couponctl adopt NAME STOCK_ID`."
            .into(),
        (_, "SIGN_ERROR") | (401, _) => sign_advice(answer.clock),
        (_, "NO_AUTH") | (403, _) => {
            "Have the product-coupon product enabled for this brand in the \
             brand console, and check that brand_id and certificate belong to it."
                .into()
        }
        (_, "NOT_FOUND") | (404, _) => {
            "Check product_coupon_id (and stock_id): there is no such one, \
             or it belongs to another brand."
                .into()
        }
        (429, _) | (_, "RATELIMIT_EXCEEDED" | "RATE_LIMIT_EXCEEDED" | "FREQUENCY_LIMITED") => {
            too_fast().into()
        }
        (500.., _) => {
            "The outcome is not known; apply again: the same request number never makes a \
             second stock."
                .into()
        }
        _ => "Look the error up with its Request-ID, or ask WeChat Pay's support with it.".into(),
    }
}

fn too_fast() -> &'static str {
    "The brand sends more than the API takes (20 requests/s): lower api.requests_per_second, or \
     stop what else uses the API for this brand, then apply again."
}

fn internal_advice(number: &str) -> Option<&'static str> {
    Some(match number {
        "268435461" => "A parameter is illegal: correct the field that the message names.",
        "268435462" => "A text is too long: shorten the field that the message names.",
        "268435463" => "A text is too short: fill in the field that the message names.",
        "268435464" => "A number is out of range: correct the field that the message names.",
        "268578704" => {
            "Bind the AppID to the brand in the brand console, or use one that is bound."
        }
        "268578608" => {
            "Check the ids in the request: the object does not exist or is another brand's."
        }
        "270924289" => too_fast(),
        _ => return None,
    })
}

fn sign_advice(clock: Option<ClockOffset>) -> String {
    let check = "check that certificate_serial_no, the private key and brand_id belong together \
                 and that the certificate is still valid";
    let doctor = "`couponctl doctor` narrows it down";
    match clock {
        Some(clock) if clock.is_harmful() => {
            format!("Set the clock: {clock}, and a signature is good for 5 minutes.")
        }
        Some(clock) => format!("Not the clock ({clock}): {check}; {doctor}."),
        None => format!("Set the clock if it is off, and {check}; {doctor}."),
    }
}

fn unverified_advice(reason: &UnverifiedReason, clock: Option<ClockOffset>) -> String {
    match (reason, clock) {
        (UnverifiedReason::MissingHeader(_), _) => {
            "The answer is unsigned: check that base_url is \
             the API itself, and that no proxy on the way takes headers away."
                .into()
        }
        (UnverifiedReason::Serial { .. }, _) => "Check wechatpay_public_key_id and \
             wechatpay_public_key_file in the brand console (API security): WeChat Pay signs with \
             another key."
            .into(),
        (UnverifiedReason::Timestamp { .. }, Some(clock)) if clock.is_harmful() => {
            format!("Set the clock: {clock}, and an answer is good for 5 minutes.")
        }
        (UnverifiedReason::Timestamp { .. }, Some(clock)) => format!(
            "Not the clock ({clock}): the answer is an old one, so look at what lies between, such \
             as a caching proxy."
        ),
        (UnverifiedReason::Timestamp { .. }, None) => {
            "Set this machine's clock; the answer has no Date to compare it with.".into()
        }
        (UnverifiedReason::Signature, _) => {
            "Check that wechatpay_public_key_file holds the key of \
             wechatpay_public_key_id; if it does, something between changes answers: look at \
             proxies."
                .into()
        }
    }
}

fn transport_advice(kind: TransportKind) -> &'static str {
    match kind {
        TransportKind::Dns => {
            "Check base_url, and whether this machine resolves names (DNS, VPN, proxy settings)."
        }
        TransportKind::Refused => {
            "Check host and port of base_url, and the proxy settings (HTTPS_PROXY); for the \
             sandbox, that it is still running."
        }
        TransportKind::Unreachable => {
            "Check the network, the firewall and the proxy settings (HTTPS_PROXY) of this machine."
        }
        TransportKind::Certificate => {
            "Check this machine's clock and its CA certificates; a proxy that opens TLS needs its \
             own CA installed."
        }
        TransportKind::Tls => {
            "Check host and port of base_url (is it TLS that listens there?), and what lies \
             between, such as a proxy or a firewall that ends TLS connections."
        }
        TransportKind::TimedOut => {
            "Apply again; if it stays, raise api.timeout_seconds or look at the network."
        }
        TransportKind::CutOff | TransportKind::Other => {
            "Apply again; if it stays, look at the network and proxies between."
        }
        TransportKind::TooLarge => "Check that base_url is the API itself.",
    }
}
