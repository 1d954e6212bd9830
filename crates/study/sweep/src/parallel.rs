//! Many jobs on all cores of one machine.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// What [`watched()`] tells.
#[derive(Debug)]
pub enum News<R> {
    /// The job of this place is done.
    Done(usize, R),
    /// A tenth of a second without news.
    None,
}

/// Does every job, on so many threads, and tells on this thread what came of each as it comes, and now and then that nothing did. `Break` ends it;
/// so it can be ended although a job never ends: its thread is left behind.
///
/// `work` gets the number of its thread, and the place of the job.
///
/// # Errors
/// The system gives no thread.
pub fn watched<R: Send + 'static, B>(
    jobs: usize,
    threads: usize,
    work: impl Fn(usize, usize) -> R + Send + Sync + 'static,
    mut tell: impl FnMut(News<R>) -> ControlFlow<B>,
) -> io::Result<ControlFlow<B>> {
    let next = Arc::new(AtomicUsize::new(0));
    let work = Arc::new(work);
    let (send, receive) = mpsc::channel();
    for number in 0..threads.clamp(1, jobs.max(1)) {
        let (next, work, send) = (Arc::clone(&next), Arc::clone(&work), send.clone());
        // The thread is not joined: one that hangs in a job would never end.
        std::thread::Builder::new().name(format!("points-{number}")).spawn(move || {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if place >= jobs || send.send((place, work(number, place))).is_err() {
                    return;
                }
            }
        })?;
    }
    drop(send);
    let mut done = 0;
    while done < jobs {
        let news = match receive.recv_timeout(Duration::from_millis(100)) {
            Ok((place, result)) => {
                done += 1;
                News::Done(place, result)
            }
            Err(RecvTimeoutError::Timeout) => News::None,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if let ControlFlow::Break(why) = tell(news) {
            // What has not begun never begins.
            next.store(jobs, Ordering::Relaxed);
            return Ok(ControlFlow::Break(why));
        }
    }
    Ok(ControlFlow::Continue(()))
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn every_job_is_told_of_once() {
        for threads in [0, 1, 3, 200] {
            let mut seen = std::collections::BTreeSet::new();
            let end = watched(
                100,
                threads,
                |_, place| place * 2,
                |news| {
                    if let News::Done(place, twice) = news {
                        assert!(twice == place * 2 && seen.insert(place));
                    }
                    ControlFlow::<()>::Continue(())
                },
            );
            assert_eq!(end.unwrap(), ControlFlow::Continue(()));
            assert_eq!(seen.len(), 100);
        }
        assert_eq!(watched(0, 4, |_, _| (), |_| ControlFlow::Break(1)).unwrap(), ControlFlow::Continue(()));
    }

    /// A job that waits for ever does not keep whoever started it.
    #[test]
    fn a_job_that_never_ends_is_left_behind() {
        let (stay, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let end = watched(
            1,
            1,
            move |_, _| wait.lock().recv(),
            |news| match news {
                News::None => ControlFlow::Break("left"),
                News::Done(..) => ControlFlow::Continue(()),
            },
        );
        assert_eq!(end.unwrap(), ControlFlow::Break("left"));
        drop(stay);
    }
}
