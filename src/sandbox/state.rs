//! What the sandbox remembers: its stocks and the requests that made them, appended to a file line by
//! line before an answer goes out, so that a killed sandbox forgets nothing that it said.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SandboxError;

/// The first line of a state file.
const HEADER: &str = "{\"couponctl_sandbox_state\":1}";
/// The first stock's id.
const FIRST_ID: u64 = 1_000_000_013_001;

/// A stock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredStock {
    /// The product coupon that it belongs to.
    pub product_coupon_id: String,
    /// Its content, defaults filled in.
    pub stock: Value,
    /// The request that made it.
    pub out_request_no: String,
    /// That request's body.
    pub body: String,
    /// Set once it is deactivated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deactivated: Option<Deactivated>,
}

/// When and why a stock was deactivated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deactivated {
    /// The request.
    pub request_no: String,
    /// RFC 3339.
    pub time: String,
    /// As the brand gave it.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Made { stock_id: u64, made: StoredStock },
    Deactivated { stock_id: u64, deactivated: Deactivated },
}

/// Everything that the sandbox remembers.
#[derive(Debug, Default)]
pub struct State {
    /// By id.
    pub stocks: BTreeMap<u64, StoredStock>,
    /// Ids by the request number that made them.
    pub by_number: HashMap<String, u64>,
    file: Option<(PathBuf, File)>,
}

impl StoredStock {
    /// The moment from which on it is of no use.
    fn end(&self) -> Option<Timestamp> {
        let rule =
            self.stock.get("single_usage_rule").or(self.stock.get("sequential_usage_rule"))?;
        rule.get("coupon_available_period")?.get("available_end_time")?.as_str()?.parse().ok()
    }

    /// `SENDING`, `STOPPED` or `DEACTIVATED`.
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.deactivated.is_some() {
            "DEACTIVATED"
        } else if self.end().is_some_and(|end| end <= now) {
            "STOPPED"
        } else {
            "SENDING"
        }
    }
}

impl State {
    /// Opens the state of a file, or an empty one that nothing keeps.
    pub fn open(path: Option<PathBuf>) -> Result<Self, SandboxError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let broken = |message: String| SandboxError::Home { path: path.clone(), message };
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|error| broken(error.to_string()))?;
        file.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => {
                broken("another sandbox uses this state; stop it, or use another state".to_owned())
            }
            std::fs::TryLockError::Error(error) => broken(error.to_string()),
        })?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|error| broken(error.to_string()))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut state = Self::default();
        let mut lines = text[..whole].lines();
        if lines.next().is_some_and(|first| first != HEADER) {
            return Err(broken(
                "this is no state of this sandbox version; delete it to begin anew".to_owned(),
            ));
        }
        for (index, line) in lines.enumerate() {
            let line = serde_json::from_str(line).map_err(|error| {
                broken(format!("line {}: {error}; delete the file to begin anew", index + 2))
            })?;
            state.take(line);
        }
        // A last line that was cut off was never answered.
        file.set_len(whole as u64).map_err(|error| broken(error.to_string()))?;
        if whole == 0 {
            writeln!(file, "{HEADER}").map_err(|error| broken(error.to_string()))?;
        }
        state.file = Some((path, file));
        Ok(state)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Made { stock_id, made } => {
                self.by_number.insert(made.out_request_no.clone(), stock_id);
                self.stocks.insert(stock_id, made);
            }
            Line::Deactivated { stock_id, deactivated } => {
                if let Some(stock) = self.stocks.get_mut(&stock_id) {
                    stock.deactivated = Some(deactivated);
                }
            }
        }
    }

    fn keep(&mut self, line: Line) -> std::io::Result<()> {
        if let Some((_, file)) = &mut self.file {
            let mut text = serde_json::to_string(&line)?;
            text.push('\n');
            file.write_all(text.as_bytes())?;
        }
        self.take(line);
        Ok(())
    }

    /// Makes a stock.
    pub fn make(&mut self, made: StoredStock) -> std::io::Result<u64> {
        let stock_id = self.stocks.keys().next_back().map_or(FIRST_ID, |last| last + 1);
        self.keep(Line::Made { stock_id, made })?;
        Ok(stock_id)
    }

    /// Deactivates a stock for good.
    pub fn deactivate(&mut self, stock_id: u64, deactivated: Deactivated) -> std::io::Result<()> {
        self.keep(Line::Deactivated { stock_id, deactivated })
    }

    /// Stocks of a product coupon that count among its 200.
    pub fn live(&self, product_coupon_id: &str, now: Timestamp) -> usize {
        self.stocks
            .values()
            .filter(|stock| stock.product_coupon_id == product_coupon_id)
            .filter(|stock| stock.state(now) == "SENDING")
            .count()
    }
}
