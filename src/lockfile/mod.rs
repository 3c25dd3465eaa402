//! `couponctl.lock`: which stock stands for which name. Plain data and the few ways it may change;
//! reading, writing and the journal are in the files beside this one. Knows nothing about plans.

pub mod append;
pub mod check;
pub mod hold;
pub mod journal;
pub mod merge;
pub mod read;
pub mod write;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::identity::{ContentSha256, OutRequestNo, StockName};
use crate::wechatpay::stock::Stock;

/// The lock's format, as its first field says.
pub const VERSION: u64 = 1;
/// The lock's name in a workspace.
pub const FILE_NAME: &str = "couponctl.lock";

/// What exists, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// The brand that the stocks belong to.
    pub brand_id: String,
    /// One entry a name.
    pub stocks: BTreeMap<StockName, Entry>,
    /// Fields of the lock itself that this version does not know; they survive a rewrite.
    pub unknown: BTreeMap<String, Value>,
}

/// One stock that exists.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The product coupon that it belongs to.
    pub product_coupon_id: String,
    /// The id that WeChat Pay gave it.
    pub stock_id: String,
    /// The request number that made it.
    pub out_request_no: OutRequestNo,
    /// The generation it was made as.
    pub generation: i64,
    /// Hash of its product coupon and content.
    pub content_sha256: ContentSha256,
    /// When it was recorded, RFC 3339 in UTC.
    pub created_at: String,
    /// The name it was made from, when it was renamed since.
    pub requested_as: Option<StockName>,
    /// Stocks that this one took the place of; they go on handing out coupons until deactivated.
    pub superseded: Vec<Superseded>,
    /// Its content, as JSON text that is parsed only when somebody looks at it.
    pub stock: Box<RawValue>,
    /// Fields that this version does not know; they survive a rewrite.
    pub unknown: BTreeMap<String, Value>,
}

/// A stock that another took the place of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Superseded {
    /// The id that WeChat Pay gave it.
    pub stock_id: String,
    /// The request number that made it.
    pub out_request_no: OutRequestNo,
    /// Hash of its product coupon and content.
    pub content_sha256: ContentSha256,
    /// Fields beside these survive a rewrite.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// A stock that was just made or found, to be recorded.
#[derive(Debug, Clone)]
pub struct Made {
    /// The name it is for.
    pub name: StockName,
    /// The product coupon that it belongs to.
    pub product_coupon_id: String,
    /// The id that WeChat Pay gave it.
    pub stock_id: String,
    /// The request number that made it.
    pub out_request_no: OutRequestNo,
    /// The generation it was made as.
    pub generation: i64,
    /// Hash of its product coupon and content.
    pub content_sha256: ContentSha256,
    /// When it was learned of, RFC 3339 in UTC.
    pub created_at: String,
    /// Its content in canonical JSON.
    pub stock: Box<RawValue>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.product_coupon_id == other.product_coupon_id
            && self.stock_id == other.stock_id
            && self.out_request_no == other.out_request_no
            && self.generation == other.generation
            && self.content_sha256 == other.content_sha256
            && self.created_at == other.created_at
            && self.requested_as == other.requested_as
            && self.superseded == other.superseded
            && self.stock.get() == other.stock.get()
            && self.unknown == other.unknown
    }
}

impl From<Made> for Entry {
    fn from(made: Made) -> Self {
        Self {
            product_coupon_id: made.product_coupon_id,
            stock_id: made.stock_id,
            out_request_no: made.out_request_no,
            generation: made.generation,
            content_sha256: made.content_sha256,
            created_at: made.created_at,
            requested_as: None,
            superseded: Vec::new(),
            stock: made.stock,
            unknown: BTreeMap::new(),
        }
    }
}

impl Entry {
    /// The content, parsed.
    ///
    /// # Errors
    /// When it is not a stock object, as only a hand-edited lock has it.
    pub fn parse_stock(&self) -> Result<Stock, serde_json::Error> {
        serde_json::from_str(self.stock.get())
    }

    /// The ids of the stocks that it stands for, the one in use first.
    pub fn stock_ids(&self) -> impl Iterator<Item = &str> {
        let old = self.superseded.iter().map(|old| old.stock_id.as_str());
        std::iter::once(self.stock_id.as_str()).chain(old)
    }

    fn into_superseded(self) -> (Superseded, Vec<Superseded>) {
        let mut more = self.unknown;
        more.insert("product_coupon_id".into(), self.product_coupon_id.into());
        more.insert("generation".into(), self.generation.into());
        more.insert("created_at".into(), self.created_at.into());
        if let Some(name) = self.requested_as {
            more.insert("requested_as".into(), name.as_str().into());
        }
        let entry = Superseded {
            stock_id: self.stock_id,
            out_request_no: self.out_request_no,
            content_sha256: self.content_sha256,
            more,
        };
        (entry, self.superseded)
    }
}

/// What an apply found out, to be folded into the lock.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The stock.
    pub made: Made,
    /// Whether it is what its name asks for. One that nobody asks for any more is recorded as
    /// superseded where its name is in use, and otherwise under its name, where the next plan
    /// reports it as an orphan.
    pub wanted: bool,
    /// Whether the lock held it as superseded when it was asked for, so that it is in use again.
    pub given_back: bool,
}

/// Which name holds which stock id.
#[derive(Debug, Clone, Default)]
pub struct Holders(HashMap<String, StockName>);

impl Holders {
    /// The name that holds a stock id.
    #[must_use]
    pub fn of(&self, stock_id: &str) -> Option<&StockName> {
        self.0.get(stock_id)
    }

    /// Notes that a name holds a stock id.
    pub fn insert(&mut self, stock_id: String, name: StockName) {
        self.0.insert(stock_id, name);
    }
}

impl Lock {
    /// A lock that holds nothing yet.
    #[must_use]
    pub fn empty(brand_id: &str) -> Self {
        Self { brand_id: brand_id.to_owned(), stocks: BTreeMap::new(), unknown: BTreeMap::new() }
    }

    /// Which name holds which stock id, in use or superseded.
    #[must_use]
    pub fn holders(&self) -> Holders {
        let mut holders = HashMap::new();
        for (name, entry) in &self.stocks {
            let ids = entry.superseded.iter().map(|old| &old.stock_id).chain([&entry.stock_id]);
            holders.extend(ids.map(|id| (id.clone(), name.clone())));
        }
        Holders(holders)
    }

    /// Records a stock as the one in use under its name. What stood there is superseded.
    ///
    /// # Errors
    /// When the id stands under another name already: one stock cannot stand for two.
    pub fn record(&mut self, made: Made, holders: &mut Holders) -> Result<(), TakenStock> {
        if let Some(holder) = holders.of(&made.stock_id).filter(|holder| **holder != made.name) {
            return Err(TakenStock { stock_id: made.stock_id, holder: holder.clone() });
        }
        let name = made.name.clone();
        holders.0.insert(made.stock_id.clone(), name.clone());
        let mut entry = Entry::from(made);
        match self.stocks.remove(&name) {
            Some(current) if current.stock_id == entry.stock_id => {
                entry.superseded = current.superseded;
                entry.unknown = current.unknown;
            }
            Some(current) => {
                let (replaced, mut older) = current.into_superseded();
                // A file that went back to earlier content gets the earlier stock back.
                older.retain(|old| old.stock_id != entry.stock_id);
                older.push(replaced);
                entry.superseded = older;
            }
            None => {}
        }
        self.stocks.insert(name, entry);
        Ok(())
    }

    /// Folds in what an apply learned. A stock that the lock holds already, wherever, stays where
    /// it is, so that folding twice changes nothing; but one that was asked for again, and given
    /// back, is in use again.
    pub fn fold(&mut self, learned: impl IntoIterator<Item = Learned>) {
        let mut learned = learned.into_iter().peekable();
        if learned.peek().is_none() {
            return;
        }
        let mut holders = self.holders();
        for Learned { made, wanted, given_back } in learned {
            match holders.of(&made.stock_id) {
                Some(holder) if !(wanted && given_back && *holder == made.name) => continue,
                _ => {}
            }
            match self.stocks.get_mut(&made.name) {
                Some(entry) if !wanted => {
                    holders.0.insert(made.stock_id.clone(), made.name.clone());
                    entry.superseded.push(Entry::from(made).into_superseded().0);
                }
                _ => {
                    let recorded = self.record(made, &mut holders);
                    debug_assert!(recorded.is_ok(), "no other name holds it");
                }
            }
        }
    }

    /// Moves an entry to a new name, keeping the name it was made from.
    ///
    /// # Errors
    /// When the old name is not there, or the new one is.
    pub fn rename(&mut self, old: &StockName, new: &StockName) -> Result<(), RenameError> {
        if self.stocks.contains_key(new) {
            return Err(RenameError::Taken(new.clone()));
        }
        let mut entry = self.stocks.remove(old).ok_or_else(|| RenameError::Missing(old.clone()))?;
        let made_as = entry.requested_as.take().unwrap_or_else(|| old.clone());
        entry.requested_as = (made_as != *new).then_some(made_as);
        self.stocks.insert(new.clone(), entry);
        Ok(())
    }
}

/// A stock id already stands under another name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stock {stock_id} is already recorded as `{holder}`")]
pub struct TakenStock {
    /// The id.
    pub stock_id: String,
    /// The name that holds it.
    pub holder: StockName,
}

/// Why an entry could not be renamed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// No such entry.
    #[error("the lock has no stock named `{0}`")]
    Missing(StockName),
    /// The new name is in use.
    #[error("the lock already has a stock named `{0}`")]
    Taken(StockName),
}

#[cfg(test)]
mod tests;
