//! What VMs are held against: the risk, or what they lack on any host.

use crate::fleet::Fleet;
use crate::job::Engine;
use crate::measure::{HostOutcome, VmOutcome};
use crate::question::Risk;

/// A run is ended when a VM has been short for so many times what is allowed. Invented.
const HOPELESS: f64 = 10.0;

/// What one VM may go through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    pub(crate) longest_s: f64,
    pub(crate) share: f64,
    pub(crate) refused: u64,
}

impl From<&Risk> for Allowed {
    fn from(risk: &Risk) -> Self {
        Self { longest_s: risk.longest_s, share: risk.share, refused: risk.refused }
    }
}

/// What every VM may go through.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    /// In runs of the fast model.
    pub(crate) fast: Vec<Allowed>,
    /// In full runs.
    pub(crate) full: Vec<Allowed>,
    /// The same for VMs that restart when their host fails in the middle: they boot into the middle of their load.
    pub(crate) restarted: Vec<Allowed>,
}

impl Promises {
    /// Those of runs with an engine.
    pub(crate) fn of(&self, engine: Engine) -> &[Allowed] {
        if engine == Engine::Fast { &self.fast } else { &self.full }
    }

    /// How long a VM may be short before there is no use in going on.
    pub(crate) fn hopeless_s(&self) -> f64 {
        let all = self.fast.iter().chain(&self.full).chain(&self.restarted);
        HOPELESS * all.map(|allowed| allowed.longest_s).fold(0.0, f64::max).max(12.0)
    }

    /// Promises no less than before in full runs. The fast model, which only searches, has its own.
    pub(crate) fn keep(&mut self, before: &Self) {
        let now = self.full.iter_mut().chain(&mut self.restarted);
        for (now, before) in now.zip(before.full.iter().chain(&before.restarted)) {
            now.longest_s = now.longest_s.min(before.longest_s);
            now.share = now.share.min(before.share);
            now.refused = now.refused.min(before.refused);
        }
    }
}

/// What VMs are held against that have gone through this where memory is for all: no host can do better.
pub(crate) fn allow(fleet: &Fleet, risk: &Risk, outcomes: &[HostOutcome]) -> Vec<Allowed> {
    let sample = fleet.plans[0].sample_interval.as_secs_f64();
    (0..fleet.vms.len())
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

/// Allows what is allowed there as well.
pub(crate) fn more(allowed: &mut [Allowed], there: &[Allowed]) {
    for (allowed, there) in allowed.iter_mut().zip(there) {
        allowed.longest_s = allowed.longest_s.max(there.longest_s);
        allowed.share = allowed.share.max(there.share);
        allowed.refused = allowed.refused.max(there.refused);
    }
}

/// Whether what a VM went through is more than the risk.
pub(crate) fn breaks(risk: &Risk, seen: &VmOutcome) -> bool {
    seen.longest_s > risk.longest_s || seen.share() > risk.share || seen.refused > risk.refused
}
