//! `couponctl plan`: what an apply would do. No credentials, no network, no waiting, and
//! no writing but to the cache.

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::terminal::Terminal;
use super::{Ended, Global, SettingFlags, Status, workspace};
use crate::cache::{self, Basis};
use crate::lockfile::hold;
use crate::plan;
use crate::render::{plan_json, plan_text};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl plan                       what an apply would do
  couponctl plan --detailed-exitcode   exit status 2 when there are changes
  couponctl plan --format json | jq .summary")]
pub struct PlanArgs {
    /// How to print the plan
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
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
    settings: SettingFlags,
}

/// How to print a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Blocks and a summary, for people
    Text,
    /// One JSON object, for scripts
    Json,
}

pub fn run(terminal: &Terminal, global: &Global, args: PlanArgs) -> Ended {
    let config = workspace::settings(&args.settings.with(global))?;
    let lock_path = workspace::lock_path(&config.root, args.sandbox);
    let survey = if args.no_cache { cache::pass_over } else { cache::survey };
    let Basis { loaded, unchanged, view } = survey(&config, &lock_path, Timestamp::now())?;
    let workspace = workspace::accept(terminal, config, loaded)?;
    let hold::View { lock, journal } = view?;
    workspace::check_against(terminal, &workspace, &lock)?;
    let open = journal.open.into_values().collect();
    let plan = plan::plan_beside(&unchanged, &workspace.stocks, &lock, open);
    match args.format {
        Format::Text => terminal.result(&plan_text::render(&plan))?,
        Format::Json => Terminal::data(|out| plan_json::write(&plan, out))?,
    }
    for conflict in &plan.conflicts {
        terminal.error(&conflict.to_string());
    }
    let status = if !plan.conflicts.is_empty() {
        Status::Failed
    } else if args.detailed_exitcode && plan.changes_anything() {
        Status::Changes
    } else {
        Status::Done
    };
    // The program ends here: to free every stock on its own would take longer than it takes the
    // operating system to free the whole.
    std::mem::forget((workspace, lock, plan, unchanged));
    Ok(status)
}
