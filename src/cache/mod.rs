//! What an earlier plan learned of the files and the lock, so that a plan reads only what is new: as
//! git's index does for its files. It says of a stock no more than that it is as the lock has it;
//! whatever of a stock is shown or sent is read from its file. Safe to lose at any time.

pub mod format;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use jiff::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::config::Config;
use crate::desired::files::{FilesError, Found};
use crate::desired::memory::Memory;
use crate::desired::{self, DesiredStock, Loaded};
use crate::identity::StockName;
use crate::lockfile::Lock;
use crate::lockfile::hold::{self, HoldError, View};
use crate::lockfile::journal::Journal;
use crate::stamp::Stamp;
use crate::wechatpay::stock::limits;
use format::{Cache, CachedFile, CachedLock, Contents, Outline};

/// What a plan rests on.
#[derive(Debug)]
pub struct Basis {
    /// What the files say that were read and may differ from the lock.
    pub loaded: Loaded,
    /// Names of stocks that are as the lock has them.
    pub unchanged: Vec<StockName>,
    /// Lock and journal. The lock is empty where all stocks are as it has them: no more is needed of
    /// it then. When it is not whole, everything else is as if it were read without a cache: problems
    /// in files come first.
    pub view: Result<View, HoldError>,
}

/// Reads what a plan against a lock needs, passing over what the cache knows to be unchanged, and
/// brings the cache up to date. The plan is the same as without a cache.
///
/// # Errors
/// When a pattern of the settings cannot be used.
pub fn survey(config: &Config, lock_path: &Path, now: Timestamp) -> Result<Basis, FilesError> {
    let mut memory = Memory::new(&config.root, &config.stocks)?;
    let (cache, base, entries) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
    let prepare = || {
        let cache: &Option<Cache> = cache.get_or_init(|| Cache::read(&config.root));
        let base = base.get_or_init(|| Base::read(cache.as_ref(), config, lock_path));
        let entries: &Cow<'_, [Outline<'_>]> = entries.get_or_init(|| base.entries());
        Prepared::new(base, entries)
    };
    let (Prepared { base: known, held, .. }, aside) =
        memory.look_past(now, prepare, |prepared, found| prepared.still(found, now));
    let mut loaded = memory.loaded();
    let cached = &known.cached;
    let unchanged = || aside.iter().flat_map(|file| cached.stocks_of(file));
    // What stands twice or too often is told by who has read all of it.
    let mut in_doubt = held.is_crowded(&loaded.stocks) || held.clash(unchanged(), &loaded.stocks);
    let is_settled = !in_doubt && held.is_all_of(unchanged().count(), &loaded.stocks);
    let entries = entries.get().map(|entries| &entries[..]).unwrap_or_default();
    save(&config.root, cached, &aside, &memory, known.view.is_none(), || {
        known.lock(config, lock_path, entries)
    });
    let whole =
        (known.view.is_none() && !is_settled).then(|| hold::view(lock_path, &config.brand_id));
    if let Some(Ok(view)) = &whole {
        // It may have been written this very moment.
        in_doubt |= !outlines_of(&view.lock).eq(entries.iter().copied());
    }
    let mut unchanged: Vec<_> =
        unchanged().filter_map(|stock| StockName::parse(stock.name)).collect();
    let read_all_of_it = aside.is_empty();
    let view = whole.or_else(|| base.into_inner()?.view);
    let nothing = || View { lock: Lock::empty(&config.brand_id), journal: Journal::default() };
    let view = view.unwrap_or_else(|| Ok(nothing()));
    if !read_all_of_it && (in_doubt || view.is_err()) {
        return read_all(config, view, now);
    }
    if is_settled {
        unchanged.extend(loaded.stocks.drain(..).map(|stock| stock.name.clone()));
        unchanged.sort_unstable();
    }
    Ok(Basis { loaded, unchanged, view })
}

/// What is known before a file is looked at.
struct Base<'a> {
    cached: Contents<'a>,
    /// How the lock looked before it was read, and when that was.
    looks: Option<Stamp>,
    read_at: SystemTime,
    /// The lock as read; none where the cache has it as it is.
    view: Option<Result<View, HoldError>>,
}

impl<'a> Base<'a> {
    fn read(cache: Option<&'a Cache>, config: &Config, lock_path: &Path) -> Self {
        let cached = cache.and_then(Cache::contents).unwrap_or_default();
        let (read_at, looks) = (SystemTime::now(), look_at(lock_path));
        let path = name_of(config, lock_path);
        let is_it = |lock: &CachedLock<'_>| {
            Some(lock.path) == path && lock.brand_id == config.brand_id && Some(lock.stamp) == looks
        };
        let view = match &cached.lock {
            Some(lock) if is_it(lock) => None,
            _ => Some(hold::view(lock_path, &config.brand_id)),
        };
        Self { cached, looks, read_at, view }
    }

    /// The entries of the lock in order of name.
    fn entries(&self) -> Cow<'_, [Outline<'_>]> {
        match (&self.view, &self.cached.lock) {
            (Some(view), _) => view.iter().flat_map(|view| outlines_of(&view.lock)).collect(),
            (None, Some(lock)) => Cow::Borrowed(&lock.entries),
            (None, None) => Cow::default(),
        }
    }

    /// The lock as the cache is to have it. One that was just written may be another one unseen.
    fn lock<'b>(
        &'b self,
        config: &'b Config,
        lock_path: &'b Path,
        entries: &[Outline<'b>],
    ) -> Option<CachedLock<'b>> {
        let Some(view) = &self.view else { return self.cached.lock.clone() };
        let stamp = self.looks.filter(|stamp| view.is_ok() && !stamp.is_young(self.read_at))?;
        let path = name_of(config, lock_path)?;
        Some(CachedLock { path, brand_id: &config.brand_id, stamp, entries: entries.to_vec() })
    }
}

/// What each file is held against.
struct Prepared<'a> {
    base: &'a Base<'a>,
    held: Held<'a>,
    files: FxHashMap<&'a str, &'a CachedFile<'a>>,
}

impl<'a> Prepared<'a> {
    fn new(base: &'a Base<'a>, entries: &'a [Outline<'a>]) -> Self {
        let files = base.cached.files.iter().map(|file| (file.path, file)).collect();
        Self { base, held: Held::new(entries), files }
    }

    /// The entry of a file that need not be read: it is as it was, and the lock has all its stocks.
    fn still(&self, found: &Found, now: Timestamp) -> Option<&'a CachedFile<'a>> {
        let file = self.files.get(found.path.as_str()).filter(|file| file.is_still(found, now))?;
        let stocks = self.base.cached.stocks_of(file);
        stocks.iter().all(|stock| self.held.holds(stock)).then_some(*file)
    }
}

/// Reads everything that a plan against a lock could need, without a cache.
///
/// # Errors
/// When a pattern of the settings cannot be used.
pub fn pass_over(config: &Config, lock_path: &Path, now: Timestamp) -> Result<Basis, FilesError> {
    read_all(config, hold::view(lock_path, &config.brand_id), now)
}

fn read_all(
    config: &Config,
    view: Result<View, HoldError>,
    now: Timestamp,
) -> Result<Basis, FilesError> {
    let loaded = desired::load(&config.root, &config.stocks, now)?;
    Ok(Basis { loaded, unchanged: Vec::new(), view })
}

/// Which lock it is: that of the API, or the sandbox's.
fn name_of<'a>(config: &Config, lock_path: &'a Path) -> Option<&'a str> {
    lock_path.strip_prefix(&config.root).ok()?.to_str()
}

/// How a lock looks that has no journal beside it: with one, there is more to it than its file.
fn look_at(lock_path: &Path) -> Option<Stamp> {
    if hold::journal_path(lock_path).symlink_metadata().is_ok() {
        return None;
    }
    lock_path.metadata().ok().as_ref().and_then(Stamp::of)
}

fn outlines_of(lock: &Lock) -> impl Iterator<Item = Outline<'_>> {
    lock.stocks.iter().map(|(name, entry)| Outline {
        name: name.as_str(),
        product_coupon_id: &entry.product_coupon_id,
        generation: entry.generation,
        content: entry.content_sha256.to_bytes(),
    })
}

fn outline_of(stock: &DesiredStock) -> Outline<'_> {
    Outline {
        name: stock.name.as_str(),
        product_coupon_id: &stock.product_coupon_id,
        generation: stock.generation,
        content: stock.content_sha256.to_bytes(),
    }
}

impl CachedFile<'_> {
    /// Whether the file looks as it did, and the rules say the same of it.
    fn is_still(&self, found: &Found, now: Timestamp) -> bool {
        found.looks_like(&self.stamp) && self.until > now.as_second()
    }
}

impl<'a> Contents<'a> {
    fn stocks_of(&self, file: &CachedFile<'_>) -> &[Outline<'a>] {
        &self.stocks[file.stocks.clone()]
    }
}

/// What a lock holds.
struct Held<'a> {
    by_name: FxHashMap<&'a str, &'a Outline<'a>>,
    /// How many stocks each product coupon has.
    counts: FxHashMap<&'a str, usize>,
}

impl<'a> Held<'a> {
    fn new(entries: &'a [Outline<'a>]) -> Self {
        let mut counts = FxHashMap::default();
        for entry in entries {
            *counts.entry(entry.product_coupon_id).or_default() += 1;
        }
        Self { by_name: entries.iter().map(|entry| (entry.name, entry)).collect(), counts }
    }

    /// Whether a stock is the one that the lock has under its name. The hash is of the product coupon
    /// too.
    fn holds(&self, stock: &Outline<'_>) -> bool {
        self.by_name.get(stock.name).is_some_and(|entry| {
            entry.content == stock.content && entry.generation == stock.generation
        })
    }

    /// Whether so many stocks that it holds and these others are all that it holds, and no more.
    fn is_all_of(&self, unchanged: usize, others: &[Arc<DesiredStock>]) -> bool {
        unchanged + others.len() == self.by_name.len()
            && others.iter().all(|stock| self.holds(&outline_of(stock)))
    }

    /// Whether a name or a content stands twice among stocks that it holds and others. What clashes among
    /// the others alone is told by who reads them.
    ///
    /// Stocks that it holds have the content of the entry of their name, so that two of one name are
    /// of one content too.
    fn clash<'b>(
        &self,
        unchanged: impl Iterator<Item = &'b Outline<'b>>,
        others: &[Arc<DesiredStock>],
    ) -> bool {
        let mut contents = FxHashSet::default();
        contents.reserve(self.by_name.len());
        let mut is_new = |stock: &Outline<'_>| contents.insert((stock.content, stock.generation));
        let stands_twice = !unchanged.into_iter().all(&mut is_new);
        let is_there = |stock: &Outline<'_>| contents.contains(&(stock.content, stock.generation));
        stands_twice
            || others.iter().map(|stock| outline_of(stock)).any(|stock| {
                let entry = self.by_name.get(stock.name);
                is_there(&stock) || entry.is_some_and(|entry| is_there(entry))
            })
    }

    /// Whether these stocks, and those that it holds, could be too many for a product coupon.
    fn is_crowded(&self, stocks: &[Arc<DesiredStock>]) -> bool {
        let most = limits::LIVE_STOCKS;
        let mut counts: FxHashMap<&str, usize> = FxHashMap::default();
        for stock in stocks {
            let coupon = stock.product_coupon_id.as_str();
            let entry = self.by_name.get(stock.name.as_str());
            if entry.is_none_or(|entry| entry.product_coupon_id != coupon) {
                *counts.entry(coupon).or_default() += 1;
            }
        }
        let locked = |coupon: &str| self.counts.get(coupon).copied().unwrap_or_default();
        self.counts.values().any(|count| *count > most)
            || counts.iter().any(|(coupon, count)| count + locked(coupon) > most)
    }
}

/// Writes the cache anew where it would be another one. A workspace that cannot be written to has
/// none, and is none the worse for it.
fn save<'a>(
    root: &Path,
    cached: &'a Contents<'a>,
    aside: &[&'a CachedFile<'a>],
    memory: &'a Memory,
    is_same_lock: bool,
    lock: impl FnOnce() -> Option<CachedLock<'a>>,
) {
    let mut read = memory.without_problems().peekable();
    if read.peek().is_none() && aside.len() == cached.files.len() && is_same_lock {
        return;
    }
    let mut new = Contents { lock: lock(), ..Contents::default() };
    let stocks = aside.iter().map(|file| cached.stocks_of(file).to_vec());
    let aside =
        aside.iter().zip(stocks).map(|(file, stocks)| (file.path, file.stamp, file.until, stocks));
    let read = read.map(|file| {
        let stocks: Vec<_> = file.stocks.iter().map(|stock| outline_of(stock)).collect();
        (file.path, file.stamp, file.until.map_or(i64::MAX, Timestamp::as_second), stocks)
    });
    let mut files: Vec<_> = aside.chain(read).collect();
    files.sort_unstable_by_key(|(path, ..)| *path);
    for (path, stamp, until, stocks) in files {
        let first = new.stocks.len();
        new.stocks.extend(stocks);
        new.files.push(CachedFile { path, stamp, until, stocks: first..new.stocks.len() });
    }
    if new != *cached
        && let Err(error) = new.write(root)
    {
        tracing::debug!(%error, "the cache cannot be written");
    }
}
