use super::*;

/// Two VMs of 100 to 1000 MB that take turns: each needs 800 MB for half of every hour, when the other needs 200.
fn turns(slots: usize) -> FluidRun {
    let vm = |phase: usize| FluidVm {
        known: true,
        startup: 500.0,
        minimum: 100.0,
        maximum: 1000.0,
        slots: (0..slots).map(|slot| (if slot % 2 == phase { 800.0 } else { 200.0 }, 1.0)).collect(),
    };
    let moment = Moment { lasts: 1800.0, needed: 1000.0, beyond: 0.0, asked: 2 };
    FluidRun {
        fluid: Fluid { vms: vec![vm(0), vm(1)], slot: 1800.0, overhead: 0.0 },
        needs: Needs::default(),
        moments: vec![moment; slots],
        last: None,
    }
}

#[test]
fn what_all_need_beyond_what_there_is_is_unmet_whatever_is_moved() {
    let fluid = turns(4);
    assert_eq!(fluid.least(1000.0), 0.0);
    assert_eq!(fluid.least(900.0), 100.0 * 4.0 * 1800.0);
    let with_overhead = FluidRun { fluid: Fluid { overhead: 50.0, ..fluid.fluid.clone() }, ..fluid };
    assert_eq!(with_overhead.least(1000.0), 100.0 * 4.0 * 1800.0);
}

#[test]
fn a_line_below_the_front_bounds_every_amount_moved() {
    let point = FrontPoint { moved_mb_per_h: 100.0, unmet_mb_s: 500.0, price_s: 2.0 };
    // An hour; 50 MB less moved are 100 MB·s more unmet at least.
    assert_eq!(least_at(&[point], 0.0, 50.0, 1.0), 600.0);
    assert_eq!(least_at(&[point], 0.0, 1000.0, 1.0), 0.0);
    assert_eq!(least_at(&[], 70.0, 0.0, 1.0), 70.0);
}

#[test]
fn the_curve_of_the_front_is_of_lines_below_it() {
    let point = |moved, unmet, price| FrontPoint { moved_mb_per_h: moved, unmet_mb_s: unmet, price_s: price };
    let curve = least_by_moved(&[point(100.0, 0.0, 1.0), point(0.0, 500.0, 10.0)], 0.0, 1.0);
    let at = |moved: f64| curve.iter().find(|(at, _)| (at - moved).abs() < 1e-9).unwrap().1;
    assert_eq!((at(0.0), at(100.0)), (500.0, 0.0));
    // The line between the two points would be at 250 in the middle; what is known is that no less than 50 is unmet there.
    assert!(curve.iter().all(|&(moved, unmet)| unmet <= 500.0 - 5.0 * moved + 1e-9));
    assert!(curve.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    assert_eq!(least_by_moved(&[], 7.0, 1.0), []);
}

/// Worked out by hand: moving 300 MB out of each VM and into the other, every half hour.
#[cfg(feature = "bound")]
#[test]
fn moving_is_worth_what_it_saves() {
    let fluid = turns(4);
    let front = fluid.fluid.front(1000.0);
    assert_eq!(front.len(), 7);
    let (dear, cheap) = (front.last().unwrap(), front.first().unwrap());
    // To 800 and 200 at once, then three exchanges of 600 MB, each out of one VM and into the other; in two hours.
    assert!((cheap.moved_mb_per_h - (2.0 * 300.0 + 3.0 * 2.0 * 600.0) / 2.0).abs() < 1.0, "{cheap:?}");
    assert!(cheap.unmet_mb_s < 1.0, "{cheap:?}");
    // Where a megabyte moved is worth more than it could ever save, nothing moves: in each slot one VM lacks 300 MB.
    assert!(dear.moved_mb_per_h < 1.0 && (dear.unmet_mb_s - 4.0 * 300.0 * 1800.0).abs() < 10.0, "{dear:?}");
    // The front falls and is convex: less moved is never less unmet.
    assert!(front.windows(2).all(|pair| pair[0].moved_mb_per_h >= pair[1].moved_mb_per_h - 1.0
        && pair[0].unmet_mb_s <= pair[1].unmet_mb_s + 1.0));
    // And it lies above what is unmet whatever is moved.
    assert!(turns(4).fluid.front(900.0)[0].unmet_mb_s >= fluid.least(900.0) - 10.0);
    // Where the minimums do not fit there is no front.
    assert_eq!(fluid.fluid.front(150.0), []);
}
