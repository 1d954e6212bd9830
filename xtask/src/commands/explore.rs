//! `cargo xtask explore`: many seeds and schedules, with every invariant checked.

use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use scenario::file::{LoadOptions, Scenario, Setting};
use scenario::run::{self, Choices};
use sweep::explore::SCHEDULE_SEED;
use sweep::{Kept, Kind, Plan, Point, Settings, Sketch};

use super::bad_input;
use crate::output::{note, say, tell};

/// What to explore.
#[derive(clap::Args, Debug)]
pub(crate) struct What {
    /// Scenarios or scenario files; default: multi-vm, exhaustion and single-vm-ws2003r2
    scenarios: Vec<String>,
    /// How many runs
    #[arg(long, value_name = "N", value_parser = super::arguments::at_least_one::<NonZero<u64>>)]
    runs: Option<NonZero<u64>>,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The first schedule seed: the order of what may happen at the same instant; 0 is the ordinary order. Both seeds grow by one
    /// from run to run
    #[arg(long, value_name = "N", default_value_t = 0)]
    schedule_seed: u64,
    /// Balancing policy, in place of the files'
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// Set a key of every scenario's file, such as host.memory=48GB or vm.VM3.priority=80. Can be given several times
    #[arg(long, value_name = "KEY=VALUE", allow_hyphen_values = true)]
    set: Vec<Setting>,
    /// End of each run in virtual time, in place of the files'
    #[arg(long, value_name = "DUR", value_parser = super::arguments::positive_duration)]
    until: Option<Duration>,
}

/// What to explore, and for how long.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    what: What,
    /// For how many minutes
    #[arg(long, value_name = "M", conflicts_with = "runs")]
    minutes: Option<f64>,
}

/// How many runs, if nothing is said.
const RUNS: u64 = 100;

#[derive(Clone, Debug)]
struct Failing {
    scenario: String,
    seed: u64,
    schedule_seed: u64,
    until: Duration,
    what: String,
}

/// Explores. Exit code 1 if a run fails.
#[expect(clippy::disallowed_methods, reason = "the time that the user gave, not that of a run")]
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let minutes = args.minutes;
    if minutes.is_some_and(|minutes| !(minutes.is_finite() && minutes > 0.0)) {
        return Err(bad_input("--minutes must be more than 0"));
    }
    let args = &args.what;
    let (names, scenarios) = args.scenarios()?;
    let begin = std::time::Instant::now();
    let more = |done: u64| match minutes {
        Some(minutes) => begin.elapsed().as_secs_f64() < minutes * 60.0,
        None => done < args.runs.map_or(RUNS, NonZero::get),
    };
    let mut done = 0;
    // One run at least: none would have held nothing.
    while done == 0 || more(done) {
        let scenario = &scenarios[done as usize % scenarios.len()];
        let name = &names[done as usize % names.len()];
        let (seed, schedule_seed) = args.seeds(done / scenarios.len() as u64);
        let choices = Choices {
            seed: Some(seed),
            policy: args.policy.clone(),
            until: args.until,
            ..Choices::default()
        };
        if let Some(what) = attempt(scenario, &choices, schedule_seed)? {
            let until = args.until.unwrap_or(scenario.until);
            let found = Failing { scenario: name.clone(), seed, schedule_seed, until, what };
            note!(
                "{name}, seed {seed}, schedule seed {schedule_seed} fails; looking for the shortest such run"
            );
            let shortest = shorten(scenario, args.policy.as_ref(), found)?;
            tell!("{}", shortest.what);
            for line in repeat(&shortest, args.policy.as_deref()) {
                say!("{line}");
            }
            return Ok(ExitCode::FAILURE);
        }
        done += 1;
    }
    tell!("{done} runs of {}: every invariant held", names.join(", "));
    Ok(ExitCode::SUCCESS)
}

/// The commands that do it again.
fn repeat(found: &Failing, policy: Option<&str>) -> [String; 2] {
    let mut same = format!(
        "{} --seed {} --schedule-seed {} --until {}",
        super::shell_word(&found.scenario),
        found.seed,
        found.schedule_seed,
        quantities::format_duration(found.until)
    );
    if let Some(policy) = policy {
        same += &format!(" --policy {policy}");
    }
    [
        format!("Repeat: cargo xtask explore {same} --runs 1"),
        format!("With what happens: cargo xtask scenario {same} --driver inline --log info"),
    ]
}

impl What {
    fn scenarios(&self) -> Result<(Vec<String>, Vec<Scenario>)> {
        let names = if self.scenarios.is_empty() {
            ["multi-vm", "exhaustion", "single-vm-ws2003r2"].map(str::to_owned).to_vec()
        } else {
            self.scenarios.clone()
        };
        let options = LoadOptions { settings: self.set.clone(), ..LoadOptions::default() };
        let scenarios = names.iter().map(|name| super::plans::load(name, &options));
        let scenarios = scenarios.collect::<Result<Vec<_>>>()?;
        Ok((names, scenarios))
    }

    /// Seed and schedule seed of the run of this number.
    fn seeds(&self, number: u64) -> (u64, u64) {
        (self.seed.saturating_add(number), self.schedule_seed.saturating_add(number))
    }
}

/// The points of an exploration, in the order in which one machine runs them.
pub(super) fn sketch(what: &What) -> Result<Sketch> {
    let (names, scenarios) = what.scenarios()?;
    let mut kept = Vec::new();
    for (name, scenario) in names.iter().zip(scenarios) {
        let choices = Choices { policy: what.policy.clone(), until: what.until, ..Choices::default() };
        run::build::plan_alone(&scenario, &choices).map_err(|error| bad_input(format!("{name}: {error}")))?;
        let (keep, trace) = Kept::new(&scenario).map_err(|why| bad_input(format!("{name}: {why}")))?;
        kept.push((keep, Arc::new(scenario), trace));
    }
    let until = what.until.map(quantities::format_duration);
    let runs = what.runs.map_or(RUNS, NonZero::get);
    let points = (0..runs).map(|number| {
        let (keep, scenario, _) = &kept[usize::try_from(number).unwrap_or_default() % kept.len()];
        let (seed, schedule_seed) = what.seeds(number / kept.len() as u64);
        Point::new(Settings {
            kind: Kind::Explore,
            version: sweep::version().to_owned(),
            scenario: keep.hash.clone(),
            name: keep.name.clone(),
            policy: what.policy.clone(),
            parameters: [(SCHEDULE_SEED.to_owned(), schedule_seed.to_string())].into(),
            seed,
            until: until.clone(),
            vm_seconds: what.until.unwrap_or(scenario.until).as_secs() * scenario.vms.len() as u64,
        })
    });
    let points = points.collect();
    let words = names.iter().map(|name| format!(" {}", super::shell_word(name))).collect::<String>();
    let mut command = format!("cargo xtask explore{words} --runs {runs}");
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            command += &format!(" --{name} {}", super::shell_word(&value));
        }
    };
    option("seed", (what.seed != 1).then(|| what.seed.to_string()));
    option("schedule-seed", (what.schedule_seed != 0).then(|| what.schedule_seed.to_string()));
    option("policy", what.policy.clone());
    option("until", until.clone());
    for setting in &what.set {
        option("set", Some(setting.to_string()));
    }
    Ok(Sketch { kind: Kind::Explore, command, about: serde_json::Value::Null, scenarios: kept, points })
}

/// What an exploration's rows come to, for a terminal.
pub(super) fn told(plan: &Plan, broken: &[(Point, String)]) -> String {
    let names: Vec<&str> = plan.kept().map(|kept| kept.name.as_str()).collect();
    let all = plan.points().len();
    let line = |line: &str| format!("{}\n", terminal_text::escape_lines(line));
    if broken.is_empty() {
        return line(&format!("{all} runs of {}: every invariant held", names.join(", ")));
    }
    let mut text = line(&format!("In {} of {all} runs an invariant did not hold:", broken.len()));
    for (point, what) in broken {
        text += &line(&format!("{point}: {what}"));
    }
    text += &line("`explore` finds the shortest run in which the first of them does not hold:");
    let settings = &broken[0].0.settings;
    let schedule_seed = settings.parameters.get(SCHEDULE_SEED).map_or("0", String::as_str);
    text += &line(&format!(
        "{} --runs 1 --seed {} --schedule-seed {schedule_seed}  # the scenario {}",
        plan.command().split(" --runs ").next().unwrap_or_default(),
        settings.seed,
        settings.name
    ));
    text
}

/// Runs once; what went wrong, if something did.
fn attempt(scenario: &Scenario, choices: &Choices, schedule_seed: u64) -> Result<Option<String>> {
    Ok(sweep::explore::attempt(super::plans::plan(scenario, choices)?, schedule_seed)?)
}

/// The shortest time within which the run still fails, to the second, by bisection.
fn shorten(scenario: &Scenario, policy: Option<&String>, found: Failing) -> Result<Failing> {
    let (mut passes, mut shortest) = (Duration::ZERO, found);
    while shortest.until.saturating_sub(passes) > Duration::from_secs(1) {
        let middle = passes + (shortest.until - passes) / 2;
        let choices = Choices {
            seed: Some(shortest.seed),
            policy: policy.cloned(),
            until: Some(middle),
            ..Choices::default()
        };
        match attempt(scenario, &choices, shortest.schedule_seed)? {
            Some(what) => shortest = Failing { until: middle, what, ..shortest },
            None => passes = middle,
        }
    }
    Ok(shortest)
}
