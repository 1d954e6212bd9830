//! Runs with less than everything: what can be shown is, and what is missing is said.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use trace_export::{ExportError, Run, chrome, openmetrics, pcapng, perfetto, table};

use crate::fixture;

/// A copy of the run without some of its files.
fn copy(without: &[&str]) -> TempDir {
    let recorded = fixture::run();
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(recorded.folder()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !without.contains(&&*name) {
            fs::copy(entry.path(), folder.path().join(name)).unwrap();
        }
    }
    folder
}

/// Every format: its name, whether it could be written, and what was said.
fn every_format(folder: &Path) -> Vec<(&'static str, Result<usize, ExportError>, String)> {
    type Write = fn(&Run, &mut Vec<u8>) -> Result<(), ExportError>;
    let formats: [(&str, Write); 5] = [
        ("perfetto", |run, out| perfetto::write(run, out)),
        ("chrome", |run, out| chrome::write(run, out)),
        ("pcapng", |run, out| pcapng::write(run, out)),
        ("openmetrics", |run, out| openmetrics::write(run, out)),
        ("csv", |run, out| {
            for (_, table) in table::tables(run)? {
                table.write_csv(&mut *out)?;
            }
            Ok(())
        }),
    ];
    let written = formats.into_iter().map(|(name, write)| {
        let run = Run::open(folder).unwrap();
        let mut out = Vec::new();
        let done = write(&run, &mut out).map(|()| out.len());
        (name, done, run.remarks().join("\n"))
    });
    written.collect()
}

#[test]
fn without_events_there_are_counters_and_frames() {
    let folder = copy(&["events.jsonl"]);
    for (format, written, said) in every_format(folder.path()) {
        assert!(written.unwrap() > 1000, "{format}");
        let shows_events = ["perfetto", "chrome", "csv"].contains(&format);
        assert_eq!(
            said.contains("left out: ") && said.contains("events.jsonl"),
            shows_events,
            "{format}: {said}"
        );
    }
}

#[test]
fn with_decisions_only_there_are_no_frames_and_that_is_said() {
    let folder = copy(&["journal.bin"]);
    for (format, written, said) in every_format(folder.path()) {
        if format == "pcapng" {
            let error = written.unwrap_err().to_string();
            assert!(error.contains("journal.bin") && error.contains("--events all"), "{error}");
        } else {
            assert!(written.unwrap() > 1000, "{format}");
            assert_eq!(said.contains("journal.bin"), format == "csv", "{format}: {said}");
        }
    }
}

#[test]
fn of_files_that_are_cut_off_what_is_whole_is_exported() {
    let folder = copy(&["summary.json"]);
    let whole = every_format(folder.path());
    for name in ["events.jsonl", "journal.bin", "counters.csv"] {
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        // Within an entry, as it happens.
        fs::write(&path, &bytes[..bytes.len() / 4 * 3]).unwrap();
    }
    for ((format, written, said), (_, before, _)) in every_format(folder.path()).into_iter().zip(whole) {
        let (written, before) = (written.unwrap(), before.unwrap());
        assert!(written < before && written > before / 2, "{format}: {written} of {before}");
        assert!(
            ["cut off", "ends within", "incomplete"].iter().any(|word| said.contains(word)),
            "{format}: {said}"
        );
    }
}

#[test]
fn a_newer_format_is_said_and_the_rest_is_exported() {
    let folder = copy(&[]);
    fs::write(folder.path().join("manifest.json"), "{\"format\": 77, \"what\": []}").unwrap();
    let journal = folder.path().join("journal.bin");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[8..12].copy_from_slice(&99_u32.to_le_bytes());
    fs::write(&journal, bytes).unwrap();
    for (format, written, said) in every_format(folder.path()) {
        if format == "pcapng" {
            let error = written.unwrap_err().to_string();
            assert!(error.contains("format version 99"), "{error}");
            continue;
        }
        assert!(written.unwrap() > 1000, "{format}");
        assert_eq!(said.contains("format version 99"), format == "csv", "{format}: {said}");
        // Where times are those of the calendar it matters.
        if format == "openmetrics" {
            assert!(said.contains("the manifest has format 77") && said.contains("time 0"), "{said}");
        }
    }
}

#[test]
fn a_folder_with_nothing_of_a_run_is_no_run() {
    let folder = tempfile::tempdir().unwrap();
    for (format, written, _) in every_format(folder.path()) {
        let error = written.unwrap_err().to_string();
        assert!(error.contains("this is not the folder of a run"), "{format}: {error}");
    }
}
