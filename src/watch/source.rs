//! Where news of files comes from: the operating system's events, or looking every few seconds where
//! there are none (network and container file systems).

use std::io;
use std::time::Duration;

use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, Watcher as _};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::Instant;

use super::state::{Touched, Watched};

/// Between two looks, where there are no events and nobody named a time.
pub const POLL: Duration = Duration::from_secs(2);
/// Longest that news is waited for to come to rest: a program that writes without end must not keep
/// the plan from being seen.
const LONGEST: Duration = Duration::from_secs(2);

/// Tells what was touched.
#[derive(Debug)]
pub struct Source {
    events: UnboundedReceiver<notify::Result<Event>>,
    watcher: Option<RecommendedWatcher>,
    /// How often to look, and when next.
    poll: Option<(Duration, Instant)>,
    quiet: Duration,
    noted: Noted,
    warning: Option<String>,
}

/// What happened since the last settled news.
#[derive(Debug, Default)]
struct Noted {
    touched: Touched,
    /// When the first of it happened, and the last.
    when: Option<(Instant, Instant)>,
}

impl Source {
    /// Listens to the operating system's events, or looks every `poll`. Gives what to say when
    /// events cannot be had, so that it looks instead.
    #[must_use]
    pub fn start(watched: &Watched, poll: Option<Duration>, quiet: Duration) -> Self {
        let (send, events) = mpsc::unbounded_channel();
        let poll = poll.map(|every| (every, Instant::now() + every));
        let noted = Noted::default();
        let mut source = Self { events, watcher: None, poll, quiet, noted, warning: None };
        if source.poll.is_some() {
            return source;
        }
        // A receiver that is gone means that the program ends.
        let made = notify::recommended_watcher(move |event| {
            let _ = send.send(event);
        });
        match made {
            Ok(watcher) => {
                source.watcher = Some(watcher);
                source.follow(watched);
            }
            Err(error) => source.look_instead(&error),
        }
        source
    }

    /// What is to be said once: why it looks in place of listening.
    pub fn take_warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    /// Whether it looks every few seconds.
    #[must_use]
    pub fn polls(&self) -> bool {
        self.poll.is_some()
    }

    /// How long nothing must have happened for what happened to count.
    #[must_use]
    pub fn quiet(&self) -> Duration {
        self.quiet
    }

    /// Listens to all places of a workspace. Those it listens to already are listened to anew, since
    /// another folder may be in their place.
    pub fn follow(&mut self, watched: &Watched) {
        let Some(watcher) = &mut self.watcher else { return };
        for (place, mode) in watched.places() {
            match watcher.watch(&place, mode) {
                Ok(()) => {}
                // It went in this very moment, which is an event of its own.
                Err(error) if is_gone(&error) => {}
                Err(error) => return self.look_instead(&error),
            }
        }
    }

    fn look_instead(&mut self, error: &notify::Error) {
        self.watcher = None;
        self.poll = Some((POLL, Instant::now() + POLL));
        self.warning = Some(advice(error));
    }

    /// Waits until something happened and then nothing more for a while. Nothing is lost when this
    /// is dropped while it waits.
    pub async fn settled(&mut self, watched: &Watched) -> Touched {
        loop {
            if let Some((every, next)) = self.poll {
                tokio::time::sleep_until(next).await;
                self.poll = Some((every, Instant::now() + every));
                return Touched::everything();
            }
            let event = match self.noted.when {
                None => self.events.recv().await,
                Some((first, last)) => {
                    let rest = (last + self.quiet).min(first + LONGEST);
                    match tokio::time::timeout_at(rest, self.events.recv()).await {
                        Ok(event) => event,
                        Err(_) => return std::mem::take(&mut self.noted).touched,
                    }
                }
            };
            match event {
                Some(Ok(event)) => self.noted.add(watched, &event),
                Some(Err(error)) if is_gone(&error) => {
                    self.noted.touch(|touched| touched.listing = true);
                }
                Some(Err(error)) => {
                    self.look_instead(&error);
                    return Touched::everything();
                }
                None => std::future::pending().await,
            }
        }
    }
}

impl Noted {
    fn touch(&mut self, note: impl FnOnce(&mut Touched)) {
        note(&mut self.touched);
        let now = Instant::now();
        self.when = Some((self.when.map_or(now, |(first, _)| first), now));
    }

    fn add(&mut self, watched: &Watched, event: &Event) {
        if event.need_rescan() {
            return self.touch(|touched| *touched = Touched::everything());
        }
        // Reading is no change, and this program reads.
        if matches!(event.kind, EventKind::Access(_)) {
            return;
        }
        let mut touched = Touched::default();
        for path in &event.paths {
            watched.note(path, &mut touched);
        }
        if !touched.is_empty() {
            self.touch(|all| all.join(touched));
        }
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound | ErrorKind::WatchNotFound => true,
        ErrorKind::Io(error) => error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Why it looks every few seconds in place of listening, and what to do about it.
fn advice(error: &notify::Error) -> String {
    let instead = format!("looking at all files every {} s instead", POLL.as_secs());
    let too_many_instances = matches!(
        &error.kind,
        ErrorKind::Io(error) if error.raw_os_error() == Some(TOO_MANY_OPEN_FILES)
    );
    if matches!(error.kind, ErrorKind::MaxFilesWatch) {
        let now = limit("max_user_watches");
        format!(
            "the system's limit of watched folders is reached{now}; {instead}. To raise it: `sudo sysctl fs.inotify.max_user_watches=524288`, and the same line in /etc/sysctl.d/ to keep it"
        )
    } else if too_many_instances {
        let now = limit("max_user_instances");
        format!(
            "the system's limit of programs that watch files is reached{now}; {instead}. To raise it: `sudo sysctl fs.inotify.max_user_instances=512`, and the same line in /etc/sysctl.d/ to keep it"
        )
    } else {
        format!("the system's news of files cannot be had ({error}); {instead}")
    }
}

/// EMFILE, as Linux and macOS number it.
const TOO_MANY_OPEN_FILES: i32 = 24;

fn limit(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}"))
        .map(|now| format!(" (fs.inotify.{name} = {})", now.trim()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_reached_says_which_and_how_to_raise_it() {
        let said = advice(&notify::Error::new(ErrorKind::MaxFilesWatch));
        assert!(said.contains("sysctl fs.inotify.max_user_watches="), "{said}");
        assert!(said.contains("every 2 s instead"), "{said}");
        let instances = io::Error::from_raw_os_error(TOO_MANY_OPEN_FILES);
        let said = advice(&notify::Error::io(instances));
        assert!(said.contains("sysctl fs.inotify.max_user_instances="), "{said}");
    }
}
