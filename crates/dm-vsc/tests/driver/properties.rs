//! What holds for any host.

use super::*;
use dm_vsc::test_support::fuzz_host;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_host_is_survived(bytes in vec(any::<u8>(), 0..600)) {
        fuzz_host(&bytes);
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
