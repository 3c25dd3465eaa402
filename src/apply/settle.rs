//! Finding out what came of a request without sending it again: by looking through the stocks of its
//! product coupon. Looking never makes anything.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use super::outcome::Candidate;
use super::timestamp;
use crate::lockfile::Holders;
use crate::lockfile::append::Appender;
use crate::lockfile::journal::{Closed, Intent, Record, Result as MadeRecord};
use crate::wechatpay::client::{Client, ListedStock};
use crate::wechatpay::content;
use crate::wechatpay::entity::StockEntity;
use crate::wechatpay::error::ApiError;
use crate::wechatpay::stock::Stock;

/// The stocks of product coupons, each listed once.
#[derive(Debug, Default)]
pub struct Listings(HashMap<String, Vec<ListedStock>>);

impl Listings {
    /// All stocks of a product coupon.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn of(&mut self, client: &Client, coupon: &str) -> Result<&[ListedStock], ApiError> {
        if !self.0.contains_key(coupon) {
            let listed = match client.list_stocks(coupon).await {
                Ok(answer) => answer.value,
                // A product coupon that is not there has no stocks. Whoever forgets a request on the word
                // of another server than the API's may lose a stock.
                Err(error) if error.is_not_found() && error.is_signed() => Vec::new(),
                Err(error) => return Err(error),
            };
            self.0.insert(coupon.to_owned(), listed);
        }
        Ok(self.0.get(coupon).map_or(&[], Vec::as_slice))
    }
}

/// The stocks that a request could have made.
#[derive(Debug)]
pub enum Found {
    /// Exactly one.
    One(Box<StockEntity>),
    /// None.
    None,
    /// More than one, or one that can be but is not held apart from others.
    Several(Vec<Candidate>),
}

/// Looks for the stock with this content that nobody holds yet. One that still hands out coupons is
/// preferred to those that do not any more.
#[must_use]
pub fn find(listed: &[ListedStock], coupon: &str, asked: &Stock, holders: &Holders) -> Found {
    let alike: Vec<&StockEntity> = listed
        .iter()
        .filter_map(|listed| match listed {
            ListedStock::Read(entity) => Some(&**entity),
            ListedStock::Unread { .. } => None,
        })
        .filter(|entity| holders.of(&entity.stock_id).is_none())
        .filter(|entity| content::differences((coupon, asked), entity).is_empty())
        .collect();
    let live: Vec<_> = alike.iter().copied().filter(|entity| entity.state.is_live()).collect();
    match (live.as_slice(), alike.as_slice()) {
        ([one], _) | ([], [one]) => Found::One(Box::new((*one).clone())),
        (_, []) => Found::None,
        (_, several) => Found::Several(several.iter().map(|entity| (*entity).into()).collect()),
    }
}

/// What came of a request that nobody asks for any more.
#[derive(Debug)]
pub enum Settled {
    /// It made this stock, which is recorded.
    Recorded {
        /// The request.
        intent: Intent,
        /// The stock.
        stock_id: String,
    },
    /// It made nothing.
    Dropped {
        /// The request.
        intent: Intent,
    },
    /// It may have made one of several stocks alike: a person must tell.
    Unclear {
        /// The request.
        intent: Intent,
        /// The stocks.
        candidates: Vec<Candidate>,
    },
}

/// How long to wait until no request of an interrupted run can be on its way any more. That run is
/// over, so a last request of it has at most the time of one attempt from now on; none when its
/// retries must have ended before.
#[must_use]
pub fn still_on_its_way(
    open: &[Intent],
    timeout: Duration,
    retry: Duration,
    now: Timestamp,
) -> Duration {
    // Between the record and the first request there is the wait for a turn, which is short.
    let longest = retry + timeout * 2;
    open.iter()
        .filter_map(|intent| intent.sent_at.parse::<Timestamp>().ok())
        .map(|sent| {
            let age = Duration::try_from(now.duration_since(sent)).unwrap_or_default();
            longest.saturating_sub(age).min(timeout)
        })
        .max()
        .unwrap_or_default()
}

/// Settles requests that nobody asks for any more by looking for what they made.
///
/// # Errors
/// When the stocks of a product coupon cannot be listed, or the journal cannot be written.
pub async fn settle(
    open: Vec<Intent>,
    client: &Client,
    journal: &Appender,
    holders: &mut Holders,
) -> Result<Vec<Settled>, SettleError> {
    let mut listings = Listings::default();
    let mut settled = Vec::new();
    let mut open = VecDeque::from(open);
    while let Some(intent) = open.pop_front() {
        let asked: Stock = match serde_json::from_str(intent.stock.get()) {
            Ok(stock) => stock,
            Err(error) => return Err(SettleError::Unreadable { intent: Box::new(intent), error }),
        };
        let coupon = intent.product_coupon_id.clone();
        let listed = match listings.of(client, &coupon).await {
            Ok(listed) => listed,
            Err(error) if error.is_not_found() => {
                return Err(SettleError::Unproven { intent: Box::new(intent), error });
            }
            Err(error) => return Err(SettleError::Api(error)),
        };
        let out_request_no = intent.out_request_no.clone();
        let is_alike = |other: &&Intent| {
            other.product_coupon_id == coupon && other.content_sha256 == intent.content_sha256
        };
        let alike = 1 + open.iter().filter(is_alike).count();
        let found = match find(listed, &coupon, &asked, holders) {
            Found::One(entity) => Some(entity.stock_id.to_string()),
            // As many requests as stocks: all of them are ours, whichever made which.
            Found::Several(mut stocks) if stocks.len() <= alike => {
                stocks.sort_by(|a, b| a.stock_id.cmp(&b.stock_id));
                Some(stocks.swap_remove(0).stock_id)
            }
            Found::None => None,
            Found::Several(candidates) => {
                settled.push(Settled::Unclear { intent, candidates });
                continue;
            }
        };
        settled.push(if let Some(stock_id) = found {
            let created_at = timestamp(Timestamp::now());
            let made = MadeRecord { out_request_no, stock_id: stock_id.clone(), created_at };
            journal.append(&Record::Unwanted(made)).await.map_err(SettleError::Journal)?;
            holders.insert(stock_id.clone(), intent.name.clone());
            Settled::Recorded { intent, stock_id }
        } else {
            let reason = "no stock of its content was found".to_owned();
            let closed = Record::Closed(Closed { out_request_no, reason });
            journal.append(&closed).await.map_err(SettleError::Journal)?;
            Settled::Dropped { intent }
        });
    }
    Ok(settled)
}

/// Why open requests could not be settled. Nothing is lost: they stay in the journal.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The API did not answer as it should.
    #[error("{0}")]
    Api(ApiError),
    /// An answer that bears no signature says that there is nothing.
    #[error(
        "{error}\n  This answer does not bear WeChat Pay's signature, so it does not prove that the request for \
         `{}` made nothing. Check `base_url`; if it is right, put the stock's file back as it was and apply: \
         then the same request is sent again, and its answer settles it", intent.name
    )]
    Unproven {
        /// The request.
        intent: Box<Intent>,
        /// The answer.
        error: ApiError,
    },
    /// The journal could not be written.
    #[error("the journal cannot be written: {0}")]
    Journal(std::sync::Arc<std::io::Error>),
    /// A later couponctl wrote it.
    #[error(
        "the journal's request {} for `{}` is no stock that this couponctl knows ({error})",
        intent.out_request_no, intent.name
    )]
    Unreadable {
        /// The request.
        intent: Box<Intent>,
        /// What is wrong.
        error: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::identity::{ContentSha256, OutRequestNo, StockName};

    #[test]
    fn a_request_may_be_on_its_way_for_one_attempt_until_its_retries_must_have_ended() {
        let intent = Intent {
            name: StockName::parse("a").unwrap(),
            product_coupon_id: "1".into(),
            generation: 1,
            content_sha256: ContentSha256::parse(&"0".repeat(64)).unwrap(),
            out_request_no: OutRequestNo::parse("cc1-000000").unwrap(),
            sent_at: "2026-11-23T02:00:00Z".into(),
            gives_back: false,
            stock: RawValue::from_string("{}".into()).unwrap(),
        };
        let open = [intent];
        let wait = |now: &str| {
            let (timeout, retry) = (Duration::from_secs(10), Duration::from_mins(1));
            still_on_its_way(&open, timeout, retry, now.parse().unwrap()).as_secs()
        };
        assert_eq!(wait("2026-11-23T02:00:00Z"), 10);
        assert_eq!(wait("2026-11-23T02:01:00Z"), 10, "the last retry may just have gone out");
        assert_eq!(wait("2026-11-23T02:01:15Z"), 5);
        assert_eq!(wait("2026-11-23T02:01:20Z"), 0);
        assert_eq!(wait("2026-11-23T01:00:00Z"), 10, "a clock that was set back");
    }
}
