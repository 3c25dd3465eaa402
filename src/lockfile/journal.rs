//! `couponctl.lock.journal`: what an apply means to do and what came of it, one checksummed line a
//! record, appended before the deed counts. Reading takes every whole line and survives any cut.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Learned, Made};
use crate::identity::{ContentSha256, OutRequestNo, StockName};

/// The journal's format, as its first record says.
pub const VERSION: u64 = 1;

/// One line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// An apply began.
    Run(Run),
    /// A request is about to go out.
    Intent(Intent),
    /// The stock of an intent exists.
    Made(Result),
    /// The stock of an intent exists, but nobody asks for it any more.
    Unwanted(Result),
    /// The request of an intent made no stock, and none will come of it.
    Closed(Closed),
}

/// Which process writes the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Format of the journal.
    pub version: u64,
    /// The brand that the stocks belong to.
    pub brand_id: String,
    /// The process.
    pub pid: u32,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
}

/// A request that is about to go out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Intent {
    /// The name that the stock is for.
    pub name: StockName,
    /// The product coupon.
    pub product_coupon_id: String,
    /// The generation.
    pub generation: i64,
    /// Hash of product coupon and content.
    pub content_sha256: ContentSha256,
    /// The request number.
    pub out_request_no: OutRequestNo,
    /// When, RFC 3339 in UTC.
    pub sent_at: String,
    /// Whether the lock holds the stock of this very request as superseded: it will be given back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gives_back: bool,
    /// The content in canonical JSON.
    pub stock: Box<RawValue>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Result {
    /// The request number, as in the intent.
    pub out_request_no: OutRequestNo,
    /// The id that WeChat Pay gave.
    pub stock_id: String,
    /// When it was learned, RFC 3339 in UTC.
    pub created_at: String,
}

/// A request of which nothing will come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// The request number, as in the intent.
    pub out_request_no: OutRequestNo,
    /// Why, for a person who reads the journal.
    pub reason: String,
}

impl Intent {
    /// The stock of this request, once its id is known.
    #[must_use]
    pub fn made(&self, stock_id: String, created_at: String) -> Made {
        Made {
            name: self.name.clone(),
            product_coupon_id: self.product_coupon_id.clone(),
            stock_id,
            out_request_no: self.out_request_no.clone(),
            generation: self.generation,
            content_sha256: self.content_sha256.clone(),
            created_at,
            stock: self.stock.clone(),
        }
    }
}

impl Record {
    /// The record as its line: the first eight hex digits of the SHA-256 of its JSON, a space, the
    /// JSON, a line feed.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Strings, integers and JSON text: none of them can fail to serialise.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{} {json}\n", checksum(&json))
    }
}

fn checksum(json: &str) -> String {
    Sha256::digest(json.as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a journal says, read as far as it is whole.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    /// The last run that wrote to it.
    pub run: Option<Run>,
    /// What was learned, in order.
    pub learned: Vec<Learned>,
    /// Requests of which it is not known what came, in order of their request numbers.
    pub open: BTreeMap<OutRequestNo, Intent>,
    /// Lines that are not whole records of this version, a cut-off last line aside.
    pub unread: usize,
    /// The version of a later couponctl that wrote to it.
    pub newer: Option<u64>,
}

/// Reads a journal. Every whole line counts; a line that is cut off or damaged is passed over.
#[must_use]
pub fn parse(bytes: &[u8]) -> Journal {
    let mut journal = Journal::default();
    let mut intents: BTreeMap<OutRequestNo, Intent> = BTreeMap::new();
    let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        // Behind the last line feed there is nothing, or a record that was cut off: then its
        // request did not go out, or its result is asked for again.
        if lines.peek().is_none() {
            break;
        }
        let Some(record) = parse_line(line) else {
            journal.unread += 1;
            continue;
        };
        match record {
            Record::Run(run) => {
                if run.version > VERSION {
                    journal.newer = Some(run.version);
                }
                journal.run = Some(run);
            }
            Record::Intent(intent) => {
                journal.open.insert(intent.out_request_no.clone(), intent.clone());
                intents.insert(intent.out_request_no.clone(), intent);
            }
            Record::Closed(closed) => {
                journal.open.remove(&closed.out_request_no);
            }
            Record::Made(result) => learn(&mut journal, &intents, result, true),
            Record::Unwanted(result) => learn(&mut journal, &intents, result, false),
        }
    }
    journal
}

fn parse_line(line: &[u8]) -> Option<Record> {
    let (sum, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    (checksum(json) == sum).then(|| serde_json::from_str(json).ok()).flatten()
}

fn learn(
    journal: &mut Journal,
    intents: &BTreeMap<OutRequestNo, Intent>,
    result: Result,
    wanted: bool,
) {
    match intents.get(&result.out_request_no) {
        Some(intent) => {
            journal.open.remove(&result.out_request_no);
            let made = intent.made(result.stock_id, result.created_at);
            journal.learned.push(Learned { made, wanted, given_back: intent.gives_back });
        }
        None => journal.unread += 1,
    }
}
