use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use page_range::{GuestPage, PageCount};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{EVENT_FLAGS, POST_BUFFERS, VMBUS_SINT};

fn range(start: u64, pages: u64) -> GuestRange {
    GuestRange::new(GuestPage(start), PageCount(pages)).unwrap()
}

fn counter() -> (Arc<AtomicU32>, NotifyFn) {
    let count = Arc::new(AtomicU32::new(0));
    let notify = {
        let count = Arc::clone(&count);
        Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        })
    };
    (count, notify)
}

fn rings(count: &AtomicU32) -> u32 {
    count.swap(0, Ordering::Relaxed)
}

#[test]
fn memory_exists_only_where_it_is_touched() {
    let partition = SimulatedPartition::new(1);
    let (host, guest) = (partition.host(), partition.guest());
    host.add(range(0, 1 << 20)).unwrap();
    assert_eq!(host.resident(), 0);

    let mut bytes = [1; 4];
    host.read(0x1234_5678, &mut bytes).unwrap();
    assert_eq!((bytes, host.resident()), ([0; 4], 0), "reading zeros takes no memory");

    guest.write(0x1ffe, &[1, 2, 3, 4]).unwrap();
    assert_eq!(host.resident(), 2 * 4096);
    host.read(0x1ffd, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 1, 2, 3]);

    let far = GuestPage(1 << 20);
    assert_eq!(guest.write(far.0 * 4096, &[1]), Err(MemoryError::NotMemory { page: far }));
    assert_eq!(guest.pages(&[0, far.0]).unwrap_err(), MemoryError::NotMemory { page: far });
    let beyond = MemoryError::BeyondAddressSpace { gpa: u64::MAX, len: 4 };
    assert_eq!(guest.read(u64::MAX, &mut bytes), Err(beyond));
    assert_eq!(
        host.add(range((1 << 20) - 1, 2)),
        Err(MemoryError::Overlap { range: range((1 << 20) - 1, 2) })
    );
}

#[test]
fn discarded_pages_are_nobodys_until_they_are_restored_and_held_ones_stay_readable() {
    let partition = SimulatedPartition::new(1);
    let (host, guest) = (partition.host(), partition.guest());
    host.add(range(0, 1000)).unwrap();
    guest.write(7 * 4096, b"seven").unwrap();
    guest.write(8 * 4096, b"eight").unwrap();
    let pinned = host.pages(&[7]).unwrap();

    let outside = host.discard(&[range(7, 1), range(999, 2)]);
    assert_eq!(outside, Err(MemoryError::NotMemory { page: GuestPage(1000) }));
    assert_eq!(host.resident(), 2 * 4096, "all or nothing");

    host.discard(&[range(0, 8), range(500, 100)]).unwrap();
    assert_eq!(host.resident(), 4096);
    let mut bytes = [1; 5];
    let gone = MemoryError::NotMemory { page: GuestPage(7) };
    assert_eq!(guest.read(7 * 4096, &mut bytes), Err(gone));
    assert_eq!(guest.write(7 * 4096, b"taken back"), Err(gone));
    assert_eq!(guest.pages(&[7]).unwrap_err(), gone);
    assert_eq!(host.pages(&[8, 7]).unwrap_err(), gone);
    assert_eq!(host.resident(), 4096, "a guest that touches what it gave away has nothing of it");
    assert_eq!(host.add(range(7, 1)), Err(MemoryError::Overlap { range: range(7, 1) }));
    guest.read(8 * 4096, &mut bytes).unwrap();
    assert_eq!(&bytes, b"eight");

    assert_eq!(
        host.restore(&[range(7, 1), range(1000, 1)]),
        Err(MemoryError::NotMemory { page: GuestPage(1000) })
    );
    assert_eq!(guest.read(7 * 4096, &mut bytes), Err(gone), "all or nothing");
    host.restore(&[range(7, 2)]).unwrap();
    guest.read(7 * 4096, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 5]);
    assert_eq!(guest.read(6 * 4096, &mut bytes), Err(MemoryError::NotMemory { page: GuestPage(6) }));

    pinned.get(0).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"seven", "here, whoever holds the page keeps its bytes");
    guest.write(7 * 4096, b"again").unwrap();
    pinned.get(0).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"seven", "and no longer sees the guest's");
}

#[test]
fn both_sides_see_one_page_and_a_ring_is_contiguous() {
    let partition = SimulatedPartition::new(1);
    let (host, guest) = (partition.host(), partition.guest());
    host.add(range(0, 1000)).unwrap();
    let scattered = [900, 3, 500, 3];
    let of_guest = guest.pages(&scattered[..3]).unwrap().data().unwrap();
    let of_host = host.pages(&scattered[..3]).unwrap().data().unwrap();
    assert!(of_guest.is_contiguous() && of_host.is_contiguous());
    of_guest.run(600)[0].store(42, Ordering::Relaxed);
    assert_eq!(of_host.run(600)[0].load(Ordering::Relaxed), 42);
    let mut bytes = [0; 8];
    host.read(3 * 4096 + (600 - 512) * 8, &mut bytes).unwrap();
    assert_eq!(u64::from_ne_bytes(bytes), 42);

    let twice = host.pages(&scattered).unwrap();
    assert_eq!(twice.len(), 4);
    assert!(twice.get(1).unwrap().control().is_err(), "in use as data");
}

#[test]
fn one_message_slot_and_a_call_when_it_is_free() {
    let partition = SimulatedPartition::new(2);
    let (host, guest) = (partition.host(), partition.guest());
    let (interrupts, handler) = counter();
    let (free, on_free) = counter();
    host.try_post(0, VMBUS_SINT, b"early").unwrap();
    guest.on_interrupt(0, VMBUS_SINT, handler).unwrap();
    assert_eq!(rings(&interrupts), 1, "an interrupt before the handler is not lost");
    host.on_slot_free(0, VMBUS_SINT, on_free).unwrap();

    assert_eq!(host.try_post(0, VMBUS_SINT, b"second"), Err(PostError::Busy));
    assert_eq!((rings(&interrupts), rings(&free)), (0, 0));
    assert_eq!(&*guest.take_message(0, VMBUS_SINT).unwrap(), b"early");
    assert_eq!(rings(&free), 1);
    assert_eq!(guest.take_message(0, VMBUS_SINT), None);
    host.try_post(0, VMBUS_SINT, b"second").unwrap();
    assert_eq!(rings(&interrupts), 1);
    assert_eq!(&*guest.take_message(0, VMBUS_SINT).unwrap(), b"second");
    assert_eq!(rings(&free), 0, "no EOM unless the host waits");

    host.try_post(1, VMBUS_SINT, &[7; 240]).unwrap();
    let too_long = PostError::TooLong(crate::MessageTooLong { len: 241 });
    assert_eq!(host.try_post(0, VMBUS_SINT, &[0; 241]), Err(too_long));
    for (vp, sint) in [(2, VMBUS_SINT), (u32::MAX, VMBUS_SINT), (0, 16)] {
        let missing = NoSuchSint { vp, sint };
        assert_eq!(host.try_post(vp, sint, b"x"), Err(PostError::NoSuchSint(missing)));
        assert_eq!(host.set_event(vp, sint, 0), Err(missing));
        assert_eq!(guest.take_message(vp, sint), None);
    }
}

#[test]
fn an_event_flag_interrupts_when_it_was_clear() {
    let partition = SimulatedPartition::new(1);
    let (host, guest) = (partition.host(), partition.guest());
    let (interrupts, handler) = counter();
    guest.on_interrupt(0, VMBUS_SINT, handler).unwrap();
    assert!(guest.take_events(0, VMBUS_SINT).is_empty());
    for flag in [1, 1, 2047, 64, 1, EVENT_FLAGS] {
        host.set_event(0, VMBUS_SINT, flag).unwrap();
    }
    assert_eq!(rings(&interrupts), 3);
    let taken = guest.take_events(0, VMBUS_SINT);
    assert_eq!(taken.iter().collect::<Vec<_>>(), [1, 64, 2047]);
    assert!(guest.take_events(0, VMBUS_SINT).is_empty());
    host.set_event(0, VMBUS_SINT, 1).unwrap();
    assert_eq!(rings(&interrupts), 1);
}

#[test]
fn sixteen_post_buffers_for_each_connection() {
    let partition = SimulatedPartition::new(1);
    let (host, guest) = (partition.host(), partition.guest());
    let (posted, notify) = counter();
    assert_eq!(guest.post_message(1, b"hello"), HvStatus::InvalidConnectionId);
    host.open_message_port(1, Arc::clone(&notify)).unwrap();
    assert_eq!(host.open_message_port(1, notify), Err(ConnectionInUse { connection_id: 1 }));
    for number in 0..POST_BUFFERS as u8 {
        assert_eq!(guest.post_message(1, &[number]), HvStatus::Success);
    }
    assert_eq!(guest.post_message(1, b"one too many"), HvStatus::InsufficientBuffers);
    assert_eq!(guest.post_message(1, &[0; 241]), HvStatus::InvalidParameter);
    assert_eq!(rings(&posted), 16);
    assert_eq!(&*host.take_posted(1).unwrap(), [0]);
    assert_eq!(guest.post_message(1, &[16]), HvStatus::Success);
    let rest: Vec<u8> = std::iter::from_fn(|| host.take_posted(1)).map(|message| message[0]).collect();
    assert_eq!(rest, (1..=16).collect::<Vec<u8>>());
    host.close_message_port(1);
    assert_eq!(guest.post_message(1, b"hello"), HvStatus::InvalidConnectionId);
    assert_eq!(host.take_posted(1), None);
}

#[test]
fn a_signal_calls_the_function_of_its_connection() {
    let partition = SimulatedPartition::new(1);
    let (host, guest) = (partition.host(), partition.guest());
    let (signals, notify) = counter();
    assert_eq!(guest.signal_event(17, 0), HvStatus::InvalidConnectionId);
    host.open_event_port(17, Arc::clone(&notify)).unwrap();
    assert_eq!(host.open_event_port(17, notify), Err(ConnectionInUse { connection_id: 17 }));
    assert_eq!(guest.signal_event(17, 0), HvStatus::Success);
    assert_eq!(guest.signal_event(17, 1), HvStatus::InvalidParameter);
    assert_eq!(rings(&signals), 1);
    host.close_event_port(17);
    assert_eq!(guest.signal_event(17, 0), HvStatus::InvalidConnectionId);
}

#[test]
fn reset_forgets_what_the_guest_had() {
    let partition = SimulatedPartition::new(1);
    let (host, guest) = (partition.host(), partition.guest());
    host.add(range(0, 10)).unwrap();
    guest.write(0, b"x").unwrap();
    host.open_message_port(1, Arc::new(|| {})).unwrap();
    assert_eq!(guest.post_message(1, b"x"), HvStatus::Success);
    host.try_post(0, VMBUS_SINT, b"x").unwrap();
    let (free, on_free) = counter();
    host.on_slot_free(0, VMBUS_SINT, on_free).unwrap();
    assert_eq!(host.try_post(0, VMBUS_SINT, b"y"), Err(PostError::Busy));
    host.set_event(0, VMBUS_SINT, 3).unwrap();
    host.reset();
    assert_eq!(rings(&free), 1, "the slot that the host waits for is free");
    assert_eq!(host.resident(), 0);
    assert_eq!(guest.take_message(0, VMBUS_SINT), None);
    assert!(guest.take_events(0, VMBUS_SINT).is_empty());
    assert_eq!(host.take_posted(1), None);
    host.add(range(0, 10)).unwrap();
    assert_eq!(guest.post_message(1, b"again"), HvStatus::Success);
}

#[derive(Clone, Debug)]
enum Action {
    Add(u64, u64),
    Discard(Vec<(u64, u64)>),
    Restore(Vec<(u64, u64)>),
    Write(u64, Vec<u8>),
    Read(u64, usize),
}

fn action() -> impl Strategy<Value = Action> {
    let pages = || (0u64..24, 1u64..6);
    prop_oneof![
        2 => pages().prop_map(|(start, count)| Action::Add(start, count)),
        2 => vec(pages(), 0..3).prop_map(Action::Discard),
        2 => vec(pages(), 0..3).prop_map(Action::Restore),
        4 => (0u64..26 * 4096, vec(any::<u8>(), 0..5000)).prop_map(|(gpa, bytes)| Action::Write(gpa, bytes)),
        4 => (0u64..26 * 4096, 0usize..9000).prop_map(|(gpa, len)| Action::Read(gpa, len)),
    ]
}

proptest! {
    /// Guest memory is what a table of byte pages is: absent, taken, zero, or what was written last.
    #[test]
    fn memory_is_a_table_of_pages(actions in vec(action(), 1..40)) {
        let partition = SimulatedPartition::new(1);
        let (host, guest) = (partition.host(), partition.guest());
        // Pages that are memory; `Some` if they exist.
        let mut model: BTreeMap<u64, Option<Vec<u8>>> = BTreeMap::new();
        // Of these, those that were taken.
        let mut taken: BTreeSet<u64> = BTreeSet::new();
        for action in actions {
            match action {
                Action::Add(start, count) => {
                    let free = (start..start + count).all(|page| !model.contains_key(&page));
                    prop_assert_eq!(host.add(range(start, count)).is_ok(), free);
                    if free {
                        model.extend((start..start + count).map(|page| (page, None)));
                    }
                }
                Action::Discard(ranges) => {
                    let pages: Vec<u64> =
                        ranges.iter().flat_map(|&(start, count)| start..start + count).collect();
                    let all = pages.iter().all(|page| model.contains_key(page));
                    let ranges: Vec<_> = ranges.iter().map(|&(start, count)| range(start, count)).collect();
                    prop_assert_eq!(host.discard(&ranges).is_ok(), all);
                    if all {
                        taken.extend(&pages);
                        model.extend(pages.into_iter().map(|page| (page, None)));
                    }
                }
                Action::Restore(ranges) => {
                    let pages: Vec<u64> =
                        ranges.iter().flat_map(|&(start, count)| start..start + count).collect();
                    let all = pages.iter().all(|page| model.contains_key(page));
                    let ranges: Vec<_> = ranges.iter().map(|&(start, count)| range(start, count)).collect();
                    prop_assert_eq!(host.restore(&ranges).is_ok(), all);
                    if all {
                        taken.retain(|page| !pages.contains(page));
                    }
                }
                Action::Write(gpa, bytes) => {
                    // Up to the first page that is not memory.
                    let mut done = true;
                    for (at, &byte) in (gpa..).zip(&bytes) {
                        let Some(page) = model.get_mut(&(at / 4096)).filter(|_| !taken.contains(&(at / 4096))) else {
                            done = false;
                            break;
                        };
                        page.get_or_insert_with(|| vec![0; 4096])[(at % 4096) as usize] = byte;
                    }
                    prop_assert_eq!(guest.write(gpa, &bytes).is_ok(), done);
                }
                Action::Read(gpa, len) => {
                    let expected: Option<Vec<u8>> = (gpa..gpa + len as u64)
                        .map(|at| {
                            let page = model.get(&(at / 4096)).filter(|_| !taken.contains(&(at / 4096)))?;
                            Some(page.as_ref().map_or(0, |page| page[(at % 4096) as usize]))
                        })
                        .collect();
                    let mut out = vec![0xee; len];
                    let outcome = host.read(gpa, &mut out);
                    prop_assert_eq!(outcome.is_ok(), expected.is_some());
                    if let Some(expected) = expected {
                        prop_assert_eq!(out, expected);
                    }
                }
            }
            let existing = model.values().filter(|page| page.is_some()).count() as u64;
            prop_assert_eq!(host.resident(), existing * 4096);
        }
    }

    /// Flags are a set: what was set since the last look, each with one interrupt.
    #[test]
    fn event_flags_are_a_set(rounds in vec(vec(0u16..2200, 0..30), 0..10)) {
        let partition = SimulatedPartition::new(1);
        let (host, guest) = (partition.host(), partition.guest());
        let (interrupts, handler) = counter();
        guest.on_interrupt(0, VMBUS_SINT, handler).unwrap();
        for round in rounds {
            for &flag in &round {
                host.set_event(0, VMBUS_SINT, flag).unwrap();
            }
            let expected: BTreeSet<u16> = round.into_iter().filter(|&flag| flag < EVENT_FLAGS).collect();
            prop_assert_eq!(rings(&interrupts) as usize, expected.len());
            let taken: Vec<u16> = guest.take_events(0, VMBUS_SINT).iter().collect();
            prop_assert_eq!(taken, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
