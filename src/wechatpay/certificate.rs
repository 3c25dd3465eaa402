//! The brand API certificate (`apiclient_cert.pem`): what of it tells whether key, serial number and
//! time fit together. No request needs the certificate itself, only its serial number.

use thiserror::Error;
use x509_cert::der::{DecodePem as _, Encode as _};

use super::pem::Block;
use super::signing::PublicKey;

const LABEL: &str = "CERTIFICATE";

/// Why a file is no certificate. Nothing of its content is kept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Not PEM at all.
    #[error("it is not PEM text; a certificate starts with `-----BEGIN {LABEL}-----`")]
    NotPem,
    /// PEM of something else.
    #[error("this is PEM of the kind `{0}`; the certificate (apiclient_cert.pem) belongs here")]
    OtherPem(String),
    /// A certificate by its label, but not by its content.
    #[error("it does not read as an X.509 certificate: the file is damaged or cut off")]
    Broken,
}

/// A certificate, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number as the `Authorization` header names it: upper-case hex, as
    /// `openssl x509 -noout -serial` prints it.
    pub serial_no: String,
    /// The key that it is for; `None` when that is not RSA of 2048 bits.
    pub public_key: Option<PublicKey>,
    /// Valid from, in Unix seconds.
    pub not_before: i64,
    /// Valid until, in Unix seconds.
    pub not_after: i64,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let block = Block::first(pem, LABEL).map_err(|_| CertificateError::NotPem)?;
        if block.label != LABEL {
            return Err(CertificateError::OtherPem(block.label));
        }
        let read = x509_cert::Certificate::from_pem(block.text.as_bytes())
            .map_err(|_| CertificateError::Broken)?;
        let about = read.tbs_certificate();
        let spki =
            about.subject_public_key_info().to_der().map_err(|_| CertificateError::Broken)?;
        let seconds = |time: &x509_cert::time::Time| {
            i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
        };
        Ok(Self {
            serial_no: serial_no(about.serial_number().as_bytes()),
            public_key: PublicKey::from_spki_der(&spki),
            not_before: seconds(&about.validity().not_before),
            not_after: seconds(&about.validity().not_after),
        })
    }
}

/// The bytes of a DER integer as hex; the zero byte that only keeps it positive is left out.
fn serial_no(bytes: &[u8]) -> String {
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        whole => whole,
    };
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::signing::PrivateKey;
    use super::*;

    #[test]
    fn a_serial_number_is_what_openssl_prints() {
        assert_eq!(serial_no(&[0x1d, 0xde, 0x05]), "1DDE05");
        assert_eq!(serial_no(&[0, 0x9a, 0]), "9A00");
        assert_eq!(serial_no(&[0]), "00");
    }

    #[test]
    fn what_is_no_certificate_is_named_for_what_it_is() {
        let key = PrivateKey::generate().unwrap().to_pem().unwrap();
        let error = Certificate::from_pem(&key).unwrap_err();
        assert_eq!(error, CertificateError::OtherPem("PRIVATE KEY".to_owned()));
        assert_eq!(Certificate::from_pem("{}"), Err(CertificateError::NotPem));
        let cut_off = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        assert_eq!(Certificate::from_pem(cut_off), Err(CertificateError::Broken));
    }
}
