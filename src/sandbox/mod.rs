//! The API's other side: a server on this machine for trying out and for tests. Shares types with
//! `wechatpay`, but no logic, so that each can be held against the other.

mod answers;
pub mod faults;
pub mod keys;
pub(crate) mod rules;
mod server;
mod state;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use faults::Faults;
use keys::Keys;
use state::State;

/// How a sandbox is set up.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The folder of its state and its keys; without one, both are gone when it ends.
    pub home: Option<PathBuf>,
    /// Another file for the state than `state.jsonl` in the home.
    pub state_file: Option<PathBuf>,
    /// The brand that it knows.
    pub brand_id: String,
    /// The product coupons that exist. Without a list: every id of 1 to 20 digits that does not end
    /// in 404.
    pub product_coupons: Option<BTreeSet<String>>,
    /// Requests in any one second; more get 429.
    pub requests_per_second: usize,
    /// How long each answer takes.
    pub latency: Duration,
    /// What goes wrong, and how often.
    pub faults: Faults,
    /// Where to write what was signed in each request, for checking it with other tools.
    pub record: Option<PathBuf>,
}

impl Options {
    /// A sandbox of a brand as it is most often wanted: a free port, no faults, the API's limits.
    #[must_use]
    pub fn of(brand_id: &str) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            home: None,
            state_file: None,
            brand_id: brand_id.to_owned(),
            product_coupons: None,
            requests_per_second: 20,
            latency: Duration::ZERO,
            faults: Faults::default(),
            record: None,
        }
    }
}

/// Why a sandbox could not be started.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// Only this machine may talk to it.
    #[error(
        "{0} is not an address of this machine alone; the sandbox has no TLS, so it listens on 127.0.0.1 or [::1] only"
    )]
    NotLoopback(SocketAddr),
    /// The port is not free.
    #[error("cannot listen on {address}: {error}; choose another port, or 0 for a free one")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// A file of its home cannot be used.
    #[error("{}: {message}", path.display())]
    Home {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
    },
    /// No keys could be made.
    #[error("the sandbox's keys cannot be made: {0}")]
    Keys(crate::wechatpay::signing::SigningError),
}

/// A sandbox that runs.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    keys: Arc<Keys>,
    task: JoinHandle<()>,
}

impl Sandbox {
    /// Starts a sandbox; it serves until it is dropped.
    ///
    /// # Errors
    /// When it cannot listen, or its state or keys cannot be used.
    pub async fn start(options: Options) -> Result<Self, SandboxError> {
        if !options.listen.ip().is_loopback() {
            return Err(SandboxError::NotLoopback(options.listen));
        }
        if let Some(home) = &options.home {
            std::fs::create_dir_all(home).map_err(|error| SandboxError::Home {
                path: home.clone(),
                message: error.to_string(),
            })?;
        }
        let in_home = options.home.as_ref().map(|home| home.join("state.jsonl"));
        let state = State::open(options.state_file.clone().or(in_home))?;
        let keys = Arc::new(Keys::open(options.home.as_deref(), &options.brand_id)?);
        let listen = |error| SandboxError::Listen { address: options.listen, error };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let task = tokio::spawn(server::serve(listener, options, Arc::clone(&keys), state));
        Ok(Self { address, keys, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The keys of both sides.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The environment that points a client at it.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("COUPONCTL_BASE_URL", self.base_url()),
            ("COUPONCTL_FALLBACK_URL", self.base_url()),
        ];
        variables.extend(self.keys.environment());
        variables
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}
