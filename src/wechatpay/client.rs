//! The client: the calls that couponctl makes, each signed, paced, tried again where that is safe,
//! verified and read. Cloning gives another handle to the same client; all share its pace.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::entity::StockEntity;
use super::error::{ApiError, ClientError, ListProblem};
use super::examine::Examined;
use super::send::{Method, Request, Verified};
use super::signing::{PrivateKey, PublicKey};
use super::{endpoint, read, retry};

/// Most pages of a list that are read: 400 × 50 stocks, far above any product coupon's.
const MAX_PAGES: u32 = 400;

/// Who asks, and whose answers are believed.
#[derive(Debug)]
pub struct Credentials {
    /// The brand (品牌).
    pub brand_id: String,
    /// Serial number of the brand API certificate, upper-case hex.
    pub certificate_serial_no: String,
    /// The brand API private key; never shown, also not by `Debug`.
    pub private_key: PrivateKey,
    /// Id of WeChat Pay's public key, `PUB_KEY_ID_…`.
    pub wechatpay_public_key_id: String,
    /// WeChat Pay's public key.
    pub wechatpay_public_key: PublicKey,
}

/// Where and how requests go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// The API, `https://…`; `http://` only to this machine. A path below it is kept.
    pub base_url: String,
    /// The same API at another site, for when the main one has trouble. Not used when `base_url`
    /// is this machine and this is not: what is tried out here must not reach the real API.
    pub fallback_url: Option<String>,
    /// Requests in any one second, at least 1. The API takes 20 a brand.
    pub requests_per_second: u32,
    /// One attempt, from connecting to the last byte of its answer.
    pub timeout: Duration,
    /// Attempts of one call, the first included, at least 1.
    pub max_attempts: u32,
    /// All attempts of one call with the waits between, from the first request sent.
    pub retry: Duration,
    /// Ceiling of the first wait between attempts; it doubles with each. WeChat Pay asks for 1 s.
    /// A knob for tests, not a setting.
    pub first_delay: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            base_url: "https://api.mch.weixin.qq.com".to_owned(),
            fallback_url: Some("https://api2.mch.weixin.qq.com".to_owned()),
            requests_per_second: 20,
            timeout: Duration::from_secs(10),
            max_attempts: 6,
            retry: Duration::from_mins(1),
            first_delay: Duration::from_secs(1),
        }
    }
}

/// A value that WeChat Pay's signature stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was answered.
    pub value: T,
    /// `Request-ID` of the (last) answer.
    pub request_id: Option<String>,
    /// Requests sent for it.
    pub attempts: u32,
}

/// An item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedStock {
    /// A stock.
    Read(Box<StockEntity>),
    /// Something that this version does not read, such as a stock of a bundle.
    Unread {
        /// Its id, if that much reads.
        stock_id: Option<String>,
        /// What does not read, fit for a terminal.
        why: String,
    },
}

/// What happens during a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request goes out.
    Sending {
        /// Which one, from 1.
        attempt: u32,
    },
    /// It failed, and another will be tried.
    Retrying {
        /// Which one failed, from 1.
        attempt: u32,
        /// Why.
        error: ApiError,
        /// The wait before the next, without the wait for its turn.
        wait: Duration,
    },
}

/// Who is told of events; called between requests, so it should be quick.
pub type Listener<'a> = &'a (dyn Fn(Event) + Send + Sync);

/// A client of the API. Clones share pace, hosts and the stop signal.
#[derive(Debug, Clone)]
pub struct Client(Arc<retry::Sender>);

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// When a URL is not one that requests may go to, a credential does not fit in a header, or TLS
    /// cannot be set up.
    pub fn new(credentials: Credentials, options: ClientOptions) -> Result<Self, ClientError> {
        Ok(Self(Arc::new(retry::Sender::new(credentials, options)?)))
    }

    /// *add stock*: `body` is sent as it is, on every try.
    ///
    /// # Errors
    /// See [`ApiError`]; [`ApiError::outcome_unknown`] tells whether a stock may exist all the same.
    pub async fn add_stock(
        &self,
        product_coupon_id: &str,
        body: &str,
        on: Listener<'_>,
    ) -> Result<Answer<StockEntity>, ApiError> {
        let path = endpoint::stocks(product_coupon_id)?;
        let request = Request { method: Method::Post, path_and_query: &path, body };
        stock_of(self.0.call(&request, on).await?)
    }

    /// *get stock*.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn get_stock(
        &self,
        product_coupon_id: &str,
        stock_id: &str,
    ) -> Result<Answer<StockEntity>, ApiError> {
        stock_of(self.get(&endpoint::stock(product_coupon_id, stock_id)?).await?)
    }

    /// *list stocks*, all pages: every stock of a product coupon, in any state.
    ///
    /// # Errors
    /// See [`ApiError`]. A list that goes round in circles, has no end, or holds less than it says
    /// is an error, because "not in the list" must mean that it is not there.
    pub async fn list_stocks(
        &self,
        product_coupon_id: &str,
    ) -> Result<Answer<Vec<ListedStock>>, ApiError> {
        let problem = |problem| ApiError::List {
            product_coupon_id: super::shown::shown(product_coupon_id, super::shown::WORD_CHARS),
            problem,
        };
        let mut stocks = Vec::new();
        let mut tokens = HashSet::new();
        let mut token: Option<String> = None;
        let mut attempts = 0;
        for number in 1..=MAX_PAGES {
            let path = endpoint::stocks_page(product_coupon_id, token.as_deref())?;
            let verified = self.get(&path).await?;
            attempts += verified.attempts;
            let page = read::page(&verified.body, verified.request_id.as_deref())?;
            stocks.extend(page.stocks);
            let Some(next) = page.next_page_token else {
                if let Some(total) = page.total_count.filter(|total| *total > stocks.len() as u64) {
                    return Err(problem(ListProblem::Incomplete { found: stocks.len(), total }));
                }
                return Ok(Answer { value: stocks, request_id: verified.request_id, attempts });
            };
            if !tokens.insert(next.clone()) {
                return Err(problem(ListProblem::Circle { page: number }));
            }
            token = Some(next);
        }
        Err(problem(ListProblem::Endless { pages: MAX_PAGES }))
    }

    /// *list stocks*, one attempt at the main host for at most one stock, to see how things stand.
    ///
    /// # Errors
    /// When the id cannot stand in a URL; any other failure is within what is examined.
    pub async fn examine(&self, product_coupon_id: &str) -> Result<Examined, ApiError> {
        let path = endpoint::smallest_page(product_coupon_id)?;
        let request = Request { method: Method::Get, path_and_query: &path, body: "" };
        Ok(self.0.examine(&request).await)
    }

    /// Stops this client and all its clones: no request goes out any more, waits end at once with
    /// [`ApiError::Stopped`], requests in flight finish or time out.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Whether [`Client::stop`] was called.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }

    async fn get(&self, path_and_query: &str) -> Result<Verified, ApiError> {
        let request = Request { method: Method::Get, path_and_query, body: "" };
        self.0.call(&request, &|_| ()).await
    }
}

fn stock_of(verified: Verified) -> Result<Answer<StockEntity>, ApiError> {
    let Verified { body, request_id, attempts } = verified;
    let value = read::stock(&body, request_id.as_deref())?;
    Ok(Answer { value, request_id, attempts })
}
