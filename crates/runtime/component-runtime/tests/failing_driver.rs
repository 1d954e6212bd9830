//! A subscriber of events that panics is not a component's fault, and must not hang a run.

use std::panic::{catch_unwind, resume_unwind};
use std::sync::Arc;

use component_runtime::{ClockMode, Driver, EndReason, NextWake, RunConfig, Runtime, from_fn};
use tracing::subscriber::{Subscriber, with_default};
use tracing::{Event, Metadata, span};

/// Panics at every event.
struct Mine;

impl Subscriber for Mine {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {
        resume_unwind(Box::new("cannot write"));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// One component of four panics or stops, which the runtime reports by an event.
fn run(config: RunConfig, panics: bool) -> (std::thread::Result<EndReason>, usize) {
    let alive = Arc::new(());
    let mut runtime = Runtime::new(config).unwrap();
    for number in 0..4 {
        let owned = alive.clone();
        runtime.seat("a", None).start(from_fn(move |_, _, _| {
            let _keep = &owned;
            match number {
                2 if panics => resume_unwind(Box::new("oh")),
                2 => NextWake::Stopped,
                _ => NextWake::Idle,
            }
        }));
    }
    let end = catch_unwind(std::panic::AssertUnwindSafe(|| with_default(Mine, || runtime.run().reason)));
    (end, Arc::strong_count(&alive) - 1)
}

#[test]
fn the_run_fails_and_everything_is_dropped() {
    for panics in [false, true] {
        for clock in [ClockMode::Virtual, ClockMode::Wall { speed: 1.0 }] {
            let (end, alive) =
                run(RunConfig { driver: Driver::Threads, clock, ..RunConfig::default() }, panics);
            let reason = end.unwrap();
            assert!(
                matches!(&reason, EndReason::Failed(what) if what.contains("panicked outside of it")),
                "{reason:?}"
            );
            assert_eq!(alive, 0);
        }
        // Inline it is on the thread of the caller.
        let (end, alive) = run(RunConfig::virtual_time(Driver::Inline), panics);
        assert_eq!(*end.unwrap_err().downcast::<&str>().unwrap(), "cannot write");
        assert_eq!(alive, 0);
    }
}
