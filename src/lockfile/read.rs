//! Reads `couponctl.lock`, and refuses whatever is not whole: a lock that is misread is money lost.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use thiserror::Error;

use super::{Entry, Lock, VERSION};
use crate::identity::StockName;
use crate::parallel;

/// Why a lock was refused. The caller names the file.
#[derive(Debug, Error)]
pub enum LockError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// Not text.
    #[error(
        "byte {0} is not UTF-8: this is not a lock that couponctl wrote; restore it with `git checkout`"
    )]
    NotUtf8(usize),
    /// Nothing in it.
    #[error(
        "it is empty; restore it with `git checkout`, or delete it if nothing was ever applied"
    )]
    Empty,
    /// Left by a merge.
    #[error(
        "line {0} is a git conflict marker; `couponctl init` sets up couponctl's merge driver, and \
         `git checkout --merge couponctl.lock` then merges again, stock by stock, and says what to \
         decide; by hand, keep every stock_id of both sides (one line a stock)"
    )]
    Conflict(usize),
    /// JSON that ends too early.
    #[error("it is cut off at line {0}; restore it with `git checkout`")]
    CutOff(usize),
    /// Not the JSON of a lock.
    #[error("line {line}, column {column}: {message}; restore it with `git checkout`")]
    Broken {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// Written by a later couponctl.
    #[error(
        "it has version {0}, and this couponctl knows version {VERSION}; use a newer couponctl"
    )]
    Newer(u64),
    /// For another brand.
    #[error(
        "it belongs to brand {locked}, but the settings say brand {configured}; \
         use the lock of brand {configured}, or mend `brand_id` in couponctl.yaml"
    )]
    OtherBrand {
        /// The brand in the lock.
        locked: String,
        /// The brand in the settings.
        configured: String,
    },
}

/// Reads the lock of a brand. A file that is not there is an empty lock.
///
/// # Errors
/// When the file is there but not a whole lock of this brand.
pub fn read(path: &Path, brand_id: &str) -> Result<Lock, LockError> {
    match read_bytes(path)? {
        Some(bytes) => parse_for(&bytes, brand_id),
        None => Ok(Lock::empty(brand_id)),
    }
}

/// The bytes of a lock; `None` when there is no file.
///
/// # Errors
/// When the file is there but cannot be read.
pub fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, LockError> {
    read_if_there(path).map_err(LockError::Unreadable)
}

/// The bytes of a file; none when there is nothing of this name.
///
/// # Errors
/// When there is something that cannot be read, or is no file: to read a pipe would wait for ever, and
/// a link to nothing is not nothing.
pub(super) fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match path.metadata() {
        Ok(seen) if seen.is_file() => match std::fs::read(path) {
            // It went this moment, as a journal does when an apply ends.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        },
        Ok(_) => Err(io::Error::other("this is not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.read_link() {
            Ok(target) => {
                let message = format!("this is a link to {}, which is not there", target.display());
                Err(io::Error::new(io::ErrorKind::NotFound, message))
            }
            Err(_) => Ok(None),
        },
        Err(error) => Err(error),
    }
}

/// Parses a lock and holds it against the brand of the settings.
///
/// # Errors
/// When the bytes are not a whole lock of this brand.
pub fn parse_for(bytes: &[u8], brand_id: &str) -> Result<Lock, LockError> {
    let lock = parse(bytes)?;
    if lock.brand_id != brand_id {
        let configured = brand_id.to_owned();
        return Err(LockError::OtherBrand { locked: lock.brand_id, configured });
    }
    Ok(lock)
}

/// Parses a lock.
///
/// # Errors
/// When the bytes are not a whole lock of this version.
pub fn parse(bytes: &[u8]) -> Result<Lock, LockError> {
    if let Some(lock) = by_lines(bytes) {
        return Ok(lock);
    }
    // In another form, or wrong: then it is said what is.
    whole(std::str::from_utf8(bytes).map_err(|e| LockError::NotUtf8(e.valid_up_to()))?)
}

/// Bytes of a lock that one more thread is worth starting for.
const BYTES_A_THREAD: usize = if cfg!(test) { 256 } else { 256 << 10 };

/// A lock as couponctl writes it, its lines read on all cores. None when it has another form, or is not
/// to be read.
pub(super) fn by_lines(bytes: &[u8]) -> Option<Lock> {
    let lines = bytes.strip_suffix(b"\n}}\n")?;
    let (head, entries) = lines.split_at(lines.iter().position(|byte| *byte == b'\n')?);
    // As the only `stocks` there is, since a second one is refused.
    head.strip_suffix(b",\"stocks\":{")?;
    let head = std::str::from_utf8(head).ok()?;
    let mut lock = whole(&format!("{head}}}}}")).ok().filter(|lock| lock.stocks.is_empty())?;
    let parts = parts_of(&entries[1..]);
    let last = parts.len() - 1;
    let parts: Vec<_> = parts.into_iter().enumerate().collect();
    let read = parallel::each(&parts, |(index, part)| entries_of(part, *index == last));
    let read = read.into_iter().collect::<Option<Vec<_>>>()?;
    let names = || read.iter().flatten().map(|(name, _)| name);
    if !names().is_sorted_by(|a, b| a < b) {
        return None;
    }
    lock.stocks = read.into_iter().flatten().collect();
    Some(lock)
}

/// Lines, shared out among the threads that they are worth.
fn parts_of(lines: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), lines);
    for left in (2..=parallel::threads_for(lines.len(), BYTES_A_THREAD)).rev() {
        let at = rest.len() / left;
        let Some(end) = rest[at..].iter().position(|byte| *byte == b'\n') else { break };
        parts.push(&rest[..at + end]);
        rest = &rest[at + end + 1..];
    }
    parts.push(rest);
    parts
}

/// The entries of some lines: all but the very last line of a lock end with a comma.
fn entries_of(lines: &[u8], are_last: bool) -> Option<Vec<(StockName, Entry)>> {
    let mut lines = std::str::from_utf8(lines).ok()?.split('\n').peekable();
    let mut entries = Vec::new();
    while let Some(line) = lines.next() {
        let is_last = are_last && lines.peek().is_none();
        if line.ends_with(',') == is_last {
            return None;
        }
        entries.push(entry(line)?);
    }
    Some(entries)
}

/// The entry of a line, with or without the comma at its end.
fn entry(line: &str) -> Option<(StockName, Entry)> {
    let line = line.strip_suffix(',').unwrap_or(line);
    let (name, entry) = line.strip_prefix('"')?.split_once("\":")?;
    Some((StockName::parse(name)?, serde_json::from_str(entry).ok()?))
}

/// A lock in any form, read from its first byte to its last.
pub(super) fn whole(text: &str) -> Result<Lock, LockError> {
    if text.trim().is_empty() {
        return Err(LockError::Empty);
    }
    let mut newer = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    let result = LockSeed { newer: &mut newer }
        .deserialize(&mut reader)
        .and_then(|lock| reader.end().map(|()| lock));
    match (result, newer) {
        (_, Some(version)) => Err(LockError::Newer(version)),
        (Ok(lock), None) => Ok(lock),
        (Err(error), None) => Err(explain(text, &error)),
    }
}

fn explain(text: &str, error: &serde_json::Error) -> LockError {
    if let Some(index) = text.lines().position(is_conflict_marker) {
        return LockError::Conflict(index + 1);
    }
    if error.is_eof() {
        return LockError::CutOff(error.line());
    }
    let full = error.to_string();
    let message = full.split(" at line ").next().unwrap_or(&full).to_owned();
    LockError::Broken { line: error.line(), column: error.column(), message }
}

/// Whether a line is one that git puts around the sides of a conflict.
#[must_use]
pub fn is_conflict_marker(line: &str) -> bool {
    ["<<<<<<<", "=======", ">>>>>>>", "|||||||"].iter().any(|mark| line.starts_with(mark))
}

struct LockSeed<'a> {
    newer: &'a mut Option<u64>,
}

impl<'de> DeserializeSeed<'de> for LockSeed<'_> {
    type Value = Lock;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Lock, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LockSeed<'_> {
    type Value = Lock;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lock: an object with `version`, `brand_id` and `stocks`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lock, A::Error> {
        let (mut version, mut brand_id, mut stocks) = (None, None, None);
        let mut unknown = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "version" => {
                    let number: u64 = map.next_value()?;
                    once(&mut version, "version", number)?;
                    if number > VERSION {
                        *self.newer = Some(number);
                        return Err(A::Error::custom("newer version"));
                    }
                }
                "brand_id" => {
                    once(&mut brand_id, "brand_id", map.next_value::<String>()?)?;
                }
                "stocks" => {
                    once(&mut stocks, "stocks", map.next_value::<Stocks>()?)?;
                }
                _ => {
                    unknown.insert(key, map.next_value::<Value>()?);
                }
            }
        }
        match version {
            None => return Err(A::Error::missing_field("version")),
            Some(0) => return Err(A::Error::custom("version 0 was never used")),
            Some(_) => {}
        }
        Ok(Lock {
            brand_id: brand_id.ok_or_else(|| A::Error::missing_field("brand_id"))?,
            stocks: stocks.ok_or_else(|| A::Error::missing_field("stocks"))?.0,
            unknown,
        })
    }
}

/// Fills a slot, and refuses to fill it twice.
fn once<T, E: serde::de::Error>(
    slot: &mut Option<T>,
    name: &'static str,
    value: T,
) -> Result<(), E> {
    match slot.replace(value) {
        Some(_) => Err(E::duplicate_field(name)),
        None => Ok(()),
    }
}

struct Stocks(BTreeMap<StockName, Entry>);

impl<'de> Deserialize<'de> for Stocks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StocksVisitor;
        impl<'de> Visitor<'de> for StocksVisitor {
            type Value = Stocks;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of stocks by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stocks, A::Error> {
                let mut stocks = BTreeMap::new();
                while let Some((name, entry)) = map.next_entry::<StockName, Entry>()? {
                    if stocks.contains_key(&name) {
                        return Err(A::Error::custom(format!("stock `{name}` stands there twice")));
                    }
                    stocks.insert(name, entry);
                }
                Ok(Stocks(stocks))
            }
        }
        deserializer.deserialize_map(StocksVisitor)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

/// A key of an entry.
enum Key {
    ProductCouponId,
    StockId,
    OutRequestNo,
    Generation,
    ContentSha256,
    CreatedAt,
    RequestedAs,
    Superseded,
    Stock,
    Unknown(String),
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "product_coupon_id" => Key::ProductCouponId,
            "stock_id" => Key::StockId,
            "out_request_no" => Key::OutRequestNo,
            "generation" => Key::Generation,
            "content_sha256" => Key::ContentSha256,
            "created_at" => Key::CreatedAt,
            "requested_as" => Key::RequestedAs,
            "superseded" => Key::Superseded,
            "stock" => Key::Stock,
            _ => Key::Unknown(key.to_owned()),
        })
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `stock_id`, `out_request_no`, `stock` and more")
    }

    // Written out, since `#[serde(flatten)]` would parse `stock` deeply and lose its exact text.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut product_coupon_id = None;
        let mut stock_id = None;
        let mut out_request_no = None;
        let mut generation = None;
        let mut content_sha256 = None;
        let mut created_at = None;
        let mut requested_as = None;
        let mut superseded = None;
        let mut stock = None;
        let mut unknown = BTreeMap::new();
        macro_rules! fill {
            ($slot:ident) => {
                if $slot.replace(map.next_value()?).is_some() {
                    return Err(A::Error::duplicate_field(stringify!($slot)));
                }
            };
        }
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::ProductCouponId => fill!(product_coupon_id),
                Key::StockId => fill!(stock_id),
                Key::OutRequestNo => fill!(out_request_no),
                Key::Generation => fill!(generation),
                Key::ContentSha256 => fill!(content_sha256),
                Key::CreatedAt => fill!(created_at),
                Key::RequestedAs => fill!(requested_as),
                Key::Superseded => fill!(superseded),
                Key::Stock => fill!(stock),
                Key::Unknown(key) => {
                    unknown.insert(key, map.next_value()?);
                }
            }
        }
        macro_rules! take {
            ($slot:ident) => {
                $slot.ok_or_else(|| A::Error::missing_field(stringify!($slot)))?
            };
        }
        Ok(Entry {
            product_coupon_id: take!(product_coupon_id),
            stock_id: take!(stock_id),
            out_request_no: take!(out_request_no),
            generation: take!(generation),
            content_sha256: take!(content_sha256),
            created_at: take!(created_at),
            requested_as: requested_as.unwrap_or_default(),
            superseded: superseded.unwrap_or_default(),
            stock: take!(stock),
            unknown,
        })
    }
}
