//! `couponctl apply`: settle what an interrupted run left open, plan, show, ask, carry out, record.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::network::{Connection, SandboxFlags, Signal, runtime, until_done};
use super::plan::say_what_forbids;
use super::progress::{Format, Progress, Totals, summary};
use super::terminal::Terminal;
use super::workspace::Workspace;
use super::{Ended, Global, PlanFlags, SettingFlags, Status, workspace};
use crate::apply::outcome::{Event, Outcome};
use crate::apply::settle::{self, Settled};
use crate::apply::{Engine, asked_for, timestamp};
use crate::identity::StockName;
use crate::lockfile::hold::Hold;
use crate::lockfile::journal::Intent;
use crate::lockfile::{Learned, Lock};
use crate::plan::scope::Targets;
use crate::plan::{self, Action, Plan};
use crate::render::{CARE, count, paint, plain, plan_text};
use crate::saved_plan::{self, SavedPlan};
use crate::wechatpay::client::ClientOptions;
use crate::workspace::Choice;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl apply                    plan, show, ask, create
  couponctl apply --auto-approve     in a pipeline: no question
  couponctl apply plan.json          exactly the plan that `plan --out plan.json` saved, or nothing
  couponctl apply --sandbox          try it on this machine, without credentials
  couponctl apply --sandbox --auto-approve --fault drop-after=0.3 --seed 7
                                     and with a bad network

An apply that is interrupted, even by `kill -9`, loses nothing and makes nothing twice: run it again.")]
pub struct ApplyArgs {
    /// A plan saved by `plan --out`: exactly that is carried out, without a question, or nothing
    #[arg(value_name = "PLANFILE", conflicts_with = "target")]
    plan_file: Option<PathBuf>,
    /// Carry the plan out without asking
    #[arg(long)]
    auto_approve: bool,
    /// Allow new stocks in place of old ones, which go on handing out coupons
    #[arg(long)]
    allow_replace: bool,
    /// How long to wait for another apply on this workspace to end
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lock_timeout: u64,
    /// How to report
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    plan: PlanFlags,
    #[command(flatten)]
    sandbox: SandboxFlags,
    #[command(flatten)]
    settings: SettingFlags,
}

pub fn run(terminal: &Terminal, global: &Global, args: ApplyArgs) -> Ended {
    let ApplyArgs { settings, sandbox, format, auto_approve, allow_replace, .. } = args;
    let mut choice = args.plan.choice()?;
    let saved = args.plan_file.as_deref().map(read_plan).transpose()?;
    let workspace = workspace::open(terminal, &settings.with(global))?;
    if let Some(saved) = &saved {
        let file = args.plan_file.as_deref().unwrap_or(Path::new("")).display().to_string();
        saved.check_for(&workspace.config.brand_id, sandbox.sandbox).context(file)?;
        choice.targets = Targets::parse(saved.targets())?;
    }
    let how = How {
        sandbox: &sandbox,
        format,
        // Who saved a plan has seen it.
        auto_approve: auto_approve || saved.is_some(),
        allow_replace,
        patience: Duration::from_secs(args.lock_timeout),
        choice,
        wanted: saved.as_ref().map_or(Wanted::Any, Wanted::Saved),
    };
    Ok(runtime()?.block_on(carry_out(terminal, &workspace, how))?.status)
}

fn read_plan(file: &Path) -> Result<SavedPlan> {
    let read = || -> io::Result<String> {
        let file = File::open(file)?;
        let mut text = String::new();
        file.take(saved_plan::MOST_BYTES).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read().with_context(|| format!("{} cannot be read", file.display()))?;
    SavedPlan::parse(&text).with_context(|| file.display().to_string())
}

/// Which plan is to be carried out.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// Whatever the files ask for.
    Any,
    /// The one that was shown already.
    Shown(&'a Plan),
    /// The one that was saved.
    Saved(&'a SavedPlan),
}

/// How to carry a plan out.
#[derive(Debug)]
pub struct How<'a> {
    pub sandbox: &'a SandboxFlags,
    pub format: Format,
    /// Without asking.
    pub auto_approve: bool,
    pub allow_replace: bool,
    /// How long to wait for another apply on the workspace to end.
    pub patience: Duration,
    /// What it is about, and what it may pass.
    pub choice: Choice,
    /// The plan that it must be.
    pub wanted: Wanted<'a>,
}

/// How an apply ended.
#[derive(Debug)]
pub struct Ending {
    pub status: Status,
    /// What was said at its end, for who shows it again.
    pub report: String,
}

/// Takes the lock, settles what an interrupted apply left, plans, shows, asks, carries out, records.
pub async fn carry_out(terminal: &Terminal, workspace: &Workspace, how: How<'_>) -> Result<Ending> {
    let hold = workspace.hold(how.sandbox.sandbox, how.patience)?;
    workspace::say_what_was_left(terminal, &hold);
    let api = &workspace.config.api.base_url;
    if !how.sandbox.sandbox && *api != ClientOptions::default().base_url {
        terminal.warn(&format!(
            "requests go to {}, not to WeChat Pay: couponctl.lock will hold what is made there",
            plain(api)
        ));
    }
    let mut run = Run { terminal, workspace, how, renames: Vec::new(), report: String::new() };
    let ended = Box::pin(run.carry_out(&hold)).await;
    let renames = std::mem::take(&mut run.renames);
    let mut in_the_way = Vec::new();
    // Whatever happened: what was learned goes into the lock.
    hold.finish(|lock| {
        let failed = renames.iter().filter_map(|(from, to)| lock.rename(from, to).err());
        in_the_way.extend(failed);
    })?;
    for error in &in_the_way {
        terminal.error(&format!("a rename could not be recorded: {error}; run apply again"));
    }
    let status = ended?;
    let status = if in_the_way.is_empty() { status } else { Status::Failed };
    Ok(Ending { status, report: run.report })
}

/// What is asked before a plan is carried out.
#[must_use]
pub fn question() -> String {
    format!("{} Only `yes` carries it out:", paint(CARE.bold(), "Carry out this plan?"))
}

struct Run<'a> {
    terminal: &'a Terminal,
    workspace: &'a Workspace,
    how: How<'a>,
    renames: Vec<(StockName, StockName)>,
    report: String,
}

impl Run<'_> {
    async fn carry_out(&mut self, hold: &Hold) -> Ended {
        let mut connection = None;
        let mut lock = hold.lock.clone();
        let mut open = hold.open.clone();
        if !open.is_empty() {
            let (stopped, left) = self.settle(hold, &mut lock, open, &mut connection).await?;
            open = left;
            if let Some(Signal(number)) = stopped {
                return Ok(Status::Signalled(number));
            }
        }
        workspace::check_against(self.terminal, self.workspace, &lock)?;
        let plan = self.workspace.plan(&lock, open.clone(), &self.how.choice)?;
        match self.how.wanted {
            Wanted::Any => self.show(&plan)?,
            Wanted::Shown(shown) if !plan.does_the_same_as(shown) => {
                bail!("the plan is another one by now; nothing was sent")
            }
            Wanted::Shown(_) => {}
            Wanted::Saved(saved) => {
                saved.check_against(&plan, &lock)?;
                self.show(&plan)?;
            }
        }
        if plan.to_do().next().is_none() {
            self.terminal.say("Nothing to do: every stock is as the files ask.");
            return Ok(Status::Done);
        }
        self.refuse(&plan)?;
        let makes = plan.to_do().filter(|change| change.action != Action::Rename).count();
        if makes > 0 {
            // Before the question: nobody should approve what then fails for want of a key.
            self.connect(&mut connection).await?;
        }
        self.approve()?;
        let renames = plan
            .changes
            .iter()
            .filter_map(|change| Some((change.renamed_from.clone()?, change.name.clone())));
        let (outcomes, signal) = if makes == 0 {
            (Vec::new(), None)
        } else {
            let connection = self.connect(&mut connection).await?;
            self.make(hold, &lock, &plan, &open, connection, makes).await
        };
        self.renames = renames.collect();
        for (from, to) in &self.renames {
            self.terminal.say(&format!("{} {from} → {to}", paint(crate::render::GOOD, "✓")));
        }
        let totals = Totals::of(&outcomes, self.renames.len());
        self.report = summary(self.how.format, &outcomes, &totals);
        self.terminal.result(&self.report)?;
        let failed = totals.failed + totals.not_started > 0 || outcomes.len() < makes;
        Ok(match signal {
            Some(Signal(number)) => Status::Signalled(number),
            None if failed => Status::Failed,
            None => Status::Done,
        })
    }

    async fn connect<'c>(&self, slot: &'c mut Option<Connection>) -> Result<&'c Connection> {
        let connection = match slot.take() {
            Some(connection) => connection,
            None => {
                Connection::open(self.terminal, &self.workspace.config, self.how.sandbox).await?
            }
        };
        Ok(slot.insert(connection))
    }

    /// Settles open requests that nobody asks for any more, and gives back those that are to be sent
    /// again.
    async fn settle(
        &self,
        hold: &Hold,
        lock: &mut Lock,
        open: Vec<Intent>,
        connection: &mut Option<Connection>,
    ) -> Result<(Option<Signal>, Vec<Intent>)> {
        let plan = plan::plan(&self.workspace.stocks, lock, Vec::new());
        let asked = asked_for(&plan.changes);
        let (mut again, unasked): (Vec<_>, Vec<_>) = open
            .into_iter()
            .partition(|intent| asked.get(&intent.out_request_no) == Some(&intent.name));
        // What looks like the stock of one could be the stock of its twin that is sent again: that
        // one first; the other stays open for the next run.
        let contents: HashSet<_> = again.iter().map(|twin| twin.content_sha256.clone()).collect();
        let (twins, unasked): (Vec<_>, Vec<_>) =
            unasked.into_iter().partition(|intent| contents.contains(&intent.content_sha256));
        again.extend(twins);
        if unasked.is_empty() {
            return Ok((None, again));
        }
        let number = count(unasked.len(), "request");
        self.terminal.say(&format!(
            "Looking for what came of {number} of an interrupted apply that the files do not ask for any more."
        ));
        let api = &self.workspace.config.api;
        let wait = settle::still_on_its_way(&unasked, api.timeout, api.retry, Timestamp::now());
        if !wait.is_zero() {
            self.terminal
                .say(&format!("One may still be on its way: waiting {} s.", wait.as_secs() + 1));
        }
        let client = &self.connect(connection).await?.client;
        let mut holders = lock.holders();
        let journal = hold.appender();
        let work = async {
            tokio::time::sleep(wait).await;
            settle::settle(unasked, client, &journal, &mut holders).await
        };
        let (settled, signal) = until_done(self.terminal, client, work).await;
        let settled = match (settled, signal) {
            (Ok(settled), _) => settled,
            (Err(_), Some(signal)) => return Ok((Some(signal), again)),
            (Err(error), None) => {
                bail!(
                    "what came of an interrupted apply cannot be found out, so nothing was sent: {error}"
                )
            }
        };
        let mut unclear = 0;
        for settled in settled {
            match settled {
                Settled::Recorded { intent, stock_id } => {
                    self.terminal.warn(&format!(
                        "the interrupted apply made stock {stock_id} for `{}`, which no file asks for any more; it is recorded",
                        intent.name
                    ));
                    let made = intent.made(stock_id, timestamp(Timestamp::now()));
                    lock.fold([Learned { made, wanted: false, given_back: false }]);
                }
                Settled::Dropped { intent } => {
                    self.terminal.say(&format!("{} was not made.", intent.name));
                }
                Settled::Unclear { intent, candidates } => {
                    unclear += 1;
                    let ids: Vec<_> = candidates.iter().map(|c| c.stock_id.as_str()).collect();
                    self.terminal.error(&format!(
                        "the interrupted apply's request for `{}` made one of these stocks, or none: {}; tell which one with `couponctl adopt {} STOCK_ID`",
                        intent.name, ids.join(", "), intent.name
                    ));
                }
            }
        }
        if unclear > 0 {
            bail!("{} could not be settled, so nothing was sent", count(unclear, "open request"));
        }
        Ok((signal, again))
    }

    fn show(&self, plan: &Plan) -> Result<()> {
        match self.how.format {
            Format::Text => self.terminal.result(&plan_text::render(plan)),
            Format::Json => {
                let line = json!({"event": "plan", "summary": plan.summary(), "commitment": plan.commitment});
                self.terminal.result(&format!("{line}\n"))
            }
        }
    }

    /// Refuses a plan that nobody may approve.
    fn refuse(&self, plan: &Plan) -> Result<()> {
        if say_what_forbids(self.terminal, plan) {
            bail!("the plan cannot be carried out; nothing was sent");
        }
        let replaced = plan.summary().replace;
        if replaced > 0 && !self.how.allow_replace {
            bail!(
                "{} would be replaced, and the old one goes on handing out coupons; give `--allow-replace` if that is meant. Nothing was sent",
                count(replaced, "stock")
            );
        }
        Ok(())
    }

    fn approve(&self) -> Result<()> {
        if self.how.auto_approve {
            return Ok(());
        }
        if !Terminal::can_ask() {
            bail!(
                "there is no terminal to ask on; give `--auto-approve` to carry the plan out without a question. Nothing was sent"
            );
        }
        if self.terminal.asks(&question()) {
            Ok(())
        } else {
            bail!("not approved; nothing was sent")
        }
    }

    async fn make(
        &self,
        hold: &Hold,
        lock: &Lock,
        plan: &Plan,
        open: &[Intent],
        connection: &Connection,
        makes: usize,
    ) -> (Vec<Outcome>, Option<Signal>) {
        let client = connection.client.clone();
        let pace = self.workspace.config.api.requests_per_second;
        let engine = Engine::new(client.clone(), hold.appender(), lock, open, pace);
        let mut progress = Progress::new(self.terminal, self.how.format, makes);
        let mut observe = |event: &Event| progress.event(event);
        let work = engine.make(&plan.changes, &mut observe);
        let (outcomes, signal) = until_done(self.terminal, &client, work).await;
        progress.end();
        let settled: HashSet<_> = outcomes.iter().map(Outcome::name).collect();
        for change in
            plan.to_do().filter(|c| c.action != Action::Rename && !settled.contains(&c.name))
        {
            self.terminal
                .error(&format!("`{}` was not carried through; run apply again", change.name));
        }
        (outcomes, signal)
    }
}
