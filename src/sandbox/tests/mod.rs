//! The sandbox over a real socket, by raw HTTP: no client of this program is between.

mod endpoints;
mod faults;
mod lasting;
mod refusals;
mod rules;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Clock, Faults, Sandbox, SandboxOptions};
use crate::wechatpay::signing::{self, Authorization, PrivateKey, PublicKey};

/// A sandbox without a limit on pace, unless a test is about it.
fn options() -> SandboxOptions {
    SandboxOptions { requests_per_second: 0, ..SandboxOptions::default() }
}

async fn start(options: SandboxOptions) -> Sandbox {
    Sandbox::start(options).await.unwrap()
}

async fn start_with_faults(specs: &[&str]) -> Sandbox {
    start(SandboxOptions { faults: Faults::parse(specs).unwrap(), ..options() }).await
}

/// A clock that a test can set.
fn settable_clock() -> (Clock, Arc<AtomicI64>) {
    let seconds = Arc::new(AtomicI64::new(Timestamp::now().as_second()));
    let read = Arc::clone(&seconds);
    let clock = Clock::new(move || Timestamp::from_second(read.load(Ordering::SeqCst)).unwrap());
    (clock, seconds)
}

const COUPONS: &str = "/brand/marketing/product-coupon/product-coupons";

fn stocks_path(product_coupon_id: &str) -> String {
    format!("{COUPONS}/{product_coupon_id}/stocks")
}

/// A small valid body.
fn body(out_request_no: &str) -> Value {
    json!({
        "out_request_no": out_request_no,
        "stock": {
            "coupon_code_mode": "WECHATPAY",
            "stock_send_rule": { "max_count": 100, "max_count_per_user": 1 },
            "single_usage_rule": {
                "coupon_available_period": {
                    "available_begin_time": "2098-12-01T00:00:00+08:00",
                    "available_end_time": "2099-02-28T23:59:59+08:00"
                },
                "normal_coupon": { "threshold": 10000, "discount_amount": 1000 }
            },
            "usage_rule_display_info": {
                "coupon_usage_method_list": ["OFFLINE"],
                "usage_description": "全场可用"
            },
            "coupon_display_info": { "code_display_mode": "QRCODE" },
            "notify_config": { "notify_appid": "wx4fd12345678" },
            "store_scope": "NONE"
        }
    })
}

/// An answer as it came off the wire.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
    /// Whether as much came as was promised.
    whole: bool,
}

impl Reply {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<_, _> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let body = bytes[end + 4..].to_vec();
        let whole = headers["content-length"].parse() == Ok(body.len());
        Some(Self { status, headers, body, whole })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// WeChat Pay's internal number.
    fn number(&self) -> u32 {
        self.headers["request-id"].rsplit('-').next().unwrap().parse().unwrap()
    }

    fn verifies(&self, sandbox: &Sandbox) -> bool {
        let key = PublicKey::from_pem(&sandbox.keys().wechatpay_public_key_pem).unwrap();
        let (time, nonce) =
            (&self.headers["wechatpay-timestamp"], &self.headers["wechatpay-nonce"]);
        let message = signing::answer_message(time, nonce, &self.body);
        key.verify(&message, &self.headers["wechatpay-signature"])
    }
}

/// One request, which a test can spoil in any part before it goes out.
struct Call<'a> {
    sandbox: &'a Sandbox,
    method: &'a str,
    path: &'a str,
    body: Vec<u8>,
    key: PrivateKey,
    authorization: Authorization,
    authorization_text: Option<String>,
    wechatpay_serial: Option<String>,
    content_type: &'a str,
}

impl<'a> Call<'a> {
    fn new(sandbox: &'a Sandbox, method: &'a str, path: &'a str) -> Self {
        let keys = sandbox.keys();
        Self {
            sandbox,
            method,
            path,
            body: Vec::new(),
            key: PrivateKey::from_pem(&keys.private_key_pem).unwrap(),
            authorization: Authorization {
                brand_id: keys.brand_id.clone(),
                nonce_str: signing::nonce(),
                signature: String::new(),
                timestamp: sandbox.server.clock.now().as_second(),
                serial_no: keys.certificate_serial_no.clone(),
            },
            authorization_text: None,
            wechatpay_serial: Some(keys.wechatpay_public_key_id.clone()),
            content_type: "application/json",
        }
    }

    fn body(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self
    }

    fn signed(mut self) -> Self {
        let header = &self.authorization;
        let message = signing::request_message(
            self.method,
            self.path,
            header.timestamp,
            &header.nonce_str,
            &self.body,
        );
        self.authorization.signature = self.key.sign(&message).unwrap();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let authorization =
            self.authorization_text.clone().unwrap_or_else(|| self.authorization.to_string());
        let serial = self.wechatpay_serial.as_ref();
        let serial = serial.map(|id| format!("Wechatpay-Serial: {id}\r\n")).unwrap_or_default();
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nAuthorization: {authorization}\r\n\
             {serial}Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            self.method,
            self.path,
            self.content_type,
            self.body.len()
        );
        [head.as_bytes(), &self.body].concat()
    }

    /// Sends it as it is; `None` when the connection is closed without an answer.
    async fn send_as_is(&self) -> Option<Reply> {
        let mut stream = TcpStream::connect(self.sandbox.address()).await.unwrap();
        stream.write_all(&self.bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Reply::read(&bytes)
    }

    async fn send(self) -> Option<Reply> {
        self.signed().send_as_is().await
    }
}

async fn get(sandbox: &Sandbox, path: &str) -> Reply {
    Call::new(sandbox, "GET", path).send().await.unwrap()
}

async fn post(sandbox: &Sandbox, path: &str, body: &Value) -> Reply {
    Call::new(sandbox, "POST", path).body(body).send().await.unwrap()
}

/// Adds a small stock to product coupon 1.
async fn add(sandbox: &Sandbox, out_request_no: &str) -> Reply {
    post(sandbox, &stocks_path("1"), &body(out_request_no)).await
}

async fn deactivate(sandbox: &Sandbox, stock_id: &str, out_request_no: &str) -> Reply {
    let path = format!("{}/{stock_id}/deactivate", stocks_path("1"));
    let body = json!({ "out_request_no": out_request_no, "deactivate_reason": "批次信息有误" });
    post(sandbox, &path, &body).await
}
