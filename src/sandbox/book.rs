//! The stocks that the sandbox has made, and by which request numbers: what the API knows, without
//! HTTP. Everything that changes it is an event, written to the state first.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::SandboxError;
use super::answers::{Answer, hex, number};
use super::state::{Event, StateFile, garbage};
use crate::wechatpay::entity::{CouponCodeCountInfo, SentCountInfo, StockEntity, StockState};
use crate::wechatpay::stock::{BackgroundColor, CouponCodeMode, Stock, Text, limits};

/// The number before the first stock's id.
const FIRST_ID: usize = 1_000_000_013_001;

/// What became of a request that makes or changes something.
pub(super) type Done = Result<StockEntity, Answer>;

/// A page of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Page<'a> {
    pub product_coupon_id: &'a str,
    pub state: Option<StockState>,
    pub size: usize,
    /// Places of stocks before this one were on earlier pages.
    pub from: usize,
}

struct Made {
    entity: StockEntity,
    ends: Timestamp,
}

struct Known {
    fingerprint: String,
    place: usize,
}

/// All stocks, in the order in which they were made.
#[derive(Default)]
pub(super) struct Book {
    stocks: Vec<Made>,
    by_id: HashMap<String, usize>,
    by_product_coupon: HashMap<String, Vec<usize>>,
    by_number: HashMap<String, Known>,
    state: Option<StateFile>,
    closed: bool,
}

/// A request that carries a request number.
pub(super) struct Numbered<'a> {
    pub out_request_no: &'a str,
    /// What is asked for: the same number is only good for the same again.
    pub fingerprint: String,
    /// Whether a known number is answered with an error instead of its stock.
    pub refuse_known: bool,
}

impl<'a> Numbered<'a> {
    pub fn new(out_request_no: &'a str, what: &str, body: &Value, refuse_known: bool) -> Self {
        // Written from a map with sorted keys, so that the order and spacing of the body count for
        // nothing.
        let fingerprint = hex(&Sha256::digest(format!("{what}\n{body}").as_bytes()));
        Self { out_request_no, fingerprint, refuse_known }
    }
}

impl Book {
    /// A book that is kept in a file, with what it holds.
    pub fn open(path: &Path, brand_id: &str) -> Result<Self, SandboxError> {
        let (state, events) = StateFile::open(path, brand_id)?;
        let mut book = Self { state: Some(state), ..Self::default() };
        for (event, line) in events.into_iter().zip(2..) {
            book.apply(event).map_err(|reason| garbage(path, line, reason))?;
        }
        Ok(book)
    }

    /// Lets go of the state file; nothing more can be made.
    pub fn close(&mut self) {
        self.state = None;
        self.closed = true;
    }

    /// Every stock as it is at a moment.
    pub fn snapshot(&self, now: Timestamp) -> Vec<StockEntity> {
        self.stocks.iter().map(|made| made.at(now)).collect()
    }

    /// The stock that a request number stands for, if this is the same request again.
    pub fn known(&self, request: &Numbered, now: Timestamp) -> Option<Done> {
        let known = self.by_number.get(request.out_request_no)?;
        let made = self.stocks.get(known.place)?;
        Some(if known.fingerprint != request.fingerprint {
            let number = request.out_request_no;
            let message = format!("the out_request_no {number} was used for another request");
            Err(Answer::invalid_request(number::NONE, message))
        } else if request.refuse_known {
            Err(Answer::already_exists())
        } else {
            Ok(made.at(now))
        })
    }

    /// Makes a stock.
    pub fn make(
        &mut self,
        request: Numbered,
        product_coupon_id: &str,
        stock: Stock,
        now: Timestamp,
    ) -> Done {
        let live = self.of(product_coupon_id).filter(|(_, made)| made.state(now).is_live()).count();
        if live >= limits::LIVE_STOCKS {
            let most = limits::LIVE_STOCKS;
            let message = format!("the product coupon already has {most} live stocks");
            return Err(Answer::invalid_request(number::NONE, message));
        }
        let entity = StockEntity {
            product_coupon_id: product_coupon_id.into(),
            stock_id: Text((FIRST_ID + self.stocks.len()).to_string()),
            coupon_code_count_info: (stock.coupon_code_mode == CouponCodeMode::Upload)
                .then_some(CouponCodeCountInfo { total_count: 0, available_count: 0 }),
            stock: with_defaults(stock),
            sent_count_info: Some(SentCountInfo { total_count: 0, today_count: 0 }),
            state: StockState::Sending,
            deactivate_request_no: None,
            deactivate_time: None,
            deactivate_reason: None,
        };
        self.record(
            Event::Made {
                out_request_no: request.out_request_no.to_owned(),
                fingerprint: request.fingerprint,
                stock: Box::new(entity),
            },
            now,
        )
    }

    /// Deactivates a stock for good.
    pub fn deactivate(
        &mut self,
        request: Numbered,
        stock_id: &str,
        reason: &str,
        now: Timestamp,
    ) -> Done {
        let state = self.by_id.get(stock_id).and_then(|place| self.stocks.get(*place));
        let state = state.map_or(StockState::Unknown, |made| made.state(now));
        if !matches!(state, StockState::Sending | StockState::Paused) {
            let message = "only a stock that is SENDING or PAUSED can be deactivated";
            return Err(Answer::invalid_request(number::NONE, message));
        }
        // Without seconds, as in the documentation's example.
        let time =
            Offset::constant(8).to_datetime(now).strftime("%Y-%m-%dT%H:%M+08:00").to_string();
        self.record(
            Event::Deactivated {
                out_request_no: request.out_request_no.to_owned(),
                fingerprint: request.fingerprint,
                stock_id: stock_id.to_owned(),
                time,
                reason: reason.to_owned(),
            },
            now,
        )
    }

    /// One stock.
    pub fn get(&self, product_coupon_id: &str, stock_id: &str, now: Timestamp) -> Done {
        self.by_id
            .get(stock_id)
            .and_then(|place| self.stocks.get(*place))
            .filter(|made| &*made.entity.product_coupon_id == product_coupon_id)
            .map(|made| made.at(now))
            .ok_or_else(|| {
                let message = "stock_id does not exist for this product coupon";
                Answer::not_found(number::OBJECT_MISSING, message)
            })
    }

    /// A page of a product coupon's stocks, oldest first. `next_page_token` is absent on the last.
    pub fn list(&self, page: &Page, now: Timestamp) -> Value {
        let wanted = |made: &Made| page.state.is_none_or(|state| made.state(now) == state);
        let all = || self.of(page.product_coupon_id).filter(|(_, made)| wanted(made));
        let total = all().count();
        let mut rest = all().skip_while(|(place, _)| *place < page.from);
        let stocks: Vec<_> = rest.by_ref().take(page.size).map(|(_, made)| made.at(now)).collect();
        let mut answer = json!({ "total_count": total, "stock_list": stocks });
        if let Some((place, _)) = rest.next() {
            answer["next_page_token"] = page_token(place).into();
        }
        answer
    }

    fn of(&self, product_coupon_id: &str) -> impl Iterator<Item = (usize, &Made)> {
        let places = self.by_product_coupon.get(product_coupon_id);
        places
            .into_iter()
            .flatten()
            .filter_map(|place| self.stocks.get(*place).map(|made| (*place, made)))
    }

    /// Writes an event down, then lets it happen.
    fn record(&mut self, event: Event, now: Timestamp) -> Done {
        let written = match &mut self.state {
            Some(state) => state.append(&event),
            None if self.closed => Err(io::Error::other("the sandbox is stopping")),
            None => Ok(()),
        };
        let place = match written {
            Ok(()) => self.apply(event).map_err(Answer::system_error)?,
            Err(error) => {
                let message = format!("the sandbox could not write its state: {error}");
                return Err(Answer::system_error(message));
            }
        };
        let made =
            self.stocks.get(place).ok_or_else(|| Answer::system_error("the stock is gone"))?;
        Ok(made.at(now))
    }

    fn apply(&mut self, event: Event) -> Result<usize, &'static str> {
        let (out_request_no, fingerprint, place) = match event {
            Event::Made { out_request_no, fingerprint, stock } => {
                let ends = ends(&stock.stock).ok_or("the stock has no end time")?;
                let place = self.stocks.len();
                let product_coupon_id = stock.product_coupon_id.0.clone();
                if self.by_id.insert(stock.stock_id.0.clone(), place).is_some() {
                    return Err("the stock id was there before");
                }
                self.by_product_coupon.entry(product_coupon_id).or_default().push(place);
                self.stocks.push(Made { entity: *stock, ends });
                (out_request_no, fingerprint, place)
            }
            Event::Deactivated { out_request_no, fingerprint, stock_id, time, reason } => {
                let place = *self.by_id.get(&stock_id).ok_or("there is no such stock")?;
                let made = self.stocks.get_mut(place).ok_or("there is no such stock")?;
                made.entity.state = StockState::Deactivated;
                made.entity.deactivate_request_no = Some(Text(out_request_no.clone()));
                made.entity.deactivate_time = Some(Text(time));
                made.entity.deactivate_reason = Some(Text(reason));
                (out_request_no, fingerprint, place)
            }
        };
        self.by_number.insert(out_request_no, Known { fingerprint, place });
        Ok(place)
    }
}

impl Made {
    fn state(&self, now: Timestamp) -> StockState {
        match self.entity.state {
            StockState::Sending if self.ends <= now => StockState::Stopped,
            state => state,
        }
    }

    fn at(&self, now: Timestamp) -> StockEntity {
        StockEntity { state: self.state(now), ..self.entity.clone() }
    }
}

/// Where a page begins, as clients get to see it.
fn page_token(place: usize) -> String {
    format!("p{place:x}")
}

/// The place in a page token, if it is one.
pub(super) fn read_page_token(token: &str) -> Option<usize> {
    let place = usize::from_str_radix(token.strip_prefix('p')?, 16).ok()?;
    (page_token(place) == token).then_some(place)
}

fn with_defaults(mut stock: Stock) -> Stock {
    stock.coupon_display_info.background_color.get_or_insert(BackgroundColor::Color020);
    if let Some(rule) = &mut stock.sequential_usage_rule {
        rule.special_first.get_or_insert(false);
    }
    stock
}

fn ends(stock: &Stock) -> Option<Timestamp> {
    let single = stock.single_usage_rule.as_ref().map(|rule| &rule.coupon_available_period);
    let sequential = stock.sequential_usage_rule.as_ref().map(|rule| &rule.coupon_available_period);
    single.or(sequential)?.available_end_time.parse().ok()
}
