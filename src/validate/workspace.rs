//! The rules across documents: names, contents, and how many stocks a product coupon may have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::rule::Rule;
use crate::desired::DesiredStock;
use crate::identity::StockName;
use crate::wechatpay::stock::limits;

/// A rule that several documents break together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// The rule.
    pub rule: Rule,
    /// What is wrong.
    pub message: String,
    /// The key of the documents that it is about, such as `name`.
    pub key: &'static str,
    /// The document that is pointed at, as an index into the list that was checked.
    pub here: usize,
    /// Another document of the same kind, and what to say there.
    pub there: Option<(usize, String)>,
    /// The edit to make.
    pub help: String,
}

/// Names that stand twice, and contents that stand under two names, in stocks in order of name.
#[must_use]
pub fn clashes(stocks: &[Arc<DesiredStock>]) -> Vec<Clash> {
    let mut found = Vec::new();
    // The first of each name.
    let mut first = 0;
    let mut contents = FxHashMap::default();
    contents.reserve(stocks.len());
    for (here, stock) in stocks.iter().enumerate() {
        if here > 0 && stocks[first].name == stock.name {
            found.push(Clash {
                rule: Rule::DuplicateName,
                message: format!("the name `{}` stands there twice", stock.name),
                key: "name",
                here,
                there: Some((first, "here for the first time".to_owned())),
                help: "give one of them another name".to_owned(),
            });
            continue;
        }
        first = here;
        let content = (stock.content_sha256.as_str(), stock.generation);
        if let Some(first) = contents.get(&content) {
            let twin: &Arc<DesiredStock> = &stocks[*first];
            found.push(Clash {
                rule: Rule::SameContent,
                message: format!(
                    "`{}` asks for the same content as `{}`: two batches alike?",
                    stock.name, twin.name
                ),
                key: "name",
                here,
                there: Some((*first, "the other one".to_owned())),
                help: "remove one of them, or tell them apart by `remark`".to_owned(),
            });
        } else {
            contents.insert(content, here);
        }
    }
    found
}

/// Product coupons with more live stocks than the API allows, desired and locked names counted once
/// each; both come in order of name. `is_over` says of a locked name whether its period has ended,
/// so that it counts no more.
pub fn too_many_stocks<'a>(
    stocks: &'a [Arc<DesiredStock>],
    locked: impl Iterator<Item = (&'a StockName, &'a str)> + Clone,
    is_over: impl Fn(&StockName) -> bool,
) -> Vec<Clash> {
    let mut counts: FxHashMap<&str, usize> = FxHashMap::default();
    let mut last: FxHashMap<&str, usize> = FxHashMap::default();
    for (index, stock) in stocks.iter().enumerate() {
        *counts.entry(&stock.product_coupon_id).or_default() += 1;
        last.insert(&stock.product_coupon_id, index);
    }
    let mut desired = stocks.iter().peekable();
    for (name, coupon) in locked.clone() {
        while desired.next_if(|stock| stock.name < *name).is_some() {}
        let is_desired = desired
            .peek()
            .is_some_and(|stock| stock.name == *name && stock.product_coupon_id == coupon);
        if let Some(count) = counts.get_mut(coupon).filter(|_| !is_desired) {
            *count += 1;
        }
    }
    counts.retain(|_, count| *count > limits::LIVE_STOCKS);
    if counts.is_empty() {
        return Vec::new();
    }
    let mut names: BTreeMap<&str, BTreeSet<&StockName>> =
        counts.keys().map(|coupon| (*coupon, BTreeSet::new())).collect();
    let all = stocks.iter().map(|stock| (&stock.name, stock.product_coupon_id.as_str()));
    for (name, coupon) in all.chain(locked) {
        if let Some(names) = names.get_mut(coupon) {
            names.insert(name);
        }
    }
    names.retain(|_, names| {
        if names.len() > limits::LIVE_STOCKS {
            names.retain(|name| !is_over(name));
        }
        names.len() > limits::LIVE_STOCKS
    });
    names.iter().filter_map(|(coupon, names)| {
        Some(Clash {
            rule: Rule::TooManyStocks,
            message: format!(
                "product coupon {coupon} has {} stocks, those in the lock counted; at most {} can be live",
                names.len(),
                limits::LIVE_STOCKS
            ),
            key: "product_coupon_id",
            here: *last.get(coupon)?,
            there: None,
            help: "use another product coupon".to_owned(),
        })
    })
    .collect()
}
