//! Checks of Figure 4-4 of \[A\]: one VM, loaded and unloaded.

use std::time::Duration;

use balancing_policy::satisfied_pressure;
use page_range::PageCount;

use super::measured::{Look, Measured, vm};
use super::observation::Observation;
use scenario::file::Check;
use scenario::run::Cycle;
use scenario::run::points::VmPoint;
use scenario::run::statistics::{mean, slope};

/// A change of the guest's commit that is a step of its load, and not its services' own.
const STEP: f64 = 8.0;
/// Half the width of the pressure band in percent, and the least move in MB: demand can be off by so much without a grant.
const BAND: f64 = 2.0;
const MOVE: PageCount = PageCount::from_mib(4);
/// Samples of steps and grants of which "drops" and "rises" must hold, and how many there must be.
const MOST: f64 = 0.9;
const FEW: usize = 5;
/// What the guest may still give, asked again, when the reclaim is over: half an operation, MB.
const LITTLE: f64 = 32.0;
/// An idle phase that is to be looked at lasts at least so long.
const IDLE: Duration = Duration::from_secs(60);

/// Measures a check of Figure 4-4; `None` if it is none.
pub(super) fn measure(name: &str, check: &Check, run: &Observation) -> Option<Look> {
    let look: fn(&View<'_>) -> Look = match name {
        "idle_at_startup" => idle_at_startup,
        "idle_available" => idle_available,
        "follows_demand" => follows_demand,
        "available_trend" => available_trend,
        "available_sawtooth" => available_sawtooth,
        "unload_is_unseen" => unload_is_unseen,
        "hold" => hold,
        "reclaim" => reclaim,
        "idle_after_reclaim" => idle_after_reclaim,
        _ => return None,
    };
    Some(vm(check, run).and_then(|vm| look(&View { run, vm, cycle: run.cycle(vm)? })))
}

struct View<'a> {
    run: &'a Observation,
    vm: usize,
    cycle: Cycle,
}

impl View<'_> {
    fn of(&self, index: usize) -> &VmPoint {
        &self.run.points[index].vms[self.vm]
    }

    fn time(&self, index: usize) -> Duration {
        self.run.points[index].time
    }

    fn available(&self, index: usize) -> f64 {
        self.of(index).guest_available.map_or(0.0, PageCount::mib)
    }

    fn seconds(&self, from: usize, to: usize) -> f64 {
        (self.time(to).saturating_sub(self.time(from))).as_secs_f64()
    }
}

fn holds(condition: bool, why: impl FnOnce() -> String) -> Look {
    Ok(if condition { Measured::Holds } else { Measured::Fails(why()) })
}

fn login(view: &View<'_>) -> Result<usize, String> {
    let login = view.run.login(view.vm).ok_or("the guest never shows its login screen")?;
    if view.time(view.cycle.rises).saturating_sub(view.time(login)) < IDLE {
        return Err("the guest is not left alone for a minute before it is loaded".to_owned());
    }
    Ok(login)
}

fn idle_at_startup(view: &View<'_>) -> Look {
    login(view)?;
    let startup = view.run.vms[view.vm].settings.startup;
    let other = (view.cycle.idle..=view.cycle.rises).find(|&index| view.of(index).physical != startup);
    holds(other.is_none(), || {
        let index = other.unwrap_or_default();
        format!("{} at {:?}", view.of(index).physical, view.time(index))
    })
}

fn idle_available(view: &View<'_>) -> Look {
    let samples: Vec<f64> = (login(view)?..=view.cycle.rises).map(|index| view.available(index)).collect();
    mean(&samples).map(Measured::Number).ok_or("no samples".to_owned())
}

/// Physical Memory is at least what the demand of a moment ago needs by the band's upper edge, at most what demand and
/// buffer come to, and never falls.
fn follows_demand(view: &View<'_>) -> Look {
    let settings = &view.run.vms[view.vm].settings;
    let reaction = view.run.windows.reaction;
    let (centre, maximum) = (satisfied_pressure(settings), settings.maximum);
    let demand = |index: usize| view.of(index).demand.unwrap_or_default().mib();
    let mut most = settings.startup.mib();
    for index in view.cycle.rises + 1..=view.cycle.falls {
        let physical = view.of(index).physical;
        if physical < view.of(index - 1).physical {
            return holds(false, || format!("Physical Memory falls at {:?}", view.time(index)));
        }
        most = most.max(demand(index) * 100.0 / centre);
        // Hot-add comes in granules.
        if physical.mib() > (most + MOVE.mib()).min(maximum.mib()) {
            return holds(false, || {
                format!("{physical} at {:?}: more than demand and buffer, {most:.0} MB", view.time(index))
            });
        }
        let before = view.run.at(view.time(index).saturating_sub(reaction));
        if before > view.cycle.rises {
            let least = (demand(before) * 100.0 / (centre + BAND) - MOVE.mib()).min(maximum.mib());
            if physical.mib() < least {
                return holds(false, || {
                    format!(
                        "{physical} at {:?}: not what the demand of {reaction:?} before needs, {least:.0} MB",
                        view.time(index)
                    )
                });
            }
        }
    }
    holds(view.of(view.cycle.falls).physical > settings.startup, || "it never grows".to_owned())
}

fn available_trend(view: &View<'_>) -> Look {
    let indices = view.cycle.rises..=view.cycle.falls;
    let times: Vec<f64> = indices.clone().map(|index| view.time(index).as_secs_f64() / 60.0).collect();
    let available: Vec<f64> = indices.map(|index| view.available(index)).collect();
    slope(&times, &available).map(Measured::Number).ok_or("② is too short".to_owned())
}

/// Where load eats memory, available falls; where a grant arrives, it rises; each drop is followed by a rise.
fn available_sawtooth(view: &View<'_>) -> Look {
    let (mut steps, mut drops, mut grants, mut rises) = (0_usize, 0_usize, 0_usize, 0_usize);
    let commit = |index: usize| view.of(index).guest_commit.mib();
    let granted = |index: usize| view.of(index).physical.mib() - view.of(index - 1).physical.mib();
    let peak = (view.cycle.rises..=view.cycle.falls).map(commit).fold(0.0, f64::max);
    let centre = satisfied_pressure(&view.run.vms[view.vm].settings);
    for index in view.cycle.rises + 1..=view.cycle.falls {
        let (step, grant) = (commit(index) - commit(index - 1), granted(index));
        let change = view.available(index) - view.available(index - 1);
        if step >= STEP && grant < MOVE.mib() {
            steps += 1;
            drops += usize::from(change < 0.0);
            // From the band's centre a grant comes when the commit has risen to the band's edge: what is left of the load must
            // reach further than that.
            let grant_is_due = commit(index) * (centre + BAND) / centre + MOVE.mib() < peak;
            if grant_is_due && !rises_after(view, index) {
                return holds(false, || format!("no rise follows the drop at {:?}", view.time(index)));
            }
        } else if step < STEP && grant >= MOVE.mib() {
            grants += 1;
            rises += usize::from(change > 0.0);
        }
    }
    let most = |part: usize, all: usize| all >= FEW && part as f64 >= MOST * all as f64;
    holds(most(drops, steps) && most(rises, grants), || {
        format!("{drops} drops after {steps} load steps, {rises} rises after {grants} grants")
    })
}

/// Whether the drop at this sample is followed by a rise: from the lowest point after it, for more drops may come before the
/// grant does.
fn rises_after(view: &View<'_>, drop: usize) -> bool {
    let mut lowest = f64::INFINITY;
    (drop..=view.cycle.falls)
        .take_while(|&later| view.seconds(drop, later) <= view.run.windows.answer.as_secs_f64())
        .any(|later| {
            lowest = lowest.min(view.available(later));
            view.available(later) - lowest >= STEP
        })
}

fn unload_is_unseen(view: &View<'_>) -> Look {
    let (from, to) = (view.cycle.falls, view.cycle.unloaded);
    let first = view.of(from);
    for index in from..=to {
        let now = view.of(index);
        let same = now.physical == first.physical
            && now.visible == first.visible
            && now.added == first.added
            && now.removed == first.removed
            && now.operations == first.operations;
        if !same {
            return holds(false, || format!("the parent's counters change at {:?}", view.time(index)));
        }
    }
    let released = first.guest_commit.mib() - view.of(to).guest_commit.mib();
    let risen = view.available(to) - view.available(from);
    holds(risen >= 0.9 * released, || {
        format!("available rises by {risen:.0} MB while {released:.0} MB are released")
    })
}

fn hold(view: &View<'_>) -> Look {
    Ok(Measured::Number(if view.cycle.reclaims < view.cycle.unloaded {
        0.0
    } else {
        view.seconds(view.cycle.unloaded, view.cycle.reclaims)
    }))
}

fn reclaim(view: &View<'_>) -> Look {
    let (from, to) = (view.cycle.reclaims, view.cycle.reclaimed);
    let (before, after) = (view.of(from), view.of(to));
    if let Some(index) = (from..=to).find(|&index| view.of(index).visible != before.visible) {
        return holds(false, || {
            format!("Guest Visible Physical Memory is {} at {:?}", view.of(index).visible, view.time(index))
        });
    }
    let taken = before.physical.mib() - after.physical.mib();
    let less = view.available(from) - view.available(to);
    holds(taken >= STEP && less >= 0.9 * taken && after.visible > after.physical, || {
        format!("Physical Memory falls by {taken:.0} MB, available by {less:.0} MB")
    })
}

fn idle_after_reclaim(view: &View<'_>) -> Look {
    let (from, to) = (view.cycle.reclaimed, view.cycle.end);
    if view.seconds(from, to) < IDLE.as_secs_f64() {
        return Err("the run ends before ⑥ has lasted a minute".to_owned());
    }
    let rest = view.of(from);
    let change = (from..=to).find(|&index| {
        let now = view.of(index);
        rest.physical.mib() - now.physical.mib() > LITTLE
            || now.physical > rest.physical
            || now.visible != rest.visible
    });
    holds(change.is_none(), || format!("something changes at {:?}", view.time(change.unwrap_or_default())))
}
