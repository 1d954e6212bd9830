//! For tests and fuzzing: a memory manager that is only an account of pages, and what must hold for any host.

use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::test_support::vectors;
use dm_protocol::{
    BalloonRequest, CapabilitiesResponse, HotAddRequest, MAX_HOST_PAYLOAD, Message, Packet, UnballoonRequest,
    VersionResponse, WireRange,
};
use page_range::{GuestPage, GuestRange, PageBalance, PageCount, PageCounter, PageNumber, RangeSet};

use crate::{
    BalloonAllocation, DmVsc, DriverVersion, HotAddRefusal, Input, MemoryServices, Output, StatusSnapshot,
    UnballoonCheck, VscConfig,
};

/// A guest's memory: pages, of which some are in use and some are with the balloon driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainMemory {
    /// Boot RAM and what was added.
    pub present: RangeSet<GuestPage>,
    /// With the balloon driver.
    pub ballooned: RangeSet<GuestPage>,
    /// In use, and so never given to the driver.
    pub in_use: PageCount,
    /// The guest takes no more memory than this.
    pub limit: PageCount,
    /// Hot-added memory must begin at, and be, a multiple of this.
    pub granule: PageCount,
    /// Pages that the driver freed without having got them.
    pub freed_wrongly: PageCount,
    /// The regions that Linux' driver remembers, if the driver is Linux'.
    pub linux_regions: Option<LinuxRegions>,
    /// Memory cannot be added for now.
    pub add_fails: bool,
}

/// Linux' list of regions in which memory was hot-added, or was to be (documented: `hv_balloon`'s `ha_region_list`). A request
/// that names its region makes a record, which stays whether or not memory could be added. What can be added from a page on is
/// limited by the oldest record that has the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinuxRegions(Vec<GuestRange>);

impl LinuxRegions {
    /// A request for `range` in `region`: what of it the driver tries to add.
    pub fn cut(&mut self, range: GuestRange, region: GuestRange) -> Option<GuestRange> {
        self.0.push(region);
        let first = range.start().number();
        let record = self.0.iter().find(|record| (record.start().number()..record.end()).contains(&first))?;
        GuestRange::between(first, range.end().min(record.end()))
    }
}

impl PlainMemory {
    /// Memory from page 0, some of it in use.
    #[must_use]
    pub fn new(pages: PageCount, in_use: PageCount) -> Self {
        Self {
            present: GuestRange::new(GuestPage(0), pages).into_iter().collect(),
            ballooned: RangeSet::new(),
            in_use,
            limit: PageCount::MAX,
            granule: PageCount(1),
            freed_wrongly: PageCount::ZERO,
            linux_regions: None,
            add_fails: false,
        }
    }

    fn available(&self) -> PageCount {
        self.present.pages().saturating_sub(self.ballooned.pages()).saturating_sub(self.in_use)
    }
}

impl MemoryServices for PlainMemory {
    fn status(&self) -> StatusSnapshot {
        StatusSnapshot {
            total: self.present.pages().saturating_sub(self.ballooned.pages()),
            available: self.available(),
            committed: self.in_use,
            zero_free: self.available(),
            page_file_size: PageCount(77),
            page_file_writes: PageCounter::at(99),
            io_balance: PageBalance::of(11, 22),
            ..StatusSnapshot::default()
        }
    }

    fn allocate_balloon(&mut self, most: PageCount) -> BalloonAllocation {
        let free = self.present.difference(&self.ballooned).take_highest(most.min(self.available()));
        self.ballooned.extend(&free);
        BalloonAllocation { ranges: free.runs().collect(), delay: Duration::ZERO }
    }

    fn free_balloon(&mut self, ranges: &[GuestRange]) -> PageCount {
        let mut freed = PageCount::ZERO;
        for &range in ranges {
            let own = self.ballooned.remove(range);
            freed += own;
            self.freed_wrongly = self.freed_wrongly.saturating_add(range.pages() - own);
        }
        freed
    }

    fn hot_add(&mut self, range: GuestRange, region: Option<GuestRange>) -> Result<PageCount, HotAddRefusal> {
        let range = match &mut self.linux_regions {
            Some(regions) => regions.cut(range, region.unwrap_or(range)).ok_or(HotAddRefusal::ForNow)?,
            None => range,
        };
        if self.add_fails {
            return Err(HotAddRefusal::ForNow);
        }
        let aligned = |number: u64| number.is_multiple_of(self.granule.get());
        if !aligned(range.start().0) || !aligned(range.pages().get()) || self.present.intersects(range) {
            return Err(HotAddRefusal::ForNow);
        }
        let room = self.limit.saturating_sub(self.present.pages()).min(range.pages());
        let part = GuestRange::new(range.start(), room).ok_or(HotAddRefusal::ForGood)?;
        self.present.insert(part);
        Ok(part.pages())
    }
}

/// What a host got a driver to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Handshakes done.
    pub handshakes: u32,
    /// Times that the driver gave up.
    pub ended: u32,
    /// Pages given away.
    pub given: PageCount,
    /// Pages taken back.
    pub taken_back: PageCount,
    /// Pages that the host named and that the driver left alone.
    pub left_alone: PageCount,
    /// Pages added.
    pub added: PageCount,
}

/// A driver against a host that says and does anything: `bytes` are what it does. The driver must not panic, must hold no
/// page that the memory manager has not given it, must never free one that it does not hold, and must send only messages
/// that decode.
///
/// Returns what was reached, so that a test can tell whether its inputs got anywhere.
///
/// # Panics
/// If the driver does otherwise: that is a bug of this crate.
pub fn fuzz_host(bytes: &[u8]) -> Reached {
    let mut bytes = Bytes(bytes.iter());
    let mut config = match bytes.next().unwrap_or_default() % 2 {
        0 => VscConfig::windows(DriverVersion::V2_0),
        _ => VscConfig { unballoon_check: UnballoonCheck::OwnPagesOnly, ..VscConfig::linux() },
    };
    config.hot_add_alignment = 0;
    let mut vsc = DmVsc::new(config);
    let mut memory = PlainMemory::new(PageCount::from_mib(64), PageCount::from_mib(16));
    memory.limit = PageCount::from_mib(128);
    let (mut now, mut out, mut reached) = (Duration::ZERO, Vec::new(), Reached::default());
    while let Some(action) = bytes.next() {
        let input = match action % 32 {
            0 => Input::ChannelOpened,
            1 if action > 128 => Input::ChannelClosed,
            2..7 => {
                now = vsc.next_timeout().unwrap_or(now).max(now);
                Input::Timer
            }
            _ => Input::Packet(any_message(&mut bytes)),
        };
        now = now.saturating_add(Duration::from_millis(u64::from(action % 64)));
        vsc.handle(now, input, &mut memory, &mut out);
        for output in out.drain(..) {
            match output {
                Output::Send { bytes, .. } => {
                    assert!(Packet::decode(&bytes).is_ok(), "a message that does not decode");
                }
                Output::Running { .. } => reached.handshakes += 1,
                Output::Ended(_) => reached.ended += 1,
                Output::Ballooned { given, .. } => reached.given += given,
                Output::Unballooned { pages, left_alone } => {
                    reached.taken_back += pages;
                    reached.left_alone = reached.left_alone.saturating_add(left_alone);
                }
                Output::HotAdded { accepted, .. } => reached.added += accepted,
                _ => {}
            }
        }
        assert_eq!(memory.freed_wrongly, PageCount::ZERO, "freed a page that it did not hold");
        assert!(memory.ballooned.contains_all(vsc.ballooned()), "holds a page that it was not given");
        assert!(vsc.next_timeout().is_none_or(|next| next > now), "time does not go on");
    }
    reached
}

struct Bytes<'a>(core::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        self.0.next().copied()
    }

    fn number(&mut self, unit: u64) -> u64 {
        u64::from(self.next().unwrap_or_default()) * unit
    }
}

/// Something that a host might send; or bytes.
fn any_message(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let kind = bytes.next().unwrap_or_default();
    let count = usize::from(bytes.next().unwrap_or_default());
    // Anywhere in 64 MiB and a little beyond; the balloon takes the highest pages first.
    let mut range = || WireRange::new(16_500u64.saturating_sub(bytes.number(25)), bytes.number(7) % 1500);
    let ranges: Vec<WireRange> = (0..count % 5).filter_map(|_| range()).collect();
    let message = match kind % 16 {
        0 | 1 => Message::VersionResponse(VersionResponse { is_accepted: kind > 64 }),
        2 | 3 => Message::CapabilitiesResponse(CapabilitiesResponse {
            is_accepted: kind > 64,
            hot_remove: false,
            suppress_pressure_reports: kind > 192,
        }),
        4..7 => Message::BalloonRequest(BalloonRequest { num_pages: bytes.number(100) as u32 }),
        7..11 => Message::UnballoonRequest(UnballoonRequest { more_pages: kind > 192, ranges: &ranges }),
        11..13 => {
            let range = WireRange::new(16_384 + bytes.number(64), bytes.number(16)).unwrap_or_default();
            Message::HotAddRequest(HotAddRequest { range, region: (kind > 128).then_some(range) })
        }
        13 => return (0..count).map_while(|_| bytes.next()).collect(),
        // A known message, with some of its bytes changed.
        _ => {
            let vector = vectors::MESSAGES.get(count % vectors::MESSAGES.len());
            let mut message = vector.map_or(Vec::new(), |vector| vector.1.to_vec());
            for _ in 0..kind >> 6 {
                let (at, value) = (bytes.number(1) as usize, bytes.next().unwrap_or_default());
                let at = at % message.len().max(1);
                if let Some(byte) = message.get_mut(at) {
                    *byte = value;
                }
            }
            return message;
        }
    };
    let mut buffer = [0; MAX_HOST_PAYLOAD];
    let encoded = Packet { trans_id: u32::from(kind), message }.encode(&mut buffer);
    encoded.map(<[u8]>::to_vec).unwrap_or_default()
}
