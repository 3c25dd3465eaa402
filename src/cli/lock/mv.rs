//! `couponctl lock mv`: the same stock under another name.

use anyhow::{Result, bail};
use clap::Args;

use super::{ChangeFlags, nothing_open, recorded};
use crate::cli::terminal::Terminal;
use crate::cli::{Ended, Global, Status};
use crate::identity::{NAME_PATTERN, StockName};
use crate::lockfile::RenameError;
use crate::lockfile::hold::Hold;
use crate::plain::plain;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl lock mv spring-100-minus-10 spring-10-off

It does what an apply does when a plan says `rename`: no call, and the entry keeps its request number \
and, in requested_as, the name it was made from. Change `name` in the stock file too, or the next plan \
renames it back.")]
pub struct MvArgs {
    /// The name that it has
    old: String,
    /// The name that it gets
    new: String,
    #[command(flatten)]
    flags: ChangeFlags,
}

pub fn run(terminal: &Terminal, global: &Global, args: &MvArgs) -> Ended {
    let Some(new) = StockName::parse(&args.new) else {
        bail!(
            "`{}` cannot be a name: 1 to 63 of a-z, 0-9 and `-`, beginning and ending with a letter or digit ({NAME_PATTERN})",
            plain(&args.new)
        );
    };
    let hold = args.flags.hold(terminal, global)?;
    let old = may_move(&hold, &args.old, &new);
    let mut failed: Option<RenameError> = None;
    let lock = hold.finish(|lock| {
        if let Ok(old) = &old {
            failed = lock.rename(old, &new).err();
        }
    })?;
    let old = old?;
    if let Some(error) = failed {
        bail!("{error}; nothing was changed");
    }
    let stock_id = lock.stocks.get(&new).map(|entry| entry.stock_id.as_str()).unwrap_or_default();
    terminal.result(&format!("{old} → {new}: stock {}\n", plain(stock_id)))?;
    terminal.say(&format!(
        "Give it the name `{new}` in its stock file too, or the next plan renames it back."
    ));
    Ok(Status::Done)
}

fn may_move(hold: &Hold, old: &str, new: &StockName) -> Result<StockName> {
    let old = recorded(&hold.lock, old)?;
    if let Some(there) = hold.lock.stocks.get(new) {
        bail!(
            "`{new}` is there already: it stands for stock {}; take another name, or `couponctl lock rm {new}` first. Nothing was changed",
            plain(&there.stock_id)
        );
    }
    nothing_open(hold, &old)?;
    nothing_open(hold, new)?;
    Ok(old)
}
