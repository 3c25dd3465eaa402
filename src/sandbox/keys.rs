//! The keys of both sides: the brand's, which a client needs, and WeChat Pay's, which signs answers.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::SandboxError;
use crate::wechatpay::signing::{PrivateKey, PublicKey};

/// Serial number of the sandbox's brand API certificate.
const SERIAL: &str = "5A4DB0C0FFEE00000000000000000000000C0DE1";
/// Id of the sandbox's WeChat Pay public key.
const KEY_ID: &str = "PUB_KEY_ID_0000000000000000000000000000000001";

/// The keys of a sandbox.
#[derive(Debug)]
pub struct Keys {
    /// The brand that the keys are for.
    pub brand_id: String,
    /// Serial number of the brand API certificate.
    pub certificate_serial_no: String,
    /// Verifies requests.
    pub brand_public_key: PublicKey,
    /// Id of the key that signs answers.
    pub wechatpay_public_key_id: String,
    /// Signs answers.
    pub wechatpay_private_key: PrivateKey,
    /// Where the client finds its key.
    pub private_key_file: PathBuf,
    /// Where the client finds WeChat Pay's public key.
    pub wechatpay_public_key_file: PathBuf,
    /// The folder of the files when the sandbox has no home; goes with it.
    _scratch: Option<TempDir>,
}

impl Keys {
    /// Takes the keys of a home, and makes those that are not there.
    ///
    /// # Errors
    /// When they cannot be made, written or read.
    pub fn open(home: Option<&Path>, brand_id: &str) -> Result<Self, SandboxError> {
        let home_error =
            |path: &Path, message: String| SandboxError::Home { path: path.to_owned(), message };
        let (folder, scratch) = if let Some(home) = home {
            (home.to_owned(), None)
        } else {
            let scratch = tempfile::Builder::new()
                .prefix("couponctl-sandbox-")
                .tempdir()
                .map_err(|error| home_error(&std::env::temp_dir(), error.to_string()))?;
            (scratch.path().to_owned(), Some(scratch))
        };
        let private_key_file = folder.join("apiclient_key.pem");
        let brand = open_key(&private_key_file)?;
        let wechatpay_private_key = open_key(&folder.join("wechatpay_key.pem"))?;
        let wechatpay_public_key_file = folder.join("wechatpay_pub.pem");
        let pem = wechatpay_private_key.public_key().to_pem().map_err(SandboxError::Keys)?;
        fs::write(&wechatpay_public_key_file, pem)
            .map_err(|error| home_error(&wechatpay_public_key_file, error.to_string()))?;
        Ok(Self {
            brand_id: brand_id.to_owned(),
            certificate_serial_no: SERIAL.to_owned(),
            brand_public_key: brand.public_key(),
            wechatpay_public_key_id: KEY_ID.to_owned(),
            wechatpay_private_key,
            private_key_file,
            wechatpay_public_key_file,
            _scratch: scratch,
        })
    }

    /// The credentials as environment variables.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("COUPONCTL_BRAND_ID", self.brand_id.clone()),
            ("COUPONCTL_CERTIFICATE_SERIAL_NO", self.certificate_serial_no.clone()),
            ("COUPONCTL_PRIVATE_KEY_FILE", self.private_key_file.display().to_string()),
            ("COUPONCTL_WECHATPAY_PUBLIC_KEY_ID", self.wechatpay_public_key_id.clone()),
            (
                "COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE",
                self.wechatpay_public_key_file.display().to_string(),
            ),
        ]
    }
}

/// Reads a key, or makes it, readable by its owner alone and whole at once.
fn open_key(path: &Path) -> Result<PrivateKey, SandboxError> {
    let home_error = |message: String| SandboxError::Home { path: path.to_owned(), message };
    match fs::read_to_string(path) {
        Ok(pem) => PrivateKey::from_pem(&pem).map_err(|error| {
            home_error(format!("{error}; the sandbox makes a new key when the file is deleted"))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = PrivateKey::generate().map_err(SandboxError::Keys)?;
            let pem = key.to_pem().map_err(SandboxError::Keys)?;
            let folder = path.parent().unwrap_or(Path::new("."));
            // Temp files are private from the start.
            tempfile::NamedTempFile::new_in(folder)
                .and_then(|mut file| {
                    file.write_all(pem.as_bytes())?;
                    file.persist(path)?;
                    Ok(())
                })
                .map_err(|error| home_error(error.to_string()))?;
            Ok(key)
        }
        Err(error) => Err(home_error(error.to_string())),
    }
}
