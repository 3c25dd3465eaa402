//! The lock and what is wrong in it, as people read it.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::{BAD, FAINT, STRONG, paint, plain};
use crate::identity::StockName;
use crate::lockfile::Entry;
use crate::lockfile::check::Problem;

const HEADS: [&str; 5] = ["NAME", "STOCK ID", "PRODUCT COUPON", "GENERATION", "CREATED AT"];

/// A line an entry, and one more for those that it superseded; empty without entries.
#[must_use]
pub fn table(entries: &[(&StockName, &Entry)]) -> String {
    let rows: Vec<[String; 5]> = entries
        .iter()
        .map(|(name, entry)| {
            [
                name.to_string(),
                plain(&entry.stock_id).into_owned(),
                plain(&entry.product_coupon_id).into_owned(),
                entry.generation.to_string(),
                plain(&entry.created_at).into_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut widths = HEADS.map(UnicodeWidthStr::width);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut out = paint(STRONG, &line(&HEADS, &widths));
    out.push('\n');
    for (row, (_, entry)) in rows.iter().zip(entries) {
        out.push_str(&line(row, &widths));
        out.push('\n');
        if !entry.superseded.is_empty() {
            let old: Vec<_> = entry.superseded.iter().map(|old| plain(&old.stock_id)).collect();
            let text = format!("  superseded: {}", old.join(", "));
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{}", paint(FAINT, &text));
        }
    }
    out
}

fn line<S: AsRef<str>>(cells: &[S; 5], widths: &[usize; 5]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let cell = cell.as_ref();
        text.push_str(cell);
        text.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
    }
    text.truncate(text.trim_end().len());
    text
}

/// Entries in full, with their content as YAML.
#[must_use]
pub fn entries(entries: &[(&StockName, &Entry)]) -> String {
    let blocks: Vec<_> = entries.iter().map(|(name, entry)| block(name, entry)).collect();
    blocks.join("\n")
}

fn block(name: &StockName, entry: &Entry) -> String {
    let mut out = format!("{}\n", paint(STRONG, name.as_str()));
    let mut fact = |label: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {label:20}{}", plain(value));
    };
    fact("stock id", &entry.stock_id);
    fact("product coupon", &entry.product_coupon_id);
    fact("generation", &entry.generation.to_string());
    fact("request", entry.out_request_no.as_str());
    fact("content sha256", entry.content_sha256.as_str());
    fact("created at", &entry.created_at);
    if let Some(name) = &entry.requested_as {
        fact("requested as", name.as_str());
    }
    for old in &entry.superseded {
        let text = format!("{} (request {})", old.stock_id, old.out_request_no);
        fact("superseded", &text);
    }
    for (key, value) in &entry.unknown {
        fact(&plain(key), &value.to_string());
    }
    out.push_str("  stock:\n");
    for line in yaml(entry).lines() {
        let _ = writeln!(out, "    {}", plain(line));
    }
    out
}

/// The content, in the order of the type where it reads as one.
fn yaml(entry: &Entry) -> String {
    let text = match entry.parse_stock() {
        Ok(stock) => serde_yaml::to_string(&stock),
        Err(_) => serde_json::from_str::<serde_json::Value>(entry.stock.get())
            .map_or(Ok(String::new()), |any| serde_yaml::to_string(&any)),
    };
    // Strings, integers and maps with string keys: none of them can fail to serialise.
    text.unwrap_or_default()
}

/// The ids that went with an entry, and how to record them again.
#[must_use]
pub fn forgotten(name: &StockName, entry: &Entry) -> String {
    let mut out = String::new();
    for (index, id) in entry.stock_ids().enumerate() {
        let id = plain(id);
        let kind = if index == 0 { "stock" } else { "superseded stock" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{name}: {kind} {id} forgotten; `couponctl adopt {name} {id}` records it again"
        );
    }
    out
}

/// `couponctl.lock:3: error: …`, a line a problem.
#[must_use]
pub fn problems(file: &str, problems: &[Problem]) -> String {
    let mut out = String::new();
    for problem in problems {
        let head = paint(BAD.bold(), "error");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}:{}: {head}: {}", plain(file), problem.line, problem.message);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_look() {
        let wide = ["a", "批次一", "2", "1", "x"];
        let mut widths = HEADS.map(UnicodeWidthStr::width);
        widths[1] = widths[1].max(wide[1].width());
        assert_eq!(
            format!("{}\n{}", line(&HEADS, &widths), line(&wide, &widths)),
            "NAME  STOCK ID  PRODUCT COUPON  GENERATION  CREATED AT\n\
             a     批次一    2               1           x"
        );
    }
}
