//! A whole host against one bad guest among good ones, on generated input.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use whole_stack_tests::{Reached, fuzz_host_bad_guest};

/// What a bad guest does that gets far: its channel opens, it speaks the protocol for a while, then something goes wrong.
fn far() -> impl Strategy<Value = Vec<u8>> {
    // The numbers are those of `BadGuest::act`: connect, wait, handshake, wait for the quiet period to end.
    let begin = vec![0, 100, 3, 0, 10, 3, 3, 3 + 160, 0, 9, 3, 5, 0, 7, 3, 19, 100, 30, 7 + 224, 50, 7];
    let step = prop_oneof![
        3 => Just(vec![3 + 160]),
        4 => (0..255u8).prop_map(|claim| vec![19, 100, claim]),
        8 => (any::<u8>(), 0..20u8).prop_map(|(variant, wait)| vec![7, 12 + 224, variant, wait]),
        3 => (any::<u8>(), 0..20u8).prop_map(|(variant, wait)| vec![7, 17 + 224, variant, wait]),
        2 => prop::collection::vec(any::<u8>(), 1..8),
        2 => (0..40u8).prop_map(|wait| vec![7 + 224, wait]),
        1 => any::<u8>().prop_map(|variant| vec![3, 0, variant, 0, 3, 3, 4, 3, 5, 2, 7, 7]),
    ];
    prop::collection::vec(step, 0..60).prop_map(move |steps| [begin.clone(), steps.concat()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_bad_guest_harms_no_other(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_host_bad_guest(&bytes);
    }

    #[test]
    fn a_bad_guest_that_gets_far_harms_no_other(bytes in far()) {
        fuzz_host_bad_guest(&bytes);
    }
}

/// The function would find nothing if its guests got nowhere.
#[test]
fn bad_guests_get_everywhere() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut all = Reached::default();
    for _ in 0..200 {
        let bytes = far().new_tree(&mut runner).unwrap().current();
        all += fuzz_host_bad_guest(&bytes);
    }
    let Reached {
        opened,
        handshakes,
        balloon_requests,
        unballoon_requests,
        hot_add_requests,
        rescinded,
        logged,
        ..
    } = all;
    assert!(opened > 30 && handshakes > 10, "{all:?}");
    assert!(balloon_requests > 5 && unballoon_requests > 0 && hot_add_requests > 5, "{all:?}");
    assert!(logged > 20, "{all:?}");
    assert!(rescinded > 5 && all.offers > 30 && all.boots >= 40, "{all:?}");
}
