//! Goes through all stock files on all cores: while one thread still walks the folders, the others are
//! at work on the files that it has come to.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};

use super::files::{Candidate, Finder, Found};

/// Files that are handed over at a time: few, so that all threads end at nearly the same moment.
const BATCH: usize = 32;

type Batch = Vec<(usize, Candidate)>;

/// Does some work on each file of a workspace. Gives the results in the order of the walk.
pub fn sweep<T: Send>(finder: &Finder, work: impl Fn(Found) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (send, receive) = mpsc::channel::<Batch>();
    let receive = Mutex::new(receive);
    let drain = || drain(finder, &receive, &work);
    let mut results = std::thread::scope(|scope| {
        let mut others = Vec::new();
        let (mut number, mut batch) = (0, Batch::with_capacity(BATCH));
        finder.walk(|candidate| {
            batch.push((number, candidate));
            number += 1;
            if batch.len() == BATCH {
                // The receiver lives as long as this scope.
                let _ = send.send(std::mem::replace(&mut batch, Batch::with_capacity(BATCH)));
                if others.len() + 1 < threads {
                    others.push(scope.spawn(drain));
                }
            }
        });
        let _ = send.send(batch);
        drop(send);
        let mut results = drain();
        for other in others {
            match other.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Works until the walk is over and nothing is left.
fn drain<T>(
    finder: &Finder,
    batches: &Mutex<Receiver<Batch>>,
    work: impl Fn(Found) -> T,
) -> Vec<(usize, T)> {
    let next = || batches.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    let mut results = Vec::new();
    while let Some(batch) = next() {
        let done = batch.into_iter().map(|(number, file)| (number, work(finder.look(file))));
        results.extend(done);
    }
    results
}
