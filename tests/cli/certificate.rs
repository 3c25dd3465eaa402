//! Keys and certificates made for a test, and a server whose certificate nobody trusts.

use std::net::TcpListener;
use std::str::FromStr as _;
use std::sync::Arc;

use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::rand_core::UnwrapErr;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::Sha256;
use x509_cert::builder::profile::cabf::Root;
use x509_cert::builder::{Builder as _, CertificateBuilder};
use x509_cert::der::{Encode as _, EncodePem as _};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfo;
use x509_cert::time::{Time, Validity};

/// A key pair.
pub struct Key(rsa::PrivateKey);

impl Key {
    pub fn new() -> Self {
        let mut random = UnwrapErr(rand::rngs::SysRng);
        Self(rsa::PrivateKey::new(&mut random, 2048).unwrap())
    }

    pub fn from_pem(pem: &str) -> Self {
        Self(rsa::PrivateKey::from_pkcs8_pem(pem).unwrap())
    }

    pub fn private_pem(&self) -> String {
        self.0.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    }

    pub fn public_pem(&self) -> String {
        self.0.to_public_key().to_public_key_pem(LineEnding::LF).unwrap()
    }

    /// A certificate for this key, signed with it.
    fn certificate(&self, serial_no: &str, end: &str) -> x509_cert::Certificate {
        let bytes: Vec<u8> = (0..serial_no.len() / 2)
            .map(|at| u8::from_str_radix(&serial_no[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let spki = SubjectPublicKeyInfo::from_key(&self.0.to_public_key()).unwrap();
        let time = |text: &str| {
            let seconds = text.parse::<jiff::Timestamp>().unwrap().as_second();
            let date =
                std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds.unsigned_abs());
            Time::try_from(date).unwrap()
        };
        let validity = Validity::new(time("2020-01-01T00:00:00Z"), time(end));
        let profile = Root::new(false, Name::from_str("CN=test,O=test,C=CN").unwrap()).unwrap();
        let serial_no = SerialNumber::new(&bytes).unwrap();
        let builder = CertificateBuilder::new(profile, serial_no, validity, spki).unwrap();
        builder.build(&SigningKey::<Sha256>::new(self.0.clone())).unwrap()
    }

    pub fn certificate_pem(&self, serial_no: &str, end: &str) -> String {
        self.certificate(serial_no, end).to_pem(LineEnding::LF).unwrap()
    }
}

/// The end of a certificate that stays valid.
pub const LATER: &str = "2099-01-01T00:00:00Z";

/// A TLS server with a certificate that it made itself. Its address.
pub fn that_nobody_trusts() -> String {
    let key = Key::new();
    let certificate = CertificateDer::from(key.certificate("0A", LATER).to_der().unwrap());
    let private = key.0.to_pkcs8_der().unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(private.as_bytes().to_vec()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        }
    });
    format!("https://{address}")
}
