//! The policy on hosts of its own.

use core::time::Duration;

use balancing_policy::{MemorySettings, PageCount, Policy, VmId};
use memory_balancer::BalancerConfig;
use policy_conformance::{Guest, Load, Memory, Population, TestHost};

use super::{Config, Esx};

const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

/// A host of 10 GB without a reserve, and VMs with startup 2 GB, 512 MB to 8 GB, that need this much at these weights.
fn host(vms: &[(u64, u32)], config: Config) -> TestHost {
    let total = mib(10_000);
    let balancer = BalancerConfig { reserve: PageCount::ZERO, ..BalancerConfig::for_host(total) };
    let mut host = TestHost::new(total, balancer, Box::new(Esx::new(config)));
    for (id, &(load, weight)) in (1..).zip(vms) {
        let settings =
            MemorySettings::dynamic(mib(2048), mib(8192)).with_minimum(mib(512)).with_weight(weight);
        host.add(VmId(id), settings, Guest::new(Load::constant(mib(load)))).unwrap();
        host.start_at(Duration::ZERO, VmId(id));
    }
    host
}

fn assigned(host: &TestHost, vm: u32) -> f64 {
    host.assigned(VmId(vm)).mib()
}

#[test]
fn while_memory_is_free_nothing_is_reclaimed_and_wants_are_met() {
    let mut host = host(&[(300, 5000), (4000, 5000)], Config::default());
    host.run_until(Duration::from_secs(600));
    assert_eq!(assigned(&host, 1), 2048.0, "idle, and left alone");
    assert!((assigned(&host, 2) - 4800.0).abs() <= 8.0, "{}", assigned(&host, 2));
}

#[test]
fn six_percent_stay_free_and_the_idle_pay() {
    let mut host = host(&[(300, 5000), (7000, 5000), (1500, 5000)], Config::default());
    host.run_until(Duration::from_secs(900));
    let free = host.balancer.ledger().available.mib();
    assert!((560.0..700.0).contains(&free), "{free}");
    // Both pay the same per page: what the one uses actively costs as much as 300 MB of the other and four times the rest.
    let (idle, busy) = (assigned(&host, 1), assigned(&host, 2));
    assert!((300.0 + 4.0 * (idle - 300.0) - busy).abs() < 40.0, "{idle} and {busy}");
    assert!((assigned(&host, 3) - 2048.0).abs() < 1.0, "it pays more than either");
}

#[test]
fn without_the_tax_only_shares_count() {
    let untaxed = Config { tax: 0.0, ..Config::default() };
    let mut host = host(&[(2000, 5000), (8000, 5000)], untaxed);
    host.run_until(Duration::from_secs(600));
    let idle = assigned(&host, 1);
    // It has less than its half, so it pays more per page than the other: nothing is revoked from it.
    assert!(idle >= 2048.0, "{idle}");
}

#[test]
fn shares_decide_in_a_shortage() {
    let mut host = host(&[(7000, 10_000), (7000, 5000)], Config::default());
    host.run_until(Duration::from_secs(600));
    let (high, low) = (assigned(&host, 1), assigned(&host, 2));
    assert!((high / low - 2.0).abs() < 0.05, "{high} and {low}");
}

#[test]
fn at_most_65_percent_are_ballooned() {
    let mut host = host(&[(100, 5000), (8192, 5000)], Config::default());
    host.run_until(Duration::from_secs(900));
    assert!(assigned(&host, 1) >= 0.35 * 2048.0 - 1.0, "{}", assigned(&host, 1));
}

#[test]
fn room_is_made_for_a_vm_that_waits_to_start() {
    let mut host = host(&[(900, 5000), (900, 5000), (900, 5000), (900, 5000)], Config::default());
    let late = MemorySettings::dynamic(mib(3072), mib(3072));
    host.add(VmId(5), late, Guest::new(Load::constant(mib(900)))).unwrap();
    host.start_at(Duration::from_secs(300), VmId(5));
    host.run_until(Duration::from_secs(299));
    assert!(host.balancer.ledger().available < mib(3080));
    // The operator asks again after 30 s.
    host.run_until(Duration::from_secs(345));
    assert_eq!(assigned(&host, 5), 3072.0);
}

#[test]
fn parameters_come_from_a_file() {
    let config: Config = toml::from_str("tax = 0.5").unwrap();
    assert_eq!((config.tax, config.high), (0.5, 0.06));
    assert!(toml::from_str::<Config>("taxes = 0.5").is_err());
    assert!(!Esx::new(Config { weights: false, ..Config::default() }).uses_priority());
}

#[test]
fn a_round_allocates_nothing() {
    for memory in [Memory::Enough, Memory::Short] {
        let mut policy = Esx::default();
        let mut crowd = Population::new(256, memory, 1);
        crowd.round(&mut policy);
        for _ in 0..20 {
            crowd.report();
            assert_eq!(allocation_counter::measure(|| crowd.round(&mut policy)).count_total, 0);
            crowd.carry_out();
        }
    }
}

#[test]
fn conforms() {
    policy_conformance::assert_conforms(Esx::default);
}
