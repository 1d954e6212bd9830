//! The wall clock: all components at once, or one after the other.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use component_runtime::{
    Address, ClockMode, Driver, EndReason, ExitNotice, ExitReason, NextWake, RunConfig, Runtime, SimTime,
    from_fn,
};

/// With a thread for each component, and with one for all.
fn both(test: impl Fn(Driver)) {
    [Driver::Threads, Driver::Inline].into_iter().for_each(test);
}

fn runtime(driver: Driver, speed: f64) -> Runtime {
    until(driver, speed, SimTime::MAX)
}

fn until(driver: Driver, speed: f64, until: SimTime) -> Runtime {
    let config = RunConfig { driver, clock: ClockMode::Wall { speed }, until, ..RunConfig::default() };
    Runtime::new(config).unwrap()
}

#[test]
fn messages_go_round_and_one_ends_the_run() {
    both(|driver| {
        let mut runtime = runtime(driver, 1.0);
        let seats: Vec<_> = (0..4).map(|_| runtime.seat("relay", None)).collect();
        let (addresses, inboxes): (Vec<_>, Vec<_>) =
            seats.iter().map(component_runtime::Seat::mailbox::<u32>).unzip();
        runtime.send(&addresses[0], 4_000);
        for (index, (seat, mut inbox)) in seats.into_iter().zip(inboxes).enumerate() {
            let next = addresses[(index + 1) % 4].clone();
            seat.start(from_fn(move |_, _, ctx| {
                while let Some(left) = ctx.recv(&mut inbox) {
                    if left == 0 {
                        ctx.stop_run("round and round");
                    } else {
                        ctx.send(&next, left - 1);
                    }
                }
                NextWake::Idle
            }));
        }
        let end = runtime.run();
        assert_eq!(end.reason, EndReason::Stopped("round and round".into()));
    });
}

#[test]
fn many_send_to_one_and_nothing_is_lost() {
    both(|driver| {
        let mut runtime = runtime(driver, 1.0);
        let sink = runtime.seat("sink", None);
        let (address, mut inbox) = sink.mailbox::<(u32, u32)>();
        for who in 0..4 {
            let address = address.clone();
            let mut number = 0;
            runtime.seat("source", None).start(from_fn(move |_, _, ctx| {
                for _ in 0..10 {
                    ctx.send(&address, (who, number));
                    number += 1;
                }
                if number < 1_000 { NextWake::Again } else { NextWake::Stopped }
            }));
        }
        let mut next = [0; 4];
        sink.start(from_fn(move |_, _, ctx| {
            while let Some((who, number)) = ctx.recv(&mut inbox) {
                let expected = &mut next[usize::try_from(who).unwrap()];
                assert_eq!(number, *expected);
                *expected += 1;
            }
            if next == [1_000; 4] { NextWake::Stopped } else { NextWake::Idle }
        }));
        let end = runtime.run();
        assert_eq!((end.reason, end.panics), (EndReason::Idle, vec![]));
    });
}

#[test]
fn timers_are_honoured_and_time_is_fast() {
    both(|driver| {
        let (told, tell) = mpsc::channel();
        let mut runtime = runtime(driver, 10_000.0);
        let mut due = SimTime::ZERO;
        runtime.seat("a", None).start(from_fn(move |now, cause, ctx| {
            told.send((now, due, cause.timer)).unwrap();
            due = now + Duration::from_secs(10);
            if now > SimTime::from_secs(50) {
                ctx.stop_run("enough");
            }
            NextWake::At(due)
        }));
        let end = runtime.run();
        assert!(end.time > SimTime::from_secs(50));
        let wakes: Vec<_> = tell.iter().collect();
        assert!(wakes.iter().all(|(now, due, _)| now >= due), "never early");
        assert!(wakes[1..].iter().all(|(_, _, timer)| *timer));
    });
}

#[test]
fn the_time_is_up() {
    both(|driver| {
        let mut runtime = until(driver, 1_000.0, SimTime::from_secs(2));
        runtime.seat("a", None).start(from_fn(|_, _, _| NextWake::Idle));
        let end = runtime.run();
        assert_eq!((end.reason, end.time), (EndReason::Until, SimTime::from_secs(2)));
    });
}

#[test]
fn a_time_that_has_passed_and_the_budget_mean_again() {
    both(|driver| {
        let config =
            RunConfig { driver, clock: ClockMode::Wall { speed: 1.0 }, budget: 2, ..RunConfig::default() };
        let mut runtime = Runtime::new(config).unwrap();
        let seat = runtime.seat("a", None);
        let (address, mut inbox) = seat.mailbox::<u32>();
        (0..5).for_each(|n| assert!(runtime.send(&address, n)));
        let mut got = 0;
        seat.start(from_fn(move |_, cause, ctx| {
            while ctx.recv(&mut inbox).is_some() {
                got += 1;
            }
            match (got, cause.timer) {
                (5, true) => NextWake::Stopped,
                (5, false) => NextWake::At(SimTime::ZERO),
                _ => NextWake::Idle,
            }
        }));
        assert_eq!(runtime.run().reason, EndReason::Idle);
    });
}

#[test]
fn lives_end_and_others_are_told() {
    both(|driver| {
        let mut runtime = runtime(driver, 1.0);
        let seat = runtime.seat("registrar", None);
        let (notices, mut inbox) = seat.mailbox::<ExitNotice>();
        let (told, tell) = mpsc::channel();
        let mut left = 3;
        let mut victim = None;
        seat.start(from_fn(move |_, cause, ctx| {
            if cause.started {
                let mut child = |name: &str, wake: fn() -> NextWake| {
                    let mut seat = ctx.seat(name, None);
                    seat.on_exit(&notices, |notice| notice);
                    seat.start(from_fn(move |_, _, _| wake()))
                };
                child("stopped", || NextWake::Stopped);
                child("panicked", || resume_unwind(Box::new("oh")));
                victim = Some(child("killed", || NextWake::Idle));
                ctx.kill(victim.unwrap());
            }
            while let Some(notice) = ctx.recv(&mut inbox) {
                left -= 1;
                told.send((notice.name.to_string(), notice.reason)).unwrap();
            }
            if left == 0 {
                assert!(!ctx.kill(victim.unwrap()), "gone");
                return NextWake::Stopped;
            }
            NextWake::Idle
        }));
        let end = runtime.run();
        assert_eq!(end.reason, EndReason::Idle);
        assert_eq!(end.panics.len(), 1);
        let mut told: Vec<_> = tell.iter().collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(
            told,
            [
                ("killed".to_owned(), ExitReason::Killed),
                ("panicked".to_owned(), ExitReason::Panicked("oh".into())),
                ("stopped".to_owned(), ExitReason::Stopped)
            ]
        );
    });
}

#[test]
fn foreign_threads_may_send_and_ring() {
    both(|driver| {
        let mut runtime = runtime(driver, 1.0);
        let seat = runtime.seat("vcpu-exits", None);
        let (address, mut inbox) = seat.mailbox::<u32>();
        let bell = seat.doorbell().into_fn();
        let (mut messages, mut rung) = (0, false);
        seat.start(from_fn(move |_, cause, ctx| {
            rung |= cause.doorbell;
            while ctx.recv(&mut inbox).is_some() {
                messages += 1;
            }
            if messages == 100 && rung {
                ctx.stop_run("all there");
            }
            NextWake::Idle
        }));
        let foreign = thread::spawn(move || {
            for n in 0..100 {
                address.post_external(n).unwrap();
            }
            bell();
            address
        });
        assert_eq!(runtime.run().reason, EndReason::Stopped("all there".into()));
        assert_eq!(foreign.join().unwrap().post_external(7), Err(7), "the component is gone");
    });
}

#[test]
fn virtual_time_takes_no_messages_from_elsewhere() {
    let mut runtime = Runtime::new(RunConfig::virtual_time(Driver::Inline)).unwrap();
    let (address, _inbox): (Address<u32>, _) = runtime.seat("a", None).mailbox();
    assert_eq!(address.post_external(1), Err(1));
}

#[test]
fn a_stop_from_outside_drops_all_the_last_started_first() {
    both(|driver| {
        struct Owned(usize, Arc<Mutex<Vec<usize>>>);
        impl Drop for Owned {
            fn drop(&mut self) {
                self.1.lock().unwrap().push(self.0);
            }
        }
        let mut runtime = runtime(driver, 1.0);
        let stop = runtime.stop_handle();
        let dropped = Arc::new(Mutex::new(Vec::new()));
        let (started, all_started) = mpsc::channel();
        for number in 0..5 {
            let (owned, started) = (Owned(number, dropped.clone()), started.clone());
            runtime.seat("a", None).start(from_fn(move |_, cause, _| {
                let _keep = &owned;
                if cause.started {
                    started.send(()).unwrap();
                }
                // One never rests.
                if owned.0 == 3 { NextWake::Again } else { NextWake::Idle }
            }));
        }
        let stopper = thread::spawn(move || {
            (0..5).for_each(|_| all_started.recv().unwrap());
            stop.stop();
        });
        assert_eq!(runtime.run().reason, EndReason::Interrupted);
        stopper.join().unwrap();
        assert_eq!(*dropped.lock().unwrap(), [4, 3, 2, 1, 0]);
    });
}

#[test]
fn starts_against_the_end() {
    both(|driver| {
        for _ in 0..20 {
            let mut runtime = runtime(driver, 1.0);
            let alive = Arc::new(());
            for _ in 0..3 {
                let alive = alive.clone();
                runtime.seat("parent", None).start(from_fn(move |_, _, ctx| {
                    let child = alive.clone();
                    ctx.seat("child", None).start(from_fn(move |_, _, ctx| {
                        let _keep = &child;
                        ctx.stop_run("while others start");
                        NextWake::Idle
                    }));
                    NextWake::Again
                }));
            }
            drop(runtime.run());
            assert_eq!(Arc::strong_count(&alive), 1, "a component outlives its run");
        }
    });
}
