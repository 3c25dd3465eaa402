//! What an earlier plan learned of the files and the lock, so that a plan reads only what is new: as
//! git's index does for its files. It says of a stock no more than that it is as the lock has it;
//! whatever of a stock is shown or sent is read from its file. Safe to lose at any time.

pub mod format;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use jiff::Timestamp;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::config::Config;
use crate::desired::files::{FilesError, Finder, Found};
use crate::desired::memory::Memory;
use crate::desired::{self, DesiredStock, Loaded};
use crate::identity::StockName;
use crate::lockfile::Lock;
use crate::lockfile::hold::{self, HoldError, View};
use crate::lockfile::journal::Journal;
use crate::plan::PassedOver;
use crate::stamp::Stamp;
use crate::wechatpay::stock::limits;
use format::{Cache, CachedFile, CachedLock, Contents, Outline};

/// What a plan rests on.
#[derive(Debug)]
pub struct Basis {
    /// What the files say that were read and may differ from the lock.
    pub loaded: Loaded,
    /// The others, which are as the lock has them.
    pub passed_over: PassedOver,
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
    let (cache, base) = (OnceLock::new(), OnceLock::new());
    let prepare = || {
        let cache: &Option<Cache> = cache.get_or_init(|| Cache::read(&config.root));
        Prepared::new(base.get_or_init(|| Base::read(cache.as_ref(), config, lock_path)))
    };
    let (prepared, aside) = memory
        .look_past(now, prepare, |prepared, finder, found| prepared.still(finder, found, now));
    let known = prepared.base;
    let is_lock_known = known.view.is_none();
    let passed_over = || aside.iter().flat_map(|file| known.cached.stocks_of(file));
    let count = passed_over().count();
    let is_all_as_it_was = is_lock_known
        && memory.is_empty()
        && aside.len() == known.cached.files.len()
        && count == known.entries().count();
    if is_all_as_it_was {
        return Ok(Basis::without_lock(Loaded::default(), count, &config.brand_id));
    }
    let held = prepared.held();
    let mut loaded = memory.loaded();
    save(&config.root, &known.cached, &aside, &memory, is_lock_known, || {
        known.lock(config, lock_path, held)
    });
    // What stands twice or too often is told by who has read all of it.
    let mut in_doubt = held.is_crowded(&loaded.stocks) || held.clash(passed_over(), &loaded.stocks);
    if is_lock_known && !in_doubt && held.is_all_of(count, &loaded.stocks) {
        let count = count + std::mem::take(&mut loaded.stocks).len();
        return Ok(Basis::without_lock(loaded, count, &config.brand_id));
    }
    let whole = is_lock_known.then(|| hold::view(lock_path, &config.brand_id));
    if let Some(Ok(view)) = &whole {
        // It may have been written this very moment.
        in_doubt |= !outlines_of(&view.lock).eq(known.entries());
    }
    let names = passed_over().filter_map(|stock| StockName::parse(stock.name)).collect();
    let read_all_of_it = aside.is_empty();
    drop(prepared);
    let Some(view) = whole.or_else(|| base.into_inner()?.view) else {
        return pass_over(config, lock_path, now);
    };
    if !read_all_of_it && (in_doubt || view.is_err()) {
        return read_all(config, view, now);
    }
    Ok(Basis { loaded, passed_over: PassedOver { count, names }, view })
}

impl Basis {
    /// Where all stocks are as the lock has them, so that no more of it is needed.
    fn without_lock(loaded: Loaded, count: usize, brand_id: &str) -> Self {
        let view = View { lock: Lock::empty(brand_id), journal: Journal::default() };
        Self { loaded, passed_over: PassedOver { count, names: Vec::new() }, view: Ok(view) }
    }
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
    fn entries(&self) -> impl Iterator<Item = Outline<'_>> {
        let read = self.view.iter().flatten().flat_map(|view| outlines_of(&view.lock));
        let cached = self.cached.lock.as_ref().filter(|_| self.view.is_none());
        read.chain(cached.into_iter().flat_map(|lock| lock.entries.iter().copied()))
    }

    /// The lock as the cache is to have it. One that was just written may be another one unseen, and
    /// of one in which something stands twice or too often more must be told than the cache could.
    fn lock<'b>(
        &'b self,
        config: &'b Config,
        lock_path: &'b Path,
        held: &Held<'_>,
    ) -> Option<CachedLock<'b>> {
        let Some(view) = &self.view else { return self.cached.lock.clone() };
        let stamp = self.looks.filter(|stamp| view.is_ok() && !stamp.is_young(self.read_at))?;
        let path = name_of(config, lock_path)?;
        let entries: Vec<_> = self.entries().collect();
        let is_plain = !held.is_crowded(&[]) && !held.clash(&entries, &[]);
        is_plain.then_some(CachedLock { path, brand_id: &config.brand_id, stamp, entries })
    }
}

/// What each file is held against.
struct Prepared<'a> {
    base: &'a Base<'a>,
    files: FxHashMap<&'a str, &'a CachedFile<'a>>,
    /// Most plans do without.
    held: OnceLock<Held<'a>>,
}

impl<'a> Prepared<'a> {
    fn new(base: &'a Base<'a>) -> Self {
        let files = base.cached.files.iter().map(|file| (file.path, file)).collect();
        Self { base, files, held: OnceLock::new() }
    }

    fn held(&self) -> &Held<'a> {
        self.held.get_or_init(|| Held::new(self.base.entries()))
    }

    /// The entry of a file that need not be read: it is as it was, and the lock has all its stocks.
    fn still(&self, finder: &Finder, found: &Found, now: Timestamp) -> Option<&'a CachedFile<'a>> {
        let file = *self.files.get(found.path.as_str())?;
        if file.until <= now.as_second() || finder.stamp(found) != Some(file.stamp) {
            return None;
        }
        let cached = &self.base.cached;
        let is_held = match self.base.view {
            None => cached.locked[file.stocks.clone()].iter().all(|locked| *locked),
            Some(_) => cached.stocks_of(file).iter().all(|stock| self.held().holds(stock)),
        };
        is_held.then_some(file)
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
    Ok(Basis { loaded, passed_over: PassedOver::default(), view })
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

impl<'a> Contents<'a> {
    fn stocks_of(&self, file: &CachedFile<'_>) -> &[Outline<'a>] {
        &self.stocks[file.stocks.clone()]
    }
}

/// What a lock holds.
struct Held<'a> {
    by_name: FxHashMap<&'a str, Outline<'a>>,
    /// How many stocks each product coupon has.
    counts: FxHashMap<&'a str, usize>,
}

impl<'a> Held<'a> {
    fn new(entries: impl Iterator<Item = Outline<'a>>) -> Self {
        let by_name: FxHashMap<_, _> = entries.map(|entry| (entry.name, entry)).collect();
        let mut counts = FxHashMap::default();
        for entry in by_name.values() {
            *counts.entry(entry.product_coupon_id).or_default() += 1;
        }
        Self { by_name, counts }
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
        unchanged: impl IntoIterator<Item = &'b Outline<'b>>,
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
                is_there(&stock) || entry.is_some_and(is_there)
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
    if !new.is_same(cached)
        && let Err(error) = new.write(root)
    {
        tracing::debug!(%error, "the cache cannot be written");
    }
}
