//! What came of carrying out a plan: plain data, for the screen, the table of failures and the
//! stream of JSON events.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::identity::StockName;
use crate::wechatpay::content::Difference;
use crate::wechatpay::entity::{StockEntity, StockState};
use crate::wechatpay::error::ApiError;

/// Something that happened during an apply.
#[derive(Debug, Clone)]
pub enum Event {
    /// An attempt failed, and another follows.
    Retry {
        /// The stock.
        name: StockName,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// What with.
        error: ApiError,
        /// How long the wait is.
        wait: Duration,
    },
    /// A stock is settled, one way or the other.
    Finished(Outcome),
}

/// How a stock came to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Success {
    /// The API answered with it.
    Created,
    /// The API said that it exists, and it was found.
    Adopted,
}

/// What came of one stock of the plan.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It exists and is recorded.
    Done {
        /// Its name.
        name: StockName,
        /// Its product coupon.
        product_coupon_id: String,
        /// Its id.
        stock_id: String,
        /// The stock that it takes the place of.
        replaces: Option<String>,
        /// How.
        how: Success,
    },
    /// It is not recorded.
    Failed {
        /// Its name.
        name: StockName,
        /// Its product coupon.
        product_coupon_id: String,
        /// Why.
        failure: Box<Failure>,
    },
    /// The run was stopped before its request went out.
    NotStarted {
        /// Its name.
        name: StockName,
    },
}

/// Why a stock is not recorded.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The API refused, or did not answer as it should.
    Api(ApiError),
    /// The request number was used before, and it is not clear for which stock.
    AlreadyExists {
        /// What the API said.
        error: ApiError,
        /// Stocks with this content that nobody holds.
        candidates: Vec<Candidate>,
    },
    /// A verified answer, but not the stock asked for.
    OtherContent {
        /// The id in the answer.
        stock_id: String,
        /// What differs.
        differences: Vec<Difference>,
        /// For WeChat Pay's support.
        request_id: Option<String>,
    },
    /// A verified answer, but the stock hands out nothing any more.
    Dead {
        /// The id in the answer.
        stock_id: String,
        /// Its state.
        state: StockState,
        /// For WeChat Pay's support.
        request_id: Option<String>,
    },
    /// The stock in the answer stands for another name.
    Taken {
        /// The id.
        stock_id: String,
        /// The other name.
        holder: StockName,
    },
    /// The journal could not be written.
    Journal {
        /// What the operating system said.
        error: Arc<io::Error>,
        /// The id that could not be recorded, when there is one.
        stock_id: Option<String>,
    },
}

/// A stock that could be the one that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// Its id.
    pub stock_id: String,
    /// Its remark.
    pub remark: Option<String>,
    /// Its state.
    pub state: StockState,
    /// Coupons that it may hand out.
    pub max_count: i64,
    /// Coupons that it has handed out.
    pub sent_count: Option<i64>,
}

impl From<&StockEntity> for Candidate {
    fn from(entity: &StockEntity) -> Self {
        Self {
            stock_id: entity.stock_id.to_string(),
            remark: entity.stock.remark.as_ref().map(ToString::to_string),
            state: entity.state,
            max_count: entity.stock.stock_send_rule.max_count,
            sent_count: entity.sent_count_info.as_ref().map(|info| info.total_count),
        }
    }
}

impl Outcome {
    /// A failure.
    #[must_use]
    pub fn failed(name: &StockName, product_coupon_id: &str, failure: Failure) -> Self {
        Self::Failed {
            name: name.clone(),
            product_coupon_id: product_coupon_id.to_owned(),
            failure: Box::new(failure),
        }
    }

    /// The stock's name.
    #[must_use]
    pub fn name(&self) -> &StockName {
        match self {
            Self::Done { name, .. } | Self::Failed { name, .. } | Self::NotStarted { name } => name,
        }
    }
}

impl Failure {
    /// What happened, in a sentence or two.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Api(error) => error.to_string(),
            Self::AlreadyExists { error, candidates } if candidates.is_empty() => format!(
                "{error}; but no stock with this content was found that is not recorded already"
            ),
            Self::AlreadyExists { error, candidates } => {
                let mut text =
                    format!("{error}; these stocks have this content and are not recorded:");
                for candidate in candidates {
                    let Candidate { stock_id, remark, state, max_count, sent_count } = candidate;
                    let remark = remark.as_deref().unwrap_or("no remark");
                    let sent = sent_count.map_or("?".to_owned(), |count| count.to_string());
                    // Writing to a string cannot fail.
                    let _ = write!(
                        text,
                        "\n  {stock_id}: {remark}, {state}, {sent} of {max_count} handed out"
                    );
                }
                text
            }
            Self::OtherContent { stock_id, differences, .. } => {
                let mut text = format!(
                    "the API answered with stock {stock_id}, which is not what was asked; it is not recorded:"
                );
                for difference in differences {
                    let _ = write!(text, "\n  {difference}");
                }
                text
            }
            Self::Dead { stock_id, state, .. } => format!(
                "the same content was asked for before, and the API gives back stock {stock_id}, which is {state}; it is not recorded"
            ),
            Self::Taken { stock_id, holder } => format!(
                "the API answered with stock {stock_id}, which is recorded as `{holder}`; one stock cannot stand for two names"
            ),
            Self::Journal { error, stock_id: Some(stock_id) } => format!(
                "stock {stock_id} exists, but could not be recorded: the journal cannot be written ({error})"
            ),
            Self::Journal { error, stock_id: None } => {
                format!("the journal cannot be written ({error})")
            }
        }
    }

    /// What to do next.
    #[must_use]
    pub fn advice(&self, name: &StockName) -> String {
        match self {
            Self::Api(error) => error.advice(),
            Self::AlreadyExists { candidates, .. } if candidates.is_empty() => format!(
                "look at the product coupon's stocks in the brand console; when you know which one it is, run `couponctl adopt {name} STOCK_ID`, or raise `generation` to make a new stock"
            ),
            Self::AlreadyExists { .. } | Self::OtherContent { .. } => format!(
                "compare them in the brand console, then run `couponctl adopt {name} STOCK_ID` (`--force` when content differs), or raise `generation` to make a new stock"
            ),
            Self::Dead { .. } | Self::Taken { .. } => {
                "raise `generation` in the file to make a new stock".to_owned()
            }
            Self::Journal { .. } => {
                "make room or rights in the workspace and run `couponctl apply` again: it asks for the same stock, never for a second one".to_owned()
            }
        }
    }

    /// The API's error code, or a word of our own for what is not of the API.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Api(error) | Self::AlreadyExists { error, .. } => error.word(),
            Self::OtherContent { .. } => "OTHER_CONTENT".to_owned(),
            Self::Dead { state, .. } => state.to_string(),
            Self::Taken { .. } => "TAKEN".to_owned(),
            Self::Journal { .. } => "JOURNAL".to_owned(),
        }
    }

    /// The Request-ID of the answer, for WeChat Pay's support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Api(error) | Self::AlreadyExists { error, .. } => error.request_id(),
            Self::OtherContent { request_id, .. } | Self::Dead { request_id, .. } => {
                request_id.as_deref()
            }
            Self::Taken { .. } | Self::Journal { .. } => None,
        }
    }
}
