//! What is known, as plain data: what was read, what was reached, what was answered.

use crate::config::ConfigError;
use crate::wechatpay::certificate::Certificate;
use crate::wechatpay::error::{ApiError, ClockOffset};
use crate::wechatpay::examine::{Examined, Reach};

/// All that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// This machine's time in Unix seconds.
    pub now: i64,
    /// The settings and what came of them, or why there are none.
    pub setup: Result<Setup, Trouble>,
}

/// Why something could not be read, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong, in one line.
    pub what: String,
    /// What to do, one line each.
    pub advice: Vec<String>,
}

/// What is known of a workspace whose settings can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// The settings file.
    pub place: String,
    /// The brand.
    pub brand_id: String,
    /// The API's host.
    pub base: Site,
    /// The other one, if it is used.
    pub fallback: Fallback,
    /// Serial number of the brand API certificate, as set.
    pub serial_no: Result<String, Trouble>,
    /// The brand API private key.
    pub private_key: Result<PrivateKeyFacts, Trouble>,
    /// Who can read its file.
    pub rights: Rights,
    /// Id of WeChat Pay's public key.
    pub public_key_id: Result<String, Trouble>,
    /// WeChat Pay's public key.
    pub public_key: Result<PublicKeyFacts, Trouble>,
    /// The brand API certificate.
    pub certificate: CertificateFacts,
    /// The product coupon that is read.
    pub product_coupon: Option<ProductCoupon>,
    /// What came of the read; `None` when it was not tried.
    pub read: Option<Result<Examined, ApiError>>,
}

/// A host of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The setting, `base_url` or `fallback_url`.
    pub setting: &'static str,
    /// Its value.
    pub url: String,
    /// What came of a connection; the error is of a URL that requests must not go to, or of a TLS
    /// that cannot be set up.
    pub reach: Result<Reach, SiteError>,
}

/// Why a connection was not even tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SiteError {
    /// Requests must not go there.
    Url(String),
    /// TLS cannot be set up.
    Setup(String),
}

/// The other host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// It is used.
    Site(Site),
    /// It is not, and why.
    Unused(&'static str),
}

/// What is known of a private key. Nothing of the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateKeyFacts {
    /// The file or variable.
    pub place: String,
    /// The label of its PEM block.
    pub label: String,
}

/// Who can read the file of the private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rights {
    /// Its owner alone.
    OwnerOnly,
    /// Others too.
    Others(String),
    /// There is no file, or no such rights on this system.
    Unknown(&'static str),
}

/// What is known of WeChat Pay's public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyFacts {
    /// The file or variable.
    pub place: String,
    /// Whether it is the public half of the brand's own key.
    pub is_own: bool,
}

/// What is known of the brand API certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateFacts {
    /// There is none to look at.
    Absent,
    /// It cannot be read.
    Unreadable(Trouble),
    /// It is read.
    Read {
        /// The file.
        place: String,
        /// What it says.
        certificate: Certificate,
        /// Whether it is for the private key; `None` when that is not known.
        is_of_private_key: Option<bool>,
    },
}

/// A product coupon to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductCoupon {
    /// Its id.
    pub id: String,
    /// Where it is from.
    pub from: String,
}

impl Setup {
    /// This machine's clock against the servers': the answer that agrees best counts, since a clock
    /// that is right can meet an answer that is old, but a clock that is off agrees with none.
    #[must_use]
    pub fn clock(&self) -> Option<ClockOffset> {
        let fallback = match &self.fallback {
            Fallback::Site(site) => Some(site),
            Fallback::Unused(_) => None,
        };
        let sites = [Some(&self.base), fallback].into_iter().flatten();
        let touched = sites.filter_map(|site| site.reach.as_ref().ok()?.outcome.as_ref().ok());
        let read = self.read.as_ref().and_then(|read| read.as_ref().ok());
        touched
            .chain(read.map(|examined| &examined.touched))
            .flat_map(|touched| [touched.date, touched.signed_at])
            .flatten()
            .min_by_key(|clock| clock.ahead_seconds.unsigned_abs())
    }

    /// The certificate against the settings: whether the serial number is the one that is set, and
    /// whether the key is the private key. `None` where that is not known.
    #[must_use]
    pub fn certificate_fits(&self) -> (Option<bool>, Option<bool>) {
        match &self.certificate {
            CertificateFacts::Read { certificate, is_of_private_key, .. } => {
                let serial_no = self.serial_no.as_ref().ok();
                (serial_no.map(|set| *set == certificate.serial_no), *is_of_private_key)
            }
            _ => (None, None),
        }
    }
}

impl Trouble {
    /// What kept settings or credentials from being read.
    #[must_use]
    pub fn of(error: &ConfigError) -> Self {
        use std::io::ErrorKind;
        let (what, advice) = match error {
            ConfigError::NoWorkspace(_) | ConfigError::NotAWorkspace(_) => {
                ("there is no workspace".to_owned(), error.to_string())
            }
            ConfigError::MissingCredentials(lines) => {
                let lines: Vec<_> = lines.iter().map(|line| line.trim()).collect();
                ("it is not set".to_owned(), lines.join("; "))
            }
            ConfigError::Key { place, error } => {
                (format!("{place} cannot be used"), sentence(&error.to_string()))
            }
            ConfigError::Unreadable { path, error } => {
                let advice = match error.kind() {
                    ErrorKind::NotFound => {
                        "Correct the path; in couponctl.yaml it is relative to the workspace."
                    }
                    ErrorKind::PermissionDenied => {
                        "Let the user that runs couponctl read it, and no other."
                    }
                    ErrorKind::InvalidData => {
                        "It is not text: a PEM file belongs here, not DER (.der, .cer) or PKCS#12 (.p12)."
                    }
                    _ => "Name a file that can be read.",
                };
                (format!("{}: {error}", path.display()), advice.to_owned())
            }
            other => ("it cannot be used".to_owned(), other.to_string()),
        };
        Self { what, advice: vec![advice] }
    }
}

/// An error's text as a sentence of its own.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(char::to_uppercase).into_iter().flatten();
    let mut sentence: String = first.chain(characters).collect();
    if !sentence.ends_with(['.', '?', '!']) {
        sentence.push('.');
    }
    sentence
}
