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
/// Times that full runs correct a fast answer, and strides of each, at most. Invented.
const CORRECTIONS: u32 = 8;
/// Sizes above an answer that must keep the risk as well. Invented.
const NEIGHBOURS: u64 = 2;

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
        by = format!("{} at it and its neighbours", parts::told(&tries.ample.parts, up as usize));
    }
    if answer > 1 {
        tries.kept(&[of(answer - 1)], Engine::Full)?;
    }
    tries.keep_series(of(answer))?;
    // Where full runs do not keep the risk on the largest either, it is said.
    let kept = tries.kept(&[of(answer)], Engine::Full)?[0];
    let mut found = tries.found(of(answer), kept, fast_said, &by);
    if answer > 1 {
        found.why_not_less = tries.why_not(of(answer - 1));
    }
    Ok(found)
}

/// The smallest number of hosts of this size. `hint`: how many it is likely.
pub(crate) fn hosts_of(
    tries: &mut Tries<'_>,
    memory: PageCount,
    hint: Option<u32>,
) -> Result<Found, SizingError> {
    let fleet = tries.ample.fleet;
    let spare = tries.ample.question.spare;
    let engine = tries.ample.engine;
    let usable = memory.mib() * (1.0 - 30.0 / 1024.0) - 384.0;
    let largest = fleet.vms.iter().map(|vm| vm.settings.startup.mib()).fold(0.0, f64::max);
    if usable <= largest {
        let by = "no run: its largest VM does not fit a host";
        let none = tries.found((spare + 1, memory), false, None, by);
        return Ok(Found { hosts: 0, ..none });
    }
    let count = u32::try_from(fleet.vms.len()).unwrap_or(MOST_HOSTS).clamp(1, MOST_HOSTS);
    let of = |up: u64| (up as u32 + spare, memory);
    // From what is likely on, or from one, doubling until it suffices.
    let likely = hint.map_or(1, |hosts| u64::from(hosts.saturating_sub(spare))).clamp(1, u64::from(count));
    let (mut low, mut high) = (0_u64, likely);
    while !tries.kept(&[of(high)], engine)?[0] {
        if high >= u64::from(count) {
            return Ok(tries.found(of(high), false, None, "runs of one VM for each host"));
        }
        low = high;
        high = (high * 2).min(u64::from(count));
    }
    // Where what is likely suffices, one less is likely not to.
    if low == 0 && high > 1 {
        if tries.kept(&[of(high - 1)], engine)?[0] {
            high -= 1;
        } else {
            low = high - 1;
        }
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
    let below = if answer > 1 { " and one host below" } else { "" };
    let by = format!("{} at it{below}", parts::told(&tries.ample.parts, answer as usize));
    let kept = tries.kept(&[of(answer)], Engine::Full)?[0];
    let mut found = tries.found(of(answer), kept, fast_said, &by);
    if answer > 1 {
        found.why_not_less = tries.why_not(of(answer - 1));
    }
    Ok(found)
}

/// A fast answer, corrected by full runs at it and its neighbours: the smallest that keeps the risk, as do the two above it.
fn corrected(
    tries: &mut Tries<'_>,
    mut answer: u64,
    high: u64,
    of: impl Fn(u64) -> Try,
) -> Result<u64, SizingError> {
    // Where it is decided: what is short one step below.
    tries.look_at_worst(of(answer.saturating_sub(1).max(1)))?;
    let near = (answer.saturating_sub(1)..=answer + NEIGHBOURS).filter(|near| (1..=high).contains(near));
    tries.suspect(&near.map(&of).collect::<Vec<_>>())?;
    for _ in 0..CORRECTIONS {
        let looked_at = tries.looked_at();
        answer = smallest_near(tries, answer, high, &of)?;
        // What keeps the risk by chance where more does not is no answer.
        let above: Vec<u64> = (answer + 1..=(answer + NEIGHBOURS).min(high)).collect();
        let points: Vec<Try> = above.iter().map(|point| of(*point)).collect();
        let kept = tries.kept(&points, Engine::Full)?;
        if let Some((broken, _)) = above.iter().zip(kept).rev().find(|(_, kept)| !kept) {
            answer = (broken + 1).min(high);
        } else if tries.looked_at() == looked_at {
            return Ok(answer);
        }
    }
    // What is looked at has grown until the end: at least the answer keeps the risk by all of it.
    while answer < high && !tries.kept(&[of(answer)], Engine::Full)?[0] {
        answer += 1;
    }
    Ok(answer)
}

/// The smallest that keeps the risk in full runs, from a guess on.
fn smallest_near(
    tries: &mut Tries<'_>,
    mut answer: u64,
    high: u64,
    of: &impl Fn(u64) -> Try,
) -> Result<u64, SizingError> {
    let between = |tries: &mut Tries<'_>, low: u64, high: u64| {
        search::smallest(low, high, AT_ONCE, |points| {
            let points: Vec<Try> = points.iter().map(|point| of(*point)).collect();
            tries.kept(&points, Engine::Full)
        })
    };
    let mut stride = 1;
    let kept = tries.kept(&[of(answer)], Engine::Full);
    if matches!(kept, Err(SizingError::Waiting)) {
        // Whoever makes these runs may as well make those that are likely to come next.
        for next in (answer.saturating_sub(2)..=answer + 2).filter(|next| (1..=high).contains(next)) {
            let _asked_for = tries.kept(&[of(next)], Engine::Full);
        }
    }
    if kept?[0] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ample::Ample;
    use crate::fleet::hours_of_three_vms;
    use crate::job::Job;
    use crate::measure::{HostOutcome, Series, VmOutcome};
    use crate::question::{Hosts, Question, Risk};
    use crate::runs::{Batch, Runs};

    const STEP_MIB: u64 = 256;
    /// So many steps are enough for VM 2 in full runs, and so many for all by the fast model.
    const ENOUGH: u64 = 30;
    const FAST_ENOUGH: u64 = 20;

    /// The fast model sees VM 0 worst off on hosts of an even number of steps, and VM 2 on those of an odd one.
    struct Made {
        /// Steps of memory that are enough in full runs.
        enough: u64,
    }

    impl Runs for Made {
        fn run(&self, batch: Batch<'_>) -> Result<Vec<HostOutcome>, SizingError> {
            let one = |job: &Job| {
                let steps = job.memory.whole_mib() / STEP_MIB;
                let vms = job.vms.iter().map(|vm| {
                    let worst = if steps.is_multiple_of(2) { 0 } else { 2 };
                    let longest_s = match batch.engine {
                        Engine::Fast if steps < FAST_ENOUGH => 100.0,
                        Engine::Fast if *vm == worst => 20.0,
                        // Where memory is for all, no run is hopeless.
                        Engine::Full if *vm == 2 && steps < self.enough && job.hopeless_s.is_finite() => 50.0,
                        _ => 0.0,
                    };
                    let on_s = batch.fleet.length().as_secs_f64();
                    VmOutcome { started: true, on_s, longest_s, short_s: longest_s, ..VmOutcome::default() }
                });
                let series = Series { time_s: vec![1500.0], demand_mb: vec![5400.0], ..Series::default() };
                HostOutcome { vms: vms.collect(), series, ..HostOutcome::default() }
            };
            Ok(batch.jobs.iter().map(one).collect())
        }
    }

    fn question() -> Question {
        Question {
            hosts: Hosts::Number(3),
            spare: 0,
            risk: Risk::default(),
            seeds: 1,
            threads: 1,
            step: Some(PageCount::from_mib(STEP_MIB)),
            full: false,
        }
    }

    /// Less memory is no answer because full runs have looked elsewhere there.
    #[test]
    fn what_is_enough_is_enough_for_the_hosts_that_break_where_there_is_more() {
        let fleet = hours_of_three_vms(26);
        let question = question();
        let mut tries = Tries::new(Ample::measure(&fleet, &question, &Made { enough: ENOUGH }).unwrap());
        assert!(tries.ample.in_parts());
        let found = memory_of(&mut tries, 3, None).unwrap();
        assert_eq!(found.fast_said, Some((FAST_ENOUGH * STEP_MIB) as f64));
        assert_eq!(found.memory_mb, (ENOUGH * STEP_MIB) as f64);
        assert!(found.kept && found.why_not_less.is_some());
        let full = tries.evaluated().into_iter().filter(|tried| tried.engine == Engine::Full);
        assert!(full.into_iter().all(|tried| tried.kept == (tried.memory_mb >= found.memory_mb)));
    }

    /// What the fast model says is enough, and full runs show is not on any host, is not called enough.
    #[test]
    fn what_breaks_the_risk_on_the_largest_host_is_not_enough() {
        let fleet = hours_of_three_vms(26);
        let question = question();
        let made = Made { enough: u64::MAX };
        let mut tries = Tries::new(Ample::measure(&fleet, &question, &made).unwrap());
        let found = memory_of(&mut tries, 3, None).unwrap();
        assert!(!found.kept, "{found:?}");
        assert_eq!(found.shortages[0].vm, "C");
        let found = hosts_of(&mut tries, PageCount::from_mib(100 * STEP_MIB), None).unwrap();
        assert!(!found.kept, "{found:?}");
    }
}
