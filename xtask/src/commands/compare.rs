//! `cargo xtask compare`: policies on the same loads with the same seeds.

mod tuned;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::builder::RangedU64ValueParser;
use guest_memory_manager::trace::TraceWindow;
use indicatif::ProgressBar;
use page_range::PageCount;
use policy_comparison::{Advance, CompareError, Comparison, Contestant, Settings, loads};
use scenario::file::{self, BadScenario, LoadOptions, Scenario, Setting};
use scenario::run::Choices;

use super::results::{Leaving, Results};
use super::{all_bad_input, arguments, bad_input, shell_word};
use crate::output::{look, note, print, print_coloured, say, tell};

/// Which policies, on what.
#[derive(clap::Args, Debug)]
pub(crate) struct What {
    /// Policies, separated by commas; differences are to the first. Parameters follow a policy's name, such as hyperv:half_width=4:hold=100s, so
    /// that one policy can take part several times. Default: all, hyperv first
    #[arg(long, value_delimiter = ',', value_name = "A,B,C")]
    policies: Vec<String>,
    /// Policies tuned: what `tune` found (its policy.toml), or a folder of such files or of tune's folders. Each stands behind its policy as published. Can
    /// be given several times
    #[arg(long, value_name = "FILE|DIR")]
    tuned: Vec<PathBuf>,
    /// Loads: scenarios of the project or scenario files, separated by commas. Default: the built-in set (`list` shows it), or the
    /// trace alone if one is given
    #[arg(long, value_delimiter = ',', value_name = "X,Y")]
    scenarios: Vec<String>,
    /// Recorded loads: every VM of the trace becomes a VM
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Memory of the host that plays the trace, such as 150GB
    #[arg(long, value_name = "SIZE", requires = "trace", value_parser = arguments::host_memory)]
    host_memory: Option<PageCount>,
    /// Which parts of the trace are played, separated by commas: each is a load of its own [default: 0h..24h]
    #[arg(long, value_delimiter = ',', value_name = "FROM..TO", requires = "trace", value_parser = arguments::window)]
    trace_window: Vec<TraceWindow>,
    /// Fill in missing rows of the trace by straight lines, and leave out rows of VMs that are off and of times that come twice; without this
    /// they are refused
    #[arg(long, requires = "trace")]
    fill_gaps: bool,
    /// Set a key of every load's file, such as host.memory=48GB or vm.VM3.priority=80. Can be given several times
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    set: Vec<Setting>,
    /// How many seeds. A trace alone is run with one unless you say otherwise
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<NonZero<u64>>::new().range(1..=10_000))]
    seeds: Option<NonZero<u64>>,
    /// The first seed; the others follow it. For seeds that a policy was not tuned with
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    first_seed: u64,
    /// End of every run in virtual time, in place of the load's own
    #[arg(long, value_name = "DUR", value_parser = arguments::positive_duration)]
    until: Option<Duration>,
    /// Leave out regret: the runs of the policy that is told the future, and the bound. Takes a run or two less for each load and seed
    #[arg(long)]
    no_regret: bool,
}

/// What to compare, and where to leave it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    leaving: Leaving,
}

/// The files of a comparison.
const FILES: [&str; 4] = ["compare.json", "compare.csv", "compare.html", "cost.json"];
const RESULTS: Results = Results { what: "comparison", kind: "compare", files: &FILES };

/// Compares.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.what.scenarios == ["list"] {
        return list();
    }
    let settings = settings(&args.what)?;
    let settings = Settings { threads: args.leaving.threads(), ..settings };
    quiet_panics();
    let (folder, comparison) =
        args.leaving.within(&RESULTS, |_| compared(args, &settings)).map_err(unless_endless)?;
    let command = command(&args.what);
    write(&folder, &comparison, &command)?;
    if args.leaving.json {
        print(format_args!("{}", comparison.json()?))?;
    } else {
        // The table escapes what files wrote, and may have colours.
        print_coloured(&comparison.table(look()))?;
        say!("\nFiles:   {}", folder.display());
        say!("Figures: {}", folder.join("compare.html").display());
        say!("Repeat:  {command}");
    }
    Ok(ExitCode::SUCCESS)
}

fn compared(args: &Args, settings: &Settings) -> Result<Comparison> {
    let bar = args.leaving.bar(PROGRESS);
    let comparison = policy_comparison::compare(settings, &mut |advance| show(&bar, advance));
    bar.finish_and_clear();
    comparison.map_err(|error| match error {
        CompareError::Nothing(_) | CompareError::Twice(_) => bad_input(error),
        _ => error.into(),
    })
}

/// The same error, unless a thread never ends: then the process must.
pub(super) fn unless_endless(error: anyhow::Error) -> anyhow::Error {
    if let Some(CompareError::Endless { .. }) = error.downcast_ref() {
        note!("error: {error}");
        std::process::exit(1);
    }
    error
}

fn list() -> Result<ExitCode> {
    for name in loads::built_in() {
        let title = loads::find(name).map_or_else(|_| String::new(), |load| load.title);
        say!("{}", terminal_text::wrap_after(&format!("{name:<18} "), &title, look().columns, 19));
    }
    tell!("\nPolicies: {}", policy_catalogue::names().collect::<Vec<_>>().join(", "));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn settings(args: &What) -> Result<Settings> {
    // All that is wrong is told at once.
    let mut wrong = Vec::new();
    if let Some(setting) = args.set.iter().find(|setting| setting.root() == "policy") {
        wrong.push(format!(
            "--set {setting} would change nothing: each load is run with every policy of --policies, at the policy's own parameters"
        ));
    }
    let options = LoadOptions { settings: args.set.clone(), ..LoadOptions::default() };
    let mut good = |found: Result<Scenario, BadScenario>| match found {
        Ok(load) => Some(load),
        Err(error) => {
            wrong.push(error.to_string());
            None
        }
    };
    let mut found: Vec<Scenario> =
        args.scenarios.iter().filter_map(|name| good(file::find(name, &options))).collect();
    if let Some(path) = &args.trace {
        let options =
            LoadOptions { fill_gaps: args.fill_gaps, host_memory: args.host_memory, ..options.clone() };
        found.extend(super::plans::recorded(path, &options, &args.trace_window).into_iter().filter_map(good));
    } else if args.scenarios.is_empty() {
        found.extend(loads::built_in().filter_map(|name| good(file::find(name, &options))));
    }
    let mut contestants = if args.policies.is_empty() { Contestant::all() } else { Vec::new() };
    for name in &args.policies {
        match Contestant::named(name) {
            Ok(contestant) => contestants.push(contestant),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    match tuned::contestants(&args.tuned) {
        Ok(tuned) => tuned::put_beside(&mut contestants, tuned),
        Err(complaints) => wrong.extend(complaints),
    }
    if !wrong.is_empty() {
        return Err(all_bad_input(&wrong));
    }
    let usual = if args.trace.is_some() && args.scenarios.is_empty() { 1 } else { policy_comparison::SEEDS };
    let seeds = args.seeds.map_or(usual, NonZero::get);
    let settings = Settings::new(contestants, found);
    Ok(Settings {
        seeds: (args.first_seed..).take(usize::try_from(seeds)?).collect(),
        regret: !args.no_regret,
        choices: Choices { until: args.until, ..settings.choices.clone() },
        ..settings
    })
}

fn write(folder: &Path, comparison: &Comparison, command: &str) -> Result<()> {
    let costs = serde_json::to_string_pretty(&comparison.costs)? + "\n";
    let texts = [comparison.json()?, comparison.csv(), comparison.page(command), costs];
    for (name, text) in FILES.iter().zip(texts) {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A policy that panics in every round would fill the terminal: its first panic is shown, all are counted.
pub(super) fn quiet_panics() {
    let hook = std::panic::take_hook();
    let shown = std::sync::atomic::AtomicBool::new(false);
    std::panic::set_hook(Box::new(move |info| {
        if policy_comparison::is_in_policy_round() && shown.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        hook(info);
    }));
}

/// How far a comparison, or a part of a sweep, is.
pub(super) const PROGRESS: &str = "{msg} {bar:40} {percent:>3} %, {eta} left";

fn show(bar: &ProgressBar, advance: Advance) {
    bar.set_length(advance.all);
    bar.set_position(advance.done);
    bar.set_message(format!("{} of {} runs", advance.runs, advance.all_runs));
}

/// The command that repeats a comparison.
pub(super) fn command(args: &What) -> String {
    let mut words = vec!["cargo xtask compare".to_owned()];
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.push(format!("--{name} {}", shell_word(&value)));
        }
    };
    option("policies", (!args.policies.is_empty()).then(|| args.policies.join(",")));
    for path in &args.tuned {
        option("tuned", Some(path.display().to_string()));
    }
    option("scenarios", (!args.scenarios.is_empty()).then(|| args.scenarios.join(",")));
    option("trace", args.trace.as_ref().map(|path| path.display().to_string()));
    option("host-memory", args.host_memory.map(quantities::format_size));
    let windows: Vec<String> = args.trace_window.iter().map(ToString::to_string).collect();
    option("trace-window", (!windows.is_empty()).then(|| windows.join(",")));
    option("seeds", args.seeds.map(|seeds| seeds.to_string()));
    option("first-seed", (args.first_seed != 1).then(|| args.first_seed.to_string()));
    option("until", args.until.map(quantities::format_duration));
    for setting in &args.set {
        option("set", Some(setting.to_string()));
    }
    if args.no_regret {
        words.push("--no-regret".to_owned());
    }
    if args.fill_gaps {
        words.push("--fill-gaps".to_owned());
    }
    words.join(" ")
}
