//! What the sources say beside what runs show.

use std::fmt::Write as _;

use anyhow::Result;
use run_analysis::verify::{self, Change, Options, Report};

use super::cell;

/// How many seeds: 1 to this.
const SEEDS: u64 = 20;

pub(super) fn page() -> Result<String> {
    let mut text = format!(
        "# What the sources say, and what runs show\n\n\
         Every check of `cargo xtask verify` and `cargo xtask verify --oracle`, with the seeds 1 to {SEEDS}: what the source says, with the\n\
         tolerance of the check, and what was measured: the median, and in brackets the smallest and the largest. `verify` itself\n\
         draws its seeds afresh. A check *holds* if what it says is seen in the counters of every run. [A] is the\n\
         [verification guideline](../sources.md), lis-test are Microsoft's own tests of Dynamic Memory, which ran Linux guests on later hosts:\n\
         they are no evidence about Windows Server 2008 R2 SP1.\n\n\
         That a check passes does not say that the model predicts it. Some checks cannot fail while the invariants hold, and constants that are\n\
         labelled *calibrated* ([Constants of the models](constants.md)) were chosen with numbers of this page in view. So were loads: how much a guest\n\
         commits when idle, that VM1 to VM7 return to their maximum, and how fast VM8's load rises.\n\n\
         `cargo xtask verify --mutate` switches one mechanism off at a time and shows which of these checks fail then.\n"
    );
    section(&mut text, "The source's scenarios", verify::SOURCE)?;
    section(&mut text, "Microsoft's own behaviour tests", verify::ORACLE)?;
    Ok(text)
}

fn section(text: &mut String, title: &str, names: &[&str]) -> Result<()> {
    let scenarios = super::super::verify::load(names)?;
    let options = Options {
        seeds: (1..=SEEDS).collect(),
        change: Change::None,
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    };
    let report = verify::verify(&scenarios, &options);
    let _: std::fmt::Result = write!(text, "\n## {title}\n");
    for scenario in &scenarios {
        let _: std::fmt::Result = write!(
            text,
            "\n### {}\n\n{}\n\n| what is measured | source | says | runs show | |\n|---|---|---|---|---|\n",
            scenario.name, scenario.title
        );
        rows(text, &report, &scenario.name);
    }
    Ok(())
}

fn rows(text: &mut String, report: &Report, scenario: &str) {
    for row in report.rows.iter().filter(|row| row.scenario == scenario) {
        let vm = row.vm.as_ref().map_or_else(String::new, |vm| format!(" ({vm})"));
        let result = if row.passed {
            "pass".to_owned()
        } else {
            format!("**fail** with {} of {SEEDS} seeds", row.failed.len())
        };
        let _: std::fmt::Result = writeln!(
            text,
            "| `{}`{vm}: {} | {} | {} | {} | {result} |",
            row.check,
            cell(&row.meaning),
            cell(row.source.as_deref().unwrap_or("")),
            cell(&row.expected),
            cell(&row.seen()),
        );
    }
}
