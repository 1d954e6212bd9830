//! The policy on hosts of its own.

use core::time::Duration;

use balancing_policy::{MemorySettings, PageCount, VmId};
use memory_balancer::BalancerConfig;
use policy_conformance::{Guest, Load, Manners, Memory, Population, TestHost};

use super::{Config, Squeezed};

const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

const SETTINGS: MemorySettings = MemorySettings::dynamic(mib(1024), mib(4096)).with_minimum(mib(512));

fn host(total: u64, vms: &[(MemorySettings, Manners)]) -> TestHost {
    let config = BalancerConfig { reserve: PageCount::ZERO, ..BalancerConfig::for_host(mib(total)) };
    let mut host = TestHost::new(mib(total), config, Box::new(Squeezed::default()));
    for (id, &(settings, manners)) in (1..).zip(vms) {
        let guest = Guest::new(Load::constant(mib(400))).with_manners(manners);
        host.add(VmId(id), settings, guest).unwrap();
        host.start_at(Duration::ZERO, VmId(id));
    }
    host
}

fn assigned(host: &TestHost, vm: u32) -> f64 {
    host.assigned(VmId(vm)).mib()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 8.0
}

#[test]
fn everyone_is_the_same_part_of_the_way_whatever_they_need() {
    let wide = MemorySettings::dynamic(mib(1024), mib(8192)).with_minimum(mib(1024));
    let mut host = host(8192, &[(SETTINGS, Manners::Good), (wide, Manners::Good)]);
    host.run_until(Duration::from_secs(120));
    // 8192 − 2·8 − 9 to share, 1536 of them minimums, of a range of 3584 + 7168.
    let gamma = (8192.0 - 16.0 - 9.0 - 1536.0) / 10_752.0;
    assert!(near(assigned(&host, 1), 512.0 + gamma * 3584.0), "{}", assigned(&host, 1));
    assert!(near(assigned(&host, 2), 1024.0 + gamma * 7168.0), "{}", assigned(&host, 2));
}

#[test]
fn what_shrinks_comes_before_what_grows() {
    let mut host = host(4096, &[(SETTINGS, Manners::Good); 2]);
    host.run_until(Duration::from_secs(60));
    let before = assigned(&host, 1);
    host.add(VmId(3), SETTINGS, Guest::new(Load::constant(mib(400)))).unwrap();
    host.start_at(Duration::from_secs(61), VmId(3));
    let mut last = assigned(&host, 3);
    for tenth in 0..1200 {
        host.run_until(Duration::from_millis(61_000 + 100 * tenth));
        let now = assigned(&host, 3);
        if last > 0.0 && now > last {
            assert!(near(assigned(&host, 1), assigned(&host, 2)), "they have shrunk by then");
            assert!(assigned(&host, 1) < before);
        }
        last = now;
    }
    for vm in 1..=3 {
        assert!(near(assigned(&host, vm), (4096.0 - 24.0 - 9.0) / 3.0), "{}", assigned(&host, vm));
    }
}

#[test]
fn a_vm_that_starts_is_made_room_for_at_once() {
    let mut host = host(8192, &[(SETTINGS, Manners::Good), (SETTINGS, Manners::Good)]);
    let late = MemorySettings::dynamic(mib(4096), mib(4096));
    host.add(VmId(3), late, Guest::new(Load::constant(mib(400)))).unwrap();
    host.run_until(Duration::from_secs(60));
    assert!(host.balancer.ledger().available < mib(100));
    host.start_at(Duration::from_secs(61), VmId(3));
    // Refused, and 30 s later asked for again.
    host.run_until(Duration::from_secs(110));
    assert_eq!(host.assigned(VmId(3)), mib(4096));
}

#[test]
fn others_make_up_for_a_vm_that_is_stuck_and_stay_there() {
    let late = MemorySettings::dynamic(mib(1024), mib(1024));
    let mut host = host(4096, &[(SETTINGS, Manners::GivesNothing), (SETTINGS, Manners::Good)]);
    host.run_until(Duration::from_secs(60));
    let kept = assigned(&host, 1);
    host.add(VmId(3), late, Guest::new(Load::constant(mib(400)))).unwrap();
    host.start_at(Duration::from_secs(60), VmId(3));
    host.run_until(Duration::from_secs(150));
    assert_eq!(host.assigned(VmId(3)), mib(1024));
    assert_eq!(assigned(&host, 1), kept);
    // A VM's lack of answers is remembered from run to run: its memory is not counted on again.
    let settled = assigned(&host, 2);
    for second in 150..400 {
        host.run_until(Duration::from_secs(second));
        assert!(near(assigned(&host, 2), settled), "{} and {settled}", assigned(&host, 2));
    }
    let rule = host.balancer.target(VmId(1)).unwrap().reason.rule();
    assert!(matches!(rule, "uncooperative" | "stuck"), "{rule}");
}

#[test]
fn parameters_come_from_a_file() {
    let config: Config = toml::from_str("host_free = 25600").unwrap();
    assert_eq!((config.host_free, config.stuck_after), (mib(100), Duration::from_secs(5)));
    assert!(toml::from_str::<Config>("free = 25600").is_err());
}

#[test]
fn a_round_allocates_nothing() {
    for memory in [Memory::Enough, Memory::Short] {
        let mut policy = Squeezed::default();
        let mut crowd = Population::new(256, memory, 1);
        crowd.round(&mut policy);
        for _ in 0..12 {
            crowd.report();
            assert_eq!(allocation_counter::measure(|| crowd.round(&mut policy)).count_total, 0);
            crowd.carry_out();
        }
    }
}

#[test]
fn conforms() {
    policy_conformance::assert_conforms(Squeezed::default);
}
