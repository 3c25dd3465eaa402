//! What a merge of two locks leaves to a person, in words: what happened, and what to do.

use super::plain;
use crate::identity::StockName;
use crate::lockfile::merge::{Conflict, Side};

/// A conflict at length.
#[must_use]
pub fn conflict(conflict: &Conflict) -> String {
    match conflict {
        Conflict::Fields(fields) => format!(
            "both sides changed {} of the lock itself, differently; keep one of the two first lines",
            list(fields)
        ),
        Conflict::TwoStocks { name, ours, theirs } => {
            let (ours, theirs) = (plain(ours), plain(theirs));
            format!(
                "`{name}`: each side made a stock of its own, {ours} (ours) and {theirs} (theirs). Two \
                 real stocks exist now, and both hand out coupons\n  \
                 Keep the line of the one to stay in use: the other's id stands in its `superseded` \
                 already, and must stay there. Deactivate the other by hand, unless both are wanted"
            )
        }
        Conflict::EachInUse { name, ours, theirs } => {
            let (ours, theirs) = (plain(ours), plain(theirs));
            format!(
                "`{name}`: each side has the other's stock as superseded: {ours} is in use in ours, \
                 {theirs} in theirs\n  \
                 Keep the line of the one that the stock file asks for"
            )
        }
        Conflict::Changed { name, fields } => format!(
            "`{name}`: both sides changed {} of the same stock, differently\n  \
             Keep one of the two lines; the ids superseded on either side stand in both",
            list(fields)
        ),
        Conflict::Removed { name, by, stock_id } => {
            let stock_id = plain(stock_id);
            let (by, other) = match by {
                Side::Ours => ("our side", "theirs"),
                Side::Theirs => ("their side", "ours"),
            };
            format!(
                "`{name}`: {by} took the entry out or renamed it, {other} changed it: stock {stock_id} is \
                 in use there\n  \
                 Keep the line, or the stock is forgotten and goes on handing out coupons. If it was \
                 renamed, keep the line with the old name alone and use `couponctl lock mv`"
            )
        }
        Conflict::SeveralNames { names, stock_ids } => {
            let names: Vec<_> = names.iter().map(StockName::to_string).collect();
            let (names, stocks) = (list(&names), list(stock_ids));
            format!(
                "stock {stocks} would stand under {names}; one stock cannot stand for two names\n  \
                 Keep the lines of one side everywhere it is named; `couponctl lock mv` gives the \
                 stock another name afterwards"
            )
        }
    }
}

/// `` `a`, `b` and `c` ``.
fn list(words: &[String]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{}`", plain(word))).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
