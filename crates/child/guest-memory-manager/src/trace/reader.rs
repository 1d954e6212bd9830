//! Reading trace files.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use input_file::TextLines;
use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::error::Problems;
use super::{Sample, Trace, TraceError, TraceErrors, TraceProblem, TraceRemarks, VmName, VmTrace, row};
use crate::constants::TRACE_GAP;

/// What to do about rows that are missing, that come twice, or in which a VM is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gaps {
    /// Such rows are an error.
    #[default]
    Refuse,
    /// The straight line between the rows around a gap is taken. Of rows with one time the first is; rows in which a VM is off
    /// are left out, and so are VMs that are never on. [`TraceRemarks`] say how many.
    Fill,
}

/// How strictly to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What to do about missing rows.
    pub gaps: Gaps,
}

/// Bytes that are read of a trace file: a hundred times a month of GWA-T-12. Invented.
const MOST_BYTES: u64 = 1 << 34;
/// How deep folders are looked into: a trace's, its months', and one more. Invented.
const DEEPEST_FOLDER: usize = 3;

impl Trace {
    /// Read a trace file of any format. A file of the archive has one VM, which gets the file's name without its ending.
    ///
    /// # Errors
    /// What is wrong with the file, and where.
    pub fn read_file(path: &Path, options: ReadOptions) -> Result<Self, TraceErrors> {
        Reading::of(std::slice::from_ref(&path.to_owned()), options).finish()
    }

    /// Read every file of a folder and its folders with the ending `csv` as one trace: the VMs of GWA-T-12, or its months. Rows of
    /// one VM in several files are joined in the order of the files' first times; a VM of the archive has its file's name.
    ///
    /// # Errors
    /// What is wrong with which files, and where.
    pub fn read_folder(path: &Path, options: ReadOptions) -> Result<Self, TraceErrors> {
        let mut files = Vec::new();
        let found = find_files(path, DEEPEST_FOLDER, &mut files);
        if let Some(problem) = match found {
            Err(error) => Some(TraceProblem::Unreadable(error)),
            Ok(()) => files.is_empty().then_some(TraceProblem::NoFiles),
        } {
            let mut problems = Problems::default();
            problems.add(0, false, at(&path.display().to_string(), None, None, problem));
            return Err(problems.into_errors(1));
        }
        Reading::of(&files, options).finish()
    }

    /// Read a trace of any format. `file` is its name for errors, `vm` the name of the VM if the format is the archive's.
    /// Times are counted from the earliest row.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(input: impl Read, file: &str, vm: &str, options: ReadOptions) -> Result<Self, TraceErrors> {
        let mut reading = Reading::new(options, false);
        reading.file(file, vm, Ok(input));
        reading.finish()
    }
}

/// The files of a folder with the ending `csv`, in order; hidden files and links to folders are passed over.
fn find_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    // Folders have no order of their own.
    let mut entries = folder.read_dir()?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                find_files(&path, depth - 1, files)?;
            }
        } else if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
            files.push(path);
        }
    }
    Ok(())
}

/// A row and where it stands.
#[derive(Debug)]
struct Row {
    sample: Sample,
    file: u32,
    line: u32,
}

/// A trace while its files are read.
#[derive(Debug)]
struct Reading {
    options: ReadOptions,
    several: bool,
    files: Vec<File>,
    /// Rows by the name of their VM, as it is written.
    vms: BTreeMap<String, Vec<Row>>,
    problems: Problems,
    remarks: TraceRemarks,
}

#[derive(Debug)]
struct File {
    name: String,
    time_column: Option<&'static str>,
    /// Whether rows of it could not be read: what is missing among the others says nothing.
    broken: bool,
}

impl Reading {
    fn new(options: ReadOptions, several: bool) -> Self {
        Self {
            options,
            several,
            files: Vec::new(),
            vms: BTreeMap::new(),
            problems: Problems::default(),
            remarks: TraceRemarks::default(),
        }
    }

    fn of(files: &[PathBuf], options: ReadOptions) -> Self {
        let mut reading = Self::new(options, files.len() > 1);
        for path in files {
            let vm = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            reading.file(&path.display().to_string(), &vm, input_file::open(path, MOST_BYTES));
        }
        reading
    }

    /// Notes what is wrong with the file that is being read.
    fn broken(&mut self, line: Option<u64>, (column, problem): row::RowError) {
        let number = self.files.len().saturating_sub(1);
        if let Some(file) = self.files.last_mut() {
            file.broken = true;
            self.problems.add(number, self.several, at(&file.name, line, column, problem));
        }
    }

    fn file(&mut self, name: &str, vm: &str, input: io::Result<impl Read>) {
        let number = self.files.len() as u32;
        self.files.push(File { name: name.to_owned(), time_column: None, broken: false });
        let mut lines = match input {
            Ok(input) => TextLines::new(input),
            Err(error) => return self.broken(None, (None, TraceProblem::Unreadable(error))),
        };
        let mut columns: Option<Columns> = None;
        let mut form = None;
        let mut rows = 0_u64;
        loop {
            let line = match lines.next_line() {
                Ok(Some(_)) => lines.line(),
                Ok(None) => break,
                Err(error) => {
                    let line = Some(error.line());
                    self.broken(line, (None, TraceProblem::Unreadable(error.into())));
                    break;
                }
            };
            if line.trim().is_empty() {
                continue;
            }
            let Some(columns) = &columns else {
                columns = Columns::of_header(line);
                let Some(found) = &columns else {
                    let found = line.chars().take(120).collect();
                    return self.broken(Some(lines.number()), (None, TraceProblem::Header { found }));
                };
                if let Some(file) = self.files.last_mut() {
                    file.time_column = Some(found.time.1);
                }
                continue;
            };
            rows += 1;
            match row::read(line, columns, vm, &mut form) {
                Ok((vm, sample)) => {
                    let line = u32::try_from(lines.number()).unwrap_or(u32::MAX);
                    let row = Row { sample, file: number, line };
                    match self.vms.get_mut(&*vm) {
                        Some(rows) => rows.push(row),
                        None => {
                            self.vms.insert(vm.into_owned(), vec![row]);
                        }
                    }
                }
                Err(error) => self.broken(Some(lines.number()), error),
            }
        }
        if let Some(page) = lines.code_page() {
            self.remarks.code_page.get_or_insert_with(|| (name.to_owned(), page));
        }
        let may_be_empty = self.several && self.options.gaps == Gaps::Fill;
        if rows == 0 && may_be_empty {
            self.remarks.never_on += 1;
        } else if rows == 0 {
            self.broken(None, (None, TraceProblem::Empty));
        }
    }

    fn finish(mut self) -> Result<Trace, TraceErrors> {
        let mut trace = Trace::default();
        let vms = core::mem::take(&mut self.vms);
        // In the order of their names as names of VMs.
        let vms: BTreeMap<_, _> = vms.into_iter().map(|(name, rows)| (VmName::new(&name), rows)).collect();
        for (name, rows) in vms {
            if let Some(recording) = self.join(&name, rows) {
                trace.vms.insert(name, recording.into());
            } else {
                self.remarks.never_on += 1;
            }
        }
        if trace.is_empty() && self.problems.is_empty() {
            let name = self.files.first().map_or("", |file| &*file.name);
            self.problems.add(0, self.several, at(name, None, None, TraceProblem::NeverOn));
        }
        if !self.problems.is_empty() {
            return Err(self.problems.into_errors(self.files.len()));
        }
        trace.remarks = self.remarks;
        trace.start_at_zero();
        Ok(trace)
    }

    /// The recording of one VM from its rows in the order of reading.
    fn join(&mut self, name: &VmName, mut rows: Vec<Row>) -> Option<VmTrace> {
        let mut starts: BTreeMap<u32, Duration> = BTreeMap::new();
        for row in &rows {
            starts.entry(row.file).or_insert(row.sample.time);
        }
        if starts.len() > 1 {
            // Stable: rows of one file keep their order.
            rows.sort_by_key(|row| (starts.get(&row.file).copied(), row.file));
            self.remarks.joined += 1;
        }
        let fill = self.options.gaps == Gaps::Fill;
        let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
        for row in rows {
            let (time, before) = (row.sample.time, kept.last().map(|before| before.sample.time));
            if before == Some(time) {
                if fill {
                    self.remarks.twice += 1;
                } else {
                    let (vm, time) = (name.1.clone(), time.as_secs_f64());
                    self.complain(&row, TraceProblem::Twice { vm, time });
                }
            } else if let Some(before) = before.filter(|before| *before > time) {
                let (vm, time, before) = (name.1.clone(), time.as_secs_f64(), before.as_secs_f64());
                self.complain(&row, TraceProblem::Unsorted { vm, time, before });
            } else {
                kept.push(row);
            }
        }
        self.find_gaps(name, &kept);
        let mut samples = Vec::with_capacity(kept.len());
        for row in &kept {
            if !row.sample.provisioned.is_zero() {
                samples.push(row.sample);
            } else if fill {
                self.remarks.off += 1;
            } else {
                self.complain(row, TraceProblem::Off { vm: name.1.clone() });
            }
        }
        VmTrace::new(samples)
    }

    /// The gaps between a VM's rows, measured by the median of its intervals (of two, the shorter). A row that is wrong otherwise
    /// leaves no gap.
    fn find_gaps(&mut self, name: &VmName, rows: &[Row]) {
        let files: BTreeSet<u32> = rows.iter().map(|row| row.file).collect();
        if files.iter().any(|file| self.files.get(*file as usize).is_none_or(|file| file.broken)) {
            return;
        }
        let step = |pair: &[Row]| pair[1].sample.time.saturating_sub(pair[0].sample.time);
        let mut intervals: Vec<Duration> = rows.windows(2).map(step).collect();
        intervals.sort();
        let Some(&interval) = intervals.get(intervals.len().saturating_sub(1) / 2) else { return };
        let longest = interval.mul_f64(TRACE_GAP.value);
        for pair in rows.windows(2) {
            let step = step(pair);
            if step <= longest {
                continue;
            }
            if self.options.gaps == Gaps::Fill {
                self.remarks.gaps.0 += 1;
                self.remarks.gaps.1 = self.remarks.gaps.1.max(step);
            } else {
                let seconds = |row: &Row| row.sample.time.as_secs_f64();
                let (before, time, interval) = (seconds(&pair[0]), seconds(&pair[1]), interval.as_secs_f64());
                self.complain(&pair[1], TraceProblem::Gap { vm: name.1.clone(), time, before, interval });
            }
        }
    }

    /// Notes what is wrong with a row that could be read.
    fn complain(&mut self, row: &Row, problem: TraceProblem) {
        let Some(file) = self.files.get(row.file as usize) else { return };
        let column = match problem {
            TraceProblem::Off { .. } => None,
            _ => file.time_column,
        };
        let error = at(&file.name, Some(row.line.into()), column, problem);
        self.problems.add(row.file as usize, self.several, error);
    }
}

fn at(file: &str, line: Option<u64>, column: Option<&'static str>, problem: TraceProblem) -> TraceError {
    TraceError { file: file.to_owned(), line, column, problem }
}
