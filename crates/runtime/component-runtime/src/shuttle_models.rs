//! Random schedules of whole runs with threads: too large for loom.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p component-runtime --profile model --lib shuttle_`
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shuttle::rand::RngCore as _;
use shuttle::{check_random, thread};

use crate::random::{Pcg64, below, stream};
use crate::{
    Address, ClockMode, Component, ComponentId, Context, Driver, EndReason, Mailbox, NextWake, RunConfig,
    Runtime, SimTime, WakeCause, from_fn, trace,
};

const SCHEDULES: usize = 2_000;

/// Where everything that was made has to come home.
#[derive(Clone, Default)]
struct Home(Arc<AtomicU64>);

struct Owned(Home);

impl Owned {
    fn new(home: &Home) -> Self {
        home.0.fetch_add(1, Ordering::Relaxed);
        Owned(home.clone())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        (self.0).0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Log = Arc<Mutex<Vec<(SimTime, u64, WakeCause, u64)>>>;
type Members = Arc<Mutex<Vec<(ComponentId, Address<Owned>)>>>;

/// One of a crowd: sends, starts, kills, stops and panics at random.
struct Member {
    number: u64,
    rng: Pcg64,
    inbox: Mailbox<Owned>,
    others: Members,
    home: Home,
    log: Log,
    _owned: Owned,
}

impl Member {
    fn boxed(
        inbox: Mailbox<Owned>,
        others: &Members,
        home: &Home,
        log: &Log,
        seed: u64,
    ) -> Box<dyn Component> {
        let number = others.lock().unwrap().len() as u64;
        Box::new(Member {
            number,
            rng: stream(seed, &format!("member {number}")),
            inbox,
            others: others.clone(),
            home: home.clone(),
            log: log.clone(),
            _owned: Owned::new(home),
        })
    }
}

impl Component for Member {
    fn wake(&mut self, now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        self.log.lock().unwrap().push((now, self.number, cause, trace::cause().0));
        trace::set_cause(trace::next_seq());
        while ctx.recv(&mut self.inbox).is_some() {}
        let (id, other, members) = {
            let others = self.others.lock().unwrap();
            let index = usize::try_from(below(&mut self.rng, others.len() as u64)).unwrap();
            (others[index].0, others[index].1.clone(), others.len())
        };
        match below(&mut self.rng, 24) {
            0..12 => {
                ctx.send(&other, Owned::new(&self.home));
            }
            12..16 if members < 10 => {
                let seat = ctx.seat("member", None);
                let (address, inbox) = seat.mailbox();
                let member =
                    Member::boxed(inbox, &self.others, &self.home, &self.log, below(&mut self.rng, u64::MAX));
                self.others.lock().unwrap().push((seat.id(), address));
                seat.start(member);
            }
            16 => {
                ctx.kill(id);
            }
            17 => return NextWake::Stopped,
            18 => resume_unwind(Box::new("enough")),
            _ => {}
        }
        NextWake::At(now + Duration::from_micros(below(&mut self.rng, 30)))
    }
}

fn crowd(driver: Driver, seed: u64) -> (Runtime, Members, Home, Log) {
    let config = RunConfig { driver, until: SimTime::from_micros(120), ..RunConfig::default() };
    let mut runtime = Runtime::new(config).unwrap();
    let (others, home, log) = (Members::default(), Home::default(), Log::default());
    for _ in 0..4 {
        let seat = runtime.seat("member", None);
        let (address, inbox) = seat.mailbox();
        let member = Member::boxed(inbox, &others, &home, &log, seed);
        others.lock().unwrap().push((seat.id(), address));
        seat.start(member);
    }
    (runtime, others, home, log)
}

/// Whatever the threads do, the wakes come in the order of the inline driver, and everything comes home.
#[test]
fn shuttle_handing_over_keeps_the_order() {
    check_random(
        || {
            let seed = shuttle::rand::thread_rng().next_u64();
            let run = |driver| {
                let (runtime, others, home, log) = crowd(driver, seed);
                let end = runtime.run();
                others.lock().unwrap().clear();
                assert_eq!(home.0.load(Ordering::Relaxed), 0, "not everything has come home");
                let log = std::mem::take(&mut *log.lock().unwrap());
                (end, log)
            };
            assert_eq!(run(Driver::Inline), run(Driver::Threads));
        },
        SCHEDULES,
    );
}

/// A stop of the run at any moment: the run ends, and everything comes home.
#[test]
fn shuttle_stop_against_handing_over() {
    check_random(
        || {
            let (runtime, others, home, _) = crowd(Driver::Threads, shuttle::rand::thread_rng().next_u64());
            let stop = runtime.stop_handle();
            let stopper = thread::spawn(move || stop.stop());
            let end = runtime.run();
            assert!(
                matches!(end.reason, EndReason::Interrupted | EndReason::Until | EndReason::Idle),
                "{:?}",
                end.reason
            );
            stopper.join().unwrap();
            others.lock().unwrap().clear();
            assert_eq!(home.0.load(Ordering::Relaxed), 0, "not everything has come home");
        },
        SCHEDULES,
    );
}

/// The wall clock: messages go round among all, some start others, one is killed, and a stop comes from outside.
fn wall_crowd(stop_from_outside: bool) {
    let config = RunConfig { clock: ClockMode::Wall { speed: 1.0 }, ..RunConfig::default() };
    let mut runtime = Runtime::new(config).unwrap();
    let home = Home::default();
    let seats: Vec<_> = (0..3).map(|_| runtime.seat("relay", None)).collect();
    let (addresses, inboxes): (Vec<_>, Vec<_>) = seats.iter().map(crate::Seat::mailbox::<Owned>).unzip();
    let first = addresses[0].clone();
    let victim = addresses[2].component();
    for (index, (seat, mut inbox)) in seats.into_iter().zip(inboxes).enumerate() {
        let (next, home) = (addresses[(index + 1) % 3].clone(), home.clone());
        let owned = Owned::new(&home);
        let mut hops = 0;
        seat.start(from_fn(move |_, cause, ctx| {
            let _keep = &owned;
            if cause.started && index == 0 {
                ctx.send(&next, Owned::new(&home));
                let child = Owned::new(&home);
                ctx.seat("child", None).start(from_fn(move |_, _, _| {
                    let _keep = &child;
                    NextWake::Idle
                }));
            }
            while let Some(message) = ctx.recv(&mut inbox) {
                hops += 1;
                ctx.send(&next, message);
            }
            if hops >= 2 && index == 1 {
                ctx.kill(victim);
            }
            // Before the ring runs dry, because the victim has gone with the messages.
            if hops >= 2 && index == 1 && !stop_from_outside {
                ctx.stop_run("enough");
            }
            NextWake::Idle
        }));
    }
    let stop = runtime.stop_handle();
    let foreign = {
        let home = home.clone();
        thread::spawn(move || {
            let _ = first.post_external(Owned::new(&home));
            if stop_from_outside {
                stop.stop();
            }
        })
    };
    drop(addresses);
    let end = runtime.run();
    assert!(matches!(end.reason, EndReason::Interrupted | EndReason::Stopped(_)), "{:?}", end.reason);
    foreign.join().unwrap();
    assert_eq!(home.0.load(Ordering::Relaxed), 0, "not everything has come home");
}

#[test]
fn shuttle_wall_clock_stopped_from_inside() {
    check_random(|| wall_crowd(false), SCHEDULES);
}

#[test]
fn shuttle_wall_clock_stopped_from_outside() {
    check_random(|| wall_crowd(true), SCHEDULES);
}

/// Components that start others at the same time: each of these is recorded under its own name.
#[test]
fn shuttle_who_is_started_beside_others_keeps_its_name() {
    check_random(
        || {
            let config = RunConfig { clock: ClockMode::Wall { speed: 1.0 }, ..RunConfig::default() };
            let mut runtime = Runtime::new(config).unwrap();
            let named = Arc::new(AtomicU64::new(0));
            for vm in ["VM1", "VM2", "VM3"] {
                let named = named.clone();
                runtime.seat("starter", Some(vm)).start(from_fn(move |_, _, ctx| {
                    let named = named.clone();
                    ctx.seat("started", Some(vm)).start(from_fn(move |_, _, ctx| {
                        let current = trace::current().unwrap();
                        assert_eq!((&*current.component, current.vm.as_deref()), ("started", Some(vm)));
                        if named.fetch_add(1, Ordering::Relaxed) == 2 {
                            ctx.stop_run("all are named");
                        }
                        NextWake::Idle
                    }));
                    NextWake::Stopped
                }));
            }
            let end = runtime.run();
            assert!(end.panics.is_empty(), "{:?}", end.panics);
            assert_eq!(end.reason, EndReason::Stopped("all are named".to_owned()));
        },
        SCHEDULES,
    );
}
