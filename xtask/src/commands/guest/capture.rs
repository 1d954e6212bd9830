//! What crossed between a real guest and the host, for Wireshark.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result};
use trace_export::{Run, pcapng};

use crate::commands::bad_input;
use crate::output::{note, say};

/// Says before the guest is started what would keep the capture from being written after the guest has ended.
pub(super) fn can_be_written(file: &Path) -> Result<()> {
    if file.exists() {
        return Err(bad_input(format!("--capture: {} exists; choose another name", file.display())));
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(bad_input(format!("--capture: there is no folder {}", folder.display())));
    }
    Ok(())
}

/// Writes what was recorded in a folder.
pub(super) fn write(record: &Path, file: &Path) -> Result<()> {
    let run = Run::open(record)?;
    // Read before the file is made: where nothing crossed there is no capture.
    let frames = run.frames().context("there is no capture")?;
    let out = File::create_new(file).with_context(|| format!("cannot make {}", file.display()))?;
    pcapng::write_frames(&run, &frames, BufWriter::new(out))?;
    for remark in run.remarks() {
        note!("{remark}");
    }
    say!("Capture: {} ({} messages and packets)", file.display(), frames.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;
    use std::time::Duration;

    use scenario::file::{self, LoadOptions};
    use scenario::run::{self, Choices, RunOptions};
    use vmms_host::bus::RecordedFrame;

    use super::*;

    /// An empty folder.
    fn stand(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        let _old = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A real guest leaves events and a journal, and neither counters nor a manifest; the host's half of the bus, which writes the
    /// journal, is the same for simulated guests.
    #[test]
    fn a_journal_alone_is_enough_and_wireshark_reads_it() {
        let folder = stand("capture");
        let (whole, record) = (folder.join("whole"), folder.join("record"));
        fs::create_dir_all(&whole).unwrap();
        fs::create_dir_all(&record).unwrap();
        let scenario = file::find("multi-vm", &LoadOptions::default()).unwrap();
        let choices = Choices { until: Some(Duration::from_secs(60)), ..Choices::default() };
        let plan = run::build::plan_alone(&scenario, &choices).unwrap();
        let options = RunOptions { directory: Some(whole.clone()), ..RunOptions::default() };
        run::run(plan, options).unwrap();
        fs::copy(whole.join(run_journal::JOURNAL_FILE), record.join(run_journal::JOURNAL_FILE)).unwrap();

        let file = folder.join("guest.pcapng");
        can_be_written(&file).unwrap();
        write(&record, &file).unwrap();
        assert!(can_be_written(&file).unwrap_err().to_string().contains("exists; choose another name"));
        assert!(
            can_be_written(&folder.join("nowhere/x")).unwrap_err().to_string().contains("there is no folder")
        );
        // The same bytes as of the whole run.
        let mut same = Vec::new();
        pcapng::write(&Run::open(&whole).unwrap(), &mut same).unwrap();
        assert!(fs::read(&file).unwrap() == same);

        let script =
            crate::commands::tools::workspace_root().join("crates/study/trace-export/wireshark/vmbus.lua");
        let tshark = Command::new("tshark")
            .env("HOME", &folder)
            .args(["-X", &format!("lua_script:{}", script.display()), "-r"])
            .arg(&file)
            .args(["-T", "fields", "-e", "vmbus.msgtype", "-Y", "vmbus.msgtype == 14"])
            .output();
        match tshark {
            Ok(output) => {
                let seen = String::from_utf8(output.stdout).unwrap();
                let frames = Run::open(&record).unwrap().frames().unwrap();
                let contacts = frames.iter().filter(|crossed| match &crossed.frame {
                    RecordedFrame::Message { bytes, .. } => bytes.0.starts_with(&14_u32.to_le_bytes()),
                    _ => false,
                });
                let contacts = contacts.count();
                assert!(
                    contacts > 0 && seen.lines().count() == contacts,
                    "{contacts} guests make contact: {seen}"
                );
            }
            Err(error) => note!("notice: not tested with Wireshark, tshark cannot be run: {error}"),
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn where_nothing_was_recorded_there_is_no_capture() {
        let folder = stand("capture-nothing");
        let file = folder.join("x.pcapng");
        assert!(format!("{:#}", write(&folder, &file).unwrap_err()).starts_with("there is no capture: "));
        assert!(!file.exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
