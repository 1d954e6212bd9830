use alloc::vec::Vec;

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn range(start: u64, count: u64) -> GuestRange {
    GuestRange::new(GuestPage(start), PageCount(count)).unwrap()
}

fn wire(start: u64, count: u64) -> WireRange {
    WireRange::new(start, count).unwrap()
}

/// 64 MiB of RAM, room for as much again.
fn pages() -> (GuestLayout, GuestPages) {
    let layout = GuestLayout::flat(PageCount::from_mib(64), PageCount::from_mib(128)).unwrap();
    let pages = GuestPages::new(&layout);
    (layout, pages)
}

fn chosen(ballooned: &[GuestRange], pages: u64, ranges: usize) -> Vec<GuestRange> {
    let (_, mut account) = self::pages();
    account.ballooned = ballooned.iter().copied().collect();
    let set = account.choose_unballoon(PageCount(pages), ranges);
    assert!(account.ballooned.contains_all(&set));
    set.runs().collect()
}

#[test]
fn a_range_is_as_long_as_its_24_bits_say_and_in_whole_blocks() {
    let all = (1 << 24) + 1024;
    let longest = (1 << 24) - 512;
    assert_eq!(chosen(&[range(0, all)], all, 1), [range(0, longest)]);
    assert_eq!(chosen(&[range(0, all)], all, 2), [range(0, all)]);
}

#[test]
fn an_answer_is_checked_page_by_page() {
    let (_, mut account) = pages();
    account.ballooned.insert(range(100, 10));
    account.stranded.insert(range(200, 10));
    account.releasing.insert(1, Releasing { ranges: range(300, 10).into(), fate: Fate::Ballooned });
    let check = |ranges: &[WireRange]| account.check_answer(ranges);
    assert_eq!(check(&[wire(0, 100), wire(110, 90)]).unwrap().pages(), PageCount(190));
    assert_eq!(check(&[]).unwrap().pages(), PageCount::ZERO);
    assert_eq!(check(&[wire(0, 0)]), Err(Violation::EmptyRange));
    let outside = range(16383, 2);
    assert_eq!(check(&[wire(16383, 2)]), Err(Violation::OutsideMemory { range: outside }));
    let far = wire(WireRange::MAX_START, WireRange::MAX_COUNT);
    assert!(matches!(check(&[far]), Err(Violation::OutsideMemory { .. })));
    for start in [91, 109, 209, 291] {
        let (at, given) = (wire(start, 10), range(start, 10));
        assert_eq!(check(&[at]), Err(Violation::NotOwned { range: given }));
    }
    let (again, given) = (wire(5, 2), range(5, 2));
    assert_eq!(check(&[wire(1, 5), again]), Err(Violation::Twice { range: given }));
}

#[test]
fn whole_blocks_come_first_then_fragments_then_parts_of_blocks() {
    // Two blocks with ragged ends, and a fragment above.
    let ballooned = [range(500, 1100), range(4000, 20)];
    assert_eq!(chosen(&ballooned, 512, 99), [range(512, 512)]);
    assert_eq!(chosen(&ballooned, 1024, 99), [range(512, 1024)]);
    assert_eq!(chosen(&ballooned, 30, 99), [range(500, 12), range(1536, 18)]);
    assert_eq!(chosen(&ballooned, 512 + 5, 99), [range(500, 5), range(512, 512)]);
    assert_eq!(chosen(&ballooned, 1120, 99), [range(500, 1100), range(4000, 20)]);
    assert_eq!(chosen(&[range(512, 512)], 100, 99), [range(512, 100)]);
    assert_eq!(chosen(&ballooned, 0, 99), []);
}

#[test]
fn the_number_of_ranges_is_limited() {
    let ballooned: Vec<_> = (0..20).map(|i| range(i * 10, 3)).collect();
    assert_eq!(chosen(&ballooned, 60, 2), [range(0, 3), range(10, 3)]);
}

#[test]
fn hot_added_memory_is_aligned_and_follows_what_is_there() {
    let layout = GuestLayout {
        boot: range(0, 1000).into(),
        hot_add: [range(1000, 3000), range(8000, 3000)].into_iter().collect(),
        total: PageCount(7000),
    };
    let mut account = GuestPages::new(&layout);
    let place = |account: &GuestPages, pages, granule| {
        account.place_hot_add(&layout.hot_add, PageCount(pages), PageCount(granule))
    };
    assert_eq!(place(&account, 600, 256), Some(range(1024, 512)));
    assert_eq!(place(&account, 255, 256), None);
    assert_eq!(place(&account, 100_000, 256), Some(range(1024, 2816)));
    assert_eq!(place(&account, 4096, 4096), None);
    account.add(range(1024, 2816));
    assert_eq!(place(&account, 600, 256), Some(range(8192, 512)));
    account.add(range(8192, 512));
    account.released(Releasing { ranges: range(8192, 512).into(), fate: Fate::NotOffered });
    assert_eq!(place(&account, 600, 256), Some(range(8192, 512)));
    account.add(range(8192, 512));
    account.released(Releasing { ranges: range(8192, 512).into(), fate: Fate::Refused });
    assert_eq!(
        place(&account, 600, 256),
        Some(range(8704, 512)),
        "a place that was refused is not offered again"
    );
    account.add(range(8704, 2048));
    assert_eq!(place(&account, 600, 256), None);
}

/// 520 MB to start with and 1550 at most: of the 1030 MB between, eight blocks of 128 MB, though the first begins at 640 MB.
#[test]
fn addresses_that_are_skipped_are_no_memory() {
    let layout = GuestLayout::flat(PageCount::from_mib(520), PageCount::from_mib(1550)).unwrap();
    let mut account = GuestPages::new(&layout);
    let block = PageCount::from_mib(128);
    let mut added = Vec::new();
    while let Some(range) = account.place_hot_add(&layout.hot_add, block, block) {
        account.add(range);
        added.push(range.start().0 / 256);
    }
    assert_eq!(added, [640, 768, 896, 1024, 1152, 1280, 1408, 1536]);
    assert_eq!(account.ram().pages(), PageCount::from_mib(520 + 8 * 128));
}

proptest! {
    #[test]
    fn exactly_what_is_asked_is_chosen(
        ballooned in vec((0..15_000u64, 1..1200u64), 0..40),
        want in 0..20_000u64,
        limit in 1..60usize,
    ) {
        let (_, mut account) = pages();
        for (start, count) in ballooned {
            account.ballooned.insert(range(start, count));
        }
        let exact = account.choose_unballoon(PageCount(want), usize::MAX);
        prop_assert_eq!(exact.pages(), PageCount(want).min(account.ballooned.pages()));
        let few = account.choose_unballoon(PageCount(want), limit);
        prop_assert!(few.run_count() <= limit);
        prop_assert!(account.ballooned.contains_all(&few) && few.pages() <= exact.pages());
        prop_assert_eq!(few.is_empty(), exact.is_empty());
    }
}
