//! How long a balancing round takes, for every policy that can be chosen:
//! `cargo run --release -p policy-catalogue --example balancing-rounds`.
//!
//! The policy alone, without the engine around it: per policy, size and host the median of 101 rounds, in ns per VM. Demands change
//! between the rounds, and what was proposed is carried out; the bookkeeping of that is not measured.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::print_stdout, reason = "it is a command")]

use std::time::Instant;

use policy_conformance::{Memory, Population};

const SIZES: [usize; 5] = [8, 64, 512, 4096, 65_536];
const ROUNDS: usize = 101;

/// Median time of a round, ns per VM.
fn median(name: &str, count: usize, memory: Memory) -> Result<f64, policy_catalogue::PolicyError> {
    let mut policy = policy_catalogue::make(name, &toml::Table::new())?;
    let mut crowd = Population::new(count, memory, 1);
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            crowd.report();
            let began = Instant::now();
            crowd.round(&mut *policy);
            let took = began.elapsed();
            crowd.carry_out();
            took.as_nanos() as f64 / count as f64
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    Ok(times[ROUNDS / 2])
}

fn main() -> Result<(), policy_catalogue::PolicyError> {
    println!("a balancing round, ns per VM (medians of {ROUNDS} rounds)");
    print!("{:<18} {:<8}", "policy", "memory");
    for count in SIZES {
        print!(" {count:>8}");
    }
    println!();
    for name in policy_catalogue::names() {
        for memory in [Memory::Enough, Memory::Short] {
            print!("{name:<18} {:<8}", format!("{memory:?}").to_lowercase());
            for count in SIZES {
                print!(" {:>8.1}", median(name, count, memory)?);
            }
            println!();
        }
    }
    Ok(())
}
