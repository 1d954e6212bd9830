//! One run as the checks look at it.

use std::time::Duration;

use page_range::PageCount;

use super::windows::Windows;
use scenario::file::Scenario;
use scenario::run::Cycle;
use scenario::run::phases::{self, Phases};
use scenario::run::plan::{Action, PlannedVm};
use scenario::run::{Plan, Point, Summary};

/// What is known of another scenario that a check is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// VMs that reached their login screen.
    pub vms_started: usize,
    /// Most memory of the host in use.
    pub host_used: PageCount,
}

/// A run: what was planned, what was seen, what came of it.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The VMs.
    pub vms: Vec<PlannedVm>,
    /// When each VM is first asked to start.
    pub asked: Vec<Option<Duration>>,
    /// All samples.
    pub points: Vec<Point>,
    /// The result.
    pub summary: Summary,
    /// Runs of the scenarios that the checks name, by name.
    pub references: Vec<(String, Reference)>,
    /// Windows and thresholds of the checks.
    pub windows: Windows,
}

/// The phases of Figure 4-5 as places in the list of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contention {
    /// Place of the VM that came last.
    pub(crate) newcomer: usize,
    pub(crate) idle: usize,
    pub(crate) grows: usize,
    pub(crate) contention: usize,
    pub(crate) falls: usize,
    pub(crate) end: usize,
}

impl Observation {
    /// A run of `scenario`.
    #[must_use]
    pub fn new(plan: &Plan, points: Vec<Point>, summary: Summary) -> Self {
        let mut asked = vec![None; plan.vms.len()];
        for step in &plan.timeline {
            if let Action::Start { vm, .. } = step.action {
                asked[vm].get_or_insert(step.at);
            }
        }
        Self {
            vms: plan.vms.clone(),
            asked,
            points,
            summary,
            references: Vec::new(),
            windows: Windows::default(),
        }
    }

    /// The scenarios that the checks of `scenario` are measured against.
    pub(crate) fn needed(scenario: &Scenario) -> Vec<String> {
        let mut names: Vec<String> = scenario
            .applicable_checks()
            .filter_map(|check| check.against.as_ref().map(|against| against.value.clone()))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What of it another scenario's checks can be measured against.
    #[must_use]
    pub fn as_reference(&self) -> Reference {
        Reference {
            vms_started: self.started(),
            host_used: self.points.iter().map(host_used).max().unwrap_or_default(),
        }
    }

    /// How many VMs reached their login screen.
    pub(crate) fn started(&self) -> usize {
        self.summary.vms.iter().filter(|vm| vm.login_s.is_some()).count()
    }

    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.vms.iter().position(|vm| vm.name.eq_ignore_ascii_case(name))
    }

    /// The first sample at or after this time; the last if there is none.
    pub(crate) fn at(&self, time: Duration) -> usize {
        let after = self.points.partition_point(|point| point.time < time);
        after.min(self.points.len().saturating_sub(1))
    }

    pub(crate) fn contention(&self) -> Result<Contention, String> {
        let names: Vec<String> = self.vms.iter().map(|vm| vm.name.to_string()).collect();
        let phases: Phases = phases::find_with(&self.points, &names, self.windows.loss)
            .ok_or("the phases of Figure 4-5 do not come: no VM that starts last takes memory from the others and falls again")?;
        let at = |seconds: f64| self.at(Duration::from_secs_f64(seconds));
        Ok(Contention {
            newcomer: self.place(&phases.newcomer).ok_or("the newcomer is no VM of the scenario")?,
            idle: at(phases.idle_s),
            grows: at(phases.grows_s),
            contention: at(phases.contention_s),
            falls: at(phases.falls_s),
            end: self.points.len().saturating_sub(1),
        })
    }

    pub(crate) fn cycle(&self, vm: usize) -> Result<Cycle, String> {
        Cycle::find(&self.points, vm)
            .map_err(|missing| format!("the phases of Figure 4-4 do not come: {missing}"))
    }

    /// When the VM shows its login screen, or the first sample with it.
    pub(crate) fn login(&self, vm: usize) -> Option<usize> {
        let login = self.summary.vms.get(vm)?.login_s?;
        Some(self.at(Duration::from_secs_f64(login)))
    }
}

/// Memory of the host in use, as its administrator sees it: all but the parent OS's free memory.
#[must_use]
pub fn host_used(point: &Point) -> PageCount {
    let host = &point.host;
    let total = host.available + host.assigned + host.in_transit + host.overhead + host.reserve;
    total.saturating_sub(PageCount((host.parent_free_mib.max(0.0) * 256.0) as u64))
}
