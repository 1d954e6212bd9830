//! Checks of Figures 4-5 to 4-7 and Table 4-1 of \[A\]: a VM that comes last takes memory from the others.

use page_range::PageCount;

use super::measured::{Look, Measured, peak_of_averages};
use super::observation::{Contention, Observation};
use scenario::file::Check;
use scenario::run::Point;
use scenario::run::statistics::{mean, median, turns};

/// Below this, Available Memory has a single digit.
const SINGLE_DIGIT_MIB: f64 = 10.0;

struct View<'a> {
    run: &'a Observation,
    phases: Contention,
}

/// Measures a check of Figures 4-5 to 4-7; `None` if it is none.
pub(super) fn measure(name: &str, check: &Check, run: &Observation) -> Option<Look> {
    let look: fn(&View<'_>) -> Look = match name {
        "undisturbed_growth" => undisturbed_growth,
        "others_undisturbed" => others_undisturbed,
        "contention" => contention,
        "available_single_digits" => available_single_digits,
        "available_single_digit_share" => |view| {
            let all = view.available();
            let low = all.iter().filter(|mib| **mib < SINGLE_DIGIT_MIB).count();
            Ok(Measured::Number(low as f64 / all.len().max(1) as f64))
        },
        "back_at_maximum" => back_at_maximum,
        "parent_free" => |view| Ok(Measured::Samples(view.in_contention(|point| point.host.parent_free_mib))),
        "available_mean" => |view| number(mean(&view.available())),
        "page_reads_peak" => {
            |view| number(peak_of_averages(view.run, view.phases.contention, view.phases.falls))
        }
        "page_reads_quiet" => |view| {
            let reads = view.between(view.phases.grows, view.phases.contention, |point| {
                point.host.parent_reads_per_second
            });
            number(median(&reads))
        },
        "page_reads_idle" => |view| {
            let reads =
                view.between(view.phases.idle, view.phases.grows, |point| point.host.parent_reads_per_second);
            number(reads.into_iter().reduce(f64::max))
        },
        "flat_while_idle" => flat_while_idle,
        "unsteady" => unsteady,
        "curves_cross" => curves_cross,
        _ => return None,
    };
    Some(run.contention().and_then(|phases| {
        let newcomer = &run.vms[phases.newcomer].name;
        match &check.vm {
            Some(vm) if !newcomer.eq_ignore_ascii_case(&vm.value) => {
                Err(format!("the VM that comes last is {newcomer}, not {}", vm.value))
            }
            _ => look(&View { run, phases }),
        }
    }))
}

fn number(value: Option<f64>) -> Look {
    value.map(Measured::Number).ok_or("no samples".to_owned())
}

impl View<'_> {
    fn between(&self, from: usize, to: usize, of: impl Fn(&Point) -> f64) -> Vec<f64> {
        self.run.points[from..=to].iter().map(of).collect()
    }

    /// Something of every sample of ③.
    fn in_contention(&self, of: impl Fn(&Point) -> f64) -> Vec<f64> {
        self.between(self.phases.contention, self.phases.falls, of)
    }

    fn available(&self) -> Vec<f64> {
        self.in_contention(|point| point.host.available.mib())
    }

    fn physical(&self, index: usize, vm: usize) -> PageCount {
        self.run.points[index].vms[vm].physical
    }

    fn others(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.run.vms.len()).filter(|&vm| vm != self.phases.newcomer)
    }
}

fn undisturbed_growth(view: &View<'_>) -> Look {
    let vm = view.phases.newcomer;
    let grown = view.physical(view.phases.contention, vm).saturating_sub(view.physical(view.phases.idle, vm));
    Ok(Measured::Number(grown.mib()))
}

/// From the newcomer's start to the end of ②: the others keep what they have. The last sample of ② is where they begin
/// to lose, so it does not count.
fn others_undisturbed(view: &View<'_>) -> Look {
    for vm in view.others() {
        let had = view.physical(view.phases.idle, vm);
        for index in view.phases.idle..view.phases.contention {
            let has = view.physical(index, vm);
            if had.max(has) - had.min(has) > view.run.windows.still {
                return Ok(Measured::Fails(format!(
                    "{} has {has} at {:?}, and had {had}",
                    view.run.vms[vm].name, view.run.points[index].time
                )));
            }
        }
    }
    Ok(Measured::Holds)
}

/// Every other VM loses, and the newcomer gains.
fn contention(view: &View<'_>) -> Look {
    let (from, to) = (view.phases.grows, view.phases.falls);
    for vm in view.others() {
        let had = view.physical(from, vm);
        let least = (view.phases.contention..=to).map(|index| view.physical(index, vm)).min();
        if had.saturating_sub(least.unwrap_or(had)) <= view.run.windows.still {
            return Ok(Measured::Fails(format!("{} loses nothing", view.run.vms[vm].name)));
        }
    }
    let vm = view.phases.newcomer;
    let peak = (view.phases.contention..=to).map(|index| view.physical(index, vm)).max().unwrap_or_default();
    let gained = peak.saturating_sub(view.physical(view.phases.contention, vm));
    if gained <= view.run.windows.still {
        return Ok(Measured::Fails(format!("{} gains {gained}", view.run.vms[vm].name)));
    }
    Ok(Measured::Holds)
}

fn available_single_digits(view: &View<'_>) -> Look {
    let least = view.available().into_iter().reduce(f64::min).ok_or("no samples")?;
    Ok(if least < SINGLE_DIGIT_MIB {
        Measured::Holds
    } else {
        Measured::Fails(format!("the least sample is {least:.1} MB"))
    })
}

fn back_at_maximum(view: &View<'_>) -> Look {
    let furthest = view
        .others()
        .map(|vm| view.run.vms[vm].settings.maximum.saturating_sub(view.physical(view.phases.end, vm)))
        .max();
    number(furthest.map(PageCount::mib))
}

fn flat_while_idle(view: &View<'_>) -> Look {
    // The newcomer's startup RAM is being taken when it starts, and its first grant leaves the pool before it is mapped.
    let points = &view.run.points;
    let (from, mut to) = (view.phases.idle + 1, view.phases.grows - 1);
    while to > from && points[to].host.in_transit > points[from].host.in_transit {
        to -= 1;
    }
    if from >= to {
        return Err("① is too short".to_owned());
    }
    let spread = |of: fn(&Point) -> f64| {
        let values = view.between(from, to, of);
        let most = values.iter().copied().reduce(f64::max)?;
        Some(most - values.into_iter().reduce(f64::min)?)
    };
    let available = spread(|point| point.host.available.mib());
    let free = spread(|point| point.host.parent_free_mib);
    number(available.zip(free).map(|(available, free)| available.max(free)))
}

fn unsteady(view: &View<'_>) -> Look {
    let points = &view.run.points;
    let seconds = (points[view.phases.falls].time - points[view.phases.contention].time).as_secs_f64();
    let least = (view.run.windows.turns_per_minute * seconds / 60.0) as usize;
    let available = turns(&view.available(), view.run.windows.turn);
    let free = turns(&view.in_contention(|point| point.host.parent_free_mib), view.run.windows.turn);
    Ok(if available.min(free) >= least.max(1) {
        Measured::Holds
    } else {
        Measured::Fails(format!(
            "in {seconds:.0} s Available Memory turns {available} times, the parent's free memory {free}"
        ))
    })
}

fn curves_cross(view: &View<'_>) -> Look {
    let difference = |index: usize| {
        let host = &view.run.points[index].host;
        host.available.mib() - host.parent_free_mib
    };
    let (before, after) = (difference(view.phases.grows), difference(view.phases.contention));
    Ok(if before > 0.0 && after < 0.0 {
        Measured::Holds
    } else {
        Measured::Fails(format!("Available Memory less free memory is {before:.0} MB, then {after:.0} MB"))
    })
}
