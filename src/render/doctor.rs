//! Checks as text and as JSON: `couponctl doctor`.

use anstyle::Style;
use serde::Serialize;

use super::{BAD, CARE, FAINT, GOOD, count, paint, plain};
use crate::doctor::{Check, Subject, Verdict};

/// The JSON format's version.
const FORMAT_VERSION: &str = "1";
/// The widest word of a verdict.
const WORD: usize = "problem".len();

/// A line a check, with what to do below it, and the numbers at the end.
#[must_use]
pub fn text(checks: &[Check]) -> String {
    let name = Subject::ALL.iter().map(|subject| subject.name().len()).max().unwrap_or_default();
    let mut text = String::new();
    for Check { check, verdict, what, advice } in checks {
        let word = paint(style(*verdict), &format!("{:WORD$}", verdict.word()));
        text.push_str(&format!("{word}  {:name$}  {}\n", check.name(), plain(what)));
        for line in advice {
            text.push_str(&format!("{:WORD$}  {}\n", "", plain(line)));
        }
    }
    let Summary { ok, warning, problem, skipped } = Summary::of(checks);
    text.push_str(&format!(
        "Doctor: {}, {}, {skipped} skipped, {ok} ok.\n",
        count(problem, "problem"),
        count(warning, "warning"),
    ));
    text
}

fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Ok => GOOD,
        Verdict::Warning => CARE.bold(),
        Verdict::Problem => BAD.bold(),
        Verdict::Skipped => FAINT,
    }
}

#[derive(Serialize)]
struct Summary {
    ok: usize,
    warning: usize,
    problem: usize,
    skipped: usize,
}

impl Summary {
    fn of(checks: &[Check]) -> Self {
        let number = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
        Self {
            ok: number(Verdict::Ok),
            warning: number(Verdict::Warning),
            problem: number(Verdict::Problem),
            skipped: number(Verdict::Skipped),
        }
    }
}

#[derive(Serialize)]
struct ChecksJson<'a> {
    format_version: &'static str,
    summary: Summary,
    checks: &'a [Check],
}

/// The checks as one line of JSON with a line feed.
#[must_use]
pub fn json(checks: &[Check]) -> String {
    let json = ChecksJson { format_version: FORMAT_VERSION, summary: Summary::of(checks), checks };
    // Strings and integers: none of them can fail to serialise.
    let mut text = serde_json::to_string(&json).unwrap_or_default();
    text.push('\n');
    text
}
