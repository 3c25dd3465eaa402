//! Limits of the brand's own that a plan must not pass: `guardrails` in `couponctl.yaml`. They are
//! about stocks to be made; what exists cannot be changed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::commitment::Discount;
use super::{Change, Plan};
use crate::identity::StockName;
use crate::validate::period;
use crate::validate::rule::nearest;
use crate::wechatpay::stock::{CouponAvailablePeriod, Stock, StoreScope, Text};

/// The guardrails of a workspace. Each that is absent is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guardrails {
    /// Most coupons of a stock.
    max_count: Option<u64>,
    /// Most coupons of a stock for a user.
    max_count_per_user: Option<u64>,
    /// No stock without a limit a day.
    max_count_per_day_required: bool,
    /// Largest amount that a coupon takes off, in fen.
    discount_amount: Option<u64>,
    /// Largest percentage that a coupon takes off.
    percent_off: Option<u64>,
    /// No stock whose discount has no bound or is not known here.
    bounded_discount_required: bool,
    /// Largest discount that a plan may commit the brand to, in fen.
    total_discount: Option<u64>,
    /// Most stocks that a run may make.
    creates: Option<usize>,
    /// The product coupons that stocks may be made of.
    product_coupons: Option<Vec<Text>>,
    /// The store scopes that stocks may have.
    store_scopes: Option<Vec<StoreScope>>,
    /// Longest period, in days.
    period_days: Option<u32>,
}

/// The names of all guardrails, as they stand in `couponctl.yaml` and behind `--override-guardrail`.
pub const NAMES: [&str; 11] = [
    "max_count",
    "max_count_per_user",
    "max_count_per_day_required",
    "discount_amount",
    "percent_off",
    "bounded_discount_required",
    "total_discount",
    "creates",
    "product_coupons",
    "store_scopes",
    "period_days",
];

/// A guardrail that a plan passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The guardrail's name.
    pub guardrail: &'static str,
    /// The stock; none when the plan as a whole is meant.
    pub stock: Option<StockName>,
    /// The stock's file.
    pub file: Option<String>,
    /// What is beyond which limit.
    pub message: String,
    /// Allowed for this run by name.
    pub overridden: bool,
}

impl Breach {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        format!(
            "change the stock, or the limit in couponctl.yaml; `--override-guardrail {}` lets this one run pass",
            self.guardrail
        )
    }
}

/// A name that is no guardrail's.
#[derive(Debug, thiserror::Error)]
#[error("there is no guardrail `{name}`{}; they are {}", did_you_mean(name), NAMES.join(", "))]
pub struct UnknownGuardrail {
    name: String,
}

fn did_you_mean(name: &str) -> String {
    nearest(name, NAMES).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

/// Guardrails that are overridden for a run.
#[derive(Debug, Clone, Default)]
pub struct Overridden(BTreeSet<&'static str>);

impl Overridden {
    /// Takes names of guardrails.
    ///
    /// # Errors
    /// When one is no guardrail's.
    pub fn parse(names: &[String]) -> Result<Self, UnknownGuardrail> {
        let known = |name: &String| {
            let known = NAMES.into_iter().find(|known| known == name);
            known.ok_or_else(|| UnknownGuardrail { name: name.clone() })
        };
        names.iter().map(known).collect::<Result<_, _>>().map(Self)
    }
}

impl Guardrails {
    /// Every guardrail that a plan passes: those of the plan first, then stock by stock.
    #[must_use]
    pub fn breaches(&self, plan: &Plan, overridden: &Overridden) -> Vec<Breach> {
        if *self == Self::default() {
            return Vec::new();
        }
        let mut found = Found { overridden, breaches: Vec::new() };
        let creates = plan.changes.iter().filter(|change| change.makes()).count();
        if let Some(most) = self.creates.filter(|most| creates > *most) {
            found.add(
                "creates",
                None,
                format!("the plan makes {creates}; at most {most} in one run"),
            );
        }
        let total = plan.commitment.largest_discount_fen;
        if let Some(most) = self.total_discount.filter(|most| total > u128::from(*most)) {
            let message =
                format!("the largest discount of the plan is {total} fen; at most {most}");
            found.add("total_discount", None, message);
        }
        for change in plan.changes.iter().filter(|change| change.makes()) {
            if let Some(stock) = &change.after {
                self.check(change, stock, &mut found);
            }
        }
        found.breaches
    }

    fn check(&self, change: &Change, stock: &Stock, found: &mut Found) {
        let rule = &stock.stock_send_rule;
        let mut most = |name, what: &str, value: i64, limit: Option<u64>| {
            if let Some(limit) = limit.filter(|limit| i128::from(value) > i128::from(*limit)) {
                found.add(name, Some(change), format!("{what} is {value}; at most {limit}"));
            }
        };
        most("max_count", "`max_count`", rule.max_count, self.max_count);
        most(
            "max_count_per_user",
            "`max_count_per_user`",
            rule.max_count_per_user,
            self.max_count_per_user,
        );
        for amount in amounts(stock) {
            most("discount_amount", "`discount_amount` (fen)", amount, self.discount_amount);
        }
        for percent in percents(stock) {
            most("percent_off", "`percent_off`", percent, self.percent_off);
        }
        if let (Some(days), Some(period)) = (self.period_days, stock.period()) {
            check_period(change, period, days, found);
        }
        if self.max_count_per_day_required && rule.max_count_per_day.is_none() {
            let message =
                "there is no `max_count_per_day`, and each stock must have one".to_owned();
            found.add("max_count_per_day_required", Some(change), message);
        }
        if self.bounded_discount_required && !matches!(Discount::of(stock), Discount::Fen(_)) {
            let message = "its discount has no bound, or is not known here".to_owned();
            found.add("bounded_discount_required", Some(change), message);
        }
        let coupon = &change.product_coupon_id;
        if let Some(allowed) = &self.product_coupons
            && !allowed.iter().any(|allowed| allowed.0 == *coupon)
        {
            let message =
                format!("product coupon `{coupon}` is not among those allowed: {}", list(allowed));
            found.add("product_coupons", Some(change), message);
        }
        if let Some(allowed) = &self.store_scopes
            && !allowed.contains(&stock.store_scope)
        {
            let allowed: Vec<_> = allowed.iter().map(|scope| scope_word(*scope)).collect();
            let scope = scope_word(stock.store_scope);
            let message = format!("`store_scope` is {scope}; allowed: {}", list(&allowed));
            found.add("store_scopes", Some(change), message);
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    match items {
        [] => "none".to_owned(),
        items => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn scope_word(scope: StoreScope) -> &'static str {
    match scope {
        StoreScope::None => "NONE",
        StoreScope::All => "ALL",
        StoreScope::Specific => "SPECIFIC",
    }
}

fn check_period(change: &Change, period: &CouponAvailablePeriod, days: u32, found: &mut Found) {
    let moments =
        (period::moment(&period.available_begin_time), period::moment(&period.available_end_time));
    let (Some(begin), Some(end)) = moments else { return };
    let seconds = end.as_second() - begin.as_second();
    if seconds > i64::from(days) * 86_400 {
        let hours = (seconds + 3599) / 3600;
        let message = format!(
            "its period is {} days and {} hours; at most {days} days",
            hours / 24,
            hours % 24
        );
        found.add("period_days", Some(change), message);
    }
}

struct Found<'a> {
    overridden: &'a Overridden,
    breaches: Vec<Breach>,
}

impl Found<'_> {
    fn add(&mut self, guardrail: &'static str, change: Option<&Change>, message: String) {
        self.breaches.push(Breach {
            guardrail,
            stock: change.map(|change| change.name.clone()),
            file: change.and_then(|change| change.file.clone()),
            message,
            overridden: self.overridden.0.contains(guardrail),
        });
    }
}

fn amounts(stock: &Stock) -> Vec<i64> {
    let single = stock.single_usage_rule.as_ref().and_then(|rule| rule.normal_coupon.as_ref());
    let many =
        stock.sequential_usage_rule.as_ref().and_then(|rule| rule.normal_coupon_list.as_ref());
    let all = single.into_iter().chain(many.into_iter().flatten());
    all.map(|coupon| coupon.discount_amount).collect()
}

fn percents(stock: &Stock) -> Vec<i64> {
    let single = stock.single_usage_rule.as_ref().and_then(|rule| rule.discount_coupon.as_ref());
    let many =
        stock.sequential_usage_rule.as_ref().and_then(|rule| rule.discount_coupon_list.as_ref());
    let all = single.into_iter().chain(many.into_iter().flatten());
    all.map(|coupon| coupon.percent_off).collect()
}
