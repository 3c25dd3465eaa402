//! `couponctl sandbox`: a server on this machine that behaves as the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::network::{Signals, runtime};
use super::terminal::Terminal;
use super::{Ended, Global, Status, workspace};
use crate::config::{FILE_NAME, Flags};
use crate::sandbox::{Clock, FaultKind, Faults, Sandbox, SandboxOptions, parse_delay};

#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub struct SandboxArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// Keep stocks in this file, its keys beside it; otherwise both are gone when it ends
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// The brand that it knows; otherwise that of the workspace, or 120344
    #[arg(long, value_name = "ID")]
    brand_id: Option<String>,
    /// A product coupon that exists (repeatable); otherwise all ids of digits that do not end in 404
    #[arg(long, value_name = "ID")]
    product_coupon: Vec<String>,
    /// Requests in any one second; more are answered with 429
    #[arg(long, default_value_t = 20)]
    requests_per_second: u32,
    /// How long each answer takes, such as 200ms
    #[arg(long, value_parser = parse_span, default_value = "0ms")]
    latency: Duration,
    /// What goes wrong and how often, such as drop-after=0.1 (repeatable)
    #[arg(long, value_name = "KIND=PROBABILITY")]
    fault: Vec<String>,
    /// Seconds that its clock is ahead of this machine's; negative: behind
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    clock_ahead: i32,
    /// Seed of the faults: the same order of requests meets the same faults
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write what was signed in each request and its signature to N.message and N.signature here
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
}

fn after_help() -> String {
    let mut text = "Faults:\n".to_owned();
    for kind in FaultKind::ALL {
        text.push_str(&format!("  {kind:16}{}\n", kind.sentence()));
    }
    text.push_str("\nExamples:\n  couponctl sandbox --state sandbox.jsonl --fault drop-after=0.1");
    text
}

fn parse_span(text: &str) -> Result<Duration, String> {
    parse_delay(text).ok_or_else(|| "not a span of time such as 500ms or 3s".to_owned())
}

pub fn run(terminal: &Terminal, global: &Global, args: SandboxArgs) -> Ended {
    let flags = Flags { workspace: global.workspace.clone(), ..Flags::default() };
    let brand_id = match args.brand_id {
        Some(brand_id) => brand_id,
        None => match workspace::settings(&flags) {
            Ok(config) => config.brand_id,
            // Outside of a workspace any brand will do.
            Err(_) if global.workspace.is_none() => "120344".to_owned(),
            Err(error) => {
                return Err(error.context(format!("{FILE_NAME} names no brand; give --brand-id")));
            }
        },
    };
    let options = SandboxOptions {
        listen: args.listen,
        // The keys beside it are told to clients, which may run in another folder.
        state_file: args.state.map(std::path::absolute).transpose()?,
        brand_id,
        product_coupons: (!args.product_coupon.is_empty()).then_some(args.product_coupon),
        requests_per_second: args.requests_per_second,
        latency: args.latency,
        faults: Faults::parse(&args.fault)?,
        seed: args.seed,
        record: args.record,
        clock: Clock::new(move || {
            let now = Timestamp::now();
            now.checked_add(SignedDuration::from_secs(args.clock_ahead.into())).unwrap_or(now)
        }),
    };
    runtime()?.block_on(async {
        let sandbox = Sandbox::start(options).await?;
        let mut text = String::new();
        for (name, value) in sandbox.environment() {
            text.push_str(&format!("export {name}={}\n", quote(&value)));
        }
        terminal.result(&text)?;
        terminal.say(&format!("The sandbox listens on {}; Ctrl-C ends it.", sandbox.base_url()));
        let signal = Signals::listen().next().await;
        sandbox.stop().await;
        Ok(Status::Signalled(signal.0))
    })
}

/// A value as a shell takes it.
fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}
