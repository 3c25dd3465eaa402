//! Credentials: where each comes from, and reading them when a command needs them.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{Config, ConfigError, FILE_NAME, read_text, value_error};
use crate::wechatpay::client::Credentials;
use crate::wechatpay::signing::{PrivateKey, PublicKey};

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

impl Config {
    /// Reads the credentials, and says in `warn` what is not wrong but unsafe about them.
    ///
    /// # Errors
    /// When any is missing (all that are, at once) or cannot be used.
    pub fn credentials(&self, warn: &mut dyn FnMut(String)) -> Result<Credentials, ConfigError> {
        let sources = &self.credentials;
        let (Some(serial), Some(private), Some(key_id), Some(public)) = (
            &sources.certificate_serial_no,
            &sources.private_key,
            &sources.wechatpay_public_key_id,
            &sources.wechatpay_public_key,
        ) else {
            return Err(ConfigError::MissingCredentials(sources.missing()));
        };
        let serial = serial.trim().to_ascii_uppercase();
        if serial.is_empty() || !serial.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(value_error(
                "credentials.certificate_serial_no",
                "a serial number is hex digits without colons; see it with `openssl x509 -in apiclient_cert.pem -noout -serial`".to_owned(),
            ));
        }
        let key_id = key_id.trim().to_owned();
        if key_id.is_empty() || !key_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(value_error(
                "credentials.wechatpay_public_key_id",
                "a public key id looks like PUB_KEY_ID_0000000000000024101100397200000006"
                    .to_owned(),
            ));
        }
        if let Some(warning) = private.readable_by_others() {
            warn(warning);
        }
        let key_error = |place: &KeySource, error| ConfigError::Key { place: place.place(), error };
        Ok(Credentials {
            brand_id: self.brand_id.clone(),
            certificate_serial_no: serial,
            private_key: PrivateKey::from_pem(&private.read()?)
                .map_err(|error| key_error(private, error))?,
            wechatpay_public_key_id: key_id,
            wechatpay_public_key: PublicKey::from_pem(&public.read()?)
                .map_err(|error| key_error(public, error))?,
        })
    }
}

impl CredentialSources {
    fn missing(&self) -> Vec<String> {
        let line = |missing: bool, key: &str, what: &str, variable: &str| {
            missing.then(|| {
                format!("  credentials.{key} ({what}): set it in {FILE_NAME}, or set {variable}")
            })
        };
        [
            line(
                self.certificate_serial_no.is_none(),
                "certificate_serial_no",
                "serial number of the brand API certificate",
                "COUPONCTL_CERTIFICATE_SERIAL_NO",
            ),
            line(
                self.private_key.is_none(),
                "private_key_file",
                "the brand API private key, apiclient_key.pem",
                "COUPONCTL_PRIVATE_KEY_FILE or COUPONCTL_PRIVATE_KEY",
            ),
            line(
                self.wechatpay_public_key_id.is_none(),
                "wechatpay_public_key_id",
                "id of WeChat Pay's public key, PUB_KEY_ID_…",
                "COUPONCTL_WECHATPAY_PUBLIC_KEY_ID",
            ),
            line(
                self.wechatpay_public_key.is_none(),
                "wechatpay_public_key_file",
                "WeChat Pay's public key, pub_key.pem",
                "COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE or COUPONCTL_WECHATPAY_PUBLIC_KEY",
            ),
        ]
        .into_iter()
        .flatten()
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
