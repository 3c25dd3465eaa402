//! `couponctl schema`: the JSON Schema of a stock document.

use super::terminal::Terminal;
use super::{Ended, Status};
use crate::desired::schema;

pub fn run(terminal: &Terminal) -> Ended {
    terminal.result(&format!("{:#}\n", schema::json()))?;
    Ok(Status::Done)
}
