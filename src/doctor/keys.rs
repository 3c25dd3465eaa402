//! The credentials: whether each is what it should be, and whether they fit together. Facts: the
//! brand API's documentation on signing (sections 7 and 8 of the API's description).

use jiff::Timestamp;

use super::facts::{CertificateFacts, Rights, Setup, sentence};
use super::signature::is_accepted;
use super::{Check, Subject};
use crate::wechatpay::certificate::Certificate;

/// How ids of WeChat Pay's public keys begin.
const KEY_ID_PREFIX: &str = "PUB_KEY_ID_";
/// From how many days before its end on a certificate gets a warning.
const SOON_DAYS: i64 = 30;
const DAY: i64 = 24 * 60 * 60;

pub(super) fn check(setup: &Setup, now: i64) -> Vec<Check> {
    vec![
        serial_no(setup),
        private_key(setup),
        rights(setup),
        public_key_id(setup),
        public_key(setup),
        certificate(setup, now),
    ]
}

fn serial_no(setup: &Setup) -> Check {
    const THIS: Subject = Subject::SerialNo;
    match &setup.serial_no {
        Ok(serial_no) => Check::ok(THIS, serial_no),
        Err(trouble) => Check::trouble(THIS, trouble),
    }
}

fn private_key(setup: &Setup) -> Check {
    const THIS: Subject = Subject::PrivateKey;
    match &setup.private_key {
        Ok(key) => {
            let form =
                if key.label == "PRIVATE KEY" { "PKCS#8" } else { "PKCS#1, which works too" };
            Check::ok(THIS, format!("{}: RSA, 2048 bits, {form}", key.place))
        }
        Err(trouble) => Check::trouble(THIS, trouble),
    }
}

fn rights(setup: &Setup) -> Check {
    const THIS: Subject = Subject::KeyRights;
    match &setup.rights {
        Rights::OwnerOnly => Check::ok(THIS, "only its owner can read the key file"),
        Rights::Others(warning) => {
            Check::warning(THIS, "not only its owner can read the key file").do_this(warning)
        }
        Rights::Unknown(why) => Check::skipped(THIS, *why),
    }
}

fn public_key_id(setup: &Setup) -> Check {
    const THIS: Subject = Subject::PublicKeyId;
    let id = match &setup.public_key_id {
        Ok(id) => id,
        Err(trouble) => return Check::trouble(THIS, trouble),
    };
    let rest = id.strip_prefix(KEY_ID_PREFIX).unwrap_or_default();
    if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Check::ok(THIS, id);
    }
    let found = if id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        "this looks like the serial number of a certificate"
    } else {
        "this is not the form of an id"
    };
    Check::problem(THIS, format!("{id}: {found}")).do_this(format!(
        "Copy the id that the brand console shows beside WeChat Pay's public key, under API \
         security: {KEY_ID_PREFIX} and digits."
    ))
}

fn public_key(setup: &Setup) -> Check {
    const THIS: Subject = Subject::PublicKey;
    match &setup.public_key {
        Ok(key) if key.is_own => {
            Check::problem(THIS, format!("{}: it belongs to the brand's own key", key.place))
                .do_this(
                    "This is the public half of the brand API private key, which verifies no \
                     answer; download WeChat Pay's public key (pub_key.pem) in the brand console, \
                     under API security.",
                )
        }
        Ok(key) => Check::ok(THIS, format!("{}: RSA, 2048 bits", key.place)),
        Err(trouble) => Check::trouble(THIS, trouble),
    }
}

fn certificate(setup: &Setup, now: i64) -> Check {
    const THIS: Subject = Subject::Certificate;
    let (place, certificate) = match &setup.certificate {
        CertificateFacts::Absent => {
            return Check::skipped(
                THIS,
                "none to look at: put apiclient_cert.pem beside the private key file, or name it with --certificate",
            );
        }
        CertificateFacts::Unreadable(trouble) => return Check::trouble(THIS, trouble),
        CertificateFacts::Read { place, certificate, .. } => (place, certificate),
    };
    let misfits = misfits(setup, certificate);
    let late = out_of_time(certificate, now).map(|late| sentence(&late));
    // The API knows better: what it accepts works, whatever this file is.
    let accepted = is_accepted(setup);
    let wrong = if accepted { Check::warning } else { Check::problem };
    let until = date(certificate.not_after);
    let soon = certificate.not_after.saturating_sub(now) < SOON_DAYS * DAY;
    if accepted && !misfits.is_empty() {
        wrong(THIS, format!("{place}: it is not the one that the API accepts"))
            .do_this("Put the certificate in use in its place.")
    } else if !misfits.is_empty() {
        let check = wrong(THIS, format!("{place}: it does not go with the settings"));
        Check { advice: misfits.into_iter().chain(late).collect(), ..check }
    } else if let Some(late) = late {
        wrong(THIS, format!("{place}: it is not valid now")).do_this(late)
    } else if soon {
        Check::warning(THIS, format!("{place}: it ends soon, on {until}")).do_this(
            "Apply for a new one in the brand console, under API security, and set its serial \
             number and key before this one ends.",
        )
    } else {
        let known = match setup.certificate_fits() {
            (Some(_), Some(_)) => "serial number and private key are its own",
            (Some(_), None) => "the serial number is its own; there is no private key to compare",
            (None, Some(_)) => "the private key is its own; there is no serial number to compare",
            (None, None) => "there is nothing to compare it with",
        };
        Check::ok(THIS, format!("{place}: {known}; valid until {until}"))
    }
}

/// What does not fit between certificate, serial number and private key.
fn misfits(setup: &Setup, certificate: &Certificate) -> Vec<String> {
    let serial_no = &certificate.serial_no;
    let private_key = setup.private_key.as_ref().map_or("", |key| key.place.as_str());
    let wrong_serial = format!(
        "The certificate's serial number is {serial_no}: set certificate_serial_no to that."
    );
    let wrong_key = format!(
        "The private key {private_key} is not that of this certificate: set private_key_file to the \
         apiclient_key.pem that was made with it."
    );
    match setup.certificate_fits() {
        (Some(false), Some(false)) => vec![format!(
            "Neither certificate_serial_no nor the private key {private_key} is of this certificate, whose serial \
             number is {serial_no}: put the certificate in use in its place, or set both to this one's."
        )],
        (Some(false), _) => vec![wrong_serial],
        (_, Some(false)) => vec![wrong_key],
        _ => Vec::new(),
    }
}

/// What to do about a certificate that is not valid now, by this machine's clock.
pub(super) fn out_of_time(certificate: &Certificate, now: i64) -> Option<String> {
    let Certificate { not_before, not_after, .. } = certificate;
    if now > *not_after {
        Some(format!(
            "the certificate ended on {}: apply for a new one in the brand console, under API \
             security, and set its serial number and key",
            date(*not_after)
        ))
    } else if now < *not_before {
        Some(format!(
            "the certificate begins on {}: set this machine's clock, or wait until then",
            date(*not_before)
        ))
    } else {
        None
    }
}

/// The day of a moment, in UTC.
fn date(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(moment) => moment.strftime("%Y-%m-%d").to_string(),
        Err(_) => "a day that no calendar has".to_owned(),
    }
}
