//! Any bytes as a QEMU.

use proptest::prelude::*;
use qemu_host::test_support::Knobs;

use crate::rig::{Rig, mib};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_a_qemu_says_the_session_goes_on_or_gives_up(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        qemu_host::test_support::session(&data);
    }
}

/// Inputs as a fuzzer makes them come as far as they are to come.
#[test]
fn fuzz_inputs_reach_reports_requests_and_refusals() {
    let mut rng =
        proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::XorShift, &[7; 16]);
    let mut count = [0; 4];
    for _ in 0..500 {
        // A byte says what a piece is; most are QEMU's own answers, or a fuzzer would see little else than their end.
        let data: Vec<u8> = (0..60)
            .flat_map(|_| {
                let own = !rng.next_u32().is_multiple_of(16);
                let first = if own { 232 + (rng.next_u32() % 3) as u8 } else { rng.next_u32() as u8 };
                let first = if rng.next_u32().is_multiple_of(12) { 255 } else { first };
                let mut piece = vec![first, 0, 0, 0, 0];
                // At most some MB to ask for.
                piece.extend((0..19).map(|at| if at > 15 { rng.next_u32() as u8 } else { 0 }));
                piece
            })
            .collect();
        let reached = qemu_host::test_support::session(&data);
        let is = [reached.ready, reached.reported, reached.accepted, reached.given_up];
        for (count, is) in count.iter_mut().zip(is) {
            *count += u32::from(is);
        }
    }
    assert!(count.iter().all(|&count| count > 20), "{count:?}");
}

#[test]
fn a_qemu_that_talks_nonsense_costs_only_itself() {
    let vms = vec![Knobs::new("a", 512), Knobs::new("b", 512), Knobs::new("c", 512)];
    let (moments, _) = Rig::new(900, 120, vms)
        .at(50, |qemus| {
            qemus.with("b", |qemu| {
                let most =
                    format!("{{\"event\": \"BALLOON_CHANGE\", \"data\": {{\"actual\": {}}}}}\n", u64::MAX);
                qemu.knobs.say = most.repeat(2000).into_bytes();
            });
        })
        .at(70, |qemus| {
            qemus.with("c", |qemu| qemu.knobs.say = b"GET / HTTP/1.1\r\n".to_vec());
        })
        .at(71, |qemus| {
            qemus.with("a", |qemu| qemu.knobs.used = 300 << 20);
        })
        .run();
    let end = moments.last().unwrap();
    assert!(end.has("a") >= 358, "{}", end.has("a"));
    assert!(end.has("b") < 512);
    for moment in &moments[40..] {
        assert!(moment.may_have <= mib(900) || moment.assigned("c").is_none(), "{:?}", moment.snapshot.now);
    }
}
