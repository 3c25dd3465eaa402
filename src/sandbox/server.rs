//! The HTTP side: each request goes through signature, fault, pace and its endpoint, in this order, and
//! its answer is signed. Nothing here awaits between looking and doing, so requests do not interleave.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::request::Parts;
use axum::http::{Method, Request, Uri};
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::Value;
use tracing::{debug, warn};

use super::Clock;
use super::answers::{Answer, number};
use super::book::{Book, Done, Numbered, Page, read_page_token};
use super::connection::Cut;
use super::faults::{Drawn, FaultKind, Faults, Random};
use super::guard::{Nonces, Pace, Signed};
use super::keys::Keys;
use super::record::Recorder;
use super::rules;
use super::shape::Refusal;
use crate::wechatpay::entity::StockState;
use crate::wechatpay::stock::{Stock, Text};

/// The largest body that is read.
const BODY_CAP: usize = 1024 * 1024;
/// Product coupons whose id ends like this do not exist, unless they are listed.
const MISSING: &str = "404";
/// A `notify_appid` that ends like this is not bound to the brand.
const UNBOUND: &str = "unbound";

/// All that requests share.
pub(super) struct Server {
    pub keys: Keys,
    pub clock: Clock,
    pub faults: Faults,
    pub latency: Duration,
    pub product_coupons: Option<Vec<String>>,
    pub recorder: Option<Recorder>,
    pub changing: Mutex<Changing>,
}

/// What requests change.
pub(super) struct Changing {
    pub book: Book,
    pub nonces: Nonces,
    pub pace: Pace,
    pub random: Random,
}

impl Server {
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(serve).with_state(Arc::clone(self))
    }

    pub fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what a request asks, unless a check or a fault is in the way.
    fn handle(&self, parts: &Parts, body: &[u8]) -> (Answer, Drawn) {
        let mut changing = self.changing();
        let mut drawn = Drawn::default();
        let answer = self.admit(parts, body, &mut changing, &mut drawn).and_then(|()| {
            let refuse_known = drawn.kind == Some(FaultKind::AlreadyExists);
            self.route(&parts.method, &parts.uri, body, &mut changing.book, refuse_known)
        });
        let answer = answer.unwrap_or_else(|refused| refused);
        match drawn.kind {
            Some(FaultKind::ErrorAfter) => (Answer::system_error("injected, after"), drawn),
            _ => (answer, drawn),
        }
    }

    fn admit(
        &self,
        parts: &Parts,
        body: &[u8],
        changing: &mut Changing,
        drawn: &mut Drawn,
    ) -> Result<(), Answer> {
        let path = parts.uri.path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
        let (method, headers) = (parts.method.as_str(), &parts.headers);
        let request = Signed { method, path_and_query: path, headers, body };
        let authorization = request.authorization()?;
        let message = request.message(&authorization);
        if let Some(recorder) = &self.recorder
            && let Err(error) = recorder.record(&message, &authorization.signature)
        {
            warn!(%error, "the request could not be recorded");
        }
        let now = self.clock.now().as_second();
        changing.nonces.check(&request, authorization, &message, &self.keys, now)?;
        // Drawn for each signed request, so that only their order decides.
        *drawn = self.faults.draw(&mut changing.random);
        if !changing.pace.admit(Instant::now()) {
            return Err(Answer::too_fast());
        }
        match drawn.kind {
            Some(FaultKind::DropBefore | FaultKind::ErrorBefore) => {
                Err(Answer::system_error("injected, before"))
            }
            Some(FaultKind::RateLimit) => Err(Answer::too_fast()),
            _ => Ok(()),
        }
    }

    fn route(
        &self,
        method: &Method,
        uri: &Uri,
        body: &[u8],
        book: &mut Book,
        refuse_known: bool,
    ) -> Result<Answer, Answer> {
        let nothing = || Answer::not_found(number::NONE, "there is nothing at this path");
        let segments: Option<Vec<_>> = uri.path().split('/').skip(1).map(decoded).collect();
        let segments = segments.ok_or_else(nothing)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let ["brand", "marketing", "product-coupon", "product-coupons", coupon, rest @ ..] =
            segments.as_slice()
        else {
            return Err(nothing());
        };
        match (rest, method) {
            (["stocks"], &Method::POST) => self.add(coupon, body, book, refuse_known),
            (["stocks"], &Method::GET) => self.list(coupon, uri, book),
            (["stocks"], _) => Err(Answer::method_not_allowed("GET, POST")),
            (["stocks", id], &Method::GET) => self.get(coupon, id, book),
            (["stocks", _], _) => Err(Answer::method_not_allowed("GET")),
            (["stocks", id, "deactivate"], &Method::POST) => {
                self.deactivate(coupon, id, body, book, refuse_known)
            }
            (["stocks", _, "deactivate"], _) => Err(Answer::method_not_allowed("POST")),
            _ => Err(nothing()),
        }
    }

    fn add(
        &self,
        coupon: &str,
        body: &[u8],
        book: &mut Book,
        refuse_known: bool,
    ) -> Result<Answer, Answer> {
        let value = parse(body)?;
        let out_request_no = rules::add_stock(&value).map_err(|refusal| refused(&refusal))?;
        // Read into the types too, which refuse what a map swallows: a key that is there twice.
        let AddStock { stock, .. } = serde_json::from_slice(body).map_err(|e| not_json(&e))?;
        let what = format!("add {coupon}");
        let request = Numbered::new(out_request_no, &what, &value, refuse_known);
        let now = self.clock.now();
        if let Some(known) = book.known(&request, now) {
            return entity(known);
        }
        self.product_coupon(coupon)?;
        if stock.notify_config.notify_appid.ends_with(UNBOUND) {
            let message = "the notify_appid is not bound to the brand";
            return Err(Answer::invalid_request(number::APPID_NOT_BOUND, message));
        }
        entity(book.make(request, coupon, stock, now))
    }

    fn deactivate(
        &self,
        coupon: &str,
        stock_id: &str,
        body: &[u8],
        book: &mut Book,
        refuse_known: bool,
    ) -> Result<Answer, Answer> {
        let value = parse(body)?;
        let (out_request_no, reason) =
            rules::deactivate(&value).map_err(|refusal| refused(&refusal))?;
        let what = format!("deactivate {coupon} {stock_id}");
        let request = Numbered::new(out_request_no, &what, &value, refuse_known);
        let now = self.clock.now();
        if let Some(known) = book.known(&request, now) {
            return entity(known);
        }
        self.product_coupon(coupon)?;
        book.get(coupon, stock_id, now)?;
        entity(book.deactivate(request, stock_id, reason, now))
    }

    fn get(&self, coupon: &str, stock_id: &str, book: &Book) -> Result<Answer, Answer> {
        self.product_coupon(coupon)?;
        entity(book.get(coupon, stock_id, self.clock.now()))
    }

    fn list(&self, coupon: &str, uri: &Uri, book: &Book) -> Result<Answer, Answer> {
        let wrong =
            |field: &str, issue: &str| Answer::param_error(number::ILLEGAL, field, issue, "query");
        let pairs = query_pairs(uri).ok_or_else(|| wrong("query", "is not UTF-8"))?;
        let mut page = Page { product_coupon_id: coupon, state: None, size: 20, from: 0 };
        let (mut seen, mut in_bundle) = (Vec::new(), false);
        for (name, value) in &pairs {
            if seen.contains(name) {
                return Err(wrong(name, "is there twice"));
            }
            seen.push(name.clone());
            match name.as_str() {
                "state" => {
                    let state = state_of(value).ok_or_else(|| wrong(name, "is not a state"))?;
                    page.state = Some(state);
                }
                "page_size" => {
                    let size = value.parse().ok().filter(|size| (1..=50).contains(size));
                    page.size = size.ok_or_else(|| wrong(name, "must be from 1 to 50"))?;
                }
                "page_token" => {
                    let issue = "is not the next_page_token of an answer";
                    page.from = read_page_token(value).ok_or_else(|| wrong(name, issue))?;
                }
                // No stock here is ever in a bundle.
                "stock_bundle_id" => in_bundle = true,
                _ => return Err(wrong(name, "is not a parameter of this call")),
            }
        }
        self.product_coupon(coupon)?;
        if in_bundle {
            page.product_coupon_id = "";
        }
        Ok(Answer::ok(book.list(&page, self.clock.now())))
    }

    fn product_coupon(&self, id: &str) -> Result<(), Answer> {
        let there = match &self.product_coupons {
            Some(list) => list.iter().any(|known| known == id),
            None => (1..=20).contains(&id.len()) && !id.ends_with(MISSING) && digits(id),
        };
        let message = "product_coupon_id does not exist or belongs to another brand";
        if there { Ok(()) } else { Err(Answer::not_found(number::OBJECT_MISSING, message)) }
    }
}

/// The body of *add stock*, in the types.
#[derive(Deserialize)]
struct AddStock {
    #[serde(rename = "out_request_no")]
    _out_request_no: Text,
    stock: Stock,
}

fn decoded(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

fn query_pairs(uri: &Uri) -> Option<Vec<(String, String)>> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| Some((decoded(name)?, decoded(value)?)))
        .collect()
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn parse(body: &[u8]) -> Result<Value, Answer> {
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Answer {
    let issue = format!("cannot be read: {error}");
    Answer::param_error(number::ILLEGAL, "/", &issue, "body")
}

fn refused(refusal: &Refusal) -> Answer {
    Answer::param_error(refusal.number, &refusal.field, &refusal.issue, "body")
}

fn entity(done: Done) -> Result<Answer, Answer> {
    serde_json::to_value(done?).map(Answer::ok).map_err(Answer::system_error)
}

fn state_of(word: &str) -> Option<StockState> {
    Some(match word {
        "AUDITING" => StockState::Auditing,
        "SENDING" => StockState::Sending,
        "PAUSED" => StockState::Paused,
        "STOPPED" => StockState::Stopped,
        "DEACTIVATED" => StockState::Deactivated,
        _ => return None,
    })
}

async fn serve(
    State(server): State<Arc<Server>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request<Body>,
) -> Response {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let (answer, drawn) = match to_bytes(body, BODY_CAP).await {
        Ok(body) => server.handle(&parts, &body),
        Err(_) => (Answer::too_large(BODY_CAP), Drawn::default()),
    };
    tokio::time::sleep(server.latency + drawn.delay).await;
    let (method, path, status) = (&parts.method, parts.uri.path(), answer.status.as_u16());
    let fault = drawn.kind.map_or("", FaultKind::name);
    let delay_ms = drawn.delay.as_millis();
    let ms = started.elapsed().as_millis();
    debug!(%method, path, status, fault, delay_ms, ms, "sandbox request");
    if matches!(drawn.kind, Some(FaultKind::DropBefore | FaultKind::DropAfter)) {
        cut.now();
    }
    answer.into_response(&server.keys, server.clock.now(), drawn.kind)
}
