//! couponctl: GitOps for WeChat Pay coupon batches. The command-line program is `main.rs`; this
//! library holds the rooms it is made of, from the files to the API and back.

pub mod apply;
pub mod cache;
pub mod cli;
pub mod config;
pub mod desired;
pub mod doctor;
pub mod identity;
pub mod lockfile;
pub mod parallel;
pub mod plain;
pub mod plan;
pub mod render;
pub mod sandbox;
pub mod saved_plan;
pub mod stamp;
pub mod validate;
pub mod watch;
pub mod wechatpay;
pub mod workspace;

/// A point at which a debug build can be made to die, for tests of what survives: the process aborts
/// here when `COUPONCTL_CRASH_AT` is this name, or `name:N` and this is the N-th time.
#[cfg(debug_assertions)]
pub(crate) fn crash_point(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static PASSED: AtomicU32 = AtomicU32::new(0);
    let Ok(wanted) = std::env::var("COUPONCTL_CRASH_AT") else { return };
    let (point, times) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if point == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 >= times.parse().unwrap_or(1) {
        std::process::abort();
    }
}

/// Crash points are for debug builds only.
#[cfg(not(debug_assertions))]
pub(crate) fn crash_point(_name: &str) {}
