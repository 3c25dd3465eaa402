//! What was read of a workspace. Reads again what was touched, and plans the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use notify::RecursiveMode;

use crate::config::{self, Config, Flags};
use crate::desired::Loaded;
use crate::desired::diagnostic::{Diagnostic, Severity};
use crate::desired::files::relative;
use crate::desired::memory::{Changes, Memory};
use crate::lockfile::hold::{self, View};
use crate::plan::{PassedOver, Plan};
use crate::render::count;
use crate::stamp::Stamp;
use crate::workspace::{self, Choice, Workspace, lock_path};

/// What may have changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// `couponctl.yaml`.
    pub settings: bool,
    /// Which stock files there are.
    pub listing: bool,
    /// Stock files that are known.
    pub files: BTreeSet<String>,
    /// The lock or its journal.
    pub lock: bool,
}

impl Touched {
    /// Everything: events were lost, or there are none.
    #[must_use]
    pub fn everything() -> Self {
        Self { settings: true, listing: true, files: BTreeSet::new(), lock: true }
    }

    /// Adds what else was touched.
    pub fn join(&mut self, other: Self) {
        let Self { settings, listing, files, lock } = other;
        self.settings |= settings;
        self.listing |= listing;
        self.lock |= lock;
        self.files.extend(files);
    }

    /// Whether nothing was touched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The workspace at a moment.
#[derive(Debug)]
pub struct Snapshot {
    /// When.
    pub at: Timestamp,
    /// What changed since the snapshot before: stock files, `couponctl.yaml`, the lock.
    pub changed: BTreeSet<String>,
    /// A changed file has errors, or has lost stocks: perhaps it is only half written.
    pub half_written: bool,
    /// Stock files.
    pub files: usize,
    /// Errors and warnings in the files.
    pub problems: Vec<Diagnostic>,
    /// What came of planning.
    pub outcome: Outcome,
}

/// What came of planning.
#[derive(Debug)]
pub enum Outcome {
    /// A plan, and the workspace that it is for.
    Planned(Box<(Plan, Workspace)>),
    /// So many errors in stock files.
    Errors(usize),
    /// The settings or the lock cannot be used.
    Broken(String),
}

impl Snapshot {
    /// The plan, when there is one.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        match &self.outcome {
            Outcome::Planned(planned) => Some(&planned.0),
            Outcome::Errors(_) | Outcome::Broken(_) => None,
        }
    }
}

/// A workspace that is looked at again and again.
#[derive(Debug)]
pub struct Watched {
    root: PathBuf,
    flags: Flags,
    sandbox: bool,
    /// What the settings were read from; none when there is no such file.
    settings_text: Option<Vec<u8>>,
    settings: Result<Config, String>,
    memory: Option<Memory>,
    lock: Option<Locked>,
    /// How many stocks the lock's file had as it was last read.
    locked: usize,
}

/// Lock and journal as read, and how they looked then.
#[derive(Debug)]
struct Locked {
    looks: [Option<Stamp>; 2],
    view: Result<View, String>,
}

impl Watched {
    /// The workspace in `root`, of which only the settings are read yet.
    #[must_use]
    pub fn new(root: PathBuf, flags: Flags, sandbox: bool) -> Self {
        let mut watched = Self {
            flags: Flags { workspace: Some(root.clone()), ..flags },
            root,
            sandbox,
            settings_text: None,
            settings: Err(String::new()),
            memory: None,
            lock: None,
            locked: 0,
        };
        watched.read_settings();
        watched
    }

    /// Reads everything and plans.
    #[must_use]
    pub fn begin(&mut self) -> Snapshot {
        self.refresh(&Touched::everything());
        self.snapshot(Changes::default())
    }

    /// Reads again what was touched, and plans. None when everything is as it was.
    pub fn refresh(&mut self, touched: &Touched) -> Option<Snapshot> {
        let other_settings = touched.settings && self.read_settings();
        let listing = touched.listing || other_settings;
        let mut changes = self.read_files(listing, &touched.files);
        if other_settings {
            // With other patterns all files may be new: one name says it.
            changes.paths.clear();
            changes.paths.insert(config::FILE_NAME.to_owned());
        }
        if self.read_lock() {
            changes.paths.extend(relative(&self.root, &lock_path(&self.root, self.sandbox)));
        }
        (!changes.paths.is_empty()).then(|| self.snapshot(changes))
    }

    /// Plans anew after an apply of this program: what that did to the lock is no news.
    #[must_use]
    pub fn after_apply(&mut self) -> Snapshot {
        self.read_lock();
        self.snapshot(Changes::default())
    }

    /// Reads the settings; says whether they are other ones than before.
    fn read_settings(&mut self) -> bool {
        let text = std::fs::read(self.root.join(config::FILE_NAME)).ok();
        if text.is_some() && text == self.settings_text {
            return false;
        }
        let is_other = text != self.settings_text;
        self.settings_text = text;
        let stocks = |config: &Config| config.stocks.clone();
        let before = self.settings.as_ref().ok().map(stocks);
        self.settings = workspace::settings(&self.flags).map_err(|error| format!("{error:#}"));
        if let Ok(config) = &self.settings
            && before.is_none_or(|before| before != config.stocks)
        {
            match Memory::new(&config.root, &config.stocks) {
                Ok(memory) => self.memory = Some(memory),
                Err(error) => self.settings = Err(error.to_string()),
            }
        }
        // It may be another brand's now.
        self.lock = None;
        is_other
    }

    fn read_files(&mut self, listing: bool, touched: &BTreeSet<String>) -> Changes {
        let now = Timestamp::now();
        let Some(memory) = self.memory.as_mut().filter(|_| self.settings.is_ok()) else {
            return Changes::default();
        };
        let mut changes = memory.read_again(touched, now);
        if listing {
            let Changes { paths, half_written } = memory.look(now);
            changes.half_written |= half_written;
            changes.paths.extend(paths);
        }
        changes
    }

    /// Reads lock and journal if they look different; says whether they do.
    fn read_lock(&mut self) -> bool {
        let Ok(config) = &self.settings else { return false };
        let path = lock_path(&self.root, self.sandbox);
        let looks = [look_at(&path), look_at(&hold::journal_path(&path))];
        if self.lock.as_ref().is_some_and(|lock| lock.looks == looks) {
            return false;
        }
        let is_first = self.lock.is_none();
        let is_there = path.symlink_metadata().is_ok();
        let view = if !is_there && self.locked > 0 {
            Err(format!(
                "{} is gone, and with it what is known of {}: put it back (`git checkout` does). Where it \
                 is to be gone, begin to watch anew",
                path.display(),
                count(self.locked, "stock")
            ))
        } else {
            hold::view(&path, &config.brand_id).map_err(|error| error.to_string())
        };
        if let (true, Ok(view)) = (is_there, &view) {
            self.locked = view.lock.stocks.len();
        }
        self.lock = Some(Locked { looks, view });
        !is_first
    }

    fn snapshot(&self, changes: Changes) -> Snapshot {
        let Changes { paths, mut half_written } = changes;
        let (files, problems, outcome) = self.plan();
        half_written |= !paths.is_empty() && matches!(outcome, Outcome::Broken(_));
        Snapshot { at: Timestamp::now(), changed: paths, half_written, files, problems, outcome }
    }

    /// What `couponctl plan` would say now.
    fn plan(&self) -> (usize, Vec<Diagnostic>, Outcome) {
        let broken = |error: &str| (0, Vec::new(), Outcome::Broken(error.to_owned()));
        let (config, memory, lock) = match (&self.settings, &self.memory, &self.lock) {
            (Ok(config), Some(memory), Some(lock)) => (config, memory, lock),
            (Err(error), ..) => return broken(error),
            _ => return broken("nothing was read yet"),
        };
        let Loaded { stocks, diagnostics: mut problems, files } = memory.loaded();
        let errors = count_errors(&problems);
        if errors > 0 {
            return (files, problems, Outcome::Errors(errors));
        }
        let view = match &lock.view {
            Ok(view) => view,
            Err(error) => return (files, problems, Outcome::Broken(error.clone())),
        };
        let workspace = Workspace {
            config: config.clone(),
            stocks,
            passed_over: PassedOver::default(),
            warnings: Vec::new(),
        };
        problems.extend(workspace.too_many_with(&view.lock));
        let errors = count_errors(&problems);
        if errors > 0 {
            return (files, problems, Outcome::Errors(errors));
        }
        let open = view.journal.open.values().cloned().collect();
        let plan = match workspace.plan(&view.lock, open, &Choice::default()) {
            Ok(plan) => plan,
            Err(error) => return (files, problems, Outcome::Broken(error.to_string())),
        };
        (files, problems, Outcome::Planned(Box::new((plan, workspace))))
    }

    /// Notes what a path that something happened to has to do with the plan, if anything.
    pub fn note(&self, path: &Path, touched: &mut Touched) {
        let lock = lock_path(&self.root, self.sandbox);
        if path == lock || path == hold::journal_path(&lock) {
            touched.lock = true;
            return;
        }
        let Some(path) = relative(&self.root, path) else { return };
        let name = path.rsplit('/').next().unwrap_or_default();
        let hidden_folder = path.split('/').rev().skip(1).any(|part| part.starts_with('.'));
        if path == config::FILE_NAME {
            touched.settings = true;
        } else if hidden_folder {
            // Tools' files, such as git's.
        } else if let Some(memory) = &self.memory {
            if memory.knows(&path) {
                touched.files.insert(path);
            } else if name == ".gitignore"
                || memory.wants(&path)
                || memory.knows_below(&path)
                || self.root.join(&path).is_dir() && !name.starts_with('.')
                || path.is_empty()
            {
                touched.listing = true;
            }
        }
    }

    /// The folders and files whose changes matter, and whether what is below them does.
    #[must_use]
    pub fn places(&self) -> BTreeMap<PathBuf, RecursiveMode> {
        let mut places = BTreeMap::new();
        places.insert(self.root.clone(), RecursiveMode::NonRecursive);
        if self.sandbox {
            places.insert(workspace::sandbox_home(&self.root), RecursiveMode::NonRecursive);
        }
        for start in self.memory.iter().flat_map(Memory::starts) {
            // The folders above tell when a folder comes into being or a file is replaced.
            let above =
                start.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root));
            for folder in above {
                places.entry(folder.to_owned()).or_insert(RecursiveMode::NonRecursive);
            }
            if !start.is_file() {
                places.insert(start.clone(), RecursiveMode::Recursive);
            }
        }
        places.retain(|place, _| place.is_dir());
        places
    }
}

fn look_at(path: &Path) -> Option<Stamp> {
    path.metadata().ok().as_ref().and_then(Stamp::of)
}

fn count_errors(problems: &[Diagnostic]) -> usize {
    problems.iter().filter(|problem| problem.severity == Severity::Error).count()
}
