//! Reading trace files.

use core::time::Duration;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use page_range::{PAGE_SIZE, PageCount};
use serde::{Deserialize, Serialize};

use super::{MOST_PROBLEMS, Sample, Trace, TraceError, TraceProblem, VmName, VmTrace};
use crate::constants::TRACE_GAP;

/// What to do about missing rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gaps {
    /// They are an error.
    #[default]
    Refuse,
    /// The straight line between the rows around them is taken.
    Fill,
}

/// How strictly to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What to do about missing rows.
    pub gaps: Gaps,
}

const KILOBYTES_PER_PAGE: f64 = (PAGE_SIZE / 1024) as f64;
const OWN_HEADER: [&str; 5] = ["vm", "t", "mem_provisioned_kb", "mem_used_kb", "cpu_pct"];
const RAW_TIME: &str = "Timestamp [ms]";
const RAW_CPU: &str = "CPU usage [%]";
const RAW_PROVISIONED: &str = "Memory capacity provisioned [KB]";
const RAW_USED: &str = "Memory usage [KB]";

/// Where the four numbers of a row are, and what the columns are called.
struct Columns {
    separator: char,
    count: usize,
    vm: Option<usize>,
    time: (usize, &'static str),
    /// Whether the time column says it is in milliseconds.
    milliseconds: bool,
    provisioned: (usize, &'static str),
    used: (usize, &'static str),
    cpu: (usize, &'static str),
}

impl Columns {
    fn of_header(header: &str) -> Option<Self> {
        let header = header.trim_start_matches('\u{feff}').trim();
        if header.split(',').map(str::trim).eq(OWN_HEADER) {
            let [_, time, provisioned, used, cpu] = OWN_HEADER;
            return Some(Self {
                separator: ',',
                count: OWN_HEADER.len(),
                vm: Some(0),
                time: (1, time),
                milliseconds: false,
                provisioned: (2, provisioned),
                used: (3, used),
                cpu: (4, cpu),
            });
        }
        // Some copies of the archive write tabs around the separators.
        let names: Vec<&str> = header.split(';').map(str::trim).collect();
        let find = |name: &'static str| Some((names.iter().position(|found| *found == name)?, name));
        Some(Self {
            separator: ';',
            count: names.len(),
            vm: None,
            time: find(RAW_TIME)?,
            milliseconds: true,
            provisioned: find(RAW_PROVISIONED)?,
            used: find(RAW_USED)?,
            cpu: find(RAW_CPU)?,
        })
    }
}

/// Times of the archive's raw files are called milliseconds and are seconds since 1970. A first number in this range is
/// taken for that: as milliseconds it would be a day between 1970 and 1973, as seconds it is one after 1973.
const EPOCH_SECONDS: core::ops::Range<f64> = 1e8..1e11;

/// Rows of one VM as they are read.
#[derive(Debug, Default)]
struct Rows {
    samples: Vec<Sample>,
    lines: Vec<u64>,
}

impl Trace {
    /// Read a trace file of either format. A file of the raw format has one VM, which gets the file's name without its
    /// ending.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub fn read_file(path: &Path, options: ReadOptions) -> Result<Self, TraceError> {
        let mut trace = Self::open(path, options)?;
        trace.start_at_zero();
        Ok(trace)
    }

    /// Read every file of a folder with the ending `csv`, such as one folder of GWA-T-12, as one trace.
    ///
    /// # Errors
    /// What is wrong with which file, and where.
    pub fn read_folder(path: &Path, options: ReadOptions) -> Result<Self, TraceError> {
        let unreadable = |error| whole(&path.display().to_string(), TraceProblem::Unreadable(error));
        let mut files = Vec::new();
        for entry in path.read_dir().map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
                files.push(file);
            }
        }
        // Folders have no order of their own.
        files.sort();
        let mut trace = Self::default();
        for file in files {
            trace.vms.extend(Self::open(&file, options)?.vms);
        }
        trace.start_at_zero();
        if trace.is_empty() {
            Err(whole(&path.display().to_string(), TraceProblem::Empty))
        } else {
            Ok(trace)
        }
    }

    /// Read a trace of either format. `file` is its name for errors, `vm` the name of the VM if the format is the raw one.
    /// Times are counted from the earliest row.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(input: impl BufRead, file: &str, vm: &str, options: ReadOptions) -> Result<Self, TraceError> {
        let mut trace = Self::read_as_written(input, file, vm, options)?;
        trace.start_at_zero();
        Ok(trace)
    }

    /// A file, its times as they are written.
    fn open(path: &Path, options: ReadOptions) -> Result<Self, TraceError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| whole(&name, TraceProblem::Unreadable(error)))?;
        let vm = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Self::read_as_written(BufReader::new(file), &name, &vm, options)
    }

    fn read_as_written(
        input: impl BufRead,
        file: &str,
        vm: &str,
        options: ReadOptions,
    ) -> Result<Self, TraceError> {
        let mut lines = (1_u64..).zip(input.lines());
        let header = match lines.next() {
            Some((_, line)) => line.map_err(|error| at(file, 1, None, TraceProblem::Unreadable(error)))?,
            None => return Err(whole(file, TraceProblem::Empty)),
        };
        let columns = Columns::of_header(&header).ok_or_else(|| {
            let found = header.chars().take(120).collect();
            at(file, 1, None, TraceProblem::Header { found })
        })?;

        let mut vms: BTreeMap<VmName, Rows> = BTreeMap::new();
        let mut unit = None;
        let mut errors = Vec::new();
        for (number, line) in lines {
            if errors.len() >= MOST_PROBLEMS {
                break;
            }
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    errors.push(at(file, number, None, TraceProblem::Unreadable(error)));
                    break;
                }
            };
            if line.trim().is_empty() {
                continue;
            }
            let (name, sample) = match row(&line, &columns, vm, &mut unit) {
                Ok(row) => row,
                Err((column, problem)) => {
                    errors.push(at(file, number, column, problem));
                    continue;
                }
            };
            let rows = vms.entry(VmName::new(name)).or_default();
            if let Some(before) = rows.samples.last()
                && before.time >= sample.time
            {
                let (time, before) = (sample.time.as_secs_f64(), before.time.as_secs_f64());
                let problem = TraceProblem::Unsorted { vm: name.to_owned(), time, before };
                errors.push(at(file, number, Some(columns.time.1), problem));
                continue;
            }
            rows.samples.push(sample);
            rows.lines.push(number);
        }
        if options.gaps == Gaps::Refuse && errors.is_empty() {
            let mut gaps: Vec<_> = vms.iter().flat_map(|(name, rows)| find_gaps(name, rows)).collect();
            gaps.sort_by_key(|(line, _)| *line);
            let gaps = gaps.into_iter().take(MOST_PROBLEMS);
            errors.extend(gaps.map(|(line, problem)| at(file, line, Some(columns.time.1), problem)));
        }
        if !errors.is_empty() {
            let mut first = errors.remove(0);
            first.also = errors.into();
            return Err(first);
        }
        let recordings = vms.into_iter().filter_map(|(name, rows)| Some((name, VmTrace::new(rows.samples)?)));
        let trace = Self { vms: recordings.map(|(name, vm)| (name, vm.into())).collect() };
        if trace.is_empty() { Err(whole(file, TraceProblem::Empty)) } else { Ok(trace) }
    }

    /// Count times from the earliest row of all.
    fn start_at_zero(&mut self) {
        let first = self.vms.values().filter_map(|vm| vm.samples().first()).map(|sample| sample.time).min();
        let Some(first) = first.filter(|first| !first.is_zero()) else { return };
        for vm in self.vms.values_mut() {
            for sample in &mut Arc::make_mut(vm).samples {
                sample.time -= first;
            }
        }
    }
}

fn whole(file: &str, problem: TraceProblem) -> TraceError {
    TraceError { file: file.to_owned(), line: None, column: None, problem, also: Box::default() }
}

fn at(file: &str, line: u64, column: Option<&'static str>, problem: TraceProblem) -> TraceError {
    TraceError { file: file.to_owned(), line: Some(line), column, problem, also: Box::default() }
}

type RowError = (Option<&'static str>, TraceProblem);

/// One row: name of its VM, and the sample.
fn row<'a>(
    line: &'a str,
    columns: &Columns,
    file_vm: &'a str,
    unit: &mut Option<f64>,
) -> Result<(&'a str, Sample), RowError> {
    let fields: Vec<&str> = line.split(columns.separator).map(str::trim).collect();
    if fields.len() != columns.count {
        let problem = TraceProblem::Columns { found: fields.len(), expected: columns.count };
        return Err((None, problem));
    }
    let name = columns.vm.map_or(file_vm, |column| fields[column]);
    if name.is_empty() {
        return Err((Some(OWN_HEADER[0]), TraceProblem::NoVm));
    }
    let number = |(column, name): (usize, &'static str), expected, allowed: fn(f64) -> bool| {
        let text = fields[column];
        match text.parse::<f64>() {
            Ok(number) if allowed(number) => Ok(number),
            _ => Err((Some(name), TraceProblem::Number { found: text.to_owned(), expected })),
        }
    };
    // Up to 2^40 seconds and 2^50 KB: no real trace comes near, and the sums of the model stay exact.
    let seconds = |n: f64| (0.0..1_099_511_627_776_000.0).contains(&n);
    let kilobytes = |n: f64| (0.0..1_125_899_906_842_624.0).contains(&n);
    let time = number(columns.time, "a time: a number from 0", seconds)?;
    let milliseconds = columns.milliseconds && !EPOCH_SECONDS.contains(&time);
    let time = time * *unit.get_or_insert(if milliseconds { 0.001 } else { 1.0 });
    let provisioned = number(columns.provisioned, "a size: a number from 0, in KB", kilobytes)?;
    let used = number(columns.used, "a size: a number from 0, in KB", kilobytes)?;
    let cpu = number(columns.cpu, "a percentage: a number from 0", |n| (0.0..1e9).contains(&n))?;
    if provisioned == 0.0 {
        return Err((Some(columns.provisioned.1), TraceProblem::NothingProvisioned));
    }
    let pages = |kilobytes: f64| PageCount((kilobytes / KILOBYTES_PER_PAGE) as u64);
    let sample = Sample {
        time: Duration::try_from_secs_f64(time).unwrap_or(Duration::MAX),
        provisioned: pages(provisioned),
        used: pages(used),
        cpu,
    };
    Ok((name, sample))
}

/// The gaps between a VM's rows, measured by the median of its intervals (of two, the shorter).
fn find_gaps(name: &VmName, rows: &Rows) -> Vec<(u64, TraceProblem)> {
    let mut intervals: Vec<f64> =
        rows.samples.windows(2).map(|pair| (pair[1].time - pair[0].time).as_secs_f64()).collect();
    intervals.sort_by(f64::total_cmp);
    let Some(&interval) = intervals.get(intervals.len().saturating_sub(1) / 2) else { return Vec::new() };
    let gap = |(pair, &line): (&[Sample], &u64)| {
        let (before, time) = (pair[0].time.as_secs_f64(), pair[1].time.as_secs_f64());
        let problem = TraceProblem::Gap { vm: name.1.clone(), time, before, interval };
        (time - before > interval * TRACE_GAP.value).then_some((line, problem))
    };
    rows.samples.windows(2).zip(rows.lines.iter().skip(1)).filter_map(gap).take(MOST_PROBLEMS).collect()
}
