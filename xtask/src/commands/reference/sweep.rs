//! The figure of the parent OS over a range of reserves and hosts, and the numbers that it is made from.

use std::fmt::Write as _;

use anyhow::Result;
use run_analysis::figures;
use run_analysis::sweep::{self, Sweep};
use run_journal::manifest::sha256_hex;

use super::{constants, kept};
use crate::commands::figures::{SWEEP_SEEDS, run_sweep};

/// Where the numbers are, below `docs/src`.
pub(super) const NUMBERS: &str = "figures/reserve-sweep.json";

/// Constants of what no run of this sweep has.
const NOT_IN_RUNS: [&str; 5] =
    ["Integration services", "Measured Linux guest", "StorVSC", "StorVSP", "Storage sizing"];

/// A hash of everything that the numbers follow from.
fn made_from() -> String {
    let mut text = format!("{SWEEP_SEEDS:?}\n{}\n", kept::SAME_BITS);
    for host in sweep::HOSTS_GB {
        for reserve in sweep::RESERVES_MB {
            text.push_str(&sweep::scenario_text(host, reserve));
        }
    }
    // The runs have the policy hyperv, whose constants are among the balancer's.
    let in_runs = |heading: &str| !heading.starts_with("Policy ") && !NOT_IN_RUNS.contains(&heading);
    for (heading, table) in constants::sections().into_iter().filter(|(heading, _)| in_runs(heading)) {
        for constant in table {
            // Writing to a String does not fail.
            let _: std::fmt::Result = writeln!(text, "{heading}: {} {}", constant.name, constant.value);
        }
    }
    sha256_hex(text.as_bytes())
}

/// The numbers as the file has them, made again if they are of something else.
pub(super) fn numbers() -> Result<String> {
    let what = format!(
        "the parent OS is followed over a range of reserves and hosts, in {} runs",
        sweep::runs(SWEEP_SEEDS.len())
    );
    kept::text(NUMBERS, made_from(), &what, || run_sweep(&SWEEP_SEEDS))
}

/// The figure.
pub(super) fn figure() -> Result<String> {
    let (_, text) = figures::draw_sweep(&kept::result::<Sweep>(NUMBERS, &numbers()?)?);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_numbers_are_made_from_is_the_same_each_time() {
        assert_eq!(made_from(), made_from());
    }
}
