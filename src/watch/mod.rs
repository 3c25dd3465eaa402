//! Files change → the same plan again: [`source`] tells what was touched, [`state`] reads it again
//! and plans, and [`Watch`] waits until what it sees is worth showing.

pub mod source;
pub mod state;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Flags;
use source::Source;
use state::{Snapshot, Touched, Watched};

/// How much longer a file that seems half written may take to become whole. Longer than an editor
/// takes to write a file, shorter than a person takes to look up.
const HALF_WRITTEN: Duration = Duration::from_millis(300);

/// What a watch has to say.
#[derive(Debug)]
pub enum News {
    /// The workspace, after a change.
    Changed(Box<Snapshot>),
    /// Something that is to be said, and does not end the watch.
    Warning(String),
}

/// A workspace that is watched.
#[derive(Debug)]
pub struct Watch {
    state: Watched,
    source: Source,
    /// What is only shown when nothing else comes until then.
    held: Option<(Snapshot, Instant)>,
}

impl Watch {
    /// Reads and plans the workspace in `root`, and watches it from here on: by the operating
    /// system's events, or by looking every `poll`. News counts once it was `quiet` for so long.
    #[must_use]
    pub fn begin(
        root: PathBuf,
        flags: Flags,
        sandbox: bool,
        poll: Option<Duration>,
        quiet: Duration,
    ) -> (Self, Snapshot) {
        // Listening comes first: what happens while files are read is then known to have happened.
        let mut state = Watched::new(root, flags, sandbox);
        let source = Source::start(&state, poll, quiet);
        let first = state.begin();
        (Self { state, source, held: None }, first)
    }

    /// Waits for the next news. Nothing is lost when this is dropped while it waits.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(warning) = self.source.take_warning() {
                return News::Warning(warning);
            }
            let deadline = self.held.as_ref().map(|(_, deadline)| *deadline);
            let waited = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let touched = tokio::select! {
                touched = self.source.settled(&self.state) => Some(touched),
                () = waited => None,
            };
            let now = Instant::now();
            let Some(touched) = touched else {
                // Where there are no events, another look tells whether it came to rest.
                let again =
                    self.source.polls().then(|| self.look(&Touched::everything())).flatten();
                match (again, self.held.take()) {
                    (Some(again), before) => self.hold(again, before, now),
                    (None, Some((snapshot, _))) => return News::Changed(Box::new(snapshot)),
                    (None, None) => {}
                }
                continue;
            };
            let Some(snapshot) = self.look(&touched) else { continue };
            let before = self.held.take();
            if snapshot.half_written || self.source.polls() {
                self.hold(snapshot, before, now);
            } else {
                return News::Changed(Box::new(joined(snapshot, before)));
            }
        }
    }

    fn look(&mut self, touched: &Touched) -> Option<Snapshot> {
        if touched.listing {
            self.source.follow(&self.state);
        }
        let snapshot = self.state.refresh(touched)?;
        if !touched.settings {
            return Some(snapshot);
        }
        // Other patterns lead to other folders; what happened there before they were listened to is
        // seen by another look.
        self.source.follow(&self.state);
        let listing = Touched { listing: true, ..Touched::default() };
        let again = self.state.refresh(&listing);
        Some(match again {
            Some(again) => joined(again, Some((snapshot, Instant::now()))),
            None => snapshot,
        })
    }

    fn hold(&mut self, snapshot: Snapshot, before: Option<(Snapshot, Instant)>, now: Instant) {
        let wait = if snapshot.half_written { HALF_WRITTEN } else { self.source.quiet() };
        self.held = Some((joined(snapshot, before), now + wait));
    }

    /// Looks at everything once more before something is done that cannot be undone; says whether all
    /// is as it was shown. What is different is news.
    pub fn is_still(&mut self) -> bool {
        match self.state.refresh(&Touched::everything()) {
            None => self.held.is_none(),
            Some(snapshot) => {
                let before = self.held.take();
                self.hold(snapshot, before, Instant::now());
                false
            }
        }
    }

    /// Plans anew after an apply of this program.
    pub fn after_apply(&mut self) -> Snapshot {
        // The sandbox's folder is there since its first apply.
        self.source.follow(&self.state);
        let before = self.held.take();
        joined(self.state.after_apply(), before)
    }
}

/// A snapshot with what had changed in one that was never shown.
fn joined(mut snapshot: Snapshot, before: Option<(Snapshot, Instant)>) -> Snapshot {
    if let Some((before, _)) = before {
        snapshot.changed.extend(before.changed);
    }
    snapshot
}
