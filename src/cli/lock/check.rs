//! `couponctl lock check`: every problem of the lock.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::LockFlags;
use crate::cli::terminal::Terminal;
use crate::cli::{Ended, Global, Status, workspace};
use crate::lockfile::hold::{HoldError, journal_path};
use crate::lockfile::journal::{self, Journal};
use crate::lockfile::{FILE_NAME, check, read};
use crate::render::{count, lock_json, lock_text};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl lock check                 in a pipeline: exit status 1 when the lock was broken by hand
  couponctl lock check --fix           after a merge by hand: puts order and form right

It needs no credentials and no network, and checks that the lock reads as a whole, that its bytes are \
those that couponctl writes, that no stock id stands there twice (superseded ones too), and that each \
entry's content_sha256 and out_request_no are what its content, name and generation give.")]
pub struct CheckArgs {
    /// How to print problems
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write the lock anew first, in the order and form that couponctl writes; changes no content
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    flags: LockFlags,
}

/// How to print problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a problem, for people
    Text,
    /// One JSON object, for scripts
    Json,
}

pub fn run(terminal: &Terminal, global: &Global, args: &CheckArgs) -> Ended {
    let config = args.flags.config(global)?;
    let path = workspace::lock_path(&config.root, args.flags.sandbox);
    let shown = path.strip_prefix(&config.root).unwrap_or(&path).display().to_string();
    let failed = |error| HoldError::Lock { path: path.clone(), error };
    let mut bytes = read::read_bytes(&path).map_err(failed)?;
    // One that does not read cannot be written anew; what is wrong with it is said below.
    if args.fix && bytes.as_ref().is_some_and(|b| read::parse_for(b, &config.brand_id).is_ok()) {
        let mut hold = workspace::hold(&config, args.flags.sandbox, Duration::ZERO)?;
        workspace::say_what_was_left(terminal, &hold);
        let fixed = hold.rewrite()?;
        hold.finish(|_| {})?;
        if fixed {
            terminal.say(&format!("{shown}: written anew; its content is the same."));
        }
        bytes = read::read_bytes(&path).map_err(failed)?;
    }
    let journal =
        std::fs::read(journal_path(&path)).map(|b| journal::parse(&b)).unwrap_or_default();
    let problems =
        bytes.as_ref().map(|bytes| check::check(bytes, &config.brand_id)).unwrap_or_default();
    match args.format {
        Format::Text => terminal.result(&lock_text::problems(&shown, &problems))?,
        Format::Json => terminal.result(&lock_json::problems(&shown, &problems, &journal))?,
    }
    say_journal(terminal, &journal);
    if !problems.is_empty() {
        terminal.error(&format!("{shown} has {}", count(problems.len(), "problem")));
        return Ok(Status::Failed);
    }
    if args.format == Format::Text {
        terminal.say(&match bytes {
            Some(_) => format!("{shown}: no problems."),
            None => format!("There is no {FILE_NAME}: nothing was recorded yet."),
        });
    }
    Ok(Status::Done)
}

fn say_journal(terminal: &Terminal, journal: &Journal) {
    if let Some(version) = journal.newer {
        terminal.warn(&format!(
            "a later couponctl left a journal (version {version}); finish with that version"
        ));
        return;
    }
    let part = |number: usize, noun: &str| (number > 0).then(|| count(number, noun));
    let parts: Vec<_> = [
        part(journal.learned.len(), "result"),
        part(journal.open.len(), "open request"),
        part(journal.unread, "damaged line"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !parts.is_empty() {
        terminal.warn(&format!(
            "an interrupted or running apply left {} in the journal; `couponctl apply` folds it into the lock",
            parts.join(" and ")
        ));
    }
}
