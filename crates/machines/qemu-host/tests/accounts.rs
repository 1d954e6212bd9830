//! An account under any order of events: its frames are what its guest can have.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::PageCount;
use memory_balancer::{Done, OperationId};
use page_range::{HostFrames, HostMemory};
use proptest::prelude::*;
use qemu_host::account::{Account, Step};
use qemu_host::device::Limits;

#[derive(Clone, Debug)]
enum Act {
    Grant(u64),
    Shrink(u64),
    Answer(bool),
    /// The guest goes so far of the way to what QEMU lets it have.
    Move(u8),
    NotNow,
    Interrupt(bool),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (1..200_u64).prop_map(Act::Grant),
        (1..200_u64).prop_map(Act::Shrink),
        (0..5_u8).prop_map(|refused| Act::Answer(refused > 0)),
        any::<u8>().prop_map(Act::Move),
        Just(Act::NotNow),
        any::<bool>().prop_map(Act::Interrupt),
        (1..100_u64).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 1..80)
}

/// QEMU and guest, as they are.
struct World {
    account: Account,
    pool: HostFrames,
    /// What QEMU has been asked for, in order, and has not answered.
    asked: Vec<PageCount>,
    /// What QEMU lets the guest have.
    lets: PageCount,
    actual: PageCount,
    busy: bool,
    now: Duration,
}

impl World {
    fn steps(&mut self, steps: Vec<Step>, sent: bool) {
        for step in steps {
            match step {
                Step::Ask(pages) => {
                    assert!(pages <= self.account.pages(), "QEMU is asked for more than is charged");
                    if sent {
                        self.asked.push(pages);
                    } else {
                        self.account.not_now();
                    }
                }
                Step::Returned(frames) => self.pool.merge(frames).unwrap(),
                Step::Finished { done, .. } => {
                    self.busy = false;
                    let (Done::Grown { returned, .. } | Done::Shrunk { returned, .. }) = done;
                    self.pool.merge(returned).unwrap();
                }
                Step::Responsive(_) => {}
            }
        }
    }

    fn check(&self, all: PageCount) {
        let may_have = self.asked.iter().copied().fold(self.lets.max(self.actual), PageCount::max);
        assert!(self.account.pages() >= may_have, "{} of {may_have}", self.account.pages());
        assert_eq!(self.account.pages() + self.pool.pages(), all);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn frames_are_never_fewer_than_what_the_guest_can_have(acts in acts(), granule in 1..64_u64) {
        let all = PageCount(4000);
        let (_memory, mut pool) = HostMemory::new(all, Arc::new(|| ()));
        let has = PageCount(1000);
        let frames = pool.take_up_to(has);
        let hot_add = granule > 1;
        let returnable = if hot_add { 0 } else { 4000 * 4096 };
        let limits =
            Limits { least: 4096, most: 4000 * 4096, granule: granule * 4096, hot_add, returnable };
        let account = Account::new(frames, has, &limits, Duration::from_secs(15));
        let mut world = World { account, pool, asked: Vec::new(), lets: has, actual: has, busy: false, now: Duration::ZERO };
        let mut operations = 0;
        for act in acts {
            let mut out = Vec::new();
            let (now, mut sent) = (world.now, true);
            match act {
                Act::Grant(pages) if !world.busy => {
                    let frames = world.pool.take_up_to(PageCount(pages));
                    if frames.is_empty() { continue; }
                    operations += 1;
                    world.busy = true;
                    world.account.grant(now, OperationId(operations), frames, &mut out);
                }
                Act::Shrink(pages) if !world.busy => {
                    operations += 1;
                    world.busy = true;
                    world.account.shrink(now, OperationId(operations), PageCount(pages), PageCount(50), &mut out);
                }
                Act::Grant(_) | Act::Shrink(_) => continue,
                Act::Answer(accepted) if !world.asked.is_empty() => {
                    let pages = world.asked.remove(0);
                    if accepted { world.lets = pages; }
                    world.account.answered(now, accepted, &mut out);
                }
                Act::Answer(_) => continue,
                Act::Move(part) => {
                    let (from, to) = (world.actual.get(), world.lets.get());
                    let way = from.abs_diff(to) * u64::from(part) / 255;
                    world.actual = PageCount(if to < from { from - way } else { from + way });
                    world.account.heard(now, world.actual, &mut out);
                }
                Act::NotNow => {
                    sent = false;
                    world.account.timer(now, &mut out);
                }
                Act::Interrupt(lost) => {
                    // What was on its way to a QEMU that is lost may still be carried out, and is never answered.
                    if lost && let Some(pages) = world.asked.pop() { world.lets = world.lets.max(pages); }
                    world.account.interrupt(now, lost, &mut out);
                }
                Act::Wait(seconds) => {
                    world.now += Duration::from_secs(seconds);
                    world.account.timer(world.now, &mut out);
                }
            }
            world.steps(out, sent);
            world.check(all);
        }
        // Every operation ends: QEMU answers, the guest does what it likes, and time passes.
        for _ in 0..20 {
            world.now += Duration::from_secs(30);
            for _ in 0..3 {
                let mut out = Vec::new();
                if world.asked.is_empty() {
                    world.account.timer(world.now, &mut out);
                } else {
                    world.lets = world.asked.remove(0);
                    world.account.answered(world.now, true, &mut out);
                }
                world.steps(out, true);
                let mut out = Vec::new();
                world.account.heard(world.now, world.actual, &mut out);
                world.steps(out, true);
                world.check(all);
            }
        }
        prop_assert!(!world.busy);
    }
}
