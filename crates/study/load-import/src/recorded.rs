//! Traces: this project's own format, and those of the Grid Workloads Archive.

use guest_memory_manager::trace::{Gaps, ReadOptions, Trace};

use crate::error::ImportError;
use crate::input::Input;
use crate::kind::Kind;
use crate::options::Options;
use crate::part::{Part, Sample, VmPart};

/// The files of the archive and our own write what a hypervisor saw in use.
const FROM: &str = "the trace's memory in use";
/// Gaps are named when all files are put together.
const OPTIONS: ReadOptions = ReadOptions { gaps: Gaps::Fill };

/// Whether a file is a trace; or what speaks against it.
pub(crate) fn is(input: &Input, options: &Options) -> Result<(), String> {
    let mut lines = input.lines(options.code_page);
    while let Ok(Some(line)) = lines.next_line() {
        if line.trim().is_empty() {
            continue;
        }
        let own = "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct";
        let columns = ["mem_used_kb", "Memory usage [KB]"];
        return if columns.iter().any(|column| line.contains(column)) {
            Ok(())
        } else {
            Err(format!(
                "its first line has neither the columns {own} nor Timestamp, Memory capacity provisioned [KB] and Memory usage [KB]"
            ))
        };
    }
    Err("the file is empty".to_owned())
}

/// Reads a file, or a folder of files.
pub(crate) fn read(input: &Input) -> Result<Part, ImportError> {
    let read = match &input.path {
        Some(path) if input.folder => Trace::read_folder(path, OPTIONS),
        _ => Trace::read(&input.bytes[..], &input.name, &input.stem(), OPTIONS),
    };
    let trace = read.map_err(|errors| ImportError::Bad {
        file: input.name.clone(),
        line: None,
        what: errors.to_string(),
    })?;
    let mut part = Part::new(&input.name, Kind::Trace);
    part.remarks.extend(trace.remarks().sentences());
    for (name, recording) in trace.vms() {
        let samples = recording.samples().iter().map(|sample| Sample {
            at: i64::try_from(sample.time.as_millis()).unwrap_or(i64::MAX),
            demand: sample.used,
            assigned: None,
        });
        part.vms.push(VmPart {
            name: name.to_owned(),
            maximum: Some(recording.provisioned()),
            samples: samples.collect(),
            demand_from: Some(FROM),
            ..VmPart::default()
        });
    }
    Ok(part)
}
