//! A merge as the text of a lock. What a person must decide stands between git's conflict markers,
//! and whichever side they keep of each place, the commas come out right.

use super::Merge;
use crate::lockfile::write::{LAST_LINE, entry_line, first_line, to_bytes};

const OURS: &str = "<<<<<<< ours";
const MIDDLE: &str = "=======";
const THEIRS: &str = ">>>>>>> theirs";

/// A stretch of the lock's lines: one that is certain, or two to choose from, of which one may be
/// empty.
enum Stretch {
    Certain(String),
    Either(Vec<String>, Vec<String>),
}

impl Stretch {
    fn stays(&self) -> bool {
        match self {
            Self::Certain(_) => true,
            Self::Either(ours, theirs) => !ours.is_empty() && !theirs.is_empty(),
        }
    }
}

/// The bytes of a merged lock: as couponctl writes it without conflicts, otherwise with markers
/// around the lines to decide.
#[must_use]
pub fn to_bytes_with_markers(merge: &Merge) -> Vec<u8> {
    if merge.undecided.is_empty() && merge.undecided_fields.is_none() {
        return to_bytes(&merge.lock);
    }
    let mut out = String::new();
    let first = |fields| first_line(&merge.lock.brand_id, fields);
    let above = match &merge.undecided_fields {
        None => Stretch::Certain(first(&merge.lock.unknown)),
        Some([ours, theirs]) => Stretch::Either(vec![first(ours)], vec![first(theirs)]),
    };
    push(&mut out, &above, str::to_owned);
    let stretches = stretches(merge);
    match stretches.iter().rposition(Stretch::stays) {
        // The last line that is there whatever is chosen has no comma; those above have it behind
        // them, those below, which may all go, in front.
        Some(last) => {
            for (index, stretch) in stretches.iter().enumerate() {
                push(&mut out, stretch, |line| match index.cmp(&last) {
                    std::cmp::Ordering::Less => format!("{line},"),
                    std::cmp::Ordering::Equal => line.to_owned(),
                    std::cmp::Ordering::Greater => format!(",{line}"),
                });
            }
        }
        // Any line may go: one choice for all.
        None => push_all_or_nothing(&mut out, stretches),
    }
    out.push_str(LAST_LINE);
    out.push('\n');
    out.into_bytes()
}

/// Two files that cannot be merged, whole, between markers: nothing takes that for a lock, and
/// nothing of it is lost.
#[must_use]
pub fn whole_files(ours: &str, theirs: &str) -> String {
    let end = |text: &str| if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{OURS}\n{ours}{}{MIDDLE}\n{theirs}{}{THEIRS}\n", end(ours), end(theirs))
}

/// The entries in order of name.
fn stretches(merge: &Merge) -> Vec<Stretch> {
    let mut stretches: Vec<_> = merge
        .lock
        .stocks
        .iter()
        .map(|(name, entry)| (name, Stretch::Certain(entry_line(name, entry))))
        .chain(merge.undecided.iter().map(|(name, sides)| {
            let [ours, theirs] = [&sides.ours, &sides.theirs]
                .map(|side| side.iter().map(|entry| entry_line(name, entry)).collect());
            (name, Stretch::Either(ours, theirs))
        }))
        .collect();
    stretches.sort_by_key(|(name, _)| *name);
    stretches.into_iter().map(|(_, stretch)| stretch).collect()
}

fn push_all_or_nothing(out: &mut String, stretches: Vec<Stretch>) {
    let mut all = (Vec::new(), Vec::new());
    for stretch in stretches {
        if let Stretch::Either(ours, theirs) = stretch {
            all.0.extend(ours);
            all.1.extend(theirs);
        }
    }
    if all.0.is_empty() && all.1.is_empty() {
        return;
    }
    let joined = |lines: Vec<String>| {
        if lines.is_empty() { Vec::new() } else { vec![lines.join(",\n")] }
    };
    push(out, &Stretch::Either(joined(all.0), joined(all.1)), str::to_owned);
}

fn push(out: &mut String, stretch: &Stretch, with_comma: impl Fn(&str) -> String) {
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    match stretch {
        Stretch::Certain(text) => line(&with_comma(text)),
        Stretch::Either(ours, theirs) => {
            line(OURS);
            for text in ours {
                line(&with_comma(text));
            }
            line(MIDDLE);
            for text in theirs {
                line(&with_comma(text));
            }
            line(THEIRS);
        }
    }
}
