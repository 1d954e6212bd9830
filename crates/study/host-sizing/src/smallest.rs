//! The smallest hosts, or the smallest number of them, that keep the risk.

use page_range::PageCount;

use crate::SizingError;
use crate::answer::Found;
use crate::job::Engine;
use crate::parts;
use crate::runs::AT_ONCE;
use crate::search;
use crate::tries::{Tries, Try};

/// Most hosts that are tried of one size. Invented.
const MOST_HOSTS: u32 = 1024;
/// Full runs that correct a fast answer, at most.
const CORRECTIONS: u32 = 8;

/// Step of an answer.
fn step(asked: Option<PageCount>, most: PageCount) -> PageCount {
    asked.unwrap_or_else(|| {
        let gib = most.whole_mib() / 1024;
        PageCount::from_mib(
            1024 * match gib {
                0..64 => 1,
                64..256 => 2,
                256..1024 => 8,
                _ => 32,
            },
        )
    })
}

/// The smallest memory for each of so many hosts. `hint`: where it is likely, MB.
pub(crate) fn memory_of(tries: &mut Tries<'_>, hosts: u32, hint: Option<f64>) -> Result<Found, SizingError> {
    let fleet = tries.ample.fleet;
    // No host needs more than memory for everyone.
    let most = fleet.ample(0..fleet.vms.len());
    let up = hosts - tries.ample.question.spare;
    let step = step(tries.ample.question.step, PageCount(most.get() / u64::from(up).max(1)));
    let of = |steps: u64| (hosts, PageCount(step.get() * steps));
    let high = most.get().div_ceil(step.get()).max(1);
    let engine = tries.ample.engine;
    if !tries.kept(&[of(high)], engine)?[0] {
        // Held against what VMs have there, which another drawing of placements may break; as it is, it is said.
        return Ok(tries.found(of(high), false, None, "full runs"));
    }
    // Without peaks that fall together, about what all demand at most, and what the hosts need themselves.
    let fixed = fleet.vms.iter().filter(|vm| !vm.settings.dynamic);
    let fixed: f64 = fixed.map(|vm| vm.settings.startup.mib()).sum();
    let guess = hint.unwrap_or(
        ((tries.ample.peak_of_sum + fixed) * 1.05 / f64::from(up) + 512.0) / (1.0 - 30.0 / 1024.0),
    );
    let steps = |mb: f64| ((mb * 256.0 / step.get() as f64) as u64).clamp(1, high);
    let near = (steps(guess * 0.9), steps(guess * 1.1));
    let mut answer = search::near(near, high, AT_ONCE, |points| {
        let points: Vec<Try> = points.iter().map(|steps| of(*steps)).collect();
        tries.kept(&points, engine)
    })?;
    let mut fast_said = None;
    let mut by = "full runs at it and one step below".to_owned();
    if engine == Engine::Fast {
        fast_said = Some(of(answer).1.mib());
        answer = corrected(tries, answer, high, of)?;
        by = format!("{} at it and its neighbours", parts::told(&tries.ample.parts));
    }
    if answer > 1 {
        tries.kept(&[of(answer - 1)], Engine::Full)?;
    }
    tries.keep_series(of(answer))?;
    let mut found = tries.found(of(answer), true, fast_said, &by);
    if answer > 1 {
        found.why_not_less = tries.why_not(of(answer - 1));
    }
    Ok(found)
}

/// The smallest number of hosts of this size.
pub(crate) fn hosts_of(tries: &mut Tries<'_>, memory: PageCount) -> Result<Found, SizingError> {
    let fleet = tries.ample.fleet;
    let spare = tries.ample.question.spare;
    let engine = tries.ample.engine;
    // From what all need together at least, on, doubling until it suffices.
    let usable = memory.mib() * (1.0 - 30.0 / 1024.0) - 384.0;
    let largest = fleet.vms.iter().map(|vm| vm.settings.startup.mib()).fold(0.0, f64::max);
    if usable <= largest {
        let by = "no run: its largest VM does not fit a host";
        let none = tries.found((spare + 1, memory), false, None, by);
        return Ok(Found { hosts: 0, ..none });
    }
    let count = u32::try_from(fleet.vms.len()).unwrap_or(MOST_HOSTS).clamp(1, MOST_HOSTS);
    let of = |up: u64| (up as u32 + spare, memory);
    let (mut low, mut high) = (0_u64, 1_u64);
    while !tries.kept(&[of(high)], engine)?[0] {
        if high >= u64::from(count) {
            return Ok(tries.found(of(high), false, None, "runs of one VM for each host"));
        }
        low = high;
        high = (high * 2).min(u64::from(count));
    }
    let mut answer = search::smallest(low, high, AT_ONCE, |points| {
        let points: Vec<Try> = points.iter().map(|up| of(*up)).collect();
        tries.kept(&points, engine)
    })?;
    let mut fast_said = None;
    if engine == Engine::Fast {
        fast_said = Some(answer as f64 + f64::from(spare));
        answer = corrected(tries, answer, u64::from(count), of)?;
    }
    if answer > 1 {
        tries.kept(&[of(answer - 1)], Engine::Full)?;
    }
    tries.keep_series(of(answer))?;
    let by = format!("{} at it and one host below", parts::told(&tries.ample.parts));
    let mut found = tries.found(of(answer), true, fast_said, &by);
    if answer > 1 {
        found.why_not_less = tries.why_not(of(answer - 1));
    }
    Ok(found)
}

/// A fast answer, corrected by full runs at it and its neighbours.
fn corrected(
    tries: &mut Tries<'_>,
    mut answer: u64,
    high: u64,
    of: impl Fn(u64) -> Try,
) -> Result<u64, SizingError> {
    let between = |tries: &mut Tries<'_>, low: u64, high: u64| {
        search::smallest(low, high, AT_ONCE, |points| {
            let points: Vec<Try> = points.iter().map(|point| of(*point)).collect();
            tries.kept(&points, Engine::Full)
        })
    };
    let mut stride = 1;
    // Where it is decided: what is short one step below.
    tries.look_at_worst(of(answer.saturating_sub(1).max(1)))?;
    if tries.kept(&[of(answer)], Engine::Full)?[0] {
        // Less may do: down in growing strides, then up to the smallest between the last two.
        for _ in 0..CORRECTIONS {
            if answer <= 1 {
                break;
            }
            let next = answer.saturating_sub(stride).max(1);
            tries.look_at_worst(of(next))?;
            if !tries.kept(&[of(next)], Engine::Full)?[0] {
                return between(tries, next, answer);
            }
            (answer, stride) = (next, stride * 2);
        }
        return Ok(answer);
    }
    // Too little: up in growing strides, then back down to the smallest.
    let mut low = answer;
    loop {
        let next = (answer + stride).min(high);
        if tries.kept(&[of(next)], Engine::Full)?[0] || next == high {
            return between(tries, low, next);
        }
        (low, answer, stride) = (next, next, stride * 2);
    }
}
