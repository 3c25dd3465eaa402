//! `couponctl lock`: looks at and mends the lock. One file a subcommand.

mod check;
mod merge_driver;
mod mv;
mod rm;
mod show;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use super::terminal::Terminal;
use super::{Ended, Global, workspace};
use crate::config::{Config, Flags};
use crate::identity::StockName;
use crate::lockfile::Lock;
use crate::lockfile::hold::Hold;
use crate::plain::plain;
use crate::validate::rule::nearest;

#[derive(Debug, Subcommand)]
pub enum LockCommand {
    /// Show what is recorded: all stocks as a table, or some in full
    Show(show::ShowArgs),
    /// Show every problem in the lock: form, order, ids, hashes, request numbers
    Check(check::CheckArgs),
    /// Give an entry another name; the stock stays the same
    Mv(mv::MvArgs),
    /// Forget entries; their stocks go on handing out coupons
    Rm(rm::RmArgs),
    /// Merge two locks entry by entry: for git, which calls it
    MergeDriver(merge_driver::MergeDriverArgs),
}

pub fn run(terminal: &Terminal, global: &Global, command: LockCommand) -> Ended {
    match command {
        LockCommand::Show(args) => show::run(terminal, global, &args),
        LockCommand::Check(args) => check::run(terminal, global, &args),
        LockCommand::Mv(args) => mv::run(terminal, global, &args),
        LockCommand::Rm(args) => rm::run(terminal, global, &args),
        LockCommand::MergeDriver(args) => merge_driver::run(terminal, &args),
    }
}

/// Which lock.
#[derive(Debug, Args)]
struct LockFlags {
    /// The sandbox's lock under .couponctl/sandbox/ in place of couponctl.lock
    #[arg(long)]
    sandbox: bool,
    /// The brand [env: COUPONCTL_BRAND_ID]
    #[arg(long, value_name = "ID", help_heading = "Settings")]
    brand_id: Option<String>,
}

impl LockFlags {
    fn config(&self, global: &Global) -> Result<Config> {
        workspace::settings(&Flags {
            workspace: global.workspace.clone(),
            brand_id: self.brand_id.clone(),
            ..Flags::default()
        })
    }
}

/// Which lock, to change it.
#[derive(Debug, Args)]
struct ChangeFlags {
    /// How long to wait for an apply on this workspace to end
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lock_timeout: u64,
    #[command(flatten)]
    lock: LockFlags,
}

impl ChangeFlags {
    /// Takes the same hold as an apply does, so that the two cannot get in each other's way.
    fn hold(&self, terminal: &Terminal, global: &Global) -> Result<Hold> {
        let config = self.lock.config(global)?;
        let patience = Duration::from_secs(self.lock_timeout);
        let hold = workspace::hold(&config, self.lock.sandbox, patience)?;
        workspace::say_what_was_left(terminal, &hold);
        Ok(hold)
    }
}

/// A name that the lock has.
fn recorded(lock: &Lock, text: &str) -> Result<StockName> {
    match StockName::parse(text).filter(|name| lock.stocks.contains_key(name)) {
        Some(name) => Ok(name),
        None => bail!("the lock has no stock named `{}`{}", plain(text), did_you_mean(lock, text)),
    }
}

fn did_you_mean(lock: &Lock, text: &str) -> String {
    nearest(text, lock.stocks.keys().map(StockName::as_str))
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

/// Refuses to touch a name for which a request is open: what comes of it is recorded under that name.
fn nothing_open(hold: &Hold, name: &StockName) -> Result<()> {
    match hold.open.iter().find(|intent| intent.name == *name) {
        Some(intent) => bail!(
            "an interrupted apply sent request {} for `{name}`, and it is not known what came of it; \
             run `couponctl apply` first, which finds out. Nothing was changed",
            intent.out_request_no
        ),
        None => Ok(()),
    }
}
