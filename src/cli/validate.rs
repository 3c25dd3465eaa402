//! `couponctl validate`: every problem of every stock file.

use clap::{Args, ValueEnum};

use super::terminal::Terminal;
use super::{Ended, Global, SettingFlags, Status, workspace};
use crate::desired::diagnostic::Severity;
use crate::render::{self, problems};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl validate                    problems with their source lines
  couponctl validate --format github    as annotations on a pull request
  couponctl validate --deny-warnings    fail on warnings too")]
pub struct ValidateArgs {
    /// How to print problems
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

/// How to print problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Blocks with the source line, for people
    Text,
    /// A JSON array
    Json,
    /// GitHub workflow annotations
    Github,
}

pub fn run(terminal: &Terminal, global: &Global, args: ValidateArgs) -> Ended {
    let config = workspace::settings(&args.settings.with(global))?;
    let loaded = workspace::load(&config)?;
    workspace::warn_of_no_files(terminal, &config, loaded.files);
    let found = &loaded.diagnostics;
    let errors = found.iter().filter(|d| d.severity == Severity::Error).count();
    let failed = errors > 0 || (args.deny_warnings && !found.is_empty());
    match args.format {
        Format::Text => terminal.result(&problems::text(found, terminal.colours_results()))?,
        Format::Json => terminal.result(&problems::json(found))?,
        Format::Github => terminal.result(&problems::github(found))?,
    }
    if args.format == Format::Text && !failed {
        let stocks = render::count(loaded.stocks.len(), "stock");
        terminal.say(&format!("{stocks} in {}: valid.", render::count(loaded.files, "file")));
    }
    Ok(if failed { Status::Failed } else { Status::Done })
}
