//! `couponctl plan`: what an apply would do. No credentials, no network, no waiting, and nothing is
//! written but the file of `--out` and the cache.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::terminal::Terminal;
use super::workspace::{Refused, Workspace};
use super::{Ended, Global, PlanFlags, SettingFlags, Status, workspace};
use crate::cache::{self, Basis};
use crate::config::FILE_NAME;
use crate::lockfile::{hold, write};
use crate::plan::Plan;
use crate::render::{count, plan_json, plan_markdown, plan_text};
use crate::saved_plan;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl plan                       what an apply would do
  couponctl plan --out plan.json       keep it: `couponctl apply plan.json` does exactly that
  couponctl plan --target 'spring-*'   only stocks whose names match
  couponctl plan --detailed-exitcode   exit status 2 when there are changes
  couponctl plan --format markdown     for a comment on a pull request
  couponctl plan --format json | jq .summary")]
pub struct PlanArgs {
    /// How to print the plan
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Write the plan to a file too, for `couponctl apply FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exit with 2 when there are changes, 0 when there are none
    #[arg(long)]
    detailed_exitcode: bool,
    /// Plan against the sandbox's lock under .couponctl/sandbox/ in place of couponctl.lock
    #[arg(long)]
    sandbox: bool,
    /// Read every file, and leave .couponctl/cache as it is: neither used nor written
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    plan: PlanFlags,
    #[command(flatten)]
    settings: SettingFlags,
}

/// How to print a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Blocks and a summary, for people
    Text,
    /// One JSON object, for scripts
    Json,
    /// GitHub Flavored Markdown, for a comment on a pull request
    Markdown,
}

pub fn run(terminal: &Terminal, global: &Global, args: PlanArgs) -> Ended {
    let format = args.format;
    let ended = plan(terminal, global, args);
    if let Err(error) = &ended
        && format == Format::Markdown
        && !error.is::<super::terminal::Closed>()
    {
        let problems = error.downcast_ref::<Refused>().map_or(&[][..], |refused| &refused.problems);
        terminal.result(&plan_markdown::failure(&format!("{error:#}"), problems))?;
    }
    ended
}

fn plan(terminal: &Terminal, global: &Global, args: PlanArgs) -> Ended {
    let PlanArgs { format, out, detailed_exitcode, sandbox, no_cache, plan, settings } = args;
    let choice = plan.choice()?;
    let config = workspace::settings(&settings.with(global))?;
    let lock_path = workspace::lock_path(&config.root, sandbox);
    // A saved plan holds a hash of the lock, and a target may be any stock: both need all there is.
    let needs_all = out.is_some() || !choice.targets.patterns().is_empty();
    let survey = if no_cache || needs_all { cache::pass_over } else { cache::survey };
    let Basis { loaded, passed_over, view } = survey(&config, &lock_path, Timestamp::now())?;
    workspace::warn_of_no_files(terminal, &config, loaded.files + passed_over.count);
    let workspace = workspace::accept(terminal, config, loaded)?.beside(passed_over);
    let hold::View { lock, journal } = view?;
    if journal.unread > 0 {
        terminal.warn(&format!(
            "{} has {}; what can be read of it counts",
            hold::journal_path(&lock_path).display(),
            count(journal.unread, "damaged line")
        ));
    }
    workspace::check_against(terminal, &workspace, &lock)?;
    let open = journal.open.into_values().collect();
    let plan = workspace.plan(&lock, open, &choice)?;
    match format {
        Format::Text => terminal.result(&plan_text::render(&plan))?,
        Format::Json => Terminal::data(|out| plan_json::write(&plan, out))?,
        Format::Markdown => {
            terminal.result(&plan_markdown::render(&plan, &workspace.warnings))?;
        }
    }
    if say_what_forbids(terminal, &plan) {
        return Ok(Status::Failed);
    }
    if let Some(file) = &out {
        let made_at = Timestamp::now().to_string();
        save(file, &saved_plan::to_text(&plan, &lock, sandbox, &made_at), &workspace)?;
        terminal.say(&format!(
            "Saved: `couponctl apply {}` carries out exactly this plan, or nothing.",
            file.display()
        ));
    }
    let is_change = detailed_exitcode && plan.changes_anything();
    // The program ends here: to free every stock on its own would take longer than it takes the
    // operating system to free the whole.
    std::mem::forget((workspace, lock, plan));
    Ok(if is_change { Status::Changes } else { Status::Done })
}

/// Says on standard error what forbids to carry a plan out; whether there is anything.
pub fn say_what_forbids(terminal: &Terminal, plan: &Plan) -> bool {
    for conflict in &plan.conflicts {
        terminal.error(&conflict.to_string());
    }
    let mut passed: Vec<_> = plan.breaches.iter().filter(|breach| !breach.overridden).collect();
    passed.sort_by_key(|breach| breach.guardrail);
    passed.dedup_by_key(|breach| breach.guardrail);
    if !passed.is_empty() {
        let names: Vec<_> = passed.iter().map(|breach| breach.guardrail).collect();
        terminal
            .error(&format!("the plan passes guardrails of couponctl.yaml: {}", names.join(", ")));
    }
    plan.is_forbidden()
}

/// Writes a saved plan. It takes the place of an older one or of nothing: whatever else is there may be
/// all that there is of it.
fn save(file: &Path, text: &str, workspace: &Workspace) -> Result<()> {
    let shown = file.display();
    anyhow::ensure!(file != Path::new("-"), "--out -: for standard output, use `--format json`");
    let root = &workspace.config.root;
    let locks = [workspace.lock_path(false), workspace.lock_path(true)];
    let journals = locks.clone().map(|lock| hold::journal_path(&lock));
    let mut ours = locks.into_iter().chain(journals).chain([root.join(FILE_NAME)]);
    let is_ours = ours.any(|ours| place_of(&ours) == place_of(file));
    anyhow::ensure!(!is_ours, "--out {shown}: this is a file of the workspace");
    let written = match file.metadata() {
        Ok(seen) if seen.is_file() => {
            let is_plan = seen.len() == 0 || saved_plan::is_one(file).unwrap_or_default();
            anyhow::ensure!(
                is_plan,
                "--out {shown}: this file is no saved plan, so it stays as it is; give another name"
            );
            write::replace_file(file, text.as_bytes())
        }
        // A pipe or a device is written to, not replaced.
        Ok(seen) if !seen.is_dir() => {
            File::options().write(true).open(file).and_then(|mut at| at.write_all(text.as_bytes()))
        }
        _ => write::replace_file(file, text.as_bytes()),
    };
    written.with_context(|| format!("{shown} cannot be written"))
}

/// The folder that a name is in, links followed, and the name: the same for the same file, whether it
/// is there or not.
fn place_of(file: &Path) -> Option<(PathBuf, &OsStr)> {
    Some((write::folder_of(file).canonicalize().ok()?, file.file_name()?))
}
