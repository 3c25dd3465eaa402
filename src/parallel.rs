//! The same small work on each of many items, on all cores. Threads live no longer than the work.

use std::thread;

/// Items that one more thread is worth starting for, at some microseconds an item.
const ITEMS_A_THREAD: usize = 256;

/// How many threads a piece of work on so many items is worth, when one is for so many of them.
#[must_use]
pub fn threads_for(items: usize, a_thread: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores.min(items / a_thread + 1)
}

/// What the work makes of each item, in order.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let parts = map_parts(items, |items| items.iter().map(&work).collect::<Vec<R>>());
    let mut parts = parts.into_iter();
    let mut results = parts.next().unwrap_or_default();
    parts.for_each(|part| results.extend(part));
    results
}

/// What the work makes of each part of the items, one part a thread, in order.
pub fn map_parts<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> R + Sync) -> Vec<R> {
    let threads = threads_for(items.len(), ITEMS_A_THREAD);
    let parts: Vec<_> = items.chunks(items.len().div_ceil(threads).max(1)).collect();
    each(&parts, |part| work(part))
}

/// What the work makes of each item, one item a thread, in order.
pub fn each<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let [ours, others @ ..] = items else { return Vec::new() };
    thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = others.iter().map(|item| scope.spawn(move || work(item))).collect();
        let mut results = vec![work(ours)];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_are_in_the_order_of_the_items() {
        for count in [0, 1, 255, 257, 5000] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(
                super::map(&items, |item| item * 2),
                (0..count).map(|i| i * 2).collect::<Vec<_>>()
            );
        }
    }
}
