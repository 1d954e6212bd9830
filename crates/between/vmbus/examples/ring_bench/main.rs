//! How fast a ring carries small messages, beside the channels that a Rust program would use instead.
//!
//! Two threads, 64-byte payloads, a ring of 64 KiB, committed every 1, 8 and 32 packets, or written and read in batches of
//! these, the reader draining and then committing once; then a round trip with percentiles. In the same run, interleaved with
//! it, with `[u8; 64]`: `crossbeam-channel` (bounded) and `std::sync::mpsc::sync_channel`, whose sides sleep as the ring's do;
//! `rtrb` (one by one, and in chunks) and `heapless::spsc`, whose sides never sleep. Both threads on one core, and on two.
//! Prints JSON.
//!
//! ```text
//! cargo run -p vmbus --release --example ring_bench -- [--repetitions 11] [--messages 400000] [--round-trips 20000]
//! ```

mod channels;
mod ends;
mod measure;
mod peers;
mod placement;
mod report;
mod ring;

use std::process::ExitCode;

use measure::{Plan, run};

fn main() -> ExitCode {
    match Plan::from_args(std::env::args().skip(1)) {
        Ok(plan) => {
            let report = report::report(&plan, &run(&plan));
            report::print(&report);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}
