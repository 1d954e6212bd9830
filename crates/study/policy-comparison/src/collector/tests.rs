use std::sync::Arc;

use vmms_host::VmState;

use super::*;
use crate::loads;
use scenario::file::Patience;
use scenario::run::Choices;
use scenario::run::build;

const MIB: u64 = 256;

/// The plan of multi-vm, with two VMs of these settings that are started at 0 s and 10 s.
fn plan(settings: [MemorySettings; 2]) -> Plan {
    let scenario = loads::find("multi-vm").unwrap();
    let mut plan = build::plan_alone(&scenario, &Choices::default()).unwrap();
    plan.vms.truncate(2);
    for ((vm, settings), name) in plan.vms.iter_mut().zip(settings).zip(["A", "B"]) {
        vm.name = Arc::from(name);
        vm.settings = settings;
    }
    plan.timeline = [0, 10]
        .into_iter()
        .enumerate()
        .map(|(vm, at)| scenario::run::plan::Step {
            at: Duration::from_secs(at),
            action: Action::Start { vm, while_host_used_below: None, patience: Patience::NONE },
        })
        .collect();
    plan.until = Duration::from_secs(3600);
    plan
}

fn dynamic() -> MemorySettings {
    MemorySettings::dynamic(PageCount::from_mib(512), PageCount::from_mib(4096))
}

fn on(commit: u64, physical: u64) -> VmPoint {
    VmPoint {
        running: true,
        physical: PageCount(physical * MIB),
        guest_commit: PageCount(commit * MIB),
        guest_available: Some(PageCount::ZERO),
        state: VmState::Running,
        guest_works: true,
        ..VmPoint::default()
    }
}

fn point(second: u64, vms: [VmPoint; 2]) -> Point {
    Point { time: Duration::from_secs(second), vms: vms.to_vec(), ..Point::default() }
}

/// The measures of all VMs.
fn finish(mut collector: Collector, provisioned: &Progress) -> (Values, Option<Series>) {
    collector.end();
    let series = collector.take_series();
    (collector.values(provisioned, Which::All), series)
}

fn value(values: &Values, id: MeasureId) -> f64 {
    values[id.index()].unwrap()
}

#[test]
fn what_lacks_is_summed_over_time() {
    let mut collector = Collector::new(&plan([dynamic(); 2]), false);
    for second in 0..=100 {
        let (short, rich) = (on(1000, 900), on(500, 600));
        collector.observe(&point(second, [if second > 50 { short } else { rich }, rich]));
    }
    let (values, _) = finish(collector, &vec![Some(1.0); 2]);
    assert_eq!(value(&values, MeasureId::Unmet), 100.0 * 50.0);
    assert_eq!(value(&values, MeasureId::Above100), 50.0);
    assert_eq!(value(&values, MeasureId::Started), 100.0);
    // Both have 600 of 600 for half of the time; then one has 900 of 1200, and half weight makes that 3/4.
    let index = (1.75_f64 * 1.75) / (2.0 * (1.0 + 0.75 * 0.75));
    assert!((value(&values, MeasureId::Fairness) - 0.5 * (1.0 + index)).abs() < 1e-9);
    assert_eq!(value(&values, MeasureId::Inversions), 0.0);
}

#[test]
fn slowdown_is_progress_against_the_well_provisioned_run() {
    let run = |stall_per_second: f64| {
        let mut collector = Collector::new(&plan([dynamic(); 2]), false);
        for second in 0..=100_u32 {
            let stall = Duration::from_secs_f64(stall_per_second * f64::from(second));
            let stalled = VmPoint { guest_stall: stall, ..on(500, 600) };
            collector.observe(&point(second.into(), [stalled, on(500, 600)]));
        }
        collector
    };
    let provisioned = run(0.2).progress();
    assert!((provisioned[0].unwrap() - 0.8).abs() < 1e-9 && provisioned[1] == Some(1.0));
    let (values, _) = finish(run(0.6), &provisioned);
    assert!((value(&values, MeasureId::WorstSlowdown) - 2.0).abs() < 1e-9);
    assert!((value(&values, MeasureId::Slowdown) - 2.0_f64.sqrt()).abs() < 1e-9);
}

#[test]
fn starts_are_counted_with_their_delays() {
    let mut collector = Collector::new(&plan([dynamic(); 2]), false);
    for second in 0..=100 {
        // A starts at once; B is asked for at 10 s and has its memory at 40 s.
        let b = if second >= 40 { on(500, 600) } else { VmPoint::default() };
        collector.observe(&point(second, [if second > 0 { on(500, 600) } else { VmPoint::default() }, b]));
    }
    let (values, _) = finish(collector, &vec![None; 2]);
    assert_eq!(value(&values, MeasureId::Started), 100.0);
    assert_eq!(value(&values, MeasureId::StartDelay), 0.5 * 29.0);
    assert_eq!(values[MeasureId::Slowdown.index()], None);

    let mut collector = Collector::new(&plan([dynamic(); 2]), false);
    for second in 0..=100 {
        collector.observe(&point(second, [on(500, 600), VmPoint::default()]));
    }
    let (values, _) = finish(collector, &vec![None; 2]);
    assert_eq!(value(&values, MeasureId::Started), 50.0);
}

#[test]
fn turns_are_counted_while_a_vm_runs() {
    let mut collector = Collector::new(&plan([dynamic(); 2]), false);
    let amounts = [600, 700, 700, 650, 640, 700, 600];
    for (second, amount) in amounts.into_iter().enumerate() {
        collector.observe(&point(second as u64 * 600, [on(500, amount), VmPoint::default()]));
    }
    // Up, down, up, down: three turns in an hour.
    let (values, _) = finish(collector, &vec![None; 2]);
    assert_eq!(value(&values, MeasureId::Oscillation), 3.0);
    // Starting and stopping is no turn.
    let mut collector = Collector::new(&plan([dynamic(); 2]), false);
    for second in 0..20 {
        let vm = if second % 4 < 2 { on(500, 600) } else { VmPoint::default() };
        collector.observe(&point(second, [vm, vm]));
    }
    let (values, _) = finish(collector, &vec![None; 2]);
    assert_eq!(value(&values, MeasureId::Oscillation), 0.0);
}

#[test]
fn an_inversion_needs_one_who_could_give() {
    let weights = [dynamic().with_weight(9000), dynamic().with_weight(1000)];
    let seconds = |low: VmPoint| {
        let mut collector = Collector::new(&plan(weights), false);
        for second in 0..=10 {
            collector.observe(&point(second, [on(1000, 900), low]));
        }
        value(&finish(collector, &vec![None; 2]).0, MeasureId::Inversions)
    };
    assert_eq!(seconds(on(500, 800)), 10.0);
    // As badly off; at its minimum; off.
    assert_eq!(seconds(on(1000, 900)), 0.0);
    assert_eq!(seconds(on(300, 512)), 0.0);
    assert_eq!(seconds(VmPoint::default()), 0.0);
}

#[test]
fn only_moves_after_the_beginning_count() {
    let mut collector = Collector::new(&plan([dynamic(); 2]), true);
    for minute in 0..=60_u64 {
        let added = VmPoint { added: PageCount(minute * 10 * MIB), operations: minute, ..on(500, 600) };
        collector.observe(&point(minute * 60, [added, on(500, 600)]));
    }
    let (values, series) = finish(collector, &vec![None; 2]);
    assert_eq!(value(&values, MeasureId::Moved), 600.0);
    assert_eq!(value(&values, MeasureId::Operations), 60.0);
    let series = series.unwrap();
    assert_eq!(series.time_s.len(), 61);
    assert_eq!(series.need_mb[5], 1000.0);
}

#[test]
fn quantiles() {
    let values: Vec<f64> = (1..=10).map(f64::from).collect();
    assert_eq!(quantile(&values, 0.5), Some(5.0));
    assert_eq!(quantile(&values, 0.9), Some(9.0));
    assert_eq!(quantile(&values[..1], 0.9), Some(1.0));
    assert_eq!(quantile(&[], 0.5), None);
}
