//! Tests of the whole crate: by hand here, against a naive map in `against_model`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use page_range::{GuestPage, GuestRange, HostFrames, HostMemory, HostPage, HostRange, PageCount, RangeSet};

use crate::*;

mod against_model;
mod saved_state;

fn host(pages: u64) -> (Arc<HostMemory>, HostFrames) {
    HostMemory::new(PageCount(pages), Arc::new(|| {}))
}

fn guest(start: u64, end: u64) -> GuestRange {
    GuestRange::between(start, end).unwrap()
}

fn take(pool: &mut HostFrames, start: u64, end: u64) -> HostFrames {
    pool.take_range(HostRange::between(start, end).unwrap()).unwrap()
}

fn large(large: u64, small: u64) -> MappingCounts {
    MappingCounts { large, small }
}

/// A VM with 8 MiB from guest page 0 on frames 2048 to 4096, and the rest of the host's 8192 pages.
fn vm_of_8_mib() -> (Arc<HostMemory>, HostFrames, GmoMemoryManager) {
    let (host, mut pool) = host(8192);
    let mut gmo = GmoMemoryManager::new(&pool);
    gmo.map(guest(0, 2048), take(&mut pool, 2048, 4096)).unwrap();
    (host, pool, gmo)
}

#[test]
fn startup_memory_is_mapped_with_large_pages() {
    let (host, pool, gmo) = vm_of_8_mib();
    assert_eq!(gmo.counts(), large(4, 0));
    assert_eq!(gmo.run_count(), 1);
    assert_eq!(gmo.pages(), PageCount::from_mib(8));
    assert_eq!(gmo.translate(GuestPage(1000)), Some(HostPage(3048)));
    assert_eq!(gmo.translate(GuestPage(2048)), None);
    assert!(gmo.is_large(GuestPage(2047)) && !gmo.is_large(GuestPage(2048)));
    assert_eq!(gmo.pages() + pool.pages(), host.total());
}

#[test]
fn a_large_page_is_split_when_a_part_goes_and_joined_when_it_comes_back() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    let page = gmo.unmap(&[guest(700, 701)]).unwrap();
    assert_eq!(page.runs(), &RangeSet::from(HostRange::between(2748, 2749).unwrap()));
    assert_eq!(gmo.counts(), large(3, 511));
    assert!(!gmo.is_large(GuestPage(512)) && gmo.is_large(GuestPage(511)));
    assert_eq!(gmo.translate(GuestPage(700)), None);
    assert_eq!(gmo.translate(GuestPage(701)), Some(HostPage(2749)));
    assert_eq!(gmo.size_changes(), SizeChanges { splits: 1, merges: 0 });
    gmo.map(guest(700, 701), page).unwrap();
    assert_eq!((gmo.counts(), gmo.run_count()), (large(4, 0), 1));
    assert_eq!(gmo.size_changes(), SizeChanges { splits: 1, merges: 1 });
    // A large page that goes or comes whole is neither split nor merged.
    let whole = gmo.unmap(&[guest(512, 1024)]).unwrap();
    gmo.map(guest(512, 1024), whole).unwrap();
    assert_eq!((gmo.counts(), gmo.size_changes()), (large(4, 0), SizeChanges { splits: 1, merges: 1 }));
}

#[test]
fn returned_frames_find_their_places_again() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    let holes = [guest(3, 5), guest(600, 603), guest(604, 700), guest(1535, 1537)];
    let frames = gmo.unmap(&holes).unwrap();
    assert_eq!(gmo.counts(), large(0, 2048 - 103));
    gmo.map_ranges(&[holes[2], holes[0], holes[3], holes[1]], frames).unwrap();
    assert_eq!((gmo.counts(), gmo.run_count()), (large(4, 0), 1));
}

#[test]
fn frames_that_are_not_aligned_alike_are_mapped_with_small_pages() {
    let (_host, mut pool) = host(4096);
    let mut gmo = GmoMemoryManager::new(&pool);
    gmo.map(guest(0, 1023), take(&mut pool, 1, 1024)).unwrap();
    assert_eq!(gmo.counts(), large(1, 511), "frames 512 to 1024 under guest pages 0 to 512");
    assert_eq!(gmo.translate(GuestPage(0)), Some(HostPage(512)));
    assert_eq!(gmo.translate(GuestPage(512)), Some(HostPage(1)));
}

#[test]
fn half_a_large_page_beside_its_frames_is_not_aligned_alike() {
    let (_host, mut pool) = host(4096);
    let mut gmo = GmoMemoryManager::new(&pool);
    for start in [0, 256, 512, 768] {
        gmo.map(guest(start, start + 256), take(&mut pool, start + 256, start + 512)).unwrap();
    }
    assert_eq!((gmo.counts(), gmo.run_count()), (large(0, 1024), 1));
    assert!(!gmo.is_large(GuestPage(512)));
}

#[test]
fn returned_frames_find_their_places_in_any_order() {
    let (_host, mut pool) = host(4096);
    let mut gmo = GmoMemoryManager::new(&pool);
    gmo.map(guest(0, 512), take(&mut pool, 1024, 1536)).unwrap();
    gmo.map(guest(512, 1024), take(&mut pool, 512, 1024)).unwrap();
    // The head of one large page, the tail of the other, and the middle of both.
    let holes = [guest(0, 7), guest(100, 110), guest(700, 710), guest(1020, 1024)];
    let frames = gmo.unmap(&holes).unwrap();
    gmo.map_ranges(&holes, frames).unwrap();
    assert_eq!((gmo.counts(), gmo.run_count()), (large(2, 0), 2));
}

#[test]
fn returned_frames_find_their_places_below_a_run() {
    let (_host, mut pool) = host(4096);
    let mut gmo = GmoMemoryManager::new(&pool);
    gmo.map(guest(0, 512), take(&mut pool, 1024, 1536)).unwrap();
    gmo.map(guest(1024, 1536), take(&mut pool, 512, 1024)).unwrap();
    let heads = [guest(0, 7), guest(1024, 1031)];
    let frames = gmo.unmap(&heads).unwrap();
    gmo.map_ranges(&heads, frames).unwrap();
    assert_eq!((gmo.counts(), gmo.run_count()), (large(2, 0), 2));
}

#[test]
fn whole_large_pages_are_found_among_fragments() {
    let (_host, mut pool) = host(8192);
    let mut gmo = GmoMemoryManager::new(&pool);
    let mut frames = take(&mut pool, 100, 200);
    frames.merge(take(&mut pool, 1000, 1636)).unwrap();
    frames.merge(take(&mut pool, 4000, 4608)).unwrap();
    gmo.map_ranges(&[guest(512, 1024), guest(1500, 2332)], frames).unwrap();
    assert_eq!(gmo.counts(), large(2, 320));
}

#[test]
fn a_hot_added_range_continues_the_run_below() {
    let (_host, mut pool, mut gmo) = vm_of_8_mib();
    let mut frames = take(&mut pool, 0, 512);
    frames.merge(take(&mut pool, 4096, 4608)).unwrap();
    gmo.map(guest(2048, 3072), frames).unwrap();
    assert_eq!((gmo.counts(), gmo.run_count()), (large(6, 0), 2));
    assert_eq!(gmo.translate(GuestPage(2559)), Some(HostPage(4607)));
    assert_eq!(gmo.translate(GuestPage(2560)), Some(HostPage(0)));
}

#[test]
fn mapping_is_refused_whole_and_frames_are_given_back() {
    let (host, mut pool, mut gmo) = vm_of_8_mib();
    let refusals: [(&[GuestRange], u64, MapRefusal, &str); 5] = [
        (
            &[guest(3000, 3010), guest(2000, 2100)],
            110,
            MapRefusal::AlreadyMapped { mapped: guest(2000, 2048) },
            "110 pages not mapped: guest pages 0x7d0..0x800 (48 pages) are mapped already",
        ),
        (
            &[guest(3000, 3010), guest(3005, 3015)],
            20,
            MapRefusal::NamedTwice { twice: guest(3005, 3010) },
            "20 pages not mapped: guest pages 0xbbd..0xbc2 (5 pages) are named twice",
        ),
        (
            &[guest(3000, 3010)],
            9,
            MapRefusal::WrongCount { guest: PageCount(10), frames: PageCount(9) },
            "9 pages not mapped: 9 pages of host memory cannot back 10 pages of guest memory",
        ),
        (
            &[guest(GUEST_ADDRESS_SPACE - 1, GUEST_ADDRESS_SPACE + 1)],
            2,
            MapRefusal::BeyondAddressSpace { range: guest(GUEST_ADDRESS_SPACE - 1, GUEST_ADDRESS_SPACE + 1) },
            "2 pages not mapped: guest pages 0xffffffffff..0x10000000001 (2 pages) reach beyond the guest address space",
        ),
        (
            &[guest(3000, GUEST_ADDRESS_SPACE)],
            4,
            MapRefusal::WrongCount { guest: PageCount(GUEST_ADDRESS_SPACE - 3000), frames: PageCount(4) },
            "4 pages not mapped: 4 pages of host memory cannot back 1099511624776 pages of guest memory",
        ),
    ];
    for (ranges, pages, refusal, words) in refusals {
        let error = gmo.map_ranges(ranges, pool.take(PageCount(pages)).unwrap()).unwrap_err();
        assert_eq!(error.refusal, refusal);
        assert_eq!(error.to_string(), words);
        pool.merge(error.frames).unwrap();
        assert_eq!((gmo.counts(), gmo.pages()), (large(4, 0), PageCount(2048)));
    }
    assert_eq!(host.returned_pages(), PageCount::ZERO);
}

#[test]
fn frames_of_another_host_are_refused() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    let (other, frames) = host(10);
    let error = gmo.map(guest(3000, 3010), frames).unwrap_err();
    assert_eq!(error.refusal, MapRefusal::OtherHost);
    assert_eq!(error.frames.pages(), other.total());
    assert!(!gmo.is_mapped(guest(3000, 3001)));
}

#[test]
fn nothing_can_be_mapped_and_unmapped() {
    let (_host, pool, mut gmo) = vm_of_8_mib();
    gmo.map_ranges(&[], pool.empty_like()).unwrap();
    assert!(gmo.unmap(&[]).unwrap().is_empty());
    assert_eq!(gmo.pages(), PageCount(2048));
}

#[test]
fn unmapping_is_all_or_nothing_and_names_the_first_offender() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    let _ring = gmo.pin(&[GuestPage(100), GuestPage(101), GuestPage(103)]).unwrap();
    let good = guest(500, 600);
    let offenders = [
        (guest(2000, 2100), UnmapRefusal::NotMapped { missing: guest(2048, 2100) }),
        (guest(0, 1 << 63), UnmapRefusal::NotMapped { missing: guest(2048, 1 << 63) }),
        (guest(1 << 39, 1 << 40), UnmapRefusal::NotMapped { missing: guest(1 << 39, 1 << 40) }),
        (guest(590, 610), UnmapRefusal::NamedTwice { twice: guest(590, 600) }),
        (guest(90, 200), UnmapRefusal::Pinned { pinned: guest(100, 102) }),
        (guest(103, 104), UnmapRefusal::Pinned { pinned: guest(103, 104) }),
    ];
    for (range, refusal) in offenders {
        let error = gmo.unmap(&[good, range, guest(5000, 5001)]).unwrap_err();
        assert_eq!(error, UnmapError { index: 1, range, refusal });
        assert_eq!((gmo.counts(), gmo.pages()), (large(4, 0), PageCount(2048)));
    }
    assert_eq!(
        gmo.unmap(&[good, guest(100, 101)]).unwrap_err().to_string(),
        "guest pages 0x64..0x65 (1 page) (range 1) not unmapped: 0x64..0x65 (1 page) are pinned"
    );
    assert_eq!(gmo.unmap(&[good, guest(102, 103)]).unwrap().pages(), PageCount(101));
}

#[test]
fn what_is_not_mapped_is_named_across_runs() {
    let (_host, mut pool) = host(4096);
    let mut gmo = GmoMemoryManager::new(&pool);
    gmo.map(guest(10, 12), take(&mut pool, 100, 102)).unwrap();
    gmo.map(guest(12, 14), take(&mut pool, 50, 52)).unwrap();
    gmo.map(guest(20, 21), take(&mut pool, 0, 1)).unwrap();
    assert_eq!(gmo.run_count(), 3);
    assert_eq!(gmo.first_mapped(guest(0, 100)), Some(guest(10, 14)));
    assert_eq!(gmo.first_mapped(guest(11, 13)), Some(guest(11, 13)));
    assert_eq!(gmo.first_mapped(guest(14, 20)), None);
    assert_eq!(gmo.first_unmapped(guest(11, 30)), Some(guest(14, 20)));
    assert_eq!(gmo.first_unmapped(guest(11, 14)), None);
    assert!(gmo.is_mapped(guest(10, 14)) && !gmo.is_mapped(guest(13, 15)));
    let within: Vec<_> = gmo.mappings_within(guest(11, 13)).collect();
    let host = |start, end| HostRange::between(start, end).unwrap();
    assert_eq!(
        within,
        [
            Mapping { guest: guest(11, 12), host: host(101, 102) },
            Mapping { guest: guest(12, 13), host: host(50, 51) },
        ]
    );
}

#[test]
fn pins_count() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    let pages = |range: GuestRange| range.each_page().collect::<Vec<_>>();
    let one = gmo.pin(&pages(guest(10, 20))).unwrap();
    let two = gmo.pin(&[pages(guest(15, 25)), pages(guest(15, 16))].concat()).unwrap();
    assert_ne!(one.id(), two.id());
    assert_eq!(gmo.pinned_pages(), PageCount(15));
    assert_eq!(gmo.first_pinned(guest(0, 100)), Some(guest(10, 25)));
    gmo.unpin(one).unwrap();
    assert_eq!(gmo.first_pinned(guest(0, 100)), Some(guest(15, 25)));
    assert!(gmo.unmap(&[guest(10, 16)]).is_err());
    assert_eq!(gmo.unmap(&[guest(10, 15)]).unwrap().pages(), PageCount(5));
    gmo.unpin(two).unwrap();
    assert_eq!(gmo.pinned_pages(), PageCount::ZERO);
    assert_eq!(gmo.unmap(&[guest(15, 2048)]).unwrap().pages(), PageCount(2033));
}

#[test]
fn only_mapped_pages_can_be_pinned() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    for bad in [GuestPage(2048), GuestPage(1 << 40), GuestPage(u64::MAX)] {
        assert_eq!(gmo.pin(&[GuestPage(1), bad, GuestPage(9999)]).unwrap_err(), PinError { page: bad });
        assert_eq!(gmo.pinned_pages(), PageCount::ZERO);
    }
    let none = gmo.pin(&[]).unwrap();
    gmo.unpin(none).unwrap();
}

#[test]
fn a_pin_opens_its_own_map_only() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    let (_other_host, _other_pool, mut other) = vm_of_8_mib();
    let pin = gmo.pin(&[GuestPage(1)]).unwrap();
    let same_number = other.pin(&[GuestPage(1)]).unwrap();
    assert_eq!(pin.id(), same_number.id());
    let error = other.unpin(pin).unwrap_err();
    assert_eq!(other.pinned_pages(), PageCount(1));
    gmo.unpin(error.pin).unwrap();
    assert_eq!(gmo.pinned_pages(), PageCount::ZERO);
}

#[test]
fn a_pin_that_is_lost_pins_for_good() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    drop(gmo.pin(&[GuestPage(1)]).unwrap());
    assert!(gmo.unmap(&[guest(1, 2)]).is_err());
    assert_eq!(gmo.into_frames().pages(), PageCount(2048));
}

#[test]
fn a_vm_that_is_no_more_gives_everything_back() {
    let (host, mut pool, gmo) = vm_of_8_mib();
    drop(gmo);
    assert_eq!(host.returned_pages(), PageCount(2048));
    pool.merge(host.collect()).unwrap();
    assert_eq!(pool.pages(), host.total());
}

#[test]
fn a_worker_that_panics_gives_everything_back() {
    let (host, pool, mut gmo) = vm_of_8_mib();
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let out = gmo.unmap(&[guest(0, 100)]).unwrap();
        assert_eq!(out.pages(), gmo.pages(), "the worker fails here");
    }));
    assert!(unwound.is_err());
    assert_eq!(host.returned_pages() + pool.pages(), host.total());
}

#[test]
fn every_other_page_can_go() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    let every_other: Vec<_> = (0..1024).map(|n| guest(2 * n, 2 * n + 1)).collect();
    let frames = gmo.unmap(&every_other).unwrap();
    assert_eq!((gmo.counts(), gmo.run_count()), (large(0, 1024), 1024));
    gmo.map_ranges(&every_other, frames).unwrap();
    assert_eq!((gmo.counts(), gmo.run_count()), (large(4, 0), 1));
}
