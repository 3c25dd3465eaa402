//! A plan as Markdown, for a comment on a pull request: what is wrong first, then the money, then the
//! changes, their differences folded. GitHub Flavored Markdown, which GitLab reads as well.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::plan_text::{self, beyond, mark};
use super::{cny, count, plain, problems, thousands};
use crate::desired::diagnostic::Diagnostic;
use crate::plan::commitment::{Commitment, Discount};
use crate::plan::{Action, Plan};

/// The first line of each comment, by which it is found again.
pub const MARKER: &str = "<!-- couponctl plan -->";
/// Most characters that a comment on GitHub has.
const MOST: usize = 65_536;
/// Room that is kept for saying what was left out.
const KEPT: usize = 400;
/// Problems that are drawn.
const MOST_PROBLEMS: usize = 50;

/// The plan, and the warnings about its files.
#[must_use]
pub fn render(plan: &Plan, warnings: &[Diagnostic]) -> String {
    let mut page = Page::new(&headline(plan));
    if !plan.targets.is_empty() {
        let targets: Vec<_> = plan.targets.iter().map(|target| code(target)).collect();
        page.add(&format!(
            "**Only stocks that match {}: this is not the whole plan.**\n\n",
            targets.join(", ")
        ));
    }
    write_stops(&mut page, plan);
    write_problems(&mut page, warnings);
    write_money(&mut page, plan);
    write_changes(&mut page, plan);
    write_details(&mut page, plan);
    page.end()
}

/// Why there is no plan.
#[must_use]
pub fn failure(error: &str, diagnostics: &[Diagnostic]) -> String {
    let mut page = Page::new("❌ couponctl: there is no plan");
    page.add(&format!("{}\n\n", block("", &plain(error))));
    write_problems(&mut page, diagnostics);
    page.end()
}

fn headline(plan: &Plan) -> String {
    let summary = plan.summary();
    let parts: Vec<_> = [
        (summary.create, "to create"),
        (summary.update, "to update"),
        (summary.replace, "to replace"),
        (summary.rename, "to rename"),
        (summary.orphan, "orphaned"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!("{} {what}", thousands(number as u128)))
    .collect();
    let symbol = if plan.is_forbidden() { "❌ " } else { "" };
    let unchanged = format!("{} unchanged", thousands(summary.unchanged as u128));
    if parts.is_empty() {
        format!("{symbol}couponctl: no changes, {unchanged}")
    } else {
        format!("{symbol}couponctl: {}, {unchanged}", parts.join(", "))
    }
}

/// What forbids an apply, or was let pass by name.
fn write_stops(page: &mut Page, plan: &Plan) {
    let mut lines = Vec::new();
    for conflict in &plan.conflicts {
        lines.push(format!("- ❌ {}\n", text(&conflict.to_string())));
    }
    for breach in &plan.breaches {
        let stock = breach.stock.as_ref().map(|name| format!(" **{name}**")).unwrap_or_default();
        let file =
            breach.file.as_deref().map(|file| format!(" ({})", code(file))).unwrap_or_default();
        let symbol = if breach.overridden { "⚠️ overridden" } else { "❌" };
        lines.push(format!(
            "- {symbol} guardrail {}:{stock}{file} {}\n",
            code(breach.guardrail),
            text(&breach.message)
        ));
    }
    if plan.summary().replace > 0 {
        lines.push(
            "- ⚠️ A replaced stock goes on handing out coupons beside the new one; apply needs `--allow-replace`.\n"
                .to_owned(),
        );
    }
    if !plan.open.is_empty() {
        lines.push(format!(
            "- ⚠️ {} of an interrupted apply may or may not have made a stock; the next apply settles this first, without making anything twice.\n",
            count(plan.open.len(), "request")
        ));
    }
    page.list(lines, "more");
}

fn write_problems(page: &mut Page, diagnostics: &[Diagnostic]) {
    if diagnostics.is_empty() {
        return;
    }
    let drawn = problems::drawn(&diagnostics[..diagnostics.len().min(MOST_PROBLEMS)], false);
    let more = diagnostics.len().saturating_sub(MOST_PROBLEMS);
    let more = if more > 0 { format!("\n\n… and {more} more") } else { String::new() };
    let title = problems::sum(diagnostics, false);
    let body = block("", &format!("{}{more}", drawn.trim_end()));
    if !page.add(&format!("**{title}**\n\n{body}\n\n")) {
        page.add(&format!(
            "**{title}**: too long for a comment; `couponctl validate` shows them.\n\n"
        ));
    }
}

/// What the stocks to be made commit the brand to, by product coupon, the largest first.
fn write_money(page: &mut Page, plan: &Plan) {
    let mut coupons: BTreeMap<&str, (usize, Commitment)> = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| change.makes()) {
        let (stocks, sum) = coupons.entry(&change.product_coupon_id).or_default();
        *stocks += 1;
        if let Some(stock) = &change.after {
            sum.add(stock);
        }
    }
    if coupons.is_empty() {
        return;
    }
    let mut coupons: Vec<_> = coupons.into_iter().collect();
    coupons.sort_by_key(|(_, (_, sum))| Reverse((sum.largest_discount_fen, sum.coupons)));
    page.add(&format!(
        "This commits the brand to **{} coupons**, and at most **{}** of discount{}\n\n",
        thousands(plan.commitment.coupons),
        cny(plan.commitment.largest_discount_fen),
        beyond(&plan.commitment).map_or(".".to_owned(), |more| format!("; beyond that {more}."))
    ));
    let rows = coupons.iter().map(|(coupon, (stocks, sum))| {
        let discount = match (sum.largest_discount_fen, beyond(sum)) {
            (0, Some(more)) => more,
            (fen, Some(more)) => format!("{}; {more}", cny(fen)),
            (fen, None) => cny(fen),
        };
        format!(
            "| {} | {} | {} | {discount} |\n",
            cell(coupon),
            thousands(*stocks as u128),
            thousands(sum.coupons),
        )
    });
    let head = "| product coupon | stocks | coupons | largest discount |\n|---|--:|--:|--:|\n";
    page.table(head, rows.collect(), "product coupons");
}

fn write_changes(page: &mut Page, plan: &Plan) {
    if plan.changes.is_empty() {
        return;
    }
    let rows = plan.changes.iter().map(|change| {
        let (symbol, word, _) = mark(change.action);
        let (coupons, discount) = change.after.as_ref().filter(|_| change.makes()).map_or_else(
            || (String::new(), String::new()),
            |stock| {
                let mut sum = Commitment::default();
                sum.add(stock);
                let discount = match Discount::of(stock) {
                    Discount::Fen(_) => cny(sum.largest_discount_fen),
                    Discount::Percentage | Discount::Exchange => "no bound".to_owned(),
                    Discount::Unknown => "not known here".to_owned(),
                };
                (thousands(sum.coupons), discount)
            },
        );
        let remark = change.after.as_ref().and_then(|stock| stock.remark.as_ref());
        let remark = remark.map_or(String::new(), |remark| cell(remark));
        let from =
            change.renamed_from.as_ref().map(|from| format!(" (from {from})")).unwrap_or_default();
        format!(
            "| {symbol} {word} | {}{from} | {remark} | {} | {coupons} | {discount} | {} |\n",
            change.name,
            cell(&change.product_coupon_id),
            change.file.as_deref().map_or(String::new(), cell)
        )
    });
    let head = "| action | stock | remark | product coupon | coupons | largest discount | file |\n|---|---|---|---|--:|--:|---|\n";
    page.table(head, rows.collect(), "changes");
}

fn write_details(page: &mut Page, plan: &Plan) {
    let mut left = 0;
    for change in plan.changes.iter().filter(|change| change.action != Action::Orphan) {
        if change.action == Action::Rename {
            continue;
        }
        let (symbol, word, _) = mark(change.action);
        let added = page.add(&format!(
            "<details><summary>{symbol} {word} <b>{}</b></summary>\n\n{}\n\n</details>\n\n",
            change.name,
            block("diff", &plan_text::difference(change))
        ));
        left += usize::from(!added);
    }
    page.left_out(left, "differences");
}

/// A page that never has more characters than a comment may have.
struct Page {
    text: String,
    length: usize,
    left_out: Vec<String>,
}

impl Page {
    fn new(headline: &str) -> Self {
        let mut page = Self { text: String::new(), length: 0, left_out: Vec::new() };
        page.add(&format!("{MARKER}\n### {headline}\n\n"));
        page
    }

    /// Adds a part as a whole, or says that there is no room for it.
    fn add(&mut self, part: &str) -> bool {
        let length = part.chars().count();
        let fits = self.length + length <= MOST - KEPT;
        if fits {
            self.text.push_str(part);
            self.length += length;
        }
        fits
    }

    fn list(&mut self, lines: Vec<String>, what: &str) {
        self.table("", lines, what);
    }

    /// Adds as many rows as there is room for; a third of the page is left for what comes behind.
    fn table(&mut self, head: &str, rows: Vec<String>, what: &str) {
        let Some(first) = rows.first() else { return };
        let most = (MOST - self.length) * 2 / 3 + self.length;
        let mut part = head.to_owned();
        let mut length = head.chars().count() + first.chars().count();
        let mut left = 0;
        for row in rows {
            length += row.chars().count();
            if left == 0 && self.length + length < most.min(MOST - KEPT) {
                part.push_str(&row);
            } else {
                left += 1;
            }
        }
        part.push('\n');
        self.add(&part);
        self.left_out(left, what);
    }

    fn left_out(&mut self, number: usize, what: &str) {
        if number > 0 {
            self.left_out.push(format!("{} {what}", thousands(number as u128)));
        }
    }

    fn end(mut self) -> String {
        if !self.left_out.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(
                self.text,
                "**Left out, since a comment has room for {} characters: {}.** `couponctl plan` shows all.",
                thousands(MOST as u128),
                self.left_out.join(", ")
            );
        }
        self.text
    }
}

/// Text that is text, whatever is in it: nothing becomes markup, a link or a mention.
fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for character in plain(value).chars() {
        match character {
            '\n' => out.push(' '),
            // Mentions are looked for in the text behind the markup.
            '@' => out.push_str("@\u{200b}"),
            c if c.is_ascii_punctuation()
                && !matches!(c, ',' | '.' | ';' | ':' | '(' | ')' | '\'' | '/') =>
            {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// A value as it is, in code, where nothing is markup, a link or a mention.
fn code(value: &str) -> String {
    let value = plain(value).replace(['\n', '\r'], " ");
    if value.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&value) + 1);
    // One space at each end is taken away again; needed where the value begins or ends with `, and
    // where it begins and ends with a space.
    let pad = if value.starts_with(['`', ' ']) || value.ends_with(['`', ' ']) { " " } else { "" };
    format!("{fence}{pad}{value}{pad}{fence}")
}

/// The same in a table, where a bar would end the cell even in code.
fn cell(value: &str) -> String {
    code(value).replace('|', "\\|")
}

fn block(language: &str, value: &str) -> String {
    let fence = "`".repeat(longest_run(value).max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", value.trim_end_matches('\n'))
}

/// The most backticks in a row.
fn longest_run(value: &str) -> usize {
    value.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
