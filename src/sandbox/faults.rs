//! Faults that the sandbox injects on request, so that a pipeline can be tried against a bad day: what
//! there is, how it is asked for, and a seeded draw for each request.

use std::time::Duration;

use thiserror::Error;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The connection is closed and nothing was done.
    DropBefore,
    /// It is done, but the connection is closed without an answer.
    DropAfter,
    /// Status 500, and nothing was done.
    ErrorBefore,
    /// It is done, but the answer is status 500.
    ErrorAfter,
    /// Status 429.
    RateLimit,
    /// The answer comes late.
    Slow,
    /// The answer's signature does not verify.
    BadSignature,
    /// The answer was changed after it was signed.
    TamperedBody,
    /// The answer's timestamp is old.
    StaleTimestamp,
    /// The answer names another key.
    WrongSerial,
    /// The answer ends in the middle.
    TruncatedBody,
    /// A known request number is answered with an error in place of its stock.
    AlreadyExists,
}

impl FaultKind {
    /// Every kind, in the order in which they are tried on a request.
    pub const ALL: [Self; 12] = [
        Self::DropBefore,
        Self::DropAfter,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::RateLimit,
        Self::Slow,
        Self::BadSignature,
        Self::TamperedBody,
        Self::StaleTimestamp,
        Self::WrongSerial,
        Self::TruncatedBody,
        Self::AlreadyExists,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DropBefore => "drop-before",
            Self::DropAfter => "drop-after",
            Self::ErrorBefore => "error-before",
            Self::ErrorAfter => "error-after",
            Self::RateLimit => "rate-limit",
            Self::Slow => "slow",
            Self::BadSignature => "bad-signature",
            Self::TamperedBody => "tampered-body",
            Self::StaleTimestamp => "stale-timestamp",
            Self::WrongSerial => "wrong-serial",
            Self::TruncatedBody => "truncated-body",
            Self::AlreadyExists => "already-exists",
        }
    }

    /// What it does, in one sentence, for `--help` and the README.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::DropBefore => "closes the connection before anything is done",
            Self::DropAfter => "does what was asked, then closes the connection without an answer",
            Self::ErrorBefore => "answers 500 SYSTEM_ERROR and does nothing",
            Self::ErrorAfter => "does what was asked, then answers 500 SYSTEM_ERROR",
            Self::RateLimit => "answers 429 RATELIMIT_EXCEEDED and does nothing",
            Self::Slow => {
                "does what was asked and answers late, by 2 s or as told: `slow=0.2:500ms`"
            }
            Self::BadSignature => "answers with a signature that does not verify",
            Self::TamperedBody => "changes the answer after signing it",
            Self::StaleTimestamp => "signs the answer with a timestamp ten minutes old",
            Self::WrongSerial => "names another public key id than the one it signs with",
            Self::TruncatedBody => "sends half of the answer and closes the connection",
            Self::AlreadyExists => {
                "answers 400 ALREADY_EXISTS to a known request number in place of its stock"
            }
        }
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Why a fault was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FaultError {
    /// Not `KIND=PROBABILITY`.
    #[error("`{spec}` is not a fault; write KIND=PROBABILITY, for example drop-after=0.1")]
    Form {
        /// What was written.
        spec: String,
    },
    /// No such kind.
    #[error("there is no fault `{kind}`{}", suggestion(*.nearest, .known))]
    Kind {
        /// What was written.
        kind: String,
        /// A kind that is near it.
        nearest: Option<&'static str>,
        /// All kinds, for when none is near.
        known: String,
    },
    /// Not a probability.
    #[error("`{text}` in `{spec}` is not a probability; write a number from 0 to 1")]
    Probability {
        /// What was written.
        spec: String,
        /// The part that is wrong.
        text: String,
    },
    /// Not a delay.
    #[error("`{text}` in `{spec}` is not a delay; write for example 500ms or 3s, at most 1h")]
    Delay {
        /// What was written.
        spec: String,
        /// The part that is wrong.
        text: String,
    },
    /// A delay where none belongs.
    #[error("`{kind}` takes no delay; only slow does, as in slow=0.2:3s")]
    NoDelay {
        /// The kind that was written.
        kind: FaultKind,
    },
    /// One kind twice.
    #[error("the fault `{kind}` is given twice; give it once, with one probability")]
    Twice {
        /// The kind.
        kind: FaultKind,
    },
}

fn suggestion(nearest: Option<&'static str>, known: &str) -> String {
    nearest.map_or_else(
        || format!("; the kinds are {known}"),
        |nearest| format!("; did you mean `{nearest}`?"),
    )
}

/// Which faults to inject, and how often.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    probabilities: [f64; FaultKind::ALL.len()],
    slow_by: Option<Duration>,
}

/// By how much `slow` delays an answer when not told.
const SLOW_BY: Duration = Duration::from_secs(2);
/// The longest delay.
const LONGEST: Duration = Duration::from_hours(1);

impl Faults {
    /// Reads `KIND=PROBABILITY` (for `slow` also `slow=PROBABILITY:DELAY`).
    ///
    /// # Errors
    /// When one of them is not understood; the error says why and what would be.
    pub fn parse<S: AsRef<str>>(specs: &[S]) -> Result<Self, FaultError> {
        let mut faults = Self::default();
        let mut seen = Vec::new();
        for spec in specs {
            let spec = spec.as_ref();
            let form = || FaultError::Form { spec: spec.to_owned() };
            let (name, value) = spec.split_once('=').ok_or_else(form)?;
            let kind = kind_of(name.trim())?;
            let (text, delay) = match value.split_once(':') {
                Some((text, delay)) => (text.trim(), Some(delay.trim())),
                None => (value.trim(), None),
            };
            let probability = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
            let Some(probability) = probability else {
                let (spec, text) = (spec.to_owned(), text.to_owned());
                return Err(FaultError::Probability { spec, text });
            };
            if let Some(text) = delay {
                if kind != FaultKind::Slow {
                    return Err(FaultError::NoDelay { kind });
                }
                let Some(delay) = parse_delay(text) else {
                    let (spec, text) = (spec.to_owned(), text.to_owned());
                    return Err(FaultError::Delay { spec, text });
                };
                faults.slow_by = Some(delay);
            }
            if seen.contains(&kind) {
                return Err(FaultError::Twice { kind });
            }
            seen.push(kind);
            faults.probabilities[kind as usize] = probability;
        }
        Ok(faults)
    }

    /// Whether nothing is ever injected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.probabilities.iter().all(|probability| *probability == 0.0)
    }

    /// What happens to the next request. Takes the same number of random draws whatever it finds, so
    /// that the same order of requests meets the same faults.
    pub(super) fn draw(&self, random: &mut Random) -> Drawn {
        let mut drawn = Drawn::default();
        for (kind, probability) in FaultKind::ALL.into_iter().zip(self.probabilities) {
            if random.next_unit() >= probability {
                continue;
            }
            if kind == FaultKind::Slow {
                drawn.delay = self.slow_by.unwrap_or(SLOW_BY);
            } else if drawn.kind.is_none() {
                drawn.kind = Some(kind);
            }
        }
        drawn
    }
}

fn kind_of(name: &str) -> Result<FaultKind, FaultError> {
    FaultKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let names = FaultKind::ALL.map(FaultKind::name);
        let nearest = names
            .into_iter()
            .map(|known| (strsim::jaro_winkler(known, name), known))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(likeness, _)| *likeness > 0.8)
            .map(|(_, known)| known);
        FaultError::Kind { kind: name.to_owned(), nearest, known: names.join(", ") }
    })
}

/// Reads a span of time such as `500ms`, `3s` or `1m`, at most an hour.
#[must_use]
pub fn parse_delay(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let milliseconds = match unit {
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * milliseconds / 1e3;
    Duration::try_from_secs_f64(seconds).ok().filter(|delay| *delay <= LONGEST)
}

/// What was drawn for one request: at most one kind, and `slow` with it or alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Drawn {
    pub kind: Option<FaultKind>,
    pub delay: Duration,
}

/// `SplitMix64`: small, and the same sequence for a seed in every version of every library.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to but not including 1.
    #[allow(clippy::cast_precision_loss)] // 53 bits are what an f64 holds.
    fn next_unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_at_its_own_place_in_the_table() {
        for (place, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(kind_of(kind.name()), Ok(kind));
            assert!(!kind.sentence().is_empty());
        }
    }

    #[test]
    fn a_fault_that_is_not_understood_says_what_would_be() {
        let error = |spec: &str| Faults::parse(&[spec]).unwrap_err().to_string();
        assert_eq!(
            error("drop-befor=1"),
            "there is no fault `drop-befor`; did you mean `drop-before`?"
        );
        assert!(error("xyz=1").contains("the kinds are drop-before, drop-after"));
        assert!(error("drop-before").contains("KIND=PROBABILITY"));
        assert!(error("slow=0.2:3days").contains("500ms"));
        assert!(error("slow=0.2:-3s").contains("500ms"));
        assert!(error("drop-before=0.2:3s").contains("takes no delay"));
        for bad in ["slow=1.5", "slow=-0.1", "slow=NaN", "slow=", "slow=inf"] {
            assert!(error(bad).contains("from 0 to 1"), "{bad}");
        }
        let twice = Faults::parse(&["slow=0", "slow=1"]).unwrap_err();
        assert_eq!(twice, FaultError::Twice { kind: FaultKind::Slow });
    }

    #[test]
    fn the_same_seed_draws_the_same_faults_about_as_often_as_asked() {
        let faults = Faults::parse(&["drop-after=0.25", "slow=0.5:10ms"]).unwrap();
        let draws = |seed| {
            let mut random = Random::new(seed);
            (0..4000).map(|_| faults.draw(&mut random)).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        let dropped = draws(7).iter().filter(|drawn| drawn.kind.is_some()).count();
        let slow = draws(7).iter().filter(|drawn| drawn.delay == Duration::from_millis(10)).count();
        assert!((900..1100).contains(&dropped), "{dropped}");
        assert!((1900..2100).contains(&slow), "{slow}");
    }

    #[test]
    fn zero_never_happens_and_one_always_does() {
        let faults = Faults::parse(&["drop-before=0", "error-after=1"]).unwrap();
        let mut random = Random::new(1);
        for _ in 0..1000 {
            assert_eq!(faults.draw(&mut random).kind, Some(FaultKind::ErrorAfter));
        }
        assert!(Faults::default().is_empty() && !faults.is_empty());
    }
}
