//! Writes a workspace to measure with: `cargo run --release --example corpus -- FOLDER STOCKS [--lock]`.
//! With `--floor` it is only read, as the floors of the benchmarks do, and the times are printed.

mod corpus;
mod floors;

use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, stocks, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("give a folder, a number of stocks, and --lock for a lock that holds them");
    };
    let (root, stocks) = (PathBuf::from(folder), stocks.parse()?);
    let has = |word: &str| rest.iter().any(|given| given == word);
    if has("--floor") {
        floor(&root, stocks);
        return Ok(());
    }
    corpus::workspace(&root, stocks)?;
    if has("--lock") {
        corpus::lock(&root)?;
    }
    if has("--spoil") {
        corpus::spoil(&root, stocks)?;
    }
    Ok(())
}

fn floor(root: &Path, stocks: usize) {
    let files = floors::files(root, stocks);
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(7_usize);
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let begin = Instant::now();
            floors::read_and_deserialise(&files);
            begin.elapsed()
        })
        .collect();
    times.sort();
    println!("read and deserialise: median {:?}, least {:?}", times[rounds / 2], times[0]);
    let lock = root.join(couponctl::lockfile::FILE_NAME);
    if lock.exists() {
        let mut times: Vec<_> = (0..rounds)
            .map(|_| {
                let begin = Instant::now();
                floors::read_and_check_json(&lock);
                let floor = begin.elapsed();
                let begin = Instant::now();
                std::hint::black_box(couponctl::lockfile::read::read(&lock, "120344").is_ok());
                (floor, begin.elapsed())
            })
            .collect();
        times.sort();
        println!("lock: check JSON {:?}, read {:?}", times[rounds / 2].0, times[rounds / 2].1);
    }
}
