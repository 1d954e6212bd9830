use page_range::GuestPage;
use proptest::prelude::*;

use super::*;
use crate::find_profile;

const SECOND: Duration = Duration::from_secs(1);

fn mib(n: u64) -> PageCount {
    PageCount::from_mib(n)
}

fn range(start: u64, pages: PageCount) -> GuestRange {
    GuestRange::new(GuestPage(start), pages).unwrap()
}

fn manager(ram: u64, page_file: u64) -> MemoryManager {
    let profile = *find_profile("ws2008-r2-sp1").unwrap();
    MemoryManager::new(profile, &[range(0, mib(ram))], PageFileSize::Fixed(mib(page_file)), Duration::ZERO)
}

/// A process that committed and keeps touching so much.
fn busy(memory: &mut MemoryManager, size: PageCount) -> ProcessId {
    let process = memory.start_process(true);
    memory.allocate(process, size).unwrap();
    memory.set_active(process, size);
    process
}

#[test]
fn memory_is_free_then_zeroed() {
    let mut memory = manager(2048, 0);
    assert_eq!(memory.counters().free, mib(2048));
    memory.advance(SECOND);
    assert_eq!(memory.counters().zeroed, mib(1024));
    memory.advance(SECOND * 2);
    assert_eq!(memory.counters().free, PageCount::ZERO);
    assert_eq!(memory.available(), mib(2048));
    assert_eq!(memory.next_timeout(), None);
}

#[test]
fn commit_fails_at_the_limit_and_changes_nothing() {
    let mut memory = manager(256, 128);
    let process = busy(&mut memory, mib(200));
    assert_eq!(memory.commit_limit(), mib(384));
    let before = memory.counters();
    let error = memory.allocate(process, mib(185)).unwrap_err();
    assert_eq!(error, CommitFailed { requested: mib(185), left: mib(184) });
    // Nothing has changed but that the process still wants what it was refused.
    assert_eq!(memory.counters(), Counters { commit_failures: 1, refused: mib(185), ..before });
    memory.allocate(process, mib(186)).unwrap_err();
    assert_eq!(memory.refused(), mib(186), "asked for again, not in addition");
    memory.withdraw(process);
    assert_eq!(memory.refused(), PageCount::ZERO);
    memory.allocate(process, mib(185)).unwrap_err();
    memory.allocate(process, mib(184)).unwrap();
    assert_eq!(memory.refused(), PageCount::ZERO);
    memory.allocate(process, mib(1)).unwrap_err();
    memory.release(process, mib(1));
    assert_eq!(memory.refused(), PageCount::ZERO);
    memory.check().unwrap();
}

#[test]
fn ballooned_memory_counts_as_committed_and_stays_visible() {
    let mut memory = manager(1024, 512);
    memory.advance(SECOND);
    busy(&mut memory, mib(100));
    let given = memory.allocate_balloon(mib(300), mib(64));
    assert_eq!(given.pages(), mib(300));
    assert_eq!(memory.visible(), mib(1024));
    assert_eq!(memory.committed(), mib(400));
    assert_eq!(memory.available(), mib(624));
    assert_eq!(
        (memory.committed() - memory.ballooned(), memory.visible() - memory.ballooned()),
        (mib(100), mib(724))
    );
    assert_eq!(memory.counters().driver_locked(), mib(300));
    assert_eq!(memory.free_balloon(&given.ranges), mib(300));
    assert_eq!(memory.committed(), mib(100));
    memory.check().unwrap();
}

#[test]
fn the_balloon_gets_whole_large_pages_and_leaves_the_floor() {
    let mut memory = manager(1024, 512);
    memory.advance(SECOND);
    busy(&mut memory, mib(101) + PageCount(3));
    let given = memory.allocate_balloon(mib(4096), mib(64));
    assert!(all_large(&given), "{given:?}");
    let left = memory.available() - mib(64);
    assert!(left < PageCount::LARGE_PAGE, "{left}");
    assert_eq!((given.trimmed, given.write_time), (PageCount::ZERO, Duration::ZERO));
    assert!(memory.allocate_balloon(mib(2), mib(64)).ranges.is_empty());
    // Who asks for pages gets pages.
    assert_eq!(memory.allocate_balloon(PageCount(100), mib(64)).pages(), PageCount(100));
    memory.check().unwrap();
}

fn all_large(given: &BalloonAllocation) -> bool {
    given.ranges.iter().all(|range| range.large_part() == Some(*range))
}

#[test]
fn linux_gives_single_pages_for_the_rest() {
    let profile = *find_profile("linux").unwrap();
    let ram = [range(0, mib(512))];
    let mut memory = MemoryManager::new(profile, &ram, PageFileSize::Fixed(mib(512)), Duration::ZERO);
    let floor = mib(100) + PageCount(5);
    let given = memory.allocate_balloon(mib(512), floor);
    assert_eq!((memory.available(), given.pages()), (floor, mib(412) - PageCount(5)));
    let large = given.ranges.iter().filter_map(|range| range.large_part());
    assert_eq!(large.map(GuestRange::pages).sum::<PageCount>(), mib(410));
}

#[test]
fn large_pages_are_built_of_broken_ones() {
    let mut memory = manager(64, 64);
    memory.advance(SECOND);
    // Of every large page an application has half, another a little, and the rest is free.
    let (half, little) = (memory.start_process(true), memory.start_process(true));
    let block = |n: u64, from: u64, to: u64| GuestRange::between(n * 512 + from, n * 512 + to).unwrap();
    let whole = core::mem::take(&mut memory.lists.zeroed);
    assert_eq!(whole.pages(), mib(64));
    for n in 0..32 {
        memory.lists.zeroed.insert(block(n, 266, 512));
        memory.processes.change(0, |process| process.resident.insert(block(n, 0, 256)));
        memory.processes.change(1, |process| process.modified.insert(block(n, 256, 266)));
    }
    memory.processes.change(0, |process| process.commit = PageCount(32 * 256));
    memory.processes.change(1, |process| process.commit = PageCount(32 * 10));
    memory.check().unwrap();
    let before = (memory.process(half), memory.process(little), memory.available());
    let given = memory.allocate_balloon(mib(20), PageCount::ZERO);
    assert!(all_large(&given), "{given:?}");
    assert_eq!(given.pages(), mib(20));
    memory.check().unwrap();
    assert_eq!((memory.process(half), memory.process(little)), (before.0, before.1));
    assert_eq!(memory.available(), before.2 - mib(20));
}

#[test]
fn pages_of_drivers_and_of_the_kernel_are_not_moved() {
    let mut memory = manager(4, 64);
    let kernel = memory.start_process(false);
    memory.allocate_nonpaged(kernel, PageCount(10)).unwrap();
    let rest = memory.lists.free.take_lowest(PageCount(502 + 256));
    let _locked: Vec<_> = memory.allocate_locked(PageCount(10)).unwrap();
    memory.lists.free.insert_all(rest);
    // Both large pages have something that stays.
    let given = memory.allocate_balloon(mib(2), PageCount::ZERO);
    assert_eq!(given.pages(), mib(2));
    assert!(!all_large(&given), "{given:?}");
    memory.check().unwrap();
}

#[test]
fn the_balloon_trims_what_nobody_touches() {
    let mut memory = manager(1024, 512);
    memory.advance(SECOND);
    let process = busy(&mut memory, mib(900));
    memory.set_active(process, mib(700));
    let given = memory.allocate_balloon(mib(400), mib(64));
    assert_eq!(given.trimmed, mib(200));
    assert_eq!(given.pages(), mib(1024 - 900 - 64 + 200));
    assert_eq!(given.write_time, Duration::from_secs_f64(200.0 / PAGE_WRITES));
    assert_eq!(memory.counters().page_writes, mib(200).get());
    assert!(!memory.process(process).unwrap().stalled);
    memory.check().unwrap();
}

const PAGE_WRITES: f64 = crate::constants::PAGE_WRITE_RATE.value;

#[test]
fn without_a_page_file_the_balloon_stops_where_commit_does() {
    let mut memory = manager(1024, 0);
    let process = busy(&mut memory, mib(900));
    memory.set_active(process, PageCount::ZERO);
    assert_eq!(memory.allocate_balloon(mib(400), PageCount::ZERO).pages(), mib(124));
    memory.check().unwrap();
}

#[test]
fn driver_pages_are_never_ballooned() {
    let mut memory = manager(64, 64);
    let rings = memory.allocate_locked(PageCount(10)).unwrap();
    assert_eq!(rings.len(), 10);
    let given = memory.allocate_balloon(mib(64) - PageCount(1), PageCount::ZERO);
    assert!(rings.iter().all(|&page| given.ranges.iter().all(|range| !range.contains(page))));
    assert_eq!(given.pages(), mib(64) - PageCount(10));
    assert_eq!(memory.counters().driver_locked(), mib(64), "all drivers together");
    let error = memory.allocate_locked(PageCount(1)).unwrap_err();
    assert_eq!(error.available, PageCount::ZERO);
    assert_eq!(memory.free_locked(&[GuestPage(u64::MAX), rings[0], rings[0]]), PageCount(1));
    memory.check().unwrap();
}

#[test]
fn only_ballooned_pages_come_back() {
    let mut memory = manager(64, 0);
    busy(&mut memory, mib(8));
    let given = memory.allocate_balloon(mib(16), PageCount::ZERO);
    let all = range(0, PageCount(u64::MAX));
    assert_eq!(memory.free_balloon(&[range(1 << 39, mib(1))]), PageCount::ZERO);
    assert_eq!(memory.free_balloon(&[all, all]), mib(16));
    assert_eq!(memory.free_balloon(&given.ranges), PageCount::ZERO);
    memory.check().unwrap();
}

#[test]
fn hot_add_is_checked() {
    let mut memory = manager(512, 0);
    let granule = mib(2);
    let start = mib(512).get();
    assert_eq!(memory.hot_add(range(start + 1, mib(2))), Err(HotAddRefused::Misaligned { granule }));
    assert_eq!(
        memory.hot_add(range(start, mib(2) + PageCount(1))),
        Err(HotAddRefused::Misaligned { granule })
    );
    assert_eq!(memory.hot_add(range(start - 512, mib(4))), Err(HotAddRefused::Overlap));
    assert_eq!(memory.hot_add(range(start, mib(64))), Ok(mib(64)));
    assert_eq!(memory.hot_add(range(start, mib(64))), Err(HotAddRefused::Overlap));
    assert_eq!((memory.visible(), memory.available()), (mib(576), mib(576)));
    assert!(!HotAddRefused::Overlap.is_permanent());
    memory.check().unwrap();
}

#[test]
fn hot_add_ends_at_the_editions_limit() {
    let profile = *find_profile("ws2003-r2-sp2-standard-x86").unwrap();
    let mut memory =
        MemoryManager::new(profile, &[range(0, mib(3072))], PageFileSize::Fixed(mib(0)), Duration::ZERO);
    assert_eq!(memory.hot_add(range(1 << 21, mib(2048))), Ok(mib(1024)));
    let error = memory.hot_add(range(1 << 22, mib(2))).unwrap_err();
    assert_eq!(error, HotAddRefused::EditionLimit { limit: mib(4096) });
    assert!(error.is_permanent());
}

#[test]
fn an_allocation_beyond_memory_waits_for_the_page_file() {
    let mut memory = manager(256, 512);
    let idle = busy(&mut memory, mib(200));
    memory.set_active(idle, mib(20));
    let eager = memory.start_process(true);
    memory.allocate(eager, mib(150)).unwrap();
    memory.set_active(eager, mib(150));
    assert!(memory.process(eager).unwrap().stalled);
    assert_eq!(memory.process(eager).unwrap().resident, mib(56));
    let mut now = Duration::ZERO;
    while let Some(next) = memory.next_timeout() {
        assert!(next > now && next < SECOND * 60);
        now = next;
        memory.advance(now);
        memory.check().unwrap();
    }
    let counters = memory.counters();
    let report = memory.process(eager).unwrap();
    assert_eq!(report.resident, mib(150));
    assert!(!report.stalled && report.stall > SECOND, "{report:?}");
    assert_eq!(counters.stall, report.stall);
    assert!(counters.page_writes >= mib(94).get());
    assert_eq!(counters.page_reads, 0);

    // Touching again what was paged out costs reads, at the speed of the disk.
    memory.release(eager, mib(140));
    memory.set_active(idle, mib(200));
    memory.advance(now + SECOND * 60);
    let counters = memory.counters();
    assert!(counters.page_reads > 0);
    assert!(counters.page_reads <= crate::constants::PAGE_READ_RATE.pages().get() * 61);
}

#[test]
fn working_sets_that_do_not_fit_thrash_for_ever_and_stall() {
    let mut memory = manager(256, 512);
    let processes = [busy(&mut memory, mib(200)), busy(&mut memory, mib(200))];
    memory.advance(SECOND * 60);
    let before = memory.counters();
    memory.advance(SECOND * 120);
    let after = memory.counters();
    assert!(after.page_reads - before.page_reads > mib(100).get());
    assert!(after.stall - before.stall > SECOND * 60);
    memory.release(processes[0], mib(200));
    memory.advance(SECOND * 240);
    let recovered = memory.counters();
    memory.advance(SECOND * 300);
    assert_eq!(memory.counters().page_reads, recovered.page_reads);
    assert_eq!(memory.next_timeout(), None);
}

#[test]
fn little_memory_trims_cold_pages_before_anybody_waits() {
    let mut memory = manager(4096, 4096);
    assert_eq!(memory.low_memory_threshold(), mib(32));
    let process = busy(&mut memory, mib(4080));
    memory.set_active(process, mib(1000));
    memory.advance(SECOND * 5);
    assert_eq!(memory.available(), mib(64));
    assert_eq!(memory.counters().stall, Duration::ZERO);
    assert_eq!(memory.next_timeout(), None);
}

#[test]
fn the_file_cache_gives_way_first() {
    let mut memory = manager(512, 512);
    memory.start_file_cache();
    let mut seen = PageCount::ZERO;
    for second in 1..=200 {
        memory.advance(SECOND * second);
        assert!(memory.counters().standby >= seen);
        seen = memory.counters().standby;
    }
    assert_eq!(memory.available(), mib(512));
    assert!(seen > mib(400), "{seen}");
    assert_eq!(memory.counters().cache_faults, seen.get());
    busy(&mut memory, mib(300));
    let counters = memory.counters();
    assert_eq!((counters.available, counters.page_writes), (mib(212), 0));
}

#[test]
fn linux_takes_memory_in_blocks_and_never_trims_for_the_balloon() {
    let profile = *find_profile("linux").unwrap();
    let mut memory =
        MemoryManager::new(profile, &[range(0, mib(512))], PageFileSize::Fixed(mib(512)), Duration::ZERO);
    let process = busy(&mut memory, mib(100));
    memory.set_active(process, PageCount::ZERO);
    assert_eq!(memory.hot_add(range(1 << 20, mib(64))), Err(HotAddRefused::Misaligned { granule: mib(128) }));
    assert_eq!(memory.hot_add(range(1 << 20, mib(128))), Ok(mib(128)));
    assert_eq!(memory.balloon_floor(), mib(104 + 80));
    let given = memory.allocate_balloon(mib(1024), memory.balloon_floor());
    assert_eq!((given.pages(), given.trimmed), (mib(640 - 100 - 184), PageCount::ZERO));
}

#[test]
fn files_that_fit_are_read_once_and_files_that_do_not_each_time() {
    let mut memory = manager(256, 0);
    let process = memory.start_process(true);
    let read = |memory: &mut MemoryManager, pages, all| {
        let before = memory.counters().cache_faults;
        memory.read_files(process, mib(pages), mib(all));
        PageCount(memory.counters().cache_faults - before)
    };
    assert_eq!(read(&mut memory, 60, 100), mib(60));
    assert_eq!(read(&mut memory, 60, 100), mib(40), "from the first one again, which is there");
    assert_eq!(read(&mut memory, 300, 100), PageCount::ZERO);
    assert_eq!((memory.available(), memory.counters().standby), (mib(256), mib(100)));
    // A program takes the room of what came first, from 0 to 44 MB. The reader has come to 20 MB.
    let other = busy(&mut memory, mib(200));
    assert_eq!(memory.counters().standby, mib(56));
    assert_eq!(read(&mut memory, 24, 100), mib(24));
    // From then on each page takes the place of the one that is wanted next.
    assert_eq!(read(&mut memory, 24, 100), PageCount::ZERO + mib(24));
    assert_eq!(read(&mut memory, 100, 100), mib(100));
    // And gives it back: once round, and all of it is there.
    memory.end_process(other);
    assert!(read(&mut memory, 100, 100) < mib(100));
    assert_eq!(read(&mut memory, 100, 100), PageCount::ZERO);
    memory.check().unwrap();
}

#[test]
fn a_look_at_the_oldest_pages_brings_back_what_is_out_as_the_next_go_out() {
    let mut memory = manager(64, 256);
    let process = memory.start_process(true);
    memory.allocate(process, mib(100)).unwrap();
    memory.advance(SECOND * 30);
    let out = memory.process(process).unwrap().paged_out;
    assert!((mib(30)..mib(50)).contains(&out), "{out}");
    let before = memory.counters();
    memory.look_at_oldest(process, mib(60));
    memory.advance(SECOND * 60);
    let after = memory.counters();
    assert_eq!(PageCount(after.page_reads - before.page_reads), mib(60));
    assert!(after.page_writes - before.page_writes > mib(50).get());
    assert_eq!(memory.next_timeout(), None, "it has looked");
    // What it has just looked at is what it has in memory.
    memory.look_at_oldest(process, mib(40));
    memory.advance(SECOND * 90);
    assert_eq!(memory.counters().page_reads, after.page_reads);
    // With nothing out there is nothing to bring back.
    memory.release(process, mib(80));
    let reads = memory.counters().page_reads;
    memory.advance(memory.now() + SECOND);
    memory.look_at_oldest(process, mib(1));
    memory.advance(memory.now() + SECOND);
    assert!(memory.counters().page_reads <= reads + mib(1).get());
    memory.check().unwrap();
}

#[test]
fn what_is_discarded_is_free_and_stays_committed() {
    let mut memory = manager(256, 0);
    let process = memory.start_process(true);
    memory.allocate(process, mib(100)).unwrap();
    assert_eq!(memory.discard(process, mib(60)), mib(60));
    assert_eq!((memory.committed(), memory.available()), (mib(100), mib(216)));
    assert_eq!(memory.release(process, mib(60)), mib(60));
    assert_eq!(
        (memory.committed(), memory.available()),
        (mib(40), mib(216)),
        "what was discarded goes first"
    );
    memory.check().unwrap();
}

#[derive(Clone, Debug)]
enum Call {
    Start,
    End(usize),
    Allocate(usize, u64),
    Release(usize, u64),
    Active(usize, u64),
    Look(usize, u64),
    Discard(usize, u64),
    Files(usize, u64, u64),
    Balloon(u64, u64),
    FreeBalloon(u64, u64),
    HotAdd(u64, u64),
    Lock(u64),
    Unlock(u64),
    Advance(u64),
}

fn call() -> impl Strategy<Value = Call> {
    let process = 0..4_usize;
    let pages = 0..6000_u64;
    prop_oneof![
        Just(Call::Start),
        process.clone().prop_map(Call::End),
        (process.clone(), pages.clone()).prop_map(|(p, n)| Call::Allocate(p, n)),
        (process.clone(), pages.clone()).prop_map(|(p, n)| Call::Allocate(p, n)),
        (process.clone(), pages.clone()).prop_map(|(p, n)| Call::Release(p, n)),
        (process.clone(), pages.clone()).prop_map(|(p, n)| Call::Active(p, n)),
        (process.clone(), pages.clone()).prop_map(|(p, n)| Call::Active(p, n)),
        (process.clone(), pages.clone()).prop_map(|(p, n)| Call::Look(p, n)),
        (process.clone(), pages.clone()).prop_map(|(p, n)| Call::Discard(p, n)),
        (process, pages.clone(), pages.clone()).prop_map(|(p, n, all)| Call::Files(p, n, all)),
        (pages.clone(), 0..2000_u64).prop_map(|(n, floor)| Call::Balloon(n, floor)),
        (0..16_384_u64, 1..4096_u64).prop_map(|(start, n)| Call::FreeBalloon(start, n)),
        (0..32_u64, 1..8_u64).prop_map(|(start, n)| Call::HotAdd(start, n)),
        (0..64_u64).prop_map(Call::Lock),
        (0..16_384_u64).prop_map(Call::Unlock),
        (1..5000_u64).prop_map(Call::Advance),
        (1..5000_u64).prop_map(Call::Advance),
    ]
}

fn apply(memory: &mut MemoryManager, processes: &mut Vec<ProcessId>, call: &Call) {
    let chosen =
        |at: usize| processes.get(at % processes.len().max(1)).copied().unwrap_or(ProcessId(u32::MAX));
    match *call {
        Call::Start => {
            let process = memory.start_process(true);
            processes.push(process);
        }
        Call::End(at) => {
            let process = chosen(at);
            memory.end_process(process);
            assert_eq!(memory.process(process), None);
        }
        Call::Allocate(at, n) => {
            let left = memory.commit_limit() - memory.committed();
            let known = memory.process(chosen(at)).is_some();
            let granted = memory.allocate(chosen(at), PageCount(n)).is_ok();
            assert_eq!(granted, known && n <= left.get());
        }
        Call::Release(at, n) => {
            let before = memory.committed();
            let released = memory.release(chosen(at), PageCount(n));
            assert_eq!(memory.committed() + released, before);
        }
        Call::Active(at, n) => memory.set_active(chosen(at), PageCount(n)),
        Call::Look(at, n) => memory.look_at_oldest(chosen(at), PageCount(n)),
        Call::Discard(at, n) => {
            let (committed, unused) = (memory.committed(), memory.lists.unused());
            memory.discard(chosen(at), PageCount(n));
            assert_eq!(memory.committed(), committed);
            assert!(memory.lists.unused() >= unused);
        }
        Call::Files(at, n, all) => {
            let available = memory.available();
            memory.read_files(chosen(at), PageCount(n), PageCount(all));
            assert_eq!(memory.available(), available);
        }
        Call::Balloon(n, floor) => {
            let (had, before) = (memory.ballooned_pages().clone(), memory.available());
            let given = memory.allocate_balloon(PageCount(n), PageCount(floor));
            assert!(given.pages().get() <= n);
            assert!(memory.available() >= before.min(PageCount(floor)));
            for range in &given.ranges {
                assert!(memory.present_pages().contains_range(*range) && !had.intersects(*range));
            }
        }
        Call::FreeBalloon(start, n) => {
            let range = range(start, PageCount(n));
            let there = memory.ballooned_pages().pages_within(range);
            assert_eq!(memory.free_balloon(&[range]), there);
        }
        Call::HotAdd(start, n) => {
            let before = memory.visible();
            let added = memory.hot_add(range(start * 512, PageCount(n * 512))).unwrap_or_default();
            assert_eq!(memory.visible(), before + added);
        }
        Call::Lock(n) => {
            if let Ok(pages) = memory.allocate_locked(PageCount(n)) {
                assert_eq!(pages.len() as u64, n);
                assert!(pages.iter().all(|&page| !memory.ballooned_pages().contains(page)));
            }
        }
        Call::Unlock(page) => {
            memory.free_locked(&[GuestPage(page)]);
        }
        Call::Advance(milliseconds) => memory.advance(memory.now() + Duration::from_millis(milliseconds)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Every page is on exactly one list, sums add up and commit stays below its limit, whatever happens; and once the
    /// working sets fit, paging comes to rest.
    #[test]
    fn pages_are_conserved_and_paging_ends(page_file in 0..24_u64, calls in prop::collection::vec(call(), 1..80)) {
        let mut memory = manager(16, page_file);
        let mut processes = vec![memory.start_process(true), memory.start_process(true)];
        for call in &calls {
            apply(&mut memory, &mut processes, call);
            if let Err(error) = memory.check() {
                return Err(TestCaseError::fail(format!("after {call:?}: {error}")));
            }
        }
        memory.free_balloon(&[range(0, PageCount(1 << 40))]);
        let usable = memory.visible() - memory.ballooned() - memory.counters().other_locked;
        let share = PageCount(usable.get() / 2 / processes.len() as u64);
        for &process in &processes {
            memory.set_active(process, share);
        }
        memory.advance(memory.now() + SECOND * 600);
        prop_assert!(processes.iter().all(|&p| memory.process(p).is_none_or(|report| !report.stalled)));
        prop_assert_eq!(memory.next_timeout(), None);
        prop_assert_eq!(memory.check(), Ok(()));
    }

    /// How often the model is advanced changes nothing while nobody pages.
    #[test]
    fn counters_do_not_depend_on_how_often_one_looks(looks in prop::collection::vec(1..2000_u64, 0..40)) {
        let run = |looks: &[u64]| {
            let mut memory = manager(256, 256);
            busy(&mut memory, mib(100));
            memory.start_file_cache();
            for &milliseconds in looks {
                memory.advance(memory.now() + Duration::from_millis(milliseconds));
            }
            memory.advance(SECOND * 400);
            (memory.available(), memory.committed(), memory.counters().page_reads, memory.counters().in_use)
        };
        prop_assert_eq!(run(&looks), run(&[]));
    }
}
