//! Writes down what each request's signature is of, so that `openssl` can check it without this program:
//! `openssl dgst -sha256 -verify brand_public_key.pem -signature 1.signature 1.message`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// A folder of `N.message` and `N.signature`, N from 1 in order of arrival, and the brand's public key.
/// Files of an earlier run are overwritten.
pub(super) struct Recorder {
    folder: PathBuf,
    count: AtomicU64,
}

impl Recorder {
    pub fn new(folder: PathBuf, brand_public_key_pem: &str) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("brand_public_key.pem"), brand_public_key_pem)?;
        Ok(Self { folder, count: AtomicU64::new(0) })
    }

    /// Records a request before it is judged, so that a refused signature can be looked at too.
    pub fn record(&self, message: &[u8], signature: &str) -> io::Result<()> {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let signature = BASE64.decode(signature).unwrap_or_default();
        fs::write(self.folder.join(format!("{number}.message")), message)?;
        fs::write(self.folder.join(format!("{number}.signature")), signature)
    }
}
