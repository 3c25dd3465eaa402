//! Credentials: where each comes from, and reading them when a command needs them.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Config, ConfigError, FILE_NAME, read_text, value_error};
use crate::wechatpay::client::Credentials;
use crate::wechatpay::pem;
use crate::wechatpay::signing::{KeyError, PrivateKey, PublicKey};

#[derive(Clone, Default)]
pub(super) struct CredentialSources {
    pub(super) certificate_serial_no: Option<String>,
    pub(super) private_key: Option<KeySource>,
    pub(super) wechatpay_public_key_id: Option<String>,
    pub(super) wechatpay_public_key: Option<KeySource>,
}

#[derive(Clone)]
pub(super) enum KeySource {
    File(PathBuf),
    Variable(&'static str, Zeroizing<String>),
}

impl fmt::Debug for CredentialSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialSources(…)")
    }
}

impl KeySource {
    fn place(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Variable(name, _) => (*name).to_owned(),
        }
    }

    fn read(&self) -> Result<Zeroizing<String>, ConfigError> {
        match self {
            Self::File(path) => read_text(path, "a key file").map(Zeroizing::new),
            // A pipeline's secret store may have turned line feeds into the two characters `\n`.
            Self::Variable(_, text) => Ok(Zeroizing::new(text.replace("\\n", "\n"))),
        }
    }
}

/// The text of a key, wiped when dropped, and where it is from.
pub struct KeyText {
    /// The file or variable.
    pub place: String,
    /// What is not wrong but unsafe about it.
    pub warning: Option<String>,
    text: Zeroizing<String>,
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyText").field("place", &self.place).finish_non_exhaustive()
    }
}

impl KeyText {
    /// The label of its PEM block, such as `PRIVATE KEY`.
    #[must_use]
    pub fn label(&self) -> Option<String> {
        pem::label(&self.text)
    }

    /// Reads it as the brand API private key.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn private_key(&self) -> Result<PrivateKey, ConfigError> {
        PrivateKey::from_pem(&self.text).map_err(|error| self.error(error))
    }

    /// Reads it as WeChat Pay's public key.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn public_key(&self) -> Result<PublicKey, ConfigError> {
        PublicKey::from_pem(&self.text).map_err(|error| self.error(error))
    }

    fn error(&self, error: KeyError) -> ConfigError {
        ConfigError::Key { place: self.place.clone(), error }
    }
}

impl Config {
    /// Reads the credentials, and says in `warn` what is not wrong but unsafe about them.
    ///
    /// # Errors
    /// When any is missing (all that are, at once) or cannot be used.
    pub fn credentials(&self, warn: &mut dyn FnMut(String)) -> Result<Credentials, ConfigError> {
        let missing = self.credentials.missing();
        if !missing.is_empty() {
            return Err(ConfigError::MissingCredentials(missing));
        }
        let serial = self.certificate_serial_no()?;
        let key_id = self.wechatpay_public_key_id()?;
        let private = self.private_key()?;
        if let Some(warning) = &private.warning {
            warn(warning.clone());
        }
        Ok(Credentials {
            brand_id: self.brand_id.clone(),
            certificate_serial_no: serial,
            private_key: private.private_key()?,
            wechatpay_public_key_id: key_id,
            wechatpay_public_key: self.wechatpay_public_key()?.public_key()?,
        })
    }

    /// The serial number of the brand API certificate.
    ///
    /// # Errors
    /// When it is missing or cannot be one.
    pub fn certificate_serial_no(&self) -> Result<String, ConfigError> {
        let serial = given(self.credentials.certificate_serial_no.as_ref(), &SERIAL_NO)?;
        let serial = serial.trim().to_ascii_uppercase();
        if serial.is_empty() || !serial.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(value_error(
                "credentials.certificate_serial_no",
                "a serial number is hex digits without colons; see it with `openssl x509 -in apiclient_cert.pem -noout -serial`".to_owned(),
            ));
        }
        Ok(serial)
    }

    /// The id of WeChat Pay's public key.
    ///
    /// # Errors
    /// When it is missing or cannot be one.
    pub fn wechatpay_public_key_id(&self) -> Result<String, ConfigError> {
        let key_id = given(self.credentials.wechatpay_public_key_id.as_ref(), &PUBLIC_KEY_ID)?;
        let key_id = key_id.trim().to_owned();
        if key_id.is_empty() || !key_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(value_error(
                "credentials.wechatpay_public_key_id",
                "a public key id looks like PUB_KEY_ID_0000000000000024101100397200000006"
                    .to_owned(),
            ));
        }
        Ok(key_id)
    }

    /// The text of the brand API private key, not parsed yet.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    pub fn private_key(&self) -> Result<KeyText, ConfigError> {
        let source = given(self.credentials.private_key.as_ref(), &PRIVATE_KEY)?;
        Ok(KeyText {
            place: source.place(),
            warning: source.readable_by_others(),
            text: source.read()?,
        })
    }

    /// The file of the brand API private key, if it is in one.
    #[must_use]
    pub fn private_key_file(&self) -> Option<&Path> {
        match self.credentials.private_key.as_ref()? {
            KeySource::File(path) => Some(path),
            KeySource::Variable(..) => None,
        }
    }

    /// The text of WeChat Pay's public key, not parsed yet.
    ///
    /// # Errors
    /// When it is missing or cannot be read.
    pub fn wechatpay_public_key(&self) -> Result<KeyText, ConfigError> {
        let source = given(self.credentials.wechatpay_public_key.as_ref(), &PUBLIC_KEY)?;
        Ok(KeyText { place: source.place(), warning: None, text: source.read()? })
    }
}

/// A credential by its key in the settings file: what it is, and what else sets it.
struct Credential {
    key: &'static str,
    what: &'static str,
    variable: &'static str,
}

const SERIAL_NO: Credential = Credential {
    key: "certificate_serial_no",
    what: "serial number of the brand API certificate",
    variable: "COUPONCTL_CERTIFICATE_SERIAL_NO",
};
const PRIVATE_KEY: Credential = Credential {
    key: "private_key_file",
    what: "the brand API private key, apiclient_key.pem",
    variable: "COUPONCTL_PRIVATE_KEY_FILE or COUPONCTL_PRIVATE_KEY",
};
const PUBLIC_KEY_ID: Credential = Credential {
    key: "wechatpay_public_key_id",
    what: "id of WeChat Pay's public key, PUB_KEY_ID_…",
    variable: "COUPONCTL_WECHATPAY_PUBLIC_KEY_ID",
};
const PUBLIC_KEY: Credential = Credential {
    key: "wechatpay_public_key_file",
    what: "WeChat Pay's public key, pub_key.pem",
    variable: "COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE or COUPONCTL_WECHATPAY_PUBLIC_KEY",
};

impl Credential {
    fn missing(&self) -> String {
        let Self { key, what, variable } = self;
        format!("  credentials.{key} ({what}): set it in {FILE_NAME}, or set {variable}")
    }
}

fn given<'a, T>(value: Option<&'a T>, credential: &Credential) -> Result<&'a T, ConfigError> {
    value.ok_or_else(|| ConfigError::MissingCredentials(vec![credential.missing()]))
}

impl CredentialSources {
    /// A line for each that is missing.
    fn missing(&self) -> Vec<String> {
        [
            (self.certificate_serial_no.is_none(), SERIAL_NO),
            (self.private_key.is_none(), PRIVATE_KEY),
            (self.wechatpay_public_key_id.is_none(), PUBLIC_KEY_ID),
            (self.wechatpay_public_key.is_none(), PUBLIC_KEY),
        ]
        .into_iter()
        .filter(|(missing, _)| *missing)
        .map(|(_, credential)| credential.missing())
        .collect()
    }
}

impl KeySource {
    #[cfg(unix)]
    fn readable_by_others(&self) -> Option<String> {
        use std::os::unix::fs::PermissionsExt as _;
        let Self::File(path) = self else { return None };
        let mode = path.metadata().ok()?.permissions().mode();
        (mode & 0o077 != 0).then(|| {
            format!(
                "{}: others on this machine can read the private key (mode {:o}); run `chmod 600 {}`",
                path.display(), mode & 0o777, path.display()
            )
        })
    }

    #[cfg(not(unix))]
    fn readable_by_others(&self) -> Option<String> {
        None
    }
}
