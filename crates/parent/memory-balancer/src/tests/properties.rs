//! Any order of anything conserves every frame.

use core::time::Duration;

use balancing_policy::MemorySettings;
use proptest::prelude::*;

use super::rig::{Asked, Rig, mib};
use crate::{Done, Input, Output, PageCount, VmId};

const VMS: u32 = 4;
const TOTAL: PageCount = mib(2000);

#[derive(Clone, Copy, Debug)]
enum Action {
    Start(u32),
    Cancel(u32),
    Restart(u32),
    Stop(u32),
    /// Its frames drop now; the balancer is told with the next `Stop`.
    CrashQuietly(u32),
    Join {
        vm: u32,
        granule: u64,
        balloon: bool,
        hot_add: bool,
    },
    Leave(u32),
    Report {
        vm: u32,
        demand: u64,
    },
    Finish {
        vm: u32,
        most: u64,
        drop_the_rest: bool,
    },
    /// The worker claims nonsense.
    FinishAbsurdly {
        vm: u32,
        claim: u64,
        swapped: bool,
    },
    GiveBack {
        vm: u32,
        pages: u64,
    },
    Responsive {
        vm: u32,
        responsive: bool,
    },
    Reserve(u64),
    Collect,
    Target {
        vm: u32,
        pages: u64,
    },
    ForStarts(Option<u64>),
    Panic(bool),
    Wait(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let vm = || 1..=VMS;
    let pages = || prop_oneof![0..1000_u64, (0..600_u64).prop_map(|m| mib(m).get()), Just(u64::MAX)];
    prop_oneof![
        3 => vm().prop_map(Action::Start),
        1 => vm().prop_map(Action::Cancel),
        1 => vm().prop_map(Action::Restart),
        1 => vm().prop_map(Action::Stop),
        1 => vm().prop_map(Action::CrashQuietly),
        3 => (vm(), prop_oneof![Just(2), Just(128), Just(0)], any::<bool>(), any::<bool>())
            .prop_map(|(vm, granule, balloon, hot_add)| Action::Join { vm, granule, balloon, hot_add }),
        1 => vm().prop_map(Action::Leave),
        2 => (vm(), pages()).prop_map(|(vm, demand)| Action::Report { vm, demand }),
        6 => (vm(), prop_oneof![pages(), Just(u64::MAX)], any::<bool>())
            .prop_map(|(vm, most, drop_the_rest)| Action::Finish { vm, most, drop_the_rest }),
        1 => (vm(), pages(), any::<bool>())
            .prop_map(|(vm, claim, swapped)| Action::FinishAbsurdly { vm, claim, swapped }),
        1 => (vm(), pages()).prop_map(|(vm, pages)| Action::GiveBack { vm, pages }),
        1 => (vm(), any::<bool>()).prop_map(|(vm, responsive)| Action::Responsive { vm, responsive }),
        1 => (0..3000_u64).prop_map(Action::Reserve),
        2 => Just(Action::Collect),
        4 => (vm(), pages()).prop_map(|(vm, pages)| Action::Target { vm, pages }),
        1 => prop::option::of(pages()).prop_map(Action::ForStarts),
        1 => any::<bool>().prop_map(Action::Panic),
        5 => (0..40_000_u64).prop_map(Action::Wait),
    ]
}

/// Whether the balancer thinks that the VM runs.
fn runs(rig: &Rig, vm: u32) -> bool {
    rig.balancer.vms().iter().any(|view| view.id == VmId(vm))
}

fn act(rig: &mut Rig, action: Action) {
    match action {
        Action::Start(vm) => {
            // A worker that crashed is cleared away before the VM starts again.
            if runs(rig, vm) || !rig.asked.contains_key(&VmId(vm)) {
                rig.start(vm);
            }
        }
        Action::Cancel(vm) => rig.send(Input::StartCancelled { vm: VmId(vm) }),
        Action::Restart(vm) => {
            if runs(rig, vm) {
                rig.crash(vm);
                rig.send(Input::VmRestarts { vm: VmId(vm) });
            }
        }
        Action::Stop(vm) => rig.stop(vm),
        Action::CrashQuietly(vm) => {
            if runs(rig, vm) {
                rig.crash(vm);
            }
        }
        Action::Join { vm, granule, balloon, hot_add } => {
            rig.send(Input::Joined { vm: VmId(vm), granule: mib(granule), balloon, hot_add });
        }
        Action::Leave(vm) => {
            if let Some(ballooned) = rig.ballooned.get_mut(&VmId(vm)) {
                *ballooned = PageCount::ZERO;
            }
            rig.send(Input::Left { vm: VmId(vm) });
        }
        Action::Report { vm, demand } => rig.report(vm, PageCount(demand)),
        Action::Finish { vm, most, drop_the_rest } => {
            if rig.asked.contains_key(&VmId(vm)) {
                rig.finish_with(vm, PageCount(most), drop_the_rest);
            }
        }
        Action::FinishAbsurdly { vm, claim, swapped } => {
            let id = VmId(vm);
            let (operation, returned, grown) = match rig.asked.remove(&id) {
                Some(Asked::Grow { operation, frames, .. }) => (operation, frames, true),
                Some(Asked::Shrink { operation, .. }) => {
                    (operation, rig.mapped.get_mut(&id).unwrap().take_up_to(mib(3)), false)
                }
                Some(start) => {
                    rig.asked.insert(id, start);
                    return;
                }
                None => return,
            };
            let done = if grown == swapped {
                Done::Shrunk { released: PageCount(claim), returned }
            } else {
                Done::Grown { mapped: PageCount(claim), returned, barrier: claim % 2 == 0 }
            };
            // Said first: the answer may be a grant at once.
            rig.ballooned.insert(id, PageCount::ZERO);
            rig.send(Input::OperationFinished { vm: id, operation, done, returnable: PageCount::ZERO });
        }
        Action::GiveBack { vm, pages } => {
            if let Some(mapped) = rig.mapped.get_mut(&VmId(vm)) {
                let frames = mapped.take_up_to(PageCount(pages));
                rig.send(Input::Returned { vm: VmId(vm), frames });
            }
        }
        Action::Responsive { vm, responsive } => {
            rig.send(Input::Responsive { vm: VmId(vm), responsive });
        }
        Action::Reserve(reserve) => rig.send(Input::SetReserve(mib(reserve))),
        Action::Collect => rig.collect(),
        Action::Target { vm, pages } => rig.policy.set(vm, PageCount(pages)),
        Action::ForStarts(pages) => rig.policy.script().for_starts = pages.map(PageCount),
        Action::Panic(panics) => rig.policy.script().panics = panics,
        Action::Wait(milliseconds) => {
            let until = rig.now + Duration::from_millis(milliseconds);
            rig.wait_until(until);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_anything_conserves_every_frame(
        actions in prop::collection::vec(action(), 1..80),
        smart_paging in any::<bool>(),
    ) {
        let mut rig = Rig::new(TOTAL, mib(100), |config| {
            if smart_paging {
                *config = config.clone().with_smart_paging();
            }
        });
        for vm in 1..=VMS {
            let settings = MemorySettings::dynamic(mib(300), mib(500 + 400 * u64::from(vm)))
                .with_minimum(mib(50 * u64::from(vm)))
                .with_weight(2500 * vm);
            rig.register(vm, settings);
        }
        rig.said.clear();
        for action in actions {
            act(&mut rig, action);
        }
        // All stop; every frame is back.
        for vm in 1..=VMS {
            rig.stop(vm);
        }
        rig.collect();
        let ledger = rig.balancer.ledger();
        prop_assert_eq!(ledger.available + ledger.reserve, TOTAL);
        prop_assert_eq!(ledger.in_transit() + ledger.assigned + ledger.overhead, PageCount::ZERO);
        // Every round a policy lost was recorded with its name.
        let named = rig.said.iter().all(|output| {
            !matches!(output, Output::PolicyFailed { policy, .. } if &**policy != "scripted")
        });
        prop_assert!(named);
    }
}
