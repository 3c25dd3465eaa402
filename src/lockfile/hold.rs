//! An apply's hold on a workspace: the operating system's lock on the journal, and the fold of the
//! journal into the lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use same_file::Handle;
use thiserror::Error;

use super::append::{Appender, Writer};
use super::journal::{self, Journal, Record, Run};
use super::read::{self, LockError};
use super::{Lock, write};
use crate::crash_point;

/// How long to sleep between two looks at a journal that another process holds.
const POLL: Duration = Duration::from_millis(100);

/// Why an apply could not begin or end.
#[derive(Debug, Error)]
pub enum HoldError {
    /// The lock file is not whole.
    #[error("{}: {error}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What is wrong.
        error: LockError,
    },
    /// The journal cannot be read, so that what an interrupted apply made is not known.
    #[error(
        "{}: {error}; it may hold what an interrupted apply made: make it readable", path.display()
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// Another process holds the workspace.
    #[error(
        "another couponctl works on this workspace{holder}; wait for it to end, or give \
         `--lock-timeout SECONDS` to wait here"
    )]
    Held {
        /// `: process 4711, since 2026-11-23T02:00:00Z`, where the journal says so.
        holder: String,
    },
    /// The file system refused before anything was sent.
    #[error("{}: {error}; nothing was sent. {advice}", path.display())]
    Begin {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// A later couponctl left the journal.
    #[error(
        "{}: written by a later couponctl (journal version {version}); finish with that version, \
         since this one could misread what it did", path.display()
    )]
    NewerJournal {
        /// The journal.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// The journal is for another brand.
    #[error(
        "{}: belongs to brand {found}, but the settings say brand {configured}; finish that apply \
         with the settings it began with", path.display()
    )]
    JournalOfOtherBrand {
        /// The journal.
        path: PathBuf,
        /// The brand in it.
        found: String,
        /// The brand of the settings.
        configured: String,
    },
    /// The lock could not be written at the end.
    #[error(
        "{}: {error}; nothing is lost: what was learned is in {}, and the next `couponctl apply` \
         folds it in", path.display(), journal.display()
    )]
    Fold {
        /// The lock file.
        path: PathBuf,
        /// The journal that keeps the results.
        journal: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// Somebody else changed the lock during the run, and not only by adding to it.
    #[error(
        "{}: {change} while the apply ran, so it was left as it is; nothing is lost: what was \
         learned is in {}. Check the lock (`git diff`), then run `couponctl apply` again: it folds \
         the results in", path.display(), journal.display()
    )]
    Changed {
        /// The lock file.
        path: PathBuf,
        /// The journal that keeps the results.
        journal: PathBuf,
        /// What happened to it.
        change: String,
    },
}

/// The journal that belongs to a lock file.
#[must_use]
pub fn journal_path(lock_path: &Path) -> PathBuf {
    let mut path = lock_path.as_os_str().to_owned();
    path.push(".journal");
    path.into()
}

/// The lock with what a journal adds, as a command sees it that changes nothing.
#[derive(Debug)]
pub struct View {
    /// The lock, results folded in.
    pub lock: Lock,
    /// The journal as read.
    pub journal: Journal,
}

/// Reads lock and journal without waiting for anybody and without writing.
///
/// # Errors
/// When the lock is not whole, or the journal cannot be read or is of a later version or another brand.
pub fn view(lock_path: &Path, brand_id: &str) -> Result<View, HoldError> {
    // The journal first: an apply that ends in between moves results from it into the lock.
    let path = journal_path(lock_path);
    let journal = match read::read_if_there(&path) {
        Ok(bytes) => journal::parse(&bytes.unwrap_or_default()),
        Err(error) => return Err(HoldError::Journal { path, error }),
    };
    check_journal(&journal, &path, brand_id)?;
    let mut lock = read::read(lock_path, brand_id)
        .map_err(|error| HoldError::Lock { path: lock_path.to_owned(), error })?;
    lock.fold(journal.learned.iter().cloned());
    Ok(View { lock, journal })
}

/// Where a copy of a damaged journal goes: an earlier one may hold ids that stand nowhere else.
fn place_aside(journal_path: &Path) -> PathBuf {
    let numbered = |number: u32| match number {
        1 => journal_path.with_extension("journal.damaged"),
        _ => journal_path.with_extension(format!("journal.damaged-{number}")),
    };
    let mut number = 1;
    while numbered(number).symlink_metadata().is_ok() {
        number += 1;
    }
    numbered(number)
}

/// What is learned from a journal that another version or brand wrote could be wrong.
fn check_journal(journal: &Journal, path: &Path, brand_id: &str) -> Result<(), HoldError> {
    if let Some(version) = journal.newer {
        return Err(HoldError::NewerJournal { path: path.to_owned(), version });
    }
    match journal.run.as_ref().filter(|run| run.brand_id != brand_id) {
        Some(run) => Err(HoldError::JournalOfOtherBrand {
            path: path.to_owned(),
            found: run.brand_id.clone(),
            configured: brand_id.to_owned(),
        }),
        None => Ok(()),
    }
}

/// A held workspace. Dropping it without [`Hold::finish`] leaves the journal for the next run.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    journal_path: PathBuf,
    brand_id: String,
    /// The lock as it was when the hold began, results of earlier runs folded in.
    pub lock: Lock,
    /// Requests of earlier runs of which it is not known what came.
    pub open: Vec<journal::Intent>,
    /// How many results of an earlier run were folded in at the start.
    pub folded: usize,
    /// A copy of the journal that an earlier run left, when lines of it were damaged.
    pub damaged: Option<PathBuf>,
    /// The bytes that the lock file holds as far as this hold knows.
    base: Option<Vec<u8>>,
    writer: Writer,
}

impl Hold {
    /// Takes the workspace, folds in what an earlier run left, and starts a journal.
    ///
    /// # Errors
    /// When another process holds the workspace for longer than `patience`, or lock or journal
    /// cannot be read or written. Nothing was sent then.
    pub fn begin(
        lock_path: &Path,
        brand_id: &str,
        patience: Duration,
        now: &str,
    ) -> Result<Self, HoldError> {
        let journal_path = journal_path(lock_path);
        let begin = |error, advice| HoldError::Begin { path: journal_path.clone(), error, advice };
        let mut held = take(&journal_path, patience)?;
        let mut bytes = Vec::new();
        held.read_to_end(&mut bytes)
            .map_err(|error| begin(error, "Make the journal readable, and run apply again"))?;
        let left = journal::parse(&bytes);
        check_journal(&left, &journal_path, brand_id)?;
        let damaged = (left.unread > 0).then(|| place_aside(&journal_path));
        if let Some(aside) = &damaged {
            std::fs::copy(&journal_path, aside)
                .map_err(|error| begin(error, "Make room or rights, and run apply again"))?;
        }
        let lock_error = |error| HoldError::Lock { path: lock_path.to_owned(), error };
        let mut base = read::read_bytes(lock_path).map_err(lock_error)?;
        let mut lock = match &base {
            Some(bytes) => read::parse_for(bytes, brand_id).map_err(lock_error)?,
            None => Lock::empty(brand_id),
        };
        let folded = left.learned.len();
        if folded > 0 {
            lock.fold(left.learned);
            let bytes = write::to_bytes(&lock);
            write::replace_file(lock_path, &bytes).map_err(|error| HoldError::Begin {
                path: lock_path.to_owned(),
                error,
                advice: "Make room or rights, and run apply again: the journal keeps the results",
            })?;
            base = Some(bytes);
            crash_point("folded-at-start");
        }
        let open: Vec<_> = left.open.into_values().collect();
        let run = Run {
            version: journal::VERSION,
            brand_id: brand_id.to_owned(),
            pid: std::process::id(),
            started_at: now.to_owned(),
        };
        let file = start_journal(&journal_path, run, &open).map_err(|error| {
            begin(error, "The workspace must be writable for an apply (disk full? read-only?)")
        })?;
        drop(held);
        crash_point("begun");
        let brand_id = brand_id.to_owned();
        let path = lock_path.to_owned();
        let writer = Writer::start(file);
        Ok(Self { path, journal_path, brand_id, lock, open, folded, damaged, base, writer })
    }

    /// A handle through which tasks make records durable.
    #[must_use]
    pub fn appender(&self) -> Appender {
        self.writer.appender()
    }

    /// Where the journal is.
    #[must_use]
    pub fn journal_path(&self) -> &Path {
        &self.journal_path
    }

    /// Writes the lock file anew where it is not in the form that couponctl writes; says whether it did.
    ///
    /// # Errors
    /// When the file system refuses; the file is then as it was.
    pub fn rewrite(&mut self) -> Result<bool, HoldError> {
        let bytes = write::to_bytes(&self.lock);
        if self.base.as_ref().is_none_or(|base| *base == bytes) {
            return Ok(false);
        }
        write::replace_file(&self.path, &bytes).map_err(|error| HoldError::Begin {
            path: self.path.clone(),
            error,
            advice: "Make room or rights, and try again",
        })?;
        self.base = Some(bytes);
        Ok(true)
    }

    /// Ends the run: folds everything learned into the lock and removes the journal, or leaves in
    /// it the requests of which it is not known what came. `change` makes further changes to the
    /// lock, such as renames, once results are folded in.
    ///
    /// # Errors
    /// When the lock cannot be written or somebody else changed it: then the journal stays, and
    /// nothing is lost.
    pub fn finish(self, change: impl FnOnce(&mut Lock)) -> Result<Lock, HoldError> {
        let Self { path, journal_path, brand_id, lock, base, writer, .. } = self;
        let fold_error =
            |error| HoldError::Fold { path: path.clone(), journal: journal_path.clone(), error };
        let mut file = writer.stop().map_err(fold_error)?;
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(fold_error)?;
        if !journal_path.exists() {
            // Somebody deleted it during the run; put back what it held before relying on it.
            write::replace_file(&journal_path, &bytes).map_err(fold_error)?;
        }
        let Journal { run, learned, open, .. } = journal::parse(&bytes);
        let changed = |change| HoldError::Changed {
            path: path.clone(),
            journal: journal_path.clone(),
            change,
        };
        let mut current =
            current_lock(&path, &brand_id, &lock, base.as_deref()).map_err(changed)?;
        let before = current.clone();
        let folded = !learned.is_empty();
        current.fold(learned);
        change(&mut current);
        if current != before {
            crash_point("before-fold");
            write::write(&path, &current).map_err(fold_error)?;
            crash_point("after-fold");
        }
        match run {
            _ if open.is_empty() => remove_if_there(&journal_path).map_err(fold_error)?,
            // Without the results, which are in the lock now: folded again by the next run, they would
            // undo what happens to the lock until then.
            Some(run) if folded => {
                let open: Vec<_> = open.into_values().collect();
                start_journal(&journal_path, run, &open).map_err(fold_error)?;
            }
            _ => {}
        }
        Ok(current)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => write::sync_folder(write::folder_of(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The lock as it is on disk now: as the hold left it, or with what others added. Otherwise says
/// what happened to it.
fn current_lock(
    path: &Path,
    brand_id: &str,
    known: &Lock,
    base: Option<&[u8]>,
) -> Result<Lock, String> {
    let now = read::read_bytes(path).map_err(|error| error.to_string())?;
    if now.as_deref() == base {
        return Ok(known.clone());
    }
    let bytes = now.ok_or("it was deleted")?;
    let theirs = read::parse_for(&bytes, brand_id)
        .map_err(|error| format!("it was changed and is no whole lock now ({error})"))?;
    let only_adds = known.stocks.iter().all(|(name, entry)| theirs.stocks.get(name) == Some(entry));
    if only_adds { Ok(theirs) } else { Err("somebody changed entries of it".to_owned()) }
}

/// Opens and locks the journal, which must still be the one at its path once it is locked.
fn take(path: &Path, patience: Duration) -> Result<File, HoldError> {
    let begin = |error| HoldError::Begin {
        path: path.to_owned(),
        error,
        advice: "The workspace must be writable for an apply (disk full? read-only?)",
    };
    // None: later than can be counted.
    let deadline = Instant::now().checked_add(patience);
    loop {
        let file = open_journal(path).map_err(begin)?;
        match file.try_lock() {
            Ok(()) => {
                let held = Handle::from_file(file.try_clone().map_err(begin)?).map_err(begin)?;
                if Handle::from_path(path).is_ok_and(|there| there == held) {
                    return Ok(file);
                }
                // Its holder replaced or removed it between our opening and our locking.
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(begin(error)),
            Err(std::fs::TryLockError::WouldBlock) => {
                let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
                if left.is_some_and(|left| left.is_zero()) {
                    return Err(HoldError::Held { holder: describe_holder(file) });
                }
                std::thread::sleep(left.map_or(POLL, |left| POLL.min(left)));
            }
        }
    }
}

fn open_journal(path: &Path) -> io::Result<File> {
    // To open a pipe would wait for ever.
    if path.metadata().is_ok_and(|seen| !seen.is_file()) {
        return Err(io::Error::other("this is not a file"));
    }
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn describe_holder(mut file: File) -> String {
    let mut bytes = Vec::new();
    if file.rewind().and_then(|()| file.read_to_end(&mut bytes)).is_err() {
        return String::new();
    }
    journal::parse(&bytes)
        .run
        .map(|run| format!(": process {}, since {}", run.pid, run.started_at))
        .unwrap_or_default()
}

/// Puts a fresh journal, already locked, in the place of the one that was folded.
fn start_journal(path: &Path, run: Run, open: &[journal::Intent]) -> io::Result<File> {
    let folder = write::folder_of(path);
    let mut file = tempfile::Builder::new().prefix(".couponctl-journal-").tempfile_in(folder)?;
    file.as_file().try_lock().map_err(io::Error::from)?;
    let mut text = Record::Run(run).to_line();
    for intent in open {
        text.push_str(&Record::Intent(intent.clone()).to_line());
    }
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    let file = file.persist(path)?;
    write::sync_folder(folder)?;
    Ok(file)
}
