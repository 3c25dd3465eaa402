//! One attempt: sign, send, read the answer up to its cap, and believe it only when it verifies.
//! Which attempt it is, when it goes out and what follows is not decided here.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Response, Url};
use tracing::debug;

use super::client::Credentials;
use super::endpoint;
use super::error::{ApiError, ClientError, ErrorAnswer, Transport, TransportKind, Unverified};
use super::examine::{self, Examined, Touched};
use super::shown::{MESSAGE_CHARS, WORD_CHARS, shown};
use super::signing::{Authorization, nonce, request_message};
use super::{read, verify};

/// The largest answer that is read, in bytes; a page of 50 stocks takes about 200 KB.
const MAX_ANSWER: usize = 1 << 20;
/// Connecting takes at most this long, so that the fallback host gets its chance.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("couponctl/", env!("CARGO_PKG_VERSION"));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request before it is signed; the same for every attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub method: Method,
    /// Below the base URL, percent-encoded.
    pub path_and_query: &'a str,
    /// The exact bytes; empty for GET.
    pub body: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::GET,
            Method::Post => Self::POST,
        }
    }
}

/// The body of a 2xx whose signature holds.
#[derive(Debug)]
pub(super) struct Verified {
    pub body: Vec<u8>,
    pub request_id: Option<String>,
    pub attempts: u32,
}

/// One of the API's hosts with its connections.
pub(super) struct Host {
    base: Url,
    /// For messages: host and port.
    name: String,
    http: reqwest::Client,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.base.as_str()).finish()
    }
}

impl Host {
    /// A host; it shares connections and CA certificates with another where both are alike.
    pub(super) fn new(
        base: Url,
        timeout: Duration,
        other: Option<&Self>,
    ) -> Result<Self, ClientError> {
        let kind = |base: &Url| (base.scheme() == "https", endpoint::is_loopback(base));
        let http = match other.filter(|other| kind(&other.base) == kind(&base)) {
            Some(other) => other.http.clone(),
            None => http_client(&base, timeout)?,
        };
        let port = base.port().map(|port| format!(":{port}")).unwrap_or_default();
        let name = format!("{}{port}", base.host_str().unwrap_or_default());
        Ok(Self { base, name, http })
    }

    /// Sends a request once. `attempt` is for the log alone.
    pub(super) async fn send(
        &self,
        credentials: &Credentials,
        request: &Request<'_>,
        timeout: Duration,
        attempt: u32,
    ) -> Result<Verified, ApiError> {
        let received = self.once(credentials, request, timeout, attempt).await?;
        self.judge(credentials, received, attempt)
    }

    /// Sends a list request once and keeps what its answer shows, whatever it is.
    pub(super) async fn examine(
        &self,
        credentials: &Credentials,
        request: &Request<'_>,
        timeout: Duration,
    ) -> Examined {
        let received = match self.once(credentials, request, timeout, 1).await {
            Ok(received) => received,
            Err(error) => {
                let touched = Touched::default();
                return Examined { result: Err(error), touched, signed: None };
            }
        };
        let touched = examine::times(&received.headers, verify::unix_now());
        let signed = examine::signature(&received.headers, &received.body, credentials);
        let result = self.judge(credentials, received, 1).and_then(|verified| {
            read::page(&verified.body, verified.request_id.as_deref()).map(|page| page.total_count)
        });
        Examined { result, touched, signed }
    }

    /// Connects and asks for nothing in particular, unsigned.
    pub(super) async fn touch(&self, timeout: Duration) -> Result<Touched, ApiError> {
        let request = self.http.get(self.base.clone()).header(ACCEPT, JSON).send();
        let started = Instant::now();
        let outcome = match tokio::time::timeout(timeout, request).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(self.late(timeout)),
        };
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (host, path) = (&self.name, self.base.path());
        match &outcome {
            Ok(response) => {
                let status = response.status().as_u16();
                debug!(method = "GET", path, status, duration_ms, host, "unsigned request");
            }
            Err(error) => {
                debug!(method = "GET", path, %error, duration_ms, host, "unsigned request without answer");
            }
        }
        outcome.map(|response| examine::times(response.headers(), verify::unix_now()))
    }

    /// Host and port, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    async fn once(
        &self,
        credentials: &Credentials,
        request: &Request<'_>,
        timeout: Duration,
        attempt: u32,
    ) -> Result<Received, ApiError> {
        let started = Instant::now();
        let exchange = self.exchange(credentials, request);
        let received = tokio::time::timeout(timeout, exchange).await;
        let received = received.unwrap_or_else(|_| Err(self.late(timeout)));
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (method, path, host) = (request.method, request.path_and_query, &self.name);
        match &received {
            Ok(Received { status, request_id, .. }) => {
                let request_id = request_id.as_deref().unwrap_or("-");
                debug!(
                    method = %reqwest::Method::from(method),
                    path, status, duration_ms, request_id, attempt, host, "request"
                );
            }
            Err(error) => {
                debug!(method = %reqwest::Method::from(method), path, %error, duration_ms, attempt, host, "request without answer");
            }
        }
        received
    }

    async fn exchange(
        &self,
        credentials: &Credentials,
        request: &Request<'_>,
    ) -> Result<Received, ApiError> {
        let url = endpoint::join(&self.base, request.path_and_query)?;
        let method = reqwest::Method::from(request.method);
        let timestamp = verify::unix_now();
        let nonce_str = nonce();
        let message = request_message(
            method.as_str(),
            &endpoint::signed_part(&url),
            timestamp,
            &nonce_str,
            request.body.as_bytes(),
        );
        let authorization = Authorization {
            brand_id: credentials.brand_id.clone(),
            nonce_str,
            signature: credentials.private_key.sign(&message)?,
            timestamp,
            serial_no: credentials.certificate_serial_no.clone(),
        };
        let mut builder = self
            .http
            .request(method, url)
            .header(ACCEPT, JSON)
            .header(AUTHORIZATION, sensitive(&authorization.to_string()))
            .header("Wechatpay-Serial", credentials.wechatpay_public_key_id.as_str());
        if !request.body.is_empty() {
            builder = builder.header(CONTENT_TYPE, JSON).body(request.body.to_owned());
        }
        let response = builder.send().await.map_err(|error| self.failed(&error))?;
        self.receive(response).await
    }

    /// Reads an answer up to its cap, whatever its `Content-Length` says.
    async fn receive(&self, mut response: Response) -> Result<Received, ApiError> {
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let request_id = headers
            .get("Request-ID")
            .map(|id| shown(&String::from_utf8_lossy(id.as_bytes()), WORD_CHARS));
        let mut body = Vec::new();
        let failure = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER => {
                    break Some(self.transport(TransportKind::TooLarge, String::new()));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break None,
                Err(error) => break Some(self.failed(&error)),
            }
        };
        match failure {
            // These are tried again whatever their body says.
            Some(error) if status != 429 && status < 500 => Err(error),
            _ => Ok(Received { status, headers, request_id, body }),
        }
    }

    fn judge(
        &self,
        credentials: &Credentials,
        received: Received,
        attempts: u32,
    ) -> Result<Verified, ApiError> {
        let Received { status, headers, request_id, body } = received;
        let host = self.name.clone();
        let now = verify::unix_now();
        let verified = verify::verify(
            &headers,
            &body,
            &credentials.wechatpay_public_key,
            &credentials.wechatpay_public_key_id,
            now,
        );
        match status {
            200..=299 => verified
                .map(|()| Verified { body, request_id: request_id.clone(), attempts })
                .map_err(|reason| {
                    let clock = verify::clock(&headers, now);
                    ApiError::Unverified(Box::new(Unverified { host, reason, request_id, clock }))
                }),
            300..=399 => {
                let location = headers.get(LOCATION);
                let location = location
                    .map(|to| shown(&String::from_utf8_lossy(to.as_bytes()), MESSAGE_CHARS));
                Err(ApiError::Redirected { host, status, location })
            }
            _ => {
                let mut answer = ErrorAnswer {
                    host,
                    status,
                    code: None,
                    message: None,
                    detail: None,
                    request_id,
                    clock: verify::clock(&headers, now),
                    retry_after: verify::retry_after(&headers, now),
                    unknown_before: false,
                    is_signed: verified.is_ok(),
                };
                read::error_body(&body, &mut answer);
                let exists = status == 400 && answer.code.as_deref() == Some("ALREADY_EXISTS");
                let answer = Box::new(answer);
                Err(if exists {
                    ApiError::AlreadyExists(answer)
                } else {
                    ApiError::Answered(answer)
                })
            }
        }
    }

    fn failed(&self, error: &reqwest::Error) -> ApiError {
        self.transport(transport_kind(error), chain(error))
    }

    fn late(&self, timeout: Duration) -> ApiError {
        self.transport(TransportKind::TimedOut, format!("after {timeout:?}"))
    }

    fn transport(&self, kind: TransportKind, detail: String) -> ApiError {
        ApiError::Transport(Transport { kind, host: self.name.clone(), detail })
    }
}

fn http_client(base: &Url, timeout: Duration) -> Result<reqwest::Client, ClientError> {
    // An error means that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(timeout.min(CONNECT_TIMEOUT));
    if endpoint::is_loopback(base) {
        builder = builder.no_proxy();
    }
    if base.scheme() == "http" {
        // No TLS, so a machine without CA certificates can still try things out.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| ClientError::Setup(chain(&error)))
}

/// A whole answer, not yet believed.
struct Received {
    status: u16,
    headers: HeaderMap,
    request_id: Option<String>,
    body: Vec<u8>,
}

/// A header that the libraries below keep out of their own output. What stands in it was checked
/// when the client was made; anything else gives an empty header and so a refusal.
fn sensitive(text: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

fn transport_kind(error: &reqwest::Error) -> TransportKind {
    if error.is_dns() {
        return TransportKind::Dns;
    }
    if error.is_timeout() {
        return TransportKind::TimedOut;
    }
    if !error.is_connect() {
        // The request may have arrived, whatever ended the connection.
        let sent = error.is_request() || error.is_body() || error.is_decode();
        return if sent { TransportKind::CutOff } else { TransportKind::Other };
    }
    let mut source = error.source();
    while let Some(cause) = source {
        match cause.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(_)) => return TransportKind::Certificate,
            Some(_) => return TransportKind::Tls,
            None => {}
        }
        let io = cause.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return TransportKind::Refused;
        }
        // `source` of an I/O error passes by the error that it wraps, such as that of TLS.
        let wrapped = io.and_then(io::Error::get_ref);
        source = wrapped.map(|error| error as &dyn std::error::Error).or_else(|| cause.source());
    }
    TransportKind::Unreachable
}

/// What the innermost causes of an error say, without the URL, which stands in the message anyway.
fn chain(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    shown(&innermost.to_string(), MESSAGE_CHARS)
}
