//! The stop signal of a client: once given it stays, and everything that waits before a request
//! ends at once. Requests in flight do not look at it.

use tokio::sync::watch;

/// Given once, seen by all clones.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Sender<bool>);

impl Stop {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    pub(super) fn stop(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the signal is given.
    pub(super) async fn stopped(&self) {
        // The error means that the sender is gone; `self` holds it.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}
