//! The policy by itself: what it proposes for hosts and VMs made up for it.

use core::time::Duration;

use balancing_policy::{
    GuestStatus, HostView, MemorySettings, PageCount, PendingKind, PendingOperation, Policy, Proposal,
    Reason, Reservation, StatusHistory, Target, VmId, VmView,
};
use proptest::prelude::*;

use super::{HyperVConfig, PressureBandPolicy};

mod edges;

const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

/// A VM with 100–4000 MB, buffer 20 %, default weight.
fn vm(id: u32, demand: u64, assigned: u64) -> VmView {
    let settings = MemorySettings::dynamic(mib(512), mib(4000)).with_minimum(mib(100));
    let mut vm = VmView::new(VmId(id), settings).with(|vm| vm.assigned = mib(assigned));
    let status = GuestStatus::default().with(|s| (s.demand, s.commit) = (mib(demand), mib(demand)));
    vm.history.push(Duration::ZERO, status);
    vm
}

fn weighing(mut vm: VmView, weight: u32) -> VmView {
    vm.settings.weight = weight;
    vm
}

struct Host {
    policy: PressureBandPolicy,
    capacity: PageCount,
    now: Duration,
    grant_rate: f64,
    reservations: Vec<Reservation>,
    proposal: Proposal,
}

impl Host {
    fn new(capacity: u64) -> Self {
        Self::with(capacity, HyperVConfig::default())
    }

    fn with(capacity: u64, config: HyperVConfig) -> Self {
        Self {
            policy: PressureBandPolicy::new(config),
            capacity: mib(capacity),
            now: Duration::from_secs(1000),
            grant_rate: 0.0,
            reservations: Vec::new(),
            proposal: Proposal::default(),
        }
    }

    fn starting(mut self, weight: u32, needed: u64) -> Self {
        self.reservations.push(Reservation::new(VmId(99), weight, mib(needed), self.now));
        self
    }

    /// A round; the targets in MB, rounded.
    fn round(&mut self, vms: &[VmView]) -> Vec<u64> {
        let assigned: PageCount = vms.iter().map(|vm| vm.assigned).sum();
        let mut host = HostView::new(self.capacity, self.capacity.saturating_sub(assigned));
        host.now = self.now;
        (host.total, host.reserve) = (self.capacity + mib(1000), mib(1000));
        host.grant_rate = self.grant_rate;
        host.lead_time = Duration::from_secs(2);
        host.minimum_move = mib(4);
        host.reservations = &self.reservations;
        let last = |vm: &VmView| Target { pages: vm.assigned, reason: Reason::new("last") };
        self.proposal.begin(vms.iter().map(last));
        self.policy.round(&host, vms, &mut self.proposal);
        self.proposal.targets().iter().map(|target| target.pages.mib().round() as u64).collect()
    }

    fn rules(&self) -> Vec<&'static str> {
        self.proposal.targets().iter().map(|target| target.reason.rule()).collect()
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

#[test]
fn within_the_band_nothing_moves() {
    let mut host = Host::new(10_000);
    // 81.4 %, 83.3 % and 85.2 %: all within 83.33 ± 2.
    assert_eq!(host.round(&[vm(1, 814, 1000), vm(2, 1000, 1200), vm(3, 852, 1000)]), [1000, 1200, 1000]);
    assert_eq!(host.rules(), ["in-band"; 3]);
    assert_eq!(host.proposal.summary().rule(), "enough");
}

#[test]
fn a_vm_above_its_band_is_not_said_to_be_in_it() {
    let mut host = Host::new(10_000);
    // 88.6 % with all of the maximum of 4000 MB.
    assert_eq!(host.round(&[vm(1, 3545, 4000)]), [4000]);
    assert_eq!(host.rules(), ["at-maximum"]);
    // 85.5 %: what is missing to 120 MB is less than the balancer moves.
    assert_eq!(host.round(&[vm(1, 100, 117)]), [117]);
    assert_eq!(host.rules(), ["nearly-enough"]);
}

#[test]
fn above_the_band_a_vm_gets_its_demand_and_its_buffer() {
    let mut host = Host::new(10_000);
    assert_eq!(host.round(&[vm(1, 860, 1000), vm(2, 3900, 3900)]), [1032, 4000]);
    assert_eq!(host.rules(), ["short"; 2]);
    // It is brought all the way to p*, not to the edge of the band.
    assert_eq!(host.round(&[vm(1, 860, 1015), vm(2, 3900, 4000)]), [1032, 4000]);
    assert_eq!(host.round(&[vm(1, 860, 1030), vm(2, 3900, 4000)]), [1030, 4000]);
    assert_eq!(host.rules()[0], "in-band");
}

#[test]
fn what_is_on_its_way_counts_as_there() {
    let mut host = Host::new(10_000);
    let mut growing = vm(1, 860, 1000);
    growing.pending = Some(PendingOperation::new(PendingKind::Grow, mib(32), host.now));
    assert_eq!(host.round(&[growing]), [1032]);
    let mut shrinking = vm(1, 860, 1032);
    shrinking.pending = Some(PendingOperation::new(PendingKind::Shrink, mib(32), host.now));
    assert_eq!(host.round(&[shrinking]), [1032]);
    assert_eq!(host.rules(), ["short"]);
}

#[test]
fn the_maximum_is_reached_to_the_last_page() {
    let mut host = Host::new(10_000);
    assert_eq!(host.round(&[vm(1, 3500, 3990)]), [4000]);
    assert_eq!(host.round(&[vm(1, 3500, 3999)]), [4000]);
}

#[test]
fn surplus_is_kept_for_the_hold_time_and_then_reclaimed() {
    let mut host = Host::new(10_000);
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [1000]);
    assert_eq!(host.rules(), ["surplus"]);
    host.later(299);
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [1000]);
    assert_eq!(host.proposal.target(0).reason.input("waited_seconds"), Some(299.0));
    host.later(1);
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [600]);
    assert_eq!(host.rules(), ["reclaim"]);
    // All the way to p*, through the band.
    assert_eq!(host.round(&[vm(1, 500, 612)]), [600]);
    assert_eq!(host.round(&[vm(1, 500, 603)]), [603]);
}

#[test]
fn the_hold_begins_anew_when_the_vm_was_within_its_band() {
    let mut host = Host::new(10_000);
    host.round(&[vm(1, 500, 1000)]);
    host.later(200);
    host.round(&[vm(1, 830, 1000)]);
    host.later(200);
    host.round(&[vm(1, 500, 1000)]);
    host.later(299);
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [1000]);
    host.later(1);
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [600]);
}

#[test]
fn without_the_hold_surplus_goes_at_once() {
    let mut host = Host::with(10_000, HyperVConfig { hold: Duration::ZERO, ..HyperVConfig::default() });
    assert_eq!(host.round(&[vm(1, 500, 1000)]), [600]);
}

#[test]
fn under_contention_surplus_goes_at_once_from_low_weights_first_and_no_more_than_needed() {
    let mut host = Host::new(3000);
    let vms = [vm(1, 1000, 1000), weighing(vm(2, 500, 1000), 8000), weighing(vm(3, 500, 1000), 1000)];
    assert_eq!(host.round(&vms), [1200, 1000, 800]);
    assert_eq!(host.rules(), ["short", "surplus", "donor"]);
    assert_eq!(host.proposal.summary().rule(), "contention");
    // More than one has to spare: the next weight gives the rest.
    let mut host = Host::new(3000);
    assert_eq!(host.round(&[vm(1, 1400, 1000), vms[1].clone(), vms[2].clone()]), [1680, 720, 600]);
    // And a hold that has only begun goes on.
    assert_eq!(host.policy.states.get(VmId(2)).unwrap().below_since, Some(host.now));
}

#[test]
fn what_is_within_the_band_is_taken_only_if_growth_needs_it() {
    let mut host = Host::new(2200);
    // VM2 is in its band, 10 MB above p*.
    assert_eq!(host.round(&[vm(1, 1000, 1000), vm(2, 833, 1010)]), [1200, 1000]);
    host.grant_rate = mib(10).get() as f64;
    let mut host = Host { capacity: mib(2215), ..host };
    // For the stock alone it is not.
    assert_eq!(host.round(&[vm(1, 1000, 1000), vm(2, 833, 1010)]), [1200, 1010]);
}

#[test]
fn priority_has_no_effect_while_memory_suffices() {
    let vms = |weights: [u32; 3]| {
        [vm(1, 900, 1000), vm(2, 500, 1000), vm(3, 830, 1000)]
            .into_iter()
            .zip(weights)
            .map(|(vm, weight)| weighing(vm, weight))
            .collect::<Vec<_>>()
    };
    let reference = Host::new(10_000).round(&vms([5000; 3]));
    for weights in [[0, 5000, 10_000], [10_000, 0, 5000], [1, 2, 3]] {
        assert_eq!(Host::new(10_000).round(&vms(weights)), reference);
    }
}

#[test]
fn in_a_shortage_the_buffer_gives_way_first() {
    let vms = [vm(1, 1000, 1200), vm(2, 1000, 1200)];
    for (capacity, each) in [(2300, 1150), (2100, 1050), (2000, 1000), (1600, 800), (1000, 500)] {
        let mut host = Host::new(capacity);
        assert_eq!(host.round(&vms), [each; 2], "{capacity}");
        assert_eq!(host.rules(), ["shortage"; 2]);
        // As long as all demands fit, nobody is above 100 %.
        assert_eq!(capacity >= 2000, host.policy.lambda() <= 0.2005, "{capacity}");
    }
}

#[test]
fn unequal_buffers_shrink_by_the_same_factor() {
    let mut large = vm(2, 1000, 1500);
    large.settings.buffer = 50;
    let targets = Host::new(2160).round(&[vm(1, 1000, 1200), large]);
    assert_eq!(targets, [960, 1200]);
}

#[test]
fn in_a_shortage_weight_decides() {
    let vms = [weighing(vm(1, 1000, 1200), 10_000), vm(2, 1000, 1200), weighing(vm(3, 1000, 1200), 0)];
    let mut host = Host::new(3000);
    let targets = host.round(&vms);
    assert!(targets[0] > targets[1] && targets[1] > targets[2], "{targets:?}");
    assert_eq!(targets.iter().sum::<u64>(), 3000);
    // Pressures as the rule has it, with g = 1/6, 1 and 11/6.
    let lambda = host.policy.lambda();
    for (target, g) in targets.iter().zip([1.0 / 6.0, 1.0, 11.0 / 6.0]) {
        let expected = 1200.0 / (1.0 + lambda * g);
        assert!((*target as f64 - expected).abs() <= 1.0, "{target} {expected}");
    }
    // Without weights all are equal.
    let mut flat = Host::with(3000, HyperVConfig { weights: false, ..HyperVConfig::default() });
    assert_eq!(flat.round(&vms), [1000; 3]);
    assert!(!flat.policy.uses_priority());
}

#[test]
fn a_guest_that_claims_more_than_its_maximum_presses_no_harder_than_one_that_needs_it() {
    let with = |claim| Host::new(4000).round(&[vm(1, claim, 2000), vm(2, 1000, 1200), vm(3, 1000, 800)]);
    let honest = with(4000);
    assert!(honest[1] > 600, "{honest:?}");
    for claim in [4001, 100_000, 1 << 40] {
        assert_eq!(with(claim), honest);
    }
}

#[test]
fn nobody_falls_below_the_minimum_or_rises_above_the_maximum() {
    let mut minimum = vm(1, 1000, 1200);
    minimum.lowest = mib(900);
    assert_eq!(Host::new(1500).round(&[minimum.clone(), vm(2, 1000, 1200)]), [900, 600]);
    // Not even if all the minimums do not fit.
    let mut other = minimum.clone();
    other.id = VmId(2);
    assert_eq!(Host::new(1000).round(&[minimum, other]), [900, 900]);
    assert_eq!(Host::new(100_000).round(&[vm(1, 90_000, 512)]), [4000]);
    assert_eq!(Host::new(100_000).round(&[vm(1, 0, 100)]), [100]);
}

#[test]
fn who_cannot_move_counts_with_what_he_has() {
    let mut silent = vm(1, 3000, 1000);
    silent.responsive = false;
    (silent.lowest, silent.highest) = (mib(1000), mib(1000));
    let mut quiet = vm(2, 0, 700);
    quiet.history = StatusHistory::default();
    let mut host = Host::new(2700);
    assert_eq!(host.round(&[silent, quiet, vm(3, 1000, 900)]), [1000, 700, 1000]);
    assert_eq!(host.rules(), ["set-aside", "no-report", "shortage"]);
}

#[test]
fn in_a_shortage_a_stock_is_kept_back_for_the_lead_time() {
    let vms = [vm(1, 1000, 1200), vm(2, 1000, 1200)];
    let sum = |config: HyperVConfig, capacity| {
        let mut host = Host::with(capacity, config);
        host.grant_rate = mib(10).get() as f64;
        host.round(&vms).iter().sum::<u64>()
    };
    let twice = HyperVConfig { stock_factor: 2.0, ..HyperVConfig::default() };
    // 2 · 10 MB/s · 2 s.
    assert_eq!(sum(twice, 2200), 2160);
    assert_eq!(sum(HyperVConfig { stock_factor: 0.0, ..HyperVConfig::default() }, 2200), 2200);
    // No more of it than is lacking: nothing jumps when the shortage begins.
    assert_eq!(sum(twice, 2390), 2380);
    assert_eq!(sum(twice, 2400), 2400);
}

#[test]
fn what_each_owes_by_less_than_a_move_is_collected_in_whole_moves() {
    // Eight VMs 3 MB above their targets are 24 MB: six of them give 4.
    let vms: Vec<VmView> = (1..=8).map(|id| vm(id, 1000, 1003)).collect();
    let mut host = Host::new(8000);
    let mut targets = host.round(&vms);
    targets.sort_unstable();
    assert_eq!(targets, [999, 999, 999, 999, 999, 999, 1000, 1000]);
    // One alone owes too little.
    let mut host = Host::new(1000);
    assert_eq!(host.round(&[vm(1, 1000, 1003)]), [1000]);
}

#[test]
fn a_start_may_press_others_as_far_as_its_weight_goes() {
    let vms = [vm(1, 1000, 1200), vm(2, 1000, 1200)];
    // At the default weight: the buffer of others, and no more.
    let mut host = Host::new(2400).starting(5000, 390);
    let targets = host.round(&vms);
    assert_eq!(targets.iter().sum::<u64>(), 2010);
    assert_eq!(host.proposal.for_starts(), Some(mib(390)));
    let mut host = Host::new(2400).starting(5000, 410);
    assert_eq!(host.round(&vms), [1200, 1200], "pressed in vain");
    assert_eq!(host.proposal.for_starts(), Some(PageCount::ZERO));
    // At the highest weight, more; at 0, nothing.
    let mut host = Host::new(2400).starting(10_000, 680);
    assert_eq!(host.round(&vms).iter().sum::<u64>(), 1720);
    let mut host = Host::new(2400).starting(0, 10);
    assert_eq!(host.round(&vms), [1200, 1200]);
    assert_eq!(host.proposal.for_starts(), Some(PageCount::ZERO));
}

#[test]
fn at_weight_0_a_start_gets_what_others_have_to_spare() {
    let vms = [vm(1, 1000, 1200), vm(2, 500, 1200)];
    let mut host = Host::new(2400).starting(0, 500);
    assert_eq!(host.round(&vms), [1200, 700]);
    assert_eq!(host.rules(), ["in-band", "donor"]);
    assert_eq!(host.proposal.for_starts(), Some(mib(500)));
    // More than that it cannot have; what is free it may.
    let mut host = Host::new(2500).starting(0, 800);
    assert_eq!(host.round(&vms), [1200, 1200]);
    assert_eq!(host.proposal.for_starts(), Some(mib(100)));
}

#[test]
fn where_memory_is_short_already_a_start_presses_nobody_beyond_its_bound() {
    let vms = [vm(1, 1000, 900), vm(2, 1000, 900)];
    // λ is 0.33 without the start: above the bound of weight 5000, below that of 10000.
    let mut host = Host::new(1800).starting(5000, 50);
    assert_eq!(host.round(&vms), [900, 900]);
    assert_eq!(host.proposal.for_starts(), Some(PageCount::ZERO));
    let mut host = Host::new(1800).starting(10_000, 50);
    assert_eq!(host.round(&vms), [875, 875]);
    assert_eq!(host.proposal.for_starts(), Some(mib(50)));
}

#[test]
fn the_band_is_around_p_star_and_rises_with_a_shortage() {
    let vms = [vm(1, 1000, 1200), vm(2, 1000, 1200)];
    let mut host = Host::new(10_000);
    host.round(&vms);
    let band = host.policy.band(&vms[0]);
    assert!((band.minimum - 81.333).abs() < 0.001 && (band.maximum - 85.333).abs() < 0.001);
    let mut host = Host::new(2000);
    host.round(&vms);
    let band = host.policy.band(&vms[0]);
    assert!((band.minimum - 98.0).abs() < 0.01 && (band.maximum - 102.0).abs() < 0.01, "{band:?}");
}

#[test]
fn weights_outside_their_range_do_no_harm() {
    let vms = [weighing(vm(1, 1000, 1200), u32::MAX), vm(2, 1000, 1200)];
    let targets = Host::new(2000).round(&vms);
    assert_eq!(targets.iter().sum::<u64>(), 2000);
}

fn any_vm() -> impl Strategy<Value = VmView> {
    let pages = || prop_oneof![0..4096_u64, 0..2_000_000_u64, Just(u64::MAX)];
    (
        pages(),
        0..2_000_000_u64,
        0..1_000_000_u64,
        0..1_000_000_u64,
        5..=2000_u32,
        0..=10_000_u32,
        any::<[bool; 3]>(),
    )
        .prop_map(|(demand, assigned, lowest, range, buffer, weight, [reports, answers, busy])| {
            let mut vm = weighing(vm(0, 0, 0), weight);
            vm.settings.buffer = buffer;
            vm.assigned = PageCount(assigned);
            (vm.lowest, vm.highest) = (PageCount(lowest), PageCount(lowest + range));
            (vm.settings.minimum, vm.settings.maximum) = (vm.lowest, vm.highest);
            vm.history = StatusHistory::default();
            if reports {
                vm.history
                    .push(Duration::ZERO, GuestStatus::default().with(|c| c.demand = PageCount(demand)));
            }
            if !answers {
                vm.responsive = false;
                (vm.lowest, vm.highest) = (vm.assigned, vm.assigned);
            }
            if busy {
                let kind = if demand % 2 == 0 { PendingKind::Grow } else { PendingKind::Shrink };
                vm.pending = Some(PendingOperation::new(kind, PageCount(1024), Duration::ZERO));
            }
            vm
        })
}

proptest! {
    #[test]
    fn proposals_are_within_bounds_and_capacity(
        mut vms in prop::collection::vec(any_vm(), 0..12),
        capacity in 0..40_000_u64,
        rate in 0.0..1e6_f64,
        starts in prop::collection::vec((0..=10_000_u32, 0..20_000_u64), 0..3),
        rounds in 1..4_usize,
    ) {
        for (id, vm) in (1..).zip(&mut vms) {
            vm.id = VmId(id);
        }
        let mut host = Host::new(capacity);
        host.grant_rate = rate;
        for (weight, needed) in starts {
            host = host.starting(weight, needed);
        }
        for _ in 0..rounds {
            host.round(&vms);
            host.later(200);
        }
        let mut sum = 0_u128;
        let mut held = 0_u128;
        for (vm, target) in vms.iter().zip(host.proposal.targets()) {
            prop_assert!(target.pages >= vm.lowest && target.pages <= vm.highest, "{vm:?} {target:?}");
            prop_assert!(target.reason.inputs().iter().all(|(_, value)| !value.is_nan()), "{:?}", target.reason);
            sum += u128::from(target.pages.get());
            held += u128::from(vm.reachable(vm.expected()).get());
        }
        // It never makes more of what is more than there is.
        prop_assert!(sum <= held.max(u128::from(mib(capacity).get())), "{sum} {held}");
        let for_starts = host.proposal.for_starts().unwrap_or_default();
        prop_assert!(for_starts <= mib(capacity));
    }
}

/// A Linux guest: memory is hot-added to it in blocks of 128 MB.
fn in_blocks(mut vm: VmView) -> VmView {
    vm.granule = mib(128);
    vm
}

#[test]
fn for_a_guest_that_takes_large_granules_a_whole_one_is_reclaimed() {
    // 86 % of 1000 MB: it lacks 32 MB, and gets nothing for less than 128. VM2 has 200 MB more than it wants.
    let vms = [in_blocks(vm(1, 860, 1000)), vm(2, 1500, 2000)];
    assert_eq!(Host::new(3000).round(&vms), [1128, 1872]);
    // What was ballooned can be returned to the page.
    let mut exact = vms.clone();
    exact[0].returnable = mib(32);
    assert_eq!(Host::new(3000).round(&exact), [1032, 1968]);
    exact[0].returnable = mib(20);
    assert_eq!(Host::new(3000).round(&exact), [1148, 1852]);
    // Above its maximum there is no granule: what fits is all that it gets.
    let mut full = vms.clone();
    (full[0].settings.maximum, full[0].highest) = (mib(1100), mib(1100));
    assert_eq!(Host::new(3000).round(&full), [1000, 2000]);
    // Within its band it costs nobody a granule.
    assert_eq!(Host::new(3000).round(&[in_blocks(vm(1, 850, 1000)), vm(2, 1500, 2000)]), [1000, 2000]);
}

#[test]
fn in_a_shortage_a_whole_granule_is_found_if_others_can_give_it() {
    // Both are short; VM1's fair share of 3000 MB is 1089.
    let vms = [vm(1, 950, 1000), vm(2, 1667, 2000)];
    assert_eq!(Host::new(3000).round(&vms), [1089, 1911]);
    let blocks = [in_blocks(vms[0].clone()), vms[1].clone()];
    let mut host = Host::new(3000);
    assert_eq!(host.round(&blocks), [1128, 1872]);
    assert_eq!(host.proposal.summary().rule(), "shortage");
    // When it has it, the fair share holds again: what is above it is ballooned, and can be returned exactly from then on.
    let mut after = [in_blocks(vm(1, 950, 1128)), vm(2, 1667, 1872)];
    assert_eq!(host.round(&after), [1089, 1911]);
    (after[0].assigned, after[0].returnable, after[1].assigned) = (mib(1089), mib(39), mib(1911));
    assert_eq!(host.round(&after), [1089, 1911]);
    // Memory suffices for what both want, but not for a granule: the others are pressed for it.
    assert_eq!(Host::new(3060).round(&[in_blocks(vm(1, 880, 1000)), vm(2, 1667, 2000)]), [1128, 1932]);
    // A granule that would not fit if everyone else had its minimum presses nobody.
    let mut firm = blocks.clone();
    (firm[1].settings.minimum, firm[1].lowest) = (mib(1900), mib(1900));
    assert_eq!(Host::new(3000).round(&firm), [1089, 1911]);
}

proptest! {
    #[test]
    fn granules_up_to_a_move_change_nothing(demands in prop::collection::vec(50u64..2000, 1..12), capacity in 1000u64..12_000) {
        let vms: Vec<VmView> = (1..).zip(&demands).map(|(id, &demand)| vm(id, demand, 900)).collect();
        let exact: Vec<VmView> = vms.iter().cloned().map(|mut vm| { vm.granule = PageCount(1); vm }).collect();
        prop_assert_eq!(Host::new(capacity).round(&vms), Host::new(capacity).round(&exact));
    }

    #[test]
    fn whole_granules_never_claim_more_than_there_is(
        demands in prop::collection::vec((50u64..2000, any::<bool>()), 1..12),
        capacity in 1000u64..12_000,
    ) {
        let vms: Vec<VmView> = (1..)
            .zip(&demands)
            .map(|(id, &(demand, blocks))| if blocks { in_blocks(vm(id, demand, 900)) } else { vm(id, demand, 900) })
            .collect();
        let least = 100 * vms.len() as u64;
        prop_assume!(least <= capacity);
        let targets = Host::new(capacity).round(&vms);
        let assigned: u64 = vms.iter().map(|vm| vm.assigned.whole_mib()).sum();
        // Rounded to MB each. A host that has less than what is assigned takes no more than it must.
        let sum: u64 = targets.iter().sum();
        prop_assert!(sum <= capacity + vms.len() as u64 || sum <= assigned, "{targets:?} of {capacity}");
    }
}
