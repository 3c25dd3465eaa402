//! Key files of every kind that ends up in the wrong place.

use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::pkcs1::EncodeRsaPublicKey as _;
use rsa::pkcs8::{DecodePrivateKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;

use super::super::signing::{KeyError, PrivateKey, PublicKey};
use super::{KEYS, brand_key};

fn pkcs1() -> String {
    let key = rsa::PrivateKey::from_pkcs8_pem(&KEYS.0).unwrap();
    key.to_pkcs1_pem(LineEnding::LF).unwrap().to_string()
}

fn public() -> String {
    brand_key().public_key().to_pem().unwrap()
}

/// The same PEM under another label.
fn labelled(pem: &str, from: &str, to: &str) -> String {
    pem.replace(&format!("-----BEGIN {from}-----"), &format!("-----BEGIN {to}-----"))
        .replace(&format!("-----END {from}-----"), &format!("-----END {to}-----"))
}

/// A key of another algorithm, as `openssl genpkey -algorithm ed25519` and its `-pubout` write one.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";

#[test]
fn a_private_key_reads_in_both_forms_and_through_what_editors_and_tools_do_to_files() {
    for pem in [
        KEYS.0.clone(),
        pkcs1(),
        format!("\u{feff}{}", KEYS.0),
        KEYS.0.replace('\n', "\r\n"),
        format!(
            "Bag Attributes\n    friendlyName: brand\nKey Attributes: <No Attributes>\n{}",
            KEYS.0
        ),
        format!("{}\n\n", KEYS.0.trim_end()),
        KEYS.0.replace('\n', "\n    "),
        KEYS.0.replace('\n', "\\n"),
        format!("{}{}", KEYS.0, public()),
    ] {
        let signature = PrivateKey::from_pem(&pem).unwrap().sign(b"message").unwrap();
        assert!(brand_key().public_key().verify(b"message", &signature));
    }
}

#[test]
fn a_public_key_reads_through_what_editors_and_tools_do_to_files() {
    let signature = brand_key().sign(b"message").unwrap();
    for pem in [
        public(),
        format!("\u{feff}{}", public()),
        public().replace('\n', "\r\n"),
        format!("# from the brand console\n{}", public()),
    ] {
        assert!(PublicKey::from_pem(&pem).unwrap().verify(b"message", &signature));
    }
}

#[test]
fn a_wrong_file_in_the_place_of_the_private_key_is_named() {
    let private = |pem: &str| PrivateKey::from_pem(pem).unwrap_err();
    let expected = "PRIVATE KEY";
    assert_eq!(private(""), KeyError::Empty { expected });
    assert_eq!(private("\u{feff} \r\n"), KeyError::Empty { expected });
    assert_eq!(private("hello"), KeyError::NotPem { expected });
    assert_eq!(private(&public()), KeyError::PublicForPrivate);
    let encrypted = labelled(&KEYS.0, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(private(&encrypted), KeyError::Encrypted);
    let header = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
    let encrypted = pkcs1().replace("-----BEGIN RSA PRIVATE KEY-----\n", header);
    assert_eq!(private(&encrypted), KeyError::Encrypted);
    let certificate = labelled(&KEYS.0, "PRIVATE KEY", "CERTIFICATE");
    assert!(matches!(private(&certificate), KeyError::Certificate { .. }));
    assert_eq!(private(ED25519), KeyError::Broken);
    let other = labelled(&KEYS.0, "PRIVATE KEY", "EC PRIVATE KEY");
    assert_eq!(private(&other), KeyError::OtherPem { found: "EC PRIVATE KEY".into(), expected });
    for end in [40, KEYS.0.len() / 2, KEYS.0.len() - 10] {
        assert_eq!(private(&KEYS.0[..end]), KeyError::Broken, "cut off at {end}");
    }
    let small = rsa::PrivateKey::new(&mut rand::rngs::SysRng, 1024).unwrap();
    let small = small.to_pkcs1_pem(LineEnding::LF).unwrap();
    assert_eq!(private(&small), KeyError::Size { bits: 1024 });
}

#[test]
fn a_wrong_file_in_the_place_of_the_public_key_is_named() {
    let wrong = |pem: &str| PublicKey::from_pem(pem).unwrap_err();
    let expected = "PUBLIC KEY";
    assert_eq!(wrong(" "), KeyError::Empty { expected });
    assert_eq!(wrong("{}"), KeyError::NotPem { expected });
    assert_eq!(wrong(&KEYS.0), KeyError::PrivateForPublic);
    assert_eq!(wrong(&pkcs1()), KeyError::PrivateForPublic);
    let certificate = labelled(&public(), "PUBLIC KEY", "CERTIFICATE");
    assert!(matches!(wrong(&certificate), KeyError::Certificate { .. }));
    assert_eq!(wrong(ED25519_PUBLIC), KeyError::Broken);
    assert_eq!(wrong(&public()[..public().len() / 2]), KeyError::Broken);
    let key = rsa::PrivateKey::from_pkcs8_pem(&KEYS.0).unwrap().to_public_key();
    let pkcs1 = key.to_pkcs1_pem(LineEnding::LF).unwrap();
    assert_eq!(wrong(&pkcs1), KeyError::OtherPem { found: "RSA PUBLIC KEY".into(), expected });
}

#[test]
fn neither_debug_nor_an_error_shows_any_part_of_a_key() {
    let broken = labelled(&KEYS.0, "PRIVATE KEY", "RSA PRIVATE KEY");
    let inside_out = format!("-----BEGIN {}-----", KEYS.0.lines().nth(3).unwrap());
    let mut texts = vec![format!("{:?} {:?}", brand_key(), brand_key().public_key())];
    for pem in [&broken, &inside_out, &KEYS.0[..600], &KEYS.0.replace('\n', "")] {
        if let Err(error) = PrivateKey::from_pem(pem) {
            texts.push(format!("{error:?} {error}"));
        }
        texts.push(format!("{:?}", PublicKey::from_pem(pem).unwrap_err()));
    }
    let modulus = rsa::PrivateKey::from_pkcs8_pem(&KEYS.0).unwrap().n().to_string();
    for text in texts {
        for line in KEYS.0.lines().filter(|line| !line.starts_with("-----")) {
            assert!(!text.contains(&line[..line.len().min(16)]), "{text}");
        }
        assert!(!text.contains(&modulus[..16]), "{text}");
    }
}
