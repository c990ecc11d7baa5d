//! Prefetch: worker threads prepare the inputs of the next training steps while the present step is computed.

use crate::error::{Error, Result};
use crate::profile::{self, Phase};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The state that the workers and the consumer share.
struct Queue<T> {
    /// First step that no worker has taken.
    next: u64,
    /// First step that the consumer has not taken.
    wanted: u64,
    ready: BTreeMap<u64, Result<T>>,
    closed: bool,
}

/// Calls `consume` with an iterator over the results of `prepare` for each step of `steps`, in order.
///
/// `workers` threads prepare the results, and at most `waiting` of them are ready before they are needed. Where one of
/// the two numbers is 0, each result is prepared when it is needed. The result of `prepare` must depend on the step
/// alone; then the numbers change nothing but the speed.
pub(super) fn prefetch<T: Send, R>(
    steps: Range<u64>,
    workers: usize,
    waiting: usize,
    prepare: impl Fn(u64) -> Result<T> + Sync,
    consume: impl FnOnce(&mut dyn Iterator<Item = Result<T>>) -> Result<R>,
) -> Result<R> {
    if workers == 0 || waiting == 0 {
        return consume(&mut steps.map(prepare));
    }
    // A thread pool of its own for the parallel work in `prepare`: in the pool of the training it would have to wait
    // for the work that needs its result.
    let pool = rayon::ThreadPoolBuilder::new().thread_name(|at| format!("loader-{at}")).build();
    let pool = pool.map_err(|error| Error::failed(format!("cannot start the threads that open clips: {error}")))?;
    let queue = Mutex::new(Queue { next: steps.start, wanted: steps.start, ready: BTreeMap::new(), closed: false });
    let changed = Condvar::new();
    // The queue is valid even after a panic of the thread that held it.
    let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    let wait = |guard| changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
    let close = Close(&|| {
        lock().closed = true;
        changed.notify_all();
    });
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                // If `prepare` panics, the consumer must not wait for its result.
                let panicked = Close(close.0);
                loop {
                    let mut guard: MutexGuard<Queue<T>> = lock();
                    while !guard.closed && guard.next >= guard.wanted + waiting as u64 && guard.next < steps.end {
                        guard = wait(guard);
                    }
                    if guard.closed || guard.next >= steps.end {
                        break;
                    }
                    let step = guard.next;
                    guard.next += 1;
                    drop(guard);
                    let prepared = pool.install(|| prepare(step));
                    lock().ready.insert(step, prepared);
                    changed.notify_all();
                }
                std::mem::forget(panicked);
            });
        }
        let _close = Close(close.0);
        consume(&mut std::iter::from_fn(|| {
            let _span = profile::span(Phase::Wait);
            let mut guard = lock();
            if guard.wanted >= steps.end {
                return None;
            }
            loop {
                let wanted = guard.wanted;
                if let Some(prepared) = guard.ready.remove(&wanted) {
                    guard.wanted += 1;
                    changed.notify_all();
                    return Some(prepared);
                }
                if guard.closed {
                    return Some(Err(Error::failed("a thread that prepares inputs has died")));
                }
                guard = wait(guard);
            }
        }))
    })
}

/// Calls its function when it is dropped.
struct Close<'a>(&'a (dyn Fn() + Sync));

impl Drop for Close<'_> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    #[test]
    fn results_come_in_order_whatever_the_number_of_workers() {
        for (workers, most_waiting) in [(0, 4), (1, 1), (3, 2), (8, 16)] {
            let waiting = AtomicI64::new(0);
            let most = AtomicI64::new(0);
            let prepare = |step: u64| {
                std::thread::sleep(Duration::from_micros(step * 7919 % 300));
                most.fetch_max(waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                Ok(step * step)
            };
            let got: Vec<u64> = prefetch(5..60, workers, most_waiting, prepare, |inputs| {
                inputs.inspect(|_| assert!(waiting.fetch_sub(1, Ordering::SeqCst) > 0)).collect()
            })
            .unwrap();
            assert_eq!(got, (5..60).map(|step| step * step).collect::<Vec<_>>());
            assert!(most.load(Ordering::SeqCst) <= 1 + most_waiting.max(workers) as i64);
        }
    }

    #[test]
    fn a_consumer_may_stop_early_and_an_error_comes_at_its_step() {
        let prepare = |step: u64| if step == 7 { Err(Error::failed("no clip")) } else { Ok(step) };
        let first = prefetch(0..1000, 2, 4, prepare, |inputs| Ok(inputs.take(3).count())).unwrap();
        assert_eq!(first, 3);
        let all = prefetch(0..10, 2, 4, prepare, |inputs| inputs.collect::<Result<Vec<u64>>>());
        assert!(all.unwrap_err().to_string().contains("no clip"));
        let mut seen = 0;
        let _ = prefetch(0..10, 2, 4, prepare, |inputs| {
            for input in inputs {
                seen += 1;
                input?;
            }
            Ok(())
        });
        assert_eq!(seen, 8);
    }

    #[test]
    fn a_worker_that_panics_leaves_nobody_waiting() {
        let prepare = |step: u64| if step == 3 { panic!("as the test wants") } else { Ok(step) };
        let outcome = std::panic::catch_unwind(|| {
            prefetch(0..10, 1, 2, prepare, |inputs| inputs.collect::<Result<Vec<u64>>>()).is_err()
        });
        assert!(outcome.is_err() || outcome.is_ok_and(|failed| failed));
    }
}
