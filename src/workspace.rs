//! A workspace as a whole: its settings, its stocks, and where its files are. Prints nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use crate::apply::timestamp;
use crate::config::{self, Config, Flags};
use crate::desired::diagnostic::Diagnostic;
use crate::desired::{self, DesiredStock};
use crate::identity::StockName;
use crate::lockfile::hold::Hold;
use crate::lockfile::journal::Intent;
use crate::lockfile::{self, Lock};
use crate::plan::guardrails::Overridden;
use crate::plan::scope::{TargetError, Targets};
use crate::plan::{self, PassedOver, Plan};
use crate::validate;

/// Scratch space of a workspace, safe to delete at any time.
pub const SCRATCH: &str = ".couponctl";

/// A workspace whose files are free of errors.
#[derive(Debug)]
pub struct Workspace {
    /// Its settings.
    pub config: Config,
    /// Its stocks in order of name.
    pub stocks: Vec<Arc<DesiredStock>>,
    /// Further stocks, which were not read since they are as the lock has them.
    pub passed_over: PassedOver,
    /// What is allowed in its files, but likely not wanted.
    pub warnings: Vec<Diagnostic>,
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

/// What a run is told about its plan.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The stocks that it is about.
    pub targets: Targets,
    /// The guardrails that it may pass.
    pub overridden: Overridden,
}

impl Workspace {
    /// The workspace with further stocks, which were not read.
    #[must_use]
    pub fn beside(self, passed_over: PassedOver) -> Self {
        Self { passed_over, ..self }
    }

    /// Holds the stocks against a lock and the guardrails.
    ///
    /// # Errors
    /// When a target matches no stock.
    pub fn plan(
        &self,
        lock: &Lock,
        open: Vec<Intent>,
        choice: &Choice,
    ) -> Result<Plan, TargetError> {
        let mut plan = plan::plan_beside(&self.passed_over, &self.stocks, lock, open);
        choice.targets.narrow(&mut plan, self.stocks.iter().map(|stock| &**stock), lock)?;
        plan.breaches = self.config.guardrails.breaches(&plan, &choice.overridden);
        Ok(plan)
    }

    /// Says where a product coupon has more live stocks than the API allows, counting the lock's.
    #[must_use]
    pub fn too_many_with(&self, lock: &Lock) -> Vec<Diagnostic> {
        let now = Timestamp::now();
        let locked = lock.stocks.iter().map(|(name, e)| (name, e.product_coupon_id.as_str()));
        let is_over = |name: &StockName| {
            let stock = lock.stocks.get(name).and_then(|entry| entry.parse_stock().ok());
            stock.is_some_and(|stock| validate::period::is_over(&stock, now))
        };
        let found = validate::workspace::too_many_stocks(&self.stocks, locked, is_over);
        desired::point_at(&self.config.root, &self.stocks, &found)
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
        scratch(&config.root)
            .and_then(|_| fs::create_dir_all(&home))
            .with_context(|| format!("{} cannot be made", home.display()))?;
    }
    let now = timestamp(Timestamp::now());
    Ok(Hold::begin(&lock_path(&config.root, sandbox), &config.brand_id, patience, &now)?)
}

/// The scratch space of a workspace, made where it is not there, with nothing in it that git would
/// speak of.
///
/// # Errors
/// When the file system refuses.
pub fn scratch(root: &Path) -> io::Result<PathBuf> {
    let folder = root.join(SCRATCH);
    if !folder.exists() {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(".gitignore"), "*\n")?;
    }
    Ok(folder)
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
