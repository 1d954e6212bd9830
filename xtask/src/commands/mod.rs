//! The commands, each in a module of its own.

mod bench;
mod compare;
mod docs;
mod events;
mod examples;
mod explain;
mod explore;
mod figures;
mod fuzz;
mod guest;
mod loom;
mod new_balancer;
mod reference;
mod replay;
mod scenario;
mod test;
mod tools;
mod verify;

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

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

/// All commands.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Run a scenario, tell what happened, and leave a folder to study
    Scenario(scenario::Args),
    /// Print the recorded events of a run, or the causes and effects of one of them
    Events(events::Args),
    /// Tell why a VM had the memory it had at a time: inputs, rule, candidates, decision, what came of it
    Explain(explain::Args),
    /// Feed a component's recorded inputs to it again, and compare its outputs
    Replay(replay::Args),
    /// Hold runs against what the sources say: every number and every observed behaviour, with fresh seeds
    Verify(verify::Args),
    /// Draw the source's figures from a run's counters, or from a scenario
    Figures(figures::Args),
    /// Run seeds and schedules with every invariant checked, and print the shortest that fails
    Explore(explore::Args),
    /// Run balancing policies on the same loads with the same seeds, and compare what comes of it
    Compare(compare::Args),
    /// Make a crate for a balancing policy of your own, ready to run and to compare
    NewBalancer(new_balancer::Args),
    /// Measure how fast it is, as ratios within one run
    Bench(bench::Args),
    /// Boot an unmodified Linux guest, show its console, and move its memory
    Guest(guest::Args),
    /// Check everything: format, lints, tests, models, documentation
    Test(test::Args),
    /// Explore every interleaving of what is synchronised by hand
    Loom(loom::Args),
    /// Look for inputs that break a state machine or the whole host, guided by coverage (cargo-fuzz)
    Fuzz(fuzz::Args),
    /// Write the generated reference pages and build the book (docs/book/)
    Docs(docs::Args),
    /// Build the book in this process
    #[cfg(feature = "book")]
    #[command(hide = true)]
    DocsBuild,
}

/// Runs a command.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Scenario(args) => return scenario::run(args),
        Command::Events(args) => events::run(&args)?,
        Command::Explain(args) => explain::run(&args)?,
        Command::Replay(args) => return replay::run(&args),
        Command::Verify(args) => verify::run(&args)?,
        Command::Figures(args) => figures::run(&args)?,
        Command::Explore(args) => return explore::run(&args),
        Command::Compare(args) => return compare::run(&args),
        Command::NewBalancer(args) => new_balancer::run(&args)?,
        Command::Bench(args) => return bench::run(&args),
        Command::Guest(args) => guest::run(args)?,
        Command::Test(args) => test::run(&args)?,
        Command::Loom(args) => loom::run(&args)?,
        Command::Fuzz(args) => fuzz::run(&args)?,
        Command::Docs(args) => docs::run(&args)?,
        #[cfg(feature = "book")]
        Command::DocsBuild => docs::build_here()?,
    }
    Ok(ExitCode::SUCCESS)
}
