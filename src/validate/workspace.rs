//! The rules across documents: names, contents, and how many stocks a product coupon may have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

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

/// Names that stand twice, and contents that stand under two names.
#[must_use]
pub fn clashes(stocks: &[Arc<DesiredStock>]) -> Vec<Clash> {
    let mut found = Vec::new();
    let mut names: HashMap<&StockName, usize> = HashMap::with_capacity(stocks.len());
    let mut contents = HashMap::with_capacity(stocks.len());
    for (here, stock) in stocks.iter().enumerate() {
        if let Some(first) = names.get(&stock.name) {
            found.push(Clash {
                rule: Rule::DuplicateName,
                message: format!("the name `{}` stands there twice", stock.name),
                key: "name",
                here,
                there: Some((*first, "here for the first time".to_owned())),
                help: "give one of them another name".to_owned(),
            });
            continue;
        }
        names.insert(&stock.name, here);
        let content = (&stock.content_sha256, stock.generation);
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
/// each. `is_over` says of a locked name whether its period has ended, so that it counts no more.
pub fn too_many_stocks<'a>(
    stocks: &[Arc<DesiredStock>],
    locked: impl Iterator<Item = (&'a StockName, &'a str)>,
    is_over: impl Fn(&StockName) -> bool,
) -> Vec<Clash> {
    let mut names: BTreeMap<&str, BTreeSet<&StockName>> = BTreeMap::new();
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (index, stock) in stocks.iter().enumerate() {
        names.entry(&stock.product_coupon_id).or_default().insert(&stock.name);
        last.insert(&stock.product_coupon_id, index);
    }
    for (name, coupon) in locked {
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
