//! The client: signs each attempt anew, keeps the pace, retries the same bytes, and believes nothing
//! that does not verify.

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, Url, redirect};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::entity::StockEntity;
use super::error::{ApiError, ErrorKind, Refusal, TransportSort};
use super::pace::Pace;
use super::retry::{Attempt, Host, Route, Waits};
use super::signing::{self, Authorization, PrivateKey, PublicKey, SigningError};
use super::verify;

/// Largest answer that is read; a page of 50 stocks has well under 200 KiB.
const MOST_BYTES: usize = 1 << 20;
/// Largest page of *list stocks*.
const PAGE_SIZE: usize = 50;
/// Pages of a product coupon at most: expired stocks do not count among its 200, so there may be many.
const MOST_PAGES: usize = 1000;
/// What a path segment may hold as it is (RFC 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who the brand is, to the API.
#[derive(Debug)]
pub struct Credentials {
    /// The brand.
    pub brand_id: String,
    /// Serial number of the brand API certificate, hex in upper case.
    pub certificate_serial_no: String,
    /// The key that belongs to the certificate.
    pub private_key: PrivateKey,
    /// Id of WeChat Pay's public key.
    pub wechatpay_public_key_id: String,
    /// WeChat Pay's public key.
    pub wechatpay_public_key: PublicKey,
}

/// Where requests go, and how fast and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// Scheme and host, with a path where a gateway needs one.
    pub base_url: String,
    /// Asked when the main host is in trouble.
    pub fallback_url: Option<String>,
    /// Shared by everything that goes through this client and its clones.
    pub requests_per_second: u32,
    /// One attempt.
    pub timeout: Duration,
    /// One call, first try included.
    pub max_attempts: u32,
    /// One call, in all.
    pub retry: Duration,
    /// The first wait before a retry, at most.
    pub first_delay: Duration,
}

/// Why a client could not be made.
#[derive(Debug, Clone, Error)]
pub enum ClientError {
    /// Not a URL that requests may go to.
    #[error("`{url}` cannot be used as the API's address: {why}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The HTTP library could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

/// A verified answer.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What it says.
    pub value: T,
    /// For WeChat Pay's support.
    pub request_id: Option<String>,
}

/// An item of *list stocks*. One that this version cannot read does not hide the others.
#[derive(Debug, Clone)]
pub enum ListedStock {
    /// A stock.
    Read(Box<StockEntity>),
    /// Something else, such as a stock of a bundle.
    Unread {
        /// Its id, where it has one.
        stock_id: Option<String>,
    },
}

/// Calls the API. Cheap to clone; clones share pace, route and stop.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    credentials: Credentials,
    options: ClientOptions,
    main: Target,
    fallback: Option<Target>,
    pace: Pace,
    route: Route,
    stop: watch::Sender<bool>,
}

/// A host with the connections to it.
struct Target {
    base: Url,
    http: reqwest::Client,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("credentials", &self.credentials)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// One call, the same on every attempt.
struct Call<'a> {
    method: Method,
    /// Path with query, below the base, percent-encoded.
    path: String,
    body: Option<&'a str>,
    on_retry: &'a (dyn Fn(&Attempt) + Send + Sync),
}

impl Target {
    fn new(text: &str, timeout: Duration) -> Result<Self, ClientError> {
        let base = base_url(text)?;
        let local = is_loopback(&base);
        // Fails only when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("couponctl/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(timeout)
            .timeout(timeout);
        if local {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ClientError::Setup(chain(&error)))?;
        Ok(Self { base, http })
    }
}

/// Takes only addresses that a request may safely go to.
fn base_url(text: &str) -> Result<Url, ClientError> {
    let refuse = |why| ClientError::Url { url: crate::plain::plain(text).into_owned(), why };
    let url = Url::parse(text)
        .map_err(|_| refuse("it is not a URL such as https://api.mch.weixin.qq.com"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ClientError::Url {
            url: "(hidden)".to_owned(),
            why: "it holds a user name or password, which the API does not use",
        });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has a query or a fragment"));
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(refuse("http:// is only for a sandbox on this machine; use https://")),
        _ => Err(refuse("it does not start with https://")),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error with what caused it: the outer text alone rarely says what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

fn segment(id: &str) -> Result<String, ErrorKind> {
    match id {
        // These would walk up the path, encoded or not.
        "" | "." | ".." => {
            Err(ErrorKind::Request(format!("`{id}` is no id of a product coupon or stock")))
        }
        _ => Ok(utf8_percent_encode(id, SEGMENT).to_string()),
    }
}

fn nobody(_: &Attempt) {}

impl Client {
    /// Sets a client up. Nothing goes out yet.
    ///
    /// # Errors
    /// When an address cannot be used, `http://` to another machine included.
    pub fn new(credentials: Credentials, options: ClientOptions) -> Result<Self, ClientError> {
        let main = Target::new(&options.base_url, options.timeout)?;
        let fallback = options.fallback_url.as_deref();
        let fallback = fallback.map(|url| Target::new(url, options.timeout)).transpose()?;
        Ok(Self(Arc::new(Inner {
            pace: Pace::new(options.requests_per_second),
            route: Route::new(fallback.is_some()),
            stop: watch::Sender::new(false),
            credentials,
            options,
            main,
            fallback,
        })))
    }

    /// Lets no further request go out; those in flight finish or time out.
    pub fn stop(&self) {
        self.0.stop.send_replace(true);
    }

    /// Whether the client was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.stop.borrow()
    }

    /// *Add stock*. The body goes out byte for byte, on every attempt.
    ///
    /// # Errors
    /// When no attempt brought a verified stock entity.
    pub async fn add_stock(
        &self,
        product_coupon_id: &str,
        body: &str,
        on_retry: &(dyn Fn(&Attempt) + Send + Sync),
    ) -> Result<Answer<StockEntity>, ApiError> {
        let path = stocks_path(product_coupon_id);
        self.call(Method::POST, path, Some(body), on_retry, entity).await
    }

    /// *Get stock*.
    ///
    /// # Errors
    /// When no attempt brought a verified stock entity.
    pub async fn get_stock(
        &self,
        product_coupon_id: &str,
        stock_id: &str,
    ) -> Result<Answer<StockEntity>, ApiError> {
        let path = stocks_path(product_coupon_id)
            .and_then(|path| Ok(format!("{path}/{}", segment(stock_id)?)));
        self.call(Method::GET, path, None, &nobody, entity).await
    }

    /// *List stocks*, all pages.
    ///
    /// # Errors
    /// When a page could not be had, or the pages have no end.
    pub async fn list_stocks(
        &self,
        product_coupon_id: &str,
    ) -> Result<Answer<Vec<ListedStock>>, ApiError> {
        let mut stocks = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let path = stocks_path(product_coupon_id).map(|path| {
                let mut path = format!("{path}?page_size={PAGE_SIZE}");
                if let Some(token) = &token {
                    path.push_str("&page_token=");
                    path.extend(utf8_percent_encode(token, SEGMENT));
                }
                path
            });
            let answer = self.call(Method::GET, path, None, &nobody, page).await?;
            let (items, next) = answer.value;
            stocks.extend(items);
            match next {
                None => return Ok(Answer { value: stocks, request_id: answer.request_id }),
                Some(next) if !seen.insert(next.clone()) => break,
                Some(next) => token = Some(next),
            }
        }
        Err(ApiError {
            kind: ErrorKind::Unreadable {
                why: "the list of stocks has no end: a page leads back to an earlier one"
                    .to_owned(),
                request_id: None,
            },
            attempts: 1,
            elapsed: Duration::ZERO,
            in_doubt: false,
        })
    }

    async fn call<T>(
        &self,
        method: Method,
        path: Result<String, ErrorKind>,
        body: Option<&str>,
        on_retry: &(dyn Fn(&Attempt) + Send + Sync),
        read: impl Fn(Value) -> Result<T, String>,
    ) -> Result<Answer<T>, ApiError> {
        let never_sent =
            |kind| ApiError { kind, attempts: 0, elapsed: Duration::ZERO, in_doubt: false };
        let call = Call { method, path: path.map_err(never_sent)?, body, on_retry };
        let (value, request_id) = self.0.attempts(&call).await?;
        match read(value) {
            Ok(value) => Ok(Answer { value, request_id }),
            Err(why) => Err(ApiError {
                kind: ErrorKind::Unreadable { why, request_id },
                attempts: 1,
                elapsed: Duration::ZERO,
                in_doubt: true,
            }),
        }
    }
}

fn stocks_path(product_coupon_id: &str) -> Result<String, ErrorKind> {
    let coupon = segment(product_coupon_id)?;
    Ok(format!("/brand/marketing/product-coupon/product-coupons/{coupon}/stocks"))
}

/// A stock entity. An explicit null means the same as no field.
fn entity<T: DeserializeOwned>(mut value: Value) -> Result<T, String> {
    drop_nulls(&mut value);
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn page(mut value: Value) -> Result<(Vec<ListedStock>, Option<String>), String> {
    let items = match value.get_mut("stock_list").map(Value::take) {
        Some(Value::Array(items)) => items,
        // A page without stocks may leave the list out.
        None | Some(Value::Null) => Vec::new(),
        Some(_) => return Err("`stock_list` is no list".to_owned()),
    };
    let stocks = items
        .into_iter()
        .map(|item| {
            let stock_id = item.get("stock_id").and_then(Value::as_str).map(str::to_owned);
            match entity(item) {
                Ok(stock) => ListedStock::Read(stock),
                Err(_) => ListedStock::Unread { stock_id },
            }
        })
        .collect();
    let next = value.get("next_page_token").and_then(Value::as_str).filter(|next| !next.is_empty());
    Ok((stocks, next.map(str::to_owned)))
}

impl Inner {
    /// Attempts a call until an answer verifies, or it makes no sense to go on.
    async fn attempts(&self, call: &Call<'_>) -> Result<(Value, Option<String>), ApiError> {
        let mut stop = self.stop.subscribe();
        let mut waits = Waits::new(self.options.first_delay);
        let mut begin = None;
        let mut attempts = 0;
        let mut in_doubt = false;
        loop {
            let stopped = tokio::select! {
                biased;
                _ = stop.wait_for(|stopped| *stopped) => true,
                () = self.pace.turn() => false,
            };
            let begun: Instant = *begin.get_or_insert_with(Instant::now);
            let fail =
                |kind, in_doubt| ApiError { kind, attempts, elapsed: begun.elapsed(), in_doubt };
            if stopped {
                return Err(fail(ErrorKind::Stopped, in_doubt));
            }
            attempts += 1;
            let host = if self.fallback.is_some() { self.route.host() } else { Host::Main };
            let result = self.attempt(call, host, attempts).await;
            let kind = match result {
                Ok(value) => {
                    self.route.learn(host, false);
                    return Ok(value);
                }
                Err(kind) => kind,
            };
            self.route.learn(host, kind.is_host_trouble());
            in_doubt |= kind.leaves_doubt();
            let fail = |kind| ApiError { kind, attempts, elapsed: begun.elapsed(), in_doubt };
            let asked = match &kind {
                ErrorKind::Refused(refusal) => refusal.retry_after,
                _ => None,
            };
            let wait = waits.next(asked);
            let late = begun.elapsed() + wait >= self.options.retry;
            if !kind.is_retryable() || attempts >= self.options.max_attempts || late {
                return Err(fail(kind));
            }
            if matches!(&kind, ErrorKind::Refused(refusal) if refusal.status == 429) {
                self.pace.pause(wait);
            }
            tracing::debug!(attempt = attempts, error = %kind, wait_ms = wait.as_millis(), "retry");
            (call.on_retry)(&Attempt { number: attempts, error: kind.clone(), wait });
            tokio::select! {
                biased;
                // What the last attempt failed with says more than that the run was stopped.
                _ = stop.wait_for(|stopped| *stopped) => return Err(fail(kind)),
                () = sleep(wait) => {}
            }
        }
    }

    /// One attempt: signed anew, and its answer verified.
    async fn attempt(
        &self,
        call: &Call<'_>,
        host: Host,
        number: u32,
    ) -> Result<(Value, Option<String>), ErrorKind> {
        let target = match (host, &self.fallback) {
            (Host::Fallback, Some(fallback)) => fallback,
            _ => &self.main,
        };
        let base = target.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}{}", call.path)).map_err(|error| {
            ErrorKind::Request(format!("no URL can be made of the ids: {error}"))
        })?;
        let authorization = self
            .authorization(call, &url)
            .map_err(|error| ErrorKind::Request(error.to_string()))?;
        let mut request = target
            .http
            .request(call.method.clone(), url)
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, authorization.to_string())
            .header("Wechatpay-Serial", &self.credentials.wechatpay_public_key_id);
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
        }
        let sent = Instant::now();
        let result = self.exchange(request, target).await;
        let elapsed_ms = sent.elapsed().as_millis();
        let path = call.path.as_str();
        match &result {
            Ok((_, status, request_id)) => tracing::debug!(
                method = %call.method, path, attempt = number, status, elapsed_ms, request_id, "answer"
            ),
            Err(error) => tracing::debug!(
                method = %call.method, path, attempt = number, elapsed_ms, %error, "no good answer"
            ),
        }
        result.map(|(value, _, request_id)| (value, request_id))
    }

    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        target: &Target,
    ) -> Result<(Value, u16, Option<String>), ErrorKind> {
        let host = || target.base.host_str().unwrap_or_default().to_owned();
        let transport = |error: &reqwest::Error| transport(error, host());
        let mut response = request.send().await.map_err(|error| transport(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
            if body.len() + chunk.len() > MOST_BYTES {
                let message = format!("more than {MOST_BYTES} bytes");
                return Err(ErrorKind::Transport {
                    sort: TransportSort::TooLarge,
                    message,
                    host: host(),
                });
            }
            body.extend_from_slice(&chunk);
        }
        let (status, headers) = (response.status().as_u16(), response.headers());
        let now = Timestamp::now();
        if !response.status().is_success() {
            return Err(ErrorKind::Refused(Refusal::read(status, headers, &body, now).into()));
        }
        let request_id = headers.get("Request-ID").and_then(|value| value.to_str().ok());
        let request_id = request_id.map(|id| crate::plain::plain(id).into_owned());
        let (key_id, key) =
            (&self.credentials.wechatpay_public_key_id, &self.credentials.wechatpay_public_key);
        if let Err(why) = verify::verify(headers, &body, key_id, key, now) {
            return Err(ErrorKind::Unverified { why, request_id });
        }
        match serde_json::from_slice(&body) {
            Ok(value) => Ok((value, status, request_id)),
            Err(error) => {
                let why = format!("it is not JSON ({error})");
                Err(ErrorKind::Unreadable { why, request_id })
            }
        }
    }

    fn authorization(&self, call: &Call<'_>, url: &Url) -> Result<Authorization, SigningError> {
        let timestamp = Timestamp::now().as_second();
        let nonce = signing::nonce();
        // As it goes out: what the URL type normalised is what is signed.
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let body = call.body.unwrap_or_default().as_bytes();
        let message = signing::request_message(
            call.method.as_str(),
            &path_and_query,
            timestamp,
            &nonce,
            body,
        );
        Ok(Authorization {
            brand_id: self.credentials.brand_id.clone(),
            nonce_str: nonce,
            signature: self.credentials.private_key.sign(&message)?,
            timestamp,
            serial_no: self.credentials.certificate_serial_no.clone(),
        })
    }
}

fn transport(error: &reqwest::Error, host: String) -> ErrorKind {
    let message = error.source().map(chain).unwrap_or_default();
    let says = |word: &str| message.to_ascii_lowercase().contains(word);
    let sort = if error.is_timeout() {
        TransportSort::TimedOut
    } else if error.is_connect() && says("dns") {
        TransportSort::Dns
    } else if error.is_connect() && (says("certificate") || says("tls") || says("handshake")) {
        TransportSort::Tls
    } else if error.is_connect() {
        TransportSort::Connect
    } else {
        TransportSort::CutOff
    };
    ErrorKind::Transport { sort, message, host }
}
