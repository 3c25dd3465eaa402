//! The sandbox's keys: the brand's key pair that a client signs with, and the one that plays WeChat
//! Pay. Made on first use, kept as PEM files beside the state, so that a client's settings last.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{self, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempDir};
use zeroize::Zeroizing;

use super::SandboxError;
use super::answers::hex;
use crate::wechatpay::signing::{PrivateKey, PublicKey};

const BRAND_PRIVATE: &str = "apiclient_key.pem";
const WECHATPAY_PRIVATE: &str = "wechatpay_private_key.pem";
const WECHATPAY_PUBLIC: &str = "wechatpay_public_key.pem";

/// What a client needs to talk to a sandbox.
#[derive(Clone)]
pub struct SandboxKeys {
    /// The brand that the sandbox serves.
    pub brand_id: String,
    /// Serial number of the brand API certificate.
    pub certificate_serial_no: String,
    /// The brand API private key, PKCS#8 PEM; wiped on drop.
    pub private_key_pem: Zeroizing<String>,
    /// Id of the public key that verifies answers.
    pub wechatpay_public_key_id: String,
    /// That public key, SPKI PEM.
    pub wechatpay_public_key_pem: String,
    /// The file that holds the private key.
    pub private_key_file: PathBuf,
    /// The file that holds the public key.
    pub wechatpay_public_key_file: PathBuf,
}

impl fmt::Debug for SandboxKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxKeys")
            .field("brand_id", &self.brand_id)
            .field("certificate_serial_no", &self.certificate_serial_no)
            .field("wechatpay_public_key_id", &self.wechatpay_public_key_id)
            .finish_non_exhaustive()
    }
}

/// Both sides' keys, as the server uses them.
#[derive(Debug)]
pub(super) struct Keys {
    /// Verifies requests.
    pub brand: PublicKey,
    /// Signs answers.
    pub wechatpay: Arc<PrivateKey>,
    /// What clients get to see.
    pub public: SandboxKeys,
    /// Holds the files of a sandbox that lives in memory only.
    _folder: Option<TempDir>,
}

impl Keys {
    /// Keys kept in a folder, or for as long as the process lives.
    pub fn load(folder: Option<&Path>, brand_id: &str) -> Result<Self, SandboxError> {
        if let Some(folder) = folder {
            // Clients get to see the paths, and may run elsewhere.
            let folder =
                &path::absolute(folder).map_err(|error| SandboxError::file(folder, error))?;
            private_folder(folder).map_err(|error| SandboxError::file(folder, error))?;
            let brand = stored_key(&folder.join(BRAND_PRIVATE))?;
            let wechatpay = stored_key(&folder.join(WECHATPAY_PRIVATE))?;
            return Self::with(&brand, Arc::new(wechatpay), brand_id, folder, None);
        }
        let (brand, wechatpay) = keys_of_this_process()?;
        let folder = private_temporary_folder()
            .map_err(|error| SandboxError::file(&std::env::temp_dir(), error))?;
        let path = folder.path().to_owned();
        let text = brand.to_pem().map_err(|_| SandboxError::KeyNotMade)?;
        let file = path.join(BRAND_PRIVATE);
        write_private(&file, text.as_bytes()).map_err(|error| SandboxError::file(&file, error))?;
        Self::with(&brand, wechatpay, brand_id, &path, Some(folder))
    }

    fn with(
        brand: &PrivateKey,
        wechatpay: Arc<PrivateKey>,
        brand_id: &str,
        folder: &Path,
        holder: Option<TempDir>,
    ) -> Result<Self, SandboxError> {
        let not_made = |_| SandboxError::KeyNotMade;
        let brand_public = brand.public_key();
        let wechatpay_pem = wechatpay.public_key().to_pem().map_err(not_made)?;
        let public_file = folder.join(WECHATPAY_PUBLIC);
        if fs::read(&public_file).ok().as_deref() != Some(wechatpay_pem.as_bytes()) {
            write_private(&public_file, wechatpay_pem.as_bytes())
                .map_err(|error| SandboxError::file(&public_file, error))?;
        }
        // Derived from the keys, so that they need no file of their own and change with them.
        let serial = digest(&brand_public.to_pem().map_err(not_made)?);
        let serial = hex(&serial[..20]).to_uppercase();
        let key_id = digest(&wechatpay_pem);
        let key_id: String =
            key_id.iter().take(16).map(|byte| (b'0' + byte % 10) as char).collect();
        let public = SandboxKeys {
            brand_id: brand_id.to_owned(),
            certificate_serial_no: serial,
            private_key_pem: brand.to_pem().map_err(not_made)?,
            wechatpay_public_key_id: format!("PUB_KEY_ID_{key_id:0>34}"),
            wechatpay_public_key_pem: wechatpay_pem,
            private_key_file: folder.join(BRAND_PRIVATE),
            wechatpay_public_key_file: public_file,
        };
        Ok(Self { brand: brand_public, wechatpay, public, _folder: holder })
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Making two keys takes a while, so sandboxes that live in memory only share theirs.
fn keys_of_this_process() -> Result<(Arc<PrivateKey>, Arc<PrivateKey>), SandboxError> {
    static KEYS: OnceLock<(Arc<PrivateKey>, Arc<PrivateKey>)> = OnceLock::new();
    if let Some((brand, wechatpay)) = KEYS.get() {
        return Ok((Arc::clone(brand), Arc::clone(wechatpay)));
    }
    let generate = || PrivateKey::generate().map_err(|_| SandboxError::KeyNotMade);
    let made = (Arc::new(generate()?), Arc::new(generate()?));
    let (brand, wechatpay) = KEYS.get_or_init(|| made);
    Ok((Arc::clone(brand), Arc::clone(wechatpay)))
}

/// The key in a file, which is made if there is none.
fn stored_key(file: &Path) -> Result<PrivateKey, SandboxError> {
    match fs::read_to_string(file).map(Zeroizing::new) {
        Ok(text) => PrivateKey::from_pem(&text)
            .map_err(|source| SandboxError::Key { file: file.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = PrivateKey::generate().map_err(|_| SandboxError::KeyNotMade)?;
            let text = key.to_pem().map_err(|_| SandboxError::KeyNotMade)?;
            write_private(file, text.as_bytes())
                .map_err(|error| SandboxError::file(file, error))?;
            Ok(key)
        }
        Err(error) => Err(SandboxError::file(file, error)),
    }
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    // Temporary files are made for their owner alone.
    let mut temporary = NamedTempFile::new_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.persist(file)?;
    Ok(())
}

fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn private_temporary_folder() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("couponctl-sandbox-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir()
}
