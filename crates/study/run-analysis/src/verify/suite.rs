//! Many scenarios with many seeds, on all processors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use page_range::PageCount;
use parking_lot::Mutex;

use super::judge::{Verdict, judge};
use super::mutate::Mutation;
use super::observation::{Observation, Reference};
use super::report::{Report, Row};
use scenario::file::{self, LoadOptions, Scenario};
use scenario::run::{self, Choices, RunError, RunOptions};

/// The source's four scenarios, as files.
pub const SOURCE: &[&str] = &[
    "max-vms-static",
    "max-vms-dynamic-7",
    "max-vms-dynamic",
    "single-vm-ws2008r2",
    "single-vm-ws2003r2",
    "multi-vm",
    "exhaustion",
    "exhaustion-reserve-2048",
];

/// The behaviour of Microsoft's own tests, as files.
pub const ORACLE: &[&str] = &[
    "oracle-high-priority",
    "oracle-high-priority-strict",
    "oracle-high-priority-contended",
    "oracle-hot-remove",
    "oracle-startup-low-competes",
    "oracle-startup-high-competes",
    "oracle-remove-then-pressure",
    "oracle-bounds",
];

/// What is verified and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seeds; every scenario runs with each.
    pub seeds: Vec<u64>,
    /// A mechanism that is switched off.
    pub mutation: Option<&'static Mutation>,
    /// Threads to run on.
    pub threads: usize,
}

/// Runs every scenario with every seed and makes its checks.
#[must_use]
pub fn verify(scenarios: &[Scenario], options: &Options) -> Report {
    let jobs: Vec<(usize, u64)> = (0..scenarios.len())
        .flat_map(|scenario| options.seeds.iter().map(move |&seed| (scenario, seed)))
        .collect();
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, Vec<Verdict>>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..options.threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while let Some((job, &(scenario, seed))) = {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(job).map(|found| (job, found))
                } {
                    let verdicts = verdicts(&scenarios[scenario], seed, options.mutation);
                    done.lock().insert(job, verdicts);
                }
            });
        }
    });
    let done = done.into_inner();
    let mut rows = Vec::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let of_scenario: Vec<(u64, &Vec<Verdict>)> = jobs
            .iter()
            .enumerate()
            .filter(|(_, (of, _))| *of == index)
            .filter_map(|(job, (_, seed))| Some((*seed, done.get(&job)?)))
            .collect();
        let column = |place: usize| -> Vec<(u64, Verdict)> {
            of_scenario.iter().filter_map(|(seed, all)| Some((*seed, all.get(place)?.clone()))).collect()
        };
        rows.push(Row::invariants(scenario, &column(0)));
        for (place, check) in scenario.applicable_checks().enumerate() {
            rows.push(Row::new(scenario, check, &column(place + 1)));
        }
    }
    Report { seeds: options.seeds.clone(), mutation: options.mutation.map(|mutation| mutation.name), rows }
}

/// The verdicts of one run: first whether it held together at all, then check by check.
fn verdicts(scenario: &Scenario, seed: u64, mutation: Option<&Mutation>) -> Vec<Verdict> {
    let observed = observe_with_references(scenario, seed, mutation);
    let together = match &observed {
        Err(error) => Verdict::failed(error.to_string()),
        Ok(run) if run.summary.end.panics.is_empty() => Verdict::HOLDS,
        Ok(run) => Verdict::failed(run.summary.end.panics.join("; ")),
    };
    let mut verdicts = vec![together];
    for check in scenario.applicable_checks() {
        verdicts.push(match &observed {
            Ok(run) => judge(check, run),
            Err(error) => Verdict::failed(error.to_string()),
        });
    }
    verdicts
}

/// Runs a scenario inline, and those that its checks are measured against.
///
/// # Errors
/// A scenario that cannot be run, or does not hold together.
pub fn observe_with_references(
    scenario: &Scenario,
    seed: u64,
    mutation: Option<&Mutation>,
) -> Result<Observation, RunError> {
    let mut references: Vec<(String, Reference)> = Vec::new();
    for name in Observation::needed(scenario) {
        let measured = reference(&name, seed, mutation)?;
        references.push((name, measured));
    }
    let mut run = observe(scenario, seed, mutation, &mut |name| match references
        .iter()
        .find(|(known, _)| known == name)
    {
        Some((_, known)) => Ok(known.host_used),
        None => Ok(reference(name, seed, mutation)?.host_used),
    })?;
    run.references = references;
    Ok(run)
}

fn reference(name: &str, seed: u64, mutation: Option<&Mutation>) -> Result<Reference, RunError> {
    let scenario = file::find(name, &LoadOptions::default())
        .map_err(|error| RunError::Reference(name.to_owned(), error.to_string()))?;
    let mut nobody = |other: &str| {
        Err(RunError::Reference(other.to_owned(), format!("{name:?} refers to another scenario itself")))
    };
    Ok(observe(&scenario, seed, mutation, &mut nobody)?.as_reference())
}

/// Runs a scenario inline with all samples kept.
///
/// # Errors
/// A scenario that cannot be run, or does not hold together.
pub fn observe(
    scenario: &Scenario,
    seed: u64,
    mutation: Option<&Mutation>,
    used_in: &mut dyn FnMut(&str) -> Result<PageCount, RunError>,
) -> Result<Observation, RunError> {
    let choices = Choices { seed: Some(seed), ..Choices::default() };
    let mut plan = run::build::plan(scenario, &choices, used_in)?;
    if let Some(mutation) = mutation {
        (mutation.apply)(&mut plan);
    }
    let options = RunOptions {
        driver: component_runtime::Driver::Inline,
        events: run_journal::EventsLevel::None,
        keep_points: true,
        ..RunOptions::default()
    };
    let outcome = run::run(plan.clone(), options)?;
    Ok(Observation::new(&plan, outcome.points.all().to_vec(), outcome.summary))
}
