//! Why a signature was refused. The API says only that it was (401 SIGN_ERROR: signature, serial or
//! clock wrong), so each possible cause is held against what is known here: some are certain, some
//! ruled out, and what is left is told with the most likely first.

use super::facts::{CertificateFacts, Setup};
use super::keys::out_of_time;
use super::network::CLOCK_LIMIT;
use crate::wechatpay::error::ErrorAnswer;
use crate::wechatpay::examine::Signed;

/// A clock that is this near to the limit may be the cause all the same.
const CLOCK_NEAR: u64 = 240;

/// The causes of a refusal.
#[derive(Debug, Default, PartialEq, Eq)]
struct Suspects {
    certain: Vec<String>,
    ruled_out: Vec<&'static str>,
    /// Most likely first.
    possible: Vec<String>,
}

/// What to do about a refused signature, one line each.
pub(super) fn advice(
    setup: &Setup,
    answer: &ErrorAnswer,
    signed: Option<&Signed>,
    now: i64,
) -> Vec<String> {
    let mut suspects = Suspects::default();
    if answer.code.is_none() {
        suspects.possible.push(
            "it was not the API that answered, which gives a code: look at base_url, and at proxies \
             and gateways on the way"
                .to_owned(),
        );
    }
    suspects.consider_key_and_serial(setup, now);
    suspects.consider_brand(setup);
    suspects.consider_clock(setup);
    suspects.consider_public_key_id(setup, signed);
    suspects.possible.push(
        "the certificate was replaced or revoked: compare certificate_serial_no with the one that \
         the brand console shows under API security"
            .to_owned(),
    );
    suspects.possible.push(
        "something on the way changes requests: look at proxies that rewrite paths or headers"
            .to_owned(),
    );
    suspects.lines(matches!(setup.certificate, CertificateFacts::Absent))
}

impl Suspects {
    fn consider_key_and_serial(&mut self, setup: &Setup, now: i64) {
        let CertificateFacts::Read { certificate, .. } = &setup.certificate else {
            let serial_no = setup.serial_no.as_deref().unwrap_or("certificate_serial_no");
            self.possible.push(format!(
                "the private key is not that of the certificate {serial_no}: an older or newer one, \
                 or another brand's"
            ));
            self.possible.push(format!(
                "certificate_serial_no {serial_no} is not the certificate's: see it with `openssl \
                 x509 -in apiclient_cert.pem -noout -serial`"
            ));
            return;
        };
        let serial_no = &certificate.serial_no;
        match setup.certificate_fits() {
            (Some(true), Some(true)) => {
                self.ruled_out.push("private key and serial number, which are one certificate's");
            }
            (Some(false), Some(true)) => self.certain.push(format!(
                "certificate_serial_no is wrong: the certificate of this private key has {serial_no}"
            )),
            (Some(true), Some(false)) => self.certain.push(format!(
                "the private key is wrong: it is not that of the certificate {serial_no}"
            )),
            _ => self.possible.push(format!(
                "private key and serial number are not of one certificate; the one found here, \
                 {serial_no}, is neither's"
            )),
        }
        if setup.certificate_fits() == (Some(true), Some(true))
            && let Some(late) = out_of_time(certificate, now)
        {
            self.certain.push(late);
        }
    }

    fn consider_brand(&mut self, setup: &Setup) {
        self.possible.push(format!(
            "brand_id {} is not the brand of the certificate: compare both in the brand console",
            setup.brand_id
        ));
    }

    fn consider_clock(&mut self, setup: &Setup) {
        let off = setup.clock().map(|clock| (clock, clock.ahead_seconds.unsigned_abs()));
        match off {
            Some((clock, CLOCK_LIMIT..)) => {
                self.certain.push(format!("{clock}, and a signature is good for 5 minutes"));
            }
            Some((clock, CLOCK_NEAR..)) => {
                self.possible
                    .insert(0, format!("{clock}, which is close to the limit of 5 minutes"));
            }
            Some(_) => self.ruled_out.push("the clock"),
            None => self.possible.push(
                "this machine's clock is off by 5 minutes or more; the answer has no Date to tell"
                    .to_owned(),
            ),
        }
    }

    /// The request names the key that its answer should be signed with.
    fn consider_public_key_id(&mut self, setup: &Setup, signed: Option<&Signed>) {
        let ours = setup.public_key_id.as_deref().unwrap_or_default();
        match signed {
            Some(signed) if signed.names_our_key => self.ruled_out.push("wechatpay_public_key_id"),
            Some(Signed { key_id, is_of_our_key: true, .. }) => self.certain.push(format!(
                "wechatpay_public_key_id is wrong: requests name {ours}, but the answer names \
                 {key_id} and verifies with the configured key"
            )),
            Some(Signed { key_id, .. }) => self.possible.insert(
                0,
                format!(
                    "wechatpay_public_key_id is wrong: requests name {ours}, but the answer names \
                     {key_id}"
                ),
            ),
            None => self.possible.push(format!(
                "wechatpay_public_key_id {ours} is none that WeChat Pay has for this brand"
            )),
        }
    }

    fn lines(self, without_certificate: bool) -> Vec<String> {
        let mut lines: Vec<_> =
            self.certain.iter().map(|cause| format!("The cause: {cause}.")).collect();
        if !lines.is_empty() {
            lines.push("Mend that first, then run this again.".to_owned());
            return lines;
        }
        if !self.ruled_out.is_empty() {
            lines.push(format!("It is not: {}.", self.ruled_out.join("; ")));
        }
        lines.push("What remains, most likely first:".to_owned());
        let possible = self.possible.iter().enumerate();
        lines.extend(possible.map(|(index, cause)| format!("{}. {cause}", index + 1)));
        if without_certificate {
            lines.push(
                "With the certificate (apiclient_cert.pem beside the private key file, or \
                 --certificate FILE) a wrong key can be told from a wrong serial number."
                    .to_owned(),
            );
        }
        lines
    }
}
