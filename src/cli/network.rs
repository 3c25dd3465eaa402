//! What commands that talk to a server share: the runtime, the client, the embedded sandbox and the
//! signals that stop a run.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::runtime::Runtime;

use super::Status;
use super::terminal::Terminal;
use super::workspace::sandbox_home;
use crate::config::Config;
use crate::sandbox::{Faults, Sandbox, SandboxOptions};
use crate::wechatpay::client::{Client, ClientOptions, Credentials};
use crate::wechatpay::signing::{PrivateKey, PublicKey};

/// The embedded sandbox, and what goes wrong in it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sandbox")]
pub struct SandboxFlags {
    /// Use an embedded sandbox in place of the API, with its own lock under .couponctl/sandbox/
    #[arg(long)]
    pub sandbox: bool,
    /// What goes wrong there and how often, as in `couponctl sandbox --help`
    #[arg(long, value_name = "KIND=PROBABILITY", requires = "sandbox")]
    pub fault: Vec<String>,
    /// Seed of the faults
    #[arg(long, default_value_t = 0, requires = "sandbox")]
    pub seed: u64,
}

impl SandboxFlags {
    /// Starts the embedded sandbox of a workspace.
    ///
    /// # Errors
    /// When it cannot be started, such as when another process has its state.
    pub async fn start(&self, config: &Config) -> Result<Sandbox> {
        let options = SandboxOptions {
            brand_id: config.brand_id.clone(),
            state_file: Some(sandbox_home(&config.root).join("state.jsonl")),
            faults: Faults::parse(&self.fault)?,
            seed: self.seed,
            ..SandboxOptions::default()
        };
        Sandbox::start(options).await.context("the sandbox cannot be started")
    }
}

/// One thread is enough: the work is waiting.
///
/// # Errors
/// When the operating system refuses.
pub fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime cannot be started")
}

/// A client of the API, or of an embedded sandbox that runs as long as it is held.
#[derive(Debug)]
pub struct Connection {
    /// The client.
    pub client: Client,
    _sandbox: Option<Sandbox>,
}

impl Connection {
    /// Connects to the API, or starts the sandbox of the workspace. Nothing goes out yet.
    ///
    /// # Errors
    /// When credentials are missing or wrong, or the sandbox cannot be started.
    pub async fn open(terminal: &Terminal, config: &Config, flags: &SandboxFlags) -> Result<Self> {
        if !flags.sandbox {
            let credentials = config.credentials(&mut |warning| terminal.warn(&warning))?;
            let client = Client::new(credentials, config.api.clone())?;
            return Ok(Self { client, _sandbox: None });
        }
        let sandbox = flags.start(config).await?;
        let keys = sandbox.keys();
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))
        };
        let credentials = Credentials {
            brand_id: keys.brand_id.clone(),
            certificate_serial_no: keys.certificate_serial_no.clone(),
            private_key: PrivateKey::from_pem(&read(&keys.private_key_file)?)?,
            wechatpay_public_key_id: keys.wechatpay_public_key_id.clone(),
            wechatpay_public_key: PublicKey::from_pem(&read(&keys.wechatpay_public_key_file)?)?,
        };
        let options = ClientOptions {
            base_url: sandbox.base_url(),
            fallback_url: None,
            ..config.api.clone()
        };
        Ok(Self { client: Client::new(credentials, options)?, _sandbox: Some(sandbox) })
    }
}

/// The signal that stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal(pub u8);

const INTERRUPT: Signal = Signal(2);
const TERMINATE: Signal = Signal(15);

/// Carries a run out. At the first SIGINT or SIGTERM the client lets nothing further go out and the
/// run comes to its end; a second one ends the program at once.
pub async fn until_done<T>(
    terminal: &Terminal,
    client: &Client,
    run: impl Future<Output = T>,
) -> (T, Option<Signal>) {
    // Before anything goes out, so that no signal ends the program in the midst of it.
    let mut signals = Signals::listen();
    let mut run = std::pin::pin!(run);
    let signal = tokio::select! {
        result = &mut run => return (result, None),
        signal = signals.next() => signal,
    };
    client.stop();
    terminal.complain("Stopping: requests in flight finish or time out, nothing new goes out. Once more to stop at once.");
    tokio::select! {
        result = &mut run => (result, Some(signal)),
        Signal(number) = signals.next() => std::process::exit(128 + i32::from(number)),
    }
}

impl From<Signal> for Status {
    fn from(Signal(number): Signal) -> Self {
        Self::Signalled(number)
    }
}

/// The signals that stop a run, from when it was made.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    streams: Option<[tokio::signal::unix::Signal; 2]>,
}

#[cfg(unix)]
impl Signals {
    /// Listens from here on.
    pub fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let streams = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        // Without handlers the signals do what they do by default: end the program.
        let (Ok(interrupt), Ok(terminate)) = streams else { return Self { streams: None } };
        Self { streams: Some([interrupt, terminate]) }
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        let Some([interrupt, terminate]) = &mut self.streams else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => INTERRUPT,
            _ = terminate.recv() => TERMINATE,
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    /// Listens from here on.
    pub fn listen() -> Self {
        Self {}
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => INTERRUPT,
            Err(_) => std::future::pending().await,
        }
    }
}

/// News that the terminal's window has another size.
#[derive(Debug)]
pub struct Resizes {
    #[cfg(unix)]
    stream: Option<tokio::signal::unix::Signal>,
}

impl Resizes {
    /// Listens from here on.
    pub fn listen() -> Self {
        #[cfg(unix)]
        let kind = tokio::signal::unix::SignalKind::window_change();
        Self {
            #[cfg(unix)]
            stream: tokio::signal::unix::signal(kind).ok(),
        }
    }

    /// The next one.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(stream) = &mut self.stream
            && stream.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
