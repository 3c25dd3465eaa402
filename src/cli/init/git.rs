//! What `couponctl init` does for git: says in `.gitattributes` who merges the lock, and sets that
//! merge driver up in the clone, since git takes no commands from a repository.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::cli::terminal::Terminal;
use crate::lockfile::FILE_NAME;

const ATTRIBUTES: &str = ".gitattributes";
const ATTRIBUTE: &str = "merge=couponctl";
const NAME: (&str, &str) = ("merge.couponctl.name", "couponctl.lock, entry by entry");
const DRIVER: (&str, &str) = ("merge.couponctl.driver", "couponctl lock merge-driver %O %A %B");

/// Has `.gitattributes` name the merge driver; says what was done.
pub fn attributes(terminal: &Terminal, root: &Path) -> Result<String> {
    let path = root.join(ATTRIBUTES);
    let failed = || format!("{} cannot be read or written", path.display());
    let there = match fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(failed),
    };
    let text = String::from_utf8_lossy(there.as_deref().unwrap_or_default()).into_owned();
    // The last line that matches is the one that counts.
    let merge = text.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace();
        let matches =
            words.next().is_some_and(|pattern| pattern.trim_start_matches('/') == FILE_NAME);
        words
            .find(|word| word.trim_start_matches(['-', '!']).starts_with("merge"))
            .filter(|_| matches)
    });
    if let Some(merge) = merge {
        if merge != ATTRIBUTE {
            terminal.warn(&format!(
                "{ATTRIBUTES} was there already with `{merge}` for {FILE_NAME}; `{ATTRIBUTE}` merges it entry by entry"
            ));
        }
        return Ok(format!("kept {ATTRIBUTES}"));
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{gap}{FILE_NAME} {ATTRIBUTE}\n").as_bytes()))
        .with_context(failed)?;
    Ok(match there {
        Some(_) => format!("added a line to {ATTRIBUTES}"),
        None => format!("made {ATTRIBUTES}"),
    })
}

/// Sets the merge driver up in the clone that the folder is in, or says how.
pub fn merge_driver(terminal: &Terminal, root: &Path) {
    if git(root, &["rev-parse", "--is-inside-work-tree"]).as_deref() != Some("true") {
        terminal.say(&format!(
            "\nFor merges of {FILE_NAME} entry by entry, once in every clone:\n{}",
            commands()
        ));
        return;
    }
    match git(root, &["config", "--get", DRIVER.0]) {
        Some(there) if there == DRIVER.1 => {}
        Some(there) => terminal.say(&format!(
            "git has `{}` as {} already; it was kept.",
            crate::plain::plain(&there),
            DRIVER.0
        )),
        None => {
            let set = [NAME, DRIVER]
                .iter()
                .all(|(key, value)| git(root, &["config", "--local", key, value]).is_some());
            if set {
                terminal.say(&format!(
                    "\nSet up git in this clone to merge {FILE_NAME} entry by entry ({}); other clones: `couponctl init` there.",
                    DRIVER.0
                ));
            } else {
                terminal.warn(&format!(
                    "git could not be told how to merge {FILE_NAME}; once in every clone:\n{}",
                    commands()
                ));
            }
        }
    }
}

fn commands() -> String {
    let lines: Vec<_> =
        [NAME, DRIVER].iter().map(|(key, value)| format!("  git config {key} '{value}'")).collect();
    lines.join("\n")
}

/// What git says, when it is there and all is well.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
