//! What a plan commits the brand to: how many coupons, and the most that they can take off.

use serde::Serialize;

use super::Change;
use crate::wechatpay::stock::Stock;

/// What the stocks to be made commit the brand to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Commitment {
    /// Coupons: the sum of `max_count`.
    pub coupons: u64,
    /// The largest discount of all money-off coupons, in fen: the sum of `max_count` times
    /// `discount_amount`, each use of a sequential coupon counted.
    pub largest_discount_fen: u128,
    /// Stocks whose discount has no bound, since they take a percentage off.
    pub percentage_stocks: usize,
    /// Stocks whose discount has no bound, since they sell a product at a fixed price.
    pub exchange_stocks: usize,
    /// Stocks whose rule is kept in the product coupon, so that the discount is not known here.
    pub unknown_stocks: usize,
}

impl Commitment {
    /// Adds up the stocks that a plan would make.
    #[must_use]
    pub fn of(changes: &[Change]) -> Self {
        let mut sum = Self::default();
        for stock in changes
            .iter()
            .filter(|change| change.makes())
            .filter_map(|change| change.after.as_ref())
        {
            sum.add(stock);
        }
        sum
    }

    /// Adds one stock.
    pub fn add(&mut self, stock: &Stock) {
        let count = u64::try_from(stock.stock_send_rule.max_count).unwrap_or(0);
        self.coupons += count;
        match Discount::of(stock) {
            Discount::Fen(fen) => self.largest_discount_fen += u128::from(count) * fen,
            Discount::Percentage => self.percentage_stocks += 1,
            Discount::Exchange => self.exchange_stocks += 1,
            Discount::Unknown => self.unknown_stocks += 1,
        }
    }
}

/// The most that one coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discount {
    /// Money, in fen.
    Fen(u128),
    /// A percentage of an amount that is not known.
    Percentage,
    /// A fixed price for a product whose price is not known.
    Exchange,
    /// Kept in the product coupon.
    Unknown,
}

impl Discount {
    /// The discount of one coupon of a stock.
    #[must_use]
    pub fn of(stock: &Stock) -> Self {
        let fen = |amount: i64| u128::try_from(amount).unwrap_or(0);
        if let Some(rule) = &stock.single_usage_rule {
            if let Some(coupon) = &rule.normal_coupon {
                return Self::Fen(fen(coupon.discount_amount));
            } else if rule.discount_coupon.is_some() {
                return Self::Percentage;
            } else if rule.exchange_coupon.is_some() {
                return Self::Exchange;
            }
        }
        if let Some(rule) = &stock.sequential_usage_rule {
            if let Some(list) = &rule.normal_coupon_list {
                return Self::Fen(list.iter().map(|coupon| fen(coupon.discount_amount)).sum());
            } else if rule.discount_coupon_list.is_some() {
                return Self::Percentage;
            } else if rule.exchange_coupon_list.is_some() {
                return Self::Exchange;
            }
        }
        Self::Unknown
    }
}
