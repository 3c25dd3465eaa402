//! `couponctl watch`: the plan follows the editor, and the apply follows the plan where that is wanted.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use console::Term;
use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::apply::{self, Ending, How, Wanted};
use super::keyboard::Keyboard;
use super::network::{Resizes, SandboxFlags, Signals, runtime};
use super::progress::Format;
use super::terminal::Terminal;
use super::{Ended, Global, SettingFlags, Status};
use crate::config;
use crate::render::watch::{self as render, Screen};
use crate::render::{CARE, paint};
use crate::watch::source::POLL;
use crate::watch::state::{Outcome, Snapshot};
use crate::watch::{News, Watch};
use crate::workspace::Choice;

/// Before a failed apply is tried again though nothing changed: the first time, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  couponctl watch                     plan as files are saved; `a` applies after a yes
  couponctl watch --sandbox           the same, with nothing that could cost money
  couponctl watch --sandbox --apply --auto-approve
                                      apply each plan as soon as it is valid
  couponctl watch --poll              look every 2 s: network and container file systems

Problems in a file, and stocks that would be replaced, stop --apply until they are mended. An apply \
that fails is tried again when something changes, or after a pause that grows.")]
pub struct WatchArgs {
    /// Apply each valid plan; needs --auto-approve
    #[arg(long, requires = "auto_approve")]
    apply: bool,
    /// Apply without asking
    #[arg(long, requires = "apply")]
    auto_approve: bool,
    /// Look at all files every so many seconds in place of waiting for the system's news of them
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
    poll: Option<Duration>,
    /// How long no file must change for a change to count
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100)]
    debounce: u64,
    /// How to report
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    sandbox: SandboxFlags,
    #[command(flatten)]
    settings: SettingFlags,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "this is no number of seconds".to_owned())?;
    let least = Duration::from_millis(100);
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|poll| *poll >= least && *poll <= Duration::from_hours(24))
        .ok_or_else(|| {
            format!("give 0.1 to 86400 seconds; without a number it is {}", POLL.as_secs())
        })
}

pub fn run(terminal: &Terminal, global: &Global, args: WatchArgs) -> Ended {
    let WatchArgs { apply, auto_approve: _, poll, debounce, format, sandbox, settings } = args;
    let flags = settings.with(global);
    let here = std::env::current_dir().context("the current folder cannot be found")?;
    let root = config::find_workspace(flags.workspace.as_deref(), &here)?;
    // News of files comes with the paths that links lead to.
    let root = root.canonicalize().with_context(|| format!("{}", root.display()))?;
    let shows = Shows::of(format);
    runtime()?.block_on(async {
        let signals = Signals::listen();
        let quiet = Duration::from_millis(debounce);
        let (watch, snapshot) = Watch::begin(root.clone(), flags, sandbox.sandbox, poll, quiet);
        let keyboard = (shows == Shows::Screen).then(Keyboard::open).flatten();
        let report = String::new();
        let auto = apply.then(Auto::default);
        let (show_all, drawn) = (false, false);
        Watching {
            terminal,
            shows,
            format,
            root,
            sandbox,
            watch,
            snapshot,
            keyboard,
            auto,
            report,
            show_all,
            drawn,
        }
        .until_the_end(signals)
        .await
    })
}

/// In which form changes are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shows {
    Screen,
    Lines,
    Json,
}

impl Shows {
    fn of(format: Format) -> Self {
        let dumb = cfg!(unix) && std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match format {
            Format::Json => Self::Json,
            Format::Text if io::stdout().is_terminal() && !dumb => Self::Screen,
            Format::Text => Self::Lines,
        }
    }
}

/// When a plan is applied by itself.
#[derive(Debug)]
struct Auto {
    /// When the next apply is due, if one is.
    due: Option<Instant>,
    /// How long to wait when it fails.
    pause: Duration,
}

impl Default for Auto {
    fn default() -> Self {
        Self { due: None, pause: PAUSES.0 }
    }
}

/// Whether a plan can be applied as it is.
enum Ready {
    Yes,
    NothingToDo,
    No(String),
}

struct Watching<'a> {
    terminal: &'a Terminal,
    shows: Shows,
    format: Format,
    root: PathBuf,
    sandbox: SandboxFlags,
    watch: Watch,
    snapshot: Snapshot,
    keyboard: Option<Keyboard>,
    auto: Option<Auto>,
    /// What there is to say of applies, under the plan.
    report: String,
    show_all: bool,
    drawn: bool,
}

impl Watching<'_> {
    async fn until_the_end(&mut self, mut signals: Signals) -> Ended {
        let mut resizes = Resizes::listen();
        self.plan_changed()?;
        loop {
            let due = self.auto.as_ref().and_then(|auto| auto.due);
            let status = tokio::select! {
                signal = signals.next() => Some(signal.into()),
                news = self.watch.next() => {
                    self.heard(news)?;
                    None
                }
                key = key(&mut self.keyboard) => self.pressed(key, &mut signals).await?,
                () = resizes.next() => {
                    self.show()?;
                    None
                }
                () = until(due) => self.apply().await?,
            };
            if let Some(status) = status {
                if self.shows == Shows::Screen {
                    self.terminal.result("\n")?;
                }
                return Ok(status);
            }
        }
    }

    fn heard(&mut self, news: News) -> Result<()> {
        match news {
            News::Changed(snapshot) => {
                self.snapshot = *snapshot;
                self.report.clear();
                self.plan_changed()
            }
            News::Warning(warning) if self.shows == Shows::Screen => {
                self.report = format!("{}: {warning}\n", paint(CARE.bold(), "warning"));
                self.show()
            }
            News::Warning(warning) => {
                self.terminal.warn(&warning);
                Ok(())
            }
        }
    }

    /// Shows a new plan, and makes an apply due where that is wanted.
    fn plan_changed(&mut self) -> Result<()> {
        let ready = self.ready();
        let mut why_not = None;
        if let Some(auto) = &mut self.auto {
            *auto = Auto::default();
            match ready {
                Ready::Yes => auto.due = Some(Instant::now()),
                // Why there is no plan is shown in its place.
                Ready::No(why) if self.snapshot.plan().is_some() => why_not = Some(why),
                Ready::No(_) | Ready::NothingToDo => {}
            }
        }
        if let Some(why) = &why_not {
            self.report = render::not_applied(why);
        }
        self.show()?;
        if let Some(why) = why_not.filter(|_| self.shows != Shows::Screen) {
            self.terminal.warn(&format!("not applied: {why}"));
        }
        Ok(())
    }

    fn ready(&self) -> Ready {
        match self.snapshot.plan() {
            None => Ready::No("there is no plan".to_owned()),
            Some(plan) => match render::why_not(plan) {
                Some(why) => Ready::No(why),
                None if plan.changes_anything() => Ready::Yes,
                None => Ready::NothingToDo,
            },
        }
    }

    async fn pressed(&mut self, key: char, signals: &mut Signals) -> Result<Option<Status>> {
        match key {
            'q' => return Ok(Some(Status::Done)),
            'v' => self.show_all = !self.show_all,
            'a' => match self.ready() {
                Ready::NothingToDo => "Nothing to apply.\n".clone_into(&mut self.report),
                Ready::No(why) => self.report = render::not_applied(&why),
                Ready::Yes => return self.ask(signals).await,
            },
            _ => return Ok(None),
        }
        self.show()?;
        Ok(None)
    }

    async fn ask(&mut self, signals: &mut Signals) -> Result<Option<Status>> {
        let Some(keyboard) = &mut self.keyboard else { return Ok(None) };
        keyboard.pause();
        self.terminal.result(&format!("\n{} ", apply::question()))?;
        let answer = tokio::select! {
            answer = keyboard.line() => answer,
            signal = signals.next() => return Ok(Some(signal.into())),
        };
        if answer.trim() == "yes" {
            return self.apply().await;
        }
        keyboard.resume();
        self.report = render::not_applied("not approved; nothing was sent");
        self.drawn = false;
        self.show()?;
        Ok(None)
    }

    /// Carries out the plan that is shown, or none.
    async fn apply(&mut self) -> Result<Option<Status>> {
        if let Some(auto) = &mut self.auto {
            auto.due = None;
        }
        let ended = if self.watch.is_still() {
            self.carry_out().await
        } else {
            Err(anyhow::anyhow!("something changed meanwhile: look again; nothing was sent"))
        };
        let mut status = None;
        let failed = match ended {
            Ok(Ending { status: Status::Signalled(number), .. }) => {
                status = Some(Status::Signalled(number));
                false
            }
            Ok(Ending { status, report }) => {
                self.report = report;
                status != Status::Done
            }
            Err(error) => {
                self.report = render::not_applied(&format!("{error:#}"));
                if self.shows != Shows::Screen {
                    self.terminal.error(&format!("{error:#}"));
                }
                true
            }
        };
        self.snapshot = self.watch.after_apply();
        let left = matches!(self.ready(), Ready::Yes);
        if let Some(auto) = self.auto.as_mut().filter(|_| failed || left) {
            auto.due = Some(Instant::now() + auto.pause);
            let again =
                format!("Trying again in {} s, or when something changes.\n", auto.pause.as_secs());
            auto.pause = (auto.pause * 2).min(PAUSES.1);
            if self.shows == Shows::Screen {
                self.report.push_str(&again);
            } else {
                self.terminal.say(again.trim_end());
            }
        }
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.resume();
        }
        self.drawn = false;
        self.show()?;
        Ok(status)
    }

    async fn carry_out(&mut self) -> Result<Ending> {
        let Outcome::Planned(planned) = &self.snapshot.outcome else { bail!("there is no plan") };
        let (plan, workspace) = &**planned;
        if let Some(keyboard) = &mut self.keyboard {
            keyboard.pause();
        }
        if self.shows == Shows::Screen {
            self.terminal.result("\n")?;
        }
        let how = How {
            sandbox: &self.sandbox,
            format: self.format,
            auto_approve: true,
            allow_replace: false,
            patience: Duration::ZERO,
            choice: Choice::default(),
            wanted: Wanted::Shown(plan),
        };
        apply::carry_out(self.terminal, workspace, how).await
    }

    fn show(&mut self) -> Result<()> {
        let at = ZonedDateTime::new(self.snapshot.at, TimeZone::system())
            .strftime("%H:%M:%S")
            .to_string();
        match self.shows {
            Shows::Json => return self.terminal.result(&render::json(&self.snapshot)),
            Shows::Lines => return self.terminal.result(&render::stream(&self.snapshot, &at)),
            Shows::Screen => {}
        }
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        let screen = Screen {
            name: &name,
            sandbox: self.sandbox.sandbox,
            at: &at,
            snapshot: &self.snapshot,
            report: &self.report,
            keys: match (&self.keyboard, self.show_all) {
                (None, _) => "Ctrl-C ends",
                (Some(_), false) => "a apply   v show all   q quit",
                (Some(_), true) => "a apply   v show what fits   q quit",
            },
        };
        let window =
            Term::stdout().size_checked().map(|(rows, columns)| (rows.into(), columns.into()));
        let lines = screen.lines(window.filter(|_| !self.show_all));
        let clear = self.show_all || !self.drawn;
        self.drawn = !self.show_all;
        self.terminal.screen(&lines, clear)
    }
}

async fn key(keyboard: &mut Option<Keyboard>) -> char {
    match keyboard {
        Some(keyboard) => keyboard.key().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
