use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::{HostMemory, LARGE_PAGE_PAGES, PageRange};

fn silent(pages: u64) -> (Arc<HostMemory>, HostFrames) {
    HostMemory::new(PageCount(pages), Arc::new(|| {}))
}

fn range(start: u64, end: u64) -> HostRange {
    HostRange::between(start, end).unwrap()
}

fn set<const N: usize>(runs: [(u64, u64); N]) -> RangeSet<HostPage> {
    runs.into_iter().map(|(start, end)| range(start, end)).collect()
}

fn pages_of(runs: &RangeSet<HostPage>) -> BTreeSet<u64> {
    runs.runs().flat_map(PageRange::each_page).map(|page| page.0).collect()
}

#[test]
fn all_memory_is_minted_once() {
    let (host, frames) = silent(1000);
    assert_eq!(frames.pages(), PageCount(1000));
    assert!(!frames.is_empty());
    assert_eq!(host.total(), PageCount(1000));
    assert!(host.collect().is_empty());
    assert_eq!(host.returned_pages(), PageCount::ZERO);
    assert_eq!(frames.runs(), &set([(0, 1000)]));
}

#[test]
fn a_host_without_memory() {
    let (host, frames) = silent(0);
    assert!(frames.is_empty());
    drop(frames);
    assert_eq!(host.returned_pages(), PageCount::ZERO);
}

#[test]
fn dropped_frames_come_home_and_ring_the_bell() {
    let rung = Arc::new(AtomicU64::new(0));
    let bell = rung.clone();
    let ring = move || {
        bell.fetch_add(1, Ordering::Relaxed);
    };
    let (host, mut frames) = HostMemory::new(PageCount(1000), Arc::new(ring));
    drop(frames.take(PageCount(10)).unwrap());
    frames.take(PageCount(20)).unwrap().send_home();
    assert_eq!(rung.load(Ordering::Relaxed), 2);
    assert_eq!(host.returned_pages(), PageCount(30));
    let back = host.collect();
    assert_eq!(back.pages(), PageCount(30));
    frames.merge(back).unwrap();
    assert_eq!(frames.runs(), &set([(0, 1000)]));
    drop(frames.empty_like());
    drop(host.collect());
    assert_eq!(rung.load(Ordering::Relaxed), 2, "no frames, no bell");
}

#[test]
fn a_home_is_told_which_frames_come_home() {
    #[derive(Default)]
    struct Noting(std::sync::OnceLock<RangeSet<HostPage>>);
    impl FrameHome for Noting {
        fn come_home(&self, frames: ReturnedFrames) {
            self.0.set(frames.runs().clone()).unwrap();
        }
    }
    let home = Arc::new(Noting::default());
    let came = set([(3, 7), (20, 21)]);
    drop(HostFrames::mint(came.clone(), home.clone()));
    assert_eq!(home.0.get(), Some(&came));
}

#[test]
fn frames_can_be_collected_when_the_bell_rings() {
    use std::sync::OnceLock;
    let host_of_bell: Arc<OnceLock<Arc<HostMemory>>> = Arc::default();
    let collected = Arc::new(AtomicU64::new(0));
    let (for_bell, count) = (host_of_bell.clone(), collected.clone());
    let ring = move || {
        // Collected and kept for good: dropping them would ring again.
        let frames = Box::leak(Box::new(for_bell.get().unwrap().collect()));
        count.fetch_add(frames.pages().get(), Ordering::Relaxed);
    };
    let (host, frames) = HostMemory::new(PageCount(64), Arc::new(ring));
    host_of_bell.set(host).unwrap();
    drop(frames);
    assert_eq!(collected.load(Ordering::Relaxed), 64);
}

#[test]
fn frames_come_home_in_unwinding() {
    let (host, mut frames) = silent(1000);
    let mut kept = frames.empty_like();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let mine = frames.take(PageCount(100)).unwrap();
        kept.merge(frames.take(PageCount(50)).unwrap()).unwrap();
        let boxed = Box::new(frames.take(PageCount(25)).unwrap());
        assert_eq!(mine.pages() + boxed.pages(), PageCount::ZERO, "a component fails here");
    }));
    assert!(unwound.is_err());
    assert_eq!(host.returned_pages(), PageCount(125));
    assert_eq!(frames.pages() + kept.pages() + host.returned_pages(), host.total());
}

#[test]
fn frames_come_home_from_other_threads() {
    let (host, mut frames) = silent(4096);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut mine = frames.take(PageCount(1024)).unwrap();
            scope.spawn(move || while mine.take(PageCount(3)).is_some() {});
        }
    });
    assert_eq!(host.collect().runs(), &set([(0, 4096)]));
}

#[test]
fn frames_of_two_hosts_do_not_mix() {
    let (one, mut frames_of_one) = silent(100);
    let (other, frames_of_other) = silent(200);
    assert!(!frames_of_one.same_home(&frames_of_other));
    let error = frames_of_one.merge(frames_of_other).unwrap_err();
    assert_eq!(error.to_string(), "200 pages of another host's memory cannot be merged into this one's");
    assert_eq!(frames_of_one.pages(), PageCount(100));
    assert_eq!(error.frames.pages(), PageCount(200));
    drop(error);
    assert_eq!((one.returned_pages(), other.returned_pages()), (PageCount::ZERO, PageCount(200)));
    // Not even if one has nothing yet, and not after a collection.
    let mut none = HostFrames::empty_of(&one);
    assert!(none.merge(other.collect()).is_err());
    assert_eq!(other.returned_pages(), PageCount(200));
    assert!(none.merge(frames_of_one).is_ok());
}

#[test]
fn a_host_outlives_its_owner_while_frames_are_out() {
    let (host, frames) = silent(10);
    let weak = Arc::downgrade(&host);
    drop(host);
    assert_eq!(weak.upgrade().unwrap().total(), PageCount(10));
    drop(frames);
    assert!(weak.upgrade().is_none());
}

#[test]
fn large_pages_are_of_the_run_that_fits_best() {
    let (_host, mut frames) = silent(512 * 20);
    // Runs of 3, 1, 2 and 10 large pages.
    for gap in [3, 5, 8, 9] {
        drop(frames.take_range(range(512 * gap, 512 * (gap + 1))).unwrap());
    }
    let mut take = |large: u64| {
        let taken = frames.take(PageCount(512 * large)).unwrap();
        taken.runs().runs().map(|run| (run.start().0 / 512, run.end() / 512)).collect::<Vec<_>>()
    };
    assert_eq!(take(2), [(6, 8)], "two of two, and not of the three below");
    assert_eq!(take(1), [(4, 5)]);
    assert_eq!(take(4), [(10, 14)], "the part of a longer run that is lowest");
    assert_eq!(take(8), [(0, 3), (14, 19)], "no run has eight: the lowest");
    assert_eq!(take(1), [(19, 20)]);
}

#[test]
fn large_pages_first_then_fragments_then_a_broken_large_page() {
    let (_host, mut frames) = silent(4096);
    // Leave fragments of 12 and 88 pages, and the large pages from 512, 1024 and 2048.
    for gap in [range(0, 500), range(1536, 1948), range(2560, 4096)] {
        drop(frames.take_range(gap).unwrap());
    }
    drop(frames.take_range(range(1948, 1960)).unwrap());
    assert_eq!(frames.runs(), &set([(500, 1536), (1960, 2560)]));
    let taken = frames.take(PageCount(512 + 100 + 5)).unwrap();
    assert_eq!(taken.runs(), &set([(500, 517), (1960, 2560)]));
    let taken = frames.take(PageCount(512)).unwrap();
    assert_eq!(taken.runs(), &set([(1024, 1536)]), "a whole large page before the rest of a broken one");
    assert!(frames.take(PageCount(508)).is_none());
    assert_eq!(frames.take_up_to(PageCount(508)).pages(), PageCount(507));
    assert!(frames.is_empty());
}

#[test]
fn a_named_run_is_taken_whole_or_not_at_all() {
    let (_host, mut frames) = silent(100);
    let some = frames.take_exact(&set([(10, 20), (30, 40)])).unwrap();
    assert_eq!(some.runs(), &set([(10, 20), (30, 40)]));
    let error = frames.take_exact(&set([(0, 5), (8, 12)])).unwrap_err();
    assert_eq!(error, NotOwned { missing: range(10, 12) });
    assert_eq!(frames.take_range(range(0, 1 << 40)).unwrap_err(), NotOwned { missing: range(10, 20) });
    assert_eq!(frames.pages(), PageCount(80));
}

#[derive(Clone, Debug)]
enum Action {
    Take { pile: usize, pages: u64 },
    TakeExact { pile: usize, runs: Vec<HostRange> },
    Merge { into: usize, from: usize },
    Drop { pile: usize },
    Unwind { pile: usize, pages: u64 },
    Collect,
}

const PAGES: u64 = 5 * LARGE_PAGE_PAGES + 100;

fn actions() -> impl Strategy<Value = Action> {
    let pages = || prop_oneof![0..20u64, 0..PAGES, Just(512), Just(1024), Just(513)];
    let run = (0..PAGES, 1..700u64).prop_map(|(start, pages)| range(start, start + pages));
    prop_oneof![
        6 => (any::<usize>(), pages()).prop_map(|(pile, pages)| Action::Take { pile, pages }),
        3 => (any::<usize>(), prop::collection::vec(run, 0..3))
            .prop_map(|(pile, runs)| Action::TakeExact { pile, runs }),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(into, from)| Action::Merge { into, from }),
        2 => any::<usize>().prop_map(|pile| Action::Drop { pile }),
        1 => (any::<usize>(), pages()).prop_map(|(pile, pages)| Action::Unwind { pile, pages }),
        2 => Just(Action::Collect),
    ]
}

/// What [`HostFrames::take`] promises to choose, found page by page.
fn naive_choice(owned: &BTreeSet<u64>, want: u64) -> BTreeSet<u64> {
    let mut blocks: Vec<u64> = owned.iter().map(|page| page / 512).collect();
    blocks.dedup();
    blocks.retain(|block| (block * 512..block * 512 + 512).all(|page| owned.contains(&page)));
    // The shortest run of blocks that has as many, or else the lowest blocks.
    let wanted = (want / 512) as usize;
    let runs = blocks.chunk_by(|one, next| one + 1 == *next);
    let fits = runs.filter(|run| run.len() >= wanted).min_by_key(|run| (run.len(), run[0]));
    let whole: Vec<u64> = fits.unwrap_or(&blocks).iter().copied().take(wanted).collect();
    let mut chosen: BTreeSet<u64> = whole.iter().flat_map(|block| block * 512..block * 512 + 512).collect();
    let fragments = owned.iter().filter(|&page| !blocks.contains(&(page / 512)));
    let broken =
        owned.iter().filter(|&page| blocks.contains(&(page / 512)) && !whole.contains(&(page / 512)));
    let rest = want as usize - chosen.len();
    chosen.extend(fragments.chain(broken).take(rest));
    chosen
}

proptest! {
    #[test]
    fn every_frame_has_one_owner_at_any_time(history in prop::collection::vec(actions(), 1..40)) {
        let (host, frames) = silent(PAGES);
        let mut piles = vec![frames];
        for action in history {
            let count = piles.len();
            match action {
                Action::Take { pile, pages } => {
                    let pile = &mut piles[pile % count];
                    let before = pages_of(pile.runs());
                    match pile.take(PageCount(pages)) {
                        None => prop_assert!(pages > before.len() as u64),
                        Some(taken) => {
                            prop_assert_eq!(pages_of(taken.runs()), naive_choice(&before, pages));
                            piles.push(taken);
                        }
                    }
                }
                Action::TakeExact { pile, runs } => {
                    let pile = &mut piles[pile % count];
                    let (runs, before): (RangeSet<_>, _) = (runs.into_iter().collect(), pile.pages());
                    let owned = pile.runs().contains_all(&runs);
                    match pile.take_exact(&runs) {
                        Ok(taken) => {
                            prop_assert!(owned);
                            prop_assert_eq!(taken.runs(), &runs);
                            piles.push(taken);
                        }
                        Err(NotOwned { missing }) => {
                            prop_assert!(!owned && !pile.runs().intersects(missing));
                            prop_assert_eq!(pile.pages(), before);
                        }
                    }
                }
                Action::Merge { into, from } if count > 1 => {
                    let from = piles.swap_remove(from % count);
                    piles[into % (count - 1)].merge(from).unwrap();
                }
                Action::Drop { pile } if count > 1 => drop(piles.swap_remove(pile % count)),
                Action::Unwind { pile, pages } => {
                    let pile = &mut piles[pile % count];
                    let pages = PageCount(pages);
                    let unwound = catch_unwind(AssertUnwindSafe(|| {
                        let _lost = pile.take_up_to(pages);
                        std::panic::resume_unwind(Box::new("a component fails here"));
                    }));
                    prop_assert!(unwound.is_err());
                }
                Action::Collect => piles.push(host.collect()),
                Action::Merge { .. } | Action::Drop { .. } => {}
            }
            let mut all: Vec<u64> = piles.iter().flat_map(|pile| pages_of(pile.runs())).collect();
            let owned = all.len() as u64;
            prop_assert_eq!(owned + host.returned_pages().get(), PAGES);
            all.sort_unstable();
            all.dedup();
            prop_assert_eq!(all.len() as u64, owned, "a frame has two owners");
        }
        drop(piles);
        let all = set([(0, PAGES)]);
        let home = host.collect();
        prop_assert_eq!(home.runs(), &all);
    }
}
