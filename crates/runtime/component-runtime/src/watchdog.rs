//! Names a component that blocks: one that has been inside one wake for too long by the wall clock.
//!
//! The watchdog only looks on: it costs a wake two stores, and what it finds goes to standard error and nowhere else.
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::run::Run;

/// The thread that looks on, while this value lives.
pub(crate) struct Watchdog {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Looks on at a run. Without a watchdog in its configuration, or without a thread to spare, nothing happens.
    pub(crate) fn of(run: &Arc<Run>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let thread = run.config.watchdog.and_then(|limit| {
            let (run, over) = (run.clone(), over.clone());
            thread::Builder::new().name("watchdog".to_owned()).spawn(move || watch(&run, limit, &over)).ok()
        });
        Watchdog { over, thread }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the watchdog is about time of the wall")]
fn watch(run: &Run, limit: Duration, over: &AtomicBool) {
    struct Seen {
        wake: u64,
        since: Instant,
        told: bool,
    }
    let look_every = (limit / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
    let mut seen: BTreeMap<usize, Seen> = BTreeMap::new();
    while !over.load(Ordering::Acquire) {
        let awake: BTreeMap<usize, u64> =
            run.pulses().iter().filter_map(|pulse| pulse.awake()).map(|(wake, slot)| (slot, wake)).collect();
        seen.retain(|slot, seen| awake.get(slot) == Some(&seen.wake));
        let now = Instant::now();
        for (slot, wake) in awake {
            let seen = seen.entry(slot).or_insert(Seen { wake, since: now, told: false });
            let inside = now.duration_since(seen.since);
            if !seen.told && inside >= limit {
                seen.told = true;
                let name = run.trace.label(slot).map_or_else(String::new, |label| label.to_string());
                (run.alarm)(&format!(
                    "watchdog: component {name} has been inside one wake for {:.1} s: it blocks outside of the runtime",
                    inside.as_secs_f64()
                ));
            }
        }
        thread::park_timeout(look_every);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use crate::{ClockMode, Driver, EndReason, NextWake, RunConfig, RunEnd, Runtime, from_fn};

    /// A component that stays inside a wake until the watchdog has named it, and one that does not.
    fn blocked(driver: Driver, clock: ClockMode) -> (RunEnd, String) {
        let config =
            RunConfig { driver, clock, watchdog: Some(Duration::from_millis(1)), ..RunConfig::default() };
        let (alarm, heard) = mpsc::channel();
        let alarm = Box::new(move |message: &str| alarm.send(message.to_owned()).unwrap());
        let mut runtime = Runtime::with_alarm(config, alarm).unwrap();
        runtime.seat("quick", None).start(from_fn(|_, _, _| NextWake::Stopped));
        let (told, tell) = mpsc::channel();
        runtime.seat("dm-vsp", Some("VM8")).start(from_fn(move |_, _, _| {
            told.send(heard.recv().unwrap()).unwrap();
            NextWake::Stopped
        }));
        let end = runtime.run();
        (end, tell.recv().unwrap())
    }

    #[test]
    fn it_names_the_component_that_blocks_and_changes_nothing() {
        let drivers = [
            (Driver::Inline, ClockMode::Virtual),
            (Driver::Threads, ClockMode::Virtual),
            (Driver::Threads, ClockMode::Wall { speed: 60.0 }),
        ];
        for (driver, clock) in drivers {
            let (end, message) = blocked(driver, clock);
            assert!(
                message.starts_with("watchdog: component dm-vsp/VM8 has been inside one wake"),
                "{message}"
            );
            assert_eq!(end.reason, EndReason::Idle);
            assert_eq!(end.wakes, 2);
        }
    }
}
