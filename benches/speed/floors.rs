//! What the figures are held against: the least work that the same answer takes with the same crates.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use couponctl::desired::StockDocument;

/// All stock files of a workspace made by `corpus`.
pub fn files(root: &Path, stocks: usize) -> Vec<PathBuf> {
    (0..stocks).map(|number| root.join(crate::corpus::path(number))).collect()
}

/// Reads files and deserialises them with the YAML crate, on all cores. Gives the number of documents.
pub fn read_and_deserialise(files: &[PathBuf]) -> usize {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut read = 0;
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let text = std::fs::read_to_string(file).expect("a file of the corpus");
            let document: StockDocument = serde_yaml::from_str(&text).expect("a stock");
            std::hint::black_box(document);
            read += 1;
        }
        read
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let ours = work();
        others.into_iter().map(|other| other.join().expect("no panic")).sum::<usize>() + ours
    })
}

/// Reads a file and checks that it is JSON.
pub fn read_and_check_json(file: &Path) {
    let bytes = std::fs::read(file).expect("the lock");
    let _: serde::de::IgnoredAny = serde_json::from_slice(&bytes).expect("JSON");
}
