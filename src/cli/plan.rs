//! `couponctl plan`: what an apply would do. No credentials, no network, no waiting, no writing.

use clap::{Args, ValueEnum};

use super::terminal::Terminal;
use super::{Ended, Global, SettingFlags, Status, workspace};
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
    let workspace = workspace::open(terminal, &args.settings.with(global))?;
    let view = hold::view(&workspace.lock_path(args.sandbox), &workspace.config.brand_id)?;
    workspace::check_against(terminal, &workspace, &view.lock)?;
    let hold::View { lock, journal } = view;
    let open = journal.open.into_values().collect();
    let plan = plan::plan(&workspace.stocks, &lock, open);
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
    std::mem::forget((workspace, lock, plan));
    Ok(status)
}
