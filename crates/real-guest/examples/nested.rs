//! Runs the program inside the emulated machine with the arguments given.
use std::path::Path;
use std::time::Duration;

use real_guest::nested::{Nested, build_program};
use real_guest::pieces::{Given, Pieces};

fn main() -> anyhow::Result<()> {
    let target = Path::new("target");
    let pieces = Pieces::find(target, &Given::default())?;
    let program = match std::env::var_os("PROGRAM") {
        Some(program) => program.into(),
        None => build_program(Path::new("."))?,
    };
    let nested = Nested {
        memory_mib: 4096,
        limit: Duration::from_secs(std::env::var("LIMIT").map_or(120, |limit| limit.parse().unwrap_or(120))),
        arguments: std::env::args().skip(1).collect(),
        out: "target/guest/out".into(),
        interactive: true,
    };
    let status = nested.run(target, &pieces, &program)?;
    eprintln!("status {status}");
    Ok(())
}
