//! Microsoft's own behaviour tests for Dynamic Memory (its public tests for Linux guests), as far as balancer and policy
//! decide them. Sizes are in percent of what is available on the empty host, weights 0–10000, the minimum is 512 MB.

use core::time::Duration;

use balancing_policy::{MemorySettings, PageCount, VmId};
use memory_balancer::hyperv::PressureBandPolicy;
use memory_balancer::{BalancerConfig, Output};
use policy_conformance::{Guest, Load, TestHost};

const TOTAL: PageCount = PageCount::from_mib(32 * 1024);
const MINIMUM: PageCount = PageCount::from_mib(512);
const IDLE: u64 = 400;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Percent of what is available on the empty host (32 GB, reserve unset: 31424 MB), in whole MB.
fn percent(percent: u64) -> PageCount {
    PageCount::from_mib(31_424 * percent / 100)
}

struct Bench {
    host: TestHost,
}

impl Bench {
    fn new() -> Self {
        let config = BalancerConfig::for_host(TOTAL);
        Self { host: TestHost::new(TOTAL, config, Box::new(PressureBandPolicy::default())) }
    }

    /// A VM that starts at a time, idles, and after its settling time needs `stress`.
    fn vm(
        &mut self,
        id: u32,
        weight: u32,
        startup: PageCount,
        maximum: PageCount,
        start: u64,
        stress: PageCount,
    ) {
        let settings =
            MemorySettings::dynamic(startup, maximum).with_minimum(MINIMUM.min(startup)).with_weight(weight);
        let idle = PageCount::from_mib(IDLE);
        let load = Load::through(vec![(secs(start + 60), idle), (secs(start + 80), stress.max(idle))]);
        self.host.add(VmId(id), settings, Guest::new(load)).unwrap();
        self.host.start_at(secs(start), VmId(id));
    }

    fn assigned(&self, id: u32) -> PageCount {
        self.host.assigned(VmId(id))
    }

    fn run_until(&mut self, seconds: u64) {
        self.host.run_until(secs(seconds));
        assert!(self.host.balancer.ledger().balances());
        for view in self.host.balancer.vms() {
            assert!(view.assigned <= view.settings.maximum, "{} above its maximum", view.name);
        }
    }
}

#[test]
fn high_priority() {
    let mut bench = Bench::new();
    bench.vm(1, 10_000, percent(30), percent(30), 0, percent(25));
    bench.vm(2, 0, percent(30), percent(30), 0, percent(25));
    bench.run_until(140);
    let all = bench.host.balancer.ledger().available - bench.host.balancer.config().overhead_per_vm;
    bench.vm(3, 0, all, all, 140, all);
    bench.run_until(170);
    assert_eq!(bench.assigned(3), all);
    assert!(bench.assigned(1) >= bench.assigned(2));
}

#[test]
fn high_priority_strict() {
    let mut bench = Bench::new();
    bench.vm(1, 10_000, percent(10), percent(60), 0, percent(50));
    bench.vm(2, 0, percent(10), percent(60), 0, percent(50));
    bench.run_until(300);
    assert!(bench.assigned(1) > bench.assigned(2), "{} {}", bench.assigned(1), bench.assigned(2));
    assert!(bench.assigned(1) > percent(50), "{}", bench.assigned(1));
}

#[test]
fn high_priority_contended() {
    let mut bench = Bench::new();
    bench.vm(1, 10_000, percent(45), percent(50), 0, percent(48));
    bench.vm(2, 0, percent(45), percent(50), 0, percent(48));
    let mut more = 0;
    for second in 100..400 {
        bench.run_until(second);
        more += u32::from(bench.assigned(1) > bench.assigned(2));
    }
    assert!(more > 150, "{more} of 300");
}

#[test]
fn hot_remove() {
    let mut bench = Bench::new();
    bench.vm(1, 10_000, PageCount::from_mib(1024), percent(40), 0, percent(35));
    bench.vm(2, 0, percent(80), percent(80), 0, PageCount::ZERO);
    bench.run_until(60);
    assert_eq!(bench.assigned(2), percent(80));
    bench.run_until(200);
    assert!(bench.assigned(1) > percent(35), "{}", bench.assigned(1));
    assert!(bench.assigned(2) < percent(65), "{}", bench.assigned(2));
}

#[test]
fn startup_low_competes() {
    let mut bench = Bench::new();
    bench.vm(1, 5000, percent(80), percent(80), 0, PageCount::ZERO);
    bench.vm(2, 5000, percent(40), percent(40), 100, PageCount::ZERO);
    // The third try comes after 60 s; then 12 GB are mapped.
    bench.run_until(100 + 75);
    assert_eq!(bench.assigned(2), percent(40));
    assert!(bench.assigned(1) < percent(61), "{}", bench.assigned(1));
    let refused =
        bench.host.record.iter().filter(|output| matches!(output, Output::StartRefused { .. })).count();
    assert!(
        (1..3).contains(&refused),
        "refused while memory is being removed, and started by the third try: {refused}"
    );
}

#[test]
fn startup_high_competes() {
    let mut bench = Bench::new();
    // A little less than all, for their overhead.
    bench.vm(1, 5000, percent(59), percent(59), 0, percent(40));
    bench.vm(2, 5000, percent(40), percent(40), 0, percent(30));
    bench.run_until(150);
    let before = (bench.assigned(1), bench.assigned(2));
    assert_eq!(before, (percent(59), percent(40)));
    bench.vm(3, 10_000, percent(25), percent(25), 150, PageCount::ZERO);
    let started = (151..=211).find(|&second| {
        bench.run_until(second);
        bench.assigned(3) == percent(25)
    });
    assert!(started.is_some(), "not within 3 tries 30 s apart");
    assert!(bench.assigned(1) < before.0 && bench.assigned(2) < before.1);
}

#[test]
fn a_start_that_its_weight_does_not_allow_disturbs_nobody() {
    let mut bench = Bench::new();
    bench.vm(1, 5000, percent(59), percent(59), 0, percent(50));
    bench.vm(2, 5000, percent(40), percent(40), 0, percent(34));
    bench.run_until(150);
    let before = (bench.assigned(1), bench.assigned(2));
    bench.vm(3, 0, percent(25), percent(25), 150, PageCount::ZERO);
    bench.run_until(260);
    let refused =
        bench.host.record.iter().filter(|output| matches!(output, Output::StartRefused { .. })).count();
    assert_eq!(refused, 3, "each of the three tries");
    assert_eq!((bench.assigned(1), bench.assigned(2)), before);
}

#[test]
fn remove_then_pressure() {
    let mut bench = Bench::new();
    let settings = MemorySettings::dynamic(percent(30), percent(30)).with_minimum(MINIMUM);
    let idle = PageCount::from_mib(IDLE);
    let points = [(0, idle), (500, idle), (510, percent(25)), (560, percent(25)), (565, idle)];
    let load = Load::through(points.into_iter().map(|(at, pages)| (secs(at), pages)).collect());
    bench.host.add(VmId(1), settings, Guest::new(load)).unwrap();
    bench.host.start_at(Duration::ZERO, VmId(1));
    bench.run_until(290);
    assert_eq!(bench.assigned(1), percent(30), "reclaimed before the hold");
    bench.run_until(420);
    let removed = bench.assigned(1);
    assert!(removed < percent(30) && removed >= MINIMUM, "{removed}");
    bench.run_until(555);
    let pressed = bench.assigned(1);
    assert!(pressed >= percent(25), "{pressed}");
    bench.run_until(600 + 420);
    let again = bench.assigned(1);
    assert!(again < PageCount::from_mib(1024) && again >= MINIMUM, "{again}");
}

#[test]
fn bounds() {
    let mut bench = Bench::new();
    for id in 1..=4 {
        bench.vm(id, 2500 * id, percent(10), percent(20), 0, percent(if id % 2 == 0 { 90 } else { 0 }));
    }
    for second in 1..600 {
        bench.run_until(second);
        for id in 1..=4 {
            let assigned = bench.assigned(id);
            assert!(assigned.is_zero() || assigned >= MINIMUM, "{assigned}");
        }
    }
    assert_eq!(bench.assigned(2), percent(20));
}
