//! `cargo xtask figures`: the source's figures, from runs' counters.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use component_runtime::Driver;
use input_file::CodePageName;
use perf_counters::pdh::Remark;
use run_analysis::figures::{self, Drawn, FiguresError, Recorded};
use run_analysis::stills::{self, Growth};
use run_analysis::sweep::{self, Sweep};
use run_journal::query::Causality;
use run_journal::{EVENTS_FILE, EventsLevel, Record, bytes_recorded, events, file_in};
use scenario::file::LoadOptions;
use scenario::run::{self, COUNTERS_FILE, Choices, RunOptions, directory};

use super::arguments::duration;
use super::bad_input;
use crate::output::{note, say};

/// Figures 4-1 and 4-3 compare the three runs of this scenario.
pub(super) const MAX_VMS: &str = "max-vms";
pub(super) const MAX_VMS_RUNS: [&str; 3] = ["max-vms-static", "max-vms-dynamic-7", "max-vms-dynamic"];
/// The runs that show the other figures.
const OTHERS: [&str; 5] =
    ["single-vm-ws2008r2", "single-vm-ws2003r2", "multi-vm", "exhaustion", "exhaustion-reserve-2048"];

/// The stills of a run.
pub(super) const COMPONENTS: &str = "figure-components.svg";
pub(super) const LANES: &str = "figure-lanes.svg";
/// The parent OS over a range of reserves and hosts: many runs, which one scenario stands for.
const SWEEP: &str = "reserve-sweep";
/// The seeds of its runs, unless others are asked for.
pub(super) const SWEEP_SEEDS: [u64; 3] = [1, 2, 3];

/// Of what to draw figures.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The folder of a run, or those of the three runs of max-vms in their order (nothing is run again); a scenario to run; or
    /// `max-vms` for its three runs; or `reserve-sweep`, which follows the parent OS over reserves of 0 to 4096 MB on hosts of 16 to 64 GB and
    /// takes minutes. Default: every figure of the source
    #[arg(value_name = "DIR|SCENARIO")]
    what: Vec<String>,
    /// The code page of counter files that are not UTF-8 or UTF-16, such as windows-1250 or 932, where it cannot be told from them
    #[arg(long, value_name = "NAME")]
    code_page: Option<CodePageName>,
    /// Seed of everything that is drawn at random, for scenarios
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Of a run's folder: the moment at which the picture of its components shows them, such as 19m5s. Default: in the midst of the growth
    /// that the picture of lanes shows
    #[arg(long, value_name = "TIME", value_parser = duration)]
    at: Option<Duration>,
    /// Of a run's folder: the VM whose growth is shown component by component. Default: the first growth that another VM gave memory for
    #[arg(long, value_name = "VM8")]
    vm: Option<String>,
    /// Folder for the figures of scenarios; default: the next free runs/NAME-001
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite the run in --out
    #[arg(long, requires = "out")]
    force: bool,
}

/// Draws them, and prints their names.
pub(crate) fn run(args: &Args) -> Result<()> {
    let what: Vec<&str> = args.what.iter().map(String::as_str).collect();
    let written = match what[..] {
        [] => everything(args)?,
        [MAX_VMS] => max_vms(args, &out(args, "max-vms-figures")?)?,
        [SWEEP] => reserve_sweep(args, &out(args, SWEEP)?)?,
        [folder] if Path::new(folder).join(COUNTERS_FILE).is_file() => {
            nothing_to_choose(args)?;
            let folder = Path::new(folder);
            let run = recorded(folder, args)?;
            let mut drawn = figures::draw(&run);
            drawn.extend(stills_of(folder, args, &run)?);
            checked(figures::write_all(folder, &drawn))?
        }
        [folder] if Path::new(folder).is_dir() => {
            return Err(bad_input(format!("{folder} is no folder of a run: it has no {COUNTERS_FILE}")));
        }
        [name] => of_scenario(args, name, |file| out(args, &file.name))?,
        [fixed, same, most] => {
            let read = |folder: &str| recorded(Path::new(folder), args);
            let (fixed, same, most) = (read(fixed)?, read(same)?, read(most)?);
            let drawn = figures::draw_starts([&fixed, &same, &most]);
            checked(figures::write_all(&out(args, "max-vms-figures")?, &drawn))?
        }
        _ => {
            return Err(bad_input(format!(
                "figures are drawn of one run, or of the three runs {}: {} were given",
                MAX_VMS_RUNS.join(", "),
                what.len()
            )));
        }
    };
    for path in written {
        say!("{}", path.display());
    }
    Ok(())
}

/// Reads the counters of a run, and tells what about them should be known.
fn recorded(folder: &Path, args: &Args) -> Result<Recorded> {
    let run = checked(Recorded::read_in(folder, args.code_page))?;
    for remark in &run.remarks {
        let option = match remark {
            Remark::CodePage(_) => ", or say which it is with --code-page",
            _ => "",
        };
        note!("note: {}: {remark}{option}", folder.join(COUNTERS_FILE).display());
    }
    Ok(run)
}

/// What is there needs no seed, and its figures belong to it.
fn nothing_to_choose(args: &Args) -> Result<()> {
    match (args.seed, &args.out) {
        (Some(_), _) => Err(bad_input("--seed is for scenarios that are to be run; this run is over")),
        (_, Some(_)) => Err(bad_input(
            "--out is for scenarios that are to be run; the figures of a run are drawn into its folder",
        )),
        (None, None) => Ok(()),
    }
}

/// Bytes of events that are read for the stills of a run unless these are asked for: more would fill the memory of a small computer. Invented.
const MOST_EVENTS: u64 = 256 << 20;

/// The stills of a run, if its events were recorded and a VM has grown.
fn stills_of(folder: &Path, args: &Args, run: &Recorded) -> Result<Vec<Drawn>> {
    let path = file_in(folder, EVENTS_FILE);
    let asked = args.at.is_some() || args.vm.is_some();
    if !path.is_file() {
        return if asked {
            Err(bad_input(format!(
                "there is no {}: its components at a moment cannot be drawn",
                path.display()
            )))
        } else {
            Ok(Vec::new())
        };
    }
    let end = run.points.last().map_or(Duration::ZERO, |point| point.time);
    if let Some(at) = args.at.filter(|at| *at > end) {
        let [at, end] = [at, end].map(quantities::format_duration);
        return Err(bad_input(format!("--at {at} is after the end of the run, {end}")));
    }
    let size = bytes_recorded(folder, EVENTS_FILE);
    if size > MOST_EVENTS && !asked {
        note!("no stills: {} MB of events; with --at or --vm they are drawn", size >> 20);
        return Ok(Vec::new());
    }
    let whole =
        events::read_whole(&path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    if let Some(error) = &whole.missing {
        note!("{}: {error}", path.display());
    }
    if let Some(vm) =
        args.vm.as_deref().filter(|vm| !run.vms.iter().any(|name| name.eq_ignore_ascii_case(vm)))
    {
        return Err(bad_input(format!("the run has no VM {vm:?}; there are {}", run.vms.join(", "))));
    }
    Ok(stills(run, &whole.records, args.at, args.vm.as_deref()))
}

/// The components at a moment, and a growth component by component.
pub(super) fn stills(
    run: &Recorded,
    records: &[Record],
    at: Option<Duration>,
    vm: Option<&str>,
) -> Vec<Drawn> {
    let causality = Causality::new(records);
    let growth = Growth::telling(&causality, records, vm);
    let at = at.or_else(|| growth.as_ref().map(Growth::moment));
    let chosen = vm.or(growth.as_ref().map(|growth| growth.vm)).unwrap_or("");
    let components = at.map(|at| (COMPONENTS, stills::components(run, records, at, chosen)));
    let lanes = growth.map(|growth| (LANES, stills::lanes(run, &causality, &growth)));
    components.into_iter().chain(lanes).collect()
}

fn everything(args: &Args) -> Result<Vec<PathBuf>> {
    let all = match &args.out {
        Some(out) => out.clone(),
        None => directory::create_next(Path::new(super::RUNS), "figures")?,
    };
    let below = |name: &str| -> Result<PathBuf> {
        let folder = all.join(name);
        directory::create(&folder, args.force).map_err(bad_input)?;
        Ok(folder)
    };
    let mut written = max_vms(args, &below(MAX_VMS)?)?;
    for name in OTHERS {
        written.extend(of_scenario(args, name, |_| below(name))?);
    }
    Ok(written)
}

fn max_vms(args: &Args, out: &Path) -> Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for name in MAX_VMS_RUNS {
        runs.push(record(name, args.seed)?);
    }
    let [fixed, same, most] = &runs[..] else { return Ok(Vec::new()) };
    checked(figures::write_all(out, &figures::draw_starts([fixed, same, most])))
}

fn reserve_sweep(args: &Args, out: &Path) -> Result<Vec<PathBuf>> {
    let seeds = args.seed.map_or_else(|| SWEEP_SEEDS.to_vec(), |seed| vec![seed]);
    note!("{} runs: this takes minutes", sweep::runs(seeds.len()));
    checked(figures::write_all(out, &[figures::draw_sweep(&run_sweep(&seeds)?)]))
}

/// Follows the parent OS over the range, on all processors.
pub(super) fn run_sweep(seeds: &[u64]) -> Result<Sweep> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    Ok(sweep::sweep(seeds, threads)?)
}

fn of_scenario(
    args: &Args,
    name: &str,
    out: impl FnOnce(&scenario::file::Scenario) -> Result<PathBuf>,
) -> Result<Vec<PathBuf>> {
    let file = super::plans::load(name, &LoadOptions::default())?;
    let plan = super::plans::plan(&file, &Choices { seed: args.seed, ..Choices::default() })?;
    let out = out(&file)?;
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        directory: Some(out.clone()),
        keep_points: true,
        ..RunOptions::default()
    };
    let outcome = run::run(plan.clone(), options)?;
    checked(figures::write_all(&out, &figures::draw(&Recorded::of(&plan, outcome.points.all()))))
}

/// Runs a scenario with everything recorded, into a folder that does not stay.
#[cfg(feature = "docs")]
pub(super) fn record_all(name: &str, seed: Option<u64>) -> Result<tempfile::TempDir> {
    let file = super::plans::load(name, &LoadOptions::default())?;
    let plan = super::plans::plan(&file, &Choices { seed, ..Choices::default() })?;
    let folder = tempfile::tempdir()?;
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::All,
        directory: Some(folder.path().to_owned()),
        ..RunOptions::default()
    };
    run::run(plan, options)?;
    Ok(folder)
}

/// Runs a scenario and leaves nothing behind.
pub(super) fn record(name: &str, seed: Option<u64>) -> Result<Recorded> {
    let file = super::plans::load(name, &LoadOptions::default())?;
    let plan = super::plans::plan(&file, &Choices { seed, ..Choices::default() })?;
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        keep_points: true,
        ..RunOptions::default()
    };
    let outcome = run::run(plan.clone(), options)?;
    Ok(Recorded::of(&plan, outcome.points.all()))
}

fn out(args: &Args, name: &str) -> Result<PathBuf> {
    Ok(match &args.out {
        Some(out) => {
            directory::create(out, args.force).map_err(bad_input)?;
            out.clone()
        }
        None => directory::create_next(Path::new(super::RUNS), name)?,
    })
}

fn checked<T>(result: Result<T, FiguresError>) -> Result<T> {
    match result {
        Err(error @ FiguresError::File { .. }) => Err(error.into()),
        Err(error) => Err(bad_input(error)),
        Ok(result) => Ok(result),
    }
}
