//! Any order of operations, faults, closures and reboots conserves every page.

use super::*;
use dm_vsc::{Faults, HotAddFault, RangeStyle, UnballoonCheck};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Action {
    Grow(u64),
    Shrink(u64),
    Run(u64),
    Load(u64),
    Close,
    Reopen,
    Reset,
    Faults(Faults),
    Frames(u64),
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (1..200_000u64).prop_map(Action::Grow),
        6 => (1..200_000u64).prop_map(Action::Shrink),
        12 => (0..3000u64).prop_map(Action::Run),
        2 => (30_000..80_000u64).prop_map(Action::Run),
        3 => (0..1200u64).prop_map(Action::Load),
        1 => Just(Action::Close),
        2 => Just(Action::Reopen),
        1 => Just(Action::Reset),
        2 => any_faults().prop_map(Action::Faults),
        1 => (1024..4096u64).prop_map(Action::Frames),
    ]
}

fn any_faults() -> impl Strategy<Value = Faults> {
    let hot_add = prop_oneof![
        4 => Just(None),
        1 => Just(Some(HotAddFault::RefuseForNow)),
        1 => Just(Some(HotAddFault::RefuseForGood)),
        1 => (0..100u8).prop_map(|percent| Some(HotAddFault::Percent(percent))),
    ];
    let times = prop_oneof![3 => Just(0u64), 1 => 0..100_000u64];
    (any::<bool>(), times, proptest::option::of(0..100u8), any::<bool>(), hot_add).prop_map(
        |(never_answer, later, balloon_percent, answer_twice, hot_add)| {
            Faults::default().with(|c| {
                c.never_answer = never_answer && later % 2 == 1;
                c.answer_later = millis(later);
                c.balloon_percent = balloon_percent;
                c.answer_twice = answer_twice;
                c.hot_add = hot_add;
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn every_page_is_conserved(
        linux in any::<bool>(),
        check in any::<bool>(),
        host_time in 0..300u64,
        actions in vec(any_action(), 1..60),
    ) {
        let mut guest = if linux { VscConfig::linux() } else { VscConfig::windows(DriverVersion::V2_0) };
        guest.range_style = if check { RangeStyle::Merged } else { RangeStyle::LinuxBlocks };
        guest.unballoon_check = if check { UnballoonCheck::OwnPagesOnly } else { UnballoonCheck::Trust };
        let mut pair = Pair::opened(host_config(), guest.clone());
        pair.host_time = millis(host_time);
        for action in actions {
            match action {
                Action::Grow(pages) => pair.grow(PageCount(pages)),
                Action::Shrink(pages) => pair.shrink(PageCount(pages)),
                Action::Run(time) => pair.run_for(millis(time)),
                Action::Load(load) => pair.memory.in_use = mib(load),
                Action::Close => pair.close(),
                Action::Reopen => {
                    pair.close();
                    pair.open();
                }
                Action::Reset => pair.reset(guest.clone()),
                Action::Faults(faults) => {
                    // An answer of an earlier request that comes twice can be taken for one of a later.
                    pair.diverged |= faults.answer_twice;
                    pair.guest(dm_vsc::Input::SetFaults(faults));
                }
                Action::Frames(frames) => {
                    let frames = mib(frames);
                    pair.map.frames = frames;
                    pair.frames = frames + pair.map.mapped.pages();
                }
            }
        }
        // Left alone, everything comes to rest: an honest guest answers in the end, a silent one is closed.
        pair.guest(dm_vsc::Input::SetFaults(Faults::default()));
        pair.run_for(seconds(1000));
        if pair.vsp.is_busy() {
            pair.close();
            pair.run_for(seconds(1));
        }
        pair.check();
        prop_assert!(pair.is_quiet());
    }
}
