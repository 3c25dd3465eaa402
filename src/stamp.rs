//! What tells that a file was written since it was read: what git's index looks at too.

use std::fs::Metadata;
use std::time::{Duration, SystemTime};

/// A file may change once more without its time moving on: file systems count time in steps, the
/// coarsest (FAT) of two seconds.
#[cfg(not(test))]
pub(crate) const TIME_STEP: Duration = Duration::from_secs(2);
/// Where the tests run, time goes in finer steps; waiting for two seconds would make them slow.
#[cfg(test)]
pub(crate) const TIME_STEP: Duration = Duration::from_millis(40);

/// How a file looks from outside. Two that differ are two states of a file, or two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    modified: SystemTime,
    /// Inode, and when it last changed (seconds, nanoseconds): a new file in the place of the old
    /// one shows here, and so does a time of writing that was set back.
    #[cfg(unix)]
    inode: (u64, i64, i64),
}

impl Stamp {
    /// None on a file system that keeps no times.
    #[must_use]
    pub fn of(found: &Metadata) -> Option<Self> {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Some(Self {
            size: found.len(),
            modified: found.modified().ok()?,
            #[cfg(unix)]
            inode: (found.ino(), found.ctime(), found.ctime_nsec()),
        })
    }

    /// Whether the file was written so short before it was read that its time could stand still, and
    /// a change after the reading would not show.
    #[must_use]
    pub fn is_young(&self, read_at: SystemTime) -> bool {
        let is_recent =
            |at: SystemTime| read_at.duration_since(at).map_or(true, |age| age < TIME_STEP);
        is_recent(self.modified) || self.changed().is_none_or(is_recent)
    }

    /// The stamp as numbers, to be kept in a file. None for times before 1970.
    #[must_use]
    pub fn to_numbers(&self) -> Option<[u64; 6]> {
        let modified = self.modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        #[cfg(unix)]
        let (inode, seconds, nanoseconds) = self.inode;
        #[cfg(not(unix))]
        let (inode, seconds, nanoseconds) = (0, 0_i64, 0_i64);
        Some([
            self.size,
            modified.as_secs(),
            modified.subsec_nanos().into(),
            inode,
            seconds.cast_unsigned(),
            nanoseconds.cast_unsigned(),
        ])
    }

    /// The stamp of [`Stamp::to_numbers`].
    #[must_use]
    pub fn from_numbers(numbers: [u64; 6]) -> Option<Self> {
        let [size, seconds, nanoseconds, inode, changed, changed_nanoseconds] = numbers;
        let nanoseconds = u32::try_from(nanoseconds).ok().filter(|part| *part < 1_000_000_000)?;
        let modified = Duration::new(seconds, nanoseconds);
        #[cfg(not(unix))]
        let _ = (inode, changed, changed_nanoseconds);
        Some(Self {
            size,
            modified: SystemTime::UNIX_EPOCH.checked_add(modified)?,
            #[cfg(unix)]
            inode: (inode, changed.cast_signed(), changed_nanoseconds.cast_signed()),
        })
    }

    /// When its inode changed; on systems without, when it was written.
    #[cfg_attr(not(unix), expect(clippy::unnecessary_wraps))]
    fn changed(&self) -> Option<SystemTime> {
        #[cfg(unix)]
        {
            let (_, seconds, nanoseconds) = self.inode;
            let since = Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        }
        #[cfg(not(unix))]
        Some(self.modified)
    }
}
