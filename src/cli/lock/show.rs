//! `couponctl lock show`: what is recorded.

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use globset::Glob;

use super::LockFlags;
use crate::cli::terminal::Terminal;
use crate::cli::{Ended, Global, Status, workspace};
use crate::identity::StockName;
use crate::lockfile::{Entry, Lock, hold};
use crate::plain::plain;
use crate::render::{count, lock_json, lock_text};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl lock show                      a line a stock
  couponctl lock show spring-100-minus-10  one in full, its content as YAML
  couponctl lock show 'spring-*' --format json | jq -r '.stocks[].stock_id'

Results of an interrupted apply that are not folded into the file yet are shown with the others.")]
pub struct ShowArgs {
    /// Entries to show in full; `*` and `?` stand for any characters
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// How to print them
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    flags: LockFlags,
}

/// How to print entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table, or blocks, for people
    Text,
    /// One JSON object, for scripts
    Json,
}

pub fn run(terminal: &Terminal, global: &Global, args: &ShowArgs) -> Ended {
    let config = args.flags.config(global)?;
    let view =
        hold::view(&workspace::lock_path(&config.root, args.flags.sandbox), &config.brand_id)?;
    let shown = select(&view.lock, &args.names)?;
    terminal.result(&match (args.format, args.names.is_empty()) {
        (Format::Json, _) => lock_json::entries(&view.lock.brand_id, &shown),
        (Format::Text, true) => lock_text::table(&shown),
        (Format::Text, false) => lock_text::entries(&shown),
    })?;
    if !view.journal.learned.is_empty() {
        let results = count(view.journal.learned.len(), "result");
        terminal.say(&format!(
            "{results} of an interrupted apply, shown here, will be in the file after the next apply."
        ));
    }
    if args.format == Format::Text && shown.is_empty() {
        terminal.say("The lock holds no stock.");
    }
    Ok(Status::Done)
}

/// The entries that the names or patterns mean, all of them without any.
fn select<'a>(lock: &'a Lock, names: &[String]) -> anyhow::Result<Vec<(&'a StockName, &'a Entry)>> {
    let mut matchers = Vec::with_capacity(names.len());
    for name in names {
        let matcher = Glob::new(name)
            .with_context(|| format!("`{}` is not a pattern", plain(name)))?
            .compile_matcher();
        if !lock.stocks.keys().any(|key| matcher.is_match(key.as_str())) {
            let near = super::did_you_mean(lock, name);
            bail!("the lock has no stock named `{}`{near}", plain(name));
        }
        matchers.push(matcher);
    }
    let wanted = |name: &StockName| {
        matchers.is_empty() || matchers.iter().any(|matcher| matcher.is_match(name.as_str()))
    };
    Ok(lock.stocks.iter().filter(|(name, _)| wanted(name)).collect())
}
