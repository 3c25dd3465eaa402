//! The client against a server on a real socket, written by hand: it says and does whatever a test
//! wants, also what no HTTP library would.

mod calls;
mod keys;
mod log;
mod trouble;

use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::client::{Client, ClientOptions, Credentials};
use super::signing::{Authorization, PrivateKey, answer_message, request_message};
use super::verify::unix_now;

const KEY_ID: &str = "PUB_KEY_ID_0000000000000024101100397200000006";

/// The keys of both sides, made once, since making them is slow.
static KEYS: LazyLock<(String, String)> = LazyLock::new(|| {
    let pem = || PrivateKey::generate().unwrap().to_pem().unwrap().to_string();
    (pem(), pem())
});

fn brand_key() -> PrivateKey {
    PrivateKey::from_pem(&KEYS.0).unwrap()
}

fn wechatpay_key() -> PrivateKey {
    PrivateKey::from_pem(&KEYS.1).unwrap()
}

fn credentials() -> Credentials {
    Credentials {
        brand_id: "120344".into(),
        certificate_serial_no: "1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C".into(),
        private_key: brand_key(),
        wechatpay_public_key_id: KEY_ID.into(),
        wechatpay_public_key: wechatpay_key().public_key(),
    }
}

/// Quick: 1,000 requests/s and first waits of up to 5 ms.
fn options(server: &Server) -> ClientOptions {
    ClientOptions {
        base_url: server.url.clone(),
        fallback_url: None,
        requests_per_second: 1000,
        timeout: Duration::from_secs(5),
        first_delay: Duration::from_millis(5),
        ..ClientOptions::default()
    }
}

fn client(server: &Server) -> Client {
    Client::new(credentials(), options(server)).unwrap()
}

/// A stock entity as the documentation shows one.
fn entity() -> Value {
    let example: Value =
        serde_json::from_str(include_str!("../../../tests/data/all-fields-example.json")).unwrap();
    let mut entity = example["response"].clone();
    entity.as_object_mut().unwrap().remove("sequential_usage_rule");
    entity
}

/// What a server does with a request.
#[derive(Debug, Clone)]
enum Reply {
    /// Answers, then closes.
    Bytes(Vec<u8>),
    /// Answers after a while.
    Late(Duration, Vec<u8>),
    /// Says nothing until the client goes away.
    Silence,
}

/// A request as the server got it.
#[derive(Debug, Clone)]
struct Seen {
    at: Instant,
    method: String,
    path_and_query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    fn authorization(&self) -> Authorization {
        Authorization::parse(self.header("Authorization").unwrap()).unwrap()
    }

    /// Whether the signature is over what arrived.
    fn is_signed(&self) -> bool {
        let Authorization { nonce_str, signature, timestamp, .. } = self.authorization();
        let message =
            request_message(&self.method, &self.path_and_query, timestamp, &nonce_str, &self.body);
        brand_key().public_key().verify(&message, &signature)
    }
}

/// A server on loopback, gone when dropped.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Gives the replies in order; the last one again and again.
    async fn with(replies: Vec<Reply>) -> Self {
        Self::by(move |number, _| replies[number.min(replies.len() - 1)].clone()).await
    }

    /// Asks a function for the reply to the request of that number, from 0.
    async fn by(reply: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, reply) = (Arc::clone(&seen), Arc::new(reply));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, reply) = (Arc::clone(&log), Arc::clone(&reply));
                tokio::spawn(async move { serve(stream, &log, &*reply).await });
            }
        });
        Self { url, seen, task }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<Seen>>,
    reply: &(dyn Fn(usize, &Seen) -> Reply + Send + Sync),
) {
    let Some(seen) = request(&mut stream).await else { return };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(seen.clone());
        log.len() - 1
    };
    let bytes = match reply(number, &seen) {
        Reply::Bytes(bytes) => bytes,
        Reply::Late(wait, bytes) => {
            tokio::time::sleep(wait).await;
            bytes
        }
        Reply::Silence => {
            let _ = stream.read(&mut [0; 1]).await;
            return;
        }
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
    // Unread input would turn the close into a reset.
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0; 1])).await;
}

async fn request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ').map(str::to_owned);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let mut seen = Seen {
        at: Instant::now(),
        method: first.next()?,
        path_and_query: first.next()?,
        headers,
        body: bytes.split_off(head + 4),
    };
    let length = seen.header("Content-Length").map_or(0, |length| length.parse().unwrap());
    while seen.body.len() < length {
        stream.read_buf(&mut seen.body).await.ok()?;
    }
    Some(seen)
}

/// An answer to be signed, or to be spoilt.
#[derive(Clone)]
struct Signed {
    status: u16,
    body: Vec<u8>,
    serial: String,
    timestamp: i64,
    signature: Option<String>,
    extra: String,
}

fn signed(body: &Value) -> Signed {
    Signed {
        status: 200,
        body: body.to_string().into_bytes(),
        serial: KEY_ID.into(),
        timestamp: unix_now(),
        signature: None,
        extra: String::new(),
    }
}

impl Signed {
    fn bytes(self) -> Vec<u8> {
        let timestamp = self.timestamp.to_string();
        let signature = self.signature.unwrap_or_else(|| {
            wechatpay_key().sign(&answer_message(&timestamp, "n0nce", &self.body)).unwrap()
        });
        let head = format!(
            "HTTP/1.1 {} x\r\nContent-Length: {}\r\nRequest-ID: 08F-0\r\nConnection: close\r\n\
             Wechatpay-Timestamp: {timestamp}\r\nWechatpay-Nonce: n0nce\r\n\
             Wechatpay-Signature: {signature}\r\nWechatpay-Serial: {}\r\n{}\r\n",
            self.status,
            self.body.len(),
            self.serial,
            self.extra,
        );
        [head.as_bytes(), &self.body].concat()
    }

    fn reply(self) -> Reply {
        Reply::Bytes(self.bytes())
    }
}

/// The answer that a stock is there.
fn ok() -> Reply {
    signed(&entity()).reply()
}

/// An answer without a signature; `headers` each ended by CRLF.
fn plain(status: u16, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Bytes(
        format!(
            "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\
             Request-ID: 0A1B-268435461\r\n{headers}\r\n{body}"
        )
        .into_bytes(),
    )
}

fn error(status: u16, code: &str) -> Reply {
    plain(status, "", &json!({"code": code, "message": "because"}).to_string())
}
