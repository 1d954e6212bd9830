//! `cargo xtask sweep run`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use policy_comparison::points::Measurer;
use run_analysis::verify::points::Verifier;
use sweep::explore::Explorer;
use sweep::{Hash, Kind, Plan, Runner, Told};

use super::super::{bad_input, compare, results};
use super::{Which, refused};
use crate::output::{note, tell};

/// Which points to run.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// A point by its hash, or a point as points.json has it. Can be given several times. Default: all points
    #[arg(long, value_name = "HASH", conflicts_with_all = ["range", "task", "entry"])]
    point: Vec<String>,
    /// The points from A up to, but without, B, by their places in points.json, from 0
    #[arg(long, value_name = "A..B", value_parser = range, conflicts_with_all = ["task", "entry"])]
    range: Option<Range<usize>>,
    /// The points of the task of this place in --tasks, from 0
    #[arg(long, value_name = "N", requires = "tasks", conflicts_with = "entry")]
    task: Option<usize>,
    /// The file of tasks of a submission
    #[arg(long, value_name = "FILE", requires = "task")]
    tasks: Option<PathBuf>,
    /// One element of a file of tasks, or of points.json, as HyperQueue hands it over in HQ_ENTRY
    #[arg(long, value_name = "JSON")]
    entry: Option<String>,
    /// Threads to run on; default: one for each processor. The rows are the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

fn range(text: &str) -> Result<Range<usize>, String> {
    let place = |text: &str| text.trim().parse::<usize>().ok();
    let (from, to) = text.split_once("..").ok_or("write it as A..B, such as 0..100")?;
    match (place(from), place(to)) {
        (Some(from), Some(to)) if from < to => Ok(from..to),
        (Some(_), Some(_)) => Err("it has no point: A must be less than B".to_owned()),
        _ => Err("write it as A..B with two whole numbers, such as 0..100".to_owned()),
    }
}

/// Runs points. Exit code 1 if one of them has no row in the end.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let (plan, rows) = args.which.read()?;
    plan.check_version().map_err(refused)?;
    let places = places(args, &plan)?;
    let threads = args.threads.map_or_else(results::processors, usize::from);
    let runner: Arc<dyn Runner> = match plan.kind() {
        Kind::Compare => Arc::new(Measurer::new(threads)),
        Kind::Verify => Arc::new(Verifier),
        Kind::Explore => Arc::new(Explorer),
        #[cfg(feature = "sizing")]
        Kind::Size => Arc::new(host_sizing::points::Sizer::default()),
        #[cfg(not(feature = "sizing"))]
        Kind::Size => return Err(super::without_sizing()),
    };
    compare::quiet_panics();
    let show = std::io::stderr().is_terminal();
    let bar = results::progress_bar(show, compare::PROGRESS);
    let done = sweep::run(&plan, &rows, &places, threads, &runner, &mut |told| match told {
        Told::Begin { all, already } => {
            bar.set_length(all as u64);
            bar.set_position(already as u64);
        }
        Told::Again(point, path, why) => {
            bar.suspend(|| note!("{}: {why}; the point {point} is run again", path.display()));
        }
        Told::Row(_) => bar.inc(1),
        Told::Failed(point, why) => {
            bar.inc(1);
            bar.suspend(|| note!("failed: {point}: {why}"));
        }
    });
    bar.finish_and_clear();
    let done = done.map_err(refused)?;
    tell!(
        "{} of {} points have their row: {} had it, {} ran in {:.1} core seconds, {} failed",
        done.already + done.ran,
        places.len(),
        done.already,
        done.ran,
        done.seconds,
        done.failed
    );
    if let Some(why) = &done.ended {
        note!("error: {why}; what was not run can be run again by the same command");
        // A point that does not end has a thread that never ends; the process must.
        std::process::exit(1);
    }
    Ok(if done.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The places of the points that are asked for.
fn places(args: &Args, plan: &Plan) -> Result<Vec<usize>> {
    let all = plan.points().len();
    if let Some(range) = &args.range {
        if range.end > all {
            return Err(bad_input(format!(
                "--range {}..{}: the plan has {all} points",
                range.start, range.end
            )));
        }
        return Ok(range.clone().collect());
    }
    let wanted = if let (Some(task), Some(file)) = (args.task, &args.tasks) {
        task_of(file, task)?
    } else if let Some(entry) = &args.entry {
        entry_points("--entry", entry)?
    } else if args.point.is_empty() {
        return Ok((0..all).collect());
    } else {
        let points = args.point.iter().map(|point| match point.parse() {
            Ok(hash) => Ok(vec![hash]),
            Err(_) if point.trim_start().starts_with(['{', '[', '"']) => entry_points("--point", point),
            Err(error) => Err(bad_input(format!("--point: {error}"))),
        });
        points.collect::<Result<Vec<_>>>()?.concat()
    };
    let places: BTreeMap<&Hash, usize> =
        plan.points().iter().enumerate().map(|(place, point)| (&point.point, place)).collect();
    let place = |hash: &Hash| {
        places.get(hash).copied().ok_or_else(|| {
            bad_input(format!("{hash} is no point of the plan in {}", plan.folder().display()))
        })
    };
    wanted.iter().map(place).collect()
}

/// Bytes of a file of tasks. Invented; a million points are 35 MB.
const MOST_BYTES: u64 = 1 << 30;

fn task_of(file: &Path, task: usize) -> Result<Vec<Hash>> {
    let unreadable = |why: String| bad_input(format!("{} cannot be read: {why}", file.display()));
    let text = input_file::read(file, MOST_BYTES).map_err(|error| unreadable(error.to_string()))?;
    let mut tasks: Vec<Vec<Hash>> =
        serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if task >= tasks.len() {
        let all = tasks.len();
        return Err(bad_input(format!("--task {task}: {} has {all} tasks, from 0", file.display())));
    }
    Ok(tasks.swap_remove(task))
}

/// The points that a JSON text names: a hash, a point, or an array of either.
fn entry_points(option: &str, text: &str) -> Result<Vec<Hash>> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Entry {
        Hash(Hash),
        Point { point: Hash },
        Several(Vec<Self>),
    }
    fn hashes(entry: Entry, into: &mut Vec<Hash>) {
        match entry {
            Entry::Hash(point) | Entry::Point { point } => into.push(point),
            Entry::Several(entries) => entries.into_iter().for_each(|entry| hashes(entry, into)),
        }
    }
    let entry: Entry = serde_json::from_str(text).map_err(|_| {
        let shown: String = text.chars().take(60).collect();
        bad_input(format!("{option} {shown:?} names no points: it must be a point's hash, a point, or an array of these, as JSON"))
    })?;
    let mut points = Vec::new();
    hashes(entry, &mut points);
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_entries_are_read() {
        assert_eq!(range("0..10"), Ok(0..10));
        for wrong in ["", "3", "3..", "..3", "3..3", "5..3", "a..b", "-1..3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
        let hash = Hash::of(b"");
        for text in [
            format!("\"{hash}\""),
            format!("[\"{hash}\"]"),
            format!("{{\"point\":\"{hash}\",\"seed\":1}}"),
            format!("[{{\"point\":\"{hash}\"}}]"),
        ] {
            assert_eq!(entry_points("--entry", &text).unwrap(), std::slice::from_ref(&hash), "{text}");
        }
        assert!(entry_points("--entry", "[]").unwrap().is_empty());
        for wrong in ["", "7", "\"abc\"", "{}", "[[", "null"] {
            assert!(entry_points("--entry", wrong).is_err(), "{wrong}");
        }
    }
}
