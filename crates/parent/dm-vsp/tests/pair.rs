//! Host and guest joined: every message crosses as bytes, under virtual time.

mod faults;
mod flows;
mod properties;

use dm_vsc::test_support::PlainMemory;
use dm_vsc::{DmVsc, DriverVersion, VscConfig};
use dm_vsp::test_support::PlainMap;
use dm_vsp::*;
use page_range::{GuestPage, PageCount, RangeSet};
use std::collections::VecDeque;
use std::time::Duration;

const LATENCY: Duration = Duration::from_micros(10);

/// A VSP with its memory map, a VSC with its memory, and the packets between them.
struct Pair {
    vsp: DmVsp,
    map: PlainMap,
    vsc: DmVsc,
    memory: PlainMemory,
    now: Duration,
    to_guest: VecDeque<(Duration, Vec<u8>)>,
    to_host: VecDeque<(Duration, Vec<u8>)>,
    /// What the map will have answered, and when.
    from_map: VecDeque<(Duration, Input)>,
    /// How long the host takes to map or release.
    host_time: Duration,
    /// What the VSP had to say, without messages, maps and releases.
    events: Vec<(Duration, Output)>,
    /// Whether the channel was closed since the guest started, or the guest sent what is not true.
    diverged: bool,
    frames: PageCount,
}

/// 1 GiB of boot RAM, 256 MiB of it in use, up to 4 GiB; versions as a host of 2016; no quiet period.
fn host_config() -> VspConfig {
    VspConfig::new(GuestLayout::flat(mib(1024), mib(4096)).unwrap()).with(|c| {
        c.versions = vec![ProtocolVersion::V0_3, ProtocolVersion::V1_0, ProtocolVersion::V2_0];
        c.quiet_period = Duration::ZERO;
        c.maximum = Some(mib(4096));
    })
}

impl Pair {
    fn new(host: VspConfig, guest: VscConfig) -> Self {
        let map = PlainMap::new(&host.layout, mib(8192));
        let frames = map.frames + map.mapped.pages();
        let memory = Self::memory(&host, &guest);
        Self {
            vsp: DmVsp::new(host).unwrap(),
            map,
            vsc: DmVsc::new(guest),
            memory,
            now: Duration::ZERO,
            to_guest: VecDeque::new(),
            to_host: VecDeque::new(),
            from_map: VecDeque::new(),
            host_time: Duration::ZERO,
            events: Vec::new(),
            diverged: false,
            frames,
        }
    }

    fn memory(host: &VspConfig, guest: &VscConfig) -> PlainMemory {
        let mut memory = PlainMemory::new(host.layout.boot.pages(), mib(256));
        memory.granule = mib(1 << guest.hot_add_alignment);
        memory
    }

    /// With the handshake done.
    fn opened(host: VspConfig, guest: VscConfig) -> Self {
        let mut pair = Self::new(host, guest);
        pair.open();
        pair.run_for(Duration::from_millis(1));
        pair.events.clear();
        pair
    }

    fn windows() -> Self {
        Self::opened(host_config(), VscConfig::windows(DriverVersion::V2_0))
    }

    fn linux() -> Self {
        Self::opened(host_config(), VscConfig::linux())
    }

    fn host(&mut self, input: Input) {
        let mut out = Vec::new();
        self.vsp.handle(self.now, input, &mut out);
        for output in out {
            if let Some(answer) = self.map.carry_out(&output) {
                self.from_map.push_back((self.now + self.host_time, answer));
                continue;
            }
            match output {
                Output::Send { bytes, .. } => self.to_guest.push_back((self.now + LATENCY, bytes)),
                Output::CloseChannel => {
                    self.events.push((self.now, Output::CloseChannel));
                    self.close();
                }
                event => self.events.push((self.now, event)),
            }
        }
        self.check();
    }

    fn guest(&mut self, input: dm_vsc::Input) {
        let mut out = Vec::new();
        self.vsc.handle(self.now, input, &mut self.memory, &mut out);
        for output in out {
            match output {
                dm_vsc::Output::Send { bytes, .. } => self.to_host.push_back((self.now + LATENCY, bytes)),
                dm_vsc::Output::CloseChannel => self.close(),
                _ => {}
            }
        }
        self.check();
    }

    /// What must hold after every step.
    fn check(&self) {
        // The guest may use what it has not given away, and what it uses must be mapped.
        let used = self.memory.present.difference(&self.memory.ballooned);
        assert!(self.map.mapped.contains_all(&used), "the guest uses what is not mapped");
        assert_eq!(self.map.frames + self.map.mapped.pages(), self.frames, "frames are lost or made up");
        assert_eq!(self.memory.freed_wrongly, PageCount::ZERO);
        if self.is_quiet() {
            let pages = self.vsp.pages();
            let mapped = pages.mapped_ranges();
            assert_eq!(mapped, self.map.mapped);
            let away = pages.ballooned().union(pages.stranded());
            assert!(self.vsc.ballooned().contains_all(&away), "the guest has pages that the host took");
            if !self.diverged {
                assert_eq!(away, *self.vsc.ballooned(), "both know the same pages to be given away");
                assert_eq!(*pages.ram(), self.memory.present, "both know the same memory");
            }
        }
    }

    /// Nothing is under way.
    fn is_quiet(&self) -> bool {
        self.to_guest.is_empty()
            && self.to_host.is_empty()
            && self.from_map.is_empty()
            && !self.vsp.is_busy()
            && !self.vsc.is_busy()
    }

    fn open(&mut self) {
        self.host(Input::ChannelOpened);
        self.guest(dm_vsc::Input::ChannelOpened);
    }

    fn close(&mut self) {
        self.diverged = true;
        self.to_guest.clear();
        self.to_host.clear();
        self.guest(dm_vsc::Input::ChannelClosed);
        self.host(Input::ChannelClosed);
    }

    /// The guest reboots.
    fn reset(&mut self, guest: VscConfig) {
        self.to_guest.clear();
        self.to_host.clear();
        self.from_map.clear();
        let host = self.vsp.config().clone();
        self.map.reset(&host.layout);
        self.memory = Self::memory(&host, &guest);
        self.vsc = DmVsc::new(guest);
        self.diverged = false;
        self.host(Input::Reset);
        self.open();
    }

    /// Everything that happens up to and including `to`, in order of time.
    fn run_until(&mut self, to: Duration) {
        for _ in 0..1_000_000 {
            let front = |queue: &VecDeque<(Duration, Vec<u8>)>| queue.front().map(|packet| packet.0);
            let map = self.from_map.front().map(|answer| answer.0);
            let times = [
                map,
                front(&self.to_host),
                front(&self.to_guest),
                self.vsp.next_timeout(),
                self.vsc.next_timeout(),
            ];
            let next = times.iter().enumerate().filter_map(|(who, at)| at.map(|at| (at, who))).min();
            let Some((at, who)) = next.filter(|&(at, _)| at <= to) else {
                self.now = to;
                return;
            };
            assert!(at >= self.now, "time went back");
            self.now = at;
            match who {
                0 => {
                    let (_, answer) = self.from_map.pop_front().unwrap();
                    self.host(answer);
                }
                1 => {
                    let (_, bytes) = self.to_host.pop_front().unwrap();
                    self.host(Input::Packet(bytes));
                }
                2 => {
                    let (_, bytes) = self.to_guest.pop_front().unwrap();
                    self.guest(dm_vsc::Input::Packet(bytes));
                }
                3 => self.host(Input::Timer),
                _ => self.guest(dm_vsc::Input::Timer),
            }
        }
        panic!("no end of it at {:?}", self.now);
    }

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    fn grow(&mut self, pages: PageCount) {
        self.host(Input::Grow { pages });
    }

    fn shrink(&mut self, pages: PageCount) {
        self.host(Input::Shrink { pages });
    }

    fn ask(&mut self, grow: bool, pages: PageCount) {
        self.host(if grow { Input::Grow { pages } } else { Input::Shrink { pages } });
    }

    /// When the last operation was over, how much was done, and how it ended. Forgets it.
    fn finished(&mut self) -> Option<(Duration, PageCount, Outcome)> {
        let found = self.events.iter().find_map(|(at, event)| match event {
            Output::Finished { done, outcome, .. } => Some((*at, *done, *outcome)),
            _ => None,
        });
        self.events.clear();
        found
    }

    fn last_status(&self) -> Option<(StatusReport, PageCount)> {
        self.events.iter().rev().find_map(|(_, event)| match event {
            Output::Status { reported, demand, .. } => Some((*reported, *demand)),
            _ => None,
        })
    }

    fn given_away(&self) -> &RangeSet<GuestPage> {
        self.vsp.pages().ballooned()
    }
}

fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
