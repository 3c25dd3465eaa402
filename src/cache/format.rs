//! The cache's file: numbers in little-endian bytes and texts with their lengths, a checksum of it
//! all at its end. Whatever is not whole, or was not written by this very program, is no cache.

use std::fs;
use std::hash::Hasher as _;
use std::io::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustc_hash::{FxHashMap, FxHasher};

use crate::stamp::Stamp;
use crate::workspace::{self, SCRATCH};

/// First bytes of the file, with the version of its format.
const MAGIC: &[u8] = b"couponctl cache 2\n";
/// Bytes of the checksum.
const SUM: usize = 8;

/// A stock as far as it takes to tell whether it is the one that another place has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Outline<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its product coupon.
    pub product_coupon_id: &'a str,
    /// Its generation.
    pub generation: i64,
    /// The hash of its content.
    pub content: [u8; 32],
}

/// A stock file without problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedFile<'a> {
    /// Its path in the workspace.
    pub path: &'a str,
    /// How it looked as it was read.
    pub stamp: Stamp,
    /// The second in which the rules will say something else of it though it did not change; the last
    /// one there is where they never will.
    pub until: i64,
    /// Its stocks, as a part of [`Contents::stocks`].
    pub stocks: Range<usize>,
}

/// A lock that had no journal beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedLock<'a> {
    /// Its path.
    pub path: &'a str,
    /// The brand that it was read for.
    pub brand_id: &'a str,
    /// How it looked as it was read.
    pub stamp: Stamp,
    /// Its entries in order of name, no two of one content, and of no product coupon more than may be.
    pub entries: Vec<Outline<'a>>,
}

/// What a cache holds.
#[derive(Debug, Default)]
pub struct Contents<'a> {
    /// Stock files in order of path.
    pub files: Vec<CachedFile<'a>>,
    /// The stocks of all files.
    pub stocks: Vec<Outline<'a>>,
    /// The lock that was planned against.
    pub lock: Option<CachedLock<'a>>,
    /// For each of the stocks whether it is an entry of that lock, and the only one that is this entry.
    pub locked: Vec<bool>,
}

/// A cache as it is on disk, its checksum found right.
#[derive(Debug)]
pub struct Cache {
    bytes: Vec<u8>,
    written: SystemTime,
}

/// Where the cache of a workspace is.
#[must_use]
pub fn path(root: &Path) -> PathBuf {
    root.join(SCRATCH).join("cache")
}

/// What a cache of this very program says of it. Another program may know other rules, so that what
/// was right for it says nothing here: not its version alone counts, since a program changes between
/// two versions as it is worked on.
fn program() -> String {
    let seen = std::env::current_exe().and_then(fs::metadata).ok();
    let stamp = seen.as_ref().and_then(Stamp::of).and_then(|stamp| stamp.to_numbers());
    format!("{} {:?}", env!("CARGO_PKG_VERSION"), stamp.unwrap_or_default())
}

impl Cache {
    /// Reads the cache of a workspace. None when there is none that can be used.
    #[must_use]
    pub fn read(root: &Path) -> Option<Self> {
        let path = path(root);
        let written = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?.modified().ok()?;
        let mut bytes = fs::read(path).ok()?;
        let body = bytes.len().checked_sub(SUM)?;
        if checksum(&bytes[..body])[..] != bytes[body..] || !bytes.starts_with(MAGIC) {
            return None;
        }
        bytes.truncate(body);
        Some(Self { bytes, written })
    }

    /// What it holds. None when another program wrote it.
    ///
    /// What was written so short before the cache that its time may have stood still is left out: by
    /// the clock that counts, which is that of the file system, it may have changed after it was read.
    #[must_use]
    pub fn contents(&self) -> Option<Contents<'_>> {
        let mut rest = Reader(&self.bytes[MAGIC.len()..]);
        if rest.text()? != program() {
            return None;
        }
        let mut contents = Contents::default();
        let count = rest.count()?;
        contents.files.reserve_exact(count);
        contents.stocks.reserve_exact(count);
        for _ in 0..count {
            let (path, stamp, until) = (rest.text()?, rest.stamp()?, rest.number()?.cast_signed());
            let first = contents.stocks.len();
            for _ in 0..rest.count()? {
                contents.stocks.push(rest.outline()?);
            }
            if !stamp.is_young(self.written) {
                let stocks = first..contents.stocks.len();
                contents.files.push(CachedFile { path, stamp, until, stocks });
            }
        }
        contents.locked = vec![false; contents.stocks.len()];
        if rest.number()? == 1 {
            let (path, brand_id, stamp) = (rest.text()?, rest.text()?, rest.stamp()?);
            let count = rest.count()?;
            let mut entries = Vec::with_capacity(count);
            for _ in 0..count {
                entries.push(match usize::try_from(rest.number()?).ok()?.checked_sub(1) {
                    Some(index) => {
                        *contents.locked.get_mut(index)? = true;
                        contents.stocks[index]
                    }
                    None => rest.outline()?,
                });
            }
            let lock = CachedLock { path, brand_id, stamp, entries };
            contents.lock = Some(lock).filter(|lock| !lock.stamp.is_young(self.written));
        }
        rest.0.is_empty().then_some(contents)
    }
}

impl Contents<'_> {
    /// Whether a cache of these contents would be the same file.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.files, &self.stocks, &self.lock) == (&other.files, &other.stocks, &other.lock)
    }

    /// Puts the contents in the place of what the cache of a workspace held: whoever reads it
    /// meanwhile sees the old or the new one, and of two who write the last one counts.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, root: &Path) -> std::io::Result<()> {
        let path = path(root);
        let folder = workspace::scratch(root)?;
        let mut file = tempfile::Builder::new().prefix(".cache-").tempfile_in(folder)?;
        file.write_all(&self.to_bytes())?;
        file.persist(path)?;
        Ok(())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.files.len() * 256);
        bytes.extend_from_slice(MAGIC);
        push_text(&mut bytes, &program());
        // Times before 1970 cannot be kept; nobody misses what has one.
        let kept = |stamp: &Stamp| stamp.to_numbers().is_some();
        let files = || self.files.iter().filter(|file| kept(&file.stamp));
        push_number(&mut bytes, files().count() as u64);
        // Each stock is written once: an entry of the lock that is a stock of a file is its number.
        let (mut number, mut numbers) = (0_u64, FxHashMap::default());
        for file in files() {
            push_text(&mut bytes, file.path);
            push_stamp(&mut bytes, &file.stamp);
            push_number(&mut bytes, file.until.cast_unsigned());
            push_number(&mut bytes, file.stocks.len() as u64);
            for stock in &self.stocks[file.stocks.clone()] {
                number += 1;
                numbers.insert(stock, number);
                push_outline(&mut bytes, stock);
            }
        }
        let lock = self.lock.as_ref().filter(|lock| kept(&lock.stamp));
        push_number(&mut bytes, lock.is_some().into());
        if let Some(lock) = lock {
            push_text(&mut bytes, lock.path);
            push_text(&mut bytes, lock.brand_id);
            push_stamp(&mut bytes, &lock.stamp);
            push_number(&mut bytes, lock.entries.len() as u64);
            for entry in &lock.entries {
                let number = numbers.get(entry).copied().unwrap_or_default();
                push_number(&mut bytes, number);
                if number == 0 {
                    push_outline(&mut bytes, entry);
                }
            }
        }
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }
}

/// Against damage by chance.
pub(super) fn checksum(bytes: &[u8]) -> [u8; SUM] {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    hasher.write_usize(bytes.len());
    hasher.finish().to_le_bytes()
}

fn push_number(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(&number.to_le_bytes());
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    push_number(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn push_stamp(bytes: &mut Vec<u8>, stamp: &Stamp) {
    for number in stamp.to_numbers().unwrap_or_default() {
        push_number(bytes, number);
    }
}

fn push_outline(bytes: &mut Vec<u8>, outline: &Outline<'_>) {
    push_text(bytes, outline.name);
    push_text(bytes, outline.product_coupon_id);
    push_number(bytes, outline.generation.cast_unsigned());
    bytes.extend_from_slice(&outline.content);
}

/// What is still to be read. Each method is None where there is not what should be there.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.bytes(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// How many of something follow, which cannot be more than there are bytes.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|count| *count <= self.0.len())
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    fn stamp(&mut self) -> Option<Stamp> {
        let mut numbers = [0; 6];
        for number in &mut numbers {
            *number = self.number()?;
        }
        Stamp::from_numbers(numbers)
    }

    fn outline(&mut self) -> Option<Outline<'a>> {
        Some(Outline {
            name: self.text()?,
            product_coupon_id: self.text()?,
            generation: self.number()?.cast_signed(),
            content: self.bytes(32)?.try_into().ok()?,
        })
    }
}
