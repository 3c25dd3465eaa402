//! A plan as people read it: a block a stock, what it commits the brand to, and the summary line.

use std::fmt::{self, Display, Write as _};

use anstyle::Style;
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::{BAD, CARE, FAINT, GOOD, MOVED, STRONG, cny, count, paint, plain, thousands};
use crate::plan::commitment::Commitment;
use crate::plan::guardrails::Breach;
use crate::plan::{Action, Change, Plan, Summary};
use crate::wechatpay::stock::Stock;

/// Lines of context around a changed line.
const CONTEXT: usize = 3;

/// The whole plan, coloured.
#[must_use]
pub fn render(plan: &Plan) -> String {
    let mut text: String = plan.changes.iter().map(|change| block(change) + "\n").collect();
    text.push_str(&ending(plan));
    text
}

/// One stock of a plan.
#[must_use]
pub fn block(change: &Change) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_change(&mut text, change);
    text
}

/// What stands under the stocks: open requests, what they commit the brand to, the summary line.
#[must_use]
pub fn ending(plan: &Plan) -> String {
    let mut text = String::new();
    let _ = write_ending(&mut text, plan);
    text
}

fn write_ending(out: &mut String, plan: &Plan) -> fmt::Result {
    write_open(out, plan)?;
    for breach in &plan.breaches {
        write_breach(out, breach)?;
    }
    if !plan.breaches.is_empty() {
        out.push('\n');
    }
    if !plan.targets.is_empty() {
        let targets: Vec<_> = plan.targets.iter().map(|target| plain(target)).collect();
        let only =
            format!("Only stocks that match {}: this is not the whole plan.", targets.join(", "));
        writeln!(out, "{}", paint(CARE, &only))?;
    }
    let summary = plan.summary();
    if summary.create + summary.replace > 0 {
        write_commitment(out, &plan.commitment)?;
    }
    writeln!(out, "{}", paint(STRONG, &summary_line(&summary)))
}

/// `Plan: 2 to create, …`, without a line feed.
#[must_use]
pub fn summary_line(summary: &Summary) -> String {
    let Summary { create, update, replace, rename, orphan, unchanged } = summary;
    format!(
        "Plan: {create} to create, {update} to update, {replace} to replace, {rename} to rename, \
         {orphan} orphaned, {unchanged} unchanged."
    )
}

/// Symbol, word and colour of an action.
#[must_use]
pub fn mark(action: Action) -> (&'static str, &'static str, Style) {
    match action {
        Action::Create => ("+", "create", GOOD),
        Action::Update => ("~", "update", CARE),
        Action::Replace => ("±", "replace", BAD),
        Action::Rename => ("→", "rename", MOVED),
        Action::Orphan => ("!", "orphan", CARE),
    }
}

fn write_change(out: &mut String, change: &Change) -> fmt::Result {
    let (symbol, word, style) = mark(change.action);
    let head = paint(style.bold(), &format!("{symbol} {word} {}", change.name));
    write!(out, "{head}")?;
    if let Some(file) = &change.file {
        write!(out, "  {}", paint(FAINT, &format!("({})", plain(file))))?;
    }
    out.push('\n');
    match change.action {
        Action::Create => write_facts(out, change)?,
        Action::Update | Action::Replace => write_difference(out, change)?,
        Action::Rename => {
            let from = change.renamed_from.as_ref().map_or("", |name| name.as_str());
            line(out, format_args!("from {from}: the same stock, so only the lock changes"))?;
            stock_line(out, change)?;
        }
        Action::Orphan => {
            line(out, "in no file any more; the stock is kept, and goes on handing out coupons")?;
            stock_line(out, change)?;
        }
    }
    if let Some(stock_id) = &change.gives_back {
        let stock_id = plain(stock_id);
        line(
            out,
            format_args!(
                "{}: the same content was asked for before, so the API gives back stock {stock_id}; raise `generation` to make a new one",
                paint(CARE, "note")
            ),
        )?;
    }
    Ok(())
}

fn line(out: &mut String, text: impl Display) -> fmt::Result {
    writeln!(out, "    {text}")
}

fn stock_line(out: &mut String, change: &Change) -> fmt::Result {
    let stock_id = change.stock_id.as_deref().unwrap_or("unknown");
    line(
        out,
        format_args!(
            "stock {} of product coupon {}",
            plain(stock_id),
            plain(&change.product_coupon_id)
        ),
    )
}

/// What a reviewer wants to know of a new stock.
fn write_facts(out: &mut String, change: &Change) -> fmt::Result {
    line(
        out,
        format_args!(
            "product coupon {}, request {}",
            plain(&change.product_coupon_id),
            change.out_request_no
        ),
    )?;
    let Some(stock) = &change.after else { return Ok(()) };
    if let Some(remark) = &stock.remark {
        line(out, plain(remark))?;
    }
    line(out, describe_offer(stock))?;
    let rule = &stock.stock_send_rule;
    let a_day = rule.max_count_per_day.map_or("no limit a day".to_owned(), |number| {
        format!("{} a day", thousands(u128::try_from(number).unwrap_or(0)))
    });
    line(
        out,
        format_args!(
            "{} coupons, {} a user, {a_day}",
            thousands(u128::try_from(rule.max_count).unwrap_or(0)),
            rule.max_count_per_user
        ),
    )?;
    if let Some(period) = stock.period() {
        line(
            out,
            format_args!(
                "usable {} to {}",
                plain(&period.available_begin_time),
                plain(&period.available_end_time)
            ),
        )?;
    }
    Ok(())
}

/// One sentence for what a coupon gives.
fn describe_offer(stock: &Stock) -> String {
    let fen = |amount: i64| cny(u128::try_from(amount).unwrap_or(0));
    let above = |threshold: i64| match threshold {
        0 => String::new(),
        _ => format!(" from {}", fen(threshold)),
    };
    let list =
        |offers: Vec<String>| format!("{}: {}", count(offers.len(), "use"), offers.join(", then "));
    if let Some(rule) = &stock.single_usage_rule {
        if let Some(c) = &rule.normal_coupon {
            return format!("{} off{}", fen(c.discount_amount), above(c.threshold));
        } else if let Some(c) = &rule.discount_coupon {
            return format!("{} % off{}", c.percent_off, above(c.threshold));
        } else if let Some(c) = &rule.exchange_coupon {
            return format!("for {}{}", fen(c.exchange_price), above(c.threshold));
        }
    }
    if let Some(rule) = &stock.sequential_usage_rule {
        if let Some(coupons) = &rule.normal_coupon_list {
            return list(
                coupons
                    .iter()
                    .map(|c| format!("{} off{}", fen(c.discount_amount), above(c.threshold)))
                    .collect(),
            );
        } else if let Some(coupons) = &rule.discount_coupon_list {
            return list(
                coupons
                    .iter()
                    .map(|c| format!("{} % off{}", c.percent_off, above(c.threshold)))
                    .collect(),
            );
        } else if let Some(coupons) = &rule.exchange_coupon_list {
            return list(
                coupons
                    .iter()
                    .map(|c| format!("for {}{}", fen(c.exchange_price), above(c.threshold)))
                    .collect(),
            );
        }
    }
    "the product coupon says what it gives".to_owned()
}

fn write_difference(out: &mut String, change: &Change) -> fmt::Result {
    let stock_id = change.stock_id.as_deref().unwrap_or("unknown");
    line(
        out,
        format_args!(
            "takes the place of stock {}, which goes on handing out coupons; request {}",
            plain(stock_id),
            change.out_request_no
        ),
    )?;
    let (before, after) = (yaml_before(change), yaml_after(change));
    let diff = TextDiff::from_lines(&before, &after);
    for group in diff.grouped_ops(CONTEXT) {
        if let (Some(first), Some(last)) = (group.first(), group.last()) {
            let (old, new) = (
                first.old_range().start..last.old_range().end,
                first.new_range().start..last.new_range().end,
            );
            let header =
                format!("@@ -{},{} +{},{} @@", old.start + 1, old.len(), new.start + 1, new.len());
            line(out, paint(MOVED, &header))?;
        }
        for op in &group {
            for change in diff.iter_inline_changes(op) {
                let (sign, style) = match change.tag() {
                    ChangeTag::Delete => ("-", BAD),
                    ChangeTag::Insert => ("+", GOOD),
                    ChangeTag::Equal => (" ", Style::new()),
                };
                let mut text = paint(style, sign);
                for (strong, part) in change.iter_strings_lossy() {
                    let part = plain(part.trim_end_matches('\n'));
                    if !part.is_empty() {
                        text.push_str(&paint(if strong { style.bold() } else { style }, &part));
                    }
                }
                line(out, text)?;
            }
        }
    }
    Ok(())
}

/// The form that is compared: what the file would say.
#[derive(Serialize)]
struct Document<'a, S: Serialize> {
    product_coupon_id: &'a str,
    generation: i64,
    stock: S,
}

fn yaml(product_coupon_id: &str, generation: i64, stock: impl Serialize) -> String {
    // Strings, integers and maps with string keys: none of them can fail to serialise.
    serde_yaml::to_string(&Document { product_coupon_id, generation, stock }).unwrap_or_default()
}

fn yaml_after(change: &Change) -> String {
    change
        .after
        .as_deref()
        .map(|stock| yaml(&change.product_coupon_id, change.generation, stock))
        .unwrap_or_default()
}

fn yaml_before(change: &Change) -> String {
    let Some(before) = &change.before else { return String::new() };
    let (coupon, generation) = (&before.product_coupon_id, before.generation);
    // In the order of the type where it reads as one, so that only real changes differ.
    if let Ok(stock) = serde_json::from_str::<Stock>(before.stock.get()) {
        yaml(coupon, generation, stock)
    } else {
        let any: serde_json::Value = serde_json::from_str(before.stock.get()).unwrap_or_default();
        yaml(coupon, generation, any)
    }
}

/// The difference as a unified diff of the YAML form, without colours; of a new stock, all of it.
#[must_use]
pub fn difference(change: &Change) -> String {
    let (before, after) = (yaml_before(change), yaml_after(change));
    let diff = TextDiff::from_lines(&before, &after);
    let text = diff.unified_diff().context_radius(CONTEXT).to_string();
    text.lines().map(|line| plain(line).into_owned() + "\n").collect()
}

fn write_open(out: &mut String, plan: &Plan) -> fmt::Result {
    if plan.open.is_empty() {
        return Ok(());
    }
    let number = count(plan.open.len(), "request");
    writeln!(
        out,
        "{} of an interrupted apply may or may not have made a stock:",
        paint(CARE.bold(), &number)
    )?;
    for intent in &plan.open {
        line(
            out,
            format_args!(
                "{} ({}, sent {})",
                intent.name,
                intent.out_request_no,
                plain(&intent.sent_at)
            ),
        )?;
    }
    writeln!(out, "The next apply settles this first, without making anything twice.\n")
}

fn write_breach(out: &mut String, breach: &Breach) -> fmt::Result {
    let (style, word) = if breach.overridden { (CARE, " overridden") } else { (BAD, "") };
    let head = paint(style.bold(), &format!("guardrail {}{word}", breach.guardrail));
    let stock = breach.stock.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
    let file = breach.file.as_deref().map(|file| format!("({}) ", plain(file))).unwrap_or_default();
    writeln!(out, "{head}: {stock}{file}{}", plain(&breach.message))?;
    if breach.overridden {
        Ok(())
    } else {
        line(out, format_args!("{} {}", paint(CARE, "do:"), breach.advice()))
    }
}

fn write_commitment(out: &mut String, sum: &Commitment) -> fmt::Result {
    writeln!(out, "These stocks commit the brand to {} coupons.", thousands(sum.coupons))?;
    writeln!(
        out,
        "Largest discount: {}{}",
        cny(sum.largest_discount_fen),
        match beyond(sum) {
            Some(text) => format!(", and beyond that {text}."),
            None => ".".to_owned(),
        }
    )
}

/// What of a commitment has no bound or is not known, in words.
#[must_use]
pub fn beyond(sum: &Commitment) -> Option<String> {
    let part = |stocks: usize, why: &str| {
        (stocks > 0).then(|| format!("{} {why}", count(stocks, "stock")))
    };
    let parts: Vec<_> = [
        part(sum.percentage_stocks, "without a bound (a percentage off)"),
        part(sum.exchange_stocks, "without a bound (an exchange)"),
        part(sum.unknown_stocks, "not known here (the rule is in the product coupon)"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
