//! The same components with the same seeds do the same in the same order, with threads or without: random graphs of components
//! that send, ring, start, kill, stop and panic, every wake of which is written down.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use component_runtime::trace::{self, Cause};
use component_runtime::{
    Address, Component, ComponentId, Context, Doorbell, Driver, ExitNotice, Mailbox, NextWake, RunConfig,
    RunEnd, Runtime, Seat, SimTime, WakeCause, random,
};
use proptest::prelude::*;
use random::{Pcg64, below};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Wake { who: String, now: SimTime, cause: WakeCause, because: Cause },
    Got { what: String, because: Cause },
    Dropped { what: u64 },
}

impl Line {
    fn dropped(&self) -> Option<u64> {
        if let Line::Dropped { what } = self { Some(*what) } else { None }
    }
}

type Log = Arc<Mutex<Vec<Line>>>;

/// Tells of its end, and rings.
struct Parcel {
    number: u64,
    log: Log,
    bell: Doorbell,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.log.lock().unwrap().push(Line::Dropped { what: self.number });
        self.bell.ring();
    }
}

enum Message {
    Parcel(Parcel),
    Exit(ExitNotice),
}

struct Member {
    id: ComponentId,
    address: Address<Message>,
    bell: Doorbell,
}

/// What all share. It is only as deterministic as the order in which they run.
#[derive(Default)]
struct Shared {
    members: Vec<Member>,
    started: u64,
    parcels: u64,
}

struct Node {
    name: String,
    rng: Pcg64,
    inbox: Mailbox<Message>,
    shared: Arc<Mutex<Shared>>,
    log: Log,
}

impl Node {
    /// Seats and starts one that is as random as its name.
    fn start(seat: impl FnOnce(&str) -> Seat, shared: &Arc<Mutex<Shared>>, log: &Log, seed: u64) {
        let name = {
            let mut shared = shared.lock().unwrap();
            shared.started += 1;
            format!("node{}", shared.started)
        };
        let mut seat = seat(&name);
        let (address, inbox) = seat.mailbox();
        let member = Member { id: seat.id(), address, bell: seat.doorbell() };
        {
            let mut shared = shared.lock().unwrap();
            if let Some(first) = shared.members.first() {
                seat.on_exit(&first.address, Message::Exit);
            }
            shared.members.push(member);
        }
        let rng = random::stream(seed, &name);
        seat.start(Box::new(Node { name, rng, inbox, shared: shared.clone(), log: log.clone() }));
    }
}

impl Component for Node {
    fn wake(&mut self, now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        let who = trace::current().map_or_else(String::new, |current| current.component.to_string());
        assert_eq!(who, self.name);
        self.log.lock().unwrap().push(Line::Wake { who, now, cause, because: trace::cause() });
        while let Some(message) = ctx.recv(&mut self.inbox) {
            let what = match &message {
                Message::Parcel(parcel) => format!("parcel {}", parcel.number),
                Message::Exit(notice) => format!("{} {}", notice.name, notice.reason),
            };
            self.log.lock().unwrap().push(Line::Got { what, because: trace::cause() });
            if below(&mut self.rng, 4) == 0 {
                break;
            }
        }
        let rng = &mut self.rng;
        for _ in 0..below(rng, 4) {
            // As an event that is recorded would.
            trace::set_cause(trace::next_seq());
            let (address, bell, id, members) = {
                let shared = self.shared.lock().unwrap();
                let any = |n: u64| usize::try_from(n).unwrap() % shared.members.len();
                let member = &shared.members[any(below(rng, 1 << 20))];
                let bell = &shared.members[any(below(rng, 1 << 20))].bell;
                (member.address.clone(), bell.clone(), member.id, shared.members.len())
            };
            match below(rng, 40) {
                0..20 => {
                    let number = {
                        let mut shared = self.shared.lock().unwrap();
                        shared.parcels += 1;
                        shared.parcels
                    };
                    ctx.send(&address, Message::Parcel(Parcel { number, log: self.log.clone(), bell }));
                }
                20..34 => bell.ring(),
                34..37 if members < 40 => {
                    let seed = below(rng, u64::MAX);
                    Node::start(|name| ctx.seat(name, None), &self.shared, &self.log, seed);
                }
                37 => {
                    ctx.kill(id);
                }
                38 => resume_unwind(Box::new(format!("{} has had enough", self.name))),
                _ => {}
            }
        }
        match below(rng, 16) {
            0..6 => NextWake::Idle,
            6..12 => NextWake::At(now + Duration::from_micros(below(rng, 60))),
            12..15 => NextWake::Again,
            _ => NextWake::Stopped,
        }
    }
}

fn run(
    driver: Driver,
    nodes: usize,
    seed: u64,
    schedule_seed: Option<u64>,
    budget: u32,
) -> (RunEnd, Vec<Line>) {
    let config = RunConfig {
        driver,
        schedule_seed,
        budget,
        until: SimTime::from_micros(1_500),
        watchdog: None,
        ..RunConfig::default()
    };
    let mut runtime = Runtime::new(config).unwrap();
    let (shared, log) = (Arc::<Mutex<Shared>>::default(), Log::default());
    for _ in 0..nodes {
        Node::start(|name| runtime.seat(name, None), &shared, &log, seed);
    }
    let end = runtime.run();
    shared.lock().unwrap().members.clear();
    let lines = log.lock().unwrap().clone();
    (end, lines)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn threads_and_inline_do_the_same(
        nodes in 1usize..12,
        seed: u64,
        schedule_seed in prop::option::of(any::<u64>()),
        budget in 1u32..5,
    ) {
        let inline = run(Driver::Inline, nodes, seed, schedule_seed, budget);
        let threads = run(Driver::Threads, nodes, seed, schedule_seed, budget);
        prop_assert_eq!(&inline.0, &threads.0);
        if inline.1 != threads.1 {
            let at = inline.1.iter().zip(&threads.1).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(inline.1.get(at), threads.1.get(at), "line {} of {}", at, inline.1.len());
            prop_assert_eq!(inline.1.len(), threads.1.len());
        }
        // Time does not go back, and each wake is there for a reason.
        let mut before = SimTime::ZERO;
        for line in &inline.1 {
            if let Line::Wake { now, cause, .. } = line {
                prop_assert!(before <= *now);
                prop_assert_ne!(*cause, WakeCause::default());
                before = *now;
            }
        }
        // Every parcel has come to its end once.
        let mut parcels: Vec<u64> = inline.1.iter().filter_map(Line::dropped).collect();
        parcels.sort_unstable();
        let all: Vec<u64> = (1..=parcels.len() as u64).collect();
        prop_assert_eq!(parcels, all);
    }
}

/// The comparison sees the schedule: another seed, another order.
#[test]
fn another_schedule_is_another_log() {
    let log = |schedule_seed| run(Driver::Inline, 8, 5, schedule_seed, 4).1;
    assert!(log(None).len() > 200, "{} lines", log(None).len());
    assert_ne!(log(None), log(Some(1)));
    assert_ne!(log(Some(1)), log(Some(2)));
    assert_eq!(log(Some(1)), log(Some(1)));
}

/// What a graph did in a version of this crate is what it does in the next, on every platform: the order is part of the contract.
#[test]
fn the_order_is_the_same_everywhere() {
    let fingerprint = |schedule_seed| {
        let (end, lines) = run(Driver::Inline, 8, 5, schedule_seed, 4);
        random::stable_hash(format!("{end:?}{lines:?}").as_bytes())
    };
    assert_eq!(
        [fingerprint(None), fingerprint(Some(1))],
        [1_479_906_971_663_467_448, 13_007_354_482_288_863_972]
    );
}
