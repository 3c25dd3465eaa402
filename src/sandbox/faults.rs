//! What goes wrong on purpose, so that users can see how their pipelines take it.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use thiserror::Error;

/// How long a slow answer takes when nothing else is said.
const SLOW: Duration = Duration::from_secs(3);

/// A way in which an exchange goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum FaultKind {
    DropBefore,
    DropAfter,
    ErrorBefore,
    ErrorAfter,
    RateLimit,
    Slow,
    BadSignature,
    TamperedBody,
    StaleTimestamp,
    WrongSerial,
    TruncatedBody,
    AlreadyExists,
}

impl FaultKind {
    /// Every kind with its name and what it does.
    pub const ALL: [(Self, &'static str, &'static str); 12] = [
        (Self::DropBefore, "drop-before", "the connection is closed before anything is done"),
        (
            Self::DropAfter,
            "drop-after",
            "it is done, and the connection is closed without an answer",
        ),
        (Self::ErrorBefore, "error-before", "500 SYSTEM_ERROR before anything is done"),
        (Self::ErrorAfter, "error-after", "it is done, and answered with 500 SYSTEM_ERROR"),
        (Self::RateLimit, "rate-limit", "429 RATELIMIT_EXCEEDED, nothing is done"),
        (Self::Slow, "slow", "the answer comes after 3 s, or as said: slow=0.1:500ms"),
        (
            Self::BadSignature,
            "bad-signature",
            "it is done; the answer's signature is of other bytes",
        ),
        (
            Self::TamperedBody,
            "tampered-body",
            "it is done; the answer's body is changed after signing",
        ),
        (
            Self::StaleTimestamp,
            "stale-timestamp",
            "it is done; the answer was signed 10 minutes ago",
        ),
        (Self::WrongSerial, "wrong-serial", "it is done; the answer names another key"),
        (
            Self::TruncatedBody,
            "truncated-body",
            "it is done; the connection is closed in mid-answer",
        ),
        (
            Self::AlreadyExists,
            "already-exists",
            "400 ALREADY_EXISTS for a request number that made a stock before",
        ),
    ];

    /// The name as written on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }
}

/// One kind with how often it happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// The kind.
    pub kind: FaultKind,
    /// From 0 to 1.
    pub probability: f64,
    /// How long a slow answer takes.
    pub delay: Duration,
}

/// Why a fault was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    /// Not KIND=PROBABILITY.
    #[error("`{0}` is not KIND=PROBABILITY, such as drop-after=0.1")]
    Form(String),
    /// No such kind.
    #[error("there is no fault `{kind}`; did you mean `{nearest}`?")]
    Kind {
        /// As given.
        kind: String,
        /// The nearest that there is.
        nearest: &'static str,
    },
    /// Not a probability.
    #[error("`{0}` is not a probability from 0 to 1")]
    Probability(String),
    /// Not a span of time.
    #[error("`{0}` is not a span of time such as 500ms or 3s")]
    Delay(String),
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, rest) = text.split_once('=').ok_or_else(|| FaultError::Form(text.to_owned()))?;
        let found = FaultKind::ALL.iter().find(|(_, known, _)| *known == name);
        let (kind, ..) = found.ok_or_else(|| FaultError::Kind {
            kind: name.to_owned(),
            nearest: FaultKind::ALL
                .iter()
                .map(|(_, known, _)| *known)
                .min_by_key(|known| strsim::damerau_levenshtein(known, name))
                .unwrap_or_default(),
        })?;
        let (probability, delay) = match rest.split_once(':') {
            Some((probability, delay)) => (probability, Some(delay)),
            None => (rest, None),
        };
        let delay = match delay {
            Some(delay) => span(delay).ok_or_else(|| FaultError::Delay(delay.to_owned()))?,
            None => SLOW,
        };
        let number: f64 =
            probability.parse().map_err(|_| FaultError::Probability(probability.to_owned()))?;
        if !(0.0..=1.0).contains(&number) {
            return Err(FaultError::Probability(probability.to_owned()));
        }
        Ok(Self { kind: *kind, probability: number, delay })
    }
}

/// A span of time such as `500ms` or `3s`.
#[must_use]
pub fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

/// The faults of a sandbox and the dice that decide.
#[derive(Debug)]
pub struct Faults {
    list: Vec<Fault>,
    dice: Mutex<StdRng>,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(Vec::new(), 0)
    }
}

impl Faults {
    /// Faults with the seed that makes their order the same for the same order of requests.
    #[must_use]
    pub fn new(list: Vec<Fault>, seed: u64) -> Self {
        Self { list, dice: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// What goes wrong with the next request, if anything. Every kind is diced for, so that one does
    /// not change the order of another.
    pub fn next(&self) -> Option<Fault> {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hit = None;
        for fault in &self.list {
            let happens = dice.random_bool(fault.probability);
            if happens && hit.is_none() {
                hit = Some(*fault);
            }
        }
        hit
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_written() {
        let fault: Fault = "drop-after=0.25".parse().unwrap();
        assert_eq!((fault.kind, fault.probability), (FaultKind::DropAfter, 0.25));
        let slow: Fault = "slow=1:250ms".parse().unwrap();
        assert_eq!(slow.delay, Duration::from_millis(250));
        for (text, message) in [
            ("drop-after", "`drop-after` is not KIND=PROBABILITY, such as drop-after=0.1"),
            ("drop-aftre=1", "there is no fault `drop-aftre`; did you mean `drop-after`?"),
            ("slow=2", "`2` is not a probability from 0 to 1"),
            ("slow=NaN", "`NaN` is not a probability from 0 to 1"),
            ("slow=1:3", "`3` is not a span of time such as 500ms or 3s"),
        ] {
            assert_eq!(text.parse::<Fault>().unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let order = |seed| {
            let list = vec!["drop-after=0.3".parse().unwrap(), "slow=0.3".parse().unwrap()];
            let faults = Faults::new(list, seed);
            (0..50).map(|_| faults.next().map(|fault| fault.kind)).collect::<Vec<_>>()
        };
        assert_eq!(order(7), order(7));
        assert_ne!(order(7), order(8));
    }
}
