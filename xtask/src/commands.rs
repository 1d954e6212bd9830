//! The commands, each in a module of its own.

mod arguments;
#[cfg(feature = "bench")]
mod bench;
mod beside;
#[cfg(feature = "study")]
mod compare;
#[cfg(feature = "docs")]
mod completions;
mod counters;
#[cfg(feature = "study")]
mod diff;
#[cfg(feature = "docs")]
mod docs;
pub(crate) mod elsewhere;
mod events;
#[cfg(feature = "docs")]
mod examples;
mod explain;
#[cfg(feature = "study")]
mod explore;
#[cfg(feature = "export")]
mod export;
mod figures;
mod fuzz;
#[cfg(feature = "guest")]
mod guest;
mod guest_place;
#[cfg(feature = "sizing")]
mod import;
mod loom;
mod mutants;
mod new_balancer;
mod plans;
#[cfg(feature = "qemu")]
mod qemu;
#[cfg(feature = "docs")]
mod queries;
#[cfg(feature = "live")]
mod recording;
#[cfg(feature = "docs")]
mod reference;
mod replay;
mod report;
#[cfg(any(feature = "study", feature = "sizing"))]
mod results;
mod scenario;
#[cfg(feature = "sizing")]
mod size;
#[cfg(feature = "storage")]
mod storage_sizing;
#[cfg(feature = "study")]
mod sweep;
mod test;
mod tools;
#[cfg(feature = "study")]
mod tune;
#[cfg(feature = "study")]
mod verify;
#[cfg(feature = "storage")]
mod vhd;

// What this build leaves out is listed all the same, and run by a build that has it.
#[cfg(not(feature = "bench"))]
use elsewhere as bench;
#[cfg(not(feature = "study"))]
use elsewhere as compare;
#[cfg(not(feature = "study"))]
use elsewhere as diff;
#[cfg(not(feature = "docs"))]
use elsewhere as docs;
#[cfg(not(feature = "study"))]
use elsewhere as explore;
#[cfg(not(feature = "export"))]
use elsewhere as export;
#[cfg(not(feature = "guest"))]
use elsewhere as guest;
#[cfg(not(feature = "qemu"))]
use elsewhere as qemu;
#[cfg(not(feature = "storage"))]
use elsewhere as storage_sizing;
#[cfg(not(feature = "study"))]
use elsewhere as sweep;
#[cfg(not(feature = "sizing"))]
use elsewhere as import;
#[cfg(not(feature = "sizing"))]
use elsewhere as size;
#[cfg(not(feature = "study"))]
use elsewhere as tune;
#[cfg(not(feature = "study"))]
use elsewhere as verify;
#[cfg(not(feature = "storage"))]
use elsewhere as vhd;

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

/// Where runs are left if nothing is said: in the folder that the user stands in.
pub(crate) const RUNS: &str = "runs";

/// A word of a command line as a shell reads the word: in quotes where something in it means something to shells.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// What was given is wrong: exit code 2.
#[derive(Debug)]
pub(crate) struct BadInput(pub(crate) String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// Makes bad input of an error.
pub(crate) fn bad_input(error: impl fmt::Display) -> anyhow::Error {
    BadInput(error.to_string()).into()
}

/// Bad input for several reasons, each told as its own error.
pub(crate) fn all_bad_input(reasons: &[String]) -> anyhow::Error {
    let whole = |reason: &String| {
        if reason.starts_with("error: ") { reason.clone() } else { format!("error: {reason}") }
    };
    BadInput(reasons.iter().map(whole).collect::<Vec<_>>().join("\n\n")).into()
}

/// All commands.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Run a scenario, tell what happened, and leave a folder to study
    Scenario(Box<scenario::Args>),
    /// Print the recorded events of a run, or the causes and effects of one of them
    Events(events::Args),
    /// Tell how high and how low the counters of a run went, and when; or what they were over time
    Counters(counters::Args),
    /// Tell why a VM had the memory it had at a time: inputs, rule, candidates, decision, what came of it
    Explain(explain::Args),
    /// Compare two runs: what was set, the first decision that differs and why, what came of it
    Diff(diff::Args),
    /// Write a run for another tool: Perfetto, Wireshark, a Chrome trace, tables, OpenMetrics
    Export(export::Args),
    /// Feed a component's recorded inputs to it again, and compare its outputs
    Replay(replay::Args),
    /// Hold runs against what the sources say: every number and every observed behaviour, with fresh seeds
    Verify(verify::Args),
    /// Draw the source's figures from a run's counters, or from a scenario
    Figures(figures::Args),
    /// Make the page that shows a run (report.html) of its folder
    Report(report::Args),
    /// Run seeds and schedules with every invariant checked, and print the shortest that fails
    Explore(explore::Args),
    /// Run balancing policies on the same loads with the same seeds, and compare what comes of it
    Compare(compare::Args),
    /// Search parameters of a balancing policy on some loads, and judge what was found on others
    Tune(tune::Args),
    /// Run a comparison, a verification or an exploration as points that many machines share: plan, submit, run, collect
    Sweep(sweep::Args),
    /// Make a scenario and a trace of what other programs wrote about VMs: perfmon, Get-VM, Prometheus, RVTools, traces
    Import(import::Args),
    /// Find the smallest host, or number of hosts, for VMs, and their memory settings
    Size(size::Args),
    /// Make a crate for a balancing policy of your own, ready to run and to compare
    NewBalancer(new_balancer::Args),
    /// Size storage: how many VMs of one golden image an array of disks serves, and how much space they take
    StorageSizing(storage_sizing::Args),
    /// Make, check, convert and compare virtual hard disks (VHD)
    Vhd(vhd::Args),
    /// Measure how fast it is, as ratios within one run
    Bench(bench::Args),
    /// Boot an unmodified Linux guest, show its console, and move its memory
    Guest(guest::Args),
    /// Move memory between the QEMU guests of this host, or say what would be done: the daemon dynmemd, for trying
    Qemu(qemu::Args),
    /// Check everything: format, lints, tests, models, documentation
    Test(test::Args),
    /// Explore every interleaving of what is synchronised by hand
    Loom(loom::Args),
    /// Look for inputs that break a state machine or the whole host, guided by coverage (cargo-fuzz)
    Fuzz(fuzz::Args),
    /// Change the code a little, and show which changes no test notices (cargo-mutants)
    Mutants(mutants::Args),
    /// Print the completions of this command line for a shell
    #[cfg(feature = "docs")]
    Completions(completions::Args),
    /// Print the completions of this command line for a shell
    #[cfg(not(feature = "docs"))]
    Completions(elsewhere::Args),
    /// Write a manual page for each command
    #[cfg(feature = "docs")]
    Man(completions::ManArgs),
    /// Write a manual page for each command
    #[cfg(not(feature = "docs"))]
    Man(elsewhere::Args),
    /// Write the generated reference pages and build the book (docs/book/)
    Docs(docs::Args),
}

/// Runs a command.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Scenario(args) => return scenario::run(*args),
        Command::Events(args) => events::run(&args)?,
        Command::Counters(args) => counters::run(&args)?,
        Command::Explain(args) => explain::run(&args)?,
        Command::Replay(args) => return replay::run(&args),
        Command::Figures(args) => figures::run(&args)?,
        Command::Report(args) => report::run(&args)?,
        Command::NewBalancer(args) => new_balancer::run(&args)?,
        Command::Test(args) => test::run(&args)?,
        Command::Loom(args) => loom::run(&args)?,
        Command::Fuzz(args) => fuzz::run(&args)?,
        Command::Mutants(args) => mutants::run(&args)?,
        #[cfg(feature = "docs")]
        Command::Completions(args) => completions::run(&args)?,
        #[cfg(feature = "docs")]
        Command::Man(args) => completions::man(&args)?,
        #[cfg(feature = "study")]
        Command::Diff(args) => diff::run(&args)?,
        #[cfg(feature = "study")]
        Command::Verify(args) => verify::run(&args)?,
        #[cfg(feature = "study")]
        Command::Explore(args) => return explore::run(&args),
        #[cfg(feature = "study")]
        Command::Compare(args) => return compare::run(&args),
        #[cfg(feature = "study")]
        Command::Tune(args) => return tune::run(&args),
        #[cfg(feature = "storage")]
        Command::StorageSizing(args) => storage_sizing::run(&args)?,
        #[cfg(feature = "storage")]
        Command::Vhd(args) => return vhd::run(&args),
        #[cfg(feature = "study")]
        Command::Sweep(args) => return sweep::run(&args),
        #[cfg(feature = "sizing")]
        Command::Import(args) => import::run(&args)?,
        #[cfg(feature = "sizing")]
        Command::Size(args) => return size::run(&args),
        #[cfg(feature = "bench")]
        Command::Bench(args) => return bench::run(&args),
        #[cfg(feature = "export")]
        Command::Export(args) => export::run(&args)?,
        #[cfg(feature = "guest")]
        Command::Guest(args) => guest::run(args)?,
        #[cfg(feature = "qemu")]
        Command::Qemu(args) => return qemu::run(&args),
        #[cfg(feature = "docs")]
        Command::Docs(args) => docs::run(&args)?,
        // `elsewhere::needed` knows these, and another build has run them.
        #[cfg(not(feature = "docs"))]
        left_out => anyhow::bail!("this build of the program leaves {left_out:?} out"),
    }
    Ok(ExitCode::SUCCESS)
}
