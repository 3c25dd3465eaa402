//! Holds the bytes of a lock against what couponctl itself would have written: form, stock ids,
//! hashes and request numbers. Pure, and goes on after a problem, so that one run finds them all.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::read::{self, LockError};
use super::{Entry, Lock, write};
use crate::identity::{ContentSha256, OutRequestNo, StockName};
use crate::plain::plain;

/// Something wrong in a lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// What kind of problem.
    pub kind: Kind,
    /// The entry, where it is one's.
    pub name: Option<StockName>,
    /// What is wrong, and what to do.
    pub message: String,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Not a lock, or not one of this brand and version.
    Unreadable,
    /// Left by a merge.
    ConflictMarker,
    /// The same content, but not the bytes that couponctl writes.
    Form,
    /// Entries are not in order of name.
    Order,
    /// A name stands there twice.
    DuplicateName,
    /// A stock id stands there twice.
    DuplicateStock,
    /// `content_sha256` is not the hash of the content.
    ContentHash,
    /// `out_request_no` is not what name, generation and content give.
    RequestNumber,
    /// The content is not a stock.
    Stock,
}

/// An entry with the line it was found on.
struct Placed {
    line: usize,
    name: StockName,
    entry: Entry,
}

/// Every problem of a lock, in order of lines. `brand_id` is that of the settings.
#[must_use]
pub fn check(bytes: &[u8], brand_id: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = line_of(bytes, error.valid_up_to());
            let message = LockError::NotUtf8(error.valid_up_to()).to_string();
            return vec![Problem { line, kind: Kind::Unreadable, name: None, message }];
        }
    };
    let mut brand_id = brand_id.to_owned();
    let placed = match read::parse_for(bytes, &brand_id) {
        Ok(lock) => {
            let placed = place(text, &lock);
            check_form(text, &lock, &placed, &mut problems);
            placed
        }
        Err(error) => {
            let placed = check_lines(text, &error, &mut problems);
            if let LockError::OtherBrand { locked, .. } = error {
                // One problem, and not one more for the request number of each stock.
                brand_id = locked;
            }
            placed
        }
    };
    check_names_and_ids(&placed, &mut problems);
    for placed in &placed {
        check_content(placed, &brand_id, &mut problems);
    }
    problems.sort();
    problems.dedup();
    problems
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes.iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

/// The entry that a line of a lock holds, when it looks like the line of one.
fn parse_line(line: &str) -> Option<Result<(StockName, Entry), serde_json::Error>> {
    // Behind a merge, commas may stand in front.
    let line = line.trim().trim_matches(',');
    let (name, behind) = line.strip_prefix('"')?.split_once('"')?;
    if StockName::parse(name).is_none() || !behind.starts_with(":{") {
        return None;
    }
    let parsed = serde_json::from_str::<HashMap<StockName, Entry>>(&format!("{{{line}}}"));
    Some(parsed.and_then(|map| {
        let wanted = || serde::de::Error::custom("an entry has its line to itself");
        let mut entries = map.into_iter();
        entries.next().filter(|_| entries.next().is_none()).ok_or_else(wanted)
    }))
}

/// Finds the line of each entry of a lock that reads well, whatever its form.
fn place(text: &str, lock: &Lock) -> Vec<Placed> {
    let mut lines: HashMap<StockName, usize> = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let rest = line.trim_start().trim_start_matches([',', '{']).trim_start();
        let name = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let Some((name, behind)) = name else { continue };
        if let Some(name) = StockName::parse(name).filter(|_| behind.trim_start().starts_with(':'))
        {
            lines.entry(name).or_insert(index + 1);
        }
    }
    let mut placed: Vec<_> = lock
        .stocks
        .iter()
        .map(|(name, entry)| {
            let line = lines.get(name).copied().unwrap_or(1);
            Placed { line, name: name.clone(), entry: entry.clone() }
        })
        .collect();
    placed.sort_by_key(|placed| placed.line);
    placed
}

const MEND_FORM: &str = "`couponctl lock check --fix` writes it anew";
const RESTORE: &str = "restore the line from git (`git log -p couponctl.lock`)";
const MARKER: &str =
    "git's conflict marker: keep the lines of one side of the two, and take the three markers out";

/// A lock that reads well but is not as couponctl writes it.
fn check_form(text: &str, lock: &Lock, placed: &[Placed], problems: &mut Vec<Problem>) {
    let expected = write::to_bytes(lock);
    if text.as_bytes() == expected {
        return;
    }
    let before = problems.len();
    check_order(placed, problems);
    if problems.len() > before {
        return;
    }
    let expected = String::from_utf8_lossy(&expected);
    let same = |(ours, theirs): &(&str, &str)| ours == theirs;
    // With line feeds, so that a carriage return or a missing last one counts.
    let whole =
        text.split_inclusive('\n').zip(expected.split_inclusive('\n')).take_while(same).count();
    let (is, should) =
        (text.split_inclusive('\n').nth(whole), expected.split_inclusive('\n').nth(whole));
    let column = is.zip(should).map_or(1, |(is, should)| {
        is.chars().zip(should.chars()).take_while(|(a, b)| a == b).count() + 1
    });
    let last = text.lines().count().max(1);
    problems.push(Problem {
        line: (whole + 1).min(last),
        kind: Kind::Form,
        name: None,
        message: format!(
            "from column {column} on, this is not the form that couponctl writes; {MEND_FORM}"
        ),
    });
}

fn check_order(placed: &[Placed], problems: &mut Vec<Problem>) {
    let pairs = placed.iter().zip(placed.iter().skip(1));
    problems.extend(pairs.filter(|(one, next)| one.name > next.name).map(|(one, next)| Problem {
        line: next.line,
        kind: Kind::Order,
        name: Some(next.name.clone()),
        message: format!(
            "`{}` belongs above `{}`: entries are in order of name; {MEND_FORM}",
            next.name, one.name
        ),
    }));
}

/// A lock that does not read as a whole: what its lines say one by one.
fn check_lines(text: &str, error: &LockError, problems: &mut Vec<Problem>) -> Vec<Placed> {
    let mut placed = Vec::new();
    let mut problem = |line, kind, message: String| {
        // What the line says by itself is nearer than what reading the whole stumbled over.
        if !problems.iter().any(|problem: &Problem| problem.line == line) {
            problems.push(Problem { line, kind, name: None, message });
        }
    };
    if matches!(error, LockError::Newer(_)) {
        problem(1, Kind::Unreadable, error.to_string());
        return placed;
    }
    for (index, line) in text.lines().enumerate() {
        if read::is_conflict_marker(line) {
            problem(index + 1, Kind::ConflictMarker, MARKER.to_owned());
            continue;
        }
        match parse_line(line) {
            None => {}
            Some(Ok((name, entry))) => placed.push(Placed { line: index + 1, name, entry }),
            Some(Err(error)) => {
                let message = format!("this is not an entry: {}; {RESTORE}", reason(&error));
                problem(index + 1, Kind::Unreadable, message);
            }
        }
    }
    match error {
        // Said above, marker by marker.
        LockError::Conflict(_) => {}
        // Said with both lines below.
        LockError::Broken { message, .. } if message.contains("stands there twice") => {}
        LockError::Broken { line, message, .. } => {
            problem(*line, Kind::Unreadable, format!("{}; {RESTORE}", plain(message)));
        }
        LockError::CutOff(line) => problem(*line, Kind::Unreadable, error.to_string()),
        _ => problem(1, Kind::Unreadable, error.to_string()),
    }
    placed
}

/// What serde says, without the place, which is one in the line and not in the file.
fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    plain(message.split(" at line ").next().unwrap_or_default()).into_owned()
}

/// Names and stock ids that stand there twice, superseded ones too. The two sides of a conflict are
/// not held against each other.
fn check_names_and_ids(placed: &[Placed], problems: &mut Vec<Problem>) {
    let in_conflict = problems.iter().any(|problem| problem.kind == Kind::ConflictMarker);
    if in_conflict {
        return;
    }
    let mut names: HashMap<&StockName, usize> = HashMap::new();
    let mut ids: HashMap<&str, &Placed> = HashMap::new();
    for place in placed {
        let mut problem = |kind, message| {
            let name = Some(place.name.clone());
            problems.push(Problem { line: place.line, kind, name, message });
        };
        if let Some(line) = names.insert(&place.name, place.line) {
            let message =
                format!("`{}` stands on line {line} too; keep one of the two entries", place.name);
            problem(Kind::DuplicateName, message);
        }
        for id in place.entry.stock_ids() {
            let Some(first) = ids.insert(id, place) else { continue };
            let other = if first.line == place.line {
                "in this entry twice".to_owned()
            } else {
                format!("on line {} for `{}` too", first.line, first.name)
            };
            let id = plain(id);
            problem(
                Kind::DuplicateStock,
                format!(
                    "stock {id} stands {other}; one stock stands once: take it out of one place"
                ),
            );
        }
    }
}

/// An entry's content against its hash and its request number. An adopted stock is no exception: it
/// is recorded with the request number that its file gives. Of superseded stocks the content is not
/// kept, and the name that each was made from may have changed since, so nothing can be recomputed.
fn check_content(placed: &Placed, brand_id: &str, problems: &mut Vec<Problem>) {
    let Placed { line, name, entry } = placed;
    let mut problem = |kind, message| {
        problems.push(Problem { line: *line, kind, name: Some(name.clone()), message });
    };
    if let Err(error) = entry.parse_stock() {
        let message =
            format!("the stock of `{name}` cannot be read: {}; {RESTORE}", reason(&error));
        problem(Kind::Stock, message);
    }
    // Canonical JSON of whatever stands there, so that fields of later versions count too.
    let stock: Value = serde_json::from_str(entry.stock.get()).unwrap_or_default();
    let canonical = stock.to_string();
    if write::compact(entry.stock.get()) != canonical {
        let message = format!(
            "the stock of `{name}` is not in canonical form: keys in order, each once; {RESTORE}"
        );
        problem(Kind::Form, message);
    }
    let hash = ContentSha256::of_canonical(&entry.product_coupon_id, &canonical);
    if hash != entry.content_sha256 {
        let message = format!(
            "the content of `{name}` has the hash {hash}, but content_sha256 is {}: one of them was \
             edited; {RESTORE}",
            entry.content_sha256
        );
        problem(Kind::ContentHash, message);
    }
    let made_as = entry.requested_as.as_ref().unwrap_or(name);
    let number = |hash| OutRequestNo::derive(brand_id, made_as.as_str(), entry.generation, hash);
    // With the hash as recorded, or a changed content would be told twice.
    if number(&entry.content_sha256) != entry.out_request_no
        && number(&hash) != entry.out_request_no
    {
        let message = format!(
            "the request of `{name}` is {}, but {} of generation {} and this content gives {}: the \
             name, the generation or requested_as was edited (`couponctl lock mv` renames); \
             {RESTORE}",
            entry.out_request_no,
            if entry.requested_as.is_some() { "its requested_as" } else { "the name" },
            entry.generation,
            number(&hash)
        );
        problem(Kind::RequestNumber, message);
    }
}

#[cfg(test)]
mod tests;
