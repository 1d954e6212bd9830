//! For tests and fuzzing: a memory manager that is only an account of pages, and what must hold for any host.

use core::time::Duration;

use dm_protocol::test_support::vectors;
use page_range::{GuestPage, GuestRange, PageCount, RangeSet};

use crate::{
    BalloonAllocation, DmVsc, HotAddRefusal, Input, MemoryManager, Output, StatusSnapshot, VscConfig,
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
        }
    }

    fn available(&self) -> PageCount {
        self.present.pages().saturating_sub(self.ballooned.pages()).saturating_sub(self.in_use)
    }
}

impl MemoryManager for PlainMemory {
    fn status(&self) -> StatusSnapshot {
        StatusSnapshot {
            total: self.present.pages().saturating_sub(self.ballooned.pages()),
            available: self.available(),
            committed: self.in_use,
            zero_free: self.available(),
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

    fn hot_add(
        &mut self,
        range: GuestRange,
        _region: Option<GuestRange>,
    ) -> Result<PageCount, HotAddRefusal> {
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

/// A driver against a host that says and does anything: `bytes` are what it does. The driver must not panic, must hold no
/// page that the memory manager has not given it, must never free one that it does not hold, and must send only messages
/// that decode.
///
/// # Panics
/// If it does otherwise: that is a bug of this crate.
pub fn fuzz_host(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let mut next = move || bytes.next();
    let mut config = match next().unwrap_or_default() % 2 {
        0 => VscConfig::windows(crate::DriverVersion::V2_0),
        _ => VscConfig { unballoon_check: crate::UnballoonCheck::OwnPagesOnly, ..VscConfig::linux() },
    };
    config.hot_add_alignment = 0;
    let mut vsc = DmVsc::new(config);
    let mut memory = PlainMemory::new(PageCount::from_mib(64), PageCount::from_mib(16));
    let (mut now, mut out) = (Duration::ZERO, Vec::new());
    while let Some(action) = next() {
        let input = match action % 16 {
            0 => Input::ChannelOpened,
            1 => Input::ChannelClosed,
            2 => Input::Timer,
            3 => Input::Packet(core::iter::from_fn(&mut next).take(usize::from(action)).collect()),
            4 => {
                // To the next deadline.
                now = vsc.next_timeout().unwrap_or(now).max(now);
                Input::Timer
            }
            // A message that a host might send, with a few bytes of it changed.
            _ => {
                let index = usize::from(next().unwrap_or_default()) % vectors::MESSAGES.len();
                let mut message = vectors::MESSAGES.get(index).map_or(Vec::new(), |vector| vector.1.to_vec());
                for _ in 0..action >> 6 {
                    let (at, value) = (next().unwrap_or_default(), next().unwrap_or_default());
                    let at = usize::from(at) % message.len().max(1);
                    if let Some(byte) = message.get_mut(at) {
                        *byte = value;
                    }
                }
                Input::Packet(message)
            }
        };
        now = now.saturating_add(Duration::from_millis(u64::from(action)));
        vsc.handle(now, input, &mut memory, &mut out);
        for output in out.drain(..) {
            if let Output::Send(bytes) = output {
                assert!(dm_protocol::Packet::decode(&bytes).is_ok(), "a message that does not decode");
            }
        }
        assert_eq!(memory.freed_wrongly, PageCount::ZERO, "freed a page that it did not hold");
        assert!(memory.ballooned.contains_all(vsc.ballooned()), "holds a page that it was not given");
        if let Some(next) = vsc.next_timeout() {
            assert!(next > now, "time does not go on");
        }
    }
}
