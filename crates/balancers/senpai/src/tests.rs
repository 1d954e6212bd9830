//! The policy on hosts of its own.

use core::time::Duration;

use balancing_policy::{GuestReport, MemorySettings, PageCount, VmId};
use memory_balancer::BalancerConfig;
use policy_conformance::{Conformance, Guest, Load, Memory, Population, Promises, TestHost};

use super::{Config, Senpai};

const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

/// A host without a reserve, and VMs of 512 to 4096 MB that need this much.
fn host(total: u64, loads: &[u64]) -> TestHost {
    let config = BalancerConfig { reserve: PageCount::ZERO, ..BalancerConfig::for_host(mib(total)) };
    let mut host = TestHost::new(mib(total), config, Box::new(Senpai::default()));
    for (id, &load) in (1..).zip(loads) {
        let settings = MemorySettings::dynamic(mib(2048), mib(4096)).with_minimum(mib(512));
        host.add(VmId(id), settings, Guest::new(Load::constant(mib(load)))).unwrap();
        host.start_at(Duration::ZERO, VmId(id));
    }
    host
}

fn assigned(host: &TestHost, vm: u32) -> f64 {
    host.assigned(VmId(vm)).mib()
}

#[test]
fn takes_what_is_not_missed_by_one_percent_every_six_seconds() {
    let mut host = host(8192, &[600]);
    host.run_until(Duration::from_secs(606));
    // A hundred probes: 0.99 ^ 100 of 2048 is 749.
    let has = assigned(&host, 1);
    assert!((745.0..770.0).contains(&has), "{has}");
}

#[test]
fn settles_around_what_is_missed() {
    let mut host = host(8192, &[1000]);
    host.run_until(Duration::from_secs(900));
    let (mut least, mut most) = (f64::MAX, 0.0_f64);
    for second in 900..2400 {
        host.run_until(Duration::from_secs(second));
        least = least.min(assigned(&host, 1));
        most = most.max(assigned(&host, 1));
    }
    assert!((960.0..1000.0).contains(&least), "it finds out by making the guest page a little: {least}");
    // Moves are whole large pages, so each step may go 2 MB further than the controller's.
    assert!((1000.0..1310.0).contains(&most), "{most}");
}

#[test]
fn a_need_is_met_by_large_steps() {
    let mut host = host(16_384, &[1000]);
    host.run_until(Duration::from_secs(300));
    host.load(VmId(1), Load::constant(mib(3000)));
    host.run_until(Duration::from_secs(325));
    assert!(assigned(&host, 1) >= 2990.0, "{}", assigned(&host, 1));
}

#[test]
fn what_there_is_is_shared_by_all_that_rise() {
    let mut host = host(4800, &[3000, 3000]);
    host.run_until(Duration::from_secs(60));
    let (one, two) = (assigned(&host, 1), assigned(&host, 2));
    assert!((one - two).abs() < 70.0, "{one} and {two}");
    assert!(one + two > 4700.0);
}

#[test]
fn a_reported_stall_counts_before_writes() {
    let policy = Senpai::default();
    let writes = GuestReport::default().with(|report| report.page_file_writes = PageCount(50));
    assert_eq!(policy.stall(&writes), 1_500.0);
    let says = writes.with(|report| report.stalled = Some(Duration::from_millis(2)));
    assert_eq!(policy.stall(&says), 2_000.0);
}

#[test]
fn what_an_agent_says_of_stalls_counts_before_reports() {
    use std::sync::Arc;

    use balancing_policy::{
        GuestInsight, GuestStatus, HostView, Insight, PageCounter, Policy as _, Proposal, Reason,
        StallPressure, StallTime, Target, VmView,
    };

    let mut policy = Senpai::default();
    let mut vm = VmView::new(VmId(1), MemorySettings::dynamic(mib(512), mib(4096)));
    vm.assigned = mib(1000);
    let mut tick = |second: u64, writes: u64, stalled_ms: Option<u64>| {
        let now = Duration::from_secs(second);
        let status = GuestStatus::default().with(|status| status.page_file_writes = PageCounter::at(writes));
        vm.history.push(now, status);
        vm.insight = stalled_ms.map(|ms| {
            let some = StallTime { total: Duration::from_millis(ms), ..StallTime::default() };
            let stalls = Some(StallPressure { some, full: StallTime::default() });
            let measured = GuestInsight::default().with(|insight| insight.stalls = stalls);
            Arc::new(Insight { at: now, measured })
        });
        let mut proposal = Proposal::default();
        proposal.begin(core::iter::once(Target { pages: vm.assigned, reason: Reason::new("started") }));
        let host = HostView::new(mib(8192), mib(7000)).with(|host| host.now = now);
        policy.round(&host, std::slice::from_ref(&vm), &mut proposal);
        proposal.target(0).pages.mib()
    };
    // Of the first no beginning is known. Then 20 ms are twice what is aimed at: (2 / 20)² of it more, whatever is written.
    assert_eq!(tick(1, 0, Some(500)), 1000.0);
    assert_eq!(tick(2, 9_000, Some(520)), 1010.0);
    // Nothing stood still, and 100 000 pages written are no stall either.
    assert_eq!(tick(3, 109_000, Some(520)), 1010.0);
    // After a boot counts begin at 0: nothing is known of that time.
    assert_eq!(tick(4, 0, Some(100)), 1010.0);
}

#[test]
fn parameters_come_from_a_file() {
    let config: Config = toml::from_str("probe_ticks = 12").unwrap();
    assert_eq!((config.probe_ticks, config.most_probe), (12, 0.01));
    assert!(toml::from_str::<Config>("probe = 12").is_err());
}

#[test]
fn a_round_allocates_nothing() {
    for memory in [Memory::Enough, Memory::Short] {
        let mut policy = Senpai::default();
        let mut crowd = Population::new(256, memory, 1);
        crowd.round(&mut policy);
        for _ in 0..12 {
            crowd.report();
            assert_eq!(allocation_counter::measure(|| crowd.round(&mut policy)).count_total, 0);
            crowd.carry_out();
        }
    }
}

/// Its nature, stated: it never rests. Every probe may be answered by a rise, and a rise may be as much again.
#[test]
fn conforms() {
    let probes = Promises { rests_within: 1.0, reversals_per_hour: 1200.0, ..Promises::default() };
    Conformance::new(Senpai::default).promising(probes).assert();
}
