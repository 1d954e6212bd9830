//! When components are woken under the virtual clock, and in which order. Each under both drivers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use component_runtime::{
    ClockMode, ConfigError, Driver, EndReason, NextWake, RunConfig, RunEnd, Runtime, SimTime, WakeCause,
    from_fn,
};

const US: fn(u64) -> SimTime = SimTime::from_micros;

fn both(config: &RunConfig, build: impl Fn(&mut Runtime)) -> RunEnd {
    let [inline, threads] = [Driver::Inline, Driver::Threads].map(|driver| {
        let mut runtime = Runtime::new(RunConfig { driver, ..config.clone() }).unwrap();
        build(&mut runtime);
        runtime.run()
    });
    assert_eq!(inline, threads);
    inline
}

#[derive(Clone, Default)]
struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Log<T> {
    fn new() -> Self {
        Log(Arc::default())
    }
    fn add(&self, line: T) {
        self.0.lock().unwrap().push(line);
    }
    fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn nothing_to_do_is_the_end() {
    let end = both(&RunConfig::default(), |_| {});
    assert_eq!((end.reason, end.time, end.wakes), (EndReason::Idle, SimTime::ZERO, 0));
}

#[test]
fn a_timer_fires_at_its_time_and_is_replaced_by_each_return() {
    let log = Log::new();
    both(&RunConfig::default(), |runtime| {
        log.take();
        let log = log.clone();
        let seat = runtime.seat("a", None);
        let bell = seat.doorbell();
        seat.start(from_fn(move |now, cause, _| {
            log.add((now, cause));
            match log.0.lock().unwrap().len() {
                1 => {
                    bell.ring();
                    NextWake::At(SimTime::from_secs(5))
                }
                2 => NextWake::At(SimTime::from_secs(3)),
                3 => {
                    bell.ring();
                    NextWake::At(SimTime::from_secs(9))
                }
                // Cancels the timer.
                _ => NextWake::Idle,
            }
        }));
    });
    let none = WakeCause::default();
    assert_eq!(
        log.take(),
        [
            (SimTime::ZERO, WakeCause { started: true, ..none }),
            (US(10), WakeCause { doorbell: true, ..none }),
            (SimTime::from_secs(3), WakeCause { timer: true, ..none }),
            (SimTime::from_secs(3) + Duration::from_micros(10), WakeCause { doorbell: true, ..none }),
        ]
    );
}

#[test]
fn a_time_that_has_passed_and_again_are_later_than_now() {
    let log = Log::new();
    let end = both(&RunConfig::default(), |runtime| {
        log.take();
        let log = log.clone();
        runtime.seat("a", None).start(from_fn(move |now, cause, _| {
            log.add((now, cause.timer, cause.again));
            match log.0.lock().unwrap().len() {
                1 => NextWake::At(SimTime::ZERO),
                2 => NextWake::Again,
                _ => NextWake::Stopped,
            }
        }));
    });
    assert_eq!(log.take(), [(US(0), false, false), (US(1), true, false), (US(2), false, true)]);
    assert_eq!(end.wakes, 3);
}

#[test]
fn causes_coalesce_and_equal_times_go_by_who_was_scheduled_first() {
    let log = Log::new();
    both(&RunConfig::default(), |runtime| {
        log.take();
        let (first, second) = (runtime.seat("first", None), runtime.seat("second", None));
        let (to_first, mut first_inbox) = first.mailbox::<u32>();
        let (to_second, mut second_inbox) = second.mailbox::<u32>();
        let bell = second.doorbell();
        let (log1, log2) = (log.clone(), log.clone());
        first.start(from_fn(move |now, cause, ctx| {
            log1.add(("first", now, cause.message, cause.doorbell, cause.timer));
            while ctx.recv(&mut first_inbox).is_some() {}
            NextWake::Idle
        }));
        second.start(from_fn(move |now, cause, ctx| {
            log2.add(("second", now, cause.message, cause.doorbell, cause.timer));
            while ctx.recv(&mut second_inbox).is_some() {}
            if cause.started { NextWake::At(US(10)) } else { NextWake::Idle }
        }));
        runtime.seat("third", None).start(from_fn(move |_, _, ctx| {
            // All of this arrives at 10 µs; `second` has its timer since before.
            ctx.send(&to_first, 1);
            ctx.send(&to_second, 1);
            bell.ring();
            bell.ring();
            ctx.send(&to_second, 2);
            NextWake::Idle
        }));
    });
    assert_eq!(
        log.take(),
        [
            ("first", US(0), false, false, false),
            ("second", US(0), false, false, false),
            ("second", US(10), true, true, true),
            ("first", US(10), true, false, false),
        ]
    );
}

#[test]
fn messages_arrive_one_latency_later_and_not_before() {
    let log = Log::new();
    both(&RunConfig { latency: Duration::from_micros(7), ..RunConfig::default() }, |runtime| {
        log.take();
        let log = log.clone();
        let (receiver, sender) = (runtime.seat("receiver", None), runtime.seat("sender", None));
        let (address, mut inbox) = receiver.mailbox::<SimTime>();
        receiver.start(from_fn(move |now, cause, ctx| {
            if cause.started {
                // Looks again and again while messages are on their way.
                return NextWake::At(US(6));
            }
            while let Some(sent) = ctx.recv(&mut inbox) {
                log.add((sent, now));
            }
            NextWake::Idle
        }));
        sender.start(from_fn(move |now, _, ctx| {
            ctx.send(&address, now);
            if now < US(4) { NextWake::At(now + Duration::from_micros(2)) } else { NextWake::Stopped }
        }));
    });
    assert_eq!(log.take(), [(US(0), US(7)), (US(2), US(9)), (US(4), US(11))]);
}

#[test]
fn a_wake_handles_its_budget_and_goes_on_later() {
    let log = Log::new();
    both(&RunConfig { budget: 3, ..RunConfig::default() }, |runtime| {
        log.take();
        let log = log.clone();
        let seat = runtime.seat("a", None);
        let (address, mut inbox) = seat.mailbox::<u32>();
        for n in 0..7 {
            runtime.send(&address, n);
        }
        seat.start(from_fn(move |now, cause, ctx| {
            assert_eq!(ctx.budget(), 3);
            let mut got = Vec::new();
            while let Some(n) = ctx.recv(&mut inbox) {
                got.push(n);
            }
            log.add((now, cause.again, got));
            NextWake::Idle
        }));
    });
    assert_eq!(
        log.take(),
        [
            (US(0), false, vec![]),
            (US(10), false, vec![0, 1, 2]),
            (US(11), true, vec![3, 4, 5]),
            (US(12), true, vec![6])
        ]
    );
}

#[test]
fn a_budget_that_fits_exactly_needs_no_further_wake() {
    let end = both(&RunConfig { budget: 3, ..RunConfig::default() }, |runtime| {
        let seat = runtime.seat("a", None);
        let (address, mut inbox) = seat.mailbox::<u32>();
        (0..3).for_each(|n| assert!(runtime.send(&address, n)));
        seat.start(from_fn(move |_, _, ctx| {
            while ctx.recv(&mut inbox).is_some() {}
            NextWake::Idle
        }));
    });
    assert_eq!(end.wakes, 2);
}

#[test]
fn inputs_from_elsewhere_count() {
    let end = both(&RunConfig { budget: 4, ..RunConfig::default() }, |runtime| {
        let mut packets = 10;
        runtime.seat("a", None).start(from_fn(move |_, _, ctx| {
            while packets > 0 && ctx.spend() {
                packets -= 1;
            }
            NextWake::Idle
        }));
    });
    assert_eq!((end.wakes, end.time), (3, US(2)));
}

#[test]
fn the_last_wakes_are_at_the_end_itself() {
    let log = Log::new();
    let end = both(&RunConfig { until: US(20), ..RunConfig::default() }, |runtime| {
        log.take();
        let log = log.clone();
        runtime.seat("a", None).start(from_fn(move |now, _, _| {
            log.add(now);
            NextWake::At(now + Duration::from_micros(10))
        }));
    });
    assert_eq!((end.reason, end.time), (EndReason::Until, US(20)));
    assert_eq!(log.take(), [US(0), US(10), US(20)]);
}

#[test]
fn never_is_no_timer() {
    let end = both(&RunConfig::default(), |runtime| {
        runtime.seat("a", None).start(from_fn(|_, _, _| NextWake::At(SimTime::MAX)));
    });
    assert_eq!(end.reason, EndReason::Idle);
}

#[test]
fn a_component_can_end_the_run() {
    let end = both(&RunConfig::default(), |runtime| {
        for reason in ["the first", "the second"] {
            runtime.seat("a", None).start(from_fn(move |_, _, ctx| {
                ctx.stop_run(reason);
                ctx.stop_run("too late");
                NextWake::Again
            }));
        }
    });
    assert_eq!((end.reason, end.wakes), (EndReason::Stopped("the first".into()), 1));
}

#[test]
fn a_stop_handle_ends_the_run_at_the_next_scheduling_point() {
    let end = both(&RunConfig::default(), |runtime| {
        let stop = runtime.stop_handle();
        let mut wakes = 0;
        runtime.seat("a", None).start(from_fn(move |_, _, _| {
            wakes += 1;
            if wakes == 5 {
                stop.stop();
            }
            NextWake::Again
        }));
    });
    assert_eq!((end.reason, end.wakes), (EndReason::Interrupted, 5));
}

#[test]
fn one_that_asks_again_and_again_is_named() {
    for next in [|_| NextWake::Again, NextWake::At, |now| NextWake::At(now + Duration::from_nanos(1))] {
        let end = both(&RunConfig { runaway_wakes: 1_000, ..RunConfig::default() }, |runtime| {
            runtime
                .seat("sound", None)
                .start(from_fn(|now, _, _| NextWake::At(now + Duration::from_micros(300))));
            runtime.seat("dm-vsp", Some("VM8")).start(from_fn(move |now, _, _| next(now)));
        });
        assert_eq!(end.reason, EndReason::Runaway { component: "dm-vsp/VM8".into() });
    }
}

#[test]
fn two_that_keep_time_standing_still_are_named() {
    let config = RunConfig {
        runaway_wakes: 5_000,
        latency: Duration::from_nanos(150),
        requeue_delay: Duration::from_nanos(1),
        ..RunConfig::default()
    };
    let end = both(&config, |runtime| {
        let (ping, pong) = (runtime.seat("ping", None), runtime.seat("pong", None));
        let (to_ping, to_pong) = (ping.doorbell(), pong.doorbell());
        ping.start(from_fn(move |_, _, _| {
            to_pong.ring();
            NextWake::Idle
        }));
        pong.start(from_fn(move |_, _, _| {
            to_ping.ring();
            NextWake::Idle
        }));
    });
    assert!(
        matches!(&end.reason, EndReason::Runaway { component } if component == "ping" || component == "pong")
    );
    assert!(end.time < SimTime::from_millis(1));
}

#[test]
fn a_hard_working_component_is_no_runaway() {
    let end = both(
        &RunConfig { runaway_wakes: 1_000, until: SimTime::from_secs(1), ..RunConfig::default() },
        |runtime| {
            runtime
                .seat("a", None)
                .start(from_fn(|now, _, _| NextWake::At(now + Duration::from_micros(100))));
        },
    );
    assert_eq!(end.reason, EndReason::Until);
}

/// Who was woken when.
type Order = Vec<(SimTime, usize)>;
/// When a message was sent, and when it arrived.
type Arrivals = Vec<(SimTime, SimTime)>;

/// Who is woken in which order when ten are woken at once, a few times, and when what they send arrives.
fn instants(schedule_seed: Option<u64>) -> (Order, Arrivals) {
    let (order, arrivals) = (Log::new(), Log::new());
    both(&RunConfig { schedule_seed, ..RunConfig::default() }, |runtime| {
        order.take();
        arrivals.take();
        let sink = runtime.seat("sink", None);
        let (to_sink, mut inbox) = sink.mailbox::<(usize, u32, SimTime)>();
        let log = arrivals.clone();
        let mut last = [0; 10];
        sink.start(from_fn(move |now, _, ctx| {
            while let Some((who, number, sent)) = ctx.recv(&mut inbox) {
                assert!(number > last[who], "in the order in which they were sent");
                last[who] = number;
                log.add((sent, now));
            }
            NextWake::Idle
        }));
        for who in 0..10 {
            let (order, to_sink) = (order.clone(), to_sink.clone());
            let mut number = 0;
            runtime.seat("a", None).start(from_fn(move |now, _, ctx| {
                order.add((now, who));
                for _ in 0..3 {
                    number += 1;
                    ctx.send(&to_sink, (who, number, now));
                }
                if number < 12 { NextWake::At(now + Duration::from_millis(1)) } else { NextWake::Stopped }
            }));
        }
    });
    (order.take(), arrivals.take())
}

#[test]
fn a_schedule_seed_permutes_what_is_runnable_at_an_instant_and_jitters_latencies() {
    let (plain, exact) = instants(None);
    assert!(plain.chunks(10).all(|at_once| at_once.iter().map(|(_, who)| *who).eq(0..10)));
    assert!(exact.iter().all(|(sent, now)| now.since(*sent) == Duration::from_micros(10)));

    let (permuted, jittered) = instants(Some(3));
    assert_eq!((permuted.clone(), jittered.clone()), instants(Some(3)), "the seed alone decides");
    assert_ne!((permuted.clone(), jittered.clone()), instants(Some(4)));
    assert_ne!(permuted, plain);
    let mut sorted = permuted.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, plain, "the same wakes at the same times");
    let bounds = Duration::from_micros(10)..=Duration::from_micros(20);
    assert!(jittered.iter().all(|(sent, now)| bounds.contains(&now.since(*sent))));
    assert!(jittered.iter().any(|(sent, now)| now.since(*sent) > Duration::from_micros(12)));
}

#[test]
fn what_cannot_be_driven_is_refused() {
    let refused = |config| Runtime::new(config).unwrap_err();
    let config = RunConfig::default;
    let wall = |speed| ClockMode::Wall { speed };
    assert_eq!(refused(RunConfig { clock: wall(-1.0), ..config() }), ConfigError::Speed(-1.0));
    assert!(matches!(refused(RunConfig { clock: wall(f64::NAN), ..config() }), ConfigError::Speed(_)));
    assert_eq!(refused(RunConfig { latency: Duration::ZERO, ..config() }), ConfigError::NoDelay("latency"));
    assert_eq!(
        refused(RunConfig { requeue_delay: Duration::ZERO, ..config() }),
        ConfigError::NoDelay("requeue_delay")
    );
    assert_eq!(refused(RunConfig { budget: 0, ..config() }), ConfigError::AtLeastOne("budget"));
    assert_eq!(refused(RunConfig { runaway_wakes: 0, ..config() }), ConfigError::AtLeastOne("runaway_wakes"));
}
