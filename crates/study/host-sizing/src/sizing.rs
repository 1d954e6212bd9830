//! Finding the answer.

use std::collections::BTreeMap;

use page_range::PageCount;

use crate::advise::{self, DemandFigures};
use crate::answer::{Answer, Evaluated, Failover, Found, SCHEMA, Shortage, Verdict};
use crate::confidence::Confidence;
use crate::fleet::Fleet;
use crate::job::{Engine, Job};
use crate::measure::{HostOutcome, Series, VmOutcome};
use crate::placement::{self, WAYS};
use crate::question::{Growth, Hosts, Question};
use crate::simulate;
use crate::{Progress, SizingError, search};

/// Real time that a full run costs for a VM and virtual second in this program's usual build, s. Inferred of measurements; only for the
/// choice of the model.
const FULL_COST_S: f64 = 3e-5;
/// Real time, s, that all full runs of a search may take before the fast model searches instead. Invented.
const PATIENCE_S: f64 = 45.0;
/// Full runs of a search, about.
const RUNS: f64 = 12.0;
/// Shortages that are kept of one try.
const MOST_TOLD: usize = 50;
/// Most hosts that are tried of one size. Invented.
const MOST_HOSTS: u32 = 1024;
/// Moments that full runs look at for each try, at most.
const MOMENTS: usize = 2;
/// A run is ended when a VM has been short for so many times what is allowed. Invented.
const HOPELESS: f64 = 10.0;
/// Real time, s, that full runs of one part and try may take that confirm what the fast model says. Invented.
const CONFIRM_S: f64 = 1.5;
/// Hosts of a try that full runs confirm, where they run parts of the load: those that are worst by the fast model. Invented.
const CONFIRMED: usize = 2;
/// Parts of the load that full runs run, at most. Invented.
const MOST_PARTS: usize = 3;
/// Full runs that correct a fast answer, at most.
const CORRECTIONS: u32 = 8;

/// A part of the load that full runs run.
#[derive(Clone, Debug)]
struct Part {
    /// `None`: all of it.
    fleet: Option<Fleet>,
    /// Where it begins.
    from_s: f64,
}

/// What a VM has on a host with memory for all: no host can do better.
#[derive(Clone, Copy, Debug, Default)]
struct Allowed {
    longest_s: f64,
    share: f64,
    refused: u64,
}

/// Finds the answer.
///
/// # Errors
/// A question without sense, or a run that fails.
pub fn size(
    fleet: &Fleet,
    question: &Question,
    growth: Option<Growth>,
    burst: bool,
    command: &str,
    progress: Progress<'_>,
) -> Result<Answer, SizingError> {
    let mut sizing = Sizing::new(fleet, question, progress)?;
    let found = sizing.answers()?;
    let short: Vec<bool> = sizing.baseline.iter().map(|seen| sizing.breaks(seen)).collect();
    let advice = advise::advise(fleet, &sizing.figures, &short);
    let with_advice = sizing.with_advice(&advice, &found)?;
    let series = sizing.series.take().unwrap_or_default();
    // Static memory takes what it has, whatever it demands.
    let peaks = sizing.figures.iter().zip(&fleet.vms).map(|(figures, vm)| {
        if vm.settings.dynamic { figures.maximum_mb } else { vm.settings.startup.mib() }
    });
    let mut on_any_host: Vec<Shortage> = sizing.on_any_host();
    on_any_host.truncate(MOST_TOLD);
    Ok(Answer {
        schema: SCHEMA,
        title: fleet.title.clone(),
        policy: fleet.plans[0].policy.clone(),
        risk: question.risk,
        spare: question.spare,
        growth,
        vms: fleet.vms.len(),
        length_s: fleet.length().as_secs_f64(),
        warm_up_s: fleet.warm_up_s(),
        begins_ms: fleet.begins,
        seeds: fleet.plans.len(),
        found,
        evaluated: sizing.evaluated.values().cloned().collect(),
        on_any_host,
        static_maximum_mb: fleet.vms.iter().map(|vm| vm.settings.maximum.mib()).sum(),
        static_peak_mb: peaks.sum(),
        peak_of_sum_mb: sizing.peak_of_sum,
        advice,
        with_advice,
        series,
        confidence: Confidence::of(&fleet.evidence, fleet.is_recorded(), burst),
        back_test: None,
        command: command.to_owned(),
    })
}

/// One of these VMs on hosts: memory of each, and how many are up.
type Key = (u32, u64, bool);

pub(crate) struct Sizing<'a> {
    fleet: &'a Fleet,
    question: &'a Question,
    progress: Progress<'a>,
    engine: Engine,
    /// What full runs run: all of it, or what is around the worst moments.
    parts: Vec<Part>,
    /// By engine: the fast one first.
    allowed: [Vec<Allowed>; 2],
    /// The same for VMs that restart when their host fails in the middle: they boot into the middle of their load.
    allowed_restarted: Vec<Allowed>,
    failovers: BTreeMap<Key, Failover>,
    baseline: Vec<VmOutcome>,
    pub(crate) figures: Vec<DemandFigures>,
    peak_of_sum: f64,
    evaluated: BTreeMap<Key, Evaluated>,
    verdicts: BTreeMap<Key, (Vec<Shortage>, Vec<Shortage>, f64)>,
    /// Hosts that are worst by the fast model: places in the jobs of a try.
    worst_hosts: BTreeMap<Key, Vec<usize>>,
    series: Option<Series>,
    all_series: BTreeMap<Key, Series>,
    /// Where the answer is likely, MB of each host: what a search with other settings found.
    hint: Option<f64>,
}

impl<'a> Sizing<'a> {
    pub(crate) fn new(
        fleet: &'a Fleet,
        question: &'a Question,
        progress: Progress<'a>,
    ) -> Result<Self, SizingError> {
        if fleet.vms.is_empty() {
            return Err(SizingError::NoVms);
        }
        if let Hosts::Number(hosts) | Hosts::Given(hosts, _) = question.hosts
            && hosts <= question.spare
        {
            return Err(SizingError::Question(format!(
                "of {hosts} hosts {} may be down, so none is left: more hosts, or fewer --spare",
                question.spare
            )));
        }
        let all = fleet.length().as_secs_f64() * fleet.vms.len() as f64 * fleet.plans.len() as f64;
        let slow = all * FULL_COST_S * RUNS / question.threads.max(1) as f64 > PATIENCE_S;
        let engine = if slow && fleet.is_recorded() && !question.full { Engine::Fast } else { Engine::Full };
        let mut sizing = Self {
            fleet,
            question,
            progress,
            engine,
            parts: vec![Part { fleet: None, from_s: 0.0 }],
            allowed: [Vec::new(), Vec::new()],
            allowed_restarted: Vec::new(),
            failovers: BTreeMap::new(),
            baseline: Vec::new(),
            figures: Vec::new(),
            peak_of_sum: 0.0,
            evaluated: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            worst_hosts: BTreeMap::new(),
            series: None,
            all_series: BTreeMap::new(),
            hint: None,
        };
        sizing.measure_ample()?;
        Ok(sizing)
    }

    /// Runs all VMs on a host with memory for all: what they demand, and what they lack on any host.
    fn measure_ample(&mut self) -> Result<(), SizingError> {
        let outcomes = self.ample(self.engine, true, false)?;
        self.peak_of_sum =
            outcomes.iter().flat_map(|outcome| &outcome.series.demand_mb).copied().fold(0.0, f64::max);
        self.figures =
            (0..self.fleet.vms.len()).map(|vm| DemandFigures::of(self.fleet, vm, &outcomes)).collect();
        self.allowed[usize::from(self.engine == Engine::Full)] = self.allow(&outcomes);
        self.baseline = merged(&outcomes);
        let risk = &self.question.risk;
        let least = Allowed { longest_s: risk.longest_s, share: risk.share, refused: risk.refused };
        self.allowed_restarted = vec![least; self.fleet.vms.len()];
        if self.engine == Engine::Fast && self.window_s().is_some() {
            self.parts.clear();
            self.allowed[1] = self.allowed_restarted.clone();
        } else {
            if self.engine == Engine::Fast {
                let full = self.ample(Engine::Full, false, false)?;
                self.allowed[1] = self.allow(&full);
                self.baseline = merged(&full);
            }
            return self.allow_restarts();
        }
        let series = outcomes.first().map(|outcome| &outcome.series);
        let times = series.into_iter().flat_map(|series| series.time_s.iter().zip(&series.demand_mb));
        let peak = times.max_by(|a, b| a.1.total_cmp(b.1)).map(|(time, _)| *time);
        self.add_parts(peak)
    }

    /// Whether a host fails in the middle of full runs.
    fn fails(&self) -> bool {
        self.question.spare > 0 && self.fleet.is_recorded()
    }

    /// What VMs lack on any host when they restart in the middle.
    fn allow_restarts(&mut self) -> Result<(), SizingError> {
        if self.fails() {
            let ample = self.ample(Engine::Full, false, true)?;
            let there = self.allow(&ample);
            more(&mut self.allowed_restarted, &there);
        }
        Ok(())
    }

    /// All VMs on a host with memory for all; `restarted`: in the middle.
    fn ample(
        &self,
        engine: Engine,
        keep_demand: bool,
        restarted: bool,
    ) -> Result<Vec<HostOutcome>, SizingError> {
        let everyone: Vec<usize> = (0..self.fleet.vms.len()).collect();
        let memory = self.fleet.ample(everyone.iter().copied());
        let jobs: Vec<Job> = (0..self.fleet.plans.len())
            .map(|seed| Job {
                memory,
                vms: everyone.clone(),
                seed,
                keep_demand,
                hopeless_s: f64::INFINITY,
                arrive: if restarted { everyone.clone() } else { Vec::new() },
            })
            .collect();
        self.run(engine, &jobs)
    }

    /// What VMs are held against: the risk, or what they have where memory is for all.
    fn allow(&self, outcomes: &[HostOutcome]) -> Vec<Allowed> {
        let risk = &self.question.risk;
        let sample = self.fleet.plans[0].sample_interval.as_secs_f64();
        (0..self.fleet.vms.len())
            .map(|vm| {
                let seen = |pick: fn(&VmOutcome) -> f64| {
                    outcomes.iter().map(|outcome| pick(&outcome.vms[vm])).fold(0.0, f64::max)
                };
                let refused = outcomes.iter().map(|outcome| outcome.vms[vm].refused).max().unwrap_or(0);
                let (longest, share, on) =
                    (seen(|vm| vm.longest_s), seen(VmOutcome::share), seen(|vm| vm.on_s).max(1.0));
                // A VM that is short there is held against what it is short there, and a little: no memory mends it.
                Allowed {
                    longest_s: if longest > risk.longest_s {
                        longest * 1.05 + 2.0 * sample
                    } else {
                        risk.longest_s
                    },
                    share: if share > risk.share { share * 1.1 + 2.0 * sample / on } else { risk.share },
                    refused: refused.max(risk.refused),
                }
            })
            .collect()
    }

    /// How long what is around a moment may be, if full runs of all of the load would take too long.
    fn window_s(&self) -> Option<f64> {
        // Hosts that are confirmed, and one that others' VMs come to.
        let up = match self.question.hosts {
            Hosts::Number(hosts) | Hosts::Given(hosts, _) => self.up(hosts),
            Hosts::Sizes(_) => 2,
        };
        let vms = self.fleet.vms.len() as f64 * ((CONFIRMED + 1) as f64 / up as f64).min(1.0);
        let cost = vms * FULL_COST_S * self.fleet.plans.len() as f64;
        let affordable = CONFIRM_S * self.question.threads.max(1) as f64 / cost;
        (affordable < self.fleet.length().as_secs_f64()).then(|| (affordable / 2.0).max(600.0))
    }

    /// Has full runs run what is around these moments, beside what they run already.
    fn add_parts(&mut self, moments: impl IntoIterator<Item = f64>) -> Result<(), SizingError> {
        let Some(window) = self.window_s() else { return Ok(()) };
        let whole = self.fleet.length().as_secs_f64();
        for moment in moments {
            if self.parts.len() >= MOST_PARTS {
                break;
            }
            // Before it counts, a part runs for as long as everything takes to settle.
            let settled = self.fleet.warm_up_s();
            let known = self.parts.iter().any(|part| {
                part.fleet.as_ref().is_none_or(|fleet| {
                    let (from, to) = (part.from_s + settled, part.from_s + fleet.length().as_secs_f64());
                    (from..=to).contains(&moment) && (moment - from > window / 8.0 || from < 2.0 * settled)
                })
            });
            if known {
                continue;
            }
            let from = (moment - window / 2.0 - settled).max(0.0).floor();
            let to = (moment + window / 2.0).min(whole + 1.0);
            let time = core::time::Duration::from_secs_f64;
            let Some(cut) = guest_memory_manager::trace::TraceWindow::new(time(from), time(to)) else {
                continue;
            };
            let before = core::mem::replace(
                &mut self.parts,
                vec![Part { fleet: Some(self.fleet.window(cut)?), from_s: from }],
            );
            // What VMs lack there on any host.
            let ample = self.ample(Engine::Full, false, false)?;
            let there = self.allow(&ample);
            more(&mut self.allowed[1], &there);
            self.allow_restarts()?;
            let mut worst: BTreeMap<usize, VmOutcome> = self.baseline.drain(..).enumerate().collect();
            for (vm, seen) in merged(&ample).iter().enumerate() {
                worse(&mut worst, vm, seen);
            }
            self.baseline = worst.into_values().collect();
            let added = core::mem::replace(&mut self.parts, before);
            self.parts.extend(added);
        }
        Ok(())
    }

    /// Moments in which most is short there by the fast model.
    fn worst_moments(&mut self, hosts: u32, memory: PageCount) -> Result<Vec<f64>, SizingError> {
        if self.window_s().is_none() {
            return Ok(Vec::new());
        }
        self.kept(&[(hosts, memory)], Engine::Fast)?;
        let mut moments: Vec<f64> = Vec::new();
        if let Some((all, violations, _)) = self.verdicts.get(&(hosts, memory.get(), true)) {
            let apart = self.window_s().unwrap_or(0.0) / 2.0;
            for shortage in violations.iter().chain(all).filter(|shortage| shortage.started) {
                if moments.len() < MOMENTS
                    && moments.iter().all(|moment| (moment - shortage.at_s).abs() > apart)
                {
                    moments.push(shortage.at_s);
                }
            }
        }
        Ok(moments)
    }

    /// In words, what full runs run.
    fn by(&self) -> String {
        let length: f64 = self
            .parts
            .iter()
            .filter_map(|part| part.fleet.as_ref())
            .map(|fleet| fleet.length().as_secs_f64())
            .sum();
        if length > 0.0 {
            format!(
                "full runs of {} around the worst moments, of the hosts that are worst by the fast model",
                crate::clock::length(length)
            )
        } else {
            "full runs".to_owned()
        }
    }

    /// Runs hosts. Of a load in parts a full run is of all parts: the worst of them counts, at the time that it has in the whole.
    fn run(&self, engine: Engine, jobs: &[Job]) -> Result<Vec<HostOutcome>, SizingError> {
        if engine == Engine::Fast {
            return simulate::run_all(self.fleet, engine, jobs, self.question.threads, self.progress);
        }
        let whole = self.fleet.length().as_secs_f64();
        let mut all: Vec<HostOutcome> = Vec::new();
        for part in &self.parts {
            let fleet = part.fleet.as_ref().unwrap_or(self.fleet);
            let mut outcomes = simulate::run_all(fleet, engine, jobs, self.question.threads, self.progress)?;
            if part.fleet.is_some() {
                for vm in outcomes.iter_mut().flat_map(|outcome| &mut outcome.vms) {
                    vm.longest_at_s += part.from_s;
                    vm.started_at_s += part.from_s;
                    vm.most_lacking.1 += part.from_s;
                    // The worst is in the parts, so that a share is of the whole time.
                    vm.on_s *= whole / fleet.length().as_secs_f64().max(1.0);
                }
            }
            if all.is_empty() {
                all = outcomes;
            } else {
                for (before, now) in all.iter_mut().zip(outcomes) {
                    before.least_available_mb = before.least_available_mb.min(now.least_available_mb);
                    before.slowest_start_s = before.slowest_start_s.max(now.slowest_start_s);
                    for (before, now) in before.vms.iter_mut().zip(now.vms) {
                        let short = before.short_s + now.short_s;
                        let refused = before.refused + now.refused;
                        let started = before.started && now.started;
                        if now.longest_s > before.longest_s {
                            *before = now;
                        }
                        (before.short_s, before.refused, before.started) = (short, refused, started);
                    }
                }
            }
        }
        Ok(all)
    }

    /// Whether what a VM went through is more than the risk.
    fn breaks(&self, seen: &VmOutcome) -> bool {
        let risk = &self.question.risk;
        seen.longest_s > risk.longest_s || seen.share() > risk.share || seen.refused > risk.refused
    }

    /// VMs that break the risk on any host.
    fn on_any_host(&self) -> Vec<Shortage> {
        let mut short: Vec<Shortage> = (0..self.fleet.vms.len())
            .filter(|vm| self.breaks(&self.baseline[*vm]))
            .map(|vm| shortage(self.fleet, vm, &self.baseline[vm]))
            .collect();
        worst_first(&mut short);
        short
    }

    /// Step of the answer.
    fn step(&self, most: PageCount) -> PageCount {
        self.question.step.unwrap_or_else(|| {
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

    fn answers(&mut self) -> Result<Vec<Found>, SizingError> {
        match self.question.hosts.clone() {
            Hosts::Number(hosts) => Ok(vec![self.memory_of(hosts)?]),
            Hosts::Given(hosts, memory) => {
                let smallest = self.memory_of(hosts)?;
                let kept = self.kept(&[(hosts, memory)], Engine::Full)?[0];
                let mut given = self.found(hosts, memory, kept, None, "a full run");
                given.why_not_less = None;
                self.keep_series(hosts, memory)?;
                Ok(if (smallest.memory_mb - memory.mib()).abs() < 1.0 {
                    vec![given]
                } else {
                    vec![given, smallest]
                })
            }
            Hosts::Sizes(sizes) => sizes.into_iter().map(|size| self.hosts_of(size)).collect(),
        }
    }

    /// The smallest memory for each of so many hosts.
    pub(crate) fn memory_of(&mut self, hosts: u32) -> Result<Found, SizingError> {
        // No host needs more than memory for everyone.
        let most = self.fleet.ample(0..self.fleet.vms.len());
        let step = self.step(PageCount(most.get() / u64::from(hosts - self.question.spare).max(1)));
        let of = |steps: u64| PageCount(step.get() * steps);
        let high = most.get().div_ceil(step.get()).max(1);
        let engine = self.engine;
        let threads = self.question.threads;
        if !self.kept(&[(hosts, of(high))], engine)?[0] {
            // Held against what VMs have there, which another drawing of placements may break; as it is, it is said.
            let found = self.found(hosts, of(high), false, None, "full runs");
            return Ok(found);
        }
        // Without peaks that fall together, about what all demand at most, and what the hosts need themselves.
        let up = f64::from(hosts - self.question.spare);
        let fixed: f64 =
            self.fleet.vms.iter().filter(|vm| !vm.settings.dynamic).map(|vm| vm.settings.startup.mib()).sum();
        let guess =
            self.hint.unwrap_or(((self.peak_of_sum + fixed) * 1.05 / up + 512.0) / (1.0 - 30.0 / 1024.0));
        let steps = |mb: f64| ((mb * 256.0 / step.get() as f64) as u64).clamp(1, high);
        let near = (steps(guess * 0.9), steps(guess * 1.1));
        let mut answer = search::near(near, high, threads, |points| {
            let tries: Vec<(u32, PageCount)> = points.iter().map(|steps| (hosts, of(*steps))).collect();
            self.kept(&tries, engine)
        })?;
        let mut fast_said = None;
        let mut by = "full runs at it and one step below".to_owned();
        if engine == Engine::Fast {
            fast_said = Some(of(answer).mib());
            answer = self.corrected(answer, high, |steps| (hosts, of(steps)))?;
            by = format!("{} at it and its neighbours", self.by());
        }
        if answer > 1 {
            self.kept(&[(hosts, of(answer - 1))], Engine::Full)?;
        }
        self.keep_series(hosts, of(answer))?;
        let mut found = self.found(hosts, of(answer), true, fast_said, &by);
        if answer > 1 {
            found.why_not_less = self.verdict(hosts, of(answer - 1)).map(Box::new);
        }
        Ok(found)
    }

    /// The smallest number of hosts of this size.
    fn hosts_of(&mut self, memory: PageCount) -> Result<Found, SizingError> {
        let spare = self.question.spare;
        let engine = self.engine;
        // From what all need together at least, on, doubling until it suffices.
        let usable = memory.mib() * (1.0 - 30.0 / 1024.0) - 384.0;
        let largest = self.fleet.vms.iter().map(|vm| vm.settings.startup.mib()).fold(0.0, f64::max);
        if usable <= largest {
            let mut none =
                self.found(spare + 1, memory, false, None, "no run: its largest VM does not fit a host");
            none.hosts = 0;
            return Ok(none);
        }
        let count = u32::try_from(self.fleet.vms.len()).unwrap_or(MOST_HOSTS).clamp(1, MOST_HOSTS);
        let mut low = 0_u64;
        let mut high = 1_u64;
        while !self.kept(&[(high as u32 + spare, memory)], engine)?[0] {
            if high >= u64::from(count) {
                return Ok(self.found(
                    high as u32 + spare,
                    memory,
                    false,
                    None,
                    "runs of one VM for each host",
                ));
            }
            low = high;
            high = (high * 2).min(u64::from(count));
        }
        let threads = self.question.threads;
        let mut answer = search::smallest(low, high, threads, |points| {
            let tries: Vec<(u32, PageCount)> =
                points.iter().map(|hosts| (*hosts as u32 + spare, memory)).collect();
            self.kept(&tries, engine)
        })?;
        let mut fast_said = None;
        if engine == Engine::Fast {
            fast_said = Some(answer as f64 + f64::from(spare));
            answer = self.corrected(answer, u64::from(count), |hosts| (hosts as u32 + spare, memory))?;
        }
        let hosts = answer as u32 + spare;
        if answer > 1 {
            self.kept(&[(hosts - 1, memory)], Engine::Full)?;
        }
        self.keep_series(hosts, memory)?;
        let by = format!("{} at it and one host below", self.by());
        let mut found = self.found(hosts, memory, true, fast_said, &by);
        if answer > 1 {
            found.why_not_less = self.verdict(hosts - 1, memory).map(Box::new);
        }
        Ok(found)
    }

    /// A fast answer, corrected by full runs at it and its neighbours.
    fn corrected(
        &mut self,
        mut answer: u64,
        high: u64,
        of: impl Fn(u64) -> (u32, PageCount),
    ) -> Result<u64, SizingError> {
        let mut stride = 1;
        // Where it is decided: what is short one step below.
        let (hosts, memory) = of(answer.saturating_sub(1).max(1));
        let moments = self.worst_moments(hosts, memory)?;
        self.add_parts(moments)?;
        if self.kept(&[of(answer)], Engine::Full)?[0] {
            // Less may do: down in growing strides, then up to the smallest between the last two.
            let mut broken = 0;
            for _ in 0..CORRECTIONS {
                if answer <= 1 {
                    break;
                }
                let next = answer.saturating_sub(stride).max(1);
                let (hosts, memory) = of(next);
                let moments = self.worst_moments(hosts, memory)?;
                self.add_parts(moments)?;
                if !self.kept(&[(hosts, memory)], Engine::Full)?[0] {
                    broken = next;
                    break;
                }
                (answer, stride) = (next, stride * 2);
            }
            if broken > 0 {
                let threads = self.question.threads;
                return search::smallest(broken, answer, threads, |points| {
                    let tries: Vec<(u32, PageCount)> = points.iter().map(|point| of(*point)).collect();
                    self.kept(&tries, Engine::Full)
                });
            }
            return Ok(answer);
        }
        // Too little: up in growing strides, then back down to the smallest.
        let mut low = answer;
        loop {
            let next = (answer + stride).min(high);
            if self.kept(&[of(next)], Engine::Full)?[0] || next == high {
                let threads = self.question.threads;
                return search::smallest(low, next, threads, |points| {
                    let tries: Vec<(u32, PageCount)> = points.iter().map(|point| of(*point)).collect();
                    self.kept(&tries, Engine::Full)
                });
            }
            (low, answer, stride) = (next, next, stride * 2);
        }
    }

    /// Runs of a try: its placements, or the one that there is, and its seeds.
    fn jobs(&self, hosts: u32, memory: PageCount) -> Vec<Job> {
        let up = self.up(hosts);
        let (figures, hopeless_s) = (self.mean_and_peak(), self.hopeless_s());
        let ways = if up == 1 { &WAYS[..1] } else { &WAYS[..] };
        let mut jobs = Vec::new();
        for way in ways {
            for vms in placement::place(self.fleet, &figures, up, *way) {
                for seed in 0..self.fleet.plans.len() {
                    let vms = vms.clone();
                    jobs.push(Job { memory, vms, seed, keep_demand: false, hopeless_s, arrive: Vec::new() });
                }
            }
        }
        jobs
    }

    /// Runs of a try in which a host fails in the middle.
    fn failing_jobs(&self, hosts: u32, memory: PageCount) -> Vec<Job> {
        let hopeless_s = self.hopeless_s();
        let mut jobs = Vec::new();
        for (vms, arrive) in placement::after_failure(self.fleet, &self.mean_and_peak(), self.up(hosts)) {
            for seed in 0..self.fleet.plans.len() {
                let (vms, arrive) = (vms.clone(), arrive.clone());
                jobs.push(Job { memory, vms, seed, keep_demand: false, hopeless_s, arrive });
            }
        }
        jobs
    }

    /// Hosts that are up when as many are down as may be.
    fn up(&self, hosts: u32) -> usize {
        hosts.saturating_sub(self.question.spare).max(1) as usize
    }

    fn mean_and_peak(&self) -> Vec<(f64, f64)> {
        self.figures.iter().map(|figures| (figures.mean_mb, figures.maximum_mb)).collect()
    }

    /// How long a VM may be short before there is no use in going on.
    fn hopeless_s(&self) -> f64 {
        let allowed = self.allowed.iter().flatten().chain(&self.allowed_restarted);
        HOPELESS * allowed.map(|allowed| allowed.longest_s).fold(0.0, f64::max).max(12.0)
    }

    /// Whether the risk is kept, of several tries at once.
    fn kept(&mut self, tries: &[(u32, PageCount)], engine: Engine) -> Result<Vec<bool>, SizingError> {
        let key = |hosts: u32, memory: PageCount| (hosts, memory.get(), engine == Engine::Fast);
        let new: Vec<(u32, PageCount)> = tries
            .iter()
            .copied()
            .filter(|(hosts, memory)| !self.evaluated.contains_key(&key(*hosts, *memory)))
            .collect();
        // A search with full runs has all of the load in one part, and no baseline of the fast model.
        let in_parts = engine == Engine::Full && self.engine == Engine::Fast && self.window_s().is_some();
        if in_parts {
            self.kept(&new, Engine::Fast)?;
        }
        if engine == Engine::Fast {
            return self.kept_fast(tries, &new);
        }
        let wanted = new.iter().map(|(hosts, memory)| {
            let jobs = self.jobs(*hosts, *memory);
            match self.worst_hosts.get(&(*hosts, memory.get(), true)).filter(|_| in_parts) {
                Some(worst) => worst.iter().filter_map(|place| jobs.get(*place).cloned()).collect(),
                None => jobs,
            }
        });
        let wanted: Vec<Vec<Job>> = wanted.collect();
        let mut seen = self.run_tries(engine, &wanted)?;
        let mut to_fail = Vec::new();
        for (place, (hosts, memory)) in new.iter().enumerate() {
            self.judge(key(*hosts, *memory), *hosts, *memory, engine, &seen[place]);
            let holds = self.evaluated.get(&key(*hosts, *memory)).is_some_and(|seen| seen.kept);
            if engine == Engine::Full && self.fails() && holds {
                to_fail.push(place);
            }
        }
        // Where it is broken with all that are left up, no host need fail.
        let wanted = to_fail.iter().map(|place| {
            let mut jobs = self.failing_jobs(new[*place].0, new[*place].1);
            if in_parts {
                // The host that is left with the most.
                let peaks = |job: &Job| job.vms.iter().map(|vm| self.figures[*vm].maximum_mb).sum::<f64>();
                jobs.sort_by(|a, b| peaks(b).total_cmp(&peaks(a)));
                jobs.truncate(self.fleet.plans.len());
            }
            jobs
        });
        let wanted: Vec<Vec<Job>> = wanted.collect();
        for (place, failed) in to_fail.iter().zip(self.run_tries(engine, &wanted)?) {
            let (hosts, memory) = new[*place];
            seen[*place].extend(failed);
            self.judge(key(hosts, memory), hosts, memory, engine, &seen[*place]);
        }
        Ok(tries
            .iter()
            .map(|(hosts, memory)| self.evaluated.get(&key(*hosts, *memory)).is_some_and(|seen| seen.kept))
            .collect())
    }

    /// The same by the fast model. Another placement is looked at only where those before it keep the risk.
    fn kept_fast(
        &mut self,
        tries: &[(u32, PageCount)],
        new: &[(u32, PageCount)],
    ) -> Result<Vec<bool>, SizingError> {
        let key = |hosts: u32, memory: PageCount| (hosts, memory.get(), true);
        let mut seen: Vec<Vec<(Job, HostOutcome)>> = new.iter().map(|_| Vec::new()).collect();
        let mut left: Vec<usize> = (0..new.len()).collect();
        for way in 0..WAYS.len() {
            let wanted = left.iter().map(|place| {
                let (hosts, memory) = new[*place];
                let jobs = self.jobs(hosts, memory);
                let of_way = self.up(hosts) * self.fleet.plans.len();
                jobs.into_iter().skip(way * of_way).take(of_way).collect()
            });
            let wanted: Vec<Vec<Job>> = wanted.collect();
            for (place, outcomes) in left.clone().into_iter().zip(self.run_tries(Engine::Fast, &wanted)?) {
                seen[place].extend(outcomes);
            }
            for place in left.clone() {
                let (hosts, memory) = new[place];
                self.judge(key(hosts, memory), hosts, memory, Engine::Fast, &seen[place]);
            }
            left.retain(|place| {
                let (hosts, memory) = new[*place];
                self.evaluated.get(&key(hosts, memory)).is_some_and(|seen| seen.kept)
            });
        }
        Ok(tries
            .iter()
            .map(|(hosts, memory)| self.evaluated.get(&key(*hosts, *memory)).is_some_and(|seen| seen.kept))
            .collect())
    }

    /// Runs the jobs of several tries; each with what it showed, in their order.
    fn run_tries(
        &self,
        engine: Engine,
        tries: &[Vec<Job>],
    ) -> Result<Vec<Vec<(Job, HostOutcome)>>, SizingError> {
        let mut all: Vec<(usize, usize, Job)> = Vec::new();
        for (place, jobs) in tries.iter().enumerate() {
            all.extend(jobs.iter().enumerate().map(|(number, job)| (place, number, job.clone())));
        }
        // The longest first, so that the threads end together.
        all.sort_by_key(|(.., job)| core::cmp::Reverse(self.fleet.cost(job)));
        let jobs: Vec<Job> = all.iter().map(|(.., job)| job.clone()).collect();
        let outcomes = self.run(engine, &jobs)?;
        let mut done: Vec<(usize, usize, Job, HostOutcome)> = all
            .into_iter()
            .zip(outcomes)
            .map(|((place, number, job), outcome)| (place, number, job, outcome))
            .collect();
        done.sort_by_key(|(place, number, ..)| (*place, *number));
        let mut seen: Vec<Vec<(Job, HostOutcome)>> = tries.iter().map(|_| Vec::new()).collect();
        for (place, _, job, outcome) in done {
            seen[place].push((job, outcome));
        }
        Ok(seen)
    }

    fn judge(
        &mut self,
        key: Key,
        hosts: u32,
        memory: PageCount,
        engine: Engine,
        seen: &[(Job, HostOutcome)],
    ) {
        let mut worst: BTreeMap<usize, VmOutcome> = BTreeMap::new();
        // Of VMs that restart in the middle, which are short on any host: held against that, and told apart.
        let mut restarted: BTreeMap<usize, VmOutcome> = BTreeMap::new();
        let mut broken: BTreeMap<usize, VmOutcome> = BTreeMap::new();
        let mut least = f64::INFINITY;
        let mut refused = 0;
        let mut ended_early = false;
        let mut series: Option<(f64, Series)> = None;
        let mut failover: Option<Failover> = None;
        for (job, outcome) in seen {
            if !job.arrive.is_empty() {
                let all = failover.get_or_insert_with(|| self.no_failover_yet());
                let arrived = || job.arrive.iter().filter_map(|place| outcome.vms.get(*place));
                all.not_started = all.not_started.max(arrived().filter(|vm| !vm.started).count());
                all.slowest_start_s = all.slowest_start_s.max(outcome.slowest_start_s);
            }
            ended_early |= outcome.ended_early;
            if !job.vms.is_empty() {
                if series.as_ref().is_none_or(|(seen, _)| outcome.least_available_mb < *seen) {
                    series = Some((outcome.least_available_mb, outcome.series.clone()));
                }
                least = least.min(outcome.least_available_mb);
            }
            for (place, (vm, seen)) in job.vms.iter().zip(&outcome.vms).enumerate() {
                let restarts = job.arrive.contains(&place);
                let allowed = if restarts {
                    self.allowed_restarted[*vm]
                } else {
                    refused = refused.max(seen.refused);
                    self.allowed[usize::from(engine == Engine::Full)][*vm]
                };
                // How often a guest refuses memory while it boots into the middle of its load is a matter of moments: of one that restarts,
                // how long it is short counts.
                let often = !restarts && (seen.share() > allowed.share || seen.refused > allowed.refused);
                if !seen.started || seen.longest_s > allowed.longest_s || often {
                    worse(&mut broken, *vm, seen);
                }
                if restarts && seen.started {
                    worse(&mut restarted, *vm, seen);
                } else if !seen.started || seen.short_s > 0.0 || seen.refused > 0 {
                    worse(&mut worst, *vm, seen);
                }
            }
        }
        if engine == Engine::Fast {
            let rank = |outcome: &HostOutcome| {
                let worst = |pick: fn(&VmOutcome) -> f64| outcome.vms.iter().map(pick).fold(0.0, f64::max);
                let off = outcome.vms.iter().filter(|vm| !vm.started).count() as f64;
                (off, worst(|vm| vm.longest_s), -outcome.least_available_mb)
            };
            let mut places: Vec<usize> =
                (0..seen.len()).filter(|place| !seen[*place].0.vms.is_empty()).collect();
            places.sort_by(|a, b| {
                let (a, b) = (rank(&seen[*a].1), rank(&seen[*b].1));
                b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)).then(b.2.total_cmp(&a.2))
            });
            places.truncate(CONFIRMED);
            self.worst_hosts.insert(key, places);
        }
        let list = |seen: &BTreeMap<usize, VmOutcome>| {
            let mut list: Vec<Shortage> =
                seen.iter().map(|(vm, seen)| shortage(self.fleet, *vm, seen)).collect();
            worst_first(&mut list);
            list
        };
        let (all, violations) = (list(&worst), list(&broken));
        if let Some(mut failover) = failover {
            let failing = self.failing_jobs(hosts, memory);
            failover.restarted = failing.iter().filter(|job| job.seed == 0).map(|job| job.arrive.len()).sum();
            failover.worst = list(&restarted).into_iter().find(|shortage| shortage.longest_s > 0.0);
            self.failovers.insert(key, failover);
        }
        let evaluated = Evaluated {
            hosts,
            memory_mb: memory.mib(),
            engine,
            kept: broken.is_empty(),
            longest_s: worst.values().map(|seen| seen.longest_s).fold(0.0, f64::max),
            share: worst.values().map(VmOutcome::share).fold(0.0, f64::max),
            refused,
            not_started: worst.values().filter(|seen| !seen.started).count(),
            vms_broken: broken.len(),
            ended_early,
        };
        self.evaluated.insert(key, evaluated);
        if engine == self.engine {
            self.all_series.insert(key, series.map(|(_, series)| series).unwrap_or_default());
        }
        self.verdicts.insert(key, (all, violations, if least.is_finite() { least } else { 0.0 }));
    }

    /// A failure of which nothing has been seen yet.
    fn no_failover_yet(&self) -> Failover {
        let at_s = self
            .parts
            .iter()
            .map(|part| part.from_s + part.fleet.as_ref().unwrap_or(self.fleet).worst_moment_s());
        Failover {
            at_s: at_s.reduce(f64::min).unwrap_or(0.0),
            restarted: 0,
            not_started: 0,
            slowest_start_s: 0.0,
            worst: None,
        }
    }

    /// Keeps the series of the host that had the least left.
    fn keep_series(&mut self, hosts: u32, memory: PageCount) -> Result<(), SizingError> {
        if self.series.is_none() {
            self.kept(&[(hosts, memory)], self.engine)?;
            let key = (hosts, memory.get(), self.engine == Engine::Fast);
            self.series = self.all_series.get(&key).cloned();
        }
        Ok(())
    }

    fn found(&self, hosts: u32, memory: PageCount, kept: bool, fast_said: Option<f64>, by: &str) -> Found {
        let seen = [false, true].into_iter().find_map(|fast| self.verdicts.get(&(hosts, memory.get(), fast)));
        let (mut shortages, mut violations, least) = seen.cloned().unwrap_or_default();
        shortages.truncate(MOST_TOLD);
        violations.truncate(MOST_TOLD);
        Found {
            hosts,
            memory_mb: memory.mib(),
            kept,
            least_available_mb: least,
            shortages: if kept { shortages } else { violations },
            failover: self.failovers.get(&(hosts, memory.get(), false)).cloned(),
            why_not_less: None,
            fast_said,
            confirmed_by: by.to_owned(),
        }
    }

    /// The VMs for which the risk is not kept there.
    pub(crate) fn violations(&mut self, hosts: u32, memory: PageCount) -> Result<Vec<Shortage>, SizingError> {
        self.kept(&[(hosts, memory)], Engine::Full)?;
        Ok(self
            .verdicts
            .get(&(hosts, memory.get(), false))
            .map(|(_, violations, _)| violations.clone())
            .unwrap_or_default())
    }

    fn verdict(&self, hosts: u32, memory: PageCount) -> Option<Verdict> {
        let (_, violations, _) = self.verdicts.get(&(hosts, memory.get(), false))?;
        let told = violations.iter().take(MOST_TOLD).cloned().collect();
        (!violations.is_empty()).then(|| Verdict { hosts, memory_mb: memory.mib(), violations: told })
    }

    /// The smallest memory with the advised settings, for as many hosts as the first answer has.
    fn with_advice(
        &mut self,
        advice: &[advise::Advice],
        found: &[Found],
    ) -> Result<Option<Found>, SizingError> {
        let changed = advice.iter().any(advise::Advice::changes);
        let Some(hosts) =
            found.first().map(|found| found.hosts).filter(|hosts| changed && *hosts > self.question.spare)
        else {
            return Ok(None);
        };
        let settings: Vec<_> =
            self.fleet.vms.iter().zip(advice).map(|(vm, advice)| advice.settings(&vm.settings)).collect();
        let fleet = self.fleet.with_settings(&settings);
        let question = Question { hosts: Hosts::Number(hosts), ..self.question.clone() };
        let mut sizing = Sizing::new(&fleet, &question, self.progress)?;
        // Promises are those of today: settings must not be better by promising less. The fast model, which only searches, has its own.
        let before = self.allowed[1].iter().chain(&self.allowed_restarted);
        let then = sizing.allowed[1].iter_mut().chain(&mut sizing.allowed_restarted);
        for (now, before) in then.zip(before) {
            now.longest_s = now.longest_s.min(before.longest_s);
            now.share = now.share.min(before.share);
            now.refused = now.refused.min(before.refused);
        }
        sizing.series = Some(Series::default());
        // Looked at where today's settings were, and where its own are worst.
        let half = self.window_s().unwrap_or(0.0) / 2.0;
        let settled = self.fleet.warm_up_s();
        let moments: Vec<f64> = self
            .parts
            .iter()
            .filter(|part| part.fleet.is_some())
            .map(|part| part.from_s + settled + half)
            .collect();
        sizing.add_parts(moments)?;
        sizing.hint = found.first().filter(|found| found.kept).map(|found| found.memory_mb);
        sizing.memory_of(hosts).map(Some)
    }
}

/// Allows what is allowed there as well.
fn more(allowed: &mut [Allowed], there: &[Allowed]) {
    for (allowed, there) in allowed.iter_mut().zip(there) {
        allowed.longest_s = allowed.longest_s.max(there.longest_s);
        allowed.share = allowed.share.max(there.share);
        allowed.refused = allowed.refused.max(there.refused);
    }
}

/// The worst of all seeds, by VM.
fn merged(outcomes: &[HostOutcome]) -> Vec<VmOutcome> {
    let mut worst: BTreeMap<usize, VmOutcome> = BTreeMap::new();
    for outcome in outcomes {
        for (vm, seen) in outcome.vms.iter().enumerate() {
            worse(&mut worst, vm, seen);
        }
    }
    worst.into_values().collect()
}

/// Keeps the worse of what a VM went through.
fn worse(seen: &mut BTreeMap<usize, VmOutcome>, vm: usize, now: &VmOutcome) {
    let rank = |outcome: &VmOutcome| (!outcome.started, outcome.refused, (outcome.longest_s * 1000.0) as u64);
    let entry = seen.entry(vm).or_insert_with(|| now.clone());
    if rank(now) > rank(entry) {
        *entry = now.clone();
    }
}

fn shortage(fleet: &Fleet, vm: usize, seen: &VmOutcome) -> Shortage {
    Shortage {
        vm: fleet.vms[vm].name.clone(),
        started: seen.started,
        longest_s: seen.longest_s,
        at_s: seen.longest_at_s,
        share: seen.share(),
        refused: seen.refused,
        most_lacking_mb: seen.most_lacking.0,
        after_failure: seen.after_failure,
    }
}

fn worst_first(shortages: &mut [Shortage]) {
    shortages.sort_by(|a, b| {
        let rank = |shortage: &Shortage| (shortage.started, core::cmp::Reverse(shortage.refused > 0));
        rank(a)
            .cmp(&rank(b))
            .then(b.longest_s.total_cmp(&a.longest_s))
            .then(b.share.total_cmp(&a.share))
            .then(a.vm.cmp(&b.vm))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::an_hour_of_three_vms;
    use crate::question::Risk;

    fn question(hosts: u32, spare: u32) -> Question {
        Question {
            hosts: Hosts::Number(hosts),
            spare,
            risk: Risk::default(),
            seeds: 1,
            threads: 2,
            step: Some(PageCount::from_mib(256)),
            full: true,
        }
    }

    fn answer(fleet: &Fleet, hosts: u32, spare: u32) -> Answer {
        size(fleet, &question(hosts, spare), None, false, "", &|_| ()).unwrap()
    }

    #[test]
    fn a_host_fails_at_the_worst_moment_and_its_vms_are_back_soon() {
        let fleet = an_hour_of_three_vms();
        // VM A works from the 20th minute on, and has all that it wants from the 30th on.
        assert!((1740.0..=2400.0).contains(&fleet.worst_moment_s()), "{}", fleet.worst_moment_s());
        let answer = answer(&fleet, 2, 1);
        let found = &answer.found[0];
        let failover = found.failover.as_ref().unwrap();
        assert!(found.kept);
        assert_eq!((failover.at_s, failover.not_started), (fleet.worst_moment_s(), 0));
        assert!((1..3).contains(&failover.restarted), "{failover:?}");
        assert!(failover.slowest_start_s <= 120.0, "{failover:?}");
        assert!(
            answer
                .sentences()
                .iter()
                .any(|sentence| sentence.starts_with("When a host fails at the worst moment"))
        );
    }

    #[test]
    fn a_vm_that_needs_much_to_start_makes_hosts_larger_only_when_one_fails_in_the_middle() {
        let mut fleet = an_hour_of_three_vms();
        // VM A starts with 5 GB, of which it gives most up when it has booted.
        let mut settings: Vec<_> = fleet.vms.iter().map(|vm| vm.settings).collect();
        settings[0].startup = PageCount::from_mib(5 << 10);
        settings[0].minimum = PageCount::from_mib(512);
        fleet = fleet.with_settings(&settings);
        let alone = answer(&fleet, 1, 0).found[0].clone();
        let with_failure = answer(&fleet, 2, 1).found[0].clone();
        assert!(alone.kept && with_failure.kept && alone.failover.is_none());
        // One host holds all in both; in one of them VM A comes when the others are at work.
        assert!(
            with_failure.memory_mb >= alone.memory_mb,
            "{} MB with a failure, {} MB without",
            with_failure.memory_mb,
            alone.memory_mb
        );
        assert_eq!(with_failure.failover.unwrap().not_started, 0);
    }

    #[test]
    fn a_vm_that_no_other_host_has_room_for_breaks_the_risk() {
        let mut fleet = an_hour_of_three_vms();
        // Static memory: nobody can give it up for others.
        let settings = [6 << 10, 1 << 10, 1 << 10]
            .map(|mib| balancing_policy::MemorySettings::fixed(PageCount::from_mib(mib)));
        fleet = fleet.with_settings(&settings);
        let small = PageCount::from_mib(8 << 10);
        let question = Question { hosts: Hosts::Given(2, small), ..question(2, 1) };
        let answer = size(&fleet, &question, None, false, "", &|_| ()).unwrap();
        let given = &answer.found[0];
        assert!(!given.kept);
        assert!(given.shortages.iter().any(|shortage| !shortage.started), "{:?}", given.shortages);
        assert!(answer.found[1].kept && answer.found[1].memory_mb > 8192.0);
    }
}
