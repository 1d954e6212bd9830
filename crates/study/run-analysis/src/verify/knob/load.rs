//! Parts of the loads that the source's scenarios describe. The source says how its VMs were loaded in words only: numbers are this project's.

use guest_memory_manager::workload::{PaintConfig, PaintGoal, WorkloadConfig};
use scenario::run::Plan;
use scenario::run::plan::Action;

use super::definition::{CONTENTION, Group, Knob, SINGLE, Turn, times};

/// The checks of Available Memory in ③, which is in proportion to the rate at which VM8's load rises.
const AVAILABLE: &[&str] = &[
    "exhaustion/available_mean",
    "exhaustion-reserve-2048/available_mean",
    "exhaustion/available_single_digits",
    "multi-vm/available_single_digits",
    "multi-vm/available_single_digit_share",
];

macro_rules! load {
    ($name:literal, $unit:literal, $chosen:expr, $free:literal, $scenarios:expr, $newcomer:expr, $read:expr, $turn:expr) => {
        Knob {
            name: $name,
            group: Group::Load,
            label: None,
            unit: $unit,
            chosen_with: $chosen,
            free: $free,
            turn: Turn::Load(
                $scenarios,
                |plan| {
                    paints(plan)
                        .find(|(vm, _)| (vm + 1 == plan.vms.len()) == $newcomer)
                        .map(|(_, paint)| $read(paint))
                },
                |plan, factor| {
                    let vms = plan.vms.len();
                    for (vm, paint) in paints_mut(plan) {
                        if (vm + 1 == vms) == $newcomer {
                            $turn(paint, factor);
                        }
                    }
                },
            ),
        }
    };
}

/// All of them. The VM that comes last is the newcomer, VM8; in the scenarios of one VM that VM is.
pub(super) static KNOBS: &[Knob] = &[
    load!(
        "load of VM8: step",
        "MB",
        AVAILABLE,
        "with the interval a rate of about 10 MB/s: with the slowdown and the stock factor two means of three numbers",
        CONTENTION,
        true,
        step,
        turn_step
    ),
    load!(
        "load of VM8: interval",
        "s",
        AVAILABLE,
        "with the step a rate of about 10 MB/s: with the slowdown and the stock factor two means of three numbers",
        CONTENTION,
        true,
        interval,
        turn_interval
    ),
    load!(
        "load of VM8: variation",
        "ratio",
        AVAILABLE,
        "how evenly a person works: 0.3 gives more seeds whose mean is outside of the check's bounds",
        CONTENTION,
        true,
        variation,
        turn_variation
    ),
    load!(
        "load of VM8: commit of the guest",
        "MB",
        &[],
        "more than what the host still has, less than what makes the guest page: 3000 to 3850",
        CONTENTION,
        true,
        goal,
        turn_goal
    ),
    load!(
        "load of VM1 to VM7: commit of the guest",
        "MB",
        &["multi-vm/back_at_maximum"],
        "at 3495 and below the VMs would not return to 4096, above 3850 the guests page",
        CONTENTION,
        false,
        goal,
        turn_goal
    ),
    load!(
        "load of the single VM: commit of the guest",
        "MB",
        &[],
        "\"close to its maximum\": demand and buffer reach 4096 MB at a commit of 3413",
        SINGLE,
        true,
        goal,
        turn_goal
    ),
    load!(
        "load of the single VM: step",
        "MB",
        &[],
        "how far a person enlarges a canvas at a time",
        SINGLE,
        true,
        step,
        turn_step
    ),
    load!(
        "load of the single VM: interval",
        "s",
        &[],
        "how often a person enlarges a canvas",
        SINGLE,
        true,
        interval,
        turn_interval
    ),
];

fn step(paint: &PaintConfig) -> f64 {
    paint.step.mib()
}

fn turn_step(paint: &mut PaintConfig, factor: f64) {
    paint.step = times(paint.step, factor);
}

fn interval(paint: &PaintConfig) -> f64 {
    paint.interval.as_secs_f64()
}

fn turn_interval(paint: &mut PaintConfig, factor: f64) {
    paint.interval = paint.interval.mul_f64(factor);
}

fn variation(paint: &PaintConfig) -> f64 {
    paint.variation
}

fn turn_variation(paint: &mut PaintConfig, factor: f64) {
    paint.variation *= factor;
}

fn goal(paint: &PaintConfig) -> f64 {
    match paint.goal {
        PaintGoal::Commit(pages) | PaintGoal::GuestCommit(pages) => pages.mib(),
        PaintGoal::Canvas { .. } => f64::NAN,
    }
}

fn turn_goal(paint: &mut PaintConfig, factor: f64) {
    match &mut paint.goal {
        PaintGoal::Commit(pages) | PaintGoal::GuestCommit(pages) => *pages = times(*pages, factor),
        PaintGoal::Canvas { .. } => {}
    }
}

fn paints(plan: &Plan) -> impl Iterator<Item = (usize, &PaintConfig)> {
    plan.timeline.iter().filter_map(|step| match &step.action {
        Action::Run { vm, workload: WorkloadConfig::Paint(paint), .. } => Some((*vm, paint)),
        _ => None,
    })
}

fn paints_mut(plan: &mut Plan) -> impl Iterator<Item = (usize, &mut PaintConfig)> {
    plan.timeline.iter_mut().filter_map(|step| match &mut step.action {
        Action::Run { vm, workload: WorkloadConfig::Paint(paint), .. } => Some((*vm, paint)),
        _ => None,
    })
}
