//! The command line: one file a command. Each reads its arguments, calls the rooms below, prints,
//! and decides the exit status; rules live elsewhere.

mod adopt;
mod apply;
mod completions;
mod doctor;
mod explain;
mod init;
mod keyboard;
mod lock;
mod man;
mod network;
mod plan;
mod progress;
mod sandbox;
mod schema;
mod terminal;
mod validate;
mod watch;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Flags;
use crate::plain;
use crate::plan::guardrails::Overridden;
use crate::plan::scope::Targets;
use crate::workspace::Choice;
use terminal::Terminal;

/// GitOps for WeChat Pay coupon batches (商品券批次): YAML files in git, a plan to review, an apply
/// that never makes a stock twice, and a lockfile that says what exists.
#[derive(Debug, Parser)]
#[command(name = "couponctl", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "\
Exit status: 0 done, 1 anything failed, 2 only from `plan --detailed-exitcode`: there are changes.

First steps:
  couponctl init my-coupons           make a workspace with a sample stock
  couponctl -C my-coupons plan        show what an apply would do
  couponctl -C my-coupons apply --sandbox
                                      try it against a sandbox on this machine, without credentials")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// The workspace; otherwise the nearest folder above with a couponctl.yaml
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    workspace: Option<PathBuf>,
    /// Colours in the output
    #[arg(long, value_enum, default_value = "auto", global = true)]
    color: ColorWhen,
    /// Log more to standard error: -v requests, -vv everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true, conflicts_with = "quiet")]
    verbose: u8,
    /// Only results and errors
    #[arg(short, long, global = true)]
    quiet: bool,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Settings that a flag may set; each is stronger than the environment and `couponctl.yaml`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
struct SettingFlags {
    /// The brand [env: COUPONCTL_BRAND_ID]
    #[arg(long, value_name = "ID")]
    brand_id: Option<String>,
    /// Where requests go [env: COUPONCTL_BASE_URL]
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Where they go when that host is in trouble; empty: nowhere [env: COUPONCTL_FALLBACK_URL]
    #[arg(long, value_name = "URL")]
    fallback_url: Option<String>,
}

impl SettingFlags {
    fn with(self, global: &Global) -> Flags {
        Flags {
            workspace: global.workspace.clone(),
            brand_id: self.brand_id,
            base_url: self.base_url,
            fallback_url: self.fallback_url,
        }
    }
}

/// What a plan is about, and what it may pass.
#[derive(Debug, Args)]
struct PlanFlags {
    /// Only stocks of this name, or that match this pattern (repeatable)
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Let this run pass a guardrail of couponctl.yaml, by its name (repeatable)
    #[arg(long, value_name = "ID")]
    override_guardrail: Vec<String>,
}

impl PlanFlags {
    fn choice(&self) -> Result<Choice> {
        let targets = Targets::parse(&self.target)?;
        Ok(Choice { targets, overridden: Overridden::parse(&self.override_guardrail)? })
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a workspace: settings, a sample stock, .gitignore and the editor's schema
    Init(init::InitArgs),
    /// Show every problem in the stock files
    Validate(validate::ValidateArgs),
    /// Show what an apply would do; needs no credentials and no network
    Plan(plan::PlanArgs),
    /// Create the stocks that are missing and record them in couponctl.lock
    Apply(apply::ApplyArgs),
    /// Plan again as files are saved, and apply where that is wanted
    Watch(watch::WatchArgs),
    /// Record a stock that exists already under the name of a file
    Adopt(adopt::AdoptArgs),
    /// Check settings, keys, network and clock, and say what to do where something is wrong
    Doctor(doctor::DoctorArgs),
    /// Look at and mend couponctl.lock without an editor; merge it for git
    #[command(subcommand)]
    Lock(lock::LockCommand),
    /// Run a server on this machine that behaves as the API
    Sandbox(sandbox::SandboxArgs),
    /// Print the JSON Schema of a stock document
    #[command(after_help = "\
Examples:
  couponctl schema > stock.schema.json    for an editor; `couponctl init` sets it up for a workspace")]
    Schema,
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
    /// Write man pages, one a command
    #[command(hide = true)]
    Man(man::ManArgs),
    /// Explain a validation rule: what, why, an example, the source
    Explain(explain::ExplainArgs),
}

/// Runs the program with its arguments, and gives its exit status.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; anything else is wrong usage, which is 1 here.
            let status = u8::from(error.use_stderr());
            let said = error.to_string();
            if plain::holds_private_key(&said) {
                eprint!("{}", plain::without_keys(&said));
            } else {
                let _ = error.print();
            }
            return ExitCode::from(status);
        }
    };
    let terminal = Terminal::new(cli.global.color, cli.global.quiet);
    terminal.log(cli.global.verbose);
    let Cli { global, command } = cli;
    let result = match command {
        Command::Init(args) => init::run(&terminal, &global, &args),
        Command::Validate(args) => validate::run(&terminal, &global, args),
        Command::Plan(args) => plan::run(&terminal, &global, args),
        Command::Apply(args) => apply::run(&terminal, &global, args),
        Command::Watch(args) => watch::run(&terminal, &global, args),
        Command::Adopt(args) => adopt::run(&terminal, &global, args),
        Command::Doctor(args) => doctor::run(&terminal, &global, args),
        Command::Lock(command) => lock::run(&terminal, &global, command),
        Command::Sandbox(args) => sandbox::run(&terminal, &global, args),
        Command::Completions(args) => completions::run(&terminal, &args),
        Command::Man(args) => man::run(&terminal, &args),
        Command::Schema => schema::run(&terminal),
        Command::Explain(args) => explain::run(&terminal, &args),
    };
    terminal.finish(result)
}

/// A status that a command ends with.
type Ended = Result<Status>;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Done.
    Done,
    /// Something failed, and was said.
    Failed,
    /// `plan --detailed-exitcode`: there are changes.
    Changes,
    /// Stopped by a signal.
    Signalled(u8),
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::Failed => 1,
            Status::Changes => 2,
            Status::Signalled(number) => 128 + number,
        })
    }
}
