//! Predictive-band against Hyper-V's policy, on every load and for several seeds: less unmet demand and less memory moved at
//! the same time, without losing on fairness.

#[path = "../examples/evaluate/loads.rs"]
mod loads;
#[path = "../examples/evaluate/measure.rs"]
mod measure;
#[path = "../examples/evaluate/random.rs"]
mod random;

use balancer_predictive_band::PredictiveBand;
use measure::Measures;
use memory_balancer::hyperv::PressureBandPolicy;

const SEEDS: u64 = 3;

/// Means over the seeds.
fn means(of: fn(&Measures) -> f64, runs: &[Measures]) -> f64 {
    runs.iter().map(of).sum::<f64>() / runs.len() as f64
}

#[test]
fn better_on_unmet_demand_and_on_memory_moved_at_the_same_time() {
    let drawn: Vec<_> = (1..=SEEDS).map(loads::built_in).collect();
    for n in 0..drawn[0].len() {
        let name = &drawn[0][n].name;
        let run = |make: fn() -> Box<dyn balancing_policy::Policy>| -> Vec<Measures> {
            drawn.iter().map(|scenarios| measure::run(&scenarios[n], make())).collect()
        };
        let hyperv = run(|| Box::new(PressureBandPolicy::default()));
        let ours = run(|| Box::new(PredictiveBand::default()));
        let both = |of: fn(&Measures) -> f64| (means(of, &ours), means(of, &hyperv));

        // Beyond what no policy could meet. Where Hyper-V's policy meets everything, there is nothing to gain.
        let (unmet, theirs) = both(|run| run.unmet - run.unavoidable);
        assert!(unmet < theirs || (unmet == 0.0 && theirs == 0.0), "{name}: unmet {unmet} and {theirs} MB·s");
        let (moved, theirs) = both(|run| run.moved);
        assert!(moved < theirs, "{name}: moved {moved} and {theirs} MB");

        // Among equals, with and without what is beyond demand and buffer; and between weights.
        let (fair, theirs) = both(|run| run.fairness_of_need);
        assert!(fair > theirs - 0.002, "{name}: Jain's index of need {fair} and {theirs}");
        let (fair, theirs) = both(|run| run.fairness);
        assert!(fair > theirs - 0.005, "{name}: Jain's index {fair} and {theirs}");
        let (inversions, theirs) = both(|run| run.inversions);
        assert!(inversions <= theirs + 0.005, "{name}: weights inverted {inversions} and {theirs}");

        let (refused, their_refused) = both(|run| run.refused as f64);
        // Not fewer on every load: of ten seeds of `idle-fleet` three have a start refused that Hyper-V's policy has memory for, and of three
        // of `churn` one has 46 in place of 45.
        assert!(refused <= their_refused + 0.5, "{name}: {refused} and {their_refused} starts refused");
        assert_eq!(means(|run| run.corrections as f64, &ours), 0.0, "{name}");
        let (waited, theirs) = both(|run| run.waited);
        // A start that was refused is asked for again half a minute later.
        let again = 30.0 * (refused - their_refused).max(0.0);
        assert!(waited <= theirs + again + 5.0, "{name}: VMs waited {waited} and {theirs} s to start");
    }
}

#[test]
fn the_same_load_runs_the_same_way_twice() {
    let run = || measure::run(&loads::built_in(7)[2], Box::new(PredictiveBand::default()));
    let (one, two) = (run(), run());
    assert_eq!((one.unmet.to_bits(), one.moved.to_bits()), (two.unmet.to_bits(), two.moved.to_bits()));
}
