use std::sync::Arc;

use balancing_policy::{
    GuestInsight, GuestStatus, Insight, MemorySettings, StallPressure, StallTime, Target, VmId,
};
use policy_conformance::{Conformance, Promises};

use super::*;

const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

#[test]
fn levels_go_by_free_memory_and_steps_by_levels() {
    let config = Config::default();
    let levels = [0.2, 0.10, 0.09, 0.05, 0.04, 0.02, 0.01].map(|free| Level::of(free, &config));
    let expected =
        [Level::None, Level::None, Level::Low, Level::Low, Level::Medium, Level::Medium, Level::Critical];
    assert_eq!(levels, expected);
    let to = |level, pressure| step(mib(1000), level, pressure, config.step).whole_mib();
    let all = [Level::None, Level::Low, Level::Medium, Level::Critical];
    assert_eq!(all.map(|level| to(level, false)), [1000, 984, 968, 936]);
    assert_eq!(all.map(|level| to(level, true)), [1016, 1000, 1000, 1000]);
}

fn vm(available: u64, stalls: Option<f64>) -> VmView {
    VmView::new(VmId(1), MemorySettings::dynamic(mib(512), mib(4096))).with(|vm| {
        vm.assigned = mib(1000);
        let status = GuestStatus::default().with(|status| status.available = mib(available));
        vm.history.push(Duration::ZERO, status);
        vm.insight = stalls.map(|avg10| {
            let some = StallTime { avg10, ..StallTime::default() };
            let stalls = Some(StallPressure { some, full: StallTime::default() });
            let measured = GuestInsight::default().with(|insight| insight.stalls = stalls);
            Arc::new(Insight { at: Duration::ZERO, measured })
        });
    })
}

fn target(vm: VmView, capacity: u64) -> u64 {
    let mut proposal = Proposal::default();
    proposal.begin(core::iter::once(Target { pages: vm.assigned, reason: Reason::new("started") }));
    let host = HostView::new(mib(capacity), mib(capacity - 1000));
    AutoBallooning::default().round(&host, &[vm], &mut proposal);
    proposal.target(0).pages.whole_mib()
}

#[test]
fn what_a_guest_says_of_stalls_counts_before_what_it_has_available() {
    // 20 % of the host are free, then 4 %.
    let (plenty, little) = (1250, 1042);
    assert_eq!((target(vm(10, None), plenty), target(vm(300, None), plenty)), (1016, 1000));
    assert_eq!((target(vm(10, None), little), target(vm(300, None), little)), (1000, 968));
    assert_eq!((target(vm(10, Some(0.0)), plenty), target(vm(300, Some(0.5)), plenty)), (1000, 1016));
    assert_eq!((target(vm(10, Some(0.0)), little), target(vm(300, Some(0.5)), little)), (968, 1000));
}

#[test]
fn parameters_come_from_a_file() {
    let config: Config = toml::from_str("low = 0.2").unwrap();
    assert_eq!((config.low, config.step), (0.2, mib(16)));
    assert!(toml::from_str::<Config>("lower = 0.2").is_err());
}

/// Its nature, stated: around a threshold of the host what is taken is given again.
#[test]
fn conforms() {
    let never_rests = Promises { rests_within: 0.25, reversals_per_hour: 1800.0, ..Promises::default() };
    Conformance::new(AutoBallooning::default).promising(never_rests).assert();
}
