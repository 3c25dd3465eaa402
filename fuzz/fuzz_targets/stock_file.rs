//! Any text as a stock file: no panic, both readers say the same, and every problem can be drawn.
#![no_main]

use couponctl::desired::{check_text, check_text_carefully};
use couponctl::render::problems;
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let now = Timestamp::UNIX_EPOCH;
    let (stocks, diagnostics) = check_text("stocks/a.yaml", text, now);
    assert_eq!(check_text_carefully("stocks/a.yaml", text, now), (stocks, diagnostics.clone()), "the readers disagree");
    let _ = problems::text(&diagnostics, true);
    let _ = problems::json(&diagnostics);
    let _ = problems::github(&diagnostics);
});
