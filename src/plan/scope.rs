//! Which stocks a plan is about: all, or those that `--target` names.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use thiserror::Error;

use super::{Change, Plan};
use crate::desired::DesiredStock;
use crate::identity::StockName;
use crate::lockfile::Lock;
use crate::plan::commitment::Commitment;
use crate::validate::rule::nearest;

/// Stocks that a plan is narrowed to; all without a pattern.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    patterns: Vec<String>,
    set: GlobSet,
}

/// Why a plan could not be narrowed.
#[derive(Debug, Error)]
pub enum TargetError {
    /// A pattern that is none.
    #[error("`--target {pattern}` is not a pattern of names: {error}")]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong.
        error: globset::Error,
    },
    /// A pattern for nothing is most likely misspelt.
    #[error("`--target {pattern}` matches no stock of the files or the lock{suggestion}")]
    NothingMatches {
        /// As given.
        pattern: String,
        /// What may have been meant.
        suggestion: String,
    },
}

impl Targets {
    /// Takes names and patterns of names.
    ///
    /// # Errors
    /// When one is not a pattern.
    pub fn parse(patterns: &[String]) -> Result<Self, TargetError> {
        let mut set = GlobSetBuilder::new();
        let wrong =
            |pattern: &String, error| TargetError::Pattern { pattern: pattern.clone(), error };
        for pattern in patterns {
            set.add(GlobBuilder::new(pattern).build().map_err(|error| wrong(pattern, error))?);
        }
        let joined = || patterns.join(" ");
        let set = set.build().map_err(|error| wrong(&joined(), error))?;
        Ok(Self { patterns: patterns.to_vec(), set })
    }

    /// As given; none means all.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    fn has(&self, name: &StockName) -> bool {
        self.set.is_match(name.as_str())
    }

    /// A rename is of both its names: half of it would make the stock twice.
    fn has_change(&self, change: &Change) -> bool {
        self.has(&change.name) || change.renamed_from.as_ref().is_some_and(|from| self.has(from))
    }

    /// Narrows a plan of all stocks down to these.
    ///
    /// # Errors
    /// When a pattern matches no stock at all.
    pub fn narrow<'a>(
        &self,
        plan: &mut Plan,
        desired: impl Iterator<Item = &'a DesiredStock> + Clone,
        lock: &Lock,
    ) -> Result<(), TargetError> {
        if self.patterns.is_empty() {
            return Ok(());
        }
        let names = || desired.clone().map(|stock| &stock.name).chain(lock.stocks.keys());
        let mut hit = vec![false; self.patterns.len()];
        for name in names() {
            self.set.matches(name.as_str()).into_iter().for_each(|index| hit[index] = true);
        }
        if let Some(index) = hit.iter().position(|hit| !hit) {
            let pattern = self.patterns[index].clone();
            let suggestion = nearest(&pattern, names().map(StockName::as_str))
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            return Err(TargetError::NothingMatches { pattern, suggestion });
        }
        plan.changes.retain(|change| self.has_change(change));
        plan.conflicts.retain(|conflict| self.has(&conflict.name));
        let wanted = desired.filter(|stock| self.has(&stock.name)).count();
        let changed = |change: &&Change| change.file.is_some() && self.has(&change.name);
        plan.unchanged = wanted - plan.changes.iter().filter(changed).count();
        plan.commitment = Commitment::of(&plan.changes);
        plan.targets.clone_from(&self.patterns);
        Ok(())
    }
}
