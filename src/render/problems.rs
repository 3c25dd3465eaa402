//! Problems in files: with their source lines for people, as JSON for programs, and as annotations for
//! GitHub.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::{BAD, CARE, count, paint, plain};
use crate::desired::diagnostic::{Diagnostic, Severity, Source, Span};

/// Longest line that is shown whole, in bytes; of a longer one, what is around the value.
const LINE_BYTES: usize = 400;
/// Problems that are drawn; behind them, only their number is said.
const MOST_DRAWN: usize = 1000;

/// Line and column of a byte, both from 1, columns in characters.
fn position(source: &Source, at: usize) -> (usize, usize) {
    let mut at = at.min(source.text.len());
    while !source.text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &source.text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let mark = usize::from(line == 1 && before.starts_with('\u{feff}'));
    (line, before[line_start..].chars().count() + 1 - mark)
}

/// Problems with their source lines, and how many there are. Coloured when asked.
#[must_use]
pub fn text(diagnostics: &[Diagnostic], colour: bool) -> String {
    let mut out = drawn(diagnostics, colour);
    if diagnostics.len() > MOST_DRAWN {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "… and {} more; `--format json` gives them all\n",
            diagnostics.len() - MOST_DRAWN
        );
    }
    let sum = sum(diagnostics, colour);
    if !sum.is_empty() {
        let _ = writeln!(out, "{sum}; `couponctl explain RULE` says more about a rule");
    }
    out
}

/// How many there are: `2 errors and 1 warning`.
#[must_use]
pub fn sum(diagnostics: &[Diagnostic], colour: bool) -> String {
    let part = |severity, noun: &str, style: anstyle::Style| {
        let number = diagnostics.iter().filter(|found| found.severity == severity).count();
        let text = count(number, noun);
        (number > 0).then(|| if colour { paint(style.bold(), &text) } else { text })
    };
    let parts = [part(Severity::Error, "error", BAD), part(Severity::Warning, "warning", CARE)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

/// Problems with their source lines alone. Coloured when asked.
#[must_use]
pub fn drawn(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let drawn = diagnostics.iter().take(MOST_DRAWN);
    drawn.map(|diagnostic| draw(diagnostic, &renderer) + "\n\n").collect()
}

/// A problem in one line: severity, rule, place and message. Coloured.
#[must_use]
pub fn line(diagnostic: &Diagnostic) -> String {
    let (word, style) = match diagnostic.severity {
        Severity::Error => ("error", BAD),
        Severity::Warning => ("warning", CARE),
    };
    let place = range(diagnostic).map(|(at, _)| format!(":{}:{}", at.0, at.1));
    format!(
        "{} {}{}: {}",
        paint(style.bold(), &format!("{word}[{}]", diagnostic.rule)),
        plain(&diagnostic.source.path),
        place.unwrap_or_default(),
        plain(&diagnostic.message)
    )
}

fn draw(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let message = plain(&diagnostic.message);
    let path = plain(&diagnostic.source.path);
    let excerpts = excerpts(diagnostic);
    let title = level.primary_title(message.as_ref()).id(diagnostic.rule);
    let mut group = Group::with_title(title);
    if excerpts.is_empty() {
        group = group.element(Origin::path(path.as_ref()));
    }
    for excerpt in &excerpts {
        let annotations = excerpt.marks.iter().map(|mark| {
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            kind.span(mark.span.start..mark.span.end).label(mark.label.as_deref())
        });
        let snippet = Snippet::source(excerpt.text.as_str())
            .line_start(excerpt.line)
            .annotations(annotations.collect::<Vec<_>>());
        // Of a line that is cut, the excerpt does not know the column.
        group = match excerpt.cut_at {
            Some(column) => group
                .element(Origin::path(excerpt.path.as_str()).line(excerpt.line).char_column(column))
                .element(snippet),
            None => group.element(snippet.path(excerpt.path.as_str())),
        };
    }
    let mut groups = vec![group];
    let help = diagnostic.help.as_deref().map(plain);
    if let Some(help) = &help {
        let last = groups.pop();
        groups.extend(last.map(|group| group.element(Level::HELP.message(help.as_ref()))));
    }
    renderer.render(&groups)
}

/// A stretch of a source, made safe to show, with what is marked in it.
struct Excerpt {
    path: String,
    text: String,
    line: usize,
    /// The column of the value, when the line is shown in part only.
    cut_at: Option<usize>,
    marks: Vec<Mark>,
}

struct Mark {
    span: Span,
    label: Option<String>,
    primary: bool,
}

/// The lines of a problem's places: one excerpt a file, or several where lines are far apart or long.
fn excerpts(diagnostic: &Diagnostic) -> Vec<Excerpt> {
    let Some(span) = diagnostic.span else { return Vec::new() };
    let mut excerpts = vec![excerpt(&diagnostic.source, span, None, true)];
    for label in &diagnostic.labels {
        excerpts.push(excerpt(&label.source, label.span, Some(label.text.clone()), false));
    }
    // Places in the same file are drawn together when both lines are whole.
    let mut merged: Vec<Excerpt> = Vec::new();
    for next in excerpts {
        match merged.first_mut().filter(|first| {
            first.path == next.path && first.line == next.line && first.text == next.text
        }) {
            Some(same) => same.marks.extend(next.marks),
            None => merged.push(next),
        }
    }
    merged
}

/// The line of a span, without what could hurt a terminal, and cut where it is very long.
fn excerpt(source: &Source, span: Span, label: Option<String>, primary: bool) -> Excerpt {
    let text = &source.text;
    let boundary = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(span.start);
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
    let end = boundary(span.end).clamp(start, line_end);
    let from = boundary(line_start.max(start.saturating_sub(LINE_BYTES / 2)));
    let to = boundary(line_end.min(start + LINE_BYTES / 2));
    let (line, column) = position(source, start);
    let mut shown = String::new();
    let mut push = |part: &str| {
        let from = shown.len();
        for character in part.trim_end_matches('\r').chars() {
            match character {
                '\t' => shown.push('\t'),
                '\u{feff}' => {}
                c if plain(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8() => shown.push(c),
                // One column wide, so that the marks below stay where they belong.
                _ => shown.push('\u{fffd}'),
            }
        }
        from..shown.len()
    };
    if from > line_start {
        push("…");
    }
    push(&text[from..start]);
    let mut mark = push(&text[start..end.min(to)]);
    push(&text[end.min(to)..to]);
    if to < line_end {
        push("…");
    }
    if mark.is_empty() && mark.start < shown.len() {
        mark.end = mark.start + shown[mark.start..].chars().next().map_or(0, char::len_utf8);
    }
    let span = Span { start: mark.start, end: mark.end };
    let cut_at = (from > line_start).then_some(column);
    let path = plain(&source.path).into_owned();
    Excerpt { path, text: shown, line, cut_at, marks: vec![Mark { span, label, primary }] }
}

/// A problem in its JSON form.
#[derive(Debug, Serialize)]
pub struct Json<'a> {
    severity: &'static str,
    rule: &'static str,
    message: &'a str,
    file: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    end_line: Option<usize>,
    end_column: Option<usize>,
    path: &'a str,
    help: Option<&'a str>,
}

fn severity(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

impl<'a> From<&'a Diagnostic> for Json<'a> {
    fn from(diagnostic: &'a Diagnostic) -> Self {
        let range = range(diagnostic);
        Self {
            severity: severity(diagnostic),
            rule: diagnostic.rule,
            message: &diagnostic.message,
            file: &diagnostic.source.path,
            line: range.map(|(begin, _)| begin.0),
            column: range.map(|(begin, _)| begin.1),
            end_line: range.map(|(_, end)| end.0),
            end_column: range.map(|(_, end)| end.1),
            path: &diagnostic.path,
            help: diagnostic.help.as_deref(),
        }
    }
}

/// Begin and end, lines and columns from 1, columns in characters, the end behind the last one.
fn range(diagnostic: &Diagnostic) -> Option<((usize, usize), (usize, usize))> {
    let span = diagnostic.span?;
    Some((position(&diagnostic.source, span.start), position(&diagnostic.source, span.end)))
}

/// Problems as a JSON array with a line feed.
#[must_use]
pub fn json(diagnostics: &[Diagnostic]) -> String {
    let list: Vec<Json> = diagnostics.iter().map(Json::from).collect();
    // Strings and integers: none of them can fail to serialise.
    let mut text = serde_json::to_string_pretty(&list).unwrap_or_default();
    text.push('\n');
    text
}

/// Problems as GitHub workflow commands, one a line, which become annotations on a pull request.
#[must_use]
pub fn github(diagnostics: &[Diagnostic]) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for diagnostic in diagnostics {
        let place = range(diagnostic).map_or_else(
            String::new,
            |((line, column), (end_line, end_column))| {
                // GitHub shows columns only within one line.
                let columns = if line == end_line {
                    format!(",col={column},endColumn={end_column}")
                } else {
                    String::new()
                };
                format!(",line={line},endLine={end_line}{columns}")
            },
        );
        let mut message = diagnostic.message.clone();
        if let Some(help) = &diagnostic.help {
            message.push_str("\nhelp: ");
            message.push_str(help);
        }
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "::{} file={}{place},title={}::{}",
            severity(diagnostic),
            property(&diagnostic.source.path),
            property(diagnostic.rule),
            data(&message)
        );
    }
    out
}
