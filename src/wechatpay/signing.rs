//! Signing and verifying, both ways: RSASSA-PKCS1-v1_5 with SHA-256 over the lines that WeChat Pay
//! fixes. The client signs requests and verifies answers; the sandbox does the reverse.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::RngExt as _;
use rand::rngs::SysRng;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs1v15::{Signature, SigningKey, VerifyingKey};
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _};
use rsa::pkcs8::{EncodePublicKey as _, LineEnding};
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Verifier as _};
use rsa::traits::PublicKeyParts as _;
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use super::pem::Block;

/// The scheme that opens an `Authorization` header of a brand.
pub const SCHEME: &str = "WECHATPAY-BRAND-SHA256-RSA2048";
/// Length of a nonce.
const NONCE_CHARS: usize = 32;
/// Size of the keys that WeChat Pay issues.
const KEY_BITS: u32 = 2048;

/// Why a key could not be used. No variant holds any part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Nothing there.
    #[error("it is empty; it should be a PEM file that starts with `-----BEGIN {expected}-----`")]
    Empty {
        /// The PEM label that belongs here.
        expected: &'static str,
    },
    /// Not PEM.
    #[error("it is not PEM text; it should start with `-----BEGIN {expected}-----`")]
    NotPem {
        /// The PEM label that belongs here.
        expected: &'static str,
    },
    /// Behind a passphrase.
    #[error(
        "the key is encrypted with a passphrase, which a pipeline cannot type; decrypt it with \
         `openssl pkcs8 -topk8 -nocrypt -in KEY -out apiclient_key.pem`"
    )]
    Encrypted,
    /// A public key where the private key belongs.
    #[error(
        "this is a public key; the private key (apiclient_key.pem) belongs here: were the two files swapped?"
    )]
    PublicForPrivate,
    /// A private key where the public key belongs.
    #[error(
        "this is a private key; WeChat Pay's public key (pub_key.pem) belongs here: were the two files swapped?"
    )]
    PrivateForPublic,
    /// A certificate where a key belongs.
    #[error("this is a certificate; {expected} belongs here")]
    Certificate {
        /// The file that belongs here.
        expected: &'static str,
    },
    /// Some other PEM.
    #[error("this is PEM of the kind `{found}`; `{expected}` belongs here")]
    OtherPem {
        /// The label found.
        found: String,
        /// The PEM label that belongs here.
        expected: &'static str,
    },
    /// PEM of the right kind with broken content, or not RSA.
    #[error(
        "it does not hold a usable RSA key: the file is damaged, cut off, or of another algorithm"
    )]
    Broken,
    /// Too short to be safe or too long to be real.
    #[error("it holds an RSA key of {bits} bits; WeChat Pay uses {KEY_BITS}")]
    Size {
        /// Bits found.
        bits: u32,
    },
}

/// The brand API private key (`apiclient_key.pem`). Wiped on drop, and never shown.
pub struct PrivateKey(SigningKey<Sha256>);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// WeChat Pay's public key, which verifies answers.
#[derive(Clone)]
pub struct PublicKey(VerifyingKey<Sha256>);

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs): (&rsa::PublicKey, &rsa::PublicKey) =
            (self.0.as_ref(), other.0.as_ref());
        ours == theirs
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(…)")
    }
}

fn usable_size(bits: u32) -> Result<(), KeyError> {
    if bits == KEY_BITS { Ok(()) } else { Err(KeyError::Size { bits }) }
}

impl PrivateKey {
    /// Reads PKCS#8 or PKCS#1 PEM.
    ///
    /// # Errors
    /// When the text is anything but an unencrypted RSA private key of 2048 bits; the error says
    /// what it is instead.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        const EXPECTED: &str = "PRIVATE KEY";
        let Block { label, text: block } = Block::first(pem, EXPECTED)?;
        let key = match label.as_str() {
            "PRIVATE KEY" => rsa::PrivateKey::from_pkcs8_pem(&block).map_err(|_| KeyError::Broken),
            // A PKCS#1 key that is encrypted says so in a header line, and keeps its label.
            "RSA PRIVATE KEY" if block.contains("ENCRYPTED") => Err(KeyError::Encrypted),
            "RSA PRIVATE KEY" => {
                rsa::PrivateKey::from_pkcs1_pem(&block).map_err(|_| KeyError::Broken)
            }
            "ENCRYPTED PRIVATE KEY" => Err(KeyError::Encrypted),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(KeyError::PublicForPrivate),
            "CERTIFICATE" => Err(KeyError::Certificate {
                expected: "the private key that was made with it (apiclient_key.pem)",
            }),
            found => Err(KeyError::OtherPem { found: found.to_owned(), expected: EXPECTED }),
        }?;
        usable_size(key.n().bit_width())?;
        Ok(Self(SigningKey::new(key)))
    }

    /// Makes a new key, for the sandbox.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self, SigningError> {
        let key = rsa::PrivateKey::new(&mut SysRng, KEY_BITS as usize).map_err(|_| SigningError)?;
        Ok(Self(SigningKey::new(key)))
    }

    /// The key as PKCS#8 PEM, wiped when dropped; for keys that the sandbox made.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, SigningError> {
        self.0.to_pkcs8_pem(LineEnding::LF).map_err(|_| SigningError)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let key: &rsa::PrivateKey = self.0.as_ref();
        PublicKey(VerifyingKey::new(key.to_public_key()))
    }

    /// Signs a message, blinded against timing; base64.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn sign(&self, message: &[u8]) -> Result<String, SigningError> {
        let signature = self.0.try_sign_with_rng(&mut SysRng, message).map_err(|_| SigningError)?;
        Ok(BASE64.encode(signature.to_bytes()))
    }
}

/// A signature could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature could not be made: the operating system gave no random numbers")]
pub struct SigningError;

impl PublicKey {
    /// Reads SPKI PEM (`-----BEGIN PUBLIC KEY-----`).
    ///
    /// # Errors
    /// When the text is anything else; the error says what it is instead.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        const EXPECTED: &str = "PUBLIC KEY";
        let Block { label, text: block } = Block::first(pem, EXPECTED)?;
        let key = match label.as_str() {
            "PUBLIC KEY" => {
                rsa::PublicKey::from_public_key_pem(&block).map_err(|_| KeyError::Broken)
            }
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => {
                Err(KeyError::PrivateForPublic)
            }
            "CERTIFICATE" => Err(KeyError::Certificate {
                expected: "WeChat Pay's public key (pub_key.pem), which verifies answers,",
            }),
            found => Err(KeyError::OtherPem { found: found.to_owned(), expected: EXPECTED }),
        }?;
        usable_size(key.n().bit_width())?;
        Ok(Self(VerifyingKey::new(key)))
    }

    /// The key of a certificate: the bytes of its `SubjectPublicKeyInfo`. `None` when it is not an
    /// RSA key of the size that WeChat Pay uses.
    pub(super) fn from_spki_der(der: &[u8]) -> Option<Self> {
        let key = rsa::PublicKey::from_public_key_der(der).ok()?;
        usable_size(key.n().bit_width()).ok()?;
        Some(Self(VerifyingKey::new(key)))
    }

    /// The key as SPKI PEM.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn to_pem(&self) -> Result<String, SigningError> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(|_| SigningError)
    }

    /// Whether a base64 signature is of this key over this message. Anything that is not a
    /// signature at all (WeChat Pay's probes among them) is simply not one of this key.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &str) -> bool {
        BASE64
            .decode(signature)
            .ok()
            .and_then(|bytes| Signature::try_from(bytes.as_slice()).ok())
            .is_some_and(|signature| self.0.verify(message, &signature).is_ok())
    }
}

/// What a request's signature is taken of. `path_and_query` exactly as sent.
#[must_use]
pub fn request_message(
    method: &str,
    path_and_query: &str,
    timestamp: i64,
    nonce: &str,
    body: &[u8],
) -> Vec<u8> {
    let head = format!("{method}\n{path_and_query}\n{timestamp}\n{nonce}\n");
    [head.as_bytes(), body, b"\n"].concat()
}

/// What an answer's signature is taken of. `timestamp` exactly as in its header.
#[must_use]
pub fn answer_message(timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{timestamp}\n{nonce}\n");
    [head.as_bytes(), body, b"\n"].concat()
}

/// A fresh nonce: 32 random letters and digits.
#[must_use]
pub fn nonce() -> String {
    rand::rng().sample_iter(rand::distr::Alphanumeric).take(NONCE_CHARS).map(char::from).collect()
}

/// The `Authorization` header of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    /// The brand.
    pub brand_id: String,
    /// Random, fresh for each try.
    pub nonce_str: String,
    /// Base64 of the signature.
    pub signature: String,
    /// Unix seconds.
    pub timestamp: i64,
    /// Serial number of the brand API certificate.
    pub serial_no: String,
}

impl Authorization {
    /// Reads a header value; `None` when it is not of the form that WeChat Pay takes: one line,
    /// straight double quotes, commas without spaces, each part once.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = [None; 5];
        let names = ["brand_id", "nonce_str", "signature", "timestamp", "serial_no"];
        for part in header.strip_prefix(SCHEME)?.strip_prefix(' ')?.split(',') {
            let (name, value) = part.split_once('=')?;
            let slot = &mut parts[names.iter().position(|known| *known == name)?];
            let value = value.strip_prefix('"')?.strip_suffix('"')?;
            if slot.replace(value).is_some() {
                return None;
            }
        }
        let [brand_id, nonce_str, signature, timestamp, serial_no] = parts;
        Some(Self {
            brand_id: brand_id?.to_owned(),
            nonce_str: nonce_str?.to_owned(),
            signature: signature?.to_owned(),
            timestamp: timestamp?.parse().ok()?,
            serial_no: serial_no?.to_owned(),
        })
    }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SCHEME} brand_id=\"{}\",nonce_str=\"{}\",signature=\"{}\",timestamp=\"{}\",serial_no=\"{}\"",
            self.brand_id, self.nonce_str, self.signature, self.timestamp, self.serial_no
        )
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization")
            .field("brand_id", &self.brand_id)
            .field("timestamp", &self.timestamp)
            .field("serial_no", &self.serial_no)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_signs_its_public_half_verifies_and_nothing_else() {
        let key = PrivateKey::generate().unwrap();
        let signature = key.sign(b"message").unwrap();
        assert!(key.public_key().verify(b"message", &signature));
        assert!(!key.public_key().verify(b"massage", &signature));
        assert!(!key.public_key().verify(b"message", "WECHATPAY/SIGNTEST/abc"));
        assert!(!PrivateKey::generate().unwrap().public_key().verify(b"message", &signature));
    }

    #[test]
    fn an_authorization_header_survives_writing_and_reading() {
        let header = Authorization {
            brand_id: "120344".into(),
            nonce_str: nonce(),
            signature: "c2ln+/=".into(),
            timestamp: 1_767_225_600,
            serial_no: "1DDE".into(),
        };
        let text = header.to_string();
        assert_eq!(Authorization::parse(&text), Some(header));
        for broken in [
            text.replace(',', ", "),
            text.replace('"', "“"),
            text.replace("BRAND-", ""),
            format!("{text},serial_no=\"2\""),
            text.replace("timestamp", "time"),
        ] {
            assert_eq!(Authorization::parse(&broken), None, "{broken}");
        }
    }
}
