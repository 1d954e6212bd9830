//! A round in the steady state allocates nothing, in the policy and in the engine.

use core::time::Duration;
use std::sync::Arc;

use balancing_policy::{GuestStatus, MemorySettings, PageCount, VmId};
use memory_balancer::hyperv::PressureBandPolicy;
use memory_balancer::{Balancer, BalancerConfig, Input, Output};
use page_range::HostMemory;
use policy_conformance::{Memory, Population};

fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn the_policy_allocates_nothing_in_plenty_and_in_want() {
    for memory in [Memory::Enough, Memory::Short] {
        let mut policy = PressureBandPolicy::default();
        let mut crowd = Population::new(512, memory, 1);
        for _ in 0..3 {
            crowd.report();
            crowd.round(&mut policy);
            crowd.carry_out();
        }
        for round in 0..20 {
            crowd.report();
            assert_eq!(allocations(|| crowd.round(&mut policy)), 0, "{memory:?}, round {round}");
            crowd.carry_out();
        }
    }
}

#[test]
fn the_engine_allocates_nothing_while_nothing_moves() {
    let total = PageCount::from_mib(64 * 1024);
    let (_memory, frames) = HostMemory::new(total, Arc::new(|| ()));
    let policy = Box::new(PressureBandPolicy::default());
    let mut balancer = Balancer::new(BalancerConfig::for_host(total), frames, policy, Duration::ZERO);
    let mut out = Vec::new();
    let mut given = Vec::new();
    for id in 1..=64 {
        let vm = VmId(id);
        let settings = MemorySettings::dynamic(PageCount::from_mib(512), PageCount::from_mib(4096));
        balancer.register(vm, Arc::from(format!("VM{id}")), settings).unwrap();
        balancer.handle(Duration::ZERO, Input::StartRequest { vm }, &mut out);
        let admitted = out.drain(..).find_map(|output| match output {
            Output::Admitted { frames, .. } => Some(frames),
            _ => None,
        });
        given.push(admitted.expect("there is memory for all"));
        balancer.handle(Duration::ZERO, Input::VmStarted { vm }, &mut out);
        let granule = PageCount::LARGE_PAGE;
        balancer.handle(
            Duration::ZERO,
            Input::Joined { vm, granule, balloon: true, hot_add: true },
            &mut out,
        );
    }
    let second = |balancer: &mut Balancer, now: u64, out: &mut Vec<Output>| {
        let at = Duration::from_secs(now);
        for id in 1..=64_u32 {
            let demand = PageCount::from_mib(420 + u64::from(id) % 7 + now % 3);
            let status = GuestStatus::default().with(|c| {
                c.demand = demand;
                c.commit = demand;
            });
            balancer.handle(at, Input::Status { vm: VmId(id), status, returnable: PageCount::ZERO }, out);
        }
        balancer.handle(at, Input::Timer, out);
    };
    for now in 1..=5 {
        second(&mut balancer, now, &mut out);
    }
    assert_eq!(balancer.rounds(), 5);
    out.clear();
    let count = allocations(|| {
        for now in 6..=50 {
            second(&mut balancer, now, &mut out);
        }
    });
    assert_eq!(balancer.rounds(), 50);
    assert_eq!(count, 0, "in 45 rounds");
}
