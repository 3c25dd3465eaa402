//! When and where to send a request again: how long to wait, and which host to ask.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use rand::RngExt as _;
use tokio::time::Instant;

use super::error::ErrorKind;

/// The first wait at most (API document: back-off from 1 s).
pub const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Failures in a row after which the other host is asked.
const TROUBLE: u32 = 2;
/// How long the other host is asked before the main one gets another chance.
const DETOUR: Duration = Duration::from_mins(1);

/// An attempt that failed and is followed by another.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Which attempt it was, from 1.
    pub number: u32,
    /// What it failed with.
    pub error: ErrorKind,
    /// How long the wait is.
    pub wait: Duration,
}

/// The waits of one request.
#[derive(Debug)]
pub struct Waits(ExponentialBackoff);

impl Waits {
    /// Waits that double, from the first one on.
    #[must_use]
    pub fn new(first: Duration) -> Self {
        let doubling = ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(first * 32)
            .without_max_times();
        Self(doubling.build())
    }

    /// The next wait: anything up to the doubled delay ("full jitter", so that many workers do not
    /// come back together), but never less than the server asks for.
    pub fn next(&mut self, asked: Option<Duration>) -> Duration {
        let most = self.0.next().unwrap_or(FIRST_DELAY);
        most.mul_f64(rand::rng().random_range(0.0..=1.0)).max(asked.unwrap_or_default())
    }
}

/// Which of two hosts to ask. Shared by all workers.
#[derive(Debug)]
pub struct Route {
    has_fallback: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    detour_until: Option<Instant>,
}

/// A host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// The main one.
    Main,
    /// The one for when the main one is in trouble.
    Fallback,
}

impl Route {
    /// A route that begins at the main host.
    #[must_use]
    pub fn new(has_fallback: bool) -> Self {
        Self { has_fallback, state: Mutex::default() }
    }

    /// The host to ask now.
    #[must_use]
    pub fn host(&self) -> Host {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.detour_until {
            Some(until) if Instant::now() < until => Host::Fallback,
            _ => Host::Main,
        }
    }

    /// Learns how a host did.
    pub fn learn(&self, host: Host, trouble: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match (host, trouble) {
            (Host::Main, false) => *state = State::default(),
            (Host::Main, true) => {
                state.failures += 1;
                if self.has_fallback && state.failures >= TROUBLE {
                    *state = State { failures: 0, detour_until: Some(Instant::now() + DETOUR) };
                }
            }
            (Host::Fallback, false) => {}
            (Host::Fallback, true) => *state = State::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_below_the_doubling_delay_and_above_what_the_server_asks() {
        for _ in 0..50 {
            let mut waits = Waits::new(FIRST_DELAY);
            for most in [1, 2, 4, 8, 16, 32, 32] {
                assert!(waits.next(None) <= Duration::from_secs(most));
            }
            assert!(waits.next(Some(Duration::from_secs(90))) >= Duration::from_secs(90));
        }
    }

    #[test]
    fn waits_differ_from_each_other() {
        let first: Vec<_> = (0..20).map(|_| Waits::new(FIRST_DELAY).next(None)).collect();
        assert!(first.iter().any(|wait| *wait != first[0]));
    }

    #[tokio::test(start_paused = true)]
    async fn repeated_trouble_leads_to_the_fallback_and_back() {
        let route = Route::new(true);
        route.learn(Host::Main, true);
        assert_eq!(route.host(), Host::Main, "once is not trouble yet");
        route.learn(Host::Main, false);
        route.learn(Host::Main, true);
        assert_eq!(route.host(), Host::Main, "a success in between counts");
        route.learn(Host::Main, true);
        assert_eq!(route.host(), Host::Fallback);
        tokio::time::advance(DETOUR).await;
        assert_eq!(route.host(), Host::Main, "after a while the main one gets another chance");
        route.learn(Host::Main, true);
        route.learn(Host::Main, true);
        route.learn(Host::Fallback, true);
        assert_eq!(route.host(), Host::Main, "trouble with the fallback leads back");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_fallback_the_main_host_is_asked_always() {
        let route = Route::new(false);
        for _ in 0..5 {
            route.learn(Host::Main, true);
            assert_eq!(route.host(), Host::Main);
        }
    }
}
