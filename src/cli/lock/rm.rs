//! `couponctl lock rm`: forgets entries, but not without saying what that means.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use clap::Args;

use super::{ChangeFlags, nothing_open, recorded};
use crate::cli::terminal::Terminal;
use crate::cli::{Ended, Global, Status};
use crate::identity::StockName;
use crate::lockfile::hold::Hold;
use crate::render::{CARE, count, lock_text, paint};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl lock rm spring-100-minus-10
  couponctl lock rm --auto-approve spring-100-minus-10    in a pipeline: no question

The stock itself stays and goes on handing out coupons; only its id is forgotten. Note the ids that \
are printed: `couponctl adopt NAME STOCK_ID` records one again. While a file still asks for the stock, \
the next apply sends the same request as before, and the API gives the same stock back.")]
pub struct RmArgs {
    /// The names of the entries
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Forget them without asking
    #[arg(long)]
    auto_approve: bool,
    #[command(flatten)]
    flags: ChangeFlags,
}

pub fn run(terminal: &Terminal, global: &Global, args: &RmArgs) -> Ended {
    let hold = args.flags.hold(terminal, global)?;
    let names = may_forget(terminal, &hold, args);
    let mut forgotten = String::new();
    hold.finish(|lock| {
        for name in names.iter().flatten() {
            if let Some(entry) = lock.stocks.remove(name) {
                forgotten.push_str(&lock_text::forgotten(name, &entry));
            }
        }
    })?;
    names?;
    terminal.result(&forgotten)?;
    Ok(Status::Done)
}

/// The entries to forget, once a person or a flag said so.
fn may_forget(terminal: &Terminal, hold: &Hold, args: &RmArgs) -> Result<BTreeSet<StockName>> {
    let mut names = BTreeSet::new();
    for name in &args.names {
        let name = recorded(&hold.lock, name)?;
        nothing_open(hold, &name)?;
        names.insert(name);
    }
    let entries = || names.iter().filter_map(|name| Some((name, hold.lock.stocks.get(name)?)));
    let stocks: usize = entries().map(|(_, entry)| entry.stock_ids().count()).sum();
    terminal.warn(&format!(
        "{} will be forgotten, and {} on handing out coupons until deactivated by hand",
        count(stocks, "stock id"),
        if stocks == 1 { "its stock goes" } else { "their stocks go" }
    ));
    if args.auto_approve {
        return Ok(names);
    }
    if !Terminal::can_ask() {
        bail!(
            "there is no terminal to ask on; give `--auto-approve` to forget without a question. Nothing was changed"
        );
    }
    for (name, entry) in entries() {
        let ids: Vec<_> = entry.stock_ids().map(crate::plain::plain).collect();
        terminal.complain(&format!("  {name}: {}", ids.join(", ")));
    }
    let question = format!("{} Only `yes` does it:", paint(CARE.bold(), "Forget them?"));
    if terminal.asks(&question) { Ok(names) } else { bail!("not approved; nothing was changed") }
}
