//! The driver against a scripted host.

mod handshake;
mod properties;
mod requests;

use dm_protocol::test_support::vectors;
use dm_protocol::{Message, Packet, WireRange};
use dm_vsc::test_support::PlainMemory;
use dm_vsc::{DmVsc, DriverVersion, Input, Output, VscConfig};
use page_range::{GuestPage, GuestRange, PageCount};
use std::time::Duration;

/// A driver, its memory, and what it did.
struct Guest {
    vsc: DmVsc,
    memory: PlainMemory,
    now: Duration,
}

/// 64 MiB, a quarter of it in use.
fn guest(config: VscConfig) -> Guest {
    let memory = PlainMemory::new(PageCount::from_mib(64), PageCount::from_mib(16));
    Guest { vsc: DmVsc::new(config), memory, now: Duration::ZERO }
}

/// The same, with the handshake done.
fn running(config: VscConfig) -> Guest {
    let mut guest = guest(config);
    guest.input(Input::ChannelOpened);
    guest.vector("DM2");
    assert!(guest.vector("DM4").contains(&Output::Running { version: DriverVersion::V2_0 }));
    guest
}

/// A Windows guest that takes no time and reports no status.
fn quick() -> VscConfig {
    use dm_vsc::{Faults, OperationTime};
    VscConfig::windows(DriverVersion::V2_0).with(|c| {
        c.balloon_time = OperationTime::NONE;
        c.unballoon_time = OperationTime::NONE;
        c.hot_add_time = OperationTime::NONE;
        c.faults = Faults::default().with(|c| c.no_status = true);
    })
}

impl Guest {
    /// What the driver does, but for the words that announce each status report.
    fn input(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.vsc.handle(self.now, input, &mut self.memory, &mut out);
        out.retain(|output| !matches!(output, Output::Reported { .. }));
        out
    }

    fn vector(&mut self, name: &str) -> Vec<Output> {
        self.input(Input::Packet(vectors::bytes(name).to_vec()))
    }

    fn message(&mut self, message: Message<'_>) -> Vec<Output> {
        let mut buffer = [0; 4096];
        let bytes = Packet { trans_id: 9, message }.encode(&mut buffer).unwrap();
        self.input(Input::Packet(bytes.to_vec()))
    }

    /// Up to and including `to`, one deadline after the other.
    fn run_until(&mut self, to: Duration) -> Vec<(Duration, Output)> {
        let mut all = Vec::new();
        while let Some(at) = self.vsc.next_timeout().filter(|&at| at <= to) {
            assert!(at > self.now, "time goes on");
            self.now = at;
            all.extend(self.input(Input::Timer).into_iter().map(|output| (at, output)));
        }
        self.now = to;
        all
    }
}

fn sent(output: &Output) -> Option<Packet<'_>> {
    match output {
        Output::Send { bytes, .. } => Some(Packet::decode(bytes).unwrap()),
        _ => None,
    }
}

fn messages(outputs: &[Output]) -> Vec<Message<'_>> {
    outputs.iter().filter_map(sent).map(|packet| packet.message).collect()
}

fn wire(start: u64, count: u64) -> WireRange {
    WireRange::new(start, count).unwrap()
}

fn range(start: u64, count: u64) -> GuestRange {
    GuestRange::new(GuestPage(start), PageCount(count)).unwrap()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
