//! The stock entity of answers: the fields as sent, with what the server adds.
//!
//! Source: *get stock*, doc 4016427475. Unknown fields may appear at any time and are ignored.

use serde::{Deserialize, Serialize};

use super::stock::{Stock, Text};

/// A stock as the API reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockEntity {
    /// The product coupon it belongs to.
    pub product_coupon_id: Text,
    /// The id that WeChat Pay gave it.
    pub stock_id: Text,
    /// The content as it was asked for, defaults filled in.
    #[serde(flatten)]
    pub stock: Stock,
    /// Codes uploaded; only with `coupon_code_mode: UPLOAD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code_count_info: Option<CouponCodeCountInfo>,
    /// Coupons handed out so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_count_info: Option<SentCountInfo>,
    /// Where the stock is in its life.
    pub state: StockState,
    /// Request number of the deactivation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivate_request_no: Option<Text>,
    /// When it was deactivated; kept as text, since the documented example has no seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivate_time: Option<Text>,
    /// Why it was deactivated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivate_reason: Option<Text>,
}

/// How many codes were uploaded and are left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponCodeCountInfo {
    /// Codes uploaded.
    pub total_count: i64,
    /// Codes not handed out yet.
    pub available_count: i64,
}

/// How many coupons were handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentCountInfo {
    /// Since the stock was made.
    pub total_count: i64,
    /// Today.
    pub today_count: i64,
}

/// Where a stock is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StockState {
    /// Being reviewed.
    Auditing,
    /// Handing out coupons.
    Sending,
    /// Paused.
    Paused,
    /// Its end time is reached.
    Stopped,
    /// Deactivated for good.
    Deactivated,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

impl StockState {
    /// Whether the stock can still hand out coupons, now or later.
    #[must_use]
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Stopped | Self::Deactivated)
    }
}

impl std::fmt::Display for StockState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Auditing => "AUDITING",
            Self::Sending => "SENDING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Deactivated => "DEACTIVATED",
            Self::Unknown => "in a state that this version does not know",
        })
    }
}
