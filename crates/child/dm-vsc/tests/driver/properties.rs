//! What holds for any host.

use super::*;
use dm_vsc::test_support::fuzz_host;
use proptest::collection::vec;
use proptest::prelude::*;

/// Inputs that only bounce off the handshake would prove nothing.
#[test]
fn arbitrary_hosts_get_everywhere() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let mut reached = [false; 6];
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..600).map(|_| random()).collect();
        let run = fuzz_host(&bytes);
        let here = [
            run.handshakes > 1,
            run.ended > 0,
            !run.given.is_zero(),
            !run.taken_back.is_zero(),
            !run.left_alone.is_zero(),
            !run.added.is_zero(),
        ];
        reached.iter_mut().zip(here).for_each(|(reached, here)| *reached |= here);
    }
    assert_eq!(reached, [true; 6]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    #[test]
    fn any_host_is_survived(bytes in vec(any::<u8>(), 0..600)) {
        let _ = fuzz_host(&bytes);
    }

    #[test]
    fn inputs_and_state_can_be_stored(bytes in vec(any::<u8>(), 0..40)) {
        let input = Input::Packet(bytes);
        let text = serde_json::to_string(&input).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Input>(&text).unwrap(), &input);
        let guest = running(VscConfig::linux());
        let text = serde_json::to_string(&guest.vsc).unwrap();
        prop_assert_eq!(&serde_json::from_str::<DmVsc>(&text).unwrap(), &guest.vsc);
    }
}
