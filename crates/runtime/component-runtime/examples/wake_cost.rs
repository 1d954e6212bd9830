//! What a wake costs, and what a hand-over between threads costs against a bare one.
//!
//! `cargo run --release -p component-runtime --example wake_cost [COMPONENTS]`: prints nanoseconds, the median of several rounds.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "this measures time, and prints what it has measured"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use component_runtime::{
    Address, Component, Context, Driver, Mailbox, NextWake, RunConfig, Runtime, SimTime, WakeCause, random,
};

const ROUNDS: usize = 11;
const WAKES: u64 = 1_000_000;
const HAND_OVERS: u64 = 100_000;

/// Wakes at a time of its own.
struct Ticker {
    period: Duration,
}

impl Component for Ticker {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, _ctx: &mut Context<'_>) -> NextWake {
        NextWake::At(now + self.period)
    }
}

/// Passes on what it gets.
struct Relay {
    inbox: Mailbox<u64>,
    next: Address<u64>,
    first: u64,
}

impl Component for Relay {
    fn wake(&mut self, _now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        if cause.started && self.first != 0 {
            ctx.send(&self.next, self.first);
        }
        while let Some(message) = ctx.recv(&mut self.inbox) {
            ctx.send(&self.next, message);
        }
        NextWake::Idle
    }
}

fn config(driver: Driver) -> RunConfig {
    RunConfig { watchdog: None, ..RunConfig::virtual_time(driver) }
}

/// Nanoseconds per wake of so many components with timers.
fn timers(components: usize) -> f64 {
    let mut rng = random::stream(1, "wake_cost");
    let mut until = Duration::ZERO;
    let mut build = |until| {
        let config = RunConfig { until: SimTime::from(until), ..config(Driver::Inline) };
        let mut runtime = Runtime::new(config).expect("a sound configuration");
        for _ in 0..components {
            let period = Duration::from_nanos(900_000_000 + random::below(&mut rng, 200_000_000));
            runtime.seat("ticker", None).start(Box::new(Ticker { period }));
        }
        runtime
    };
    until += Duration::from_secs(WAKES / components as u64);
    let runtime = build(until);
    let began = Instant::now();
    let end = runtime.run();
    began.elapsed().as_nanos() as f64 / end.wakes as f64
}

/// Nanoseconds per wake when each wake receives a message and sends one, round and round.
fn ring(components: usize, driver: Driver, wakes: u64) -> f64 {
    let hops = Duration::from_micros(10) * u32::try_from(wakes).expect("fits");
    let config = RunConfig { until: SimTime::from(hops), ..config(driver) };
    let mut runtime = Runtime::new(config).expect("a sound configuration");
    let seats: Vec<_> = (0..components).map(|_| runtime.seat("relay", None)).collect();
    let (addresses, inboxes): (Vec<_>, Vec<_>) = seats.iter().map(component_runtime::Seat::mailbox).unzip();
    for (index, (seat, inbox)) in seats.into_iter().zip(inboxes).enumerate() {
        let next = addresses[(index + 1) % components].clone();
        seat.start(Box::new(Relay { inbox, next, first: u64::from(index == 0) }));
    }
    let began = Instant::now();
    let end = runtime.run();
    began.elapsed().as_nanos() as f64 / end.wakes as f64
}

/// Nanoseconds per hand-over between so many threads on one CPU with nothing but a flag, park and unpark.
fn bare(threads: usize, turns: u64) -> f64 {
    let flags: Arc<Vec<AtomicBool>> = Arc::new((0..threads).map(|_| AtomicBool::new(false)).collect());
    let (sender, receiver) = crossbeam_channel::unbounded::<(usize, Thread)>();
    let laps = turns / threads as u64;
    let handles: Vec<_> = (0..threads)
        .map(|me| {
            let (flags, sender) = (flags.clone(), sender.clone());
            let (give, take) = crossbeam_channel::bounded::<Thread>(1);
            let handle = thread::spawn(move || {
                #[cfg(target_os = "linux")]
                {
                    let mut set = rustix::thread::CpuSet::new();
                    set.set(0);
                    let _ = rustix::thread::sched_setaffinity(None, &set);
                }
                sender.send((me, thread::current())).expect("main waits");
                let next_thread = take.recv().expect("main sends");
                let next = (me + 1) % flags.len();
                for _ in 0..laps {
                    while !flags[me].swap(false, Ordering::Acquire) {
                        thread::park();
                    }
                    flags[next].store(true, Ordering::Release);
                    next_thread.unpark();
                }
            });
            (handle, give)
        })
        .collect();
    let mut known: Vec<_> = receiver.iter().take(threads).collect();
    known.sort_by_key(|(index, _)| *index);
    for (me, (_, give)) in handles.iter().enumerate() {
        give.send(known[(me + 1) % threads].1.clone()).expect("the thread waits");
    }
    let began = Instant::now();
    flags[0].store(true, Ordering::Release);
    known[0].1.unpark();
    for (handle, _) in handles {
        handle.join().expect("nothing panics");
    }
    began.elapsed().as_nanos() as f64 / (laps * threads as u64) as f64
}

fn median(mut measure: impl FnMut() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..ROUNDS).map(|_| measure()).collect();
    all.sort_by(f64::total_cmp);
    all[ROUNDS / 2]
}

fn main() {
    let components = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(4_000);
    println!("inline, {components} components with timers: {:.0} ns/wake", median(|| timers(components)));
    println!(
        "inline, ring of {components}, receive and send: {:.0} ns/wake",
        median(|| ring(components, Driver::Inline, WAKES))
    );
    for threads in [2, 26] {
        let inline = median(|| ring(threads, Driver::Inline, HAND_OVERS));
        let handed = median(|| ring(threads, Driver::Threads, HAND_OVERS));
        let bare = median(|| bare(threads, HAND_OVERS));
        println!(
            "{threads} threads: {handed:.0} ns/wake, {inline:.0} inline; bare hand-over {bare:.0} ns: ratio {:.2}",
            (handed - inline) / bare
        );
    }
}
