//! Many scenarios with many seeds, on all processors.

use page_range::PageCount;

use super::change::Change;
use super::judge::{Verdict, judge};
use super::observation::{Observation, Reference};
use super::report::{Report, Row};
use crate::parallel;
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

/// What the tests of [`ORACLE`] are evidence of. Stands wherever their outcome does.
pub const ORACLE_EVIDENCE: &str = "These are Microsoft's own tests of Dynamic Memory (lis-test). They ran Linux guests on later hosts: they \
    are no evidence about Windows Server 2008 R2 SP1. The policy hyperv was designed so that they pass.";

/// What others measured of Dynamic Memory, as files. No constant, load or window was chosen with these in view.
///
/// That one of them does not come out is shown, and is no failure of the verification: they were measured on other hosts, guests and loads, of
/// which their authors say little.
pub const OUTSIDE: &[&str] =
    &["outside-overhead", "outside-case-study", "outside-ballooned", "outside-pressure"];

/// What is verified and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seeds; every scenario runs with each.
    pub seeds: Vec<u64>,
    /// What is different from the scenarios' files.
    pub change: Change,
    /// Threads to run on.
    pub threads: usize,
}

/// A run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) seed: u64,
    pub(crate) change: Change,
}

/// Runs every scenario with every seed and makes its checks.
#[must_use]
pub fn verify(scenarios: &[Scenario], options: &Options) -> Report {
    let change = options.change;
    let jobs: Vec<Job<'_>> = scenarios
        .iter()
        .flat_map(|scenario| options.seeds.iter().map(move |&seed| Job { scenario, seed, change }))
        .collect();
    let verdicts = run_all(&jobs, options.threads);
    // As rows of a sweep are read, so that both come to the same.
    let verdicts = verdicts.iter().map(|of_run| read_again(of_run)).collect();
    report(scenarios, &options.seeds, change.mechanism(), verdicts)
}

/// What verdicts come to: those of each scenario with each seed, in this order.
pub(crate) fn report(
    scenarios: &[Scenario],
    seeds: &[u64],
    mutation: Option<&'static str>,
    verdicts: Vec<Vec<Verdict>>,
) -> Report {
    let mut verdicts = verdicts.into_iter();
    let mut report = Report { seeds: seeds.to_vec(), mutation, ..Report::default() };
    for scenario in scenarios {
        let of_seeds: Vec<_> = seeds.iter().copied().zip(verdicts.by_ref()).collect();
        if scenario.is_built_in() && ORACLE.contains(&scenario.name.as_str()) {
            report.evidence = Some(ORACLE_EVIDENCE);
        }
        let group = if is_outside(scenario) { &mut report.outside } else { &mut report.rows };
        group.extend(rows(scenario, &of_seeds));
    }
    report
}

/// Verdicts as whoever reads their row has them.
fn read_again(verdicts: &[Verdict]) -> Vec<Verdict> {
    let text = serde_json::to_string(verdicts);
    text.and_then(|text| serde_json::from_str(&text)).unwrap_or_else(|_| verdicts.to_vec())
}

/// Whether a scenario is one of [`OUTSIDE`].
fn is_outside(scenario: &Scenario) -> bool {
    scenario.is_built_in() && OUTSIDE.contains(&scenario.name.as_str())
}

/// Runs on so many threads; for each job the verdicts of its run, in the order of the jobs.
pub(crate) fn run_all(jobs: &[Job<'_>], threads: usize) -> Vec<Vec<Verdict>> {
    parallel::all(jobs, threads, verdicts)
}

/// The rows of a scenario: of each seed, the verdicts of its run.
pub(crate) fn rows(scenario: &Scenario, of_seeds: &[(u64, Vec<Verdict>)]) -> Vec<Row> {
    let column = |place: usize| -> Vec<(u64, Verdict)> {
        of_seeds.iter().filter_map(|(seed, all)| Some((*seed, all.get(place)?.clone()))).collect()
    };
    let checks = scenario.applicable_checks().enumerate();
    let checks = checks.map(|(place, check)| Row::new(scenario, check, &column(place + 1)));
    std::iter::once(Row::invariants(scenario, &column(0))).chain(checks).collect()
}

/// The verdicts of one run: first whether it held together at all, then check by check.
pub(crate) fn verdicts(job: &Job<'_>) -> Vec<Verdict> {
    let observed = observe_with_references(job.scenario, job.seed, job.change);
    let together = match &observed {
        Err(error) => Verdict::failed(error.to_string()),
        Ok(run) if run.summary.end.panics.is_empty() => Verdict::HOLDS,
        Ok(run) => Verdict::failed(run.summary.end.panics.join("; ")),
    };
    let mut verdicts = vec![together];
    for check in job.scenario.applicable_checks() {
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
    change: Change,
) -> Result<Observation, RunError> {
    let mut references: Vec<(String, Reference)> = Vec::new();
    for name in Observation::needed(scenario) {
        let measured = reference(&name, seed, change)?;
        references.push((name, measured));
    }
    let mut run = observe(scenario, seed, change, &mut |name| match references
        .iter()
        .find(|(known, _)| known == name)
    {
        Some((_, known)) => Ok(known.host_used),
        None => Ok(reference(name, seed, change)?.host_used),
    })?;
    run.references = references;
    Ok(run)
}

fn reference(name: &str, seed: u64, change: Change) -> Result<Reference, RunError> {
    let scenario = file::find(name, &LoadOptions::default())
        .map_err(|error| RunError::Reference(name.to_owned(), error.to_string()))?;
    let mut nobody = |other: &str| {
        Err(RunError::Reference(other.to_owned(), format!("{name:?} refers to another scenario itself")))
    };
    Ok(observe(&scenario, seed, change, &mut nobody)?.as_reference())
}

/// Runs a scenario inline with all samples kept.
///
/// # Errors
/// A scenario that cannot be run, or does not hold together.
pub fn observe(
    scenario: &Scenario,
    seed: u64,
    change: Change,
    used_in: &mut dyn FnMut(&str) -> Result<PageCount, RunError>,
) -> Result<Observation, RunError> {
    let choices = Choices { seed: Some(seed), ..Choices::default() };
    let mut plan = run::build::plan(scenario, &choices, used_in)?;
    change.apply(&mut plan);
    let options = RunOptions {
        driver: component_runtime::Driver::Inline,
        events: run_journal::EventsLevel::None,
        keep_points: true,
        ..RunOptions::default()
    };
    let outcome = run::run(plan.clone(), options)?;
    let mut observed = Observation::new(&plan, outcome.points.all().to_vec(), outcome.summary);
    observed.windows = change.windows();
    Ok(observed)
}
