//! What the driver of a real guest says to the DM VSP, byte for byte: a small file that tests of the simulated guest are held against.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use dm_protocol::{MessageType, Packet};
use dm_vsp::Input;
use run_journal::{JOURNAL_FILE, journal};
use tempfile::TempDir;
use vmms_host::RecordedVspInput;

/// The file: lines that begin with `#` say where it is from; each other line is a message's type and its bytes in hexadecimal.
pub const MESSAGES_FILE: &str = "driver-messages.txt";

/// The file ends with this many status reports.
const REPORTS: usize = 5;

/// The journal of one host, which has every packet of its guests.
pub(super) struct Journal(TempDir);

impl Journal {
    /// A place for it.
    pub(super) fn begin() -> Result<Self> {
        Ok(Self(tempfile::tempdir().context("no temporary folder")?))
    }

    /// Where the host is to record.
    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Writes what the driver of VM1 said, from its first message to some reports, when the host has ended.
    pub(super) fn write_messages(&self, kernel: &str, directory: &Path) -> Result<()> {
        let journal = journal::Reader::open(&self.folder().join(JOURNAL_FILE))?;
        let text = messages(journal, kernel)?;
        std::fs::write(directory.join(MESSAGES_FILE), text).context("cannot write the driver's messages")
    }
}

fn messages(
    journal: impl Iterator<Item = Result<journal::Entry, journal::JournalError>>,
    kernel: &str,
) -> Result<String> {
    let mut text = String::from(
        "# What the DM driver of an unmodified kernel said to its host: one line for each message, type and bytes.\n",
    );
    writeln!(text, "# {}", terminal_text::escape(kernel))?;
    let mut reports = 0;
    for entry in journal {
        let journal::Entry::Input(input) = entry? else { continue };
        if &*input.machine != "dm-vsp/VM1" {
            continue;
        }
        let RecordedVspInput::Input(Input::Packet(bytes)) = input.decode()? else { continue };
        let message_type = Packet::decode(&bytes).map(|packet| packet.message.message_type());
        let name =
            message_type.map_or_else(|error| error.to_string(), |message_type| message_type.to_string());
        write!(text, "{name} ")?;
        for byte in &bytes {
            write!(text, "{byte:02x}")?;
        }
        text.push('\n');
        reports += usize::from(message_type == Ok(MessageType::STATUS_REPORT));
        if reports == REPORTS {
            break;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use component_runtime::{MachineRecorder as _, SimTime};
    use run_journal::{EventsLevel, Recorder};

    use super::*;

    #[test]
    fn what_the_driver_said_is_written_up_to_the_fifth_report() {
        let (file, contents) = run_journal::buffer();
        let recorder = Recorder::to_writers(None, Some(file), EventsLevel::All).unwrap();
        let said = |machine: &str, bytes: &[u8]| {
            let input = RecordedVspInput::Input(Input::Packet(bytes.to_vec()));
            recorder.input(machine, SimTime(0), &input);
        };
        said("dm-vsp/VM1", &[1, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]);
        said("dm-vsp/VM2", &[9, 0, 8, 0, 7, 0, 0, 0]);
        let mut report = [0; 48];
        (report[0], report[2]) = (5, 48);
        for _ in 0..2 * REPORTS {
            said("dm-vsp/VM1", &report);
        }
        recorder.finish().unwrap();
        let bytes = contents.contents();
        let text = messages(journal::Reader::new(&bytes[..]).unwrap(), "Linux version \u{1b}[2J6.1").unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "# Linux version \\u001b[2J6.1");
        assert_eq!(lines[2], "VERSION_REQUEST 01001000010000000000020000000000");
        assert!(
            lines[3].starts_with("STATUS_REPORT 0500300000") && lines[3].len() == 14 + 96,
            "{}",
            lines[3]
        );
        assert_eq!(lines.len(), 3 + REPORTS);
    }
}
