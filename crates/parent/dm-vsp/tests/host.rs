//! The VSP against a scripted guest.

mod grow;
mod handshake;
mod hostile;
mod properties;
mod saved;
mod shrink;

use dm_protocol::test_support::vectors;
use dm_protocol::{BalloonResponse, HotAddResponse, Message, Packet, WireRange};
use dm_vsp::test_support::PlainMap;
use dm_vsp::*;
use page_range::{GuestPage, GuestRange, PageCount};
use std::time::Duration;

/// A VSP, the memory map behind it, and the time.
#[derive(Clone)]
struct Host {
    vsp: DmVsp,
    map: PlainMap,
    now: Duration,
    /// Answers of the map are held back here instead of being given at once.
    held_back: Option<Vec<Input>>,
}

/// 64 MiB of boot RAM, room up to 4 GiB, frames for 1 GiB more; versions 0.3 and 2.0, no quiet period.
fn config() -> VspConfig {
    let layout = GuestLayout::flat(mib(64), mib(4096)).unwrap();
    VspConfig::new(layout).with(|c| {
        c.versions = vec![ProtocolVersion::V0_3, ProtocolVersion::V2_0];
        c.quiet_period = Duration::ZERO;
    })
}

fn host(config: VspConfig) -> Host {
    let map = PlainMap::new(&config.layout, mib(1024));
    let vsp = DmVsp::new(config).unwrap();
    Host { vsp, map, now: Duration::ZERO, held_back: None }
}

/// The handshake of a Windows guest is done (granule 2 MiB).
fn ready() -> Host {
    ready_with(config(), 1)
}

fn ready_with(config: VspConfig, alignment: u32) -> Host {
    let mut host = host(config);
    host.handshake(alignment);
    assert!(host.vsp.is_ready());
    host
}

impl Host {
    /// All outputs, those that follow from the map's answers included; but not the maps and releases themselves.
    fn input(&mut self, input: Input) -> Vec<Output> {
        let mut all = Vec::new();
        let mut inputs = vec![input];
        while !inputs.is_empty() {
            let mut out = Vec::new();
            self.vsp.handle(self.now, inputs.remove(0), &mut out);
            for output in out {
                match (self.map.carry_out(&output), &mut self.held_back) {
                    (Some(answer), Some(held_back)) => held_back.push(answer),
                    (Some(answer), None) => inputs.push(answer),
                    (None, _) => all.push(output),
                }
            }
            if self.held_back.is_none() && inputs.is_empty() {
                let pages = self.vsp.pages();
                let mapped = pages.mapped_ranges();
                assert_eq!(mapped, self.map.mapped);
            }
        }
        all
    }

    fn vector(&mut self, name: &str) -> Vec<Output> {
        self.input(Input::Packet(vectors::bytes(name).to_vec()))
    }

    fn message(&mut self, message: Message<'_>) -> Vec<Output> {
        let mut buffer = [0; 4096];
        let bytes = Packet { trans_id: 77, message }.encode(&mut buffer).unwrap();
        self.input(Input::Packet(bytes.to_vec()))
    }

    fn handshake(&mut self, alignment: u32) {
        self.input(Input::ChannelOpened);
        self.vector("DM1");
        let capabilities = dm_protocol::Capabilities::new(true, true, alignment);
        self.message(Message::CapabilitiesReport(dm_protocol::CapabilitiesReport {
            capabilities,
            min_page_count: 0,
            max_page_number: u64::MAX,
        }));
    }

    fn gives(&mut self, more_pages: bool, ranges: &[(u64, u64)]) -> Vec<Output> {
        let ranges: Vec<_> = ranges.iter().map(|&(start, count)| wire(start, count)).collect();
        self.message(Message::BalloonResponse(BalloonResponse { more_pages, ranges: &ranges }))
    }

    fn took(&mut self) -> Vec<Output> {
        self.message(Message::UnballoonResponse)
    }

    fn added(&mut self, page_count: u64, result: u32) -> Vec<Output> {
        let page_count = page_count as u32;
        self.message(Message::HotAddResponse(HotAddResponse { page_count, result }))
    }

    fn grow(&mut self, pages: PageCount) -> Vec<Output> {
        self.input(Input::Grow { pages })
    }

    fn shrink(&mut self, pages: PageCount) -> Vec<Output> {
        self.input(Input::Shrink { pages })
    }

    fn wait(&mut self, time: Duration) -> Vec<Output> {
        self.now += time;
        self.input(Input::Timer)
    }

    /// Shrinks by these pages.
    fn balloon(&mut self, ranges: &[(u64, u64)]) {
        self.shrink(PageCount(ranges.iter().map(|range| range.1).sum()));
        let out = self.gives(false, ranges);
        assert!(matches!(finished(&out), Some((_, Outcome::Complete))), "{out:?}");
    }
}

/// What was done and how it ended, if an operation is finished.
fn finished(outputs: &[Output]) -> Option<(PageCount, Outcome)> {
    outputs.iter().find_map(|output| match output {
        Output::Finished { done, outcome, .. } => Some((*done, *outcome)),
        _ => None,
    })
}

fn sent(outputs: &[Output]) -> Vec<Packet<'_>> {
    let bytes = outputs.iter().filter_map(|output| match output {
        Output::Send { bytes, .. } => Some(Packet::decode(bytes).unwrap()),
        _ => None,
    });
    bytes.collect()
}

fn violation(outputs: &[Output]) -> Option<&Violation> {
    let found = outputs.iter().find_map(|output| match output {
        Output::ProtocolError { violation } => Some(violation),
        _ => None,
    });
    assert_eq!(found.is_some(), outputs.contains(&Output::CloseChannel), "{outputs:?}");
    found
}

fn wire(start: u64, count: u64) -> WireRange {
    WireRange::new(start, count).unwrap()
}

fn range(start: u64, count: u64) -> GuestRange {
    GuestRange::new(GuestPage(start), PageCount(count)).unwrap()
}

fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
