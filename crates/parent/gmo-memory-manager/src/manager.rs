//! The manager.

use page_range::{GuestPage, GuestRange, HostFrames, HostPage, PageCount, RangeSet};

use crate::pins::Pins;
use crate::placement::place;
use crate::run_map::RunMap;
use crate::{
    ForeignPin, MapError, MapRefusal, Mapping, MappingCounts, Pin, PinError, PinId, RestoreError,
    RestoreRefusal, Restored, SavedPin, SavedState, SavedStateV1, SizeChanges, UnmapError, UnmapRefusal,
};

/// Number of guest pages that can be addressed: 52 bits of physical address (documented: Intel SDM vol. 3, 4.1.4, the
/// largest MAXPHYADDR), which is also what the DM protocol's 40-bit page numbers reach.
pub const GUEST_ADDRESS_SPACE: u64 = 1 << 40;

/// The memory map of one virtual machine. See the [crate's documentation](crate).
///
/// Dropping it sends all frames home.
#[derive(Debug)]
pub struct GmoMemoryManager {
    map: RunMap,
    pins: Pins,
    /// What is mapped: exactly the frames in `map`.
    frames: HostFrames,
}

impl GmoMemoryManager {
    /// A memory map with nothing in it, for a VM on the host that these frames belong to.
    #[must_use]
    pub fn new(frames_of_host: &HostFrames) -> Self {
        Self { map: RunMap::default(), pins: Pins::default(), frames: frames_of_host.empty_like() }
    }

    /// Map a range of guest pages, none of which is mapped yet, to exactly as many frames.
    ///
    /// # Errors
    /// See [`MapRefusal`]. The error gives the frames back.
    pub fn map(&mut self, range: GuestRange, frames: HostFrames) -> Result<(), MapError> {
        self.map_ranges(&[range], frames)
    }

    /// Map some ranges of guest pages, none of which is mapped yet, to exactly as many frames.
    ///
    /// Mapping several ranges at once gives more choice of which frame goes where, and so more large pages, than mapping
    /// one after the other.
    ///
    /// # Errors
    /// See [`MapRefusal`]. The error gives the frames back.
    pub fn map_ranges(&mut self, ranges: &[GuestRange], frames: HostFrames) -> Result<(), MapError> {
        let guest = match self.mappable(ranges, frames.pages()) {
            Ok(guest) => guest,
            Err(refusal) => return Err(MapError { frames, refusal }),
        };
        let hosts = frames.runs().clone();
        if let Err(foreign) = self.frames.merge(frames) {
            return Err(MapError { frames: foreign.frames, refusal: MapRefusal::OtherHost });
        }
        place(&mut self.map, guest, hosts);
        Ok(())
    }

    fn mappable(&self, ranges: &[GuestRange], frames: PageCount) -> Result<RangeSet<GuestPage>, MapRefusal> {
        let mut guest = RangeSet::new();
        for &range in ranges {
            if range.end() > GUEST_ADDRESS_SPACE {
                return Err(MapRefusal::BeyondAddressSpace { range });
            }
            if let Some(mapped) = self.map.first_mapped(range) {
                return Err(MapRefusal::AlreadyMapped { mapped });
            }
            guest.insert_new(range).map_err(|twice| MapRefusal::NamedTwice { twice: twice.overlap })?;
        }
        if guest.pages() != frames {
            return Err(MapRefusal::WrongCount { guest: guest.pages(), frames });
        }
        Ok(guest)
    }

    /// Unmap these ranges of guest pages, all of them or none, and return their frames.
    ///
    /// # Errors
    /// Names the first range that has a page that is not mapped, or that an earlier range names, or that is pinned; in
    /// this order of precedence.
    pub fn unmap(&mut self, ranges: &[GuestRange]) -> Result<HostFrames, UnmapError> {
        let mut named = RangeSet::new();
        for (index, &range) in ranges.iter().enumerate() {
            self.unmappable(range, &mut named).map_err(|refusal| UnmapError { index, range, refusal })?;
        }
        let mut hosts = RangeSet::new();
        for &range in ranges {
            self.map.remove(range, &mut hosts);
        }
        Ok(self.frames.take_exact(&hosts).expect("the frames in the map are those that it owns"))
    }

    fn unmappable(&self, range: GuestRange, named: &mut RangeSet<GuestPage>) -> Result<(), UnmapRefusal> {
        if let Some(missing) = self.map.first_unmapped(range) {
            return Err(UnmapRefusal::NotMapped { missing });
        }
        named.insert_new(range).map_err(|twice| UnmapRefusal::NamedTwice { twice: twice.overlap })?;
        match self.pins.first_pinned(range) {
            Some(pinned) => Err(UnmapRefusal::Pinned { pinned }),
            None => Ok(()),
        }
    }

    /// The frame under a guest page, if it is mapped.
    #[must_use]
    pub fn translate(&self, page: GuestPage) -> Option<HostPage> {
        self.map.translate(page)
    }

    /// Whether the guest page is mapped by a large page (2 MiB).
    #[must_use]
    pub fn is_large(&self, page: GuestPage) -> bool {
        self.map.is_large(page)
    }

    /// Whether every page of the range is mapped.
    #[must_use]
    pub fn is_mapped(&self, range: GuestRange) -> bool {
        self.map.first_unmapped(range).is_none()
    }

    /// The lowest run of pages of the range that are mapped.
    #[must_use]
    pub fn first_mapped(&self, range: GuestRange) -> Option<GuestRange> {
        self.map.first_mapped(range)
    }

    /// The lowest run of pages of the range that are not mapped.
    #[must_use]
    pub fn first_unmapped(&self, range: GuestRange) -> Option<GuestRange> {
        self.map.first_unmapped(range)
    }

    /// How much memory the VM has.
    #[must_use]
    pub fn pages(&self) -> PageCount {
        self.frames.pages()
    }

    /// How many large and how many small pages the map consists of.
    #[must_use]
    pub fn counts(&self) -> MappingCounts {
        self.map.counts()
    }

    /// How often large pages have been split, and small ones merged. Ranges are counted one after the other: a large page that
    /// comes of two ranges of one call was merged, and one that goes with two ranges of one call was split before.
    #[must_use]
    pub fn size_changes(&self) -> SizeChanges {
        self.map.size_changes()
    }

    /// What is mapped to what, by guest page, in runs that are as long as they can be.
    pub fn mappings(&self) -> impl DoubleEndedIterator<Item = Mapping> {
        self.map.mappings()
    }

    /// How many of those runs there are: what the map costs to keep.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.map.run_count()
    }

    /// The part of [`mappings`](Self::mappings) that lies in the range.
    pub fn mappings_within(&self, range: GuestRange) -> impl Iterator<Item = Mapping> {
        self.map.within(range)
    }

    /// The guest pages that are mapped.
    #[must_use]
    pub fn mapped(&self) -> RangeSet<GuestPage> {
        self.map.mappings().map(|mapping| mapping.guest).collect()
    }

    /// The frames that are mapped.
    #[must_use]
    pub fn frames(&self) -> &RangeSet<HostPage> {
        self.frames.runs()
    }

    /// Keep these pages mapped until the pin is given back. A page that is named more than once counts once.
    ///
    /// # Errors
    /// If one of them is not mapped.
    pub fn pin(&mut self, pages: &[GuestPage]) -> Result<Pin, PinError> {
        let mut pinned = RangeSet::new();
        for &page in pages {
            match GuestRange::one(page).filter(|_| self.map.run_of(page).is_some()) {
                Some(range) => pinned.insert(range),
                None => return Err(PinError { page }),
            };
        }
        Ok(self.pins.pin(pinned))
    }

    /// Give a pin back.
    ///
    /// # Errors
    /// If it is a pin of another memory map; it is given back inside the error.
    pub fn unpin(&mut self, pin: Pin) -> Result<(), ForeignPin> {
        self.pins.unpin(pin).map_err(|pin| ForeignPin { pin })
    }

    /// How many pages are pinned.
    #[must_use]
    pub fn pinned_pages(&self) -> PageCount {
        self.pins.pages()
    }

    /// The lowest run of pages of the range that are pinned.
    #[must_use]
    pub fn first_pinned(&self, range: GuestRange) -> Option<GuestRange> {
        self.pins.first_pinned(range)
    }

    /// All frames, of a VM that is no more. Whatever was pinned is not any longer.
    pub fn into_frames(self) -> HostFrames {
        self.frames
    }

    /// What is needed to restore this map onto other frames.
    #[must_use]
    pub fn save(&self) -> SavedState {
        SavedState::V1(SavedStateV1 {
            mapped: self.mapped(),
            pins: self.pins.held().map(|(id, pages)| SavedPin { id, pages: pages.clone() }).collect(),
            next_pin: PinId(self.pins.next_id()),
        })
    }

    /// Restore a map onto exactly as many frames as it had.
    ///
    /// # Errors
    /// If the state is not one that [`save`](Self::save) could have returned, or there are not as many frames. The error
    /// gives the frames back.
    pub fn restore(saved: &SavedState, frames: HostFrames) -> Result<Restored, RestoreError> {
        let SavedState::V1(saved) = saved;
        if let Err(refusal) = restorable(saved) {
            return Err(RestoreError { frames, refusal });
        }
        let mut manager = Self::new(&frames);
        let ranges: Vec<_> = saved.mapped.runs().collect();
        if let Err(MapError { frames, refusal }) = manager.map_ranges(&ranges, frames) {
            return Err(RestoreError { frames, refusal: refusal.into() });
        }
        manager.pins = Pins::restore(saved.next_pin.0);
        let pins = saved.pins.iter().map(|pin| manager.pins.hold(pin.id, pin.pages.clone())).collect();
        Ok(Restored { manager, pins })
    }
}

fn restorable(saved: &SavedStateV1) -> Result<(), RestoreRefusal> {
    if saved.next_pin > PinId::MAX_RESTORED {
        return Err(RestoreRefusal::PinOrder { id: saved.next_pin });
    }
    let mut lowest = 0;
    for SavedPin { id, pages } in &saved.pins {
        if id.0 < lowest || *id >= saved.next_pin {
            return Err(RestoreRefusal::PinOrder { id: *id });
        }
        lowest = id.0 + 1;
        if let Some(missing) = pages.runs().find_map(|run| saved.mapped.first_missing(run)) {
            return Err(RestoreRefusal::PinNotMapped { id: *id, missing });
        }
    }
    Ok(())
}
