//! `cargo xtask verify`: whether runs show what the sources say.

use std::num::NonZero;

use anyhow::{Result, bail};
use run_analysis::verify::mutate::{self, MUTATIONS, Mutation};
use run_analysis::verify::{self, Change, Options, Report, sensitivity};
use scenario::file::{LoadOptions, Scenario};

use super::arguments::at_least_one;
use super::bad_input;
use crate::output::{look, note, print_coloured, say, tell};

/// What to verify, and with which seeds.
#[derive(clap::Args, Debug)]
pub(crate) struct What {
    /// Scenarios of the project or scenario files that have checks; default: the source's four scenarios, and what others measured
    names: Vec<String>,
    /// How many seeds, drawn afresh and printed; default: 20, or 2 with --sensitivity
    #[arg(long, value_name = "N", conflicts_with = "seed", value_parser = at_least_one::<NonZero<u16>>)]
    seeds: Option<NonZero<u16>>,
    /// These seeds, to repeat what was seen
    #[arg(long, value_name = "N[,N…]", value_delimiter = ',')]
    seed: Vec<u64>,
    /// Microsoft's own behaviour tests in place of the source's scenarios; they ran Linux guests on later hosts
    #[arg(long, conflicts_with = "names")]
    oracle: bool,
}

/// What to verify, and how.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// Switch one mechanism off at a time, and show that the checks that depend on it fail; one of them: --mutate=NAME
    #[arg(long, value_name = "MECHANISM", num_args = 0..=1, require_equals = true, default_missing_value = "all",
          conflicts_with_all = ["names", "oracle"])]
    mutate: Option<String>,
    /// Turn everything that was chosen with a check in view to half and to twice its value, and show which checks move
    #[arg(long, conflicts_with_all = ["oracle", "mutate"])]
    sensitivity: bool,
    /// Print JSON and nothing else
    #[arg(long)]
    json: bool,
    /// Threads to run on; default: all processors
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZero<usize>>)]
    threads: Option<NonZero<usize>>,
}

/// Seeds of a verification, and of a table of sensitivity, if the user does not say how many.
pub(super) const SEEDS: u16 = 20;
const SEEDS_TURNED: u16 = 2;

/// Runs the verification; exit code 1 if a check fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    let usual = if args.sensitivity { SEEDS_TURNED } else { SEEDS };
    let options = Options {
        seeds: args.what.seeds(usual),
        change: Change::None,
        threads: args.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get),
    };
    match &args.mutate {
        Some(which) => mutated(which, &options, args.json),
        None => {
            let scenarios = if args.sensitivity && args.what.names.is_empty() {
                load(verify::SOURCE)?
            } else {
                args.what.scenarios()?
            };
            tell_seeds(&options, args.json);
            if args.sensitivity {
                return turned(&scenarios, &options, args.json);
            }
            let report = verify::verify(&scenarios, &options);
            print(&report, args.json)?;
            if report.passed() { Ok(()) } else { bail!("{}", report.conclusion()) }
        }
    }
}

impl What {
    /// The scenarios, each with something to verify.
    pub(super) fn scenarios(&self) -> Result<Vec<Scenario>> {
        let names: Vec<&str> = match (self.oracle, self.names.is_empty()) {
            (true, _) => verify::ORACLE.to_vec(),
            (false, true) => verify::SOURCE.iter().chain(verify::OUTSIDE).copied().collect(),
            (false, false) => self.names.iter().map(String::as_str).collect(),
        };
        let scenarios = load(&names)?;
        match scenarios.iter().find(|scenario| scenario.applicable_checks().next().is_none()) {
            None => Ok(scenarios),
            Some(scenario) => Err(bad_input(format!(
                "{:?} has no [[check]] that belongs to it: there is nothing to verify",
                scenario.name
            ))),
        }
    }

    /// The seeds that were given, or as many as are asked for, or as are usual.
    pub(super) fn seeds(&self, usual: u16) -> Vec<u64> {
        if self.seed.is_empty() { drawn(self.seeds.map_or(usual, NonZero::get)) } else { self.seed.clone() }
    }

    /// The words that name the scenarios on a command line, each behind a space.
    pub(super) fn words(&self) -> String {
        let oracle = self.oracle.then(|| " --oracle".to_owned());
        let names = self.names.iter().map(|name| format!(" {}", super::shell_word(name)));
        names.chain(oracle).collect()
    }
}

/// Says how to repeat what is now run.
fn tell_seeds(options: &Options, json: bool) {
    if !json {
        let seeds: Vec<String> = options.seeds.iter().map(u64::to_string).collect();
        note!("seeds (repeat with --seed {})", seeds.join(","));
    }
}

/// Seeds on which nothing was tuned.
fn drawn(count: u16) -> Vec<u64> {
    // The standard library's own source of random keys; six digits are easy to pass on.
    use std::hash::BuildHasher as _;
    let state = std::hash::RandomState::new();
    let mut seeds: Vec<u64> = Vec::new();
    let mut number = 0_u64;
    while seeds.len() < usize::from(count) {
        let seed = state.hash_one(number) % 1_000_000;
        number += 1;
        if !seeds.contains(&seed) {
            seeds.push(seed);
        }
    }
    seeds.sort_unstable();
    seeds
}

pub(super) fn load(names: &[&str]) -> Result<Vec<Scenario>> {
    let options = LoadOptions {
        policies: policy_catalogue::names().map(str::to_owned).collect(),
        ..LoadOptions::default()
    };
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    for name in names {
        match scenario::file::find(name, &options) {
            Ok(scenario) => good.push(scenario),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if wrong.is_empty() { Ok(good) } else { Err(super::all_bad_input(&wrong)) }
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        say!("{}", serde_json::to_string_pretty(report)?);
        return Ok(());
    }
    print_coloured(&told(report))
}

/// A report for a terminal: what others wrote in it is escaped.
pub(super) fn told(report: &Report) -> String {
    let look = look();
    let mut text = String::new();
    let sentence = |sentence: &str| {
        format!("{}\n", terminal_text::escape_lines(&terminal_text::wrap(sentence, look.columns)))
    };
    if !report.rows.is_empty() {
        text += &format!("{}\n", report.table(look));
        text += &sentence(&report.conclusion());
        if let Some(evidence) = report.evidence {
            text += &sentence(evidence);
        }
    }
    if !report.outside.is_empty() {
        let before = if report.rows.is_empty() { "" } else { "\n" };
        text += before;
        text += &sentence("What others measured, on other hosts, guests and loads:");
        text += &format!("{}\n", report.outside_table(look));
        if let Some(conclusion) = report.outside_conclusion() {
            text += &sentence(&format!("{conclusion}; one that did not is shown, and is no failure"));
        }
    }
    text
}

/// Each knob at half and twice its value.
fn turned(scenarios: &[Scenario], options: &Options, json: bool) -> Result<()> {
    let result = sensitivity::sensitivity(scenarios, &options.seeds, options.threads);
    if json {
        say!("{}", serde_json::to_string_pretty(&result)?);
    } else {
        print_coloured(&format!("{}\n", result.table(look())))?;
        tell!("{}", result.legend());
    }
    Ok(())
}

/// Each mechanism switched off: what must fail, fails.
fn mutated(which: &str, options: &Options, json: bool) -> Result<()> {
    let chosen: Vec<&'static Mutation> =
        MUTATIONS.iter().filter(|mutation| which == "all" || mutation.name == which).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = MUTATIONS.iter().map(|mutation| mutation.name).collect();
        return Err(bad_input(format!(
            "there is no mechanism {which:?} to switch off; there are {}",
            names.join(", ")
        )));
    }
    tell_seeds(options, json);
    let results = chosen
        .into_iter()
        .map(|mutation| {
            let scenarios = load(&mutation.scenarios())?;
            Ok(mutate::Shown::new(
                mutation,
                verify::verify(&scenarios, &Options { change: Change::Without(mutation), ..options.clone() }),
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    if json {
        say!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        for shown in &results {
            tell!("{}", shown.tell());
        }
    }
    let missed = results.iter().filter(|shown| !shown.complete()).count();
    if missed > 0 {
        bail!(
            "{missed} of {} mechanisms can be switched off without what depends on them failing",
            results.len()
        );
    }
    Ok(())
}
