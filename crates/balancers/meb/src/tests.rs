use balancing_policy::{GuestStatus, MemorySettings, Reservation, Target, VmId};
use proptest::prelude::*;

use super::*;

/// A VM that touches `touches` pages a second, with these points, a minimum and a maximum in pages.
fn claim(touches: f64, points: &[(u64, f64)], least: u64, most: u64) -> Claim {
    let points = points.iter().map(|&(size, ratio)| MissPoint { size: PageCount(size), ratio }).collect();
    let curve = MissCurve::new(touches, points).unwrap();
    let set = curve.size_for(0.05).max(PageCount(least)).min(PageCount(most));
    Claim { curve, least: PageCount(least), set, most: PageCount(most), given: PageCount::ZERO }
}

fn given(claims: &[Claim]) -> Vec<u64> {
    claims.iter().map(|claim| claim.given.get()).collect()
}

#[test]
fn with_enough_the_rest_is_shared_in_proportion_to_working_sets() {
    // Working sets of 95 and 380 pages; 95 are beyond them.
    let mut claims =
        [claim(1.0, &[(0, 1.0), (100, 0.0)], 0, 999), claim(1.0, &[(0, 1.0), (400, 0.0)], 0, 999)];
    with_enough(570, &mut claims);
    assert_eq!(given(&claims), [95 + 19, 380 + 76]);
    // A maximum holds, and nobody else gets what is beyond it.
    claims[1].most = PageCount(400);
    with_enough(570, &mut claims);
    assert_eq!(given(&claims), [114, 400]);
}

#[test]
fn memory_goes_where_a_page_saves_most_misses() {
    // A page saves the first 1 miss a second, the second a quarter.
    let line = |size| claim(100.0, &[(0, 1.0), (size, 0.0)], 0, 999);
    let mut claims = [line(100), line(400)];
    for claim in &mut claims {
        claim.set = claim.curve.size_for(0.0);
    }
    least_misses(200, &mut claims);
    assert_eq!(given(&claims), [100, 100]);
    // Minimums come first.
    claims[1].least = PageCount(150);
    least_misses(200, &mut claims);
    assert_eq!(given(&claims), [50, 150]);
    // What saves the same is shared in proportion to what is lacking.
    let mut claims =
        [claim(100.0, &[(0, 1.0), (100, 0.0)], 0, 999), claim(300.0, &[(0, 1.0), (300, 0.0)], 0, 999)];
    least_misses(190, &mut claims);
    assert_eq!(given(&claims), [48, 142]);
}

#[test]
fn a_curve_that_falls_late_is_looked_at_to_its_end() {
    // The first saves nothing in its first 100 pages, and all of its 1000 misses in the next 100: 5 for each of 200 pages.
    let cliff = claim(1000.0, &[(100, 1.0), (200, 0.0)], 0, 999);
    let line = claim(1000.0, &[(0, 1.0), (500, 0.0)], 0, 999);
    let mut claims = [cliff, line];
    least_misses(200, &mut claims);
    assert_eq!(given(&claims)[0], 195, "its working set, 5 % of touches missing");
}

proptest! {
    #[test]
    fn no_more_is_given_than_there_is_and_no_exchange_of_a_page_would_save_misses(
        vms in prop::collection::vec((1_u64..500, 1.0..1000.0_f64, 0_u64..50), 1..6),
        capacity in 0_u128..1500,
    ) {
        let mut claims: Vec<Claim> = vms
            .iter()
            .map(|&(size, touches, least)| claim(touches, &[(0, 1.0), (size, 0.0)], least.min(size), 9999))
            .collect();
        let least: u128 = claims.iter().map(|claim| u128::from(claim.least.get())).sum();
        least_misses(capacity, &mut claims);
        let all: u128 = claims.iter().map(|claim| u128::from(claim.given.get())).sum();
        prop_assert!(all <= capacity.max(least));
        for claim in &claims {
            prop_assert!(claim.given >= claim.least && claim.given <= claim.set.max(claim.least));
        }
        let rate = |claim: &Claim, size: PageCount, next: PageCount| {
            (claim.curve.misses_at(size) - claim.curve.misses_at(next)).abs()
        };
        for from in claims.iter().filter(|claim| claim.given > claim.least) {
            let lost = rate(from, from.given - PageCount(1), from.given);
            for to in claims.iter().filter(|claim| claim.given < claim.set) {
                let saved = rate(to, to.given, to.given + PageCount(1));
                prop_assert!(saved <= lost * 1.001 + 1e-9, "{saved} for {lost}");
            }
        }
    }
}

/// VMs of 512 to 4096 MB with their demand in MiB, without curves.
fn targets(demands: &[u64], capacity: u64, start: u64) -> Vec<f64> {
    let mib = PageCount::from_mib;
    let views: Vec<VmView> = (1..)
        .zip(demands)
        .map(|(id, &demand)| {
            VmView::new(VmId(id), MemorySettings::dynamic(mib(512), mib(4096))).with(|vm| {
                vm.assigned = mib(1024);
                let status = GuestStatus::default().with(|status| status.demand = mib(demand));
                vm.history.push(Duration::ZERO, status);
            })
        })
        .collect();
    let starts = [Reservation::new(VmId(99), 5000, mib(start), Duration::ZERO)];
    let host = HostView::new(mib(capacity), mib(capacity.saturating_sub(1024 * demands.len() as u64)))
        .with(|host| host.reservations = if start > 0 { &starts } else { &[] });
    let mut proposal = Proposal::default();
    proposal.begin(views.iter().map(|vm| Target { pages: vm.assigned, reason: Reason::new("started") }));
    Meb::default().round(&host, &views, &mut proposal);
    proposal.targets().iter().map(|target| target.pages.mib()).collect()
}

#[test]
fn without_a_curve_all_that_is_committed_is_touched() {
    // Working sets are 95 % of commit: 950 and 1900 MB; 150 MB beyond.
    let seen = targets(&[1000, 2000], 3000, 0);
    assert!((seen[0] - 1000.0).abs() < 0.01 && (seen[1] - 2000.0).abs() < 0.01, "{seen:?}");
    // 500 MB less than working sets need: both lack the same share of what they have beyond their minimums of 512 MB.
    let seen = targets(&[1000, 2000], 2350, 0);
    let part = (2350.0 - 1024.0) / (2850.0 - 1024.0);
    let expected = [512.0 + 438.0 * part, 512.0 + 1388.0 * part];
    assert!((seen[0] - expected[0]).abs() < 0.01 && (seen[1] - expected[1]).abs() < 0.01, "{seen:?}");
    // A start has what it needs before.
    assert_eq!(targets(&[1000, 2000], 2850, 500), seen);
}

#[test]
fn conforms() {
    policy_conformance::assert_conforms(Meb::default);
}
