//! For looking at how things stand: one attempt and no other, and what it shows whether it succeeds
//! or not. Connections, signing and verifying are those of every other request.

use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::header::HeaderMap;

use super::client::{ClientOptions, Credentials};
use super::endpoint;
use super::error::{ApiError, ClientError, ClockOffset};
use super::send::Host;
use super::shown::{WORD_CHARS, shown};
use super::signing::answer_message;
use super::verify;

/// Whether a host can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Host and port.
    pub host: String,
    /// The proxy that the connection goes through, as host and port.
    pub proxy: Option<String>,
    /// An answer of any kind, or why there is none.
    pub outcome: Result<Touched, ApiError>,
}

/// What any answer shows, believed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touched {
    /// This machine's clock against the answer's `Date`.
    pub date: Option<ClockOffset>,
    /// The same against its `Wechatpay-Timestamp`.
    pub signed_at: Option<ClockOffset>,
}

/// An answer with all that it shows about who signed it, error answers too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// How many stocks there are, if it says so, when the answer is believed; otherwise the error
    /// that a command would have met.
    pub result: Result<Option<u64>, ApiError>,
    /// Its times.
    pub touched: Touched,
    /// How it is signed; `None` when there is no answer, or no whole set of signature headers.
    pub signed: Option<Signed>,
}

/// The signature of an answer against the configured WeChat Pay public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The key that it names, fit for a terminal.
    pub key_id: String,
    /// Whether that is the configured one.
    pub names_our_key: bool,
    /// Whether it is of the configured key, whatever id it names and however old it is.
    pub is_of_our_key: bool,
    /// Whether it is one of WeChat Pay's probes, which begin `WECHATPAY/SIGNTEST/` and are never valid.
    pub is_probe: bool,
}

/// The fallback that a client with these options uses.
///
/// # Errors
/// Why it uses none.
pub fn fallback(options: &ClientOptions) -> Result<&str, &'static str> {
    let url = options.fallback_url.as_deref().ok_or("no fallback_url is set")?;
    let parse = |setting, url| endpoint::base_url(setting, url).ok();
    let both = parse("base_url", &options.base_url).zip(parse("fallback_url", url));
    match both.and_then(|(main, fallback)| endpoint::no_fallback(&main, &fallback)) {
        Some(why) => Err(why),
        None => Ok(url),
    }
}

/// Connects to a host and asks for nothing in particular, unsigned. Any answer will do.
///
/// # Errors
/// When requests must not go there, or TLS cannot be set up.
pub async fn reach(
    setting: &'static str,
    url: &str,
    timeout: Duration,
) -> Result<Reach, ClientError> {
    let base = endpoint::base_url(setting, url)?;
    let proxy = if endpoint::is_loopback(&base) { None } else { proxy_of(base.as_str()) };
    let host = Host::new(base, timeout, None)?;
    let outcome = host.touch(timeout).await;
    Ok(Reach { host: host.name().to_owned(), proxy, outcome })
}

/// The proxy that the HTTP client takes for a URL, without a user name and password.
fn proxy_of(url: &str) -> Option<String> {
    let proxy = Matcher::from_system().intercept(&url.parse().ok()?)?;
    let authority = proxy.uri().authority()?;
    let port = authority.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    Some(shown(&format!("{}{port}", authority.host()), WORD_CHARS))
}

/// The times of an answer, held against `now` in Unix seconds.
pub(super) fn times(headers: &HeaderMap, now: i64) -> Touched {
    let signed_at = headers.get("Wechatpay-Timestamp").and_then(|value| value.to_str().ok());
    let signed_at = signed_at.and_then(|value| value.parse::<i64>().ok());
    Touched {
        date: verify::clock(headers, now),
        signed_at: signed_at.map(|at| ClockOffset { ahead_seconds: now.saturating_sub(at) }),
    }
}

/// The signature of an answer, whatever its status.
pub(super) fn signature(
    headers: &HeaderMap,
    body: &[u8],
    credentials: &Credentials,
) -> Option<Signed> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (timestamp, nonce) = (text("Wechatpay-Timestamp")?, text("Wechatpay-Nonce")?);
    let (signature, key_id) = (text("Wechatpay-Signature")?, text("Wechatpay-Serial")?);
    let message = answer_message(timestamp, nonce, body);
    Some(Signed {
        key_id: shown(key_id, WORD_CHARS),
        names_our_key: key_id == credentials.wechatpay_public_key_id,
        is_of_our_key: credentials.wechatpay_public_key.verify(&message, signature),
        is_probe: signature.starts_with("WECHATPAY/SIGNTEST/"),
    })
}
