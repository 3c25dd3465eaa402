//! The pace of requests: one gate that every worker and every retry passes.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The span that the API counts requests in.
const WINDOW: Duration = Duration::from_secs(1);
/// How far a late request may draw the next one closer, so that timers which fire a little late do
/// not add up to a slower pace.
const CATCH_UP: Duration = Duration::from_millis(4);

/// Lets through at most so many requests in any one second, evenly spaced.
#[derive(Debug)]
pub struct Pace {
    most: usize,
    interval: Duration,
    /// Held while waiting: the first to come is the first to go.
    gate: tokio::sync::Mutex<Gate>,
    paused_until: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Gate {
    next: Option<Instant>,
    /// The last requests, the oldest first, as many as one second may hold.
    sent: VecDeque<Instant>,
}

impl Pace {
    /// A pace of so many requests a second.
    #[must_use]
    pub fn new(requests_per_second: u32) -> Self {
        let most = requests_per_second.max(1);
        // A little more than even spacing needs, so that the network's jitter does not put one
        // request too many into a second as the server sees it.
        let interval = WINDOW.mul_f64(1.008) / most;
        let most = most as usize;
        let gate = Gate { next: None, sent: VecDeque::with_capacity(most) };
        Self { most, interval, gate: gate.into(), paused_until: None.into() }
    }

    /// Waits for one's turn. Dropping the future gives the turn up.
    pub async fn turn(&self) {
        let mut gate = self.gate.lock().await;
        let due = loop {
            let now = Instant::now();
            let full = (gate.sent.len() >= self.most).then(|| gate.sent.front()).flatten();
            let due = [gate.next, full.map(|oldest| *oldest + WINDOW), self.paused()]
                .into_iter()
                .flatten()
                .fold(now, Instant::max);
            if due <= now {
                break gate.next.map_or(now, |next| next.max(now - CATCH_UP));
            }
            sleep_until(due).await;
        };
        gate.next = Some(due + self.interval);
        if gate.sent.len() >= self.most {
            gate.sent.pop_front();
        }
        gate.sent.push_back(Instant::now());
    }

    /// Holds everything back for a while: the API said that it is too much.
    pub fn pause(&self, span: Duration) {
        let until = Instant::now() + span;
        let mut paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = Some(paused.map_or(until, |before| before.max(until)));
    }

    fn paused(&self) -> Option<Instant> {
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    async fn send_times(pace: Arc<Pace>, number: usize, workers: usize) -> Vec<Instant> {
        let times = Arc::new(Mutex::new(Vec::new()));
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..workers {
            let (pace, times) = (Arc::clone(&pace), Arc::clone(&times));
            running.spawn(async move {
                for _ in 0..number / workers {
                    pace.turn().await;
                    times.lock().unwrap().push(Instant::now());
                }
            });
        }
        while running.join_next().await.is_some() {}
        Arc::try_unwrap(times).unwrap().into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_requests_at_twenty_a_second_take_at_most_fifty_one_seconds() {
        let begin = Instant::now();
        let times = send_times(Arc::new(Pace::new(20)), 1000, 8).await;
        assert_eq!(times.len(), 1000);
        assert!(begin.elapsed() < Duration::from_secs(51), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_the_pace_allows() {
        for most in [1, 3, 20] {
            let times = send_times(Arc::new(Pace::new(most)), 120, 4).await;
            for window in times.windows(most as usize + 1) {
                assert!(window[most as usize] - window[0] >= WINDOW, "at {most} a second");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_back_those_who_wait_already() {
        let pace = Arc::new(Pace::new(20));
        pace.turn().await;
        let begin = Instant::now();
        let waiting = {
            let pace = Arc::clone(&pace);
            tokio::spawn(async move { pace.turn().await })
        };
        tokio::task::yield_now().await;
        pace.pause(Duration::from_secs(7));
        waiting.await.unwrap();
        assert!(begin.elapsed() >= Duration::from_secs(7), "{:?}", begin.elapsed());
    }
}
