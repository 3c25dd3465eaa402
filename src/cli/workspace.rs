//! What most commands begin with: the settings, and the stock files with their problems, which are
//! said on standard error.

use anyhow::Result;
use jiff::Timestamp;

use super::terminal::Terminal;
use crate::config::{Config, Flags};
use crate::desired;
use crate::desired::diagnostic::{Diagnostic, Severity};
use crate::lockfile::Lock;
use crate::lockfile::hold::Hold;
use crate::plan::PassedOver;
use crate::render::{count, plain, problems};
pub use crate::workspace::{SCRATCH, Workspace, hold, lock_path, sandbox_home, scratch, settings};

/// The files of a workspace are not to be planned with.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    why: &'static str,
    /// What is wrong, as it was said.
    pub problems: Vec<Diagnostic>,
}

/// Reads the stock files of a workspace.
///
/// # Errors
/// When the workspace itself cannot be read; problems in files are in what is loaded.
pub fn load(config: &Config) -> Result<desired::Loaded> {
    Ok(desired::load(&config.root, &config.stocks, Timestamp::now())?)
}

/// Reads a workspace whose files must be free of errors. Says every problem on standard error.
///
/// # Errors
/// When there is no workspace, or a file has an error.
pub fn open(terminal: &Terminal, flags: &Flags) -> Result<Workspace> {
    let config = settings(flags)?;
    let loaded = load(&config)?;
    warn_of_no_files(terminal, &config, loaded.files);
    accept(terminal, config, loaded)
}

/// Says that no file was found where there should be some: a pattern may be wrong, or a folder gone.
pub fn warn_of_no_files(terminal: &Terminal, config: &Config, files: usize) {
    if files > 0 {
        return;
    }
    let is_folder = |pattern: &&String| config.root.join(pattern).is_dir();
    let advice = match config.stocks.iter().find(is_folder) {
        Some(folder) => {
            format!(
                "; for all files in a folder, write `{}/**/*.yaml`",
                folder.trim_end_matches('/')
            )
        }
        None => String::new(),
    };
    terminal.warn(&format!(
        "no file matches `stocks` of couponctl.yaml ({}), so no stock is asked for{advice}",
        plain(&config.stocks.join(", "))
    ));
}

/// Takes what was read of a workspace when it is free of errors. Says every problem on standard error.
///
/// # Errors
/// When a file has an error.
pub fn accept(terminal: &Terminal, config: Config, loaded: desired::Loaded) -> Result<Workspace> {
    say_problems(terminal, &loaded.diagnostics);
    let errors = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    if errors > 0 {
        let why = "the stock files have errors; nothing was planned";
        return Err(Refused { why, problems: loaded.diagnostics }.into());
    }
    Ok(Workspace {
        config,
        stocks: loaded.stocks,
        passed_over: PassedOver::default(),
        warnings: loaded.diagnostics,
    })
}

/// Refuses more live stocks of one product coupon than the API allows.
///
/// # Errors
/// When there are too many.
pub fn check_against(terminal: &Terminal, workspace: &Workspace, lock: &Lock) -> Result<()> {
    let found = workspace.too_many_with(lock);
    if found.is_empty() {
        return Ok(());
    }
    say_problems(terminal, &found);
    let why = "too many stocks of one product coupon; nothing was planned";
    Err(Refused { why, problems: found }.into())
}

fn say_problems(terminal: &Terminal, diagnostics: &[Diagnostic]) {
    let wanted = |found: &&Diagnostic| found.severity == Severity::Error || !terminal.is_quiet();
    let shown: Vec<Diagnostic> = diagnostics.iter().filter(wanted).cloned().collect();
    if !shown.is_empty() {
        terminal.complain(problems::text(&shown, terminal.colours_errors()).trim_end());
    }
}

/// Says what a hold found of an interrupted apply.
pub fn say_what_was_left(terminal: &Terminal, hold: &Hold) {
    if let Some(aside) = &hold.damaged {
        terminal.warn(&format!(
            "the journal of an interrupted apply has damaged lines; what could be read counts, and a copy is in {}",
            aside.display()
        ));
    }
    if hold.folded > 0 {
        let number = count(hold.folded, "result");
        terminal.say(&format!("Recorded {number} of an interrupted apply."));
    }
}
