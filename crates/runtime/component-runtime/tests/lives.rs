//! Start and end of components under the virtual clock; each test under both drivers.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};

use component_runtime::{
    Address, Component, Context, Doorbell, Driver, EndReason, ExitNotice, ExitReason, NextWake, RunConfig,
    RunEnd, Runtime, SimTime, WakeCause, from_fn,
};

const US: fn(u64) -> SimTime = SimTime::from_micros;

type Log = Arc<Mutex<Vec<String>>>;

fn both(build: impl Fn(&mut Runtime, &Log)) -> (RunEnd, Vec<String>) {
    let [inline, threads] = [Driver::Inline, Driver::Threads].map(|driver| {
        let mut runtime = Runtime::new(RunConfig::virtual_time(driver)).unwrap();
        let log = Log::default();
        build(&mut runtime, &log);
        let end = runtime.run();
        let lines = std::mem::take(&mut *log.lock().unwrap());
        (end, lines)
    });
    assert_eq!(inline, threads);
    inline
}

fn add(log: &Log, line: impl Into<String>) {
    log.lock().unwrap().push(line.into());
}

/// Says so when it is dropped, and rings.
struct Owned(&'static str, Log, Option<Doorbell>);

impl Drop for Owned {
    fn drop(&mut self) {
        add(&self.1, format!("{} dropped", self.0));
        if let Some(bell) = &self.2 {
            bell.ring();
        }
    }
}

/// Panics without troubling the panic hook.
fn quiet_panic(message: &str) -> ! {
    resume_unwind(Box::new(message.to_owned()))
}

/// A component that is told of exits and writes them down, and its doorbell.
fn registrar(runtime: &mut Runtime, log: &Log) -> (Address<ExitNotice>, Doorbell) {
    let seat = runtime.seat("registrar", None);
    let (address, mut inbox) = seat.mailbox::<ExitNotice>();
    let (bell, log) = (seat.doorbell(), log.clone());
    seat.start(from_fn(move |now, cause, ctx| {
        if cause.doorbell {
            add(&log, format!("{now} bell"));
        }
        while let Some(notice) = ctx.recv(&mut inbox) {
            add(&log, format!("{now} {} {:?} {}", notice.name, notice.vm, notice.reason));
        }
        NextWake::Idle
    }));
    (address, bell)
}

#[test]
fn a_panic_takes_down_one_component_and_what_it_owned_comes_home() {
    let (end, log) = both(|runtime, log| {
        let (notices, bell) = registrar(runtime, log);
        let mut seat = runtime.seat("guest", Some("VM1"));
        let (address, inbox) = seat.mailbox::<Owned>();
        let owned = Owned("frames", log.clone(), None);
        seat.on_exit(&notices, |notice| notice);
        runtime.send(&address, Owned("message", log.clone(), Some(bell)));
        seat.start(from_fn(move |_, cause, _| {
            let _keep = (&owned, &inbox);
            if cause.message {
                quiet_panic("out of memory");
            }
            NextWake::Idle
        }));
        let log = log.clone();
        runtime.seat("other", Some("VM2")).start(from_fn(move |now, _, ctx| {
            if now < US(50) {
                return NextWake::At(US(50));
            }
            assert!(!ctx.send(&address, Owned("letter", log.clone(), None)), "nobody is there");
            add(&log, "other goes on");
            NextWake::Idle
        }));
    });
    assert_eq!(end.reason, EndReason::Idle);
    assert_eq!(end.panics.len(), 1);
    let panic = &end.panics[0];
    assert_eq!(
        (&*panic.component, panic.vm.as_deref(), &*panic.message),
        ("guest", Some("VM1"), "out of memory")
    );
    assert_eq!(panic.time, US(10));
    assert_eq!(
        log,
        [
            "frames dropped",
            "message dropped",
            "0.000020s bell",
            "0.000020s guest Some(\"VM1\") panicked: out of memory",
            "letter dropped",
            "other goes on",
        ]
    );
}

#[test]
fn killed_while_its_wake_is_pending() {
    let (end, log) = both(|runtime, log| {
        let (notices, _) = registrar(runtime, log);
        let mut seat = runtime.seat("victim", None);
        seat.on_exit(&notices, |notice| notice);
        let (id, bell) = (seat.id(), seat.doorbell());
        let owned = Owned("victim", log.clone(), None);
        let mut lives = 0;
        seat.start(from_fn(move |_, _, _| {
            let _keep = &owned;
            lives += 1;
            assert_eq!(lives, 1, "woken after it has been killed");
            NextWake::At(US(1))
        }));
        let log = log.clone();
        runtime.seat("killer", None).start(from_fn(move |_, _, ctx| {
            bell.ring();
            assert!(ctx.kill(id));
            assert!(!ctx.kill(id), "only once");
            bell.ring();
            add(&log, "killed");
            NextWake::Stopped
        }));
    });
    assert_eq!(end.panics, []);
    assert_eq!(log, ["killed", "victim dropped", "0.000010s victim None killed"]);
}

#[test]
fn killed_before_its_first_wake() {
    let (end, log) = both(|runtime, log| {
        let (notices, _) = registrar(runtime, log);
        let log = log.clone();
        runtime.seat("parent", None).start(from_fn(move |_, _, ctx| {
            let mut seat = ctx.seat("child", None);
            seat.on_exit(&notices, |notice| notice);
            let owned = Owned("child", log.clone(), None);
            let id = seat.start(from_fn(move |_, _, _| {
                let _keep = &owned;
                unreachable!("killed before")
            }));
            assert!(ctx.kill(id));
            NextWake::Stopped
        }));
    });
    assert_eq!(end.panics, []);
    assert_eq!(log, ["child dropped", "0.000010s child None killed"]);
}

#[test]
fn a_component_may_kill_itself_and_may_stop() {
    let (_, log) = both(|runtime, log| {
        let (notices, _) = registrar(runtime, log);
        for (name, kills) in [("suicide", true), ("pensioner", false)] {
            let mut seat = runtime.seat(name, None);
            seat.on_exit(&notices, |notice| notice);
            seat.start(from_fn(move |_, _, ctx| {
                if kills {
                    ctx.kill(ctx.id());
                    NextWake::Again
                } else {
                    NextWake::Stopped
                }
            }));
        }
    });
    assert_eq!(log, ["0.000010s suicide None killed", "0.000010s pensioner None stopped"]);
}

#[test]
fn components_are_started_and_places_used_again() {
    let (end, log) = both(|runtime, log| {
        let log = log.clone();
        let mut generation = 0;
        let mut last = None;
        runtime.seat("parent", None).start(from_fn(move |now, _, ctx| {
            if let Some((id, address)) = last.take() {
                assert!(!ctx.kill(id), "gone");
                assert!(!ctx.send(&address, 1u32), "its place is another's, but not its mailbox");
            }
            let seat = ctx.seat("child", Some("VM1"));
            let (address, mut inbox) = seat.mailbox::<u32>();
            last = Some((seat.id(), address.clone()));
            let (log, number) = (log.clone(), generation);
            // Sent before the start: there at the first wake, or when it arrives.
            ctx.send(&address, 7);
            seat.start(from_fn(move |now, cause, ctx| {
                add(&log, format!("{now} child {number} {} {:?}", cause.started, ctx.recv(&mut inbox)));
                NextWake::Stopped
            }));
            generation += 1;
            if generation < 3 { NextWake::At(now + US(100).since(SimTime::ZERO)) } else { NextWake::Stopped }
        }));
    });
    assert_eq!(end.reason, EndReason::Idle);
    assert_eq!(
        log,
        [
            "0.000010s child 0 true Some(7)",
            "0.000110s child 1 true Some(7)",
            "0.000210s child 2 true Some(7)"
        ]
    );
}

#[test]
fn at_the_end_the_last_started_is_dropped_first_and_nobody_is_told() {
    let (end, log) = both(|runtime, log| {
        let (notices, bell) = registrar(runtime, log);
        for name in ["first", "second", "third"] {
            let mut seat = runtime.seat(name, None);
            seat.on_exit(&notices, |notice| notice);
            let owned = Owned(name, log.clone(), Some(bell.clone()));
            seat.start(from_fn(move |_, _, ctx| {
                let _keep = &owned;
                if owned.0 == "third" {
                    ctx.stop_run("enough");
                }
                NextWake::Idle
            }));
        }
    });
    assert_eq!(end.reason, EndReason::Stopped("enough".into()));
    assert_eq!(log, ["third dropped", "second dropped", "first dropped"]);
}

#[test]
fn a_panic_while_dropping_is_caught() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            quiet_panic("in drop");
        }
    }
    impl Component for Bomb {
        fn wake(&mut self, _: SimTime, _: WakeCause, _: &mut Context<'_>) -> NextWake {
            NextWake::Stopped
        }
    }
    let (end, log) = both(|runtime, log| {
        let (notices, _) = registrar(runtime, log);
        let mut seat = runtime.seat("bomb", None);
        seat.on_exit(&notices, |_| quiet_panic("in a notice"));
        seat.on_exit(&notices, |notice| notice);
        seat.start(Box::new(Bomb));
    });
    assert_eq!(end.reason, EndReason::Idle);
    assert_eq!(end.panics[0].message, "in drop");
    assert_eq!(log, ["0.000010s bomb None stopped"]);
}

#[test]
fn a_seat_given_up_is_gone() {
    let (_, log) = both(|runtime, log| {
        let seat = runtime.seat("never", None);
        let (address, mailbox) = seat.mailbox::<Owned>();
        runtime.send(&address, Owned("early", log.clone(), None));
        let id = seat.id();
        drop(seat);
        assert!(!runtime.send(&address, Owned("late", log.clone(), None)));
        drop(mailbox);
        runtime.seat("a", None).start(from_fn(move |_, _, ctx| {
            assert!(!ctx.kill(id));
            NextWake::Stopped
        }));
    });
    assert_eq!(log, ["late dropped", "early dropped"]);
}

#[test]
fn a_run_that_never_begins_drops_its_components() {
    for driver in [Driver::Inline, Driver::Threads] {
        let log = Log::default();
        let mut runtime = Runtime::new(RunConfig::virtual_time(driver)).unwrap();
        let seat = runtime.seat("a", None);
        let owned = Owned("a", log.clone(), Some(seat.doorbell()));
        seat.start(from_fn(move |_, _, _| {
            let _keep = &owned;
            NextWake::Idle
        }));
        drop(runtime);
        assert_eq!(*log.lock().unwrap(), ["a dropped"]);
    }
}

#[test]
fn what_is_started_by_the_dying_is_dropped() {
    // A component that is dropped at the end of the run still owns a seat, and gives it up.
    let (end, log) = both(|runtime, log| {
        let log = log.clone();
        let mut kept = Vec::new();
        runtime.seat("hoarder", None).start(from_fn(move |_, _, ctx| {
            let seat = ctx.seat("child", None);
            kept.push((seat, Owned("hoard", log.clone(), None)));
            NextWake::Idle
        }));
    });
    assert_eq!((end.reason, end.wakes), (EndReason::Idle, 1));
    assert_eq!(log, ["hoard dropped"]);
}

#[test]
fn reasons_read_well() {
    assert_eq!(ExitReason::Panicked("no".into()).to_string(), "panicked: no");
    assert_eq!(EndReason::Interrupted.to_string(), "interrupted");
}
