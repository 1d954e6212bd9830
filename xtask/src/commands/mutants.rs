//! `cargo xtask mutants`: how much the tests see. Each change of the code that no test notices is shown.

use anyhow::{Result, bail};

use super::tools::{Tool, step, workspace_root};
use super::{bad_input, tools};

/// Which crates, and what part of their mutants.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Crates; default: those whose logic everything else rests on
    #[arg(value_name = "CRATE")]
    crates: Vec<String>,
    /// Only one part of the mutants, such as 1/8: each eighth, from the first
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// List the mutants and run nothing
    #[arg(long)]
    list: bool,
}

/// The crates that are looked at if none is named.
const CRATES: [&str; 7] =
    ["page-range", "vmbus", "dm-protocol", "dm-vsp", "dm-vsc", "gmo-memory-manager", "memory-balancer"];

/// Runs cargo-mutants with the project's configuration (`.cargo/mutants.toml`). What it found stays in `target/mutants.out/`.
///
/// # Errors
/// cargo-mutants is not installed, or a mutant was missed.
pub(crate) fn run(args: &Args) -> Result<()> {
    let crates: Vec<&str> = if args.crates.is_empty() {
        CRATES.to_vec()
    } else {
        args.crates.iter().map(String::as_str).collect()
    };
    let known = tools::packages()?;
    if let Some(unknown) = crates.iter().find(|name| !known.iter().any(|known| known == *name)) {
        return Err(bad_input(format!("there is no crate {unknown:?}; there are {}", known.join(", "))));
    }
    if !tools::has_subcommand("mutants") {
        bail!("cargo-mutants is not installed: `cargo install cargo-mutants --locked`");
    }
    let mut tool = Tool::cargo(["mutants", "--no-shuffle", "--output", "target"]);
    for name in &crates {
        tool = tool.args(["--package", name]);
    }
    if let Some(shard) = &args.shard {
        // Parts of every crate and file: the tool's own shards are files in a row.
        tool = tool.args(["--sharding", "round-robin", "--shard", &zero_based(shard)?]);
    }
    if args.list {
        return tool.args(["--list"]).run();
    }
    let folder = workspace_root().join("target");
    std::fs::create_dir_all(&folder)?;
    step(&format!("mutants of {}", crates.join(", ")), tool)
}

/// cargo-mutants counts shards from 0.
fn zero_based(shard: &str) -> Result<String> {
    let parts =
        shard.split_once('/').and_then(|(k, n)| Some((k.parse::<u32>().ok()?, n.parse::<u32>().ok()?)));
    match parts {
        Some((k, n)) if (1..=n).contains(&k) => Ok(format!("{}/{n}", k - 1)),
        _ => Err(bad_input(format!("--shard {shard:?} must be K/N with K from 1 to N, such as 1/8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_count_from_one() {
        assert_eq!(zero_based("1/8").unwrap(), "0/8");
        assert_eq!(zero_based("8/8").unwrap(), "7/8");
        for bad in ["0/8", "9/8", "1", "a/b", "1/0"] {
            assert!(zero_based(bad).is_err(), "{bad}");
        }
    }
}
