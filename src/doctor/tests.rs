//! From facts to verdicts, without files or network.

use super::facts::{
    CertificateFacts, Facts, Fallback, PrivateKeyFacts, ProductCoupon, PublicKeyFacts, Rights,
    Setup, Site,
};
use super::{Check, Subject, Verdict, diagnose, has_problem};
use crate::wechatpay::certificate::Certificate;
use crate::wechatpay::error::{
    ApiError, ClockOffset, ErrorAnswer, Transport, TransportKind, Unverified, UnverifiedReason,
};
use crate::wechatpay::examine::{Examined, Reach, Signed, Touched};

const NOW: i64 = 1_795_000_000;
const YEAR: i64 = 365 * 24 * 60 * 60;

fn off(ahead_seconds: i64) -> Touched {
    let clock = Some(ClockOffset { ahead_seconds });
    Touched { date: clock, signed_at: clock }
}

/// Everything as it should be, but for what a test changes.
fn setup() -> Setup {
    let reach = Reach { host: "api".to_owned(), proxy: None, outcome: Ok(off(0)) };
    let base = Site { setting: "base_url", url: "https://api".to_owned(), reach: Ok(reach) };
    let signed = Signed {
        key_id: "PUB_KEY_ID_1".to_owned(),
        names_our_key: true,
        is_of_our_key: true,
        is_probe: false,
    };
    let read = Examined { result: Ok(Some(3)), touched: off(0), signed: Some(signed) };
    let private_key =
        PrivateKeyFacts { place: "key.pem".to_owned(), label: "PRIVATE KEY".to_owned() };
    Setup {
        place: "couponctl.yaml".to_owned(),
        brand_id: "120344".to_owned(),
        base,
        fallback: Fallback::Unused("no fallback_url is set"),
        serial_no: Ok("1DDE".to_owned()),
        private_key: Ok(private_key),
        rights: Rights::OwnerOnly,
        public_key_id: Ok("PUB_KEY_ID_1".to_owned()),
        public_key: Ok(PublicKeyFacts { place: "pub.pem".to_owned(), is_own: false }),
        certificate: CertificateFacts::Absent,
        product_coupon: Some(ProductCoupon { id: "2".to_owned(), from: "the lock".to_owned() }),
        read: Some(Ok(read)),
    }
}

fn certificate(serial_no: &str, is_of_private_key: bool, ends_in: i64) -> CertificateFacts {
    CertificateFacts::Read {
        place: "cert.pem".to_owned(),
        certificate: Certificate {
            serial_no: serial_no.to_owned(),
            public_key: None,
            not_before: NOW - YEAR,
            not_after: NOW + ends_in,
        },
        is_of_private_key: Some(is_of_private_key),
    }
}

fn answered(status: u16, code: Option<&str>) -> ApiError {
    ApiError::Answered(Box::new(ErrorAnswer {
        host: "api".to_owned(),
        status,
        code: code.map(str::to_owned),
        message: None,
        detail: None,
        request_id: None,
        clock: None,
        retry_after: None,
        unknown_before: false,
        is_signed: false,
    }))
}

fn read(setup: &mut Setup) -> &mut Examined {
    match &mut setup.read {
        Some(Ok(examined)) => examined,
        _ => unreachable!("set up above"),
    }
}

fn checks(change: impl FnOnce(&mut Setup)) -> Vec<Check> {
    let mut setup = setup();
    change(&mut setup);
    diagnose(&Facts { now: NOW, setup: Ok(setup) })
}

fn check(change: impl FnOnce(&mut Setup), subject: Subject) -> Check {
    let checks = checks(change);
    let order: Vec<_> = checks.iter().map(|check| check.check).collect();
    assert_eq!(order, Subject::ALL, "one check a subject, in order");
    checks.into_iter().find(|check| check.check == subject).unwrap()
}

#[test]
fn nothing_is_wrong_where_nothing_is() {
    assert!(!has_problem(&checks(|_| ())));
    let with = checks(|setup| setup.certificate = certificate("1DDE", true, YEAR));
    assert!(!has_problem(&with));
    assert_eq!(with.iter().filter(|check| check.verdict == Verdict::Ok).count(), 13);
}

#[test]
fn a_clock_is_a_problem_from_300_s_on_and_a_warning_above_30() {
    for (ahead, verdict, word) in [
        (0, Verdict::Ok, "agrees"),
        (30, Verdict::Ok, "30 s ahead"),
        (-31, Verdict::Warning, "31 s behind"),
        (299, Verdict::Warning, "299 s ahead"),
        (-300, Verdict::Problem, "300 s behind"),
        (i64::MIN, Verdict::Problem, "behind"),
    ] {
        let found = check(
            |setup| {
                read(setup).touched = off(ahead);
                if let Ok(reach) = &mut setup.base.reach {
                    reach.outcome = Ok(off(ahead));
                }
            },
            Subject::Clock,
        );
        assert_eq!(found.verdict, verdict, "{ahead}");
        assert!(found.what.contains(word), "{}", found.what);
    }
}

#[test]
fn an_old_answer_does_not_make_a_clock_wrong() {
    let old = Touched { signed_at: Some(ClockOffset { ahead_seconds: 900 }), ..off(0) };
    let found = check(|setup| read(setup).touched = old, Subject::Clock);
    assert_eq!(found.verdict, Verdict::Ok);
}

#[test]
fn a_refused_signature_leads_to_its_cause_by_what_is_known() {
    let refused = |change: &dyn Fn(&mut Setup)| {
        let found = check(
            |setup| {
                read(setup).result = Err(answered(401, Some("SIGN_ERROR")));
                change(setup);
            },
            Subject::RequestSignature,
        );
        assert_eq!(found.verdict, Verdict::Problem);
        found.advice
    };
    let certificate = |serial: &'static str, key: bool, ends_in: i64| {
        refused(&move |setup: &mut Setup| setup.certificate = certificate(serial, key, ends_in))
    };
    // What is certain is said alone.
    for (advice, cause) in [
        (certificate("1DDE", false, YEAR), "The cause: the private key is wrong"),
        (certificate("2DDE", true, YEAR), "The cause: certificate_serial_no is wrong"),
        (certificate("1DDE", true, -YEAR), "The cause: the certificate ended on"),
        (
            refused(&|setup| {
                read(setup).touched = off(-301);
                setup.base.reach =
                    Ok(Reach { host: "api".to_owned(), proxy: None, outcome: Ok(off(-301)) });
            }),
            "The cause: this machine's clock is 301 s behind",
        ),
        (
            refused(&|setup| {
                let key_id = "PUB_KEY_ID_2".to_owned();
                let signed = read(setup).signed.take();
                read(setup).signed =
                    signed.map(|signed| Signed { key_id, names_our_key: false, ..signed });
            }),
            "The cause: wechatpay_public_key_id is wrong",
        ),
    ] {
        assert!(advice[0].starts_with(cause), "{advice:?}");
        assert_eq!(advice.len(), 2, "{advice:?}");
    }
    // What is not known is listed, likely things first.
    for (advice, line, first) in [
        (refused(&|_| ()), 2, "1. the private key is not that of the certificate 1DDE"),
        (certificate("1DDE", true, YEAR), 2, "1. brand_id 120344 is not the brand"),
        (certificate("2DDE", false, YEAR), 2, "1. private key and serial number are not of one"),
        (
            refused(&|setup| {
                read(setup).signed = Some(Signed {
                    key_id: "PUB_KEY_ID_2".to_owned(),
                    names_our_key: false,
                    is_of_our_key: false,
                    is_probe: false,
                });
            }),
            2,
            "1. wechatpay_public_key_id is wrong",
        ),
        (
            refused(&|setup| read(setup).result = Err(answered(401, None))),
            2,
            "1. it was not the API that answered",
        ),
    ] {
        assert!(advice[line].starts_with(first), "{advice:#?}");
    }
    let nothing_known = refused(&|setup| {
        *read(setup) =
            Examined { touched: Touched::default(), signed: None, ..read(setup).clone() };
        if let Ok(reach) = &mut setup.base.reach {
            reach.outcome = Ok(Touched::default());
        }
    });
    let text = nothing_known.join("\n");
    for suspect in ["private key", "serial_no", "brand_id", "clock", "wechatpay_public_key_id"] {
        assert!(text.contains(suspect), "{suspect}: {text}");
    }
    assert!(!text.contains("It is not"), "{text}");
}

#[test]
fn what_is_asked_and_who_asks_are_told_apart() {
    for (status, code, request, read_verdict) in [
        (404, Some("NOT_FOUND"), Verdict::Ok, Verdict::Problem),
        (403, Some("NO_AUTH"), Verdict::Ok, Verdict::Problem),
        (404, None, Verdict::Skipped, Verdict::Problem),
        (401, Some("SIGN_ERROR"), Verdict::Problem, Verdict::Skipped),
        (401, None, Verdict::Problem, Verdict::Skipped),
        (429, Some("RATELIMIT_EXCEEDED"), Verdict::Skipped, Verdict::Problem),
        (500, Some("SYSTEM_ERROR"), Verdict::Skipped, Verdict::Problem),
        (400, Some("PARAM_ERROR"), Verdict::Skipped, Verdict::Problem),
    ] {
        let checks = checks(|setup| read(setup).result = Err(answered(status, code)));
        let verdicts = [checks[11].verdict, checks[13].verdict];
        assert_eq!(verdicts, [request, read_verdict], "{status} {code:?}");
    }
}

#[test]
fn an_answer_that_is_not_believed_leads_to_the_key_the_id_or_the_way() {
    let unverified = |reason: UnverifiedReason, signed: Option<Signed>| {
        let error = Unverified {
            host: "api".to_owned(),
            reason,
            request_id: None,
            clock: Some(ClockOffset { ahead_seconds: 0 }),
        };
        let result = Err(ApiError::Unverified(Box::new(error)));
        let examined = Examined { result, touched: off(0), signed };
        check(|setup| setup.read = Some(Ok(examined)), Subject::AnswerSignature)
    };
    let signed = |names_our_key, is_of_our_key, is_probe| {
        let key_id = "PUB_KEY_ID_2".to_owned();
        Some(Signed { key_id, names_our_key, is_of_our_key, is_probe })
    };
    let serial = || UnverifiedReason::Serial { found: "a".into(), expected: "b".into() };
    let old = UnverifiedReason::Timestamp { found: "1".into(), ahead: Some(600) };
    for (found, advice) in [
        (unverified(serial(), signed(false, true, false)), "The key in pub.pem is right, its id"),
        (unverified(serial(), signed(false, false, false)), "Neither wechatpay_public_key_id nor"),
        (unverified(UnverifiedReason::Signature, signed(true, false, false)), "What may be"),
        (unverified(UnverifiedReason::Signature, signed(true, false, true)), "WeChat Pay sends"),
        (unverified(old, signed(true, true, false)), "Not the clock"),
        (
            unverified(UnverifiedReason::MissingHeader("Wechatpay-Serial"), None),
            "The answer is unsigned",
        ),
    ] {
        assert_eq!(found.verdict, Verdict::Problem);
        assert!(found.advice[0].starts_with(advice), "{found:?}");
    }
}

#[test]
fn a_read_that_was_not_made_says_what_it_needs() {
    let why = |change: fn(&mut Setup)| {
        check(
            |setup| {
                setup.read = None;
                change(setup);
            },
            Subject::Read,
        )
        .what
    };
    assert!(why(|setup| setup.product_coupon = None).contains("--product-coupon"));
    let unreachable = why(|setup| {
        if let Ok(reach) = &mut setup.base.reach {
            let (kind, host) = (TransportKind::Refused, "api".to_owned());
            let detail = String::new();
            reach.outcome = Err(ApiError::Transport(Transport { kind, host, detail }));
        }
    });
    assert_eq!(unreachable, "needs network");
}

#[test]
fn a_certificate_that_ends_soon_is_a_warning() {
    let day = 24 * 60 * 60;
    for (ends_in, verdict) in
        [(29 * day, Verdict::Warning), (31 * day, Verdict::Ok), (-day, Verdict::Warning)]
    {
        let ends = |setup: &mut Setup| setup.certificate = certificate("1DDE", true, ends_in);
        assert_eq!(check(ends, Subject::Certificate).verdict, verdict, "{ends_in}");
    }
}
