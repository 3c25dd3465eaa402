//! One call: attempts with the same bytes, each in its turn of the pace, to the host in use, until
//! a verified answer, an error that stays, or the end of attempts or time.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use rand::RngExt as _;
use tokio::time::{Instant, sleep};

use super::client::{ClientOptions, Credentials, Event, Listener};
use super::endpoint;
use super::error::{ApiError, ClientError};
use super::examine::Examined;
use super::hosts::{Hosts, Report, Site};
use super::pace::Pace;
use super::send::{Host, Request, Verified};
use super::stop::Stop;

/// No wait between attempts has a higher ceiling.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// What all calls of a client share.
#[derive(Debug)]
pub(super) struct Sender {
    credentials: Credentials,
    options: ClientOptions,
    main: Host,
    fallback: Option<Host>,
    hosts: Hosts,
    pace: Pace,
    stop: Stop,
}

/// How a call stands.
struct Course {
    /// Requests sent.
    attempts: u32,
    /// When the first was sent.
    started: Option<Instant>,
    /// Whether one of them may have been carried out.
    unknown: bool,
}

impl Sender {
    pub(super) fn new(
        credentials: Credentials,
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        check_credentials(&credentials)?;
        for (setting, is_zero) in [
            ("requests_per_second", options.requests_per_second == 0),
            ("timeout", options.timeout.is_zero()),
            ("max_attempts", options.max_attempts == 0),
            ("retry", options.retry.is_zero()),
        ] {
            if is_zero {
                return Err(ClientError::Zero { setting });
            }
        }
        let main = endpoint::base_url("base_url", &options.base_url)?;
        let fallback = options
            .fallback_url
            .as_deref()
            .map(|url| endpoint::base_url("fallback_url", url))
            .transpose()?
            .filter(|fallback| endpoint::no_fallback(&main, fallback).is_none());
        let main = Host::new(main, options.timeout, None)?;
        let fallback =
            fallback.map(|url| Host::new(url, options.timeout, Some(&main))).transpose()?;
        Ok(Self {
            hosts: Hosts::new(fallback.is_some()),
            main,
            fallback,
            pace: Pace::new(options.requests_per_second),
            stop: Stop::new(),
            credentials,
            options,
        })
    }

    pub(super) fn stop(&self) {
        self.stop.stop();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Sends a list request once to the main host, and keeps what the answer shows.
    pub(super) async fn examine(&self, request: &Request<'_>) -> Examined {
        self.main.examine(&self.credentials, request, self.options.timeout).await
    }

    /// Makes a call.
    pub(super) async fn call(
        &self,
        request: &Request<'_>,
        on: Listener<'_>,
    ) -> Result<Verified, ApiError> {
        let mut course = Course { attempts: 0, started: None, unknown: false };
        let mut ceilings = ceilings(self.options.first_delay);
        let mut last: Option<ApiError> = None;
        loop {
            // Waiting for the first turn costs no time of the call; later turns do.
            let has_turn = self.until_stopped(self.pace.turn(), self.left(&course)).await;
            if self.stop.is_stopped() {
                return Err(course.stopped());
            }
            let left = self.left(&course).unwrap_or(self.options.retry);
            if let Some(last) = last.take_if(|_| !has_turn || left.is_zero()) {
                return Err(course.exhausted(last));
            }
            course.started.get_or_insert_with(Instant::now);
            course.attempts += 1;
            on(Event::Sending { attempt: course.attempts });
            let error = match self.attempt(request, left, course.attempts).await {
                Ok(verified) => return Ok(verified),
                Err(error) if !error.is_retryable() => return Err(course.with_doubt(error)),
                Err(error) => error,
            };
            let ceiling = ceilings.next().unwrap_or(MAX_DELAY);
            let Some(wait) = self.wait_after(&error, ceiling, &course) else {
                return Err(course.exhausted(error));
            };
            course.unknown |= error.outcome_unknown();
            if is_too_fast(&error) {
                self.pace.pause(wait);
            }
            if self.stop.is_stopped() {
                return Err(course.stopped());
            }
            on(Event::Retrying { attempt: course.attempts, error: error.clone(), wait });
            last = Some(error);
            self.until_stopped(sleep(wait), None).await;
        }
    }

    /// Sends once to the host in use, and learns about that host.
    async fn attempt(
        &self,
        request: &Request<'_>,
        left: Duration,
        attempt: u32,
    ) -> Result<Verified, ApiError> {
        let (site, host) = match (self.hosts.site(), &self.fallback) {
            (Site::Fallback, Some(fallback)) => (Site::Fallback, fallback),
            _ => (Site::Main, &self.main),
        };
        let timeout = self.options.timeout.min(left);
        let result = host.send(&self.credentials, request, timeout, attempt).await;
        let report = match &result {
            Err(ApiError::Transport(_)) => Report::Trouble,
            Err(ApiError::Answered(answer)) if answer.status >= 500 => Report::Trouble,
            _ => Report::Answered,
        };
        self.hosts.report(site, report);
        result
    }

    /// How long to wait before the next attempt; `None` when there is to be none.
    ///
    /// `Retry-After` is honoured. After 429 the wait is never below the first delay, since the API
    /// counts by the second. Whatever it is, some of the time left is
    /// kept for a last attempt.
    fn wait_after(&self, error: &ApiError, ceiling: Duration, course: &Course) -> Option<Duration> {
        if course.attempts >= self.options.max_attempts {
            return None;
        }
        let left = self.left(course).filter(|left| *left > self.options.retry / 100)?;
        let mut wait = jittered(ceiling);
        if is_too_fast(error) {
            wait = wait.max(self.options.first_delay);
        }
        let asked = error.answer().and_then(|answer| answer.retry_after);
        let wait = wait.max(asked.unwrap_or_default());
        Some(wait.min(left.saturating_sub(self.options.timeout.min(left / 2))))
    }

    /// Time that a call has left; `None` before its first request.
    fn left(&self, course: &Course) -> Option<Duration> {
        Some(self.options.retry.saturating_sub(course.started?.elapsed()))
    }

    /// Waits for something, but no longer than to the stop signal or the end of `left`; whether it
    /// came.
    async fn until_stopped(&self, what: impl Future<Output = ()>, left: Option<Duration>) -> bool {
        tokio::select! {
            biased;
            () = self.stop.stopped() => false,
            () = what => true,
            () = async { sleep(left.unwrap_or_default()).await }, if left.is_some() => false,
        }
    }
}

impl Course {
    fn stopped(&self) -> ApiError {
        ApiError::Stopped { attempts: self.attempts, unknown_before: self.unknown }
    }

    fn exhausted(&self, last: ApiError) -> ApiError {
        ApiError::Exhausted {
            attempts: self.attempts,
            elapsed: self.started.map(|started| started.elapsed()).unwrap_or_default(),
            last: Box::new(last),
            unknown_before: self.unknown,
        }
    }

    /// Keeps with an error that an earlier attempt may have been carried out.
    fn with_doubt(&self, mut error: ApiError) -> ApiError {
        if let ApiError::Answered(answer) | ApiError::AlreadyExists(answer) = &mut error {
            answer.unknown_before = self.unknown;
        }
        error
    }
}

fn is_too_fast(error: &ApiError) -> bool {
    matches!(error, ApiError::Answered(answer) if answer.status == 429)
}

/// Ceilings of the waits: doubling from the first. Only these come from the library: its jitter
/// adds to a delay, where full jitter draws below it, and it knows no `Retry-After`.
fn ceilings(first: Duration) -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(MAX_DELAY)
        .without_max_times()
        .build()
}

/// Full jitter: anything from nothing to the ceiling, so that workers that failed together do not
/// come back together.
fn jittered(ceiling: Duration) -> Duration {
    ceiling.mul_f64(rand::rng().random_range(0.0..=1.0))
}

/// What goes into headers must be plain words: a quote or a line break there would change them.
fn check_credentials(credentials: &Credentials) -> Result<(), ClientError> {
    for (setting, value) in [
        ("brand_id", &credentials.brand_id),
        ("certificate_serial_no", &credentials.certificate_serial_no),
        ("wechatpay_public_key_id", &credentials.wechatpay_public_key_id),
    ] {
        let problem = if value.is_empty() {
            "is empty"
        } else if value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            continue;
        } else {
            "holds characters other than letters, digits, `_` and `-`"
        };
        return Err(ClientError::Credential { setting, problem });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_highest() {
        let seconds: Vec<_> =
            ceilings(Duration::from_secs(1)).take(7).map(|ceiling| ceiling.as_secs_f32()).collect();
        assert_eq!(seconds, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
    }

    #[test]
    fn jitter_is_full() {
        let mut draws: Vec<_> =
            (0..2000).map(|_| jittered(Duration::from_secs(1)).as_secs_f32()).collect();
        draws.sort_by(f32::total_cmp);
        assert!(draws[0] >= 0.0 && draws[0] < 0.05, "{}", draws[0]);
        assert!((0.45..0.55).contains(&draws[1000]), "{}", draws[1000]);
        assert!(draws[1999] > 0.95 && draws[1999] <= 1.0, "{}", draws[1999]);
    }
}
