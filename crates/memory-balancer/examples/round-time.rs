//! How long a round takes: `cargo run --release -p memory-balancer --example round-time`.
//!
//! First the policy alone: per size and host the median of 101 rounds, in ns per VM. Demands change between the rounds, and what was proposed
//! is carried out; the bookkeeping of that is not measured. Then the engine with the policy in it.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::print_stdout, reason = "it is a command")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use balancing_policy::{GuestReport, MemorySettings, PageCount, VmId};
use memory_balancer::hyperv::PressureBandPolicy;
use memory_balancer::{Balancer, BalancerConfig, Input};
use page_range::HostMemory;
use policy_conformance::{Memory, Population};

fn main() {
    policy();
    println!();
    engine();
}

/// The engine with the policy in it: a second's status reports and its round, while nothing moves.
fn engine() {
    println!("{:>7}  {:>17}  {:>12}", "VMs", "reports, ns per VM", "round, ns per VM");
    for count in [8_u32, 64, 512, 4096] {
        let total = PageCount::from_mib(640 * u64::from(count) + 8192);
        let (_memory, frames) = HostMemory::new(total, Arc::new(|| ()));
        let config = BalancerConfig { reserve: PageCount::from_mib(2048), ..BalancerConfig::for_host(total) };
        let policy = Box::new(PressureBandPolicy::default());
        let mut balancer = Balancer::new(config, frames, policy, Duration::ZERO);
        let (mut out, mut given) = (Vec::new(), Vec::new());
        for id in 1..=count {
            let (vm, granule) = (VmId(id), PageCount::LARGE_PAGE);
            let settings = MemorySettings::dynamic(PageCount::from_mib(512), PageCount::from_mib(4096));
            let registered = balancer.register(vm, Arc::from(format!("VM{id}")), settings);
            assert!(registered.is_ok(), "{registered:?}");
            balancer.handle(Duration::ZERO, Input::StartRequest { vm }, &mut out);
            balancer.handle(Duration::ZERO, Input::VmStarted { vm }, &mut out);
            let joined = Input::Joined { vm, granule, balloon: true, hot_add: true };
            balancer.handle(Duration::ZERO, joined, &mut out);
            given.append(&mut out);
        }
        let (mut reports, mut rounds) = (Vec::new(), Vec::new());
        for second in 1..=101 {
            let now = Duration::from_secs(second);
            let began = Instant::now();
            for id in 1..=count {
                let demand = PageCount::from_mib(418 + (u64::from(id) + second) % 9);
                let report = GuestReport { demand, commit: demand, ..GuestReport::default() };
                let returnable = PageCount::ZERO;
                // Just before the round: what is due is handled with any input.
                let before = now - Duration::from_millis(1);
                balancer.handle(before, Input::Status { vm: VmId(id), report, returnable }, &mut out);
            }
            let reported = began.elapsed();
            balancer.handle(now, Input::Timer, &mut out);
            reports.push(reported.as_nanos() as f64 / f64::from(count));
            rounds.push((began.elapsed() - reported).as_nanos() as f64 / f64::from(count));
            out.clear();
        }
        reports.sort_unstable_by(f64::total_cmp);
        rounds.sort_unstable_by(f64::total_cmp);
        println!("{count:>7}  {:>17.1}  {:>12.1}", reports[50], rounds[50]);
    }
}

fn policy() {
    println!("{:>7}  {:>8}  {:>12}", "VMs", "memory", "ns per VM");
    for count in [8, 64, 512, 4096, 65_536] {
        for memory in [Memory::Enough, Memory::Short] {
            let mut policy = PressureBandPolicy::default();
            let mut crowd = Population::new(count, memory, 1);
            let mut times: Vec<f64> = (0..101)
                .map(|_| {
                    crowd.report();
                    let began = Instant::now();
                    crowd.round(&mut policy);
                    let took = began.elapsed();
                    crowd.carry_out();
                    took.as_nanos() as f64 / count as f64
                })
                .collect();
            times.sort_unstable_by(f64::total_cmp);
            println!("{count:>7}  {:>8}  {:>12.1}", format!("{memory:?}").to_lowercase(), times[50]);
        }
    }
}
