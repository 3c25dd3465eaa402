//! Finding stock files: the patterns of the settings, .gitignore respected.

use std::borrow::Cow;
use std::fs::{FileType, Metadata};
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;
use ignore::gitignore::Gitignore;
use thiserror::Error;

use crate::stamp::Stamp;

/// Why a link is not followed.
const LEADS_OUT: &str = "this link leads out of the workspace";

/// Why stock files could not be looked for at all.
#[derive(Debug, Error)]
pub enum FilesError {
    /// A pattern that is none.
    #[error("couponctl.yaml: `stocks: {pattern}` is not a pattern of files: {error}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What is wrong.
        error: globset::Error,
    },
    /// A pattern that leads out of the workspace.
    #[error("couponctl.yaml: `stocks: {0}` leads out of the workspace; stock files are inside it")]
    Outside(String),
    /// A pattern that is meant to leave files out.
    #[error(
        "couponctl.yaml: `stocks: {0}` leaves nothing out: patterns only add files; name those to leave out in .gitignore"
    )]
    Exclusion(String),
}

/// A name that matches, as a walk came to it. No more is looked at than is asked for.
#[derive(Debug)]
pub struct Found {
    /// Path relative to the workspace, `/` between folders, as it is shown.
    pub path: String,
    /// The file itself.
    pub file: PathBuf,
    kind: Kind,
}

/// What a folder says of a name in it.
#[derive(Debug)]
enum Kind {
    File,
    Link,
    /// A folder, or something odder.
    Other,
    /// It could not be come to.
    Trouble(String),
}

/// Finds the files of a workspace that match its patterns.
#[derive(Debug)]
pub struct Finder {
    root: PathBuf,
    set: GlobSet,
    starts: Vec<PathBuf>,
}

fn set_of(patterns: &[String]) -> Result<GlobSet, FilesError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
            return Err(FilesError::Outside(pattern.clone()));
        }
        if pattern.starts_with('!') {
            return Err(FilesError::Exclusion(pattern.clone()));
        }
        let error = |error| FilesError::Pattern { pattern: pattern.clone(), error };
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(error)?);
    }
    set.build().map_err(|error| FilesError::Pattern { pattern: String::new(), error })
}

/// The folders that patterns can match in: what is before their first wildcard.
fn starts_of(root: &Path, patterns: &[String]) -> Vec<PathBuf> {
    let mut starts: Vec<PathBuf> = patterns
        .iter()
        .map(|pattern| {
            let fixed = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{']));
            let fixed: PathBuf = fixed.collect();
            root.join(fixed)
        })
        .collect();
    starts.sort();
    starts.dedup();
    let all = starts.clone();
    starts.retain(|start| !all.iter().any(|other| other != start && start.starts_with(other)));
    starts
}

impl Kind {
    fn of(seen: FileType) -> Self {
        if seen.is_file() {
            Self::File
        } else if seen.is_symlink() {
            Self::Link
        } else {
            Self::Other
        }
    }
}

impl Finder {
    /// A finder of what matches the patterns.
    ///
    /// # Errors
    /// When a pattern cannot be used.
    pub fn new(root: &Path, patterns: &[String]) -> Result<Self, FilesError> {
        let starts = starts_of(root, patterns);
        Ok(Self { root: root.to_owned(), set: set_of(patterns)?, starts })
    }

    /// The folders that files can be in, whether they exist or not, and files that are named outright.
    #[must_use]
    pub fn starts(&self) -> &[PathBuf] {
        &self.starts
    }

    /// Whether a path matches a pattern.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.set.is_match(path)
    }

    /// Walks to all files that match, or stand in the way of one.
    pub fn walk(&self, mut tell: impl FnMut(Found)) {
        let trouble = |path: String, trouble: String| Found {
            path,
            file: PathBuf::new(),
            kind: Kind::Trouble(trouble),
        };
        let (outside, starts): (Vec<_>, Vec<_>) = self
            .starts
            .iter()
            .filter(|start| start.exists())
            .partition(|start| self.leads_out(start));
        for start in outside {
            let path = relative(&self.root, start).unwrap_or_default();
            tell(trouble(path, LEADS_OUT.to_owned()));
        }
        let Some((first, others)) = starts.split_first() else { return };
        let mut walk = WalkBuilder::new(first);
        for start in others {
            walk.add(start);
        }
        // Hidden folders hold tools' files (.git, .couponctl), not stocks.
        walk.hidden(true).ignore(false).git_global(false).follow_links(false);
        self.ignore_as_git_does(&mut walk);
        for entry in walk.build() {
            match entry {
                Ok(entry) if entry.depth() == 0 && entry.path().is_dir() => {}
                Ok(entry) => {
                    let Some(path) = below(&self.root, entry.path()) else { continue };
                    let kind = match entry.file_type() {
                        // It could not be told from others, nor be asked for again.
                        _ if matches!(path, Cow::Owned(_)) && entry.path().to_str().is_none() => {
                            Kind::Trouble("its name is not UTF-8: rename it".to_owned())
                        }
                        // Of a start that is a link, the type is that of what it leads to.
                        _ if entry.path_is_symlink() => Kind::Link,
                        seen => seen.map_or(Kind::Other, Kind::of),
                    };
                    let is_link_to_folder = || matches!(kind, Kind::Link) && entry.path().is_dir();
                    if self.matches(&path) || is_link_to_folder() {
                        let path = path.into_owned();
                        tell(Found { path, file: entry.into_path(), kind });
                    }
                }
                Err(error) => {
                    let path = error_path(&error).and_then(|path| relative(&self.root, path));
                    let why =
                        error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    let path = path.unwrap_or_else(|| "stocks".to_owned());
                    tell(trouble(path, format!("this cannot be read: {why}")));
                }
            }
        }
    }

    /// .gitignore as git has it: from the top of the repository downwards. What is above the repository
    /// is nothing to it. In a workspace that is in none, the workspace is the top.
    fn ignore_as_git_does(&self, walk: &mut WalkBuilder) {
        let top = std::path::absolute(&self.root).unwrap_or_else(|_| self.root.clone());
        if top.ancestors().any(|folder| folder.join(".git").exists()) {
            return;
        }
        walk.require_git(false).parents(false);
        let (ours, _) = Gitignore::new(self.root.join(".gitignore"));
        walk.filter_entry(move |entry| {
            let is_folder = entry.file_type().is_some_and(|seen| seen.is_dir());
            !ours.matched(entry.path(), is_folder).is_ignore()
        });
    }

    /// The file at a path that matched before, if there still is one.
    #[must_use]
    pub fn found(&self, path: &str) -> Option<Found> {
        let file = self.root.join(path);
        let kind = Kind::of(file.symlink_metadata().ok()?.file_type());
        Some(Found { path: path.to_owned(), file, kind })
    }

    /// How a file looks. None for what is no file that may be read.
    #[must_use]
    pub fn stamp(&self, found: &Found) -> Option<Stamp> {
        let seen = found.file.metadata().ok().filter(Metadata::is_file)?;
        self.trouble(found).is_none().then(|| Stamp::of(&seen))?
    }

    /// Why it cannot be read, where its kind tells that already.
    #[must_use]
    pub fn trouble(&self, found: &Found) -> Option<String> {
        let is_link = match &found.kind {
            Kind::File => return None,
            Kind::Trouble(trouble) => return Some(trouble.clone()),
            Kind::Link => true,
            Kind::Other => false,
        };
        match found.file.metadata() {
            Ok(seen) if seen.is_file() => {
                (is_link && self.leads_out(&found.file)).then(|| LEADS_OUT.to_owned())
            }
            // Passed over in silence, its stocks would be missing without a word.
            Ok(seen) if is_link && seen.is_dir() => {
                Some("this is a link to a folder, and such links are not followed".to_owned())
            }
            Ok(seen) if seen.is_dir() => Some("this is a folder, not a file".to_owned()),
            Ok(_) => Some("this is a device, a pipe or a socket, not a file".to_owned()),
            Err(error) => Some(format!("this cannot be read: {error}")),
        }
    }

    fn leads_out(&self, file: &Path) -> bool {
        !matches!(
            (self.root.canonicalize(), file.canonicalize()),
            (Ok(root), Ok(path)) if path.starts_with(&root)
        )
    }
}

fn error_path(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            error_path(err)
        }
        _ => None,
    }
}

/// A path below a folder, with `/` between folders; none when it is not below it.
#[must_use]
pub fn relative(root: &Path, path: &Path) -> Option<String> {
    below(root, path).map(Cow::into_owned)
}

fn below<'a>(root: &Path, path: &'a Path) -> Option<Cow<'a, str>> {
    // What a walk comes to is, but for odd roots, the root, a slash and what is wanted.
    let text = || path.to_str()?.strip_prefix(root.to_str()?)?.strip_prefix('/');
    let is_plain =
        |text: &&str| !text.starts_with('/') && !text.contains("//") && !text.contains("./");
    if cfg!(unix)
        && let Some(text) = text().filter(is_plain)
    {
        return Some(Cow::Borrowed(text));
    }
    let parts: Vec<_> = path
        .strip_prefix(root)
        .ok()?
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    Some(Cow::Owned(parts.join("/")))
}
