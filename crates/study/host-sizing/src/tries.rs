//! Hosts that were tried: whether the risk is kept on them.

use std::collections::BTreeMap;

use page_range::PageCount;

use crate::SizingError;
use crate::ample::Ample;
use crate::answer::{Evaluated, Found, Shortage, Verdict};
use crate::job::{Engine, Job};
use crate::judge::{Judged, Tried, judge};
use crate::measure::{HostOutcome, Series};
use crate::placement::{self, WAYS};

/// Shortages that are kept of one try.
pub(crate) const MOST_TOLD: usize = 50;
/// Moments that full runs look at for each try, at most.
const MOMENTS: usize = 2;
/// Hosts that full runs look at of every try with so many hosts, at most: those that were among the worst of one of them. Invented.
const SUSPECTS: usize = 6;

/// Hosts, memory of each, and whether by the fast model.
type Key = (u32, u64, bool);

/// Hosts and memory of each.
pub(crate) type Try = (u32, PageCount);

fn key((hosts, memory): Try, engine: Engine) -> Key {
    (hosts, memory.get(), engine == Engine::Fast)
}

/// Hosts that were tried.
pub(crate) struct Tries<'a> {
    pub(crate) ample: Ample<'a>,
    judged: BTreeMap<Key, Judged>,
    /// Where full runs run parts of the load: hosts that they look at, places in the jobs of any try with so many hosts. What is worst differs from
    /// try to try; if each were looked at where it is worst itself, less memory could seem to do where more does not.
    suspects: BTreeMap<u32, Vec<usize>>,
    /// Of the answer; nothing where it is not asked for.
    pub(crate) series: Option<Series>,
}

impl<'a> Tries<'a> {
    pub(crate) fn new(ample: Ample<'a>) -> Self {
        Self { ample, judged: BTreeMap::new(), suspects: BTreeMap::new(), series: None }
    }

    /// Whether the risk is kept, of several tries at once.
    pub(crate) fn kept(&mut self, tries: &[Try], engine: Engine) -> Result<Vec<bool>, SizingError> {
        if engine == Engine::Fast {
            self.try_fast(&self.unjudged(tries, engine), false)?;
        } else {
            self.suspect(&self.unjudged(tries, engine))?;
            self.try_full(&self.unjudged(tries, engine))?;
        }
        Ok(tries.iter().map(|tried| self.holds(*tried, engine)).collect())
    }

    /// Those that were not judged yet.
    fn unjudged(&self, tries: &[Try], engine: Engine) -> Vec<Try> {
        tries.iter().copied().filter(|tried| !self.judged.contains_key(&key(*tried, engine))).collect()
    }

    /// Has full runs look at the hosts that are worst there by the fast model, in every try with so many hosts.
    pub(crate) fn suspect(&mut self, tries: &[Try]) -> Result<(), SizingError> {
        if !self.ample.in_parts() {
            return Ok(());
        }
        self.try_fast(tries, true)?;
        for tried in tries {
            let Some(fast) = self.judged.get(&key(*tried, Engine::Fast)) else { continue };
            let known = self.suspects.entry(tried.0).or_default();
            let before = known.len();
            for place in &fast.worst_hosts {
                if known.len() < SUSPECTS && !known.contains(place) {
                    known.push(*place);
                }
            }
            if known.len() > before {
                self.judged.retain(|(hosts, _, fast), _| *fast || *hosts != tried.0);
            }
        }
        Ok(())
    }

    /// What full runs look at: it only grows.
    pub(crate) fn looked_at(&self) -> usize {
        self.ample.parts.len() + self.suspects.values().map(Vec::len).sum::<usize>()
    }

    fn holds(&self, tried: Try, engine: Engine) -> bool {
        self.judged.get(&key(tried, engine)).is_some_and(|judged| judged.evaluated.kept)
    }

    /// Full runs. Where the load is in parts, of the hosts that are suspects.
    fn try_full(&mut self, new: &[Try]) -> Result<(), SizingError> {
        let in_parts = self.ample.in_parts();
        let wanted = new.iter().map(|tried| {
            let jobs = self.jobs(*tried);
            match self.suspects.get(&tried.0).filter(|_| in_parts) {
                Some(suspects) => suspects.iter().filter_map(|place| jobs.get(*place).cloned()).collect(),
                None => jobs,
            }
        });
        let wanted: Vec<Vec<Job>> = wanted.collect();
        let mut seen = match self.run(Engine::Full, &wanted) {
            Err(SizingError::Waiting) => {
                // Whoever makes these runs may as well make those that come next.
                let next: Vec<Vec<Job>> = new.iter().map(|tried| self.failures(*tried)).collect();
                let _asked_for = self.run(Engine::Full, &next);
                return Err(SizingError::Waiting);
            }
            seen => seen?,
        };
        for (tried, seen) in new.iter().zip(&seen) {
            self.judge(*tried, Engine::Full, seen);
        }
        if !self.ample.fails() {
            return Ok(());
        }
        // Where it is broken with all that are left up, no host need fail.
        let to_fail: Vec<usize> =
            (0..new.len()).filter(|place| self.holds(new[*place], Engine::Full)).collect();
        let wanted: Vec<Vec<Job>> = to_fail.iter().map(|place| self.failures(new[*place])).collect();
        for (place, failed) in to_fail.iter().zip(self.run(Engine::Full, &wanted)?) {
            seen[*place].extend(failed);
            self.judge(new[*place], Engine::Full, &seen[*place]);
        }
        Ok(())
    }

    /// The fast model. Another placement is looked at only where those before it keep the risk, or all are asked for.
    fn try_fast(&mut self, new: &[Try], all_ways: bool) -> Result<(), SizingError> {
        let mut seen: Vec<Vec<(Job, HostOutcome)>> = new.iter().map(|_| Vec::new()).collect();
        let mut left: Vec<usize> = (0..new.len()).collect();
        for way in 0..WAYS.len() {
            let wanted = left.iter().map(|place| {
                let of_way = self.ample.question.up(new[*place].0) * self.ample.fleet.plans.len();
                self.jobs(new[*place]).into_iter().skip(way * of_way).take(of_way).collect()
            });
            let wanted: Vec<Vec<Job>> = wanted.collect();
            for (place, outcomes) in left.clone().into_iter().zip(self.run(Engine::Fast, &wanted)?) {
                seen[place].extend(outcomes);
                self.judge(new[place], Engine::Fast, &seen[place]);
            }
            left.retain(|place| all_ways || self.holds(new[*place], Engine::Fast));
        }
        Ok(())
    }

    /// Runs of a try: its placements, or the one that there is, and its seeds.
    fn jobs(&self, (hosts, memory): Try) -> Vec<Job> {
        let up = self.ample.question.up(hosts);
        let (figures, hopeless_s) = (self.mean_and_peak(), self.ample.promises.hopeless_s());
        let ways = if up == 1 { &WAYS[..1] } else { &WAYS[..] };
        let mut jobs = Vec::new();
        for way in ways {
            for vms in placement::place(self.ample.fleet, &figures, up, *way) {
                for seed in 0..self.ample.fleet.plans.len() {
                    let vms = vms.clone();
                    jobs.push(Job { memory, vms, seed, keep_demand: false, hopeless_s, arrive: Vec::new() });
                }
            }
        }
        jobs
    }

    /// Runs of a try in which a host fails in the middle.
    fn failing_jobs(&self, (hosts, memory): Try) -> Vec<Job> {
        let hopeless_s = self.ample.promises.hopeless_s();
        let up = self.ample.question.up(hosts);
        let mut jobs = Vec::new();
        for (vms, arrive) in placement::after_failure(self.ample.fleet, &self.mean_and_peak(), up) {
            for seed in 0..self.ample.fleet.plans.len() {
                let (vms, arrive) = (vms.clone(), arrive.clone());
                jobs.push(Job { memory, vms, seed, keep_demand: false, hopeless_s, arrive });
            }
        }
        jobs
    }

    /// Those of them that are made: where the load is in parts, of the host that is left with the most.
    fn failures(&self, tried: Try) -> Vec<Job> {
        if !self.ample.fails() {
            return Vec::new();
        }
        let mut jobs = self.failing_jobs(tried);
        if self.ample.in_parts() {
            let peaks = |job: &Job| job.vms.iter().map(|vm| self.ample.figures[*vm].maximum_mb).sum::<f64>();
            jobs.sort_by(|a, b| peaks(b).total_cmp(&peaks(a)));
            jobs.truncate(self.ample.fleet.plans.len());
        }
        jobs
    }

    fn mean_and_peak(&self) -> Vec<(f64, f64)> {
        self.ample.figures.iter().map(|figures| (figures.mean_mb, figures.maximum_mb)).collect()
    }

    /// Runs the jobs of several tries; each with what it showed, in their order.
    fn run(&self, engine: Engine, tries: &[Vec<Job>]) -> Result<Vec<Vec<(Job, HostOutcome)>>, SizingError> {
        let mut all: Vec<(usize, usize, Job)> = Vec::new();
        for (place, jobs) in tries.iter().enumerate() {
            all.extend(jobs.iter().enumerate().map(|(number, job)| (place, number, job.clone())));
        }
        // The longest first, so that the threads end together.
        all.sort_by_key(|(.., job)| core::cmp::Reverse(self.ample.fleet.cost(job)));
        let jobs: Vec<Job> = all.iter().map(|(.., job)| job.clone()).collect();
        let outcomes = self.ample.run(engine, &jobs)?;
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

    fn judge(&mut self, tried: Try, engine: Engine, seen: &[(Job, HostOutcome)]) {
        let fails = if seen.iter().any(|(job, _)| !job.arrive.is_empty()) {
            let of_first = self.failing_jobs(tried).into_iter().filter(|job| job.seed == 0);
            (self.ample.fails_at_s(), of_first.map(|job| job.arrive.len()).sum())
        } else {
            (0.0, 0)
        };
        let what = Tried { hosts: tried.0, memory: tried.1, engine, fails };
        let judged = judge(self.ample.fleet, &self.ample.promises, what, seen);
        self.judged.insert(key(tried, engine), judged);
    }

    /// Has full runs look at the moments in which most is short there by the fast model.
    pub(crate) fn look_at_worst(&mut self, tried: Try) -> Result<(), SizingError> {
        let Some(window) = self.ample.window_s() else { return Ok(()) };
        self.kept(&[tried], Engine::Fast)?;
        let mut moments: Vec<f64> = Vec::new();
        if let Some(judged) = self.judged.get(&key(tried, Engine::Fast)) {
            let apart = window / 2.0;
            for shortage in judged.violations.iter().chain(&judged.shortages).filter(|seen| seen.started) {
                if moments.len() < MOMENTS
                    && moments.iter().all(|moment| (moment - shortage.at_s).abs() > apart)
                {
                    moments.push(shortage.at_s);
                }
            }
        }
        let before = self.ample.parts.len();
        self.ample.add_parts(moments)?;
        if self.ample.parts.len() > before {
            // What was seen of fewer parts is looked at again.
            self.judged.retain(|(.., fast), _| *fast);
        }
        Ok(())
    }

    /// Keeps the series of the host that had the least left, of the first answer.
    pub(crate) fn keep_series(&mut self, tried: Try) -> Result<(), SizingError> {
        if self.series.is_none() {
            let engine = self.ample.engine;
            self.kept(&[tried], engine)?;
            self.series = self.judged.get(&key(tried, engine)).map(|judged| judged.series.clone());
        }
        Ok(())
    }

    /// An answer.
    pub(crate) fn found(&self, tried: Try, kept: bool, fast_said: Option<f64>, by: &str) -> Found {
        let full = self.judged.get(&key(tried, Engine::Full));
        let seen = full.or_else(|| self.judged.get(&key(tried, Engine::Fast)));
        let told = seen.map(|seen| if kept { &seen.shortages } else { &seen.violations });
        Found {
            hosts: tried.0,
            memory_mb: tried.1.mib(),
            kept,
            least_available_mb: seen.map_or(0.0, |seen| seen.least_available_mb),
            shortages: told.into_iter().flatten().take(MOST_TOLD).cloned().collect(),
            failover: full.and_then(|seen| seen.failover.clone()),
            why_not_less: None,
            fast_said,
            confirmed_by: by.to_owned(),
        }
    }

    /// The VMs for which the risk is not kept there, and whether runs were ended early.
    pub(crate) fn violations(&mut self, tried: Try) -> Result<(Vec<Shortage>, bool), SizingError> {
        self.kept(&[tried], Engine::Full)?;
        let judged = self.judged.get(&key(tried, Engine::Full));
        Ok(judged.map(|judged| (judged.violations.clone(), judged.evaluated.ended_early)).unwrap_or_default())
    }

    /// Why that is not enough, if full runs have shown that it is not.
    pub(crate) fn why_not(&self, tried: Try) -> Option<Box<Verdict>> {
        let violations = &self.judged.get(&key(tried, Engine::Full))?.violations;
        let told = violations.iter().take(MOST_TOLD).cloned().collect();
        let verdict = Verdict { hosts: tried.0, memory_mb: tried.1.mib(), violations: told };
        (!violations.is_empty()).then(|| Box::new(verdict))
    }

    /// All that was tried, by hosts and memory.
    pub(crate) fn evaluated(&self) -> Vec<Evaluated> {
        self.judged.values().map(|judged| judged.evaluated.clone()).collect()
    }
}
