//! Goes through all stock files on all cores: while one thread still walks the folders, the others are
//! at work on the files that it has come to.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};

use super::files::{Finder, Found};

/// Files that are handed over at a time: few, so that all threads end at nearly the same moment.
const BATCH: usize = 32;

type Batch = Vec<(usize, Found)>;

/// Does some work on each file of a workspace, once what it needs is prepared, which goes on beside the
/// walk. Gives what was prepared, and the results in the order of the walk.
pub fn sweep<P: Sync, T: Send>(
    finder: &Finder,
    prepare: impl FnOnce() -> P,
    work: impl Fn(&P, Found) -> T + Sync,
) -> (P, Vec<T>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (send, receive) = mpsc::channel::<Batch>();
    let receive = Mutex::new(receive);
    let (prepared, mut results) = std::thread::scope(|scope| {
        scope.spawn(move || {
            walk(finder, &send);
            // Without a sender, those who work know that they are done.
            drop(send);
        });
        let prepared = prepare();
        let drain = || drain(&receive, |found| work(&prepared, found));
        let results = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(drain)).collect();
            let mut results = drain();
            for other in others {
                match other.join() {
                    Ok(more) => results.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            results
        });
        (prepared, results)
    });
    // Stable, since that sort takes what each thread did as one run that is in order.
    results.sort_by_key(|(number, _)| *number);
    (prepared, results.into_iter().map(|(_, result)| result).collect())
}

fn walk(finder: &Finder, send: &Sender<Batch>) {
    let (mut number, mut batch) = (0, Batch::with_capacity(BATCH));
    finder.walk(|found| {
        batch.push((number, found));
        number += 1;
        if batch.len() == BATCH {
            // Where nobody receives any more, a panic is on its way.
            let _ = send.send(std::mem::replace(&mut batch, Batch::with_capacity(BATCH)));
        }
    });
    let _ = send.send(batch);
}

/// Works until the walk is over and nothing is left.
fn drain<T>(batches: &Mutex<Receiver<Batch>>, work: impl Fn(Found) -> T) -> Vec<(usize, T)> {
    let next = || batches.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let mut results = Vec::new();
    while let Some(batch) = next() {
        results.extend(batch.into_iter().map(|(number, found)| (number, work(found))));
    }
    results
}
