//! `cargo xtask tune`: parameters of a policy searched on some loads, judged on others.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::builder::RangedU64ValueParser;
use guest_memory_manager::trace::TraceWindow;
use page_range::PageCount;
use policy_comparison::loads;
use policy_tuning::{Outcome, Preference, Search, Settings, Space, TuneError, tune};
use scenario::file::{self, LoadOptions, Scenario};

use super::results::{Leaving, Results};
use super::{all_bad_input, arguments, bad_input, compare, plans, shell_word};
use crate::output::{look, print, print_coloured, say, tell};

/// Seeds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seeds {
    first: u64,
    last: u64,
}

impl Seeds {
    fn list(self) -> Vec<u64> {
        (self.first..=self.last).collect()
    }
}

impl std::fmt::Display for Seeds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.first, self.last)
    }
}

/// So many seeds at most.
const MOST_SEEDS: u64 = 10_000;

fn seeds(text: &str) -> Result<Seeds, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last && last - first < MOST_SEEDS => Ok(Seeds { first, last }),
        (Ok(first), Ok(last)) if first <= last => {
            Err(format!("these are {} seeds: {MOST_SEEDS} at most", last - first + 1))
        }
        _ => Err("write it as A..B with two whole numbers, both included, such as 1..3".to_owned()),
    }
}

/// How sets are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Spread {
    /// At random, every part of every range once; the last third around the best
    Random,
    /// Every combination of evenly spaced values
    Grid,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Prefer {
    /// Better in one of unmet demand and memory moved, and no worse in the other
    Both,
    /// The least unmet demand
    Unmet,
    /// The least memory moved
    Moved,
}

/// What to tune, on what, and where to leave it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The policy
    #[arg(long, value_name = "NAME")]
    policy: String,
    /// What is varied, separated by commas, such as step_limit=10MB..200MB,interval=1s..20s. Default: every amount, from a quarter of its
    /// published value to four times as much
    #[arg(long, value_delimiter = ',', value_name = "NAME=FROM..TO")]
    params: Vec<String>,
    /// Loads that the search sees: scenarios of the project or scenario files, separated by commas. Default: the built-in set, or the trace alone
    /// if one is given
    #[arg(long, value_delimiter = ',', value_name = "X,Y")]
    scenarios: Vec<String>,
    /// Loads that judge what was found; default: those that the search sees, with other seeds
    #[arg(long, value_delimiter = ',', value_name = "X,Y")]
    hold_out_scenarios: Vec<String>,
    /// A recorded load: every VM of the trace becomes a VM
    #[arg(
        long,
        value_name = "FILE",
        requires = "host_memory",
        requires = "windows",
        requires = "hold_out_windows"
    )]
    trace: Option<PathBuf>,
    /// Memory of the hosts that play the trace, separated by commas: each size is a load of its own
    #[arg(long, value_delimiter = ',', value_name = "SIZE", requires = "trace", value_parser = arguments::host_memory)]
    host_memory: Vec<PageCount>,
    /// Parts of the trace that the search sees, separated by commas, such as 0h..24h,48h..72h
    #[arg(long, value_delimiter = ',', value_name = "FROM..TO", requires = "trace", value_parser = arguments::window)]
    windows: Vec<TraceWindow>,
    /// Parts of the trace that judge what was found
    #[arg(long, value_delimiter = ',', value_name = "FROM..TO", requires = "trace", value_parser = arguments::window)]
    hold_out_windows: Vec<TraceWindow>,
    /// Fill in missing rows of the trace by straight lines, and leave out rows of VMs that are off and of times that come twice
    #[arg(long, requires = "trace")]
    fill_gaps: bool,
    /// Seeds that the search sees, both ends included
    #[arg(long, value_name = "A..B", default_value = "1..3", value_parser = seeds)]
    seeds: Seeds,
    /// Seeds that judge what was found, both ends included; six are enough for a verdict
    #[arg(long, value_name = "A..B", default_value = "1001..1006", value_parser = seeds)]
    hold_out: Seeds,
    /// How many sets of parameters may be tried
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = RangedU64ValueParser::<usize>::new().range(2..=10_000))]
    budget: usize,
    /// How the sets are spread
    #[arg(long, value_enum, default_value = "random")]
    search: Spread,
    /// Seed of the random search
    #[arg(long, value_name = "N", default_value_t = 1)]
    search_seed: u64,
    /// What is wanted
    #[arg(long, value_enum, default_value = "both")]
    prefer: Prefer,
    /// End of every run in virtual time, in place of the load's own
    #[arg(long, value_name = "DUR", value_parser = arguments::positive_duration)]
    until: Option<Duration>,
    #[command(flatten)]
    leaving: Leaving,
}

/// The files of a search.
const RESULTS: Results =
    Results { what: "tuning", kind: "tune", files: &["tune.json", "tune.html", "policy.toml"] };

/// Tunes.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let settings = settings(args)?;
    compare::quiet_panics();
    let (folder, outcome) =
        args.leaving.within(&RESULTS, |_| tuned(args, &settings)).map_err(compare::unless_endless)?;
    let command = command(args);
    write(&folder, &outcome, &command)?;
    if args.leaving.json {
        print(format_args!("{}", outcome.json()?))?;
        return Ok(ExitCode::SUCCESS);
    }
    tell!("{}", outcome.words());
    say!("");
    // The table escapes what files wrote, and may have colours.
    print_coloured(&outcome.judged.table(look()))?;
    say!("\n{}", outcome.policy_table().trim_end());
    say!("\nFiles:  {}", folder.display());
    say!("Page:   {}", folder.join("tune.html").display());
    say!("Repeat: {command}");
    Ok(ExitCode::SUCCESS)
}

fn tuned(args: &Args, settings: &Settings) -> Result<Outcome> {
    let bar = args.leaving.bar(compare::PROGRESS);
    let outcome = tune(settings, &mut |advance| {
        bar.set_length(advance.of.all);
        bar.set_position(advance.of.done);
        bar.set_message(format!("{}: {} of {} runs", advance.doing, advance.of.runs, advance.of.all_runs));
    });
    bar.finish_and_clear();
    outcome.map_err(|error| match error {
        TuneError::Compare(error) => error.into(),
        wrong => bad_input(wrong),
    })
}

fn settings(args: &Args) -> Result<Settings> {
    // All that is wrong is told at once.
    let mut wrong = Vec::new();
    let space = if args.params.is_empty() {
        Space::around_published(&args.policy)
    } else {
        Space::new(&args.policy, &args.params)
    };
    let space = space.map_err(|error| wrong.extend(error.0)).ok();
    let mut good = |found: Result<Scenario, file::BadScenario>| {
        found.map_err(|error| wrong.push(error.to_string())).ok()
    };
    let options = LoadOptions::default();
    let mut named = |names: &[String]| -> Vec<Scenario> {
        names.iter().filter_map(|name| good(file::find(name, &options))).collect()
    };
    let built_in: Vec<String> = loads::built_in().map(str::to_owned).collect();
    let names = if args.scenarios.is_empty() && args.trace.is_none() { &built_in } else { &args.scenarios };
    let mut training = named(names);
    let mut held_out =
        if args.hold_out_scenarios.is_empty() { training.clone() } else { named(&args.hold_out_scenarios) };
    if let Some(path) = &args.trace {
        if let Some((seen, other)) = overlap(&args.windows, &args.hold_out_windows) {
            wrong.push(format!(
                "the window {other} is held out and overlaps with {seen}, which is trained on: whoever tunes on what judges has judged nothing"
            ));
        }
        for (windows, loads) in [(&args.windows, &mut training), (&args.hold_out_windows, &mut held_out)] {
            for (window, memory) in
                windows.iter().flat_map(|window| args.host_memory.iter().map(move |memory| (window, memory)))
            {
                match recorded(args, path, *window, *memory) {
                    Ok(load) => loads.push(load),
                    Err(error) => wrong.push(error.to_string()),
                }
            }
        }
    }
    let Some(space) = space.filter(|_| wrong.is_empty()) else {
        wrong.dedup();
        return Err(all_bad_input(&wrong));
    };
    Ok(Settings {
        space,
        search: match args.search {
            Spread::Random => Search::Random,
            Spread::Grid => Search::Grid,
        },
        budget: args.budget,
        seed: args.search_seed,
        preference: match args.prefer {
            Prefer::Both => Preference::Both,
            Prefer::Unmet => Preference::Unmet,
            Prefer::Moved => Preference::Moved,
        },
        training,
        training_seeds: args.seeds.list(),
        held_out,
        held_out_seeds: args.hold_out.list(),
        until: args.until,
        threads: args.leaving.threads(),
    })
}

/// The first pair of windows that have a moment in common.
fn overlap(seen: &[TraceWindow], held_out: &[TraceWindow]) -> Option<(TraceWindow, TraceWindow)> {
    let pairs = seen.iter().flat_map(|seen| held_out.iter().map(move |other| (*seen, *other)));
    pairs.into_iter().find(|(seen, other)| seen.from() < other.to() && other.from() < seen.to())
}

fn recorded(
    args: &Args,
    path: &Path,
    window: TraceWindow,
    memory: PageCount,
) -> Result<Scenario, file::BadScenario> {
    let options = LoadOptions {
        trace_window: Some(window),
        fill_gaps: args.fill_gaps,
        host_memory: Some(memory),
        ..LoadOptions::default()
    };
    let mut load = loads::trace(path, options)?;
    plans::tell_remarks(&load);
    load.name = format!("{} {window} {}", load.name, quantities::format_size(memory));
    Ok(load)
}

fn write(folder: &Path, outcome: &Outcome, command: &str) -> Result<()> {
    let policy = format!("# {}\n{}", command, outcome.policy_table());
    let texts = [outcome.json()?, outcome.page(command), policy];
    for (name, text) in RESULTS.files.iter().zip(texts) {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The command that repeats a search.
fn command(args: &Args) -> String {
    let mut words = vec!["cargo xtask tune".to_owned()];
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.push(format!("--{name} {}", shell_word(&value)));
        }
    };
    let list = |list: Vec<String>| (!list.is_empty()).then(|| list.join(","));
    let windows = |windows: &[TraceWindow]| list(windows.iter().map(ToString::to_string).collect());
    option("policy", Some(args.policy.clone()));
    option("params", list(args.params.clone()));
    option("scenarios", list(args.scenarios.clone()));
    option("hold-out-scenarios", list(args.hold_out_scenarios.clone()));
    option("trace", args.trace.as_ref().map(|path| path.display().to_string()));
    option("host-memory", list(args.host_memory.iter().map(|size| quantities::format_size(*size)).collect()));
    option("windows", windows(&args.windows));
    option("hold-out-windows", windows(&args.hold_out_windows));
    option("seeds", Some(args.seeds.to_string()));
    option("hold-out", Some(args.hold_out.to_string()));
    option("budget", Some(args.budget.to_string()));
    option("search", (args.search == Spread::Grid).then(|| "grid".to_owned()));
    option("search-seed", (args.search_seed != 1).then(|| args.search_seed.to_string()));
    option(
        "prefer",
        match args.prefer {
            Prefer::Both => None,
            Prefer::Unmet => Some("unmet".to_owned()),
            Prefer::Moved => Some("moved".to_owned()),
        },
    );
    option("until", args.until.map(quantities::format_duration));
    if args.fill_gaps {
        words.push("--fill-gaps".to_owned());
    }
    words.join(" ")
}
