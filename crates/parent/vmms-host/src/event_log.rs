//! Hyper-V's event log: the wording of what fails. Ids and texts are those that published logs of Hyper-V hosts quote
//! (documented; no log of a host of 2008 R2 SP1 was compared); the reason in brackets behind a protocol error is this project's.

use std::collections::VecDeque;
use std::time::Duration;

use dm_vsp::PROTOCOL_ERROR_EVENT;
use page_range::PageCount;

use crate::constants::EVENT_LOG_ENTRIES;

/// An entry of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Event id.
    pub id: u32,
    /// The log that it is in.
    pub log: &'static str,
    /// Its text.
    pub text: String,
}

/// The newest entries, `event_log.entries` of them at most: a host runs for years.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    entries: VecDeque<(Duration, LogEntry)>,
    left_out: u64,
}

impl EventLog {
    /// Adds an entry that was made at `now`; the oldest makes room.
    pub fn push(&mut self, now: Duration, entry: LogEntry) {
        if self.entries.len() as u64 >= EVENT_LOG_ENTRIES.whole() {
            self.entries.pop_front();
            self.left_out += 1;
        }
        self.entries.push_back((now, entry));
    }

    /// The entries with their times, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &(Duration, LogEntry)> {
        self.entries.iter()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many older entries have made room.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

/// A stable id in the form of a GUID: the virtual machine ID that Hyper-V names. Derived from the name, so that two runs agree.
#[must_use]
pub fn virtual_machine_id(name: &str) -> String {
    let (a, b) = (component_runtime::random::stable_hash(name.as_bytes()), {
        let mut again = name.as_bytes().to_vec();
        again.push(0);
        component_runtime::random::stable_hash(&again)
    });
    format!(
        "{:08X}-{:04X}-4{:03X}-{:04X}-{:012X}",
        a >> 32,
        a >> 16 & 0xffff,
        a & 0xfff,
        0x8000 | b >> 48 & 0x3fff,
        b & 0xffff_ffff_ffff
    )
}

/// 3122: not enough memory for the VM's startup RAM.
#[must_use]
pub fn not_enough_memory(vm: &str, startup: PageCount) -> LogEntry {
    LogEntry {
        id: 3122,
        log: "Hyper-V-Worker",
        text: format!(
            "Not enough memory in the system to start the virtual machine {vm} with ram size {} megabytes. \
             (Virtual machine ID {})",
            startup.whole_mib(),
            virtual_machine_id(vm)
        ),
    }
}

/// 3050: the VM's memory could not be initialised.
#[must_use]
pub fn could_not_initialize_memory(vm: &str) -> LogEntry {
    LogEntry {
        id: 3050,
        log: "Hyper-V-Worker",
        text: format!(
            "'{vm}' could not initialize memory: Not enough memory resources are available to complete this operation. \
             (0x8007000E)."
        ),
    }
}

/// 19544: what the VM required, and what there was.
#[must_use]
pub fn required_and_available(vm: &str, required: PageCount, available: PageCount) -> LogEntry {
    LogEntry {
        id: 19544,
        log: "VMMS-Admin",
        text: format!(
            "Failed to start the virtual machine '{vm}' which required {} MB of memory because only {} MB was available in \
             the system (Virtual machine ID {})",
            required.whole_mib(),
            available.whole_mib(),
            virtual_machine_id(vm)
        ),
    }
}

/// 12540: the guest broke a protocol of one of the VM's devices; `rule` is which of its rules.
#[must_use]
pub fn protocol_error(vm: &str, device: &str, rule: &dyn core::fmt::Display) -> LogEntry {
    LogEntry {
        id: PROTOCOL_ERROR_EVENT,
        log: "Worker-Admin",
        text: format!(
            "'{vm}' device {device} experienced a protocol error indicative of a deep system problem. ({rule})"
        ),
    }
}

/// 12030: the VM failed to start.
#[must_use]
pub fn failed_to_start(vm: &str) -> LogEntry {
    LogEntry {
        id: 12030,
        log: "Worker-Admin",
        text: format!("'{vm}' failed to start. (Virtual machine ID {})", virtual_machine_id(vm)),
    }
}

/// 12030, and why: as many VMs run as the host allows. Hyper-V's own words for that are not known; those after the ID are this
/// project's.
#[must_use]
pub fn too_many_running(vm: &str, running: usize) -> LogEntry {
    let LogEntry { id, log, text } = failed_to_start(vm);
    let why = "the most that this release and edition of the host support";
    LogEntry { id, log, text: format!("{text} {running} virtual machines run, {why}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_entries_are_kept() {
        let mut log = EventLog::default();
        let most = EVENT_LOG_ENTRIES.whole();
        for second in 0..most + 5 {
            log.push(Duration::from_secs(second), failed_to_start("VM8"));
        }
        assert_eq!((log.len() as u64, log.left_out(), log.is_empty()), (most, 5, false));
        let times: Vec<u64> = log.iter().map(|(time, _)| time.as_secs()).collect();
        assert_eq!(times, (5..most + 5).collect::<Vec<_>>());
    }

    #[test]
    fn the_wording_is_hyper_vs() {
        let id = virtual_machine_id("VM8");
        assert_eq!(id.len(), 36);
        assert_eq!(
            not_enough_memory("VM8", PageCount::from_mib(4096)).text,
            format!(
                "Not enough memory in the system to start the virtual machine VM8 with ram size 4096 megabytes. \
                 (Virtual machine ID {id})"
            )
        );
        assert_eq!(
            required_and_available("VM8", PageCount::from_mib(4104), PageCount::from_mib(2696)).text,
            format!(
                "Failed to start the virtual machine 'VM8' which required 4104 MB of memory because only 2696 MB was \
                 available in the system (Virtual machine ID {id})"
            )
        );
        assert_eq!(failed_to_start("VM8").text, format!("'VM8' failed to start. (Virtual machine ID {id})"));
        assert_ne!(virtual_machine_id("VM1"), id);
        let violation = dm_vsp::Violation::EmptyRange;
        let entry = protocol_error("VM8", "Microsoft Hyper-V Dynamic Memory", &violation);
        assert_eq!((entry.id, entry.log), (12540, "Worker-Admin"));
        assert_eq!(entry.text, violation.event_text("VM8", "Microsoft Hyper-V Dynamic Memory"));
    }
}
