//! Many runs on all processors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

/// Does every job, on so many threads; what came of each, in the order of the jobs.
pub fn all<J: Sync, R: Send>(jobs: &[J], threads: usize, work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, R>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while let Some((place, job)) = {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(place).map(|found| (place, found))
                } {
                    let result = work(job);
                    done.lock().insert(place, result);
                }
            });
        }
    });
    done.into_inner().into_values().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..100).collect();
        // The first jobs take longest.
        let slow =
            |job: &u64| (0..(100 - job) * 1000).fold(*job, |sum, add| sum.wrapping_add(add % 2) - add % 2);
        for threads in [0, 1, 3, 200] {
            assert_eq!(super::all(&jobs, threads, slow), jobs);
        }
        assert!(super::all(&[], 4, slow).is_empty());
    }
}
