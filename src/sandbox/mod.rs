//! The API's other side, for trying couponctl out and for tests: a local HTTP server that makes, shows,
//! lists and deactivates stocks as WeChat Pay's brand coupon API does, with signatures both ways and, on
//! request, faults. It shares types with `wechatpay`, but no logic.
//!
//! Where the API leaves room, the sandbox does this: a product coupon exists when its id is 1 to 20 digits
//! that do not end in `404`; a `notify_appid` that ends in `unbound` is not bound to the brand; the last
//! page of a list has no `next_page_token`; refused requests do not count towards the pace.

mod answers;
mod book;
mod connection;
mod faults;
mod guard;
mod keys;
mod record;
mod rules;
mod server;
mod shape;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use faults::{FaultError, FaultKind, Faults, parse_delay};
pub use keys::SandboxKeys;

/// Whether the sandbox would take a stock: its reading of the rules, to hold the validator's against.
#[cfg(test)]
pub(crate) fn takes(stock: &serde_json::Value) -> bool {
    let body = serde_json::json!({"out_request_no": "cc1-000000", "stock": stock});
    rules::add_stock(&body).is_ok()
}

use crate::wechatpay::entity::StockEntity;
use crate::wechatpay::signing::KeyError;
use connection::{Cut, CuttableListener};
use server::{Changing, Server};

/// How long `stop` waits for requests under way.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// What time it is; tests set their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks a function.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Timestamp::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock(…)")
    }
}

/// How a sandbox is set up. The default keeps everything in memory, on a free loopback port.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Where to listen; loopback only. Port 0: any free one.
    pub listen: SocketAddr,
    /// Where the stocks are kept, with the keys in a folder `FILE.keys` beside it; `None`: nowhere.
    pub state_file: Option<PathBuf>,
    /// The brand it serves.
    pub brand_id: String,
    /// The product coupons that exist; `None`: every id of 1 to 20 digits that does not end in `404`.
    pub product_coupons: Option<Vec<String>>,
    /// Requests in any one second; 0: no limit.
    pub requests_per_second: u32,
    /// How long every answer takes at least.
    pub latency: Duration,
    /// Faults to inject.
    pub faults: Faults,
    /// Seed of the draw of faults.
    pub seed: u64,
    /// A folder for what each request's signature is of.
    pub record: Option<PathBuf>,
    /// What time it is.
    pub clock: Clock,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            state_file: None,
            brand_id: "120344".to_owned(),
            product_coupons: None,
            requests_per_second: 20,
            latency: Duration::ZERO,
            faults: Faults::default(),
            seed: 0,
            record: None,
            clock: Clock::default(),
        }
    }
}

/// Why a sandbox did not start or ended.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// Open to other machines.
    #[error(
        "the sandbox listens on loopback addresses only, because it speaks plain HTTP; {address} is \
         none: use 127.0.0.1 or [::1]"
    )]
    NotLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The port cannot be had.
    #[error("the sandbox cannot listen on {address}: {}", listen_reason(.source))]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Another process has the state.
    #[error(
        "{} is in use by another sandbox; stop that one, or give this one another state file",
        .file.display()
    )]
    InUse {
        /// The state file.
        file: PathBuf,
    },
    /// The state cannot be used.
    #[error(
        "{} cannot be used as the state of a sandbox: line {line}: {reason}; if it is one, delete it: it \
         holds trial data only",
        .file.display()
    )]
    State {
        /// The state file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored key cannot be used.
    #[error("{}: {source}; if it is a sandbox's key, delete it and a new one is made", .file.display())]
    Key {
        /// The key file.
        file: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// No key could be made.
    #[error("a key for the sandbox could not be made: the operating system gave no random numbers")]
    KeyNotMade,
    /// A file could not be read or written.
    #[error("{}: {source}", .file.display())]
    File {
        /// The file or folder.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server ended.
    #[error("the sandbox ended: {0}")]
    Ended(String),
}

impl SandboxError {
    fn file(file: &Path, source: io::Error) -> Self {
        Self::File { file: file.to_owned(), source }
    }
}

fn listen_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use; stop what uses it, or choose another (0: any free one)".to_owned()
        }
        _ => error.to_string(),
    }
}

/// A running sandbox. It stops when it is dropped; [`Sandbox::stop`] also waits for requests under way.
pub struct Sandbox {
    address: SocketAddr,
    server: Arc<Server>,
    shut_down: Option<oneshot::Sender<()>>,
    task: JoinHandle<io::Result<()>>,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Starts a sandbox on the current runtime.
    ///
    /// # Errors
    /// When the address, the state or the keys cannot be used; the error says what to do.
    pub async fn start(options: SandboxOptions) -> Result<Self, SandboxError> {
        let address = options.listen;
        if !address.ip().is_loopback() {
            return Err(SandboxError::NotLoopback { address });
        }
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| SandboxError::Listen { address, source })?;
        let address =
            listener.local_addr().map_err(|source| SandboxError::Listen { address, source })?;
        let server = Arc::new(Server::new(options)?);
        let (shut_down, ends) = oneshot::channel::<()>();
        let service = server.router().into_make_service_with_connect_info::<Cut>();
        let serving = axum::serve(CuttableListener(listener), service)
            .with_graceful_shutdown(async move { ends.await.unwrap_or_default() });
        let task = tokio::spawn(serving.into_future());
        Ok(Self { address, server, shut_down: Some(shut_down), task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as the base URL of a client.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a client needs to talk to it.
    #[must_use]
    pub fn keys(&self) -> &SandboxKeys {
        &self.server.keys.public
    }

    /// The environment variables that point couponctl at it.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let keys = self.keys();
        [
            ("COUPONCTL_BASE_URL", self.base_url()),
            ("COUPONCTL_FALLBACK_URL", self.base_url()),
            ("COUPONCTL_BRAND_ID", keys.brand_id.clone()),
            ("COUPONCTL_CERTIFICATE_SERIAL_NO", keys.certificate_serial_no.clone()),
            ("COUPONCTL_PRIVATE_KEY_FILE", keys.private_key_file.display().to_string()),
            ("COUPONCTL_WECHATPAY_PUBLIC_KEY_ID", keys.wechatpay_public_key_id.clone()),
            (
                "COUPONCTL_WECHATPAY_PUBLIC_KEY_FILE",
                keys.wechatpay_public_key_file.display().to_string(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// All its stocks, oldest first.
    #[must_use]
    pub fn stocks(&self) -> Vec<StockEntity> {
        self.server.changing().book.snapshot(self.server.clock.now())
    }

    /// Waits for the server to end, which it does not do by itself.
    ///
    /// # Errors
    /// When it ends nevertheless.
    pub async fn wait(&mut self) -> Result<(), SandboxError> {
        match (&mut self.task).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(SandboxError::Ended(error.to_string())),
            Err(error) => Err(SandboxError::Ended(error.to_string())),
        }
    }

    /// Takes no new request, waits a little for those under way, and lets go of the state.
    pub async fn stop(mut self) {
        drop(self.shut_down.take());
        if tokio::time::timeout(STOP_WITHIN, &mut self.task).await.is_err() {
            tracing::debug!("the sandbox stops with connections still open");
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.task.abort();
        // Connections may outlive the server; the state must not.
        self.server.changing().book.close();
    }
}

impl Server {
    fn new(options: SandboxOptions) -> Result<Self, SandboxError> {
        // The state first: it is what only one process may hold, and its keys with it.
        let book = match &options.state_file {
            Some(file) => book::Book::open(file, &options.brand_id)?,
            None => book::Book::default(),
        };
        let key_folder = options.state_file.as_deref().map(|file| {
            let mut name = file.as_os_str().to_owned();
            name.push(".keys");
            PathBuf::from(name)
        });
        let keys = keys::Keys::load(key_folder.as_deref(), &options.brand_id)?;
        let recorder = match options.record {
            Some(folder) => {
                let pem = keys.brand.to_pem().map_err(|_| SandboxError::KeyNotMade)?;
                let recorder = record::Recorder::new(folder.clone(), &pem);
                Some(recorder.map_err(|error| SandboxError::file(&folder, error))?)
            }
            None => None,
        };
        Ok(Self {
            keys,
            clock: options.clock,
            faults: options.faults,
            latency: options.latency,
            product_coupons: options.product_coupons,
            recorder,
            changing: Mutex::new(Changing {
                book,
                nonces: guard::Nonces::default(),
                pace: guard::Pace::new(options.requests_per_second),
                random: faults::Random::new(options.seed),
            }),
        })
    }
}
