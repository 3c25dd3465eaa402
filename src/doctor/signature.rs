//! What one signed read shows: whether the API takes this machine's signature, whether its own
//! verifies here, and what it answers.

use super::facts::Setup;
use super::network::transport_advice;
use super::{Check, Subject, suspects};
use crate::wechatpay::error::{ApiError, ErrorAnswer, Unverified, UnverifiedReason};
use crate::wechatpay::examine::{Examined, Signed};

/// What an answer says about the request's signature.
enum Standing<'a> {
    /// It was accepted, as this shows.
    Accepted(String),
    /// It was refused.
    Refused(&'a ErrorAnswer),
    /// It cannot be known, for this reason.
    Unknown(&'static str),
}

pub(super) fn check(setup: &Setup, now: i64) -> Vec<Check> {
    let examined = match &setup.read {
        Some(Ok(examined)) => examined,
        Some(Err(error)) => return cannot_be_asked(error),
        None => return skipped(&why_not_tried(setup)),
    };
    vec![request(setup, examined, now), answer(setup, examined), read(setup, examined)]
}

fn skipped(why: &str) -> Vec<Check> {
    [Subject::RequestSignature, Subject::AnswerSignature, Subject::Read]
        .map(|subject| Check::skipped(subject, why))
        .into()
}

fn cannot_be_asked(error: &ApiError) -> Vec<Check> {
    let mut checks = skipped("needs a read that can be made");
    if let Some(last) = checks.last_mut() {
        *last = Check::problem(Subject::Read, error.to_string()).do_this(error.advice());
    }
    checks
}

/// What is missing for a signed read.
fn why_not_tried(setup: &Setup) -> String {
    let missing: Vec<_> = [
        (setup.serial_no.is_err(), Subject::SerialNo),
        (setup.private_key.is_err(), Subject::PrivateKey),
        (setup.public_key_id.is_err(), Subject::PublicKeyId),
        (setup.public_key.is_err(), Subject::PublicKey),
        (setup.base.reach.as_ref().is_ok_and(|reach| reach.outcome.is_err()), Subject::Network),
        (setup.base.reach.is_err(), Subject::BaseUrl),
    ]
    .into_iter()
    .filter(|(is_missing, _)| *is_missing)
    .map(|(_, subject)| subject.name())
    .collect();
    if !missing.is_empty() {
        format!("needs {}", missing.join(", "))
    } else if setup.product_coupon.is_none() {
        "needs a product coupon to read: name one with --product-coupon ID, or write a stock file"
            .to_owned()
    } else {
        "needs settings that a client can be made with".to_owned()
    }
}

fn request(setup: &Setup, examined: &Examined, now: i64) -> Check {
    const THIS: Subject = Subject::RequestSignature;
    match standing(examined) {
        Standing::Accepted(how) => Check::ok(THIS, format!("the API accepts it: {how}")),
        Standing::Refused(answer) => {
            let advice = suspects::advice(setup, answer, examined.signed.as_ref(), now);
            let check = Check::problem(THIS, format!("the API refuses it: {answer}"));
            Check { advice, ..check }
        }
        Standing::Unknown(why) => Check::skipped(THIS, why),
    }
}

/// Whether the API took this machine's signature.
pub(super) fn is_accepted(setup: &Setup) -> bool {
    let examined = setup.read.as_ref().and_then(|read| read.as_ref().ok());
    examined.is_some_and(|examined| matches!(standing(examined), Standing::Accepted(_)))
}

/// Codes: the API's error table. `NOT_FOUND` and `NO_AUTH` are about what a known brand asks for, so
/// the signature was taken.
fn standing(examined: &Examined) -> Standing<'_> {
    let error = match &examined.result {
        Ok(_) => return Standing::Accepted("the read was answered".to_owned()),
        Err(error) => error.cause(),
    };
    match error {
        ApiError::Unreadable(_) => Standing::Accepted("the read was answered".to_owned()),
        ApiError::Answered(answer) | ApiError::AlreadyExists(answer) => {
            match (answer.status, answer.code.as_deref()) {
                (_, Some(code @ ("NOT_FOUND" | "NO_AUTH"))) => Standing::Accepted(format!(
                    "{code} is about what was asked, not about who asks"
                )),
                (_, Some("SIGN_ERROR")) | (401, _) => Standing::Refused(answer),
                _ => Standing::Unknown("this answer does not tell"),
            }
        }
        ApiError::Unverified(_) => {
            Standing::Unknown("only an answer that is proven to be the API's could tell")
        }
        _ => Standing::Unknown("needs an answer"),
    }
}

fn answer(setup: &Setup, examined: &Examined) -> Check {
    const THIS: Subject = Subject::AnswerSignature;
    let key_id = setup.public_key_id.as_deref().unwrap_or_default();
    let verifies = || Check::ok(THIS, format!("it verifies with {key_id}"));
    let error = match &examined.result {
        Ok(_) | Err(ApiError::Unreadable(_)) => return verifies(),
        Err(error) => error,
    };
    match (error.cause(), &examined.signed) {
        (ApiError::Unverified(unverified), signed) => {
            not_believed(setup, error, unverified, signed.as_ref())
        }
        (_, Some(signed)) if signed.names_our_key && signed.is_of_our_key => verifies(),
        (_, Some(signed)) if signed.is_probe => {
            Check::skipped(THIS, "this answer is one of WeChat Pay's probes")
        }
        (_, Some(signed)) => wrong_key(setup, signed),
        (ApiError::Answered(_), None) => {
            Check::skipped(THIS, "this answer is an error, which need not be signed")
        }
        _ => Check::skipped(THIS, "needs an answer"),
    }
}

fn not_believed(
    setup: &Setup,
    error: &ApiError,
    unverified: &Unverified,
    signed: Option<&Signed>,
) -> Check {
    let check = Check::problem(Subject::AnswerSignature, unverified.to_string());
    match (&unverified.reason, signed) {
        (UnverifiedReason::Serial { .. } | UnverifiedReason::Signature, Some(signed)) => {
            Check { what: check.what, ..wrong_key(setup, signed) }
        }
        // A timestamp is held against the clock, a missing header against the way.
        _ => check.do_this(error.advice()),
    }
}

/// Which of the two is wrong, the key or its id.
fn wrong_key(setup: &Setup, signed: &Signed) -> Check {
    let ours = setup.public_key_id.as_deref().unwrap_or_default();
    let file = setup.public_key.as_ref().map_or("the key file", |key| &key.place);
    let Signed { key_id, names_our_key, is_of_our_key, is_probe } = signed;
    let check = |what: String| Check::problem(Subject::AnswerSignature, what);
    match (names_our_key, is_of_our_key) {
        (_, false) if *is_probe => check("its signature is one of WeChat Pay's probes".to_owned())
            .do_this(
                "WeChat Pay sends signatures that begin WECHATPAY/SIGNTEST/ now and then, to see \
                 that they are refused, as this one was. Run this again: the next answer should \
                 verify.",
            ),
        (false, true) => check(format!("it names the key {key_id}, not {ours}")).do_this(format!(
            "The key in {file} is right, its id is not: set wechatpay_public_key_id to the one that \
             the brand console shows for this key; the answer names {key_id}."
        )),
        (false, false) => check(format!("it names the key {key_id}, not {ours}")).do_this(format!(
            "Neither wechatpay_public_key_id nor {file} are of the key that WeChat Pay signs with: \
             take both anew from the brand console, under API security."
        )),
        (true, _) => check("its signature does not verify".to_owned())
            .do_this("What may be, most likely first:")
            .do_this(format!("1. {file} is not the key of {ours}: download it anew in the brand console, under API security"))
            .do_this("2. something on the way changes answers: look at proxies"),
    }
}

fn read(setup: &Setup, examined: &Examined) -> Check {
    const THIS: Subject = Subject::Read;
    let (id, from) = match &setup.product_coupon {
        Some(coupon) => (coupon.id.as_str(), coupon.from.as_str()),
        None => ("", ""),
    };
    let error = match &examined.result {
        Ok(count) => {
            let count = count.map(|count| format!(": {count}")).unwrap_or_default();
            return Check::ok(
                THIS,
                format!("stocks of product coupon {id} ({from}) can be listed{count}"),
            );
        }
        Err(error) => error,
    };
    if matches!(standing(examined), Standing::Refused(_)) {
        return Check::skipped(THIS, "needs a signature that the API accepts");
    }
    let problem = Check::problem(THIS, error.to_string());
    match (error.cause(), error.code()) {
        (ApiError::Unverified(_), _) => Check::skipped(THIS, "needs an answer that verifies"),
        (_, Some("NOT_FOUND")) => problem.do_this(format!(
            "The signature is fine. There is no product coupon {id} ({from}), or it belongs to \
             another brand: copy its id from the brand console."
        )),
        (_, Some("NO_AUTH")) => {
            problem.do_this(format!("The signature is fine. {}", error.advice()))
        }
        (ApiError::Transport(transport), _) => match &setup.base.reach {
            Ok(reach) => {
                problem.do_this(transport_advice(transport.kind, setup.base.setting, reach))
            }
            Err(_) => problem.do_this(error.advice()),
        },
        (ApiError::Answered(answer), _) if answer.status == 429 => problem.do_this(
            "Something else uses the API for this brand, which takes 20 requests a second in all: \
             run this again.",
        ),
        (ApiError::Answered(answer), _) if answer.status >= 500 => problem.do_this(
            "The trouble is on the server's side: run this again in a minute. If it stays, look it \
             up with its Request-ID, or ask WeChat Pay's support with it.",
        ),
        _ => problem.do_this(error.advice()),
    }
}
