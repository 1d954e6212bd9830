//! Runs inside a guest: reads or writes a disk as `cargo xtask bench guest` measures it, and says how long that took.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use real_guest::disk_load::{ANSWER, Direction, Load, Order};

/// Requests of one size to a disk, one after the other, past the page cache.
#[derive(Debug, Parser)]
struct Arguments {
    /// A disk, or a file
    disk: PathBuf,
    /// What is done
    #[arg(value_enum)]
    direction: Direction,
    /// Where
    #[arg(value_enum)]
    order: Order,
    /// Bytes of each request
    bytes: usize,
    /// How many requests
    count: u64,
}

fn main() -> ExitCode {
    let Arguments { disk, direction, order, bytes, count } = Arguments::parse();
    let load = Load { direction, order, bytes, count };
    match load.open(&disk).and_then(|mut file| load.run(&mut file)) {
        Ok(took) => {
            let _closed = writeln!(std::io::stdout(), "{ANSWER} {} ns", took.as_nanos());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let text = terminal_text::escape(&disk.display().to_string()).into_owned();
            let _closed = writeln!(std::io::stderr(), "error: {text}: {error}");
            ExitCode::FAILURE
        }
    }
}
