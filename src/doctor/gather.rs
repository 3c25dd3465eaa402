//! Collects the facts: reads files, connects to the hosts, and makes one signed read. Each attempt is
//! made once and ends in time.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::facts::{
    CertificateFacts, Facts, Fallback, PrivateKeyFacts, ProductCoupon, PublicKeyFacts, Rights,
    Setup, Site, SiteError, Trouble, sentence,
};
use crate::config::{Config, ConfigError, FILE_NAME, KeyText};
use crate::desired;
use crate::lockfile::hold;
use crate::wechatpay::certificate::Certificate;
use crate::wechatpay::client::{Client, ClientOptions, Credentials};
use crate::wechatpay::error::{ApiError, ClientError};
use crate::wechatpay::examine::{self, Examined};
use crate::wechatpay::signing::{PrivateKey, PublicKey};

/// No attempt takes longer than this, whatever `api.timeout_seconds` allows.
const LONGEST: Duration = Duration::from_secs(10);
/// The name under which the certificate is handed out, beside `apiclient_key.pem`.
const CERTIFICATE_FILE: &str = "apiclient_cert.pem";

/// What to look at beyond the settings.
#[derive(Debug, Clone, Default)]
pub struct Extra {
    /// `--certificate`.
    pub certificate: Option<PathBuf>,
    /// `--product-coupon`.
    pub product_coupon: Option<String>,
    /// The lock, which knows product coupons.
    pub lock: PathBuf,
}

/// All that there is to know when the settings cannot be read.
#[must_use]
pub fn without_settings(error: &ConfigError) -> Facts {
    Facts { now: Timestamp::now().as_second(), setup: Err(Trouble::of(error)) }
}

/// Collects all facts of a workspace. Files are read before anything is waited for, and once each:
/// a key may come through a pipe.
pub async fn gather(config: &Config, extra: &Extra) -> Facts {
    let timeout = config.api.timeout.min(LONGEST);
    let private = config.private_key();
    let public = config.wechatpay_public_key();
    let private_key = private.as_ref().ok().and_then(|text| text.private_key().ok());
    let public_key = public.as_ref().ok().and_then(|text| text.public_key().ok());
    let serial_no = config.certificate_serial_no().map_err(|error| Trouble::of(&error));
    let public_key_id = config.wechatpay_public_key_id().map_err(|error| Trouble::of(&error));
    let rights = rights(config, private.as_ref().ok());
    let private_key_facts = private_key_facts(private);
    let public_key_facts = public_key_facts(public, public_key.as_ref(), private_key.as_ref());
    let certificate = certificate(config, extra, private_key.as_ref());
    let product_coupon = product_coupon(config, extra);
    let (base, fallback) = tokio::join!(
        site("base_url", &config.api.base_url, timeout),
        fallback(&config.api, timeout)
    );
    let mut setup = Setup {
        place: config.root.join(FILE_NAME).display().to_string(),
        brand_id: config.brand_id.clone(),
        base,
        fallback,
        serial_no,
        private_key: private_key_facts,
        rights,
        public_key_id,
        public_key: public_key_facts,
        certificate,
        product_coupon,
        read: None,
    };
    if let (Some(private), Some(public)) = (private_key, public_key) {
        setup.read = read(config, &setup, (private, public), timeout).await;
    }
    Facts { now: Timestamp::now().as_second(), setup: Ok(setup) }
}

async fn site(setting: &'static str, url: &str, timeout: Duration) -> Site {
    let reach = examine::reach(setting, url, timeout).await.map_err(|error| match error {
        ClientError::Setup(_) => SiteError::Setup(error.to_string()),
        error => SiteError::Url(error.to_string()),
    });
    Site { setting, url: url.trim().to_owned(), reach }
}

async fn fallback(api: &ClientOptions, timeout: Duration) -> Fallback {
    match examine::fallback(api) {
        Ok(url) => Fallback::Site(site("fallback_url", url, timeout).await),
        Err(why) => Fallback::Unused(why),
    }
}

fn rights(config: &Config, text: Option<&KeyText>) -> Rights {
    match text {
        _ if cfg!(not(unix)) => Rights::Unknown("this system has no such rights"),
        _ if config.private_key_file().is_none() => Rights::Unknown("the key is in no file"),
        None => Rights::Unknown("the key file cannot be read"),
        Some(KeyText { warning: Some(warning), .. }) => Rights::Others(warning.clone()),
        Some(_) => Rights::OwnerOnly,
    }
}

fn private_key_facts(text: Result<KeyText, ConfigError>) -> Result<PrivateKeyFacts, Trouble> {
    let text = text.map_err(|error| Trouble::of(&error))?;
    text.private_key().map_err(|error| {
        let mut trouble = Trouble::of(&error);
        trouble.advice.push(
            "The key was made together with the certificate, as apiclient_key.pem; one that is \
             lost takes a new certificate, from the brand console under API security."
                .to_owned(),
        );
        trouble
    })?;
    let label = text.label().unwrap_or_default();
    Ok(PrivateKeyFacts { place: text.place, label })
}

fn public_key_facts(
    text: Result<KeyText, ConfigError>,
    key: Option<&PublicKey>,
    own: Option<&PrivateKey>,
) -> Result<PublicKeyFacts, Trouble> {
    let text = text.map_err(|error| Trouble::of(&error))?;
    text.public_key().map_err(|error| {
        let mut trouble = Trouble::of(&error);
        trouble.advice.push(
            "Download WeChat Pay's public key (pub_key.pem) in the brand console, under API \
             security."
                .to_owned(),
        );
        trouble
    })?;
    let is_own = key.zip(own).is_some_and(|(key, own)| *key == own.public_key());
    Ok(PublicKeyFacts { place: text.place, is_own })
}

fn certificate(config: &Config, extra: &Extra, key: Option<&PrivateKey>) -> CertificateFacts {
    let beside = || {
        let file = config.private_key_file()?.with_file_name(CERTIFICATE_FILE);
        file.is_file().then_some(file)
    };
    let Some(file) = extra.certificate.clone().or_else(beside) else {
        return CertificateFacts::Absent;
    };
    let text = match crate::config::read_text(&file, "a certificate") {
        Ok(text) => text,
        Err(error) => return CertificateFacts::Unreadable(Trouble::of(&error)),
    };
    let place = file.display().to_string();
    match Certificate::from_pem(&text) {
        Ok(certificate) => {
            let is_of_private_key = key.map(|key| {
                certificate.public_key.as_ref().is_some_and(|ours| *ours == key.public_key())
            });
            CertificateFacts::Read { place, certificate, is_of_private_key }
        }
        Err(error) => CertificateFacts::Unreadable(Trouble {
            what: format!("{place} cannot be used"),
            advice: vec![sentence(&error.to_string())],
        }),
    }
}

/// The one that is named, or the first of the lock, or that of the first stock file.
fn product_coupon(config: &Config, extra: &Extra) -> Option<ProductCoupon> {
    if let Some(id) = &extra.product_coupon {
        return Some(ProductCoupon { id: id.clone(), from: "--product-coupon".to_owned() });
    }
    // A lock or stock file that cannot be read is for other commands to complain about.
    let view = hold::view(&extra.lock, &config.brand_id).ok();
    let locked = view.and_then(|view| {
        let (name, entry) = view.lock.stocks.iter().next()?;
        let from = format!("the lock's `{name}`");
        Some(ProductCoupon { id: entry.product_coupon_id.clone(), from })
    });
    locked.or_else(|| {
        let loaded = desired::load(&config.root, &config.stocks, Timestamp::now()).ok()?;
        let first = loaded.stocks.into_iter().next()?;
        Some(ProductCoupon { id: first.product_coupon_id.clone(), from: first.file.to_string() })
    })
}

/// One signed read, if there is all that it takes.
async fn read(
    config: &Config,
    setup: &Setup,
    (private_key, wechatpay_public_key): (PrivateKey, PublicKey),
    timeout: Duration,
) -> Option<Result<Examined, ApiError>> {
    setup.base.reach.as_ref().ok()?.outcome.as_ref().ok()?;
    let coupon = setup.product_coupon.as_ref()?;
    let credentials = Credentials {
        brand_id: setup.brand_id.clone(),
        certificate_serial_no: setup.serial_no.clone().ok()?,
        private_key,
        wechatpay_public_key_id: setup.public_key_id.clone().ok()?,
        wechatpay_public_key,
    };
    let options = ClientOptions { fallback_url: None, timeout, ..config.api.clone() };
    let client = Client::new(credentials, options).ok()?;
    Some(client.examine(&coupon.id).await)
}
