//! Which frame goes under which guest page.
//!
//! Guest pages and frames are given; what can be chosen is the pairing, and with it how much of the memory is mapped with
//! large pages now and how much can be joined to large pages later. The order of preference:
//!
//! 1. whole aligned 2 MiB of guest memory on whole aligned 2 MiB of frames: those that continue a run of the map, then
//!    any, lowest first;
//! 2. guest pages on frames that continue a run of the map, or fill a gap in it, at the same alignment;
//! 3. what is left, lowest first.
//!
//! Takes time for the runs of the guest pages, the frames and the map, never for their pages.

use page_range::{GuestPage, GuestRange, HostPage, HostRange, PageCount, RangeSet};

use crate::run_map::RunMap;

/// Map all of `guest`, none of which is mapped, onto `frames`, which are as many and under no guest page.
pub(crate) fn place(map: &mut RunMap, guest: RangeSet<GuestPage>, frames: RangeSet<HostPage>) {
    debug_assert_eq!(guest.pages(), frames.pages(), "one frame for each guest page");
    let mut placement = Placement { map, guest, frames };
    placement.beside_runs(Granularity::Large);
    placement.in_order(Granularity::Large);
    placement.beside_runs(Granularity::Small);
    placement.in_order(Granularity::Small);
    debug_assert!(placement.guest.is_empty() && placement.frames.is_empty(), "every page is placed");
}

#[derive(Clone, Copy)]
enum Granularity {
    Large,
    Small,
}

impl Granularity {
    fn guest(self, range: GuestRange) -> Option<GuestRange> {
        match self {
            Self::Large => range.large_part(),
            Self::Small => Some(range),
        }
    }

    fn host(self, range: HostRange) -> Option<HostRange> {
        match self {
            Self::Large => range.large_part(),
            Self::Small => Some(range),
        }
    }
}

/// What is still to be placed.
struct Placement<'a> {
    map: &'a mut RunMap,
    guest: RangeSet<GuestPage>,
    frames: RangeSet<HostPage>,
}

impl Placement<'_> {
    /// Place guest pages on frames that are as far from them as those of a run beside them.
    fn beside_runs(&mut self, granularity: Granularity) {
        let wanted: Vec<_> = self.guest.runs().filter_map(|run| granularity.guest(run)).collect();
        for range in wanted {
            for distance in self.map.distances_beside(range) {
                let left: Vec<_> = self.guest.within(range).collect();
                for guest in left {
                    self.at_distance(guest, distance, granularity);
                }
            }
        }
    }

    fn at_distance(&mut self, guest: GuestRange, distance: u64, granularity: Granularity) {
        let start = HostPage(guest.start().0.wrapping_add(distance));
        let Some(ideal) = HostRange::new(start, guest.pages()) else { return };
        let found: Vec<_> = self.frames.within(ideal).filter_map(|run| granularity.host(run)).collect();
        for host in found {
            let start = GuestPage(host.start().0.wrapping_sub(distance));
            self.put(start, host.start(), host.pages());
        }
    }

    /// Place guest pages on frames, both lowest first.
    fn in_order(&mut self, granularity: Granularity) {
        let guest: Vec<_> = self.guest.runs().filter_map(|run| granularity.guest(run)).collect();
        let hosts: Vec<_> = self.frames.runs().filter_map(|run| granularity.host(run)).collect();
        let mut hosts = hosts.into_iter();
        let mut host = hosts.next();
        for range in guest {
            let mut rest = Some(range);
            while let (Some(guest), Some(frames)) = (rest, host) {
                let pages = guest.pages().min(frames.pages());
                self.put(guest.start(), frames.start(), pages);
                rest = guest.split_at(pages).map(|(_, rest)| rest);
                host = frames.split_at(pages).map(|(_, rest)| rest).or_else(|| hosts.next());
            }
        }
    }

    fn put(&mut self, guest: GuestPage, host: HostPage, pages: PageCount) {
        let (Some(range), Some(frames)) = (GuestRange::new(guest, pages), HostRange::new(host, pages)) else {
            return;
        };
        self.guest.remove(range);
        self.frames.remove(frames);
        self.map.insert(range, host);
    }
}
