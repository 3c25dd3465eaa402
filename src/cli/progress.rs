//! What an apply shows while it runs and when it ends: a bar and lines on a terminal, lines elsewhere,
//! or one JSON object an event.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::terminal::Terminal;
use crate::apply::outcome::{Event, Outcome, Success};
use crate::render::{BAD, CARE, FAINT, GOOD, STRONG, count, paint, plain};

/// How an apply reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines for people
    Text,
    /// One JSON object an event, on standard output
    Json,
}

/// Shows an apply as it runs.
#[derive(Debug)]
pub struct Progress<'a> {
    terminal: &'a Terminal,
    format: Format,
    bar: ProgressBar,
    failed: u64,
    retries: u64,
}

impl<'a> Progress<'a> {
    /// Begins to show an apply of so many stocks.
    pub fn new(terminal: &'a Terminal, format: Format, total: usize) -> Self {
        let bar = ProgressBar::new(total as u64);
        let shown = terminal.is_live() && format == Format::Text && total > 0;
        bar.set_draw_target(if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let template = "{bar:30} {pos}/{len}{msg}, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { terminal, format, bar, failed: 0, retries: 0 }
    }

    /// Shows an event. What cannot be printed does not stop an apply.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Retry { .. } => self.retries += 1,
            Event::Finished(outcome) => {
                self.bar.inc(1);
                if matches!(outcome, Outcome::Failed { .. }) {
                    self.failed += 1;
                }
            }
        }
        let part = |number: u64, word: &str| match number {
            0 => String::new(),
            _ => format!(", {number} {word}"),
        };
        self.bar.set_message(part(self.failed, "failed") + &part(self.retries, "retried"));
        if self.format == Format::Json {
            let _ = self.terminal.result(&format!("{}\n", event_json(event)));
        } else {
            self.bar.suspend(|| self.terminal.say(&event_line(event)));
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn event_line(event: &Event) -> String {
    match event {
        Event::Retry { name, attempt, error, wait } => paint(
            FAINT,
            &format!(
                "  {name}: attempt {attempt} failed: {error}; again in {:.1} s",
                wait.as_secs_f64()
            ),
        ),
        Event::Finished(outcome) => outcome_line(outcome),
    }
}

fn outcome_line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { name, stock_id, replaces, how, .. } => {
            let what = match how {
                Success::Created => "stock",
                Success::Adopted => "existed already, adopted: stock",
            };
            let replaced = replaces
                .as_ref()
                .filter(|old| *old != stock_id)
                .map(|old| format!(" in place of {}", plain(old)))
                .unwrap_or_default();
            format!("{} {name}: {what} {}{replaced}", paint(GOOD, "✓"), plain(stock_id))
        }
        Outcome::Failed { name, failure, .. } => {
            format!("{} {name}: {}", paint(BAD, "✗"), failure.message())
        }
        Outcome::NotStarted { name } => format!("{} {name}: not started", paint(CARE, "-")),
    }
}

fn event_json(event: &Event) -> Value {
    match event {
        Event::Retry { name, attempt, error, wait } => json!({
            "event": "retry",
            "name": name,
            "attempt": attempt,
            "message": error.to_string(),
            "wait_ms": u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        }),
        Event::Finished(Outcome::Done { name, product_coupon_id, stock_id, replaces, how }) => {
            json!({
                "event": how,
                "name": name,
                "product_coupon_id": product_coupon_id,
                "stock_id": stock_id,
                "replaces": replaces,
            })
        }
        Event::Finished(Outcome::Failed { name, product_coupon_id, failure }) => json!({
            "event": "failed",
            "name": name,
            "product_coupon_id": product_coupon_id,
            "code": failure.code(),
            "message": failure.message(),
            "advice": failure.advice(name),
            "request_id": failure.request_id(),
        }),
        Event::Finished(Outcome::NotStarted { name }) => {
            json!({"event": "not_started", "name": name})
        }
    }
}

/// How many stocks ended in which way.
#[derive(Debug, Default)]
pub struct Totals {
    /// Stocks made or adopted.
    pub done: usize,
    /// Of these, those that took another's place.
    pub replaced: usize,
    /// Entries renamed.
    pub renamed: usize,
    /// Stocks that failed.
    pub failed: usize,
    /// Stocks whose request never went out.
    pub not_started: usize,
}

impl Totals {
    /// Counts outcomes.
    pub fn of(outcomes: &[Outcome], renamed: usize) -> Self {
        let mut totals = Self { renamed, ..Self::default() };
        for outcome in outcomes {
            match outcome {
                Outcome::Done { replaces, .. } => {
                    totals.done += 1;
                    totals.replaced += usize::from(replaces.is_some());
                }
                Outcome::Failed { .. } => totals.failed += 1,
                Outcome::NotStarted { .. } => totals.not_started += 1,
            }
        }
        totals
    }
}

/// How an apply ended: the failures with what to do, then the totals.
#[must_use]
pub fn summary(format: Format, outcomes: &[Outcome], totals: &Totals) -> String {
    let Totals { done, replaced, renamed, failed, not_started } = totals;
    let created = done - replaced;
    if format == Format::Json {
        let line = json!({
            "event": "summary", "created": created, "replaced": replaced, "renamed": renamed,
            "failed": failed, "not_started": not_started,
        });
        return format!("{line}\n");
    }
    let mut text = String::new();
    if *failed > 0 {
        text.push_str(&format!(
            "\n{}\n",
            paint(BAD.bold(), &format!("{} failed:", count(*failed, "stock")))
        ));
    }
    for outcome in outcomes {
        let Outcome::Failed { name, failure, .. } = outcome else { continue };
        let request_id =
            failure.request_id().map(|id| format!("  Request-ID {id}")).unwrap_or_default();
        text.push_str(&format!(
            "  {}  {}{request_id}\n      {}\n      {} {}\n",
            paint(STRONG, name.as_str()),
            failure.code(),
            failure.message().replace('\n', "\n      "),
            paint(CARE, "do:"),
            failure.advice(name),
        ));
    }
    if *failed > 0 {
        text.push('\n');
    }
    let stopped =
        if *not_started > 0 { format!(", {not_started} not started") } else { String::new() };
    text.push_str(&paint(
        STRONG,
        &format!("Apply: {created} created, {replaced} replaced, {renamed} renamed, {failed} failed{stopped}."),
    ));
    text.push('\n');
    text
}
