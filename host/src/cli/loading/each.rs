//! Runs a function on several items in parallel.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// Calls `one` for each item, `width` at a time, started in the order of the items. Unless `all` is set, no item is started
/// after a failure; its result is None. So every item before the first failed one has a result, and which failure is the first
/// does not depend on timing.
pub(super) fn each<I: Sync, T: Send, E: Send>(
    items: &[I],
    width: usize,
    all: bool,
    one: impl Fn(&I) -> Result<T, E> + Sync,
) -> Vec<Option<Result<T, E>>> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let work = || {
        while all || !failed.load(Ordering::Relaxed) {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(n) else {
                return;
            };
            let result = one(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((n, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..width.min(items.len()) {
            // If the thread cannot be started, the other threads do its work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut results: Vec<_> = items.iter().map(|_| None).collect();
    for (n, result) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        if let Some(place) = results.get_mut(n) {
            *place = Some(result);
        }
    }
    results
}

/// All results, or the first failure in the order of the items.
pub(super) fn or_first_failure<T, E>(results: Vec<Option<Result<T, E>>>) -> Result<Vec<T>, E> {
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;

    #[test]
    fn each_item_is_processed_once_and_results_keep_their_order() {
        for width in [0, 1, 3, 100] {
            let items: Vec<_> = (0..20).collect();
            let done = Mutex::new(Vec::new());
            let results = each(&items, width, false, |item| {
                done.lock().unwrap().push(*item);
                Ok::<_, ()>(item * 2)
            });
            let doubled: Vec<_> = items.iter().map(|item| item * 2).collect();
            assert_eq!(or_first_failure(results), Ok(doubled));
            let mut done = done.into_inner().unwrap();
            done.sort_unstable();
            assert_eq!(done, items);
        }
    }

    #[test]
    fn at_most_width_items_run_at_once() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        each(&[(); 12], 3, false, |()| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, ()>(())
        });
        assert!(most.into_inner() <= 3);
    }

    #[test]
    fn first_failure_in_order_is_returned_and_not_the_fastest() {
        let results = each(&[30, 0, 10], 3, false, |wait| {
            thread::sleep(Duration::from_millis(*wait));
            Err::<(), _>(*wait)
        });
        assert_eq!(or_first_failure(results), Err(30));
    }

    #[test]
    fn no_item_is_started_after_a_failure_unless_all_are_wanted() {
        let items = [0, 1, 2, 3];
        let fail = |item: &i32| if *item == 1 { Err(*item) } else { Ok(*item) };
        let begun = |results: Vec<Option<Result<i32, i32>>>| -> BTreeSet<_> {
            let values = results.into_iter().flatten();
            values.map(|result| result.unwrap_or_else(|item| item)).collect()
        };
        assert_eq!(begun(each(&items, 1, false, fail)), BTreeSet::from([0, 1]));
        assert_eq!(begun(each(&items, 1, true, fail)), BTreeSet::from([0, 1, 2, 3]));
    }
}
