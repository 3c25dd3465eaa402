//! One entry that both sides changed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::Conflict;
use crate::identity::{ContentSha256, OutRequestNo, StockName};
use crate::lockfile::{Entry, Superseded};

/// When a stock was recorded: two branches that got the same stock from the API recorded it at two
/// times, and the earlier is as true as the later.
const CREATED_AT: &str = "created_at";

/// The three-way rule: what both have, or what only one side changed.
pub fn pick<T: PartialEq + Clone>(base: &T, ours: &T, theirs: &T) -> Option<T> {
    if ours == theirs || base == theirs {
        Some(ours.clone())
    } else if base == ours {
        Some(theirs.clone())
    } else {
        None
    }
}

/// Merges an entry that both sides have and changed.
pub fn merge(
    name: &StockName,
    base: Option<&Entry>,
    ours: &Entry,
    theirs: &Entry,
) -> Result<Entry, Conflict> {
    let changed = |fields| Conflict::Changed { name: name.clone(), fields };
    if ours.stock_id == theirs.stock_id {
        return merge_same(base, ours, theirs).map_err(changed);
    }
    let took =
        |new: &Entry, old: &Entry| new.superseded.iter().any(|it| it.stock_id == old.stock_id);
    let was = |side: &Entry| base.is_some_and(|base| base.stock_id == side.stock_id);
    let (ids_ours, ids_theirs) = (ours.stock_id.clone(), theirs.stock_id.clone());
    match (took(ours, theirs), took(theirs, ours)) {
        (true, false) => succeed(base, ours, theirs).map_err(changed),
        (false, true) => succeed(base, theirs, ours).map_err(changed),
        // One went back to an earlier stock: the side that moved since is the later one.
        (true, true) if was(theirs) => succeed(base, ours, theirs).map_err(changed),
        (true, true) if was(ours) => succeed(base, theirs, ours).map_err(changed),
        (true, true) => {
            Err(Conflict::EachInUse { name: name.clone(), ours: ids_ours, theirs: ids_theirs })
        }
        (false, false) => {
            Err(Conflict::TwoStocks { name: name.clone(), ours: ids_ours, theirs: ids_theirs })
        }
    }
}

/// What belongs together: content, its hash, and the request that it gives.
#[derive(Clone, PartialEq)]
struct Request<'a> {
    product_coupon_id: &'a str,
    out_request_no: &'a OutRequestNo,
    generation: i64,
    content_sha256: &'a ContentSha256,
    requested_as: Option<&'a StockName>,
    stock: &'a str,
}

impl<'a> From<&'a Entry> for Request<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            product_coupon_id: &entry.product_coupon_id,
            out_request_no: &entry.out_request_no,
            generation: entry.generation,
            content_sha256: &entry.content_sha256,
            requested_as: entry.requested_as.as_ref(),
            stock: entry.stock.get(),
        }
    }
}

/// The same stock, recorded differently.
fn merge_same(base: Option<&Entry>, ours: &Entry, theirs: &Entry) -> Result<Entry, Vec<String>> {
    // An earlier stock of that name says nothing about this one.
    let before = base.filter(|base| base.stock_id == ours.stock_id);
    let mut clashes = Vec::new();
    let requests = (Request::from(ours), Request::from(theirs));
    let picked =
        pick(&before.map(Request::from), &Some(requests.0.clone()), &Some(requests.1.clone()));
    if picked.is_none() {
        clashes.extend(differing(&requests.0, &requests.1));
    }
    let takes_theirs = picked.flatten().is_some_and(|picked| picked == requests.1);
    let mut entry = if takes_theirs { theirs.clone() } else { ours.clone() };
    let times = (&ours.created_at, &theirs.created_at);
    match pick(&before.map(|b| &b.created_at), &Some(times.0), &Some(times.1)) {
        Some(time) => entry.created_at.clone_from(time.unwrap_or(times.0)),
        None => match earlier(times.0, times.1) {
            Some(time) => time.clone_into(&mut entry.created_at),
            None => clashes.push(CREATED_AT.to_owned()),
        },
    }
    match merge_fields(before.map(|b| &b.unknown), &ours.unknown, &theirs.unknown) {
        Ok(fields) => entry.unknown = fields,
        Err(fields) => clashes.extend(fields),
    }
    match merge_superseded(base, &ours.superseded, &theirs.superseded) {
        Ok(superseded) => entry.superseded = superseded,
        Err(fields) => clashes.extend(fields),
    }
    if clashes.is_empty() { Ok(entry) } else { Err(clashes) }
}

fn differing(ours: &Request, theirs: &Request) -> Vec<String> {
    let same = [
        ("product_coupon_id", ours.product_coupon_id == theirs.product_coupon_id),
        ("out_request_no", ours.out_request_no == theirs.out_request_no),
        ("generation", ours.generation == theirs.generation),
        ("content_sha256", ours.content_sha256 == theirs.content_sha256),
        ("requested_as", ours.requested_as == theirs.requested_as),
        ("stock", ours.stock == theirs.stock),
    ];
    same.iter().filter(|(_, same)| !same).map(|(field, _)| (*field).to_owned()).collect()
}

/// The stock of `new` took the place of the stock of `old`, so that it is the one in use.
fn succeed(base: Option<&Entry>, new: &Entry, old: &Entry) -> Result<Entry, Vec<String>> {
    let (replaced, mut older) = old.clone().into_superseded();
    older.push(replaced);
    older.retain(|it| it.stock_id != new.stock_id);
    let superseded = merge_superseded(base, &new.superseded, &older)?;
    Ok(Entry { superseded, ..new.clone() })
}

/// The superseded stocks of both sides. None is ever taken out here: one that a side took out of its
/// list may just be in use again there.
fn merge_superseded(
    base: Option<&Entry>,
    ours: &[Superseded],
    theirs: &[Superseded],
) -> Result<Vec<Superseded>, Vec<String>> {
    let before: BTreeMap<String, Superseded> = base
        .map(|base| {
            let (replaced, older) = base.clone().into_superseded();
            older.into_iter().chain([replaced]).map(|old| (old.stock_id.clone(), old)).collect()
        })
        .unwrap_or_default();
    let mut merged: Vec<Superseded> = Vec::with_capacity(ours.len() + theirs.len());
    let mut clashes = Vec::new();
    for old in ours.iter().chain(theirs) {
        let Some(there) = merged.iter_mut().find(|it| it.stock_id == old.stock_id) else {
            merged.push(old.clone());
            continue;
        };
        match merge_old(before.get(&old.stock_id), there, old) {
            Ok(both) => *there = both,
            Err(fields) => {
                clashes.extend(fields.iter().map(|field| format!("{field} of {}", old.stock_id)));
            }
        }
    }
    if clashes.is_empty() { Ok(merged) } else { Err(clashes) }
}

fn merge_old(
    base: Option<&Superseded>,
    ours: &Superseded,
    theirs: &Superseded,
) -> Result<Superseded, Vec<String>> {
    let request = |old: &Superseded| Some((old.out_request_no.clone(), old.content_sha256.clone()));
    let picked = pick(&base.and_then(request), &request(ours), &request(theirs)).flatten();
    let more = merge_fields(base.map(|base| &base.more), &ours.more, &theirs.more);
    match (picked, more) {
        (Some((out_request_no, content_sha256)), Ok(more)) => {
            Ok(Superseded { stock_id: ours.stock_id.clone(), out_request_no, content_sha256, more })
        }
        (None, more) => {
            let mut fields = vec!["out_request_no".to_owned()];
            fields.extend(more.err().into_iter().flatten());
            Err(fields)
        }
        (_, Err(fields)) => Err(fields),
    }
}

/// Fields that this version does not know, one by one; otherwise the names of those that both sides
/// changed differently.
pub fn merge_fields(
    base: Option<&BTreeMap<String, Value>>,
    ours: &BTreeMap<String, Value>,
    theirs: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Value>, Vec<String>> {
    let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let mut merged = BTreeMap::new();
    let mut clashes = Vec::new();
    for key in keys {
        let before = base.and_then(|base| base.get(key));
        let (left, right) = (ours.get(key), theirs.get(key));
        let earlier_time = || {
            let times = left?.as_str().zip(right?.as_str())?;
            (key == CREATED_AT).then(|| earlier(times.0, times.1))?.map(Value::from)
        };
        match pick(&before, &left, &right) {
            Some(Some(value)) => {
                merged.insert(key.clone(), value.clone());
            }
            Some(None) => {}
            None => match earlier_time() {
                Some(time) => {
                    merged.insert(key.clone(), time);
                }
                None => clashes.push(key.clone()),
            },
        }
    }
    if clashes.is_empty() { Ok(merged) } else { Err(clashes) }
}

fn earlier<'a>(one: &'a str, other: &'a str) -> Option<&'a str> {
    let (first, second) = (one.parse::<Timestamp>().ok()?, other.parse::<Timestamp>().ok()?);
    Some(if (first, one) <= (second, other) { one } else { other })
}

/// Adds to an entry's superseded stocks those that only the other side holds, its stock in use too,
/// but for ids that `left_out` names.
pub fn keep_ids(entry: &mut Entry, other: &Entry, left_out: impl Fn(&str) -> bool) {
    let (in_use, older) = other.clone().into_superseded();
    for old in older.into_iter().chain([in_use]) {
        if !entry.stock_ids().any(|id| id == old.stock_id) && !left_out(&old.stock_id) {
            entry.superseded.push(old);
        }
    }
}
