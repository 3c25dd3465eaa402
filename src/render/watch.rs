//! What a watch shows: one screen on a terminal, lines elsewhere, or one JSON object a change.

use std::fmt::Write as _;

use console::{AnsiCodeIterator, measure_text_width, truncate_str};
use serde::Serialize;

use super::plan_json::PlanJson;
use super::problems::{self, Json};
use super::{BAD, CARE, FAINT, STRONG, count, paint, plain, plan_text};
use crate::desired::diagnostic::Severity;
use crate::plan::{Change, Plan};
use crate::watch::state::{Outcome, Snapshot};

/// Names of changed files that are shown.
const MOST_NAMES: usize = 4;
/// Warnings that are shown.
const MOST_WARNINGS: usize = 4;
/// Stocks a change that are listed in the stream of lines.
const MOST_LISTED: usize = 50;
/// Rows that the plan or the problems have in the smallest of windows.
const FEWEST_ROWS: usize = 3;

/// What stands on the screen.
#[derive(Debug)]
pub struct Screen<'a> {
    /// The workspace's name.
    pub name: &'a str,
    /// Whether it is the sandbox's lock that is planned against.
    pub sandbox: bool,
    /// The time of day of the snapshot.
    pub at: &'a str,
    /// The workspace.
    pub snapshot: &'a Snapshot,
    /// How the last apply ended, or why there is none; may have several lines.
    pub report: &'a str,
    /// The keys and what they do.
    pub keys: &'a str,
}

impl Screen<'_> {
    /// The lines that fit a window of so many rows and columns; all of them without a window.
    /// Coloured.
    #[must_use]
    pub fn lines(&self, window: Option<(usize, usize)>) -> Vec<String> {
        let mut top = self.head();
        let Some((rows, columns)) = window else {
            top.extend(split(&problems::text(&self.snapshot.problems, true)));
            top.extend(self.stocks(usize::MAX).0);
            top.extend(self.foot());
            return top;
        };
        // What is decided by is never cut.
        let bottom: Vec<_> = self.foot().iter().flat_map(|line| wrapped(line, columns)).collect();
        let most_bottom = rows.saturating_sub(top.len() + FEWEST_ROWS);
        let bottom = bottom.split_at(bottom.len().saturating_sub(most_bottom)).1;
        let space = rows.saturating_sub(top.len() + bottom.len());
        let (mut body, left) = self.body(space);
        if body.len() > space || left > 0 {
            body.truncate(space.saturating_sub(1));
            let stocks = if left > 0 {
                format!(" and {}", count(left, "more stock"))
            } else {
                String::new()
            };
            body.push(paint(FAINT, &format!("… more lines{stocks}: `v` shows all")));
        }
        top.extend(body);
        top.extend_from_slice(bottom);
        top.truncate(rows);
        top.iter().map(|line| truncate_str(line, columns, "…").into_owned()).collect()
    }

    fn head(&self) -> Vec<String> {
        let sandbox = if self.sandbox { ", in the sandbox" } else { "" };
        let title = format!("couponctl watch: {}{sandbox}", plain(self.name));
        let what = changed(self.snapshot);
        vec![paint(STRONG, &title), paint(FAINT, &format!("{}  {what}", self.at)), String::new()]
    }

    /// Problems, then stocks, until there are so many lines; and how much is left out.
    fn body(&self, most: usize) -> (Vec<String>, usize) {
        let mut lines = self.problems(most);
        let (stocks, left) = self.stocks(most.saturating_sub(lines.len()));
        lines.extend(stocks);
        (lines, left)
    }

    /// Errors in full, those of the files just changed first; warnings in a line each, since they
    /// stay.
    fn problems(&self, most: usize) -> Vec<String> {
        let Snapshot { problems, changed, .. } = self.snapshot;
        let (mut errors, warnings): (Vec<_>, Vec<_>) =
            problems.iter().partition(|found| found.severity == Severity::Error);
        errors.sort_by_key(|found| !changed.contains(&found.source.path));
        // Each takes a line at least.
        let drawn: Vec<_> = errors.into_iter().take(most).cloned().collect();
        let mut lines = Vec::new();
        if !drawn.is_empty() {
            lines.extend(split(&problems::drawn(&drawn, true)));
        }
        let shown = warnings.iter().take(MOST_WARNINGS);
        lines.extend(shown.map(|found| problems::line(found)));
        if warnings.len() > MOST_WARNINGS {
            let more = count(warnings.len() - MOST_WARNINGS, "more warning");
            lines.push(paint(FAINT, &format!("… {more}")));
        }
        if !warnings.is_empty() {
            lines.push(String::new());
        }
        lines
    }

    fn stocks(&self, most: usize) -> (Vec<String>, usize) {
        let mut changes = self.snapshot.plan().map_or(&[][..], |plan| &plan.changes).iter();
        let mut lines = Vec::new();
        while lines.len() < most {
            let Some(change) = changes.next() else { break };
            lines.extend(split(&plan_text::block(change)));
            lines.push(String::new());
        }
        (lines, changes.len())
    }

    fn foot(&self) -> Vec<String> {
        let mut lines = match &self.snapshot.outcome {
            Outcome::Planned(planned) => split(&plan_text::ending(&planned.0)),
            other => vec![paint(BAD.bold(), &no_plan(other))],
        };
        lines.extend(split(self.report));
        if !self.keys.is_empty() {
            lines.push(paint(FAINT, self.keys));
        }
        lines
    }
}

/// A coloured line in rows of so many columns.
fn wrapped(line: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut width = 0;
    for (part, is_colour) in AnsiCodeIterator::new(line) {
        for character in part.chars() {
            let wide =
                if is_colour { 0 } else { measure_text_width(character.encode_utf8(&mut [0; 4])) };
            if width + wide > columns && width > 0 {
                // At the last space, where there is one; colours have none.
                let row = rows.last_mut().map_or("", |row| row.as_str());
                let tail = row.rfind(' ').map_or(row.len(), |space| space + 1);
                let tail = rows.last_mut().map(|row| row.split_off(tail)).unwrap_or_default();
                width = measure_text_width(&tail);
                rows.push(tail);
            }
            width += wide;
            if let Some(row) = rows.last_mut() {
                row.push(character);
            }
        }
    }
    rows
}

fn split(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn no_plan(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Planned(_) => String::new(),
        Outcome::Errors(errors) => {
            format!("{}: nothing is planned until there are none.", count(*errors, "error"))
        }
        Outcome::Broken(error) => format!("error: {}", plain(error)),
    }
}

/// What changed, in a few words.
fn changed(snapshot: &Snapshot) -> String {
    let Snapshot { changed, files, .. } = snapshot;
    if changed.is_empty() {
        return count(*files, "file");
    }
    let mut names: Vec<_> = changed.iter().take(MOST_NAMES).map(|path| plain(path)).collect();
    let more = changed.len().saturating_sub(MOST_NAMES);
    if more > 0 {
        names.push(format!("{more} more").into());
    }
    format!("changed: {}", names.join(", "))
}

/// A change as lines for a stream: when and what, problems, stocks in a line each, the summary.
#[must_use]
pub fn stream(snapshot: &Snapshot, at: &str) -> String {
    let mut text = format!("{} {}\n", paint(STRONG, at), changed(snapshot));
    text.push_str(&problems::text(&snapshot.problems, true));
    let Some(plan) = snapshot.plan() else {
        text.push_str(&paint(BAD.bold(), &no_plan(&snapshot.outcome)));
        text.push('\n');
        return text;
    };
    for change in plan.changes.iter().take(MOST_LISTED) {
        text.push_str(&line(change));
    }
    if plan.changes.len() > MOST_LISTED {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  … {} more", plan.changes.len() - MOST_LISTED);
    }
    text.push_str(&plan_text::ending(plan));
    text
}

fn line(change: &Change) -> String {
    let (symbol, word, style) = plan_text::mark(change.action);
    let what = paint(style, &format!("{symbol} {word} {}", change.name));
    let file = change.file.as_deref().map(|file| format!(" ({})", plain(file)));
    format!("  {what}{}\n", file.unwrap_or_default())
}

/// A change as one JSON object with a line feed.
#[must_use]
pub fn json(snapshot: &Snapshot) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        event: &'static str,
        at: String,
        changed: Vec<&'a String>,
        files: usize,
        problems: Vec<Json<'a>>,
        error: Option<&'a str>,
        plan: Option<PlanJson<'a>>,
    }
    let event = Line {
        event: "plan",
        at: snapshot.at.to_string(),
        changed: snapshot.changed.iter().collect(),
        files: snapshot.files,
        problems: snapshot.problems.iter().map(Json::from).collect(),
        error: match &snapshot.outcome {
            Outcome::Broken(error) => Some(error),
            Outcome::Planned(_) | Outcome::Errors(_) => None,
        },
        plan: snapshot.plan().map(PlanJson::from),
    };
    // Strings, integers and JSON text: none of them can fail to serialise.
    let mut text = serde_json::to_string(&event).unwrap_or_default();
    text.push('\n');
    text
}

/// Why a plan is not applied by itself, as far as the plan can tell.
#[must_use]
pub fn why_not(plan: &Plan) -> Option<String> {
    let replaced = plan.summary().replace;
    if let Some(conflict) = plan.conflicts.first() {
        Some(conflict.to_string())
    } else if let Some(breach) = plan.breaches.iter().find(|breach| !breach.overridden) {
        Some(format!("the plan passes guardrail `{}`", breach.guardrail))
    } else if replaced > 0 {
        Some(format!(
            "{} would be replaced, and the old one goes on handing out coupons; `couponctl apply --allow-replace` does it if that is meant",
            count(replaced, "stock")
        ))
    } else {
        None
    }
}

/// A line about an apply that is not, or did not end well.
#[must_use]
pub fn not_applied(why: &str) -> String {
    format!("{} {}\n", paint(CARE.bold(), "Not applied:"), plain(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_no_more_columns_than_there_are_whatever_the_width_of_a_character() {
        let line = paint(BAD, "abc批次def");
        let rows = wrapped(&line, 4);
        let plain: Vec<_> = rows.iter().map(|row| console::strip_ansi_codes(row)).collect();
        assert_eq!(plain, ["abc", "批次", "def"]);
        assert_eq!(rows.concat(), line, "nothing is lost, colours neither");
        assert_eq!(wrapped("批", 1), ["批"], "no endless loop where nothing fits");
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("one two three", 9), ["one two ", "three"]);
    }
}
