//! Finding stock files: the patterns of the settings, .gitignore respected.

use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use ignore::WalkBuilder;
use thiserror::Error;

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
}

/// A file that matches, or something in its place that cannot be one.
#[derive(Debug)]
pub struct Found {
    /// Path relative to the workspace, `/` between folders, as it is shown.
    pub path: String,
    /// The file itself.
    pub file: PathBuf,
    /// Why it cannot be read, when that is known already.
    pub trouble: Option<String>,
}

fn patterns(patterns: &[String]) -> Result<GlobSet, FilesError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        if pattern.starts_with('/') || pattern.split('/').any(|part| part == "..") {
            return Err(FilesError::Outside(pattern.clone()));
        }
        let error = |error| FilesError::Pattern { pattern: pattern.clone(), error };
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        set.add(GlobBuilder::new(pattern).literal_separator(true).build().map_err(error)?);
    }
    set.build().map_err(|error| FilesError::Pattern { pattern: String::new(), error })
}

/// The folders that patterns can match in: what is before their first wildcard.
fn starts(root: &Path, patterns: &[String]) -> Vec<PathBuf> {
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
    starts.retain(|start| start.exists());
    starts
}

/// Finds the files of a workspace that match its patterns, in order of path.
///
/// # Errors
/// When a pattern cannot be used.
pub fn find(root: &Path, wanted: &[String]) -> Result<Vec<Found>, FilesError> {
    let set = patterns(wanted)?;
    let starts = starts(root, wanted);
    let Some((first, rest)) = starts.split_first() else { return Ok(Vec::new()) };
    let mut walk = WalkBuilder::new(first);
    for start in rest {
        walk.add(start);
    }
    let mut found = Vec::new();
    // Hidden folders hold tools' files (.git, .couponctl), not stocks.
    walk.hidden(true).require_git(false).git_global(false).follow_links(false);
    for entry in walk.build() {
        match entry {
            Ok(entry) => {
                let Some(path) = relative(root, entry.path()) else { continue };
                let linked_folder = entry.path_is_symlink() && entry.path().is_dir();
                if entry.depth() == 0 && entry.path().is_dir()
                    || !linked_folder && !set.is_match(&path)
                {
                    continue;
                }
                let is_file = entry.path().metadata().map(|found| found.is_file());
                let trouble = match is_file {
                    Ok(true) if leads_out(root, &entry) => {
                        Some("this link leads out of the workspace".to_owned())
                    }
                    Ok(true) => None,
                    // Passed over in silence, its stocks would be missing without a word.
                    Ok(false) if linked_folder => Some(
                        "this is a link to a folder, and such links are not followed".to_owned(),
                    ),
                    Ok(false) => Some("this is a folder, not a file".to_owned()),
                    Err(error) => Some(format!("this cannot be read: {error}")),
                };
                found.push(Found { path, file: entry.into_path(), trouble });
            }
            Err(error) => {
                let path = error_path(&error).and_then(|path| relative(root, path));
                let trouble =
                    error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                found.push(Found {
                    path: path.unwrap_or_else(|| "stocks".to_owned()),
                    file: PathBuf::new(),
                    trouble: Some(format!("this cannot be read: {trouble}")),
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

fn leads_out(root: &Path, entry: &ignore::DirEntry) -> bool {
    entry.path_is_symlink()
        && !matches!(
            (root.canonicalize(), entry.path().canonicalize()),
            (Ok(root), Ok(path)) if path.starts_with(&root)
        )
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

fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts: Vec<_> = path
        .strip_prefix(root)
        .ok()?
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    Some(parts.join("/"))
}
