//! How long a round takes: `cargo run --release -p memory-balancer --example round-time`.
//!
//! Per size and host the median of 101 rounds, in ns per VM. Demands change between the rounds, and what was proposed
//! is carried out; the bookkeeping of that is not measured.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::print_stdout, reason = "it is a command")]

use std::time::Instant;

use memory_balancer::hyperv::PressureBandPolicy;
use policy_conformance::{Memory, Population};

fn main() {
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
