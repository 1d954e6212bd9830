//! A scenario of several hosts: independent runs, each on one core at a time, on all cores.

use std::io::IsTerminal as _;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use component_runtime::{Driver, StopHandle};
use run_journal::EventsLevel;
use scenario::file::Scenario;
use scenario::run::fleet::{FLEET_FILE, Fleet, TABLE_FILE};
use scenario::run::{self, Choices, Plan, RunError, RunOptions, Summary, directory};

use super::{Args, ClockName};
use crate::commands::{bad_input, plans};
use crate::output::{look, note, print, print_coloured, say};

/// The host that is to be run alone, or all.
pub(super) fn chosen(args: &Args, mut hosts: Vec<Scenario>) -> Result<Vec<Scenario>> {
    let Some(wanted) = &args.host else { return Ok(hosts) };
    if let Some(place) = hosts.iter().position(|scenario| scenario.host.name.eq_ignore_ascii_case(wanted)) {
        return Ok(vec![hosts.swap_remove(place)]);
    }
    let names: Vec<&str> = hosts.iter().map(|scenario| scenario.host.name.as_str()).collect();
    let near = quantities::nearest(wanted, names.iter().copied());
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    let shown = match names.as_slice() {
        [first, .., last] if names.len() > 12 => format!("{} hosts, {first} to {last}", names.len()),
        _ => names.join(", "),
    };
    Err(bad_input(format!(
        "--host {wanted:?}: there is no such host in the scenario, there are {shown}{near}"
    )))
}

/// One host before its run.
struct Host {
    scenario: Scenario,
    plan: Plan,
    folder: PathBuf,
    events: EventsLevel,
}

/// Runs all hosts of a file.
pub(super) fn run(args: &Args, name: &str, scenarios: Vec<Scenario>) -> Result<ExitCode> {
    refuse_what_is_for_one(args, scenarios.len())?;
    let mut hosts = Vec::new();
    for scenario in scenarios {
        let choices = Choices {
            policy: args.policy.clone(),
            seed: args.seed.map(|seed| scenario.seed_for(seed)),
            until: args.until,
            sample_interval: args.sample_interval,
        };
        let plan = plans::plan(&scenario, &choices)?;
        let events = args.events.unwrap_or_else(|| super::usual_events(&plan));
        hosts.push(Host { scenario, plan, folder: PathBuf::new(), events });
    }
    let Some(first) = hosts.first() else { return Err(bad_input("the scenario has no host")) };
    let folder = match &args.out {
        Some(out) => {
            make(out, args.force)?;
            out.clone()
        }
        None => directory::create_next(Path::new(crate::commands::RUNS), &first.scenario.name)?,
    };
    let folder = super::shorter(&folder);
    let seed = args.seed.or(first.scenario.seed_of_file).unwrap_or(first.plan.seed);
    let title = first.scenario.title.clone();
    for host in &mut hosts {
        host.folder = folder.join(&host.plan.host_name);
        directory::create(&host.folder, false).map_err(bad_input)?;
        if let Some(remark) = host.scenario.remark() {
            note!("warning: {}: {remark}", host.plan.host_name);
        }
        if let Some(remark) = super::not_known(&host.plan) {
            note!("note: {}: {remark}", host.plan.host_name);
        }
        let command = super::command(args, name, &host.scenario, &host.plan, Some(&host.plan.host_name));
        super::write_manifest(args, name, host.events, &host.scenario, &host.plan, &host.folder, &command)?;
    }
    let summaries = run_all(args, &hosts)?;
    let named: Vec<(String, Summary)> =
        hosts.iter().map(|host| host.plan.host_name.clone()).zip(summaries).collect();
    let fleet = Fleet::of(seed, &named);
    let json = serde_json::to_string_pretty(&fleet)? + "\n";
    for (file, text) in [(FLEET_FILE, &json), (TABLE_FILE, &fleet.csv())] {
        let path = folder.join(file);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        print(format_args!("{json}"))?;
    } else if !args.quiet {
        // What others wrote in it is escaped.
        print_coloured(&fleet.told(&title, look()))?;
        let host = &hosts[0].folder.display();
        say!("\nFiles:  {}", folder.display());
        say!("A host: cargo xtask report {host}");
        say!("Repeat: {}", super::command(args, name, &hosts[0].scenario, &hosts[0].plan, None));
    }
    Ok(if fleet.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(130) })
}

fn refuse_what_is_for_one(args: &Args, hosts: usize) -> Result<()> {
    let given = [
        ("--live", args.live),
        ("--metrics", args.metrics.is_some()),
        ("--clock wall", args.clock == ClockName::Wall),
        ("--log", args.log.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(bad_input(format!(
            "{option} is for a run of one host, and this scenario has {hosts}: choose one with --host NAME"
        ))),
    }
}

/// Makes the folder of a fleet. One that is there is written over only with `force`, and only if it is a fleet's.
fn make(out: &Path, force: bool) -> Result<()> {
    let entries: Vec<_> = match std::fs::read_dir(out) {
        Ok(entries) => entries.collect::<Result<_, _>>()?,
        Err(_) => Vec::new(),
    };
    let (folders, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.path().is_dir());
    let is_ours = |name: &str| name == FLEET_FILE || name == TABLE_FILE;
    if let Some(file) = files.iter().find(|file| !file.file_name().to_str().is_some_and(is_ours)) {
        return Err(bad_input(format!(
            "{} holds {:?}, which no run of several hosts has left there; name another folder with --out",
            out.display(),
            file.file_name()
        )));
    }
    if !force && (!folders.is_empty() || !files.is_empty()) {
        return Err(bad_input(format!(
            "{} exists already; --force overwrites a run, --out names another folder",
            out.display()
        )));
    }
    for entry in folders {
        // What no run has left is refused there.
        directory::create(&entry.path(), force).map_err(bad_input)?;
        std::fs::remove_dir(entry.path())?;
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))
}

/// What all threads share.
#[derive(Default)]
struct Shared {
    stops: Mutex<Vec<StopHandle>>,
    stopped: AtomicBool,
}

impl Shared {
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        for stop in self.stops.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            stop.stop();
        }
    }

    /// A run that begins when all are to end ends at once.
    fn begins(&self, stop: StopHandle) {
        let mut stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stopped.load(Ordering::SeqCst) {
            stop.stop();
        }
        stops.push(stop);
    }
}

fn run_all(args: &Args, hosts: &[Host]) -> Result<Vec<Summary>> {
    let shared = Arc::new(Shared::default());
    let on_signal = Arc::clone(&shared);
    let mut asked = false;
    let _unavailable = ctrlc::set_handler(move || {
        if std::mem::replace(&mut asked, true) {
            std::process::exit(130);
        }
        note!("\ninterrupted: ending the runs (again: at once)");
        on_signal.stop();
    });
    let seconds: u64 = hosts.iter().map(|host| host.plan.until.as_secs()).sum();
    let show = !args.quiet && !args.json && std::io::stderr().is_terminal();
    let bar = super::progress_bar(show, &hosts[0].plan);
    bar.set_length(seconds);
    bar.set_message(format!("{} hosts", hosts.len()));
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = args.threads.map_or(processors, usize::from);
    let outcomes = run_analysis::parallel::all(hosts, threads, |host| {
        let (bar, told) = (bar.clone(), AtomicU64::new(0));
        let shared = Arc::clone(&shared);
        let options = RunOptions {
            driver: Driver::Inline,
            schedule_seed: args.schedule_seed,
            directory: Some(host.folder.clone()),
            events: host.events,
            form: args.compress_events.form(&host.plan),
            progress: Some(Arc::new(move |now: Duration| {
                let before = told.swap(now.as_secs(), Ordering::Relaxed);
                bar.inc(now.as_secs().saturating_sub(before));
            })),
            on_start: Some(Box::new(move |stop| shared.begins(stop))),
            ..RunOptions::default()
        };
        run::run(host.plan.clone(), options).map(|outcome| outcome.summary)
    });
    bar.finish_and_clear();
    let wrong: Vec<(&Host, &RunError)> = hosts
        .iter()
        .zip(&outcomes)
        .filter_map(|(host, outcome)| Some((host, outcome.as_ref().err()?)))
        .collect();
    if let Some((host, error)) = wrong.first() {
        anyhow::bail!(
            "{} of {} hosts: the run failed, first that of {}: {error}; what was recorded until then is in {}",
            wrong.len(),
            hosts.len(),
            host.plan.host_name,
            host.folder.display()
        );
    }
    Ok(outcomes.into_iter().filter_map(Result::ok).collect())
}
