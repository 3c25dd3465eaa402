//! The lock and what is wrong in it as JSON, for scripts.

use serde_json::{Value, json};

use crate::identity::StockName;
use crate::lockfile::check::Problem;
use crate::lockfile::journal::Journal;
use crate::lockfile::{Entry, write};

/// The format's version.
const FORMAT_VERSION: &str = "1";

/// Entries as they stand in the lock, each with its name: one line of JSON with a line feed.
#[must_use]
pub fn entries(brand_id: &str, entries: &[(&StockName, &Entry)]) -> String {
    let stocks: Vec<_> = entries
        .iter()
        .map(|(name, entry)| {
            // The lock's own text, so that what this version does not know is there too.
            let line = write::entry_line(name, entry);
            let fields = line.split_once(":{").map(|(_, fields)| fields).unwrap_or_default();
            format!("{{\"name\":\"{name}\",{fields}")
        })
        .collect();
    format!(
        "{{\"format_version\":\"{FORMAT_VERSION}\",\"brand_id\":{},\"stocks\":[{}]}}\n",
        Value::from(brand_id),
        stocks.join(",")
    )
}

/// What is wrong in a lock: one line of JSON with a line feed.
#[must_use]
pub fn problems(file: &str, problems: &[Problem], journal: &Journal) -> String {
    let json = json!({
        "format_version": FORMAT_VERSION,
        "file": file,
        "problems": problems,
        "journal": {
            "results": journal.learned.len(),
            "open_requests": journal.open.len(),
            "damaged_lines": journal.unread,
        },
    });
    format!("{json}\n")
}
