//! What was read of each stock file, so that a file that did not change is not read again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use super::diagnostic::{Diagnostic, Severity};
use super::files::{FilesError, Finder, Found};
use super::sweep::sweep;
use super::{DesiredStock, Loaded, point_at, read};
use crate::stamp::Stamp;
use crate::validate::{period, workspace};

/// A file as it was read.
#[derive(Debug)]
struct Known {
    /// None when the file must be read again however it looks.
    stamp: Option<Stamp>,
    stocks: Vec<Arc<DesiredStock>>,
    diagnostics: Vec<Diagnostic>,
    /// When the rules will say something else of it though it did not change: its period ends.
    until: Option<Timestamp>,
}

impl Known {
    /// Whether there is no need to read the file again.
    fn is_still(&self, finder: &Finder, found: &Found, now: Timestamp) -> bool {
        self.stamp.is_some() && self.stamp == finder.stamp(found) && !self.is_over(now)
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.stocks == other.stocks && self.diagnostics == other.diagnostics
    }
}

/// A file without problems.
#[derive(Debug)]
pub struct Sound<'a> {
    /// Its path in the workspace.
    pub path: &'a str,
    /// How it looked as it was read.
    pub stamp: Stamp,
    /// When the rules will say something else of it though it did not change.
    pub until: Option<Timestamp>,
    /// Its stocks.
    pub stocks: &'a [Arc<DesiredStock>],
}

/// What a look at the files found to be different.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files that were read, or are gone.
    pub paths: BTreeSet<String>,
    /// One of them has errors, or fewer stocks than before: perhaps it is only half written.
    pub half_written: bool,
}

impl Changes {
    fn add(&mut self, path: String, old: Option<&Known>, new: Option<&Known>) {
        let stocks = |known: Option<&Known>| known.map_or(0, |known| known.stocks.len());
        let has_error =
            |known: &Known| known.diagnostics.iter().any(|found| found.severity == Severity::Error);
        self.half_written |= new.is_some_and(has_error) || stocks(new) < stocks(old);
        self.paths.insert(path);
    }
}

/// The stock files of a workspace, as read.
#[derive(Debug)]
pub struct Memory {
    root: PathBuf,
    finder: Finder,
    files: BTreeMap<String, Known>,
}

impl Memory {
    /// Knows nothing yet.
    ///
    /// # Errors
    /// When a pattern cannot be used.
    pub fn new(root: &Path, patterns: &[String]) -> Result<Self, FilesError> {
        let finder = Finder::new(root, patterns)?;
        Ok(Self { root: root.to_owned(), finder, files: BTreeMap::new() })
    }

    /// Finds the files of the workspace and reads those that look new or changed. Files that say the
    /// same as before are not among the changes.
    pub fn look(&mut self, now: Timestamp) -> Changes {
        let mut before = std::mem::take(&mut self.files);
        let finder = &self.finder;
        let ((), looked) = sweep(
            finder,
            || (),
            |(), found| {
                let is_still = |known: &Known| known.is_still(finder, &found, now);
                let still = before.get(&found.path).is_some_and(is_still);
                let read = (!still).then(|| Box::new(known(finder, &found, now)));
                (found.path, read)
            },
        );
        let mut changes = Changes::default();
        for (path, read) in looked {
            // Of two troubles with one path the first is said.
            if self.files.contains_key(&path) {
                continue;
            }
            let old = before.remove(&path);
            if let Some(new) = &read
                && old.as_ref().is_none_or(|old| !old.says_the_same(new))
            {
                changes.add(path.clone(), old.as_ref(), Some(new));
            }
            if let Some(known) = read.map(|read| *read).or(old) {
                self.files.insert(path, known);
            }
        }
        for (path, old) in before {
            changes.add(path, Some(&old), None);
        }
        changes
    }

    /// Finds the files of the workspace and reads those for which `aside` gives nothing. Gives what it
    /// gave for the others, which are not known afterwards, and what it was prepared with while the
    /// walk went on.
    pub fn look_past<P: Sync, T: Send>(
        &mut self,
        now: Timestamp,
        prepare: impl FnOnce() -> P,
        aside: impl Fn(&P, &Finder, &Found) -> Option<T> + Sync,
    ) -> (P, Vec<T>) {
        let finder = &self.finder;
        let (prepared, looked) =
            sweep(finder, prepare, |prepared, found| match aside(prepared, finder, &found) {
                Some(aside) => Err(aside),
                None => Ok(Box::new((known(finder, &found, now), found.path))),
            });
        let mut passed = Vec::new();
        for file in looked {
            match file {
                // Of two troubles with one path the first is said.
                Ok(read) => {
                    let (known, path) = *read;
                    self.files.entry(path).or_insert(known);
                }
                Err(aside) => passed.push(aside),
            }
        }
        (prepared, passed)
    }

    /// Whether no file is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Files that have no problem and need not be read again as long as they look as they did.
    pub fn without_problems(&self) -> impl Iterator<Item = Sound<'_>> {
        self.files.iter().filter_map(|(path, known)| {
            let Known { stamp, stocks, diagnostics, until } = known;
            let stamp = stamp.filter(|_| diagnostics.is_empty())?;
            Some(Sound { path, stamp, until: *until, stocks })
        })
    }

    /// Reads files again that are known, or drops them when they are gone, without looking for
    /// others. Those whose period has ended meanwhile are read again too.
    pub fn read_again(&mut self, paths: &BTreeSet<String>, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        for path in paths {
            let new = self.finder.found(path).map(|found| known(&self.finder, &found, now));
            changes.add(path.clone(), self.files.get(path), new.as_ref());
            match new {
                Some(new) => self.files.insert(path.clone(), new),
                None => self.files.remove(path),
            };
        }
        let over: Vec<_> = self.files.iter().filter(|(_, known)| known.is_over(now)).collect();
        let over: BTreeSet<String> = over.into_iter().map(|(path, _)| path.clone()).collect();
        for path in over {
            if let Some(found) = self.finder.found(&path) {
                self.files.insert(path, known(&self.finder, &found, now));
            }
        }
        changes
    }

    /// Whether a path is that of a file that was read.
    #[must_use]
    pub fn knows(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// Whether files below a folder were read.
    #[must_use]
    pub fn knows_below(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        self.files.range(folder.clone()..).next().is_some_and(|(path, _)| path.starts_with(&folder))
    }

    /// Whether a path is one that a stock file may have.
    #[must_use]
    pub fn wants(&self, path: &str) -> bool {
        self.finder.matches(path)
    }

    /// The folders that stock files can be in, and files that are named outright.
    #[must_use]
    pub fn starts(&self) -> &[PathBuf] {
        self.finder.starts()
    }

    /// What the files say together.
    #[must_use]
    pub fn loaded(&self) -> Loaded {
        let known = || self.files.values();
        let stocks = known().flat_map(|known| &known.stocks).cloned().collect();
        let diagnostics = known().flat_map(|known| &known.diagnostics).cloned().collect();
        together(&self.root, Loaded { files: self.files.len(), stocks, diagnostics })
    }

    /// What the files say together, where nobody will look at them again.
    #[must_use]
    pub fn into_loaded(self) -> Loaded {
        let mut loaded = Loaded { files: self.files.len(), ..Loaded::default() };
        for known in self.files.into_values() {
            loaded.stocks.extend(known.stocks);
            loaded.diagnostics.extend(known.diagnostics);
        }
        together(&self.root, loaded)
    }
}

/// Puts what files say on their own in order, and adds what they say together.
fn together(root: &Path, mut loaded: Loaded) -> Loaded {
    // In order of name, and of place where a name stands twice.
    loaded
        .stocks
        .sort_by(|a, b| (&a.name, &a.file, a.document).cmp(&(&b.name, &b.file, b.document)));
    let clashes = workspace::clashes(&loaded.stocks);
    loaded.diagnostics.extend(point_at(root, &loaded.stocks, &clashes));
    loaded.diagnostics.sort_by(|a, b| {
        let place = |d: &Diagnostic| d.span.map(|span| span.start);
        (&a.source.path, place(a), a.rule).cmp(&(&b.source.path, place(b), b.rule))
    });
    loaded
}

fn known(finder: &Finder, found: &Found, now: Timestamp) -> Known {
    let read_at = SystemTime::now();
    let read::FileRead { stocks, diagnostics, stamp } = read::file(finder, found, now);
    let ends = stocks.iter().filter_map(|stock| period::end(&stock.stock));
    Known {
        stamp: stamp.filter(|stamp| !stamp.is_young(read_at)),
        until: ends.filter(|end| *end > now).min(),
        stocks: stocks.into_iter().map(Arc::new).collect(),
        diagnostics,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, FileTimes};

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::desired::load;

    /// What somebody does to a workspace.
    #[derive(Debug, Clone)]
    enum Edit {
        /// Writes a file: its name, which text, and whether its time is then set back to what it was.
        Write(u8, u8, bool),
        Remove(u8),
        /// Puts one file in the place of another.
        Rename(u8, u8),
        Ignore(bool),
    }

    fn edits() -> impl Strategy<Value = Vec<Vec<Edit>>> {
        let edit = prop_oneof![
            4 => (0..4_u8, 0..6_u8, any::<bool>()).prop_map(|(f, t, back)| Edit::Write(f, t, back)),
            1 => (0..4_u8).prop_map(Edit::Remove),
            1 => (0..4_u8, 0..4_u8).prop_map(|(from, to)| Edit::Rename(from, to)),
            1 => any::<bool>().prop_map(Edit::Ignore),
        ];
        prop::collection::vec(prop::collection::vec(edit, 1..4), 1..6)
    }

    fn path(file: u8) -> String {
        ["stocks/a.yaml", "stocks/b.yaml", "stocks/x/c.yaml", "stocks/x/y/d.yaml"]
            [usize::from(file)]
        .to_owned()
    }

    /// Texts of the same length, so that their sizes do not tell them apart; some are wrong.
    fn text(number: u8) -> String {
        let good = include_str!("../../examples/smallest/stocks/coffee.yaml");
        let name = |name: &str| good.replacen("coffee-3-off", name, 1);
        match number {
            0 => name("coffee-1-off"),
            1 => name("coffee-2-off"),
            2 => name("coffee-3-off"),
            3 => name("coffee_3-off"),
            4 => good.replacen("stock:", "stack:", 1),
            _ => String::new(),
        }
    }

    fn carry_out(edit: &Edit, root: &Path, touched: &mut BTreeSet<String>) {
        match edit {
            Edit::Write(file, number, back) => {
                let name = path(*file);
                let path = root.join(&name);
                let before = path.metadata().and_then(|seen| seen.modified());
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text(*number)).unwrap();
                if let (true, Ok(before)) = (back, before) {
                    let times = FileTimes::new().set_modified(before);
                    File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
                }
                touched.insert(name);
            }
            Edit::Remove(file) => {
                let _ = fs::remove_file(root.join(path(*file)));
                touched.insert(path(*file));
            }
            Edit::Rename(from, to) => {
                if root.join(path(*to)).parent().unwrap().exists() {
                    let _ = fs::rename(root.join(path(*from)), root.join(path(*to)));
                }
                touched.extend([path(*from), path(*to)]);
            }
            Edit::Ignore(all) => {
                let ignored = if *all { "stocks/x/\n" } else { "" };
                fs::write(root.join(".gitignore"), ignored).unwrap();
            }
        }
    }

    fn same(memory: &Memory, root: &Path, patterns: &[String], now: Timestamp) {
        let (ours, fresh) = (memory.loaded(), load(root, patterns, now).unwrap());
        assert_eq!(ours.files, fresh.files);
        assert_eq!(ours.stocks, fresh.stocks);
        assert_eq!(ours.diagnostics, fresh.diagnostics);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_remembered_is_what_is_there(rounds in edits()) {
            let folder = TempDir::new().unwrap();
            let root = folder.path();
            let patterns = ["stocks/**/*.yaml".to_owned()];
            let now = Timestamp::now();
            let mut memory = Memory::new(root, &patterns).unwrap();
            for round in rounds {
                let mut touched = BTreeSet::new();
                for edit in &round {
                    carry_out(edit, root, &mut touched);
                }
                memory.look(now);
                same(&memory, root, &patterns, now);
            }
        }
    }

    #[test]
    fn a_file_is_read_again_only_when_it_changed_or_was_young() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("stocks/a.yaml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text(0)).unwrap();
        let age = |seconds| {
            let times = SystemTime::now() - std::time::Duration::from_secs(seconds);
            let times = FileTimes::new().set_modified(times);
            File::options().write(true).open(&file).unwrap().set_times(times).unwrap();
        };
        age(60);
        // Times of writing can be set, times of change go by.
        std::thread::sleep(crate::stamp::TIME_STEP);
        let patterns = ["stocks/*.yaml".to_owned()];
        let now = Timestamp::now();
        let mut memory = Memory::new(folder.path(), &patterns).unwrap();
        memory.look(now);
        let first = Arc::clone(&memory.files["stocks/a.yaml"].stocks[0]);
        assert_eq!(memory.look(now), Changes::default());
        let again = Arc::clone(&memory.files["stocks/a.yaml"].stocks[0]);
        assert!(Arc::ptr_eq(&first, &again), "not read again");
        // Its period has ended: the file is as it was, what is said of it is not.
        let later: Timestamp = "9000-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(memory.look(later).paths.len(), 1);
        memory.read_again(&BTreeSet::new(), now);
        // A file in its place, with its size and its time.
        fs::write(folder.path().join("b"), text(1)).unwrap();
        fs::rename(folder.path().join("b"), &file).unwrap();
        age(60);
        memory.look(now);
        assert_eq!(memory.files["stocks/a.yaml"].stocks[0].name.as_str(), "coffee-2-off");
    }
}
