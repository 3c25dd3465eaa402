//! From stock files to desired stocks, or to problems that point into the source.

pub mod diagnostic;
pub mod files;
pub mod memory;
mod read;
pub mod schema;
mod structure;
mod sweep;
mod tree;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identity::{ContentSha256, StockName};
use crate::validate::workspace::Clash;
use crate::wechatpay::stock::{Stock, Text};
use diagnostic::{Diagnostic, Label};
use files::FilesError;
use memory::Memory;

/// One YAML document of a stock file, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockDocument {
    /// Unique in the workspace. 批次名称,工作区内唯一。
    pub name: Text,
    /// The product coupon that the stock belongs to. 商品券 ID。
    pub product_coupon_id: Text,
    /// Raise it to make the same content once more. 代数:内容不变而需再建一个批次时加一。
    #[serde(default = "first_generation")]
    #[schemars(range(min = 1), example = 1)]
    pub generation: i64,
    /// The `stock` object of *add stock*. 批次内容。
    pub stock: Stock,
}

fn first_generation() -> i64 {
    1
}

/// A stock that the files ask for: valid, named and hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredStock {
    /// Unique in the workspace.
    pub name: StockName,
    /// The file it stands in, relative to the workspace, with `/` between folders.
    pub file: Arc<str>,
    /// Which of the file's documents it is, from 0; empty ones are not counted.
    pub document: usize,
    /// The product coupon that it belongs to.
    pub product_coupon_id: String,
    /// Raised to make the same content once more.
    pub generation: i64,
    /// What to make; shared with the plan.
    pub stock: Arc<Stock>,
    /// Hash of product coupon and stock.
    pub content_sha256: ContentSha256,
}

/// What the stock files of a workspace say.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Stocks in order of name. Of a file with errors, only the documents without.
    pub stocks: Vec<Arc<DesiredStock>>,
    /// Problems in order of file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Files read.
    pub files: usize,
}

/// Reads and checks all stock files that match the patterns.
///
/// # Errors
/// When a pattern cannot be used. Whatever is wrong with a file is among the diagnostics.
pub fn load(root: &Path, patterns: &[String], now: Timestamp) -> Result<Loaded, FilesError> {
    let mut memory = Memory::new(root, patterns)?;
    memory.look_past(now, || (), |(), _, _| None::<()>);
    Ok(memory.into_loaded())
}

/// Reads and checks the text of one file, as [`load`] does.
#[must_use]
pub fn check_text(file: &str, text: &str, now: Timestamp) -> (Vec<DesiredStock>, Vec<Diagnostic>) {
    match read::fast(text, &file.into(), now) {
        Some(stocks) => (stocks, Vec::new()),
        None => check_text_carefully(file, text, now),
    }
}

/// The same by the careful reader alone, which is the reference: for holding the fast one against it.
#[must_use]
pub fn check_text_carefully(
    file: &str,
    text: &str,
    now: Timestamp,
) -> (Vec<DesiredStock>, Vec<Diagnostic>) {
    read::careful(text.to_owned(), &file.into(), now)
}

/// Finds the places of clashes between documents, by reading their files once more.
#[must_use]
pub fn point_at(root: &Path, stocks: &[Arc<DesiredStock>], clashes: &[Clash]) -> Vec<Diagnostic> {
    let mut places = read::Places::new(root);
    clashes
        .iter()
        .map(|clash| {
            let about = clash.rule.about();
            let (source, span) = places.of(&stocks[clash.here], clash.key);
            let labels = clash.there.iter().filter_map(|(there, text)| {
                let (source, span) = places.of(&stocks[*there], clash.key);
                Some(Label { source, span: span?, text: text.clone() })
            });
            Diagnostic {
                severity: about.severity,
                rule: about.id,
                message: clash.message.clone(),
                labels: labels.collect(),
                path: clash.key.to_owned(),
                help: Some(clash.help.clone()),
                source,
                span,
            }
        })
        .collect()
}
