//! `couponctl doctor`: what stands between this machine and a working apply. It changes nothing.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::network::{SandboxFlags, Signal, Signals, runtime};
use super::terminal::Terminal;
use super::{Ended, Global, SettingFlags, Status, workspace};
use crate::config::{self, Config, ConfigError, Flags};
use crate::doctor::gather::{self, Extra, gather};
use crate::doctor::{self, Facts};
use crate::render;

#[derive(Debug, Args)]
#[command(after_help = "\
Checks, in this order:
  settings, URLs; serial number, keys and certificate, and whether they fit together;
  connections to both hosts; this machine's clock against theirs;
  one signed read (at most one stock of one product coupon), which tells whether the API accepts
  this machine's signature, and whether its answer verifies here.
Each is `ok`, a `warning`, a `problem` with what to do, or `skipped` for want of another.
Nothing is changed, nothing is tried twice, and no key is ever shown.

Exit status: 0 when there is no problem (warnings are none), 1 otherwise.

Examples:
  couponctl doctor                     before the first apply, or when the API refuses a signature
  couponctl doctor --certificate ~/Downloads/apiclient_cert.pem
                                       tells a wrong key from a wrong serial number
  couponctl doctor --product-coupon 200000001
                                       reads that one; otherwise one of the lock or the stock files
  couponctl doctor --format json | jq '.checks[] | select(.verdict == \"problem\")'")]
pub struct DoctorArgs {
    /// How to print the checks
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// The brand API certificate; otherwise an apiclient_cert.pem beside the private key file
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The product coupon to read; otherwise the first of the lock, or of the stock files
    #[arg(long, value_name = "ID")]
    product_coupon: Option<String>,
    #[command(flatten)]
    sandbox: SandboxFlags,
    #[command(flatten)]
    settings: SettingFlags,
}

/// How to print checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a check, for people
    Text,
    /// One JSON object, for scripts
    Json,
}

pub fn run(terminal: &Terminal, global: &Global, args: DoctorArgs) -> Ended {
    let DoctorArgs { format, certificate, product_coupon, sandbox, settings } = args;
    let (facts, signal) = match workspace::settings(&settings.with(global)) {
        Ok(config) => {
            let lock = workspace::lock_path(&config.root, sandbox.sandbox);
            let extra = Extra { certificate, product_coupon, lock };
            let runtime = runtime()?;
            let result = runtime.block_on(async {
                tokio::select! {
                    // Files first, as long as a signal still ends the program by itself: reading
                    // one that never ends could not be broken off otherwise.
                    biased;
                    facts = facts(&config, &sandbox, &extra) => facts.map(|facts| (Some(facts), None)),
                    // Only reads are under way: nothing to wait for.
                    signal = async { Signals::listen().next().await } => Ok((None, Some(signal))),
                }
            });
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
            result?
        }
        Err(error) => match error.downcast_ref::<ConfigError>() {
            Some(error) => (Some(gather::without_settings(error)), None),
            None => return Err(error),
        },
    };
    let (Some(facts), None) = (facts, signal) else {
        return Ok(signal.map_or(Status::Failed, |Signal(number)| Status::Signalled(number)));
    };
    let checks = doctor::diagnose(&facts);
    terminal.result(&match format {
        Format::Text => render::doctor::text(&checks),
        Format::Json => render::doctor::json(&checks),
    })?;
    Ok(if doctor::has_problem(&checks) { Status::Failed } else { Status::Done })
}

/// The facts of the API, or of an embedded sandbox, whose settings then stand in the place of the
/// workspace's.
async fn facts(config: &Config, flags: &SandboxFlags, extra: &Extra) -> anyhow::Result<Facts> {
    if !flags.sandbox {
        return Ok(gather(config, extra).await);
    }
    let sandbox = flags.start(config).await?;
    let environment = sandbox.environment();
    let variable = |name: &str| {
        let found = environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
    };
    let config = config::load(config.root.clone(), &Flags::default(), &variable)?;
    let facts = gather(&config, extra).await;
    sandbox.stop().await;
    Ok(facts)
}
