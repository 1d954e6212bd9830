//! Where one rule ends and the next begins: exactly at an edge, with nothing, with two of a kind.

use core::time::Duration;

use balancing_policy::{PageCount, Phase, Policy, VmView};

use super::{Host, in_blocks, mib, vm, weighing};
use crate::hyperv::{HyperVConfig, PressureBandPolicy};

/// The least that is moved, in pages.
const STEP: u64 = mib(4).get();

/// Targets in pages.
fn pages(host: &Host) -> Vec<u64> {
    host.proposal.targets().iter().map(|target| target.pages.get()).collect()
}

#[test]
fn the_command_line_knows_the_policy_by_its_name() {
    assert_eq!(PressureBandPolicy::default().name(), "hyperv");
    assert!(PressureBandPolicy::default().uses_priority());
}

#[test]
fn settings_in_files_have_the_hold_in_seconds() {
    let config: HyperVConfig = serde_json::from_str(r#"{"hold": 1.5, "stock_factor": 3}"#).unwrap();
    let default = HyperVConfig::default();
    assert_eq!(config, HyperVConfig { hold: Duration::from_millis(1500), stock_factor: 3.0, ..default });
    let text = serde_json::to_string(&config).unwrap();
    assert!(text.contains(r#""hold":1.5"#), "{text}");
    assert_eq!(serde_json::from_str::<HyperVConfig>(&text).unwrap(), config);
    for bad in [r#"{"hold": -1}"#, r#"{"hold": 1e300}"#, r#"{"weight": true}"#] {
        assert!(serde_json::from_str::<HyperVConfig>(bad).is_err(), "{bad}");
    }
}

#[test]
fn at_the_very_edge_of_its_band_a_vm_is_in_it() {
    let with_buffer_25 = |mut vm: VmView| {
        vm.settings.buffer = 25;
        vm
    };
    // p* is 80 %: 78.0 and 82.0 are the edges.
    let mut host = Host::new(10_000);
    host.round(&[with_buffer_25(vm(1, 780, 1000)), with_buffer_25(vm(2, 820, 1000))]);
    assert_eq!(host.rules(), ["in-band"; 2]);
    // A page less, and a page more.
    let (mut below, mut above) = (with_buffer_25(vm(1, 780, 1000)), with_buffer_25(vm(2, 820, 1000)));
    (below.assigned, above.assigned) = (below.assigned + PageCount(1), above.assigned - PageCount(1));
    host.round(&[below, above]);
    assert_eq!(host.rules(), ["surplus", "short"]);
}

#[test]
fn a_course_ends_when_less_than_a_move_is_missing() {
    let mut host = Host::new(10_000);
    assert_eq!(host.round(&[vm(1, 860, 1000)]), [1032]);
    // Exactly a move is missing.
    assert_eq!(host.round(&[vm(1, 860, 1028)]), [1032]);
    let mut host = Host::with(10_000, HyperVConfig { hold: Duration::ZERO, ..HyperVConfig::default() });
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [600]);
    assert_eq!(host.round(&[vm(1, 500, 604)]), [600]);
    assert_eq!(host.round(&[vm(1, 500, 603)]), [603]);
}

#[test]
fn a_reclaim_goes_on_though_the_hold_begins_anew() {
    let mut host = Host::new(10_000);
    host.round(&[vm(1, 500, 1000)]);
    host.later(300);
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [600]);
    // Through the band, which ends the hold, and not yet at p*.
    assert_eq!(host.round(&[vm(1, 495, 600)]), [594]);
    assert_eq!(host.round(&[vm(1, 400, 600)]), [480]);
    assert_eq!(host.rules(), ["reclaim"]);
}

#[test]
fn a_vm_with_a_surplus_is_not_said_to_be_short_though_its_minimum_was_raised() {
    let mut host = Host::new(10_000);
    host.round(&[vm(1, 860, 1000)]);
    assert_eq!(host.rules(), ["short"]);
    let mut raised = vm(1, 500, 1000);
    (raised.settings.minimum, raised.lowest) = (mib(1200), mib(1200));
    assert_eq!(host.round(&[raised]), [1200]);
    assert_eq!(host.rules(), ["surplus"]);
}

#[test]
fn the_hold_begins_anew_when_the_vm_could_not_be_moved() {
    let mut host = Host::new(10_000);
    host.round(&[vm(1, 500, 1000)]);
    host.later(200);
    let mut stuck = vm(1, 500, 1000);
    (stuck.lowest, stuck.highest) = (mib(1000), mib(1000));
    host.round(&[stuck]);
    host.later(200);
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [1000]);
    host.later(300);
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [600]);
}

#[test]
fn why_a_vm_cannot_be_moved_is_said() {
    let stuck = |id| {
        let mut stuck = vm(id, 500, 1000);
        (stuck.lowest, stuck.highest) = (mib(1000), mib(1000));
        stuck
    };
    let (mut fixed, mut starting) = (stuck(1), stuck(2));
    fixed.settings.dynamic = false;
    starting.phase = Phase::Starting;
    let mut host = Host::new(10_000);
    assert_eq!(host.round(&[fixed, starting, stuck(3)]), [1000; 3]);
    assert_eq!(host.rules(), ["static", "starting", "cannot-move"]);
}

#[test]
fn exactly_as_much_as_is_wanted_is_enough() {
    let vms = [vm(1, 1000, 1200), vm(2, 1000, 1200)];
    let mut host = Host::new(2400);
    assert_eq!(host.round(&vms), [1200; 2]);
    assert_eq!((host.rules(), host.proposal.summary().rule()), (vec!["in-band"; 2], "enough"));
    assert_eq!(host.policy.lambda(), 0.0);
}

#[test]
fn in_a_shortage_the_band_of_a_vm_moves_by_its_weight() {
    let vms = [weighing(vm(1, 1000, 1200), 10_000), vm(2, 1000, 1200), weighing(vm(3, 1000, 1200), 0)];
    let mut host = Host::new(3000);
    host.round(&vms);
    let lambda = host.policy.lambda();
    assert!(lambda > 0.1);
    for (vm, g) in vms.iter().zip([1.0 / 6.0, 1.0, 11.0 / 6.0]) {
        let band = host.policy.band(vm);
        let centre = (band.minimum + band.maximum) / 2.0;
        assert!((centre - (1.0 + lambda * g) / 0.012).abs() < 1e-6, "{centre} {g}");
    }
}

#[test]
fn for_the_stock_nobody_is_pressed_beyond_what_a_start_may_ask() {
    // 390 for the start leave 2010 for the two. The stock alone, 420, would leave them 1620.
    let mut host = Host::new(2400).starting(5000, 390);
    host.grant_rate = mib(100).get() as f64;
    assert_eq!(host.round(&[vm(1, 1000, 1200), vm(2, 1000, 1200)]), [1000; 2]);
    assert!((host.policy.lambda() - 0.2).abs() < 1e-9, "{}", host.policy.lambda());
}

#[test]
fn a_start_that_fits_exactly_is_made_room_for() {
    let vms = [vm(1, 1000, 1200), vm(2, 500, 1200)];
    let mut host = Host::new(2400).starting(0, 600);
    assert_eq!(host.round(&vms), [1200, 600]);
    assert_eq!(host.proposal.for_starts(), Some(mib(600)));
    let mut host = Host::new(2400).starting(0, 601);
    assert_eq!(host.round(&vms), [1200, 1200]);
    assert_eq!(host.proposal.for_starts(), Some(PageCount::ZERO));
}

#[test]
fn what_a_restarting_vm_had_stays_its_own_beside_what_others_need_to_start() {
    let vms = [vm(1, 1000, 1200), vm(2, 1000, 1200)];
    // There is no way to give the second all that it needs: it keeps its own 50, beside the 100 of the first.
    let mut host = Host::new(2400).starting(5000, 100).starting(0, 500);
    host.reservations[1].own = mib(50);
    host.round(&vms);
    assert_eq!(host.proposal.for_starts(), Some(mib(150)));
    assert_eq!(pages(&host).iter().sum::<u64>().div_ceil(256), 2250);
}

#[test]
fn what_nobody_wants_is_left_for_starts_beside_what_fits() {
    // The first start fits with 100. The second needs 800 of the 300 that are left: it may have those.
    let mut host = Host::new(2800).starting(5000, 100).starting(0, 800);
    assert_eq!(host.round(&[vm(1, 1000, 1200), vm(2, 1000, 1200)]), [1200; 2]);
    assert_eq!(host.proposal.for_starts(), Some(mib(400)));
}

/// Shares a shortage among VMs that have so many pages more (or less) than their shares: what each share is, and the host after it.
fn shared<const N: usize>(over: [i64; N], change: impl FnOnce(&mut [VmView])) -> (u64, Host) {
    let mut vms: Vec<VmView> = (1..=N as u32).map(|id| vm(id, 1000, 1000)).collect();
    let mut host = Host::new(1000 * N as u64);
    host.round(&vms);
    let shares: Vec<u64> =
        vms.iter().map(|vm| host.proposal.target(vm.id.0 as usize - 1).pages.get()).collect();
    // As they are without what is collected: that of a VM with nothing over.
    let share = *shares.iter().max().unwrap();
    for (vm, over) in vms.iter_mut().zip(over) {
        vm.assigned = PageCount(share.checked_add_signed(over).unwrap());
    }
    change(&mut vms);
    host.round(&vms);
    (share, host)
}

/// How many pages each of such VMs is to give beyond its share.
fn owing<const N: usize>(over: [i64; N], change: impl FnOnce(&mut [VmView])) -> [i64; N] {
    let (share, host) = shared(over, change);
    let mut given = [0; N];
    for (given, target) in given.iter_mut().zip(pages(&host)) {
        *given = share as i64 - target as i64;
    }
    given
}

#[test]
fn who_owes_most_gives_first_and_a_whole_move() {
    let step = STEP as i64;
    // In all six quarters of a move: one gives, the one with the most.
    assert_eq!(owing([step / 4, step * 3 / 4, step / 2], |_| ()), [0, step / 4, 0]);
    // Exactly a move in all.
    assert_eq!(owing([step / 2, step / 2], |_| ()), [step / 2, 0]);
    assert_eq!(owing([step / 2, step / 2 - 1], |_| ()), [0, 0]);
    // Two moves in all: two give.
    assert_eq!(owing([step / 2; 4], |_| ()), [step / 2, step / 2, 0, 0]);
    // What others lack is not owed.
    assert_eq!(owing([step - 1, step - 1, 1 - step], |_| ()), [0, 0, 0]);
    // Who has a whole move over is asked for it anyway, and owes nothing beside it.
    assert_eq!(owing([step, step - 1], |_| ()), [0, 0]);
    let collected = |over| shared([over], |_| ()).1.proposal.target(0).reason.input("collected_mib");
    assert_eq!(collected(step), None);
    // A single one that owes less than a move is left alone.
    assert_eq!(collected(step - 1), None);
}

#[test]
fn who_cannot_give_a_whole_move_is_passed_over() {
    let step = STEP as i64;
    let most = step * 3 / 4;
    let keeps = |vm: &mut VmView, pages: i64| {
        vm.lowest = PageCount(vm.assigned.get().checked_add_signed(-pages).unwrap());
    };
    // The first cannot: the second does. It is at its lowest then, and no lower.
    let given = owing([most, step / 2], |vms| {
        keeps(&mut vms[0], step - 1);
        keeps(&mut vms[1], step);
    });
    assert_eq!(given, [0, step / 2]);
    // Neither can, and one who owes nothing gives nothing.
    let given = owing([most, most, 0], |vms| {
        keeps(&mut vms[0], step - 1);
        keeps(&mut vms[1], step - 1);
    });
    assert_eq!(given, [0, 0, 0]);
}

#[test]
fn a_surplus_of_exactly_a_move_helps_and_less_does_not() {
    // VM2 is below its band with 4 MB more than its 156, VM3 with 3 MB more than its 120.
    let vms = [vm(1, 1000, 1000), vm(2, 130, 160), vm(3, 100, 123)];
    let mut host = Host::new(1200 + 160 + 123 - 2);
    // A whole move is taken where half of one is needed.
    assert_eq!(host.round(&vms), [1200, 156, 123]);
    let mut host = Host::new(1200 + 160 + 123 - 6);
    assert_eq!(host.round(&vms), [1200, 156, 123]);
    // For a start every page counts; who gives, gives a move or all that is over.
    let mut host = Host::new(1200 + 160 + 123).starting(0, 6);
    assert_eq!(host.round(&vms), [1200, 156, 120]);
}

#[test]
fn without_weights_donors_give_in_the_order_of_their_ids() {
    let vms = [vm(1, 1000, 1000), weighing(vm(2, 500, 1000), 8000), weighing(vm(3, 500, 1000), 1000)];
    let mut host = Host::with(3000, HyperVConfig { weights: false, ..HyperVConfig::default() });
    assert_eq!(host.round(&vms), [1200, 800, 1000]);
}

#[test]
fn the_stock_is_taken_from_surplus_while_somebody_grows() {
    let stock = |host: &mut Host| host.grant_rate = mib(10).get() as f64;
    // 2.1 · 10 MB/s · 2 s, beside what two grow by.
    let mut host = Host::new(1032 + 1032 + 1000);
    stock(&mut host);
    assert_eq!(host.round(&[vm(1, 860, 1000), vm(2, 860, 1000), vm(3, 500, 1000)]), [1032, 1032, 958]);
    let mut host = Host::new(1000);
    stock(&mut host);
    assert_eq!(host.round(&[vm(3, 500, 1000)]), [1000]);
    assert_eq!(host.proposal.summary().rule(), "enough");
}

#[test]
fn a_granule_of_a_single_move_is_not_rounded_to() {
    let mut small = vm(1, 861, 1000);
    small.granule = mib(4);
    assert_eq!(Host::new(3000).round(&[small.clone(), vm(2, 1500, 1800)]), [1033, 1800]);
    // Nor beside a guest that takes larger ones.
    assert_eq!(Host::new(3000).round(&[small, in_blocks(vm(2, 860, 1000))]), [1033, 1128]);
}

#[test]
fn a_vm_within_its_band_costs_nobody_a_granule_though_the_host_is_full() {
    assert_eq!(Host::new(2850).round(&[in_blocks(vm(1, 850, 1000)), vm(2, 1500, 1800)]), [1000, 1800]);
}

#[test]
fn a_granule_fits_below_the_maximum_or_is_not_claimed() {
    let mut near = in_blocks(vm(1, 1000, 1000));
    near.settings.maximum = mib(1200);
    near.highest = mib(1200);
    assert_eq!(Host::new(3000).round(core::slice::from_ref(&near)), [1128]);
}

#[test]
fn a_whole_granule_is_claimed_for_exactly_a_move() {
    let mut host = Host::new(3000);
    assert_eq!(host.round(&[in_blocks(vm(1, 860, 1000)), vm(2, 1500, 1800)]), [1128, 1800]);
    assert_eq!(host.round(&[in_blocks(vm(1, 860, 1028)), vm(2, 1500, 1800)]), [1156, 1800]);
    // Less is not worth one: the course has ended.
    assert_eq!(host.round(&[in_blocks(vm(1, 860, 1029)), vm(2, 1500, 1800)]), [1029, 1800]);
}

#[test]
fn a_granule_is_claimed_by_whoever_takes_granules_and_by_nobody_else() {
    let blocks = in_blocks(vm(1, 860, 1000));
    assert_eq!(Host::new(3000).round(core::slice::from_ref(&blocks)), [1128]);
    assert_eq!(Host::new(3000).round(&[blocks, vm(2, 861, 1000)]), [1128, 1033]);
}

#[test]
fn in_a_shortage_a_vm_within_its_band_claims_no_granule() {
    // λ makes p* 87.2 %, so that 88.4 % is within the band, though 14 MB are lacking.
    let vms = [in_blocks(vm(1, 950, 1075)), vm(2, 1667, 1925)];
    assert_eq!(Host::new(3000).round(&vms), [1089, 1911]);
}

#[test]
fn a_start_that_fits_is_left_what_it_needs_and_no_more() {
    let mut host = Host::new(10_000).starting(5000, 500);
    assert_eq!(host.round(&[vm(1, 1000, 1200)]), [1200]);
    assert_eq!(host.proposal.for_starts(), Some(mib(500)));
}

#[test]
fn a_second_granule_is_claimed_only_if_it_fits_beside_the_first() {
    let firm = |id| {
        let mut firm = vm(id, 950, 1000);
        (firm.settings.minimum, firm.lowest) = (mib(900), mib(900));
        firm
    };
    let vms = [in_blocks(vm(1, 950, 1000)), in_blocks(vm(2, 950, 1000)), firm(3)];
    // 1128 · 2 and 900 are more than 3100; 1128, 100 and 900 are not.
    assert_eq!(Host::new(3100).round(&vms), [1128, 986, 986]);
    assert_eq!(Host::new(3160).round(&vms), [1128, 1128, 904]);
}
