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
