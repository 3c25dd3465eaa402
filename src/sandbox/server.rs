//! The server: every request passes the gate (pace, faults, signature), then its handler, and every
//! answer is signed on its way out.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State as Shared};
use axum::http::{Request, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::Options;
use super::answers::{Reply, entity};
use super::faults::FaultKind;
use super::keys::Keys;
use super::rules;
use super::state::{Deactivated, State, StoredStock};
use crate::identity::OutRequestNo;
use crate::wechatpay::signing::{Authorization, request_message};

/// Largest request body.
const MOST_BYTES: usize = 256 << 10;
/// From this far off on, a request's clock is refused.
const CLOCK_SECONDS: u64 = 300;
/// Live stocks of a product coupon.
const LIVE_STOCKS: usize = 200;
/// Stocks on a page when nothing is said, and at most.
const PAGES: (usize, usize) = (20, 50);

struct Server {
    options: Options,
    keys: Arc<Keys>,
    state: Mutex<State>,
    recent: Mutex<VecDeque<Instant>>,
    nonces: Mutex<HashSet<String>>,
    recorded: AtomicUsize,
}

/// In a request: the number that is known is answered with `ALREADY_EXISTS`.
#[derive(Clone, Copy)]
struct SayAlreadyExists(bool);

/// On an answer: close the connection in its place.
#[derive(Clone, Copy)]
struct Drop;

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until its task is aborted.
pub async fn serve(listener: TcpListener, options: Options, keys: Arc<Keys>, state: State) {
    let server = Arc::new(Server {
        options,
        keys,
        state: Mutex::new(state),
        recent: Mutex::default(),
        nonces: Mutex::default(),
        recorded: AtomicUsize::new(0),
    });
    let coupon = "/brand/marketing/product-coupon/product-coupons/{product_coupon_id}";
    let router = Router::new()
        .route(&format!("{coupon}/stocks"), post(add_stock).get(list_stocks))
        .route(&format!("{coupon}/stocks/{{stock_id}}"), get(get_stock))
        .route(&format!("{coupon}/stocks/{{stock_id}}/deactivate"), post(deactivate))
        .fallback(async || Reply::error(StatusCode::NOT_FOUND, "NOT_FOUND", 0, "no such API"))
        .method_not_allowed_fallback(async || {
            Reply::error(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", 0, "no such method")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&server), gate))
        .with_state(server);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: give running requests time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let router = router.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let router = router.clone();
                async move {
                    let Ok(response) = router.oneshot(request.map(Body::new)).await;
                    // An error makes the server close the connection without an answer.
                    match response.extensions().get::<Drop>() {
                        Some(Drop) => Err(std::io::Error::other("dropped on purpose")),
                        None => Ok(response),
                    }
                }
            });
            // A connection that breaks is the client's to notice.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// What every request passes, and every answer.
async fn gate(
    Shared(server): Shared<Arc<Server>>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    let fault = server.options.faults.next();
    let kind = fault.map(|fault| fault.kind);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut pause = server.options.latency;
    if let Some(fault) = fault.filter(|fault| fault.kind == FaultKind::Slow) {
        pause += fault.delay;
    }
    let too_fast = server.is_too_fast();
    tokio::time::sleep(pause).await;
    let reply = match kind {
        _ if too_fast => Err(Reply::rate_limited().into_response()),
        Some(FaultKind::DropBefore) => Err(dropped()),
        Some(FaultKind::ErrorBefore) => Err(Reply::system_error().into_response()),
        Some(FaultKind::RateLimit) => Err(Reply::rate_limited().into_response()),
        _ => server.verify(request).await.map_err(IntoResponse::into_response),
    };
    let mut response = match reply {
        Ok(mut request) => {
            request
                .extensions_mut()
                .insert(SayAlreadyExists(kind == Some(FaultKind::AlreadyExists)));
            next.run(request).await
        }
        Err(response) => response,
    };
    match kind {
        Some(FaultKind::DropAfter) => response = dropped(),
        Some(FaultKind::ErrorAfter) => response = Reply::system_error().into_response(),
        _ => {}
    }
    tracing::debug!(%method, %uri, status = response.status().as_u16(), fault = kind.map(FaultKind::name), "sandbox");
    match response.extensions_mut().remove::<Reply>() {
        Some(reply) => reply.sign(&server.keys, kind),
        None => response,
    }
}

fn dropped() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(Drop);
    response
}

/// A handler's answer travels to the gate unsigned.
impl IntoResponse for Reply {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl Server {
    fn is_too_fast(&self) -> bool {
        let now = Instant::now();
        let mut recent = held(&self.recent);
        while recent.front().is_some_and(|first| now - *first >= Duration::from_secs(1)) {
            recent.pop_front();
        }
        let too_fast = recent.len() >= self.options.requests_per_second;
        if !too_fast {
            recent.push_back(now);
        }
        too_fast
    }

    /// Reads the body and checks the request's signature over exactly what came.
    async fn verify(&self, request: Request<Body>) -> Result<Request<Body>, Reply> {
        let (parts, body) = request.into_parts();
        let limited = http_body_util::Limited::new(body, MOST_BYTES);
        let body = limited.collect().await.map_err(|_| {
            Reply::error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "PARAM_ERROR",
                268_435_462,
                "body too large",
            )
        })?;
        let body = body.to_bytes();
        let header = parts.headers.get("Authorization").and_then(|value| value.to_str().ok());
        let authorization = header
            .and_then(Authorization::parse)
            .ok_or_else(|| Reply::sign_error("Authorization: missing or not of the right form"))?;
        let path_and_query = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let message = request_message(
            parts.method.as_str(),
            path_and_query,
            authorization.timestamp,
            &authorization.nonce_str,
            &body,
        );
        self.record(&message, &authorization.signature);
        let keys = &self.keys;
        let off = Timestamp::now().as_second().abs_diff(authorization.timestamp);
        let wechatpay_serial = parts.headers.get("Wechatpay-Serial").and_then(|v| v.to_str().ok());
        if authorization.brand_id != keys.brand_id {
            Err(Reply::sign_error(format!(
                "brand_id {} is not this sandbox's brand {}",
                authorization.brand_id, keys.brand_id
            )))
        } else if authorization.serial_no != keys.certificate_serial_no {
            Err(Reply::sign_error("serial_no is not of a certificate of this brand"))
        } else if off >= CLOCK_SECONDS {
            Err(Reply::sign_error(format!("timestamp is {off} s off")))
        } else if wechatpay_serial.is_some_and(|id| id != keys.wechatpay_public_key_id) {
            Err(Reply::sign_error("Wechatpay-Serial is not a public key id of WeChat Pay"))
        } else if !keys.brand_public_key.verify(&message, &authorization.signature) {
            Err(Reply::sign_error("signature does not verify with the certificate's key"))
        } else if !held(&self.nonces).insert(authorization.nonce_str) {
            Err(Reply::sign_error("nonce_str was used before"))
        } else {
            Ok(Request::from_parts(parts, Body::from(body)))
        }
    }

    /// Keeps what was signed, for other tools to check.
    fn record(&self, message: &[u8], signature: &str) {
        use base64::Engine as _;
        let Some(folder) = &self.options.record else { return };
        let number = self.recorded.fetch_add(1, Ordering::SeqCst) + 1;
        let signature = base64::engine::general_purpose::STANDARD.decode(signature);
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(folder.join(format!("{number}.message")), message))
            .and_then(|()| {
                std::fs::write(
                    folder.join(format!("{number}.signature")),
                    signature.unwrap_or_default(),
                )
            });
        if let Err(error) = written {
            tracing::warn!(%error, "a request cannot be recorded");
        }
    }

    fn coupon_exists(&self, id: &str) -> bool {
        match &self.options.product_coupons {
            Some(known) => known.contains(id),
            None => {
                (1..=20).contains(&id.len())
                    && id.bytes().all(|byte| byte.is_ascii_digit())
                    && !id.ends_with("404")
            }
        }
    }
}

async fn add_stock(
    Shared(server): Shared<Arc<Server>>,
    Path(product_coupon_id): Path<String>,
    Extension(SayAlreadyExists(say)): Extension<SayAlreadyExists>,
    body: Bytes,
) -> Reply {
    match server.add(product_coupon_id, &body, say) {
        Ok(reply) | Err(reply) => reply,
    }
}

impl Server {
    fn add(&self, product_coupon_id: String, body: &[u8], say: bool) -> Result<Reply, Reply> {
        let body = std::str::from_utf8(body).map_err(|_| Reply::parameter("", "not UTF-8"))?;
        let parsed: Value =
            serde_json::from_str(body).map_err(|_| Reply::parameter("", "not JSON"))?;
        let known = ["out_request_no", "stock"];
        let fields = parsed.as_object().ok_or_else(|| Reply::parameter("", "not an object"))?;
        if let Some(key) = fields.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(Reply::parameter(&format!("/{key}"), "not a field"));
        }
        let number = parsed["out_request_no"]
            .as_str()
            .and_then(OutRequestNo::parse)
            .ok_or_else(|| Reply::parameter("/out_request_no", "not 6 to 40 of [0-9A-Za-z_-]"))?;
        if !self.coupon_exists(&product_coupon_id) {
            return Err(Reply::not_found("product_coupon_id"));
        }
        let now = Timestamp::now();
        let mut state = held(&self.state);
        if let Some(stock_id) = state.by_number.get(number.as_str()).copied()
            && let Some(made) = state.stocks.get(&stock_id)
        {
            if say {
                return Err(Reply::error(
                    StatusCode::BAD_REQUEST,
                    "ALREADY_EXISTS",
                    0,
                    "out_request_no was used before",
                ));
            }
            if made.product_coupon_id != product_coupon_id || made.body != body {
                return Err(Reply::invalid("out_request_no was used with other parameters"));
            }
            return Ok(Reply::good(entity(stock_id, made, now)));
        }
        rules::check(&parsed["stock"]).map_err(|f| Reply::parameter(&f.field, f.issue))?;
        if state.live(&product_coupon_id, now) >= LIVE_STOCKS {
            return Err(Reply::invalid(format!(
                "the product coupon has {LIVE_STOCKS} live stocks already"
            )));
        }
        let made = StoredStock {
            product_coupon_id,
            stock: with_defaults(parsed["stock"].clone()),
            out_request_no: number.as_str().to_owned(),
            body: body.to_owned(),
            deactivated: None,
        };
        let stock_id = state.make(made.clone()).map_err(|_| Reply::system_error())?;
        Ok(Reply::good(entity(stock_id, &made, now)))
    }
}

/// A stock with what the API fills in.
fn with_defaults(mut stock: Value) -> Value {
    let display = &mut stock["coupon_display_info"];
    if display.get("background_color").is_none() {
        display["background_color"] = "Color020".into();
    }
    if let Some(rule) = stock.get_mut("sequential_usage_rule")
        && rule.get("special_first").is_none()
    {
        rule["special_first"] = false.into();
    }
    stock
}

async fn get_stock(
    Shared(server): Shared<Arc<Server>>,
    Path((product_coupon_id, stock_id)): Path<(String, String)>,
) -> Reply {
    let state = held(&server.state);
    match find(&state, &product_coupon_id, &stock_id) {
        Some((stock_id, stock)) => Reply::good(entity(stock_id, stock, Timestamp::now())),
        None => Reply::not_found("stock_id"),
    }
}

fn find<'a>(state: &'a State, coupon: &str, stock_id: &str) -> Option<(u64, &'a StoredStock)> {
    let stock_id = stock_id.parse().ok()?;
    let stock = state.stocks.get(&stock_id)?;
    (stock.product_coupon_id == coupon).then_some((stock_id, stock))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deactivate {
    out_request_no: String,
    deactivate_reason: String,
}

async fn deactivate(
    Shared(server): Shared<Arc<Server>>,
    Path((product_coupon_id, stock_id)): Path<(String, String)>,
    body: Bytes,
) -> Reply {
    let Ok(request) = serde_json::from_slice::<Deactivate>(&body) else {
        return Reply::parameter("", "not out_request_no and deactivate_reason");
    };
    if request.deactivate_reason.chars().count() > 150 {
        return Reply::parameter("/deactivate_reason", "too long");
    }
    let mut state = held(&server.state);
    let Some((stock_id, stock)) = find(&state, &product_coupon_id, &stock_id) else {
        return Reply::not_found("stock_id");
    };
    let now = Timestamp::now();
    let again = stock.deactivated.as_ref().is_some_and(|d| d.request_no == request.out_request_no);
    if !again {
        if stock.state(now) != "SENDING" {
            return Reply::invalid("only a stock that is SENDING or PAUSED can be deactivated");
        }
        let deactivated = Deactivated {
            request_no: request.out_request_no,
            time: now.to_string(),
            reason: request.deactivate_reason,
        };
        if state.deactivate(stock_id, deactivated).is_err() {
            return Reply::system_error();
        }
    }
    match state.stocks.get(&stock_id) {
        Some(stock) => Reply::good(entity(stock_id, stock, now)),
        None => Reply::system_error(),
    }
}

async fn list_stocks(
    Shared(server): Shared<Arc<Server>>,
    Path(product_coupon_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    if !server.coupon_exists(&product_coupon_id) {
        return Reply::not_found("product_coupon_id");
    }
    let query = query.unwrap_or_default();
    let mut wanted: HashMap<&str, String> = HashMap::new();
    for (name, value) in query.split('&').filter_map(|part| part.split_once('=')) {
        wanted.insert(name, percent_decode_str(value).decode_utf8_lossy().into_owned());
    }
    let known = ["state", "page_size", "page_token", "stock_bundle_id"];
    if let Some(name) = wanted.keys().find(|name| !known.contains(name)) {
        return Reply::parameter(name, "not a parameter");
    }
    let text = |name: &str| wanted.get(name).filter(|value| !value.is_empty());
    let size = match text("page_size").map(|size| size.parse::<usize>()) {
        None => PAGES.0,
        Some(Ok(size)) if (1..=PAGES.1).contains(&size) => size,
        Some(_) => return Reply::parameter("page_size", "out of range"),
    };
    // A token names the last stock of the page before.
    let behind = match text("page_token").map(|token| token.parse::<u64>()) {
        None => 0,
        Some(Ok(last)) => last,
        Some(Err(_)) => return Reply::parameter("page_token", "not a token of this list"),
    };
    let now = Timestamp::now();
    let state = held(&server.state);
    let all: Vec<_> = state
        .stocks
        .iter()
        .filter(|(_, stock)| stock.product_coupon_id == product_coupon_id)
        .filter(|(_, stock)| text("state").is_none_or(|wanted| stock.state(now) == wanted))
        .filter(|_| text("stock_bundle_id").is_none())
        .collect();
    let rest: Vec<_> = all.iter().filter(|(id, _)| **id > behind).collect();
    let page: Vec<Value> =
        rest.iter().take(size).map(|(id, stock)| entity(**id, stock, now)).collect();
    let mut body = json!({"total_count": all.len(), "stock_list": page});
    if rest.len() > size
        && let Some((last, _)) = rest.get(size - 1)
    {
        body["next_page_token"] = last.to_string().into();
    }
    Reply::good(body)
}
