//! `couponctl lock merge-driver`: what git calls to merge `couponctl.lock`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::cli::terminal::Terminal;
use crate::cli::{Ended, Status};
use crate::lockfile::merge::markers::{to_bytes_with_markers, whole_files};
use crate::lockfile::merge::{self, Merge};
use crate::lockfile::read::{self, LockError};
use crate::lockfile::{FILE_NAME, Lock, write};
use crate::render::{count, merge_text};

#[derive(Debug, Args)]
#[command(after_help = "\
Set up once for a repository, in its .gitattributes:
  couponctl.lock merge=couponctl
and once in every clone, since git takes no commands from a repository:
  git config merge.couponctl.name 'couponctl.lock, entry by entry'
  git config merge.couponctl.driver 'couponctl lock merge-driver %O %A %B'
`couponctl init` does both. A conflict that a merge left can be merged again with it:
  git checkout --merge couponctl.lock

What one side added, changed or took out is taken, and so is what both sides did alike. A stock that \
took the place of the other side's wins, and no stock id is lost. Two stocks for one name, a stock \
under two names, or an entry taken out here and changed there are conflicts: they are explained on \
standard error, stand between markers in the result, and the exit status is 1.")]
pub struct MergeDriverArgs {
    /// The common ancestor, %O; an empty file when there is none
    base: PathBuf,
    /// Our side, %A; the result is written here
    ours: PathBuf,
    /// Their side, %B
    theirs: PathBuf,
}

pub fn run(terminal: &Terminal, args: &MergeDriverArgs) -> Ended {
    let [base, ours, theirs] = [read(&args.base)?, read(&args.ours)?, read(&args.theirs)?];
    match merged(terminal, &base, &ours, &theirs) {
        Some(merged) => {
            put(&args.ours, &to_bytes_with_markers(&merged))?;
            Ok(say_conflicts(terminal, &merged))
        }
        None => refuse(terminal, &args.ours, &ours, &theirs),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    write::replace_file(path, bytes).with_context(|| {
        format!("{} cannot be written; it is as it was, and nothing was merged", path.display())
    })
}

/// The merge, or nothing once it was said why there is none.
fn merged(terminal: &Terminal, base: &[u8], ours: &[u8], theirs: &[u8]) -> Option<Merge> {
    let side = |what: &str, bytes| match read::parse(bytes) {
        Ok(lock) => Some(lock),
        Err(error) => {
            terminal.error(&format!("{FILE_NAME} cannot be merged: of {what}, {error}"));
            None
        }
    };
    // Both, so that one run says all that is wrong.
    let (ours, theirs) = (side("our side", ours), side("their side", theirs));
    let (ours, theirs) = (ours?, theirs?);
    match merge::merge(ancestor(terminal, base).as_ref(), &ours, &theirs) {
        Ok(merged) => Some(merged),
        Err(error) => {
            terminal.error(&format!(
                "{FILE_NAME} cannot be merged: {error}; keep the lock of the brand that couponctl.yaml \
                 names, and the other one in a workspace of its own"
            ));
            None
        }
    }
}

fn ancestor(terminal: &Terminal, bytes: &[u8]) -> Option<Lock> {
    match read::parse(bytes) {
        Ok(lock) => Some(lock),
        Err(LockError::Empty) => None,
        Err(error) => {
            terminal.warn(&format!(
                "{FILE_NAME}: of the common ancestor, {error}. It is merged as if there was none, so \
                 entries that one side took out come back"
            ));
            None
        }
    }
}

/// Leaves both files whole between markers: git would otherwise leave our side there, and a hasty
/// `git add` would forget their side's stocks.
fn refuse(terminal: &Terminal, path: &Path, ours: &[u8], theirs: &[u8]) -> Ended {
    if let (Ok(ours), Ok(theirs)) = (std::str::from_utf8(ours), std::str::from_utf8(theirs)) {
        put(path, whole_files(ours, theirs).as_bytes())?;
        terminal.complain(&format!(
            "Nothing was merged: {FILE_NAME} holds both sides whole, between markers. Mend what is \
             said above in the commit it comes from and merge again, or keep one side and every \
             stock_id of the other."
        ));
    }
    Ok(Status::Failed)
}

fn say_conflicts(terminal: &Terminal, merged: &Merge) -> Status {
    if merged.conflicts.is_empty() {
        return Status::Done;
    }
    for conflict in &merged.conflicts {
        terminal.error(&merge_text::conflict(conflict));
    }
    terminal.complain(&format!(
        "{FILE_NAME}: {}. Keep one side between each pair of markers and take the markers out; then \
         run `couponctl lock check --fix` and `git add {FILE_NAME}`.",
        count(merged.conflicts.len(), "conflict")
    ));
    Status::Failed
}
