//! What led to what, and in which context events are recorded. Each under both drivers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use component_runtime::trace::{self, Cause};
use component_runtime::{Driver, NextWake, RunConfig, Runtime, SimTime, from_fn};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::{Subscriber, with_default};

type Log = Arc<Mutex<Vec<String>>>;

/// Records events as the layer of a run does: number, context and cause.
struct Recorder(Log);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.0);
        }
    }
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

struct Line(String);

impl Subscriber for Recorder {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let cause = trace::cause();
        let seq = trace::next_seq();
        let (who, now) = trace::with_current(|current| {
            current.map_or((String::new(), SimTime::ZERO), |current| {
                assert_eq!(current.cause, cause);
                (format!("{}/{}", current.component, current.vm.unwrap_or("-")), current.now)
            })
        });
        self.0.lock().unwrap().push(format!("{} {now} {who} {} <- {}", seq.0, line.0, cause.0));
        trace::set_cause(seq);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn both(build: impl Fn(&mut Runtime)) -> Vec<String> {
    let [inline, threads] = [Driver::Inline, Driver::Threads].map(|driver| {
        let log = Log::default();
        with_default(Recorder(log.clone()), || {
            let mut runtime = Runtime::new(RunConfig::virtual_time(driver)).unwrap();
            build(&mut runtime);
            assert!(runtime.run().panics.is_empty());
        });
        std::mem::take(&mut *log.lock().unwrap())
    });
    assert_eq!(inline, threads);
    inline
}

#[test]
fn causes_follow_messages_and_doorbells_and_end_at_timers() {
    let log = both(|runtime| {
        runtime.in_scope(|| tracing::info!(event = "built"));
        let (client, server) = (runtime.seat("client", Some("VM1")), runtime.seat("server", None));
        let (to_server, mut requests) = server.mailbox::<&str>();
        let client_bell = client.doorbell();
        client.start(from_fn(move |now, cause, ctx| {
            if cause.started {
                tracing::info!(event = "two requests");
                ctx.send(&to_server, "first");
                tracing::info!(event = "in between");
                ctx.send(&to_server, "second");
                return NextWake::At(SimTime::from_secs(1));
            }
            tracing::info!(event = if cause.doorbell { "rung" } else { "timer" });
            if cause.doorbell { NextWake::At(now + Duration::from_secs(1)) } else { NextWake::Stopped }
        }));
        server.start(from_fn(move |_, _, ctx| {
            while let Some(request) = ctx.recv(&mut requests) {
                tracing::info!(event = request);
                client_bell.ring();
            }
            NextWake::Idle
        }));
    });
    assert_eq!(
        log,
        [
            "1 0s  built <- 0",
            "2 0s client/VM1 two requests <- 0",
            "3 0s client/VM1 in between <- 2",
            "4 0.000010s server/- first <- 2",
            "5 0.000010s server/- second <- 3",
            "6 0.000020s client/VM1 rung <- 5",
            "7 1.000020s client/VM1 timer <- 0",
            "8 1.000020s client/VM1 component_exited <- 7",
        ]
    );
}

#[test]
fn causes_follow_starts_kills_exits_and_again() {
    let log = both(|runtime| {
        let seat = runtime.seat("parent", None);
        let (address, mut notices) = seat.mailbox();
        seat.start(from_fn(move |_, cause, ctx| {
            if cause.started {
                tracing::info!(event = "start");
                let mut seat = ctx.seat("child", Some("VM2"));
                seat.on_exit(&address, |notice| notice);
                let id = seat.start(from_fn(|_, cause, _| {
                    tracing::info!(event = if cause.again { "again" } else { "born" });
                    if cause.again { NextWake::Idle } else { NextWake::Again }
                }));
                let mut seat = ctx.seat("killer", None);
                seat.on_exit(&address, |notice| notice);
                seat.start(from_fn(move |now, _, ctx| {
                    if now < SimTime::from_secs(1) {
                        return NextWake::At(SimTime::from_secs(1));
                    }
                    tracing::info!(event = "kill");
                    ctx.kill(id);
                    NextWake::Idle
                }));
            }
            while let Some(notice) = ctx.recv(&mut notices) {
                assert_eq!(&*notice.name, "child");
                tracing::info!(event = "notice");
            }
            NextWake::Idle
        }));
    });
    assert_eq!(
        log,
        [
            "1 0s parent/- start <- 0",
            "2 0.000010s child/VM2 born <- 1",
            "3 0.000011s child/VM2 again <- 1",
            "4 1s killer/- kill <- 0",
            "5 1s child/VM2 component_exited <- 4",
            "6 1.000010s parent/- notice <- 5",
        ]
    );
}

#[test]
fn runs_on_other_threads_count_for_themselves() {
    let run = || {
        let numbers = Arc::new(Mutex::new(Vec::new()));
        let mut runtime = Runtime::new(RunConfig::virtual_time(Driver::Inline)).unwrap();
        let log = numbers.clone();
        runtime.seat("a", None).start(from_fn(move |_, _, _| {
            let seq = trace::next_seq().0;
            log.lock().unwrap().push(seq);
            if seq < 100 { NextWake::Again } else { NextWake::Stopped }
        }));
        drop(runtime.run());
        std::mem::take(&mut *numbers.lock().unwrap())
    };
    let other = std::thread::spawn(run);
    let expected: Vec<u64> = (1..=100).collect();
    assert_eq!(run(), expected);
    assert_eq!(other.join().unwrap(), expected);
}

#[test]
fn outside_of_a_run_there_is_no_context() {
    assert_eq!(trace::current(), None);
    assert_eq!(trace::now(), None);
    assert_eq!(trace::next_seq(), Cause::NONE);
    trace::with_current(|current| assert_eq!(current, None));
    trace::with_cause(Cause(5), || {
        assert_eq!(trace::cause(), Cause(5));
        trace::set_cause(Cause(6));
    });
    assert!(trace::cause().is_none());
}
