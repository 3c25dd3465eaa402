//! The pace of requests: never more than `requests_per_second` sends in any one second, spaced
//! evenly, for all workers and all retries of a client. The API counts per brand and refuses with
//! 429 above its limit (20 requests/s), which then pauses every worker.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The span in which sends are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// Kept between a send and the `requests_per_second`-th after it, so that a request that travels a
/// little faster than the one before does not arrive within the same second.
const MARGIN: Duration = Duration::from_millis(15);

/// Gives turns to send, in the order in which they were asked for.
#[derive(Debug)]
pub(super) struct Pace {
    per_second: usize,
    /// Even spacing: 1.5 % more than a second's even share, for jitter on the way.
    interval: Duration,
    /// How far a late send may be caught up with.
    slack: Duration,
    /// Tokio's mutex is fair: who waits first is served first.
    sends: tokio::sync::Mutex<Sends>,
    paused_until: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Sends {
    /// When the next one is due.
    next: Option<Instant>,
    /// The last sends, at most `per_second` of them.
    recent: VecDeque<Instant>,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let interval = WINDOW / per_second + MARGIN / per_second;
        Self {
            per_second: per_second as usize,
            interval,
            slack: (interval / 2).max(Duration::from_millis(2)),
            sends: tokio::sync::Mutex::default(),
            paused_until: Mutex::new(None),
        }
    }

    /// Waits for a turn; the request is to be sent as soon as this returns. A wait that is dropped
    /// takes no turn from anyone.
    pub(super) async fn turn(&self) {
        let mut sends = self.sends.lock().await;
        // A pause may begin while this waits, so what is due is looked at again after each wait.
        while let Some(due) = self.due(&sends).filter(|due| *due > Instant::now()) {
            sleep_until(due).await;
        }
        let now = Instant::now();
        if sends.recent.len() >= self.per_second {
            sends.recent.pop_front();
        }
        sends.recent.push_back(now);
        let caught_up = now.checked_sub(self.slack).unwrap_or(now);
        sends.next = Some(sends.next.map_or(now, |next| next.max(caught_up)) + self.interval);
    }

    /// No turn is given for this long; the longest of several pauses holds.
    pub(super) fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut paused = self.paused();
        *paused = Some(paused.map_or(until, |before| before.max(until)));
    }

    fn due(&self, sends: &Sends) -> Option<Instant> {
        let full = sends.recent.len() >= self.per_second;
        let window = sends.recent.front().filter(|_| full).map(|first| *first + WINDOW + MARGIN);
        [sends.next, window, *self.paused()].into_iter().flatten().max()
    }

    fn paused(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.paused_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    /// The moments at which turns were given to tasks that ask after these waits each, while the
    /// clock jumps by these steps.
    fn turns(per_second: u32, waits: Vec<u64>, jumps: Vec<u64>) -> Vec<Duration> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (pace, start) = (Arc::new(Pace::new(per_second)), Instant::now());
            let tasks: Vec<_> = waits
                .into_iter()
                .map(|wait| {
                    let pace = Arc::clone(&pace);
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(wait)).await;
                        pace.turn().await;
                        start.elapsed()
                    })
                })
                .collect();
            for jump in jumps {
                tokio::time::advance(Duration::from_millis(jump)).await;
            }
            let mut turns = Vec::new();
            for task in tasks {
                turns.push(task.await.unwrap());
            }
            turns.sort_unstable();
            turns
        })
    }

    fn most_in_a_second(turns: &[Duration]) -> usize {
        let within = |from: &Duration| {
            turns.iter().filter(|turn| *turn >= from && **turn < *from + WINDOW).count()
        };
        turns.iter().map(within).max().unwrap_or(0)
    }

    #[test]
    fn a_thousand_sends_at_twenty_a_second_take_no_more_than_fifty_one_seconds() {
        let turns = turns(20, vec![0; 1000], Vec::new());
        assert_eq!(most_in_a_second(&turns), 20);
        let last = turns.last().unwrap().as_secs_f64();
        assert!((49.95..51.0).contains(&last), "{last}");
        let gaps = turns.windows(2).map(|two| two[1].saturating_sub(two[0]));
        let (narrowest, widest) = (gaps.clone().min().unwrap(), gaps.max().unwrap());
        assert!(narrowest >= Duration::from_millis(48) && widest <= Duration::from_millis(53));
    }

    proptest! {
        #[test]
        fn no_second_ever_holds_more_sends_than_allowed(
            per_second in 1_u32..40,
            arrivals in proptest::collection::vec(0_u64..4000, 0..150),
            jumps in proptest::collection::vec(0_u64..900, 0..20),
        ) {
            let count = arrivals.len();
            let turns = turns(per_second, arrivals, jumps);
            prop_assert_eq!(turns.len(), count);
            prop_assert!(most_in_a_second(&turns) <= per_second as usize);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_for_those_that_already_wait_and_the_longest_one_counts() {
        let (pace, start) = (Arc::new(Pace::new(10)), Instant::now());
        pace.turn().await;
        let waiting = tokio::spawn({
            let pace = Arc::clone(&pace);
            async move {
                pace.turn().await;
                start.elapsed()
            }
        });
        tokio::task::yield_now().await;
        pace.pause(Duration::from_secs(3));
        pace.pause(Duration::from_secs(1));
        assert!(waiting.await.unwrap() >= Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_dropped_takes_no_turn() {
        let (pace, start) = (Pace::new(1), Instant::now());
        pace.turn().await;
        for _ in 0..5 {
            tokio::time::timeout(Duration::from_millis(10), pace.turn()).await.unwrap_err();
        }
        pace.turn().await;
        assert!(start.elapsed() < Duration::from_millis(1100), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_time_is_no_credit_for_a_burst() {
        let pace = Pace::new(20);
        pace.turn().await;
        tokio::time::sleep(Duration::from_mins(1)).await;
        let start = Instant::now();
        for _ in 0..3 {
            pace.turn().await;
        }
        assert!(start.elapsed() >= Duration::from_millis(70), "{:?}", start.elapsed());
    }
}
