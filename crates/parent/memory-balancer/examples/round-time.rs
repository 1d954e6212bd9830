//! How long a round takes: `cargo run --release -p memory-balancer --example round-time`.
//!
//! The engine with the Hyper-V policy in it: medians of 101 rounds, in ns per VM. The policies alone, all of them, are measured by
//! `cargo run --release -p scenario --example balancing-rounds`.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::print_stdout, reason = "it is a command")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use balancing_policy::{GuestStatus, MemorySettings, PageCount, VmId};
use memory_balancer::hyperv::PressureBandPolicy;
use memory_balancer::{Balancer, BalancerConfig, Input};
use page_range::HostMemory;

/// A second's status reports and the round after it, while nothing moves.
fn main() {
    println!("the balancer with the Hyper-V policy in it");
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
                let status = GuestStatus::default().with(|c| {
                    c.demand = demand;
                    c.commit = demand;
                });
                let returnable = PageCount::ZERO;
                // Just before the round: what is due is handled with any input.
                let before = now - Duration::from_millis(1);
                balancer.handle(before, Input::Status { vm: VmId(id), status, returnable }, &mut out);
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
