//! The only room that changes the world: carries a plan out through the client, and makes each step
//! durable before the next counts on it.

pub mod outcome;
pub mod settle;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::crash_point;
use crate::identity::{self, OutRequestNo, StockName};
use crate::lockfile::append::Appender;
use crate::lockfile::journal::{Closed, Intent, Record, Result as MadeRecord};
use crate::lockfile::{Holders, Lock};
use crate::plan::{Action, Change};
use crate::wechatpay::client::{self, Answer, Client};
use crate::wechatpay::content;
use crate::wechatpay::entity::StockEntity;
use crate::wechatpay::error::ApiError;
use crate::wechatpay::stock::Stock;
use outcome::{Event, Failure, Outcome, Success};
use settle::{Found, Listings};

/// Requests in flight at most, as a multiple of those that go out in a second: answers that take
/// this many seconds do not empty the pipe.
const SECONDS_IN_FLIGHT: u32 = 4;
/// Requests in flight at most, whatever the pace.
const MOST_IN_FLIGHT: u32 = 256;

/// The moment as the lock and the journal write it: RFC 3339 in UTC, whole seconds.
#[must_use]
pub fn timestamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What carrying out a plan needs.
#[derive(Debug)]
pub struct Engine {
    client: Client,
    recorder: Recorder,
    /// Requests that an earlier run left open: whatever is answered to them now, they may have made
    /// a stock then.
    open_before: HashSet<OutRequestNo>,
    requests_per_second: u32,
}

/// One stock to be made.
#[derive(Debug, Clone)]
struct Job {
    intent: Intent,
    asked: Arc<Stock>,
    replaces: Option<String>,
    /// The stock that this very request made before, as the lock says.
    gives_back: Option<String>,
    open_before: bool,
}

/// What came of a job: settled, or to be looked for once all others are.
#[derive(Debug)]
enum Step {
    Settled(Outcome),
    AlreadyExists(Box<Job>, ApiError),
}

impl Engine {
    /// An engine that records into a hold's journal.
    #[must_use]
    pub fn new(
        client: Client,
        journal: Appender,
        lock: &Lock,
        open: &[Intent],
        requests_per_second: u32,
    ) -> Self {
        Self {
            client,
            recorder: Recorder { journal, holders: Arc::new(Mutex::new(lock.holders())) },
            open_before: open.iter().map(|intent| intent.out_request_no.clone()).collect(),
            requests_per_second,
        }
    }

    /// Makes the stocks of a plan, several at a time. One that fails does not stop the others. Every
    /// stock that was made is durable in the journal when this comes back.
    pub async fn make(&self, changes: &[Change], observe: &mut dyn FnMut(&Event)) -> Vec<Outcome> {
        let jobs: Vec<Job> = changes.iter().filter_map(|change| self.job(change)).collect();
        let in_flight = self.requests_per_second.saturating_mul(SECONDS_IN_FLIGHT);
        let slots = Arc::new(Semaphore::new(in_flight.clamp(8, MOST_IN_FLIGHT) as usize));
        let (events, mut received) = mpsc::unbounded_channel();
        let mut running = JoinSet::new();
        for job in jobs {
            let worker = Worker {
                client: self.client.clone(),
                recorder: self.recorder.clone(),
                events: events.clone(),
            };
            let slots = Arc::clone(&slots);
            running.spawn(async move {
                // The semaphore is never closed; without a permit there would only be more at once.
                let _permit = slots.acquire_owned().await;
                worker.make(job).await
            });
        }
        drop(events);
        let mut outcomes = Vec::new();
        let mut existing = Vec::new();
        loop {
            tokio::select! {
                biased;
                Some(event) = received.recv() => observe(&event),
                step = running.join_next() => match step {
                    Some(Ok(Step::Settled(outcome))) => {
                        observe(&Event::Finished(outcome.clone()));
                        outcomes.push(outcome);
                    }
                    Some(Ok(Step::AlreadyExists(job, error))) => existing.push((job, error)),
                    // A task that panicked leaves its intent open, for the next run to settle.
                    Some(Err(_)) => {}
                    None => break,
                },
            }
        }
        // Only now, when no request is in flight that could make a stock with the same content.
        let mut listings = Listings::default();
        for (job, error) in existing {
            let outcome = self.adopt(*job, error, &mut listings).await;
            observe(&Event::Finished(outcome.clone()));
            outcomes.push(outcome);
        }
        outcomes.sort_by(|a, b| a.name().cmp(b.name()));
        outcomes
    }

    fn job(&self, change: &Change) -> Option<Job> {
        if !matches!(change.action, Action::Create | Action::Replace) {
            return None;
        }
        let asked = change.after.clone()?;
        let stock = RawValue::from_string(identity::canonical_stock(&asked)).ok()?;
        let intent = Intent {
            name: change.name.clone(),
            product_coupon_id: change.product_coupon_id.clone(),
            generation: change.generation,
            content_sha256: change.content_sha256.clone(),
            out_request_no: change.out_request_no.clone(),
            sent_at: String::new(),
            gives_back: change.gives_back.is_some(),
            stock,
        };
        let open_before = self.open_before.contains(&change.out_request_no);
        let (replaces, gives_back) = (change.stock_id.clone(), change.gives_back.clone());
        Some(Job { intent, asked, replaces, gives_back, open_before })
    }

    /// Settles a request that the API says was used before: finds the stock that it made.
    async fn adopt(&self, job: Job, error: ApiError, listings: &mut Listings) -> Outcome {
        let name = job.intent.name.clone();
        let coupon = job.intent.product_coupon_id.clone();
        let fail = |failure| Outcome::failed(&name, &coupon, failure);
        if let Some(stock_id) = &job.gives_back {
            return match self.client.get_stock(&coupon, stock_id).await {
                Ok(answer) => self.recorder.check_and_record(&job, answer, Success::Adopted).await,
                Err(error) => fail(Failure::Api(error)),
            };
        }
        let listed = match listings.of(&self.client, &coupon).await {
            Ok(listed) => listed,
            Err(error) => return fail(Failure::Api(error)),
        };
        let found = settle::find(listed, &coupon, &job.asked, &self.recorder.holders());
        match found {
            Found::One(entity) if entity.state.is_live() => {
                self.recorder.record(&job, &entity, Success::Adopted).await
            }
            Found::One(entity) => {
                fail(Failure::AlreadyExists { error, candidates: vec![(&*entity).into()] })
            }
            Found::None => fail(Failure::AlreadyExists { error, candidates: Vec::new() }),
            Found::Several(candidates) => fail(Failure::AlreadyExists { error, candidates }),
        }
    }
}

/// Makes durable what was learned, and knows who holds which stock.
#[derive(Debug, Clone)]
struct Recorder {
    journal: Appender,
    /// The lock's, and what this run has recorded.
    holders: Arc<Mutex<Holders>>,
}

struct Worker {
    client: Client,
    recorder: Recorder,
    events: mpsc::UnboundedSender<Event>,
}

impl Worker {
    async fn make(self, mut job: Job) -> Step {
        let name = job.intent.name.clone();
        let coupon = job.intent.product_coupon_id.clone();
        let fail = |failure| Step::Settled(Outcome::failed(&name, &coupon, failure));
        if self.client.is_stopped() {
            return Step::Settled(Outcome::NotStarted { name });
        }
        job.intent.sent_at = timestamp(Timestamp::now());
        let intent = Record::Intent(job.intent.clone());
        if let Err(error) = self.recorder.journal.append(&intent).await {
            return fail(Failure::Journal { error, stock_id: None });
        }
        crash_point("after-intent");
        let number = &job.intent.out_request_no;
        let body = identity::request_body(number, job.intent.stock.get());
        let events = self.events.clone();
        let of = name.clone();
        let report = move |event| {
            if let client::Event::Retrying { attempt, error, wait } = event {
                // Nobody listens any more only when the run is over.
                let _ = events.send(Event::Retry { name: of.clone(), attempt, error, wait });
            }
        };
        match self.client.add_stock(&coupon, &body, &report).await {
            Ok(answer) => {
                crash_point("after-answer");
                Step::Settled(self.recorder.check_and_record(&job, answer, Success::Created).await)
            }
            Err(error) if error.is_already_exists() => Step::AlreadyExists(Box::new(job), error),
            Err(error) => {
                if !error.outcome_unknown() && !job.open_before {
                    let reason = error.to_string();
                    let closed = Closed { out_request_no: number.clone(), reason };
                    // Left open, it is settled by the next run: no harm.
                    let _ = self.recorder.journal.append(&Record::Closed(closed)).await;
                }
                if matches!(error, ApiError::Stopped { attempts: 0, .. }) {
                    Step::Settled(Outcome::NotStarted { name })
                } else {
                    fail(Failure::Api(error))
                }
            }
        }
    }
}

impl Recorder {
    /// The holders, also when a task died while it held them: a map of ids is never half changed.
    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a verified answer, provided that it is the stock asked for.
    async fn check_and_record(
        &self,
        job: &Job,
        answer: Answer<StockEntity>,
        how: Success,
    ) -> Outcome {
        let intent = &job.intent;
        let entity = answer.value;
        let fail = |failure| Outcome::failed(&intent.name, &intent.product_coupon_id, failure);
        let differences = content::differences((&intent.product_coupon_id, &job.asked), &entity);
        let not_asked = if !differences.is_empty() {
            Some(Failure::OtherContent {
                stock_id: entity.stock_id.to_string(),
                differences,
                request_id: answer.request_id,
            })
        } else if !entity.state.is_live() {
            Some(Failure::Dead {
                stock_id: entity.stock_id.to_string(),
                state: entity.state,
                request_id: answer.request_id,
            })
        } else {
            None
        };
        if let Some(failure) = not_asked {
            // The number is settled: it stands for this other stock, now and on every further try.
            let reason = format!(
                "the API answers with stock {}, which is not what was asked",
                entity.stock_id
            );
            let closed = Closed { out_request_no: intent.out_request_no.clone(), reason };
            return match self.journal.append(&Record::Closed(closed)).await {
                Ok(()) => fail(failure),
                Err(error) => fail(Failure::Journal { error, stock_id: None }),
            };
        }
        self.record(job, &entity, how).await
    }

    async fn record(&self, job: &Job, entity: &StockEntity, how: Success) -> Outcome {
        let intent = &job.intent;
        let fail = |failure| Outcome::failed(&intent.name, &intent.product_coupon_id, failure);
        let stock_id = entity.stock_id.to_string();
        let holder = self.holders().of(&stock_id).cloned();
        if let Some(holder) = holder.filter(|holder| *holder != intent.name) {
            return fail(Failure::Taken { stock_id, holder });
        }
        let made = MadeRecord {
            out_request_no: intent.out_request_no.clone(),
            stock_id: stock_id.clone(),
            created_at: timestamp(Timestamp::now()),
        };
        if let Err(error) = self.journal.append(&Record::Made(made)).await {
            return fail(Failure::Journal { error, stock_id: Some(stock_id) });
        }
        crash_point("after-result");
        self.holders().insert(stock_id.clone(), intent.name.clone());
        Outcome::Done {
            name: intent.name.clone(),
            product_coupon_id: intent.product_coupon_id.clone(),
            stock_id,
            replaces: job.replaces.clone(),
            how,
        }
    }
}

/// Names of stocks by the request that asks for them now.
#[must_use]
pub fn asked_for(changes: &[Change]) -> HashMap<OutRequestNo, StockName> {
    changes
        .iter()
        .filter(|change| change.makes())
        .map(|change| (change.out_request_no.clone(), change.name.clone()))
        .collect()
}
