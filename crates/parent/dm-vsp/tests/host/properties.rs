//! What holds for any guest and any order of events.

use super::*;
use dm_vsp::test_support::fuzz_guest;
use proptest::collection::vec;
use proptest::prelude::*;

/// Inputs that only bounce off the handshake would prove nothing.
#[test]
fn arbitrary_guests_get_everywhere() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let mut reached = [false; 9];
    for _ in 0..3000 {
        let bytes: Vec<u8> = (0..800).map(|_| random()).collect();
        let counted = fuzz_guest(&bytes);
        let here = [
            counted.handshakes > 1,
            counted.status_reports > 0,
            !counted.ballooned.is_zero(),
            !counted.unballooned.is_zero(),
            !counted.hot_added.is_zero(),
            counted.timeouts > 0,
            counted.late_answers > 0,
            counted.protocol_errors > 0,
            counted.absurd_status_reports > 0,
        ];
        reached.iter_mut().zip(here).for_each(|(reached, here)| *reached |= here);
    }
    assert_eq!(reached, [true; 9]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    #[test]
    fn any_guest_is_survived(bytes in vec(any::<u8>(), 0..800)) {
        let _ = fuzz_guest(&bytes);
    }

    #[test]
    fn a_recorded_run_gives_the_same_outputs_again(packets in vec((0..vectors::MESSAGES.len(), 1..5000u64), 0..60)) {
        let run = |inputs: Option<&str>| {
            let mut host = host(config());
            let mut record: Vec<(Duration, Input, Vec<Output>)> = Vec::new();
            let mut inputs: Vec<(Duration, Input)> = match inputs {
                Some(text) => serde_json::from_str(text).unwrap(),
                None => {
                    let mut now = Duration::ZERO;
                    let mut all = vec![(now, Input::ChannelOpened)];
                    for &(index, wait) in &packets {
                        now += Duration::from_millis(wait);
                        all.push((now, Input::Packet(vectors::MESSAGES[index].1.to_vec())));
                        all.push((now, Input::Shrink { pages: PageCount(wait) }));
                    }
                    all
                }
            };
            for (now, input) in inputs.drain(..) {
                let mut out = Vec::new();
                host.vsp.handle(now, input.clone(), &mut out);
                record.push((now, input, out));
            }
            record
        };
        let first = run(None);
        let inputs: Vec<_> = first.iter().map(|(now, input, _)| (now, input)).collect();
        let again = run(Some(&serde_json::to_string(&inputs).unwrap()));
        prop_assert_eq!(&first, &again);
        let outputs: Vec<_> = first.iter().map(|(_, _, out)| out).collect();
        let text = serde_json::to_string(&outputs).unwrap();
        let read: Vec<Vec<Output>> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(outputs, read.iter().collect::<Vec<_>>());
    }
}
