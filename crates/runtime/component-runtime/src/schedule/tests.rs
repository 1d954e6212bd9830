//! The scheduler against a list that is searched from one end to the other.
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::{Decision, Finished, Scheduler};
use crate::config::RunConfig;
use crate::exit::Exit;
use crate::id::ComponentId;
use crate::time::SimTime;
use crate::trace::{Cause, Label};
use crate::wake::{NextWake, WakeCause};

const COMPONENTS: usize = 5;

/// What the component that is awake does.
#[derive(Clone, Debug)]
enum Act {
    Ring(usize),
    /// To one of two mailboxes of a component.
    Post(usize, usize),
    Kill(usize),
}

#[derive(Clone, Debug)]
enum Then {
    Idle,
    In(u64),
    Again,
    More,
    Stopped,
}

fn wakes() -> impl Strategy<Value = Vec<(Vec<Act>, Then)>> {
    let act = prop_oneof![
        6 => (0..COMPONENTS).prop_map(Act::Ring),
        6 => (0..COMPONENTS, 0..2usize).prop_map(|(to, mailbox)| Act::Post(to, mailbox)),
        1 => (0..COMPONENTS).prop_map(Act::Kill),
    ];
    let then = prop_oneof![
        6 => Just(Then::Idle),
        6 => (0..30_000u64).prop_map(Then::In),
        2 => Just(Then::Again),
        2 => Just(Then::More),
        1 => Just(Then::Stopped),
    ];
    prop::collection::vec((prop::collection::vec(act, 0..4), then), 1..80)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Start,
    Message,
    Bell,
    Timer,
    Again,
}

/// Everything that is pending, as it was scheduled: (who, what, when), in the order of scheduling.
#[derive(Default)]
struct List {
    pending: Vec<(ComponentId, Kind, u64)>,
    alive: Vec<ComponentId>,
}

impl List {
    fn add(&mut self, who: ComponentId, what: Kind, when: u64) {
        let coalesces = |(w, k, t): &(ComponentId, Kind, u64)| {
            *w == who && *k == what && (what == Kind::Bell || *t == when)
        };
        if self.alive.contains(&who) && !self.pending.iter().any(coalesces) {
            self.pending.push((who, what, when));
        }
    }
    fn forget(&mut self, who: ComponentId, what: Kind) {
        self.pending.retain(|(w, k, _)| !(*w == who && *k == what));
    }
    fn retire(&mut self, who: ComponentId) {
        self.pending.retain(|(w, _, _)| *w != who);
        self.alive.retain(|w| *w != who);
    }
    /// Who is next (the first of the earliest), when, and everything that is due for it then.
    fn next(&mut self) -> Option<(ComponentId, u64, WakeCause)> {
        let (who, _, now) = *self.pending.iter().min_by_key(|(_, _, when)| *when)?;
        let due = |what| self.pending.iter().any(|(w, k, when)| *w == who && *k == what && *when <= now);
        let cause = WakeCause {
            started: due(Kind::Start),
            message: due(Kind::Message),
            doorbell: due(Kind::Bell),
            timer: due(Kind::Timer),
            again: self.pending.iter().any(|(w, k, _)| *w == who && *k == Kind::Again),
        };
        self.pending.retain(|(w, k, when)| !(*w == who && (*when <= now || *k == Kind::Again)));
        Some((who, now, cause))
    }
}

proptest! {
    #[test]
    fn decides_as_the_list_does(wakes in wakes()) {
        let config = RunConfig { requeue_delay: Duration::from_nanos(700), ..RunConfig::default() };
        let (latency, requeue) = (10_000, 700);
        let mut scheduler = Scheduler::new(&config);
        let mut list = List::default();
        let ids: Vec<ComponentId> = (0..COMPONENTS)
            .map(|n| scheduler.seat(Arc::new(Label { name: n.to_string().into(), vm: None })))
            .collect();
        for id in &ids {
            list.alive.push(*id);
            list.add(*id, Kind::Start, 0);
            prop_assert!(scheduler.start(*id, Vec::new(), Cause::NONE).is_ok());
        }
        let mut last_arrival = [[SimTime::ZERO; 2]; COMPONENTS];
        let mut woken = None;
        let mut killed: Vec<ComponentId> = Vec::new();
        for (acts, then) in wakes {
            let (id, now) = loop {
                match scheduler.step(woken.take(), false) {
                    Decision::Drop { why: Exit::RunEnds, .. } | Decision::End => {
                        prop_assert_eq!(list.next(), None);
                        return Ok(());
                    }
                    Decision::Drop { id, .. } => {
                        prop_assert_eq!(id, killed.remove(0));
                        list.retire(id);
                        scheduler.dropped(id, SimTime::ZERO, Vec::new());
                    }
                    Decision::Wake { id, now, wake, .. } => {
                        prop_assert_eq!(&killed, &[]);
                        prop_assert_eq!(list.next(), Some((id, now.0, wake)));
                        break (id, now);
                    }
                }
            };
            for act in acts {
                match act {
                    Act::Ring(to) => {
                        scheduler.ring(ids[to], Cause::NONE);
                        if !killed.contains(&ids[to]) {
                            list.add(ids[to], Kind::Bell, now.0 + latency);
                        }
                    }
                    Act::Post(to, mailbox) => {
                        let last = &mut last_arrival[to][mailbox];
                        let arrival = scheduler.post(ids[to], *last);
                        let receives = list.alive.contains(&ids[to]) && !killed.contains(&ids[to]);
                        prop_assert_eq!(arrival, receives.then(|| SimTime(now.0 + latency).max(*last)));
                        if let Some(arrival) = arrival {
                            *last = arrival;
                            list.add(ids[to], Kind::Message, arrival.0);
                        }
                    }
                    Act::Kill(whom) => {
                        let lives = list.alive.contains(&ids[whom]) && !killed.contains(&ids[whom]);
                        prop_assert_eq!(scheduler.kill(ids[whom], Cause::NONE), lives);
                        if lives {
                            killed.push(ids[whom]);
                        }
                    }
                }
            }
            // The timer that is set again for the same time keeps its rank; every other is new.
            let kept = list.pending.iter().find(|(w, k, _)| *w == id && *k == Kind::Timer).map(|(_, _, when)| *when);
            let (next, more) = match then {
                Then::Idle => (NextWake::Idle, false),
                Then::In(delay) => (NextWake::At(SimTime(now.0 + delay)), false),
                Then::Again => (NextWake::Again, false),
                Then::More => (NextWake::Idle, true),
                Then::Stopped => (NextWake::Stopped, false),
            };
            match next {
                NextWake::At(time) if kept == Some(time.0) => {}
                NextWake::At(time) => {
                    list.forget(id, Kind::Timer);
                    list.add(id, Kind::Timer, if time > now { time.0 } else { now.0 + requeue });
                }
                NextWake::Idle | NextWake::Again => {
                    list.forget(id, Kind::Timer);
                    if more || next == NextWake::Again {
                        list.add(id, Kind::Again, now.0 + requeue);
                    }
                }
                NextWake::Stopped => {
                    if !killed.contains(&id) {
                        killed.push(id);
                    }
                }
            }
            woken = Some(Finished { id, next, more, cause: Cause::NONE, panic: None });
        }
    }
}
