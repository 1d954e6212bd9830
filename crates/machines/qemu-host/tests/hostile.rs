//! Any bytes as a QEMU, and any text as a libvirt.

use proptest::prelude::*;
use qemu_host::test_support::Knobs;

use crate::rig::{Rig, mib};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_a_qemu_says_the_session_goes_on_or_gives_up(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        qemu_host::test_support::session(&data);
    }

    #[test]
    fn whatever_libvirt_prints_its_domains_go_on_or_are_given_up(data in prop::collection::vec(any::<u8>(), 0..2000)) {
        qemu_host::test_support::libvirt(&data);
    }

    #[test]
    fn whatever_numbers_libvirt_prints_no_vm_has_more_than_it_can(
        texts in prop::collection::vec((any::<u8>(), prop::collection::vec((0..9_usize, 0..64_u32, any::<u64>()), 0..12)), 0..8),
    ) {
        const NAMES: [&str; 9] = ["state.state", "balloon.current", "balloon.maximum", "balloon.available", "balloon.usable",
            "balloon.unused", "balloon.disk_caches", "balloon.swap_out", "balloon.last-update"];
        let mut data = Vec::new();
        for (first, fields) in texts {
            data.push(first.max(1));
            data.extend_from_slice(b"\nDomain: 'a'\n  state.state=1\n  balloon.current=1024\n  balloon.maximum=524288\n");
            for (name, shift, value) in fields {
                data.extend_from_slice(format!("  {}={}\n", NAMES[name], value >> shift).as_bytes());
            }
            data.push(0);
        }
        qemu_host::test_support::libvirt(&data);
    }
}

/// The corpus's texts, with bytes of them changed, come as far as they are to come.
#[test]
fn fuzz_inputs_reach_reports_requests_and_refusals_of_libvirt() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/libvirt_text");
    let corpus: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    let mut rng =
        proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::XorShift, &[7; 16]);
    let mut count = [0; 4];
    for _ in 0..500 {
        let mut data = corpus[rng.next_u32() as usize % corpus.len()].clone();
        for _ in 0..rng.next_u32() % 4 {
            let at = rng.next_u32() as usize % data.len();
            data[at] = b'0' + (rng.next_u32() % 10) as u8;
        }
        let reached = qemu_host::test_support::libvirt(&data);
        let is = [reached.ready, reached.reported, reached.accepted, reached.given_up];
        for (count, is) in count.iter_mut().zip(is) {
            *count += u32::from(is);
        }
    }
    assert!(count.iter().all(|&count| count > 20), "{count:?}");
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
