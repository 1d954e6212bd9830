//! Figures 4-4 to 4-7 of \[A\]: what a run's counters did over time.

use page_range::PageCount;

use super::recorded::Recorded;
use charts::{BENEATH, BLACK, BLUE, Curve, Figure, GREY, Given, ORANGE, Panel, Phase, Stroke};
use scenario::run::Cycle;
use scenario::run::phases::Phases;
use scenario::run::points::VmPoint;
use scenario::run::statistics::mean;
use scenario::run::{Point, phases};

/// What Table 4-1 of \[A\] says of a run with this reserve.
struct Table41 {
    free: (f64, f64),
    available: f64,
    reads: f64,
}

/// The two runs of Table 4-1: told by the host's memory and its reserve.
fn table_4_1(run: &Recorded) -> Option<Table41> {
    let reserve = run.points.first()?.host.reserve.mib();
    if (run.host_mb - 32_768.0).abs() > 0.5 || run.vms.len() != 8 {
        None
    } else if (reserve - 1344.0).abs() < 0.5 {
        Some(Table41 { free: (400.0, 500.0), available: 108.0, reads: 64.1 })
    } else if (reserve - 2048.0).abs() < 0.5 {
        Some(Table41 { free: (750.0, 850.0), available: 35.0, reads: 3.4 })
    } else {
        None
    }
}

/// How a page-file average is taken, seconds.
const WINDOW: f64 = 15.0;
pub(super) const TIME: &str = "time (min)";

pub(super) fn minutes(point: &Point) -> f64 {
    point.time.as_secs_f64() / 60.0
}

pub(super) fn curve(run: &Recorded, label: &str, stroke: Stroke, of: impl Fn(&Point) -> f64) -> Curve {
    Curve {
        label: label.to_owned(),
        stroke,
        points: run.points.iter().map(|point| (minutes(point), of(point))).collect(),
    }
}

/// Something of a VM; a gap while it is off.
pub(super) fn of_vm(vm: usize, of: impl Fn(&VmPoint) -> Option<PageCount>) -> impl Fn(&Point) -> f64 {
    move |point| match &point.vms[vm] {
        off if off.physical.is_zero() => f64::NAN,
        on => of(on).map_or(f64::NAN, PageCount::mib),
    }
}

pub(super) fn panel(title: &str, axis: &str, height: f64, curves: Vec<Curve>) -> Panel {
    Panel {
        title: title.to_owned(),
        axis: axis.to_owned(),
        height,
        top: None,
        curves,
        given: Vec::new(),
        marks: Vec::new(),
    }
}

/// Figure 4-4: one VM is loaded and unloaded.
pub(super) fn figure_4_4(run: &Recorded, note: &str) -> Option<String> {
    let [name] = &run.vms[..] else { return None };
    let cycle = Cycle::find(&run.points, 0).ok()?;
    let at = |index: usize| minutes(&run.points[index]);
    let begins =
        [cycle.idle, cycle.rises, cycle.falls, cycle.unloaded, cycle.reclaims, cycle.reclaimed, cycle.end];
    let phases =
        begins.windows(2).zip(1..).map(|(ends, number)| Phase { from: at(ends[0]), to: at(ends[1]), number });
    let memory = panel(
        "",
        "memory (MB)",
        230.0,
        vec![
            curve(
                run,
                "Guest Visible\nPhysical Memory",
                Stroke::solid(BENEATH, 5.0),
                of_vm(0, |vm| Some(vm.visible)),
            ),
            curve(run, "Physical Memory", Stroke::solid(BLUE, 2.2), of_vm(0, |vm| Some(vm.physical))),
            curve(
                run,
                "Available MBytes\n(in the guest)",
                Stroke::solid(ORANGE, 1.1),
                of_vm(0, |vm| vm.guest_available),
            ),
        ],
    );
    // Drops where load eats memory and rises where a grant arrives are small against the whole.
    const LOW: f64 = 800.0;
    let available = |index: usize| run.points[index].vms[0].guest_available.map_or(f64::NAN, PageCount::mib);
    let low = curve(run, "", Stroke::solid(ORANGE, 1.1), |point| {
        let available = of_vm(0, |vm| vm.guest_available)(point);
        if available > LOW { f64::NAN } else { available }
    });
    let mut low = panel("the lower end of Available MBytes", "in the guest (MB)", 130.0, vec![low]);
    low.top = Some(LOW);
    // The source measured the idle guest of 512 MB, after it had booted.
    if (run.points[cycle.idle].vms[0].physical.mib() - 512.0).abs() < 0.5 {
        let booted =
            (cycle.idle..cycle.rises).find(|&index| available(index) < available(cycle.rises) + 10.0);
        let booted = booted.unwrap_or(cycle.idle);
        let idle: Vec<f64> = (booted..=cycle.rises).map(available).collect();
        low.given.push(Given {
            from: at(booted),
            to: at(cycle.rises),
            low: 98.0,
            high: 98.0,
            label: format!("idle, source: 98 MB\nthis run: {:.0} MB", mean(&idle).unwrap_or(f64::NAN)),
        });
    }
    let figure = Figure {
        title: format!("Figure 4-4  {name}: memory is added and taken back"),
        note: note.to_owned(),
        axis: TIME,
        from: 0.0,
        to: at(cycle.end),
        phases: phases.collect(),
        panels: vec![memory, low],
    };
    Some(figure.draw())
}

/// The phases of Figure 4-5 and the newcomer's place.
fn contention(run: &Recorded) -> Option<(Phases, usize)> {
    let phases = phases::find(&run.points, &run.vms)?;
    let newcomer = run.vms.iter().position(|vm| *vm == phases.newcomer)?;
    Some((phases, newcomer))
}

/// "VM1–VM7" of names that are in one row, else "the others".
fn others(run: &Recorded, newcomer: usize) -> String {
    let names: Vec<&str> =
        run.vms.iter().enumerate().filter(|(vm, _)| *vm != newcomer).map(|(_, name)| name.as_str()).collect();
    match names[..] {
        [only] => only.to_owned(),
        [first, .., last] => format!("{first}–{last}"),
        [] => String::new(),
    }
}

/// Whether all others have their maximum, but for what is too little to move, when the newcomer has come.
fn at_their_maximum(run: &Recorded, newcomer: usize, idle_s: f64) -> bool {
    let Some(then) = run.points.iter().find(|point| point.time.as_secs_f64() >= idle_s) else { return false };
    let others = then.vms.iter().zip(&run.maximum).enumerate().filter(|(vm, _)| *vm != newcomer);
    others
        .into_iter()
        .all(|(_, (vm, maximum))| maximum.is_some_and(|maximum| vm.physical.mib() + 4.0 >= maximum))
}

/// Figure 4-5: several VMs, contention.
pub(super) fn figure_4_5(run: &Recorded, note: &str) -> Option<String> {
    let (phases, newcomer) = contention(run)?;
    let last = run.points.last().map(minutes)?;
    let end = phases.restored_s.map_or(last, |restored| (restored / 60.0 + 2.0).min(last));
    let mut curves = Vec::new();
    let mut named = false;
    for vm in 0..run.vms.len() {
        if vm != newcomer {
            let label = if named { String::new() } else { others(run, newcomer) };
            named = true;
            curves.push(curve(run, &label, Stroke::solid(GREY, 0.9), of_vm(vm, |vm| Some(vm.physical))));
        }
    }
    curves.push(curve(
        run,
        &phases.newcomer,
        Stroke::solid(BLUE, 2.4),
        of_vm(newcomer, |vm| Some(vm.physical)),
    ));
    // Where it lies above the memory, the newcomer lacks some.
    let demand = format!("demand of {}", phases.newcomer);
    curves.push(curve(run, &demand, Stroke::dashed(ORANGE, 1.3, "3 2"), of_vm(newcomer, |vm| vm.demand)));
    const LOW: f64 = 250.0;
    let low = curve(run, "", Stroke::solid(BLACK, 1.0), |point| {
        let available = point.host.available.mib();
        if available > LOW { f64::NAN } else { available }
    });
    let mut single = panel("the same, its lower end", "Available (MB)", 110.0, vec![low]);
    single.top = Some(LOW);
    // What the source says is said of its own host.
    if table_4_1(run).is_some() {
        single.given.push(Given {
            from: phases.contention_s / 60.0,
            to: phases.falls_s / 60.0,
            low: 0.0,
            high: 10.0,
            label: "source: at times\na single digit".to_owned(),
        });
    }
    let numbered = |from: f64, to: f64, number| Phase { from: from / 60.0, to: to / 60.0, number };
    let figure = Figure {
        title: format!(
            "Figure 4-5  Contention: {}{}, then {}",
            others(run, newcomer),
            if at_their_maximum(run, newcomer, phases.idle_s) { " at their maximum" } else { "" },
            phases.newcomer
        ),
        note: note.to_owned(),
        axis: TIME,
        from: (phases.idle_s / 60.0 - 1.0).max(0.0),
        to: end,
        phases: vec![
            numbered(phases.idle_s, phases.grows_s, 1),
            numbered(phases.grows_s, phases.contention_s, 2),
            numbered(phases.contention_s, phases.falls_s, 3),
            numbered(phases.falls_s, end * 60.0, 4),
        ],
        panels: vec![
            panel("", "Physical Memory (MB)", 190.0, curves),
            panel(
                "",
                "Available (MB)",
                95.0,
                vec![curve(run, "Available Memory", Stroke::solid(BLACK, 1.2), |point| {
                    point.host.available.mib()
                })],
            ),
            single,
        ],
    };
    Some(figure.draw())
}

/// ① to ③, as Figures 4-6 and 4-7 show them.
fn exhaustion(run: &Recorded, title: &str, note: &str, panels: Vec<Panel>) -> Option<String> {
    let (phases, _) = contention(run)?;
    let numbered = |from: f64, to: f64, number| Phase { from: from / 60.0, to: to / 60.0, number };
    let figure = Figure {
        title: title.to_owned(),
        note: note.to_owned(),
        axis: TIME,
        from: phases.idle_s / 60.0,
        to: phases.falls_s / 60.0,
        phases: vec![
            numbered(phases.idle_s, phases.grows_s, 1),
            numbered(phases.grows_s, phases.contention_s, 2),
            numbered(phases.contention_s, phases.falls_s, 3),
        ],
        panels,
    };
    Some(figure.draw())
}

/// The mean of something over the samples of ③.
fn mean_of(run: &Recorded, phases: &Phases, of: impl Fn(&Point) -> f64) -> f64 {
    let contention = phases.contention_s..=phases.falls_s;
    let samples: Vec<f64> =
        run.points.iter().filter(|point| contention.contains(&point.time.as_secs_f64())).map(of).collect();
    mean(&samples).unwrap_or(f64::NAN)
}

/// Figure 4-6: the parent's free memory and the balancer's.
pub(super) fn figure_4_6(run: &Recorded, note: &str) -> Option<String> {
    let (phases, _) = contention(run)?;
    let (from, to) = (phases.contention_s / 60.0, phases.falls_s / 60.0);
    let mut memory = panel(
        "",
        "memory (MB)",
        280.0,
        vec![
            curve(run, "parent's free\nmemory", Stroke::solid(ORANGE, 1.8), |point| {
                point.host.parent_free_mib
            }),
            curve(run, "balancer's\nAvailable Memory", Stroke::dashed(BLUE, 1.8, "6 2"), |point| {
                point.host.available.mib()
            }),
        ],
    );
    if let Some(source) = table_4_1(run) {
        let (low, high) = source.free;
        memory.given = vec![
            Given {
                from,
                to,
                low,
                high,
                label: format!(
                    "source: {low}–{high} MB\nthis run: mean {:.0} MB",
                    mean_of(run, &phases, |point| point.host.parent_free_mib)
                ),
            },
            Given {
                from,
                to,
                low: source.available,
                high: source.available,
                label: format!(
                    "source: mean {} MB\nthis run: mean {:.0} MB",
                    source.available,
                    mean_of(run, &phases, |point| point.host.available.mib())
                ),
            },
        ];
    }
    exhaustion(
        run,
        "Figure 4-6  The parent's free memory and the balancer's Available Memory",
        note,
        vec![memory],
    )
}

/// Figure 4-7: what the parent reads from its page file.
pub(super) fn figure_4_7(run: &Recorded, note: &str) -> Option<String> {
    let (phases, _) = contention(run)?;
    let (from, to) = (phases.contention_s / 60.0, phases.falls_s / 60.0);
    let each =
        curve(run, "each second", Stroke::solid(GREY, 0.8), |point| point.host.parent_reads_per_second);
    let before_end: Vec<(f64, f64)> =
        each.points.iter().copied().filter(|(minutes, _)| *minutes <= to).collect();
    let averages = Curve {
        label: format!("mean of {WINDOW} s"),
        stroke: Stroke::solid(BLUE, 2.2),
        points: steps(&before_end, from),
    };
    let highest =
        averages.points.iter().filter(|(minutes, _)| *minutes > from + 1e-9).map(|(_, reads)| *reads);
    let highest = highest.fold(0.0, f64::max);
    let mut reads = panel("", "page file reads (1/s)", 240.0, vec![each, averages]);
    if let Some(source) = table_4_1(run) {
        reads.given.push(Given {
            from,
            to,
            low: source.reads,
            high: source.reads,
            label: format!(
                "source: at most {}/s\nthis run: {highest:.1}/s\n(means of {WINDOW} s)",
                source.reads
            ),
        });
    }
    exhaustion(run, "Figure 4-7  The parent reads from its page file", note, vec![reads])
}

/// Means over pieces of [`WINDOW`], as steps; one piece begins at `anchor`.
fn steps(points: &[(f64, f64)], anchor: f64) -> Vec<(f64, f64)> {
    let window = WINDOW / 60.0;
    let piece_of = |minutes: f64| ((minutes - anchor) / window + 1e-9).floor() as i64;
    let mut steps = Vec::new();
    let mut rest = points;
    while let Some(&(first, _)) = rest.first() {
        let piece = piece_of(first);
        let length = rest.iter().take_while(|(minutes, _)| piece_of(*minutes) == piece).count();
        let (this, after) = rest.split_at(length.max(1));
        let mean = this.iter().map(|(_, value)| value).sum::<f64>() / this.len() as f64;
        let from = anchor + piece as f64 * window;
        // A piece at the end that is cut short is no mean of its length.
        if after.is_empty() && this.last().is_none_or(|last| last.0 < from + 0.9 * window) {
            break;
        }
        steps.push((from.max(points[0].0), mean));
        steps.push((from + window, mean));
        rest = after;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_begin_where_the_phase_does() {
        let points: Vec<(f64, f64)> =
            (0..60).map(|s| (f64::from(s) / 60.0, if s < 20 { 0.0 } else { 6.0 })).collect();
        let steps = steps(&points, 20.0 / 60.0);
        let values: Vec<f64> = steps.iter().step_by(2).map(|step| step.1).collect();
        assert_eq!(values, [0.0, 0.0, 6.0, 6.0]);
        assert!((steps[4].0 - 20.0 / 60.0).abs() < 1e-9, "{steps:?}");
    }
}
