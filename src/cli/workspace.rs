//! What most commands begin with: the settings, the stock files with their problems, and where the
//! lock is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;

use super::terminal::Terminal;
use crate::apply::timestamp;
use crate::config::{self, Config, Flags};
use crate::desired::diagnostic::{Diagnostic, Severity};
use crate::desired::{self, DesiredStock};
use crate::identity::StockName;
use crate::lockfile::hold::Hold;
use crate::lockfile::{self, Lock};
use crate::render::{count, problems};
use crate::validate;

/// Scratch space of a workspace, safe to delete at any time.
pub const SCRATCH: &str = ".couponctl";

/// A workspace as read.
#[derive(Debug)]
pub struct Workspace {
    /// Its settings.
    pub config: Config,
    /// Its stocks in order of name; only when no file has an error.
    pub stocks: Vec<DesiredStock>,
}

/// Reads the settings of the workspace that the flags or the current folder name.
///
/// # Errors
/// When there is no workspace, or its settings cannot be used.
pub fn settings(flags: &Flags) -> Result<Config> {
    let here = std::env::current_dir().context("the current folder cannot be found")?;
    let root = config::find_workspace(flags.workspace.as_deref(), &here)?;
    Ok(config::load(root, flags, &|name| std::env::var(name).ok())?)
}

/// Reads the stock files of a workspace.
///
/// # Errors
/// When the workspace itself cannot be read; problems in files are in what is loaded.
pub fn load(config: &Config) -> Result<desired::Loaded> {
    Ok(desired::load(&config.root, &config.stocks, Timestamp::now())?)
}

/// Reads a workspace whose files must be free of errors. Says every problem on standard error.
///
/// # Errors
/// When there is no workspace, or a file has an error.
pub fn open(terminal: &Terminal, flags: &Flags) -> Result<Workspace> {
    let config = settings(flags)?;
    let loaded = load(&config)?;
    say_problems(terminal, &loaded.diagnostics);
    let errors = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    if errors > 0 {
        bail!("the stock files have errors; nothing was planned");
    }
    Ok(Workspace { config, stocks: loaded.stocks })
}

fn say_problems(terminal: &Terminal, diagnostics: &[Diagnostic]) {
    let wanted = |found: &&Diagnostic| found.severity == Severity::Error || !terminal.is_quiet();
    let shown: Vec<Diagnostic> = diagnostics.iter().filter(wanted).cloned().collect();
    if !shown.is_empty() {
        terminal.complain(problems::text(&shown, terminal.colours_errors()).trim_end());
    }
}

impl Workspace {
    /// Refuses more live stocks of one product coupon than the API allows, counting the lock's.
    ///
    /// # Errors
    /// When there are too many.
    pub fn check_against(&self, terminal: &Terminal, lock: &Lock) -> Result<()> {
        let now = Timestamp::now();
        let locked = lock.stocks.iter().map(|(name, e)| (name, e.product_coupon_id.as_str()));
        let is_over = |name: &StockName| {
            let stock = lock.stocks.get(name).and_then(|entry| entry.parse_stock().ok());
            stock.is_some_and(|stock| validate::period::is_over(&stock, now))
        };
        let found = validate::workspace::too_many_stocks(&self.stocks, locked, is_over);
        if found.is_empty() {
            return Ok(());
        }
        say_problems(terminal, &desired::point_at(&self.config.root, &self.stocks, &found));
        bail!("too many stocks of one product coupon; nothing was planned");
    }

    /// Takes hold of the lock of the API, or of the sandbox's own, to change it.
    ///
    /// # Errors
    /// When another process holds it for longer than `patience`, or it cannot be read or written.
    pub fn hold(&self, sandbox: bool, patience: Duration) -> Result<Hold> {
        hold(&self.config, sandbox, patience)
    }

    /// The lock of the API, or the sandbox's own.
    #[must_use]
    pub fn lock_path(&self, sandbox: bool) -> PathBuf {
        lock_path(&self.config.root, sandbox)
    }
}

/// Takes hold of a workspace's lock, or of its sandbox's, to change it.
///
/// # Errors
/// When another process holds it for longer than `patience`, or it cannot be read or written.
pub fn hold(config: &Config, sandbox: bool, patience: Duration) -> Result<Hold> {
    if sandbox {
        let home = sandbox_home(&config.root);
        std::fs::create_dir_all(&home)
            .with_context(|| format!("{} cannot be made", home.display()))?;
    }
    let now = timestamp(Timestamp::now());
    Ok(Hold::begin(&lock_path(&config.root, sandbox), &config.brand_id, patience, &now)?)
}

/// Says what a hold found of an interrupted apply.
pub fn say_what_was_left(terminal: &Terminal, hold: &Hold) {
    if let Some(aside) = &hold.damaged {
        terminal.warn(&format!(
            "the journal of an interrupted apply has damaged lines; what could be read counts, and a copy is in {}",
            aside.display()
        ));
    }
    if hold.folded > 0 {
        let number = count(hold.folded, "result");
        terminal.say(&format!("Recorded {number} of an interrupted apply."));
    }
}

/// The lock of a workspace, or that of its sandbox.
#[must_use]
pub fn lock_path(root: &Path, sandbox: bool) -> PathBuf {
    if sandbox {
        sandbox_home(root).join(lockfile::FILE_NAME)
    } else {
        root.join(lockfile::FILE_NAME)
    }
}

/// Where the embedded sandbox keeps its state, its keys and its lock.
#[must_use]
pub fn sandbox_home(root: &Path) -> PathBuf {
    root.join(SCRATCH).join("sandbox")
}
