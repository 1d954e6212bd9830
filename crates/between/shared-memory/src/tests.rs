use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn pages_are_zeroed_and_adjacent() {
    let region = Region::process(3).unwrap();
    let data = region.all_pages().data().unwrap();
    assert_eq!((data.len(), data.byte_len(), data.is_contiguous()), (3 * 512, 3 * 4096, true));
    assert!(data.run(0).iter().all(|word| word.load(Ordering::Relaxed) == 0));
    assert_eq!(data.run(512).len(), 1024);
    assert!(data.run(1536).is_empty() && data.run(usize::MAX).is_empty());
    assert!(region.page(3).is_none());
    assert_eq!(Region::process(0).unwrap_err(), RegionError::Empty);
    assert_eq!(Region::process(usize::MAX).unwrap_err(), RegionError::TooLarge { pages: usize::MAX });
}

#[test]
fn runs_of_pages_from_everywhere() {
    let (one, other) = (Region::process(4).unwrap(), Region::process(2).unwrap());
    let pick = |region: &Arc<Region>, index| region.page(index).unwrap();
    // Two adjacent, one of another region, two adjacent, one that goes back.
    let pages: MappedPages =
        [pick(&one, 1), pick(&one, 2), pick(&other, 0), pick(&one, 2), pick(&one, 3), pick(&one, 0)]
            .into_iter()
            .collect();
    let data = pages.data().unwrap();
    assert!(!data.is_contiguous());
    let lengths: Vec<usize> = (0..6).map(|page| data.run(page * 512).len()).collect();
    assert_eq!(lengths, [1024, 512, 512, 1024, 512, 512]);
    for word in 0..data.len() {
        data.run(word)[0].store(word as u64, Ordering::Relaxed);
    }
    // Page 2 of `one` occurs twice: the later one was written last.
    assert_eq!(data.run(512 + 7)[0].load(Ordering::Relaxed), 3 * 512 + 7);
    assert_eq!(data.run(5 * 512 + 511)[0].load(Ordering::Relaxed), 5 * 512 + 511);
    assert_eq!(pages.slice(2..4).unwrap().data().unwrap().len(), 1024);
    assert!(pages.slice(4..7).is_none());
}

#[test]
fn one_width_at_a_time() {
    let region = Region::process(2).unwrap();
    let page = region.page(0).unwrap();
    let control = page.control().unwrap();
    let again = page.control().unwrap();
    control[16].store(0x0403_0201u32.to_le(), Ordering::Relaxed);
    assert_eq!(again[16].load(Ordering::Relaxed), 0x0403_0201u32.to_le());
    let conflict = WidthConflict { page: 0, in_use: Width::Bits32, wanted: Width::Bits64 };
    assert_eq!(page.data().unwrap_err(), conflict.into());
    assert_eq!(region.all_pages().data().unwrap_err(), conflict.into(), "one of several pages");
    assert_eq!(region.viewed_pages(), 1, "a refusal leaves nothing behind");
    drop((control, again));
    assert_eq!(region.viewed_pages(), 0);

    let data = page.data().unwrap();
    assert_eq!(data.run(8)[0].load(Ordering::Relaxed), u64::from_le(0x0403_0201), "the bytes stay");
    let conflict = WidthConflict { page: 0, in_use: Width::Bits64, wanted: Width::Bits32 };
    assert_eq!(page.control().unwrap_err(), conflict.into());
    assert!(region.page(1).unwrap().control().is_ok(), "other pages are free");
}

#[test]
fn views_outlive_the_region_handle() {
    let region = Region::process(1).unwrap();
    let (page, data) = (region.page(0).unwrap(), region.page(0).unwrap().data().unwrap());
    drop(region);
    page.write(4088, b"the end.").unwrap();
    assert_eq!(data.run(511)[0].load(Ordering::Relaxed).to_ne_bytes(), *b"the end.");
}

#[test]
fn copies_stay_inside_the_page() {
    let region = Region::process(2).unwrap();
    let page = region.page(0).unwrap();
    for (offset, len) in [(4096, 1), (4090, 7), (0, 4097), (usize::MAX, 2)] {
        assert_eq!(page.write(offset, &vec![1; len]), Err(OutOfPage { offset, len }.into()));
        assert_eq!(page.read(offset, &mut vec![1; len]), Err(OutOfPage { offset, len }.into()));
    }
    page.write(4096, &[]).unwrap();
    page.write(0, &[7; 4096]).unwrap();
    let mut next = [1; 4096];
    region.page(1).unwrap().read(0, &mut next).unwrap();
    assert_eq!(next, [0; 4096]);
}

#[repr(align(4096))]
struct ForeignPages {
    _bytes: [u8; 2 * PAGE_BYTES],
}

struct Owner {
    memory: *mut ForeignPages,
    dropped: Arc<AtomicBool>,
}

#[expect(unsafe_code, reason = "plays a hypervisor that has mapped guest RAM")]
// SAFETY: the pointer is the only one to its allocation, and is used in `drop` only.
unsafe impl Send for Owner {}
#[expect(unsafe_code, reason = "as above")]
// SAFETY: no method takes a shared reference.
unsafe impl Sync for Owner {}

impl Drop for Owner {
    #[expect(unsafe_code, reason = "the counterpart of `Box::into_raw`")]
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        // SAFETY: made by `Box::into_raw`, dropped once.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

#[test]
#[expect(unsafe_code, reason = "plays a hypervisor that has mapped guest RAM")]
fn foreign_memory_lives_as_long_as_its_pages() {
    let dropped = Arc::new(AtomicBool::new(false));
    let memory = Box::into_raw(Box::new(ForeignPages { _bytes: [5; 2 * PAGE_BYTES] }));
    let owner = Owner { memory, dropped: Arc::clone(&dropped) };
    let base = NonNull::new(memory.cast::<u8>()).unwrap();
    // SAFETY: aligned, two pages, owned by `owner`, and from here on accessed through the region only.
    let region = unsafe { Region::from_raw(base, 2, Box::new(owner)) }.unwrap();
    let page = region.page(1).unwrap();
    drop(region);
    let mut byte = [0];
    page.read(4095, &mut byte).unwrap();
    assert_eq!(byte, [5]);
    let view = page.data().unwrap();
    drop(page);
    assert!(!dropped.load(Ordering::Relaxed));
    assert_eq!(view.run(0)[0].load(Ordering::Relaxed), u64::from_ne_bytes([5; 8]));
    drop(view);
    assert!(dropped.load(Ordering::Relaxed));
}

/// Two processes have two mappings (`vmbus` has a test with two). In one process the second mapping would have claims of its own,
/// and the two could be used in different widths.
#[test]
fn a_memfd_is_mapped_once_by_a_process() {
    let (region, fd) = Region::memfd("pages", 2).unwrap();
    let copy = fd.try_clone().unwrap();
    for again in [fd.as_fd(), copy.as_fd()] {
        let refused = Region::from_memfd(again, 1).unwrap_err();
        assert!(matches!(refused, MemfdError::MappedAlready), "{refused}");
    }
    let (_other, _its_fd) = Region::memfd("other pages", 2).unwrap();
    let page = region.page(0).unwrap();
    page.write(100, b"hello").unwrap();
    drop(region);
    assert!(matches!(Region::from_memfd(fd.as_fd(), 2), Err(MemfdError::MappedAlready)), "the page keeps it");
    drop(page);
    let later = Region::from_memfd(fd.as_fd(), 2).unwrap();
    let mut bytes = [0; 5];
    later.page(0).unwrap().read(100, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello", "the file keeps its bytes");
    drop((fd, copy));
    later.page(0).unwrap().read(100, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello", "the mapping keeps the file");
}

#[test]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one")]
fn nothing_touches_withdrawn_pages() {
    let region = Region::process(8).unwrap();
    let held = region.page(3).unwrap().control().unwrap();
    assert_eq!(region.withdraw(&[0..1, 2..5]), Err(WithdrawError::InUse { page: 3 }), "all or none");
    assert_eq!(region.withdraw(&[0..1, 7..9]), Err(WithdrawError::Beyond { have: 8, wanted: 9 }));
    assert_eq!((region.withdrawn_pages(), region.withdrawn_runs()), (0, 0));
    assert_eq!((region.viewed_of(&[0..3, 4..9]), region.viewed_of(&[0..1, 2..5])), (None, Some(3)));
    drop(held);
    assert_eq!(region.viewed_of(std::slice::from_ref(&(0..8))), None);
    assert_eq!(region.withdraw(&[0..1, 2..5, 4..6]), Ok(vec![0..1, 2..5, 5..6]));
    assert_eq!(region.withdraw(&[1..3]), Ok(vec![1..2]), "what is new of it");
    reinstate(&region, 1..2);
    assert_eq!(region.withdrawn_of(&[0..4, 5..8]), [0..1, 2..4, 5..6]);
    assert_eq!((region.withdrawn_pages(), region.withdrawn_runs()), (5, 2));
    let page = region.page(4).unwrap();
    let withdrawn = Withdrawn { page: 4 };
    assert_eq!(page.read(0, &mut [0]), Err(withdrawn.into()));
    assert_eq!(page.write(0, &[1]), Err(withdrawn.into()));
    assert_eq!(page.control().unwrap_err(), withdrawn.into());
    assert_eq!(page.data().unwrap_err(), withdrawn.into());
    let all = region.all_pages().data().unwrap_err();
    assert_eq!(all, Withdrawn { page: 0 }.into());
    assert_eq!(region.viewed_pages(), 0, "a refusal leaves nothing behind");
    assert!(region.page(1).unwrap().write(0, &[1]).is_ok(), "other pages are free");
    reinstate(&region, 3..5);
    assert_eq!((region.withdrawn_pages(), region.withdrawn_runs()), (3, 3));
    page.write(0, &[2]).unwrap();
    assert!(page.data().is_ok());
}

#[expect(unsafe_code, reason = "takes back a withdrawal")]
fn reinstate(region: &Region, pages: std::ops::Range<usize>) {
    // SAFETY: process memory, which was accessible all the time.
    unsafe { region.reinstate(&[pages]) };
}

#[test]
fn a_memfd_that_could_vanish_is_refused() {
    let (_region, fd) = Region::memfd("pages", 2).unwrap();
    assert!(rustix::fs::ftruncate(&fd, 4096).is_err(), "sealed");
    let error = Region::from_memfd(fd.as_fd(), 3).unwrap_err();
    assert!(matches!(error, MemfdError::TooSmall { have: 8192, need: 12288 }), "{error}");
    assert!(matches!(Region::from_memfd(fd.as_fd(), 0), Err(MemfdError::Size(RegionError::Empty))));

    let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
    let unsealed = rustix::fs::memfd_create("unsealed", flags).unwrap();
    rustix::fs::ftruncate(&unsealed, 8192).unwrap();
    assert!(matches!(Region::from_memfd(unsealed.as_fd(), 2), Err(MemfdError::NotSealed)));
    // Something that is no memfd at all cannot have the seal.
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(matches!(Region::from_memfd(file.as_fd(), 1), Err(MemfdError::System { .. })));
}

proptest! {
    /// Copies in any width are copies of bytes, and leave what is beside them.
    #[test]
    fn copies_are_those_of_a_byte_array(
        as_control in any::<bool>(),
        writes in vec((0usize..4096, vec(any::<u8>(), 0..40)), 0..40),
        (at, len) in (0usize..4096, 0usize..80),
    ) {
        let region = Region::process(1).unwrap();
        let page = region.page(0).unwrap();
        let held = as_control.then(|| page.control().unwrap());
        let mut model = vec![0; 4096];
        for (offset, bytes) in &writes {
            let end = offset + bytes.len();
            let fits = end <= 4096;
            prop_assert_eq!(page.write(*offset, bytes).is_ok(), fits);
            if fits {
                model[*offset..end].copy_from_slice(bytes);
            }
        }
        drop(held);
        let len = len.min(4096 - at);
        let mut out = vec![0; len];
        page.read(at, &mut out).unwrap();
        prop_assert_eq!(&out[..], &model[at..at + len]);
    }
}

/// Neighbouring bytes of one word, written by two threads, both arrive.
#[test]
fn partial_words_do_not_lose_their_neighbours() {
    let region = Region::process(1).unwrap();
    let writer = |offset: usize| {
        let page = region.page(0).unwrap();
        move || {
            for round in 0..10_000u32 {
                page.write(offset, &[round as u8]).unwrap();
                let mut seen = [0];
                page.read(offset, &mut seen).unwrap();
                assert_eq!(seen[0], round as u8, "overwritten by a neighbour");
            }
        }
    };
    std::thread::scope(|scope| {
        for offset in 0..2 {
            scope.spawn(writer(offset));
        }
    });
}
