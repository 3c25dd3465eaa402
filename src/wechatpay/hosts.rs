//! Which of the two hosts the next request goes to: the main one, and after repeated trouble with
//! it the fallback (the same API at another site), shared by all workers of a client.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Troubles in a row with the main host before the fallback is used.
const TROUBLES: u32 = 2;
/// How long the fallback is used before the main host is tried again.
const BACK_AFTER: Duration = Duration::from_mins(1);

/// One of the two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    Main,
    Fallback,
}

/// What a request showed about a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// It answered, if only to say no.
    Answered,
    /// A transport error or a 5xx.
    Trouble,
}

/// The choice between the two.
#[derive(Debug)]
pub(super) struct Hosts {
    has_fallback: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Troubles in a row with the main host.
    troubles: u32,
    /// Since when the fallback is used.
    fallback_since: Option<Instant>,
}

impl Hosts {
    pub(super) fn new(has_fallback: bool) -> Self {
        Self { has_fallback, state: Mutex::default() }
    }

    /// Where the next request goes.
    pub(super) fn site(&self) -> Site {
        let mut state = self.state();
        match state.fallback_since {
            Some(since) if since.elapsed() < BACK_AFTER => Site::Fallback,
            Some(_) => {
                *state = State::default();
                Site::Main
            }
            None => Site::Main,
        }
    }

    /// Learns from a request. Reports about a host that has been left meanwhile change nothing.
    pub(super) fn report(&self, site: Site, report: Report) {
        let mut state = self.state();
        match (site, report, state.fallback_since) {
            (Site::Main, Report::Answered, None) => state.troubles = 0,
            (Site::Main, Report::Trouble, None) => {
                state.troubles += 1;
                if self.has_fallback && state.troubles >= TROUBLES {
                    state.fallback_since = Some(Instant::now());
                }
            }
            (Site::Fallback, Report::Trouble, Some(_)) => *state = State::default(),
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_troubles_in_a_row_lead_to_the_fallback_and_a_minute_back() {
        let hosts = Hosts::new(true);
        for report in [Report::Trouble, Report::Answered, Report::Trouble] {
            hosts.report(Site::Main, report);
            assert_eq!(hosts.site(), Site::Main, "one trouble between answers is none");
        }
        hosts.report(Site::Main, Report::Trouble);
        assert_eq!(hosts.site(), Site::Fallback);
        tokio::time::sleep(Duration::from_secs(59)).await;
        assert_eq!(hosts.site(), Site::Fallback);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(hosts.site(), Site::Main);
        hosts.report(Site::Main, Report::Trouble);
        assert_eq!(hosts.site(), Site::Main, "it starts afresh");
    }

    #[tokio::test(start_paused = true)]
    async fn the_fallback_gives_back_when_it_fails_and_late_reports_change_nothing() {
        let hosts = Hosts::new(true);
        hosts.report(Site::Fallback, Report::Trouble);
        hosts.report(Site::Main, Report::Trouble);
        hosts.report(Site::Main, Report::Trouble);
        hosts.report(Site::Main, Report::Trouble);
        hosts.report(Site::Main, Report::Answered);
        assert_eq!(hosts.site(), Site::Fallback);
        hosts.report(Site::Fallback, Report::Trouble);
        assert_eq!(hosts.site(), Site::Main);
        hosts.report(Site::Fallback, Report::Trouble);
        hosts.report(Site::Main, Report::Trouble);
        assert_eq!(hosts.site(), Site::Main);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_fallback_there_is_only_the_main_host() {
        let hosts = Hosts::new(false);
        for _ in 0..9 {
            hosts.report(Site::Main, Report::Trouble);
            assert_eq!(hosts.site(), Site::Main);
        }
    }
}
