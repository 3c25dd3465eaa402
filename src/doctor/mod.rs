//! `couponctl doctor`: what is known about settings, keys, network and clock (`facts`, collected by
//! `gather`) becomes one verdict a check, each with what to do. The verdicts are pure: no I/O, no
//! clock, no printing.

pub mod facts;
pub mod gather;

mod keys;
mod network;
mod signature;
mod suspects;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use facts::Facts;

/// What is checked, in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// `couponctl.yaml` and the environment.
    Settings,
    /// The URLs that requests go to.
    BaseUrl,
    /// Serial number of the brand API certificate.
    SerialNo,
    /// The brand API private key.
    PrivateKey,
    /// Who can read its file.
    KeyRights,
    /// Id of WeChat Pay's public key.
    PublicKeyId,
    /// WeChat Pay's public key.
    PublicKey,
    /// The brand API certificate against key and serial number.
    Certificate,
    /// The API's host.
    Network,
    /// The fallback host.
    Fallback,
    /// This machine's clock.
    Clock,
    /// The signature of a request.
    RequestSignature,
    /// The signature of its answer.
    AnswerSignature,
    /// What it was answered with.
    Read,
}

impl Subject {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::Settings,
        Self::BaseUrl,
        Self::SerialNo,
        Self::PrivateKey,
        Self::KeyRights,
        Self::PublicKeyId,
        Self::PublicKey,
        Self::Certificate,
        Self::Network,
        Self::Fallback,
        Self::Clock,
        Self::RequestSignature,
        Self::AnswerSignature,
        Self::Read,
    ];

    /// Its name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::BaseUrl => "base-url",
            Self::SerialNo => "serial-no",
            Self::PrivateKey => "private-key",
            Self::KeyRights => "key-rights",
            Self::PublicKeyId => "public-key-id",
            Self::PublicKey => "public-key",
            Self::Certificate => "certificate",
            Self::Network => "network",
            Self::Fallback => "fallback",
            Self::Clock => "clock",
            Self::RequestSignature => "request-signature",
            Self::AnswerSignature => "answer-signature",
            Self::Read => "read",
        }
    }
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but should be looked at.
    Warning,
    /// It does not work.
    Problem,
    /// Not looked at, because something that it needs is missing.
    Skipped,
}

impl Verdict {
    /// Its word, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
            Self::Skipped => "skipped",
        }
    }
}

/// A check and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub check: Subject,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found, in one line.
    pub what: String,
    /// What to do, one line each.
    pub advice: Vec<String>,
}

impl Check {
    fn new(check: Subject, verdict: Verdict, what: impl Into<String>) -> Self {
        Self { check, verdict, what: what.into(), advice: Vec::new() }
    }

    fn ok(check: Subject, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, what)
    }

    fn warning(check: Subject, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning, what)
    }

    fn problem(check: Subject, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Problem, what)
    }

    fn skipped(check: Subject, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Skipped, what)
    }

    fn do_this(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// The problem that keeps something from being read.
    fn trouble(check: Subject, trouble: &facts::Trouble) -> Self {
        Self { advice: trouble.advice.clone(), ..Self::problem(check, &trouble.what) }
    }
}

/// Whether any check is a problem.
#[must_use]
pub fn has_problem(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.verdict == Verdict::Problem)
}

/// One check a subject, in order.
#[must_use]
pub fn diagnose(facts: &Facts) -> Vec<Check> {
    let setup = match &facts.setup {
        Ok(setup) => setup,
        Err(trouble) => {
            let rest = Subject::ALL[1..].iter();
            let skipped = rest.map(|subject| Check::skipped(*subject, "needs the settings"));
            return std::iter::once(Check::trouble(Subject::Settings, trouble))
                .chain(skipped)
                .collect();
        }
    };
    let mut checks = vec![Check::ok(
        Subject::Settings,
        format!("{} is read; the brand is {}", setup.place, setup.brand_id),
    )];
    checks.push(network::base_url(setup));
    checks.extend(keys::check(setup, facts.now));
    checks.extend(network::check(setup));
    checks.extend(signature::check(setup, facts.now));
    checks
}
