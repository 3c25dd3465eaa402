//! Desired stocks against the lock: what would have to be done. Pure: no files, no clock, no network,
//! no printing.

pub mod commitment;
pub mod guardrails;
pub mod scope;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::desired::DesiredStock;
use crate::identity::{ContentSha256, OutRequestNo, StockName};
use crate::lockfile::journal::Intent;
use crate::lockfile::{Entry, Lock};
use crate::parallel;
use crate::wechatpay::stock::Stock;
use commitment::Commitment;
use guardrails::Breach;

/// What is to be done about a stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Not in the lock: add a stock.
    Create,
    /// Only fields that the API can change differ. Later work: until then it is a replace.
    Update,
    /// Add a stock in the place of the one in use, which goes on handing out coupons.
    Replace,
    /// The same stock under another name: only the lock changes.
    Rename,
    /// In the lock, but in no file: reported and kept.
    Orphan,
}

/// One stock about which something is to be done, or at least said.
#[derive(Debug, Clone)]
pub struct Change {
    /// What is to be done.
    pub action: Action,
    /// The name, the new one for a rename.
    pub name: StockName,
    /// The old name of a rename.
    pub renamed_from: Option<StockName>,
    /// The file that asks for it; an orphan has none.
    pub file: Option<String>,
    /// The product coupon.
    pub product_coupon_id: String,
    /// The generation.
    pub generation: i64,
    /// The stock in use, where there is one.
    pub stock_id: Option<String>,
    /// The request number: of the request to come, or of the stock that stays.
    pub out_request_no: OutRequestNo,
    /// Hash of the content to come, or of the stock that stays.
    pub content_sha256: ContentSha256,
    /// What the lock holds.
    pub before: Option<Before>,
    /// The content in the file.
    pub after: Option<Arc<Stock>>,
    /// The stock that this very request made before, so that asking again gives it back.
    pub gives_back: Option<String>,
}

impl Change {
    /// Whether a stock is to be made.
    #[must_use]
    pub fn makes(&self) -> bool {
        matches!(self.action, Action::Create | Action::Replace)
    }
}

/// The side of a change that the lock holds.
#[derive(Debug, Clone)]
pub struct Before {
    /// The product coupon.
    pub product_coupon_id: String,
    /// The generation.
    pub generation: i64,
    /// The content, as JSON text.
    pub stock: Box<RawValue>,
}

impl From<&Entry> for Before {
    fn from(entry: &Entry) -> Self {
        Self {
            product_coupon_id: entry.product_coupon_id.clone(),
            generation: entry.generation,
            stock: entry.stock.clone(),
        }
    }
}

/// How many stocks there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub replace: usize,
    pub rename: usize,
    pub orphan: usize,
    pub unchanged: usize,
}

/// What would have to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The brand.
    pub brand_id: String,
    /// Changes in order of name.
    pub changes: Vec<Change>,
    /// Stocks that are as the files ask.
    pub unchanged: usize,
    /// What the stocks to be made commit the brand to.
    pub commitment: Commitment,
    /// Requests of an interrupted apply of which it is not known what came.
    pub open: Vec<Intent>,
    /// Requests that must not be sent, with the reason.
    pub conflicts: Vec<Conflict>,
    /// Guardrails that the plan passes.
    pub breaches: Vec<Breach>,
    /// The patterns that the plan was narrowed by; none when it is about all stocks.
    pub targets: Vec<String>,
}

/// A request that would give back a stock that already stands for another name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "stock `{name}` ({file}) asks for the very request {out_request_no} that made stock \
     {stock_id}, which now stands for `{holder}`; one stock cannot stand for two names: raise \
     `generation` of `{name}` to make a new one"
)]
pub struct Conflict {
    /// The name that asks.
    pub name: StockName,
    /// Its file.
    pub file: String,
    /// The request number.
    pub out_request_no: OutRequestNo,
    /// The stock that the request made.
    pub stock_id: String,
    /// The name that holds it.
    pub holder: StockName,
}

/// Which request made which stock, and who holds it.
type Requests<'a> = HashMap<&'a OutRequestNo, (&'a str, &'a StockName)>;

/// Stocks that were not read, since it is known that they are as the lock has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// How many there are.
    pub count: usize,
    /// Their names; none where the lock was not read either, since then they are all that it holds.
    pub names: Vec<StockName>,
}

/// Holds desired stocks against the lock.
#[must_use]
pub fn plan<S: Borrow<DesiredStock>>(desired: &[S], lock: &Lock, open: Vec<Intent>) -> Plan {
    plan_beside(&PassedOver::default(), desired, lock, open)
}

/// Holds desired stocks against the lock, beside others that were not read.
#[must_use]
pub fn plan_beside<S: Borrow<DesiredStock>>(
    passed_over: &PassedOver,
    desired: &[S],
    lock: &Lock,
    open: Vec<Intent>,
) -> Plan {
    let mut unchanged = passed_over.count;
    let (mut changed, mut new) = (Vec::new(), Vec::new());
    // Both are in order of name as a rule, and then no entry is searched for.
    let mut entries = lock.stocks.iter().peekable();
    for stock in desired.iter().map(Borrow::borrow) {
        while entries.next_if(|(name, _)| **name < stock.name).is_some() {}
        let entry = match entries.peek() {
            Some((name, entry)) if **name == stock.name => Some(*entry),
            _ => lock.stocks.get(&stock.name),
        };
        match entry {
            Some(entry) if same(stock, entry) => unchanged += 1,
            Some(entry) => changed.push((stock, Some(entry))),
            None => new.push(stock),
        }
    }
    let mut gone = BTreeMap::new();
    if unchanged + changed.len() < lock.stocks.len() {
        let names = desired.iter().map(|stock| &stock.borrow().name);
        let names: BTreeSet<_> = names.chain(&passed_over.names).collect();
        gone.extend(lock.stocks.iter().filter(|(name, _)| !names.contains(name)));
    }
    // By content, each list in order of name, so that the pairing does not depend on chance.
    let mut movable: HashMap<(&ContentSha256, i64), Vec<&StockName>> = HashMap::new();
    for (name, entry) in gone.iter().rev() {
        movable.entry((&entry.content_sha256, entry.generation)).or_default().push(name);
    }
    let mut changes = Vec::new();
    let mut made = changed;
    for stock in new {
        let from = movable.get_mut(&(&stock.content_sha256, stock.generation)).and_then(Vec::pop);
        match from.and_then(|from| gone.remove(from).map(|entry| (from, entry))) {
            Some((from, entry)) => changes.push(rename(stock, from, entry)),
            None => made.push((stock, None)),
        }
    }
    let mut made = parallel::map(&made, |(stock, entry)| make(&lock.brand_id, stock, *entry));
    let conflicts = settle(&mut made, lock);
    changes.extend(made);
    changes.extend(gone.into_iter().map(|(name, entry)| orphan(name, entry)));
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    let commitment = Commitment::of(&changes);
    let brand_id = lock.brand_id.clone();
    let (breaches, targets) = (Vec::new(), Vec::new());
    Plan { brand_id, changes, unchanged, commitment, open, conflicts, breaches, targets }
}

fn same(stock: &DesiredStock, entry: &Entry) -> bool {
    stock.content_sha256 == entry.content_sha256 && stock.generation == entry.generation
}

fn rename(stock: &DesiredStock, from: &StockName, entry: &Entry) -> Change {
    Change {
        action: Action::Rename,
        name: stock.name.clone(),
        renamed_from: Some(from.clone()),
        file: Some(stock.file.to_string()),
        after: Some(Arc::clone(&stock.stock)),
        ..orphan(from, entry)
    }
}

fn orphan(name: &StockName, entry: &Entry) -> Change {
    Change {
        action: Action::Orphan,
        name: name.clone(),
        renamed_from: None,
        file: None,
        product_coupon_id: entry.product_coupon_id.clone(),
        generation: entry.generation,
        stock_id: Some(entry.stock_id.clone()),
        out_request_no: entry.out_request_no.clone(),
        content_sha256: entry.content_sha256.clone(),
        before: Some(entry.into()),
        after: None,
        gives_back: None,
    }
}

/// Plans a request: a create, or a replace of the entry in use.
fn make(brand_id: &str, stock: &DesiredStock, entry: Option<&Entry>) -> Change {
    let (name, content) = (stock.name.as_str(), &stock.content_sha256);
    Change {
        action: if entry.is_some() { Action::Replace } else { Action::Create },
        name: stock.name.clone(),
        renamed_from: None,
        file: Some(stock.file.to_string()),
        product_coupon_id: stock.product_coupon_id.clone(),
        generation: stock.generation,
        stock_id: entry.map(|entry| entry.stock_id.clone()),
        out_request_no: OutRequestNo::derive(brand_id, name, stock.generation, content),
        content_sha256: content.clone(),
        before: entry.map(Before::from),
        after: Some(Arc::clone(&stock.stock)),
        gives_back: None,
    }
}

/// Notes which requests give back a stock that they made before, and says which must not be sent
/// since that stock now stands for another name.
fn settle(made: &mut [Change], lock: &Lock) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    if made.is_empty() || lock.stocks.is_empty() {
        return conflicts;
    }
    let requests = requests(lock);
    for change in made {
        let Some((stock_id, holder)) = requests.get(&change.out_request_no).copied() else {
            continue;
        };
        change.gives_back = Some(stock_id.to_owned());
        if *holder != change.name {
            conflicts.push(Conflict {
                name: change.name.clone(),
                file: change.file.clone().unwrap_or_default(),
                out_request_no: change.out_request_no.clone(),
                stock_id: stock_id.to_owned(),
                holder: holder.clone(),
            });
        }
    }
    conflicts
}

fn requests(lock: &Lock) -> Requests<'_> {
    let mut requests = HashMap::new();
    for (name, entry) in &lock.stocks {
        for old in &entry.superseded {
            requests.insert(&old.out_request_no, (old.stock_id.as_str(), name));
        }
        requests.insert(&entry.out_request_no, (entry.stock_id.as_str(), name));
    }
    requests
}

impl Plan {
    /// How many stocks there are of each kind.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { unchanged: self.unchanged, ..Summary::default() };
        for change in &self.changes {
            *match change.action {
                Action::Create => &mut summary.create,
                Action::Update => &mut summary.update,
                Action::Replace => &mut summary.replace,
                Action::Rename => &mut summary.rename,
                Action::Orphan => &mut summary.orphan,
            } += 1;
        }
        summary
    }

    /// Whether an apply would do anything: orphans are only reported, but open requests are settled.
    #[must_use]
    pub fn changes_anything(&self) -> bool {
        self.to_do().next().is_some() || !self.open.is_empty()
    }

    /// Whether something forbids to carry the plan out, whatever is approved.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        !self.conflicts.is_empty() || self.breaches.iter().any(|breach| !breach.overridden)
    }

    /// Whether an apply of either plan would do the same: the same requests, in place of the same
    /// stocks, and the same renames.
    #[must_use]
    pub fn does_the_same_as(&self, other: &Self) -> bool {
        fn work(
            change: &Change,
        ) -> (Action, &StockName, Option<&StockName>, &OutRequestNo, Option<&str>) {
            let Change { action, name, renamed_from, out_request_no, stock_id, .. } = change;
            (*action, name, renamed_from.as_ref(), out_request_no, stock_id.as_deref())
        }
        self.to_do().map(work).eq(other.to_do().map(work))
    }

    /// The changes that apply would carry out: everything but orphans.
    pub fn to_do(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.action != Action::Orphan)
    }
}

#[cfg(test)]
mod tests;
