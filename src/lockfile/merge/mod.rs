//! Merges two locks that grew apart, entry by entry, for git. Pure: locks in, a lock and conflicts
//! out. A stock id on either side is in what comes out, unless a side took out one that was there
//! before: an id that is lost is a stock that goes on handing out coupons with nobody watching.

mod entry;
pub mod markers;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Entry, Lock};
use crate::identity::StockName;

/// What came of a merge.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// All that merged by itself. With conflicts it is not the whole lock.
    pub lock: Lock,
    /// Entries that a person must choose between, by name.
    pub undecided: BTreeMap<StockName, Sides>,
    /// Fields of the lock itself that a person must choose between: ours and theirs.
    pub undecided_fields: Option<[BTreeMap<String, Value>; 2]>,
    /// Why, in order of name.
    pub conflicts: Vec<Conflict>,
}

/// An entry as the two sides have it. Where both have one, each stands here with the other's stock
/// ids among its superseded ones, so that no choice between them loses an id.
#[derive(Debug, Clone, PartialEq)]
pub struct Sides {
    /// On our side; `None` when it is not there.
    pub ours: Option<Entry>,
    /// On their side; `None` when it is not there.
    pub theirs: Option<Entry>,
}

/// One of the two sides of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The branch that is merged into.
    Ours,
    /// The branch that is merged.
    Theirs,
}

/// Something that a person must decide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conflict {
    /// Both sides changed fields of the lock itself, differently.
    Fields(Vec<String>),
    /// Each side made a stock of its own for the name: both exist.
    TwoStocks {
        /// The name.
        name: StockName,
        /// The stock of our side.
        ours: String,
        /// The stock of their side.
        theirs: String,
    },
    /// Each side took the other's stock out of use.
    EachInUse {
        /// The name.
        name: StockName,
        /// The stock in use on our side.
        ours: String,
        /// The stock in use on their side.
        theirs: String,
    },
    /// Both sides changed what is recorded of the same stock, differently.
    Changed {
        /// The name.
        name: StockName,
        /// The fields.
        fields: Vec<String>,
    },
    /// One side took the entry out, the other changed it.
    Removed {
        /// The name.
        name: StockName,
        /// Who took it out.
        by: Side,
        /// The stock in use on the side that has it.
        stock_id: String,
    },
    /// The same stock stands under several names.
    SeveralNames {
        /// The names.
        names: Vec<StockName>,
        /// The stocks.
        stock_ids: Vec<String>,
    },
}

/// Why two locks cannot be merged at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("our side belongs to brand {ours}, their side to brand {theirs}")]
pub struct OtherBrand {
    /// The brand of our side.
    pub ours: String,
    /// The brand of their side.
    pub theirs: String,
}

/// Merges `theirs` into `ours`, which grew apart from `base`; without a common ancestor `base` is
/// `None`.
///
/// An entry or field that only one side added, changed or took out is as that side has it; what both
/// did alike is done. Where both changed an entry, a side whose stock took the place of the other
/// side's wins, all superseded ids of both are kept, and of two times at which the same stock was
/// recorded the earlier counts. Everything else is a [`Conflict`].
///
/// # Errors
/// When the two sides belong to different brands.
pub fn merge(base: Option<&Lock>, ours: &Lock, theirs: &Lock) -> Result<Merge, OtherBrand> {
    if ours.brand_id != theirs.brand_id {
        return Err(OtherBrand { ours: ours.brand_id.clone(), theirs: theirs.brand_id.clone() });
    }
    // Entries of another brand say nothing about what became of this one's.
    let base = base.filter(|base| base.brand_id == ours.brand_id);
    let mut merge = Merge {
        lock: Lock::empty(&ours.brand_id),
        undecided: BTreeMap::new(),
        undecided_fields: None,
        conflicts: Vec::new(),
    };
    match entry::merge_fields(base.map(|base| &base.unknown), &ours.unknown, &theirs.unknown) {
        Ok(fields) => merge.lock.unknown = fields,
        Err(fields) => {
            merge.undecided_fields = Some([ours.unknown.clone(), theirs.unknown.clone()]);
            merge.conflicts.push(Conflict::Fields(fields));
        }
    }
    let names: BTreeSet<_> = ours.stocks.keys().chain(theirs.stocks.keys()).collect();
    for name in names {
        let before = base.and_then(|base| base.stocks.get(name));
        match merge_name(name, before, ours.stocks.get(name), theirs.stocks.get(name)) {
            Ok(None) => {}
            Ok(Some(entry)) => {
                merge.lock.stocks.insert(name.clone(), entry);
            }
            Err(conflict) => {
                merge.undecided.insert(name.clone(), sides(name, ours, theirs));
                merge.conflicts.push(conflict);
            }
        }
    }
    hold_names_apart(&mut merge, base, ours, theirs);
    for side in merge.undecided.values_mut() {
        side.keep_each_others_ids(&merge.conflicts);
    }
    Ok(merge)
}

fn sides(name: &StockName, ours: &Lock, theirs: &Lock) -> Sides {
    Sides { ours: ours.stocks.get(name).cloned(), theirs: theirs.stocks.get(name).cloned() }
}

/// One name: its entry, none, or what a person must decide.
fn merge_name(
    name: &StockName,
    base: Option<&Entry>,
    ours: Option<&Entry>,
    theirs: Option<&Entry>,
) -> Result<Option<Entry>, Conflict> {
    if let Some(picked) = entry::pick(&base, &ours, &theirs) {
        return Ok(picked.cloned());
    }
    let removed = |by, entry: &Entry| Conflict::Removed {
        name: name.clone(),
        by,
        stock_id: entry.stock_id.clone(),
    };
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => entry::merge(name, base, ours, theirs).map(Some),
        (Some(ours), None) => Err(removed(Side::Theirs, ours)),
        (None, Some(theirs)) => Err(removed(Side::Ours, theirs)),
        (None, None) => Ok(None),
    }
}

/// A stock that would stand under several names after the merge is a conflict of all of them, and so
/// is one that would stand under none though it moved from name to name, as only a base that had it
/// under several allows.
fn hold_names_apart(merge: &mut Merge, base: Option<&Lock>, ours: &Lock, theirs: &Lock) {
    let both = holders(ours.stocks.iter().chain(&theirs.stocks));
    let [before, left, right] = [base, Some(ours), Some(theirs)]
        .map(|lock| lock.map(|lock| holders(&lock.stocks)).unwrap_or_default());
    let taken_out =
        |id: &String| before.contains_key(id) && !(left.contains_key(id) && right.contains_key(id));
    let mut shared: BTreeMap<Vec<StockName>, BTreeSet<String>>;
    // What becomes undecided shows more ids, which may be shared in turn.
    loop {
        shared = BTreeMap::new();
        let mut held = holders(merge.lock.stocks.iter().chain(merge.undecided_entries()));
        for (id, names) in both.iter().filter(|(id, _)| !taken_out(id)) {
            held.entry(id.clone()).or_insert_with(|| names.clone());
        }
        for (stock_id, names) in held {
            let differs = |name: &StockName| ours.stocks.get(name) != theirs.stocks.get(name);
            // A lock that had it so on both sides is for `lock check` to mend.
            if names.len() > 1 && names.iter().any(differs) {
                shared.entry(names.into_iter().collect()).or_default().insert(stock_id);
            }
        }
        let undecided = merge.undecided.len();
        for name in shared.keys().flatten() {
            let sides = sides(name, ours, theirs);
            if sides.ours != sides.theirs && !merge.undecided.contains_key(name) {
                merge.lock.stocks.remove(name);
                merge.undecided.insert(name.clone(), sides);
            }
        }
        if merge.undecided.len() == undecided {
            break;
        }
    }
    merge.conflicts.extend(shared.into_iter().map(|(names, stock_ids)| Conflict::SeveralNames {
        names,
        stock_ids: stock_ids.into_iter().collect(),
    }));
    merge.conflicts.sort_by(|a, b| a.name().cmp(&b.name()).then_with(|| a.cmp(b)));
}

/// Under which names each stock id stands.
fn holders<'a>(
    entries: impl IntoIterator<Item = (&'a StockName, &'a Entry)>,
) -> BTreeMap<String, BTreeSet<StockName>> {
    let mut holders: BTreeMap<String, BTreeSet<StockName>> = BTreeMap::new();
    for (name, entry) in entries {
        for id in entry.stock_ids() {
            holders.entry(id.to_owned()).or_default().insert(name.clone());
        }
    }
    holders
}

impl Merge {
    fn undecided_entries(&self) -> impl Iterator<Item = (&StockName, &Entry)> {
        self.undecided.iter().flat_map(|(name, sides)| {
            [&sides.ours, &sides.theirs].into_iter().flatten().map(move |entry| (name, entry))
        })
    }
}

impl Sides {
    fn keep_each_others_ids(&mut self, conflicts: &[Conflict]) {
        let (Some(ours), Some(theirs)) = (&mut self.ours, &mut self.theirs) else { return };
        let several = |id: &str| {
            conflicts.iter().any(|conflict| match conflict {
                Conflict::SeveralNames { stock_ids, .. } => stock_ids.iter().any(|it| it == id),
                _ => false,
            })
        };
        // An id that also stands under another name must not be spread further.
        let before = ours.clone();
        entry::keep_ids(ours, theirs, several);
        entry::keep_ids(theirs, &before, several);
    }
}

impl Conflict {
    /// The first name that it is about; none for the lock itself.
    #[must_use]
    pub fn name(&self) -> Option<&StockName> {
        match self {
            Self::Fields(_) => None,
            Self::TwoStocks { name, .. }
            | Self::EachInUse { name, .. }
            | Self::Changed { name, .. }
            | Self::Removed { name, .. } => Some(name),
            Self::SeveralNames { names, .. } => names.first(),
        }
    }
}

#[cfg(test)]
mod tests;
