//! Random histories against a map of pages to pages.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const LARGE: u64 = page_range::LARGE_PAGE_PAGES;
/// Guest pages that are looked at one by one after each action.
const GUEST_PAGES: u64 = 4 * LARGE;
/// More than the guest can map, and not a multiple of a large page.
const HOST_PAGES: u64 = 5 * LARGE + 77;

#[derive(Clone, Debug)]
enum Action {
    /// Map the holes in these ranges, all in one call, with frames taken from the pool or the oldest lot of frames that
    /// were unmapped and that is large enough.
    Fill {
        ranges: Vec<GuestRange>,
        old_frames: bool,
    },
    /// Map just these ranges, with this many frames too few or too many.
    Map {
        ranges: Vec<GuestRange>,
        wrong_by: i64,
    },
    /// Unmap what is mapped of these ranges.
    Clear {
        ranges: Vec<GuestRange>,
    },
    /// Unmap just these ranges.
    Unmap {
        ranges: Vec<GuestRange>,
    },
    Pin {
        pages: Vec<u64>,
    },
    Unpin {
        which: usize,
    },
    /// What was unmapped goes home, and into the pool.
    Collect,
}

fn ranges() -> impl Strategy<Value = GuestRange> {
    let edge = prop_oneof![(0..GUEST_PAGES / LARGE).prop_map(|large| large * LARGE), 0..GUEST_PAGES];
    let pages = prop_oneof![4 => 1..4u64, 2 => 1..700u64, 2 => Just(LARGE), 1 => Just(2 * LARGE)];
    prop_oneof![
        20 => (edge, pages).prop_map(|(start, pages)| guest(start, (start + pages).min(GUEST_PAGES))),
        1 => any::<(u64, u64)>().prop_filter_map("a range", |(one, other)| GuestRange::between(one, other)),
        1 => (0..GUEST_PAGES).prop_map(|start| guest(start, GUEST_ADDRESS_SPACE)),
    ]
}

fn some_ranges() -> impl Strategy<Value = Vec<GuestRange>> {
    prop_oneof![3 => prop::collection::vec(ranges(), 1..2), 1 => prop::collection::vec(ranges(), 0..6)]
}

/// Rings are a few pages here and a few there; some overlap.
fn pinnable() -> impl Strategy<Value = Vec<u64>> {
    let start = prop_oneof![LARGE..LARGE + 20, 0..GUEST_PAGES - 10];
    let run = (start, 1..10u64).prop_map(|(start, pages)| (start..start + pages).collect::<Vec<_>>());
    prop::collection::vec(run, 0..4).prop_map(|runs| runs.concat())
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        5 => (some_ranges(), any::<bool>()).prop_map(|(ranges, old_frames)| Action::Fill { ranges, old_frames }),
        2 => (some_ranges(), prop_oneof![3 => Just(0), 1 => -2..3i64])
            .prop_map(|(ranges, wrong_by)| Action::Map { ranges, wrong_by }),
        4 => some_ranges().prop_map(|ranges| Action::Clear { ranges }),
        3 => some_ranges().prop_map(|ranges| Action::Unmap { ranges }),
        2 => pinnable().prop_map(|pages| Action::Pin { pages }),
        2 => any::<usize>().prop_map(|which| Action::Unpin { which }),
        1 => Just(Action::Collect),
    ]
}

/// Guest pages on frames, one by one.
type Pages = BTreeMap<u64, u64>;

struct World {
    host: Arc<HostMemory>,
    pool: HostFrames,
    unmapped: Vec<HostFrames>,
    gmo: GmoMemoryManager,
    pages: Pages,
    pins: Vec<(Pin, BTreeSet<u64>)>,
}

impl World {
    fn new() -> Self {
        let (host, pool) = host(HOST_PAGES);
        let gmo = GmoMemoryManager::new(&pool);
        Self { host, pool, unmapped: Vec::new(), gmo, pages: Pages::new(), pins: Vec::new() }
    }

    fn pinned(&self) -> BTreeSet<u64> {
        self.pins.iter().flat_map(|(_, pages)| pages).copied().collect()
    }

    fn mapped_pages(&self, range: GuestRange) -> Vec<u64> {
        self.pages.range(range.start().0..range.end()).map(|(&page, _)| page).collect()
    }

    fn is_mapped(&self, range: GuestRange) -> bool {
        self.mapped_pages(range).len() as u64 == range.pages().get()
    }

    /// What is, or is not, mapped of the ranges, clipped to what the model looks at.
    fn part(&self, ranges: &[GuestRange], mapped: bool) -> Vec<GuestRange> {
        let universe = guest(0, GUEST_PAGES);
        let part: RangeSet<_> = ranges
            .iter()
            .filter_map(|range| range.intersection(universe))
            .flat_map(GuestRange::each_page)
            .filter(|page| self.pages.contains_key(&page.0) == mapped)
            .filter_map(GuestRange::one)
            .collect();
        part.runs().collect()
    }

    fn apply(&mut self, action: Action) {
        match action {
            Action::Fill { ranges, old_frames } => {
                let holes = self.part(&ranges, false);
                let pages = holes.iter().map(|hole| hole.pages()).sum();
                let old = self.unmapped.iter_mut().filter(|_| old_frames).find_map(|lot| lot.take(pages));
                if let Some(frames) = old.or_else(|| self.pool.take(pages)) {
                    self.map(&holes, frames);
                }
            }
            Action::Map { ranges, wrong_by } => {
                let pages: u64 =
                    ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.pages().get()));
                let frames = self.pool.take_up_to(PageCount(pages.saturating_add_signed(wrong_by)));
                self.map(&ranges, frames);
            }
            Action::Clear { ranges } => {
                let ranges = self.part(&ranges, true);
                self.unmap(&ranges);
            }
            Action::Unmap { ranges } => self.unmap(&ranges),
            Action::Pin { pages } => self.pin(&pages),
            Action::Unpin { which } if !self.pins.is_empty() => {
                let which = which % self.pins.len();
                self.gmo.unpin(self.pins.swap_remove(which).0).unwrap();
            }
            Action::Unpin { .. } => {}
            Action::Collect => {
                self.unmapped.clear();
                self.pool.merge(self.host.collect()).unwrap();
            }
        }
    }

    fn map(&mut self, ranges: &[GuestRange], frames: HostFrames) {
        let given = frames.runs().clone();
        let (before, changes_before) = (self.pages.clone(), self.gmo.size_changes());
        let wanted: u128 = ranges.iter().map(|range| u128::from(range.pages().get())).sum();
        match self.gmo.map_ranges(ranges, frames) {
            Ok(()) => {
                assert_eq!(wanted, u128::from(given.pages().get()));
                let large_before = count_large(&self.pages);
                let mut large = whole_large_pages(ranges);
                for page in ranges.iter().flat_map(|range| range.each_page()) {
                    let frame = self.gmo.translate(page).unwrap();
                    assert!(given.contains(frame), "a frame that was not given");
                    assert_eq!(self.pages.insert(page.0, frame.0), None, "mapped twice");
                }
                large = large.min(given.runs().filter_map(HostRange::large_part).map(large_pages).sum());
                assert!(count_large(&self.pages) >= large_before + large, "too few large pages");
                let (old, new) = (large_blocks(&before), large_blocks(&self.pages));
                let had_a_part = |block: &&u64| before.range(**block..**block + LARGE).next().is_some();
                let joined = new.difference(&old).filter(had_a_part).count() as u64;
                let merges = self.gmo.size_changes().merges - changes_before.merges;
                // Those that came of two pieces of this call count, too.
                assert!((joined..=new.difference(&old).count() as u64).contains(&merges), "{merges} merges");
                assert_eq!(self.gmo.size_changes().splits, changes_before.splits);
            }
            Err(error) => {
                assert_eq!(error.frames.runs(), &given, "all frames are given back");
                match error.refusal {
                    MapRefusal::AlreadyMapped { mapped } => assert!(self.is_mapped(mapped)),
                    // One range may overlap several others. How many have a page changes at their ends only, and what
                    // is named twice may be the rest of the address space.
                    MapRefusal::NamedTwice { twice } => {
                        let ends = ranges.iter().flat_map(|range| [range.start(), GuestPage(range.end())]);
                        let mut pages = ends.filter(|&page| twice.contains(page)).chain([twice.start()]);
                        let named = |page| ranges.iter().filter(|range| range.contains(page)).count();
                        assert!(pages.all(|page| named(page) > 1));
                    }
                    MapRefusal::BeyondAddressSpace { range } => assert!(range.end() > 1 << 40),
                    MapRefusal::WrongCount { guest, frames } => {
                        assert_eq!((u128::from(guest.get()), frames), (wanted, given.pages()));
                        assert_ne!(guest, frames);
                    }
                    MapRefusal::OtherHost => panic!("there is one host"),
                }
                self.pool.merge(error.frames).unwrap();
            }
        }
    }

    /// What [`GmoMemoryManager::unmap`] must say, page by page.
    fn unmap_refusal(&self, ranges: &[GuestRange]) -> Option<UnmapError> {
        let first = |pages: BTreeSet<u64>, range: GuestRange| {
            let start = *pages.first()?;
            let end = (start..range.end()).find(|page| !pages.contains(page)).unwrap_or(range.end());
            GuestRange::between(start, end)
        };
        let mut named = BTreeSet::new();
        let pinned = self.pinned();
        for (index, &range) in ranges.iter().enumerate() {
            let error = |refusal| Some(UnmapError { index, range, refusal });
            let mapped = self.mapped_pages(range);
            if (mapped.len() as u64) < range.pages().get() {
                let start = (range.start().0..).find(|page| !self.pages.contains_key(page)).unwrap();
                let next = mapped.iter().find(|&&page| page > start);
                let missing = guest(start, next.copied().unwrap_or(range.end()));
                return error(UnmapRefusal::NotMapped { missing });
            }
            let mapped: BTreeSet<_> = mapped.into_iter().collect();
            if let Some(twice) = first(&mapped & &named, range) {
                return error(UnmapRefusal::NamedTwice { twice });
            }
            if let Some(pinned) = first(&mapped & &pinned, range) {
                return error(UnmapRefusal::Pinned { pinned });
            }
            named.extend(mapped);
        }
        None
    }

    fn unmap(&mut self, ranges: &[GuestRange]) {
        let refusal = self.unmap_refusal(ranges);
        let splits_before = self.gmo.size_changes().splits;
        match self.gmo.unmap(ranges) {
            Err(error) => assert_eq!(Some(error), refusal),
            Ok(frames) => {
                assert_eq!(refusal, None);
                let (mut expected, mut splits) = (BTreeSet::new(), splits_before);
                for range in ranges {
                    let before = large_blocks(&self.pages);
                    expected.extend(range.each_page().map(|page| self.pages.remove(&page.0).unwrap()));
                    let after = large_blocks(&self.pages);
                    let part_is_left =
                        |block: &&u64| self.pages.range(**block..**block + LARGE).next().is_some();
                    splits += before.difference(&after).filter(part_is_left).count() as u64;
                }
                assert_eq!(self.gmo.size_changes().splits, splits);
                let came: BTreeSet<_> =
                    frames.runs().runs().flat_map(HostRange::each_page).map(|page| page.0).collect();
                assert_eq!(came, expected);
                self.unmapped.push(frames);
            }
        }
    }

    fn pin(&mut self, pages: &[u64]) {
        let named: Vec<_> = pages.iter().copied().map(GuestPage).collect();
        let missing = pages.iter().find(|page| !self.pages.contains_key(page));
        match self.gmo.pin(&named) {
            Ok(pin) => {
                assert_eq!(missing, None);
                self.pins.push((pin, pages.iter().copied().collect()));
            }
            Err(PinError { page }) => assert_eq!(Some(&page.0), missing),
        }
    }

    fn check(&self) {
        let frames: BTreeSet<_> = self.pages.values().copied().collect();
        assert_eq!(frames.len(), self.pages.len(), "two guest pages on one frame");
        let owned: BTreeSet<_> =
            self.gmo.frames().runs().flat_map(HostRange::each_page).map(|page| page.0).collect();
        assert_eq!(owned, frames);

        for page in 0..GUEST_PAGES {
            let frame = self.pages.get(&page).copied().map(HostPage);
            assert_eq!(self.gmo.translate(GuestPage(page)), frame);
        }
        assert_eq!(self.gmo.pages(), PageCount(self.pages.len() as u64));
        let large = count_large(&self.pages);
        assert_eq!(
            self.gmo.counts(),
            MappingCounts { large, small: self.pages.len() as u64 - large * LARGE }
        );

        let mappings: Vec<_> = self.gmo.mappings().collect();
        assert_eq!(mappings.len(), self.gmo.run_count());
        for pair in mappings.windows(2) {
            let guest_meets = pair[0].guest.end() == pair[1].guest.start().0;
            let host_meets = pair[0].host.end() == pair[1].host.start().0;
            assert!(!(guest_meets && host_meets), "two runs that could be one: {pair:?}");
        }

        let pinned = self.pinned();
        assert_eq!(self.gmo.pinned_pages(), PageCount(pinned.len() as u64));
        for page in 0..GUEST_PAGES {
            assert_eq!(self.gmo.first_pinned(guest(page, page + 1)).is_some(), pinned.contains(&page));
        }
        assert!(pinned.iter().all(|page| self.pages.contains_key(page)));

        let unmapped: PageCount = self.unmapped.iter().map(HostFrames::pages).sum();
        let all = self.pool.pages() + unmapped + self.gmo.pages() + self.host.returned_pages();
        assert_eq!(all, self.host.total());
    }
}

fn large_pages<P: page_range::PageNumber>(range: page_range::PageRange<P>) -> u64 {
    range.pages().get() / LARGE
}

/// Whole large pages in the ranges together.
fn whole_large_pages(ranges: &[GuestRange]) -> u64 {
    let ranges: RangeSet<_> = ranges.iter().copied().collect();
    ranges.runs().filter_map(GuestRange::large_part).map(large_pages).sum()
}

/// How many large pages these pages can be mapped with, found page by page.
fn count_large(pages: &Pages) -> u64 {
    large_blocks(pages).len() as u64
}

/// The first pages of those large pages.
fn large_blocks(pages: &Pages) -> BTreeSet<u64> {
    let is_large = |large: &u64| {
        let start = large * LARGE;
        pages.get(&start).is_some_and(|&frame| {
            frame % LARGE == 0 && (0..LARGE).all(|page| pages.get(&(start + page)) == Some(&(frame + page)))
        })
    };
    (0..GUEST_PAGES / LARGE).filter(is_large).map(|large| large * LARGE).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn behaves_as_a_map_of_pages(history in prop::collection::vec(actions(), 1..60)) {
        let mut world = World::new();
        for action in history {
            world.apply(action);
            world.check();
        }
        saved_state::check_restoring(&world.gmo);
        let World { host, pool, unmapped, gmo, .. } = world;
        drop((pool, unmapped, gmo));
        prop_assert_eq!(host.collect().pages(), host.total());
    }
}
