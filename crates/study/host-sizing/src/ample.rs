//! All VMs on a host with memory for all: what they demand, and what they lack on any host.

use std::collections::BTreeMap;

use crate::SizingError;
use crate::advise::DemandFigures;
use crate::allowed::{Allowed, Promises, allow, breaks, more};
use crate::answer::Shortage;
use crate::fleet::Fleet;
use crate::job::{Engine, Job};
use crate::measure::{HostOutcome, VmOutcome};
use crate::parts::{self, Part};
use crate::question::{Hosts, Question};
use crate::runs::{Batch, PROCESSORS, Remembered, Runs};
use crate::worst::{merged, shortages, worse};

/// Real time that a full run costs for a VM and virtual second in this program's usual build, s. Inferred of measurements; only for the
/// choice of the model.
const FULL_COST_S: f64 = 3e-5;
/// Real time, s, that all full runs of a search may take before the fast model searches instead. Invented.
const PATIENCE_S: f64 = 45.0;
/// Full runs of a search, about.
const RUNS: f64 = 12.0;
/// Real time, s, that full runs of one part and try may take that confirm what the fast model says. Invented.
const CONFIRM_S: f64 = 1.5;
/// Hosts of a try that full runs look at first, where they run parts of the load: those that are worst by the fast model. Invented.
pub(crate) const CONFIRMED: usize = 2;

/// What VMs demand and lack where there is memory for all.
pub(crate) struct Ample<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) question: &'a Question,
    runs: Remembered<'a>,
    /// What searches.
    pub(crate) engine: Engine,
    /// What full runs run: all of it, or what is around the worst moments.
    pub(crate) parts: Vec<Part>,
    pub(crate) promises: Promises,
    baseline: Vec<VmOutcome>,
    pub(crate) figures: Vec<DemandFigures>,
    pub(crate) peak_of_sum: f64,
}

impl<'a> Ample<'a> {
    pub(crate) fn measure(
        fleet: &'a Fleet,
        question: &'a Question,
        runs: &'a dyn Runs,
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
        let slow = all * FULL_COST_S * RUNS / PROCESSORS > PATIENCE_S;
        let engine = if slow && fleet.is_recorded() && !question.full { Engine::Fast } else { Engine::Full };
        let mut ample = Self {
            fleet,
            question,
            runs: Remembered::new(runs),
            engine,
            parts: vec![Part::ALL],
            promises: Promises::default(),
            baseline: Vec::new(),
            figures: Vec::new(),
            peak_of_sum: 0.0,
        };
        ample.measure_all()?;
        Ok(ample)
    }

    fn measure_all(&mut self) -> Result<(), SizingError> {
        let outcomes = self.with_memory_for_all(self.engine, true, false)?;
        self.peak_of_sum =
            outcomes.iter().flat_map(|outcome| &outcome.series.demand_mb).copied().fold(0.0, f64::max);
        self.figures =
            (0..self.fleet.vms.len()).map(|vm| DemandFigures::of(self.fleet, vm, &outcomes)).collect();
        let risk = &self.question.risk;
        let allowed = allow(self.fleet, risk, self.engine, &outcomes);
        self.baseline = merged(&outcomes);
        let least = vec![Allowed::from(risk); self.fleet.vms.len()];
        self.promises.restarted.clone_from(&least);
        if self.engine == Engine::Full {
            self.promises.full = allowed;
            return self.allow_restarts();
        }
        self.promises.fast = allowed;
        if self.window_s().is_none() {
            let full = self.with_memory_for_all(Engine::Full, false, false)?;
            self.promises.full = allow(self.fleet, risk, Engine::Full, &full);
            self.baseline = merged(&full);
            return self.allow_restarts();
        }
        self.parts.clear();
        self.promises.full = least;
        let series = outcomes.first().map(|outcome| &outcome.series);
        let times = series.into_iter().flat_map(|series| series.time_s.iter().zip(&series.demand_mb));
        let peak = times.max_by(|a, b| a.1.total_cmp(b.1)).map(|(time, _)| *time);
        self.add_parts(peak)
    }

    /// Whether a host fails in the middle of full runs.
    pub(crate) fn fails(&self) -> bool {
        self.question.spare > 0 && self.fleet.is_recorded()
    }

    /// What VMs lack on any host when they restart in the middle.
    fn allow_restarts(&mut self) -> Result<(), SizingError> {
        if self.fails() {
            let ample = self.with_memory_for_all(Engine::Full, false, true)?;
            more(&mut self.promises.restarted, &allow(self.fleet, &self.question.risk, Engine::Full, &ample));
        }
        Ok(())
    }

    /// Runs all VMs on a host with memory for all; `restarted`: in the middle.
    fn with_memory_for_all(
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

    /// How long what is around a moment may be, if full runs of all of the load would take too long.
    pub(crate) fn window_s(&self) -> Option<f64> {
        // Hosts that are confirmed, and one that others' VMs come to.
        let up = match self.question.hosts {
            Hosts::Number(hosts) | Hosts::Given(hosts, _) => self.question.up(hosts),
            Hosts::Sizes(_) => 2,
        };
        let vms = self.fleet.vms.len() as f64 * ((CONFIRMED + 1) as f64 / up as f64).min(1.0);
        let cost = vms * FULL_COST_S * self.fleet.plans.len() as f64;
        let affordable = CONFIRM_S * PROCESSORS / cost;
        (affordable < self.fleet.length().as_secs_f64()).then(|| (affordable / 2.0).max(600.0))
    }

    /// Whether full runs run parts of the load, and the fast model all of it.
    pub(crate) fn in_parts(&self) -> bool {
        self.engine == Engine::Fast && self.window_s().is_some()
    }

    /// Has full runs run what is around these moments, beside what they run already.
    pub(crate) fn add_parts(&mut self, moments: impl IntoIterator<Item = f64>) -> Result<(), SizingError> {
        let Some(window) = self.window_s() else { return Ok(()) };
        for moment in moments {
            if self.parts.len() >= parts::MOST {
                break;
            }
            let settled = self.fleet.warm_up_s();
            if self.parts.iter().any(|part| part.shows(moment, window, settled)) {
                continue;
            }
            let Some(part) = Part::around(self.fleet, moment, window)? else { continue };
            let before = core::mem::replace(&mut self.parts, vec![part]);
            // What VMs lack there on any host.
            let ample = self.with_memory_for_all(Engine::Full, false, false);
            if matches!(ample, Err(SizingError::Waiting)) {
                // Whoever makes these runs may as well make those that come next.
                let _asked_for = self.allow_restarts();
            }
            let ample = ample?;
            more(&mut self.promises.full, &allow(self.fleet, &self.question.risk, Engine::Full, &ample));
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

    /// The middles of the parts that full runs run.
    pub(crate) fn moments(&self) -> Vec<f64> {
        let half = self.window_s().unwrap_or(0.0) / 2.0;
        let cut = self.parts.iter().filter(|part| part.cut.is_some());
        cut.map(|part| part.from_s + self.fleet.warm_up_s() + half).collect()
    }

    /// Runs hosts: with the fast model all of the load, else all parts of it.
    pub(crate) fn run(&self, engine: Engine, jobs: &[Job]) -> Result<Vec<HostOutcome>, SizingError> {
        if engine == Engine::Fast {
            return self.runs.run(Batch { fleet: self.fleet, window: None, engine, jobs });
        }
        parts::run(self.fleet, &self.parts, jobs, &mut |part, jobs| {
            let window = part.cut.as_ref().map(|(_, window)| *window);
            self.runs.run(Batch { fleet: part.fleet(self.fleet), window, engine, jobs })
        })
    }

    /// Of each VM, whether it breaks the risk on any host.
    pub(crate) fn short_anyway(&self) -> Vec<bool> {
        self.baseline.iter().map(|seen| breaks(&self.question.risk, seen)).collect()
    }

    /// VMs that break the risk on any host.
    pub(crate) fn on_any_host(&self) -> Vec<Shortage> {
        let short = self.baseline.iter().enumerate().filter(|(_, seen)| breaks(&self.question.risk, seen));
        shortages(self.fleet, &short.map(|(vm, seen)| (vm, seen.clone())).collect())
    }

    /// When a host fails in the middle of full runs.
    pub(crate) fn fails_at_s(&self) -> f64 {
        let moments = self.parts.iter().map(|part| part.from_s + part.fleet(self.fleet).worst_moment_s());
        moments.reduce(f64::min).unwrap_or(0.0)
    }
}
