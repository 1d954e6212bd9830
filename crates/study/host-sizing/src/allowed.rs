//! What VMs are held against: the risk, or what they lack on any host.

use crate::fast;
use crate::fleet::Fleet;
use crate::job::Engine;
use crate::measure::{HostOutcome, VmOutcome};
use crate::question::Risk;

/// A run is ended when a VM has been short for so many times what is allowed. Invented.
const HOPELESS: f64 = 10.0;
/// How often a VM is short that is short where memory is for all differs by this from host to host in full runs. Invented.
const SPREAD: f64 = 0.1;
/// The same in the fast model, whose rounds come at other moments of a rise wherever other VMs are beside: a VM of a week of a thousand that rises
/// faster than memory moves was short for 640 to 782 s. Inferred.
const FAST_SPREAD: f64 = 0.25;

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

/// What VMs are held against in runs with an engine that have gone through this where memory is for all: no host can do better.
///
/// A VM that is short there for longer than the risk is held against that, and a little: no memory mends it. The fast model only searches, and sees
/// less exactly, so in it that little is more, and is for those as well that come close to the risk there. Otherwise a few VMs that are short on any
/// host would break the risk by chance on most numbers of hosts, however many.
pub(crate) fn allow(fleet: &Fleet, risk: &Risk, engine: Engine, outcomes: &[HostOutcome]) -> Vec<Allowed> {
    let sample = fleet.plans[0].sample_interval.as_secs_f64();
    let (interval, spread) = match engine {
        Engine::Fast => (sample.max(fast::step(fleet).as_secs_f64()), FAST_SPREAD),
        Engine::Full => (sample, SPREAD),
    };
    let held = |risk: f64, seen: f64, little_more: f64| {
        if engine == Engine::Fast || seen > risk { little_more.max(risk) } else { risk }
    };
    (0..fleet.vms.len())
        .map(|vm| {
            let seen = |pick: fn(&VmOutcome) -> f64| {
                outcomes.iter().map(|outcome| pick(&outcome.vms[vm])).fold(0.0, f64::max)
            };
            let refused = outcomes.iter().map(|outcome| outcome.vms[vm].refused).max().unwrap_or(0);
            let (longest, share, on) =
                (seen(|vm| vm.longest_s), seen(VmOutcome::share), seen(|vm| vm.on_s).max(1.0));
            Allowed {
                longest_s: held(risk.longest_s, longest, longest * 1.05 + 2.0 * interval),
                share: held(risk.share, share, share * (1.0 + spread) + 2.0 * interval / on),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::an_hour_of_three_vms;

    /// A VM that lacks nearly as much as the risk allows where memory is for all.
    #[test]
    fn who_is_close_to_the_risk_where_memory_is_for_all_breaks_it_in_full_runs_only() {
        let fleet = an_hour_of_three_vms();
        let risk = Risk { share: 0.1, ..Risk::default() };
        let of = |short_s: f64| {
            let seen = VmOutcome { on_s: 3600.0, short_s, ..VmOutcome::default() };
            let there = HostOutcome { vms: vec![seen; 3], ..HostOutcome::default() };
            [Engine::Fast, Engine::Full]
                .map(|engine| allow(&fleet, &risk, engine, std::slice::from_ref(&there))[0].share)
        };
        // Far below the risk both are held against it, and above against what the VM lacks.
        assert_eq!(of(30.0), [0.1; 2]);
        let [fast, full] = of(370.0);
        assert!(fast > full && full > 370.0 / 3600.0, "{fast} {full}");
        // Three seconds below.
        let [fast, full] = of(357.0);
        assert!(fast > 361.0 / 3600.0 && full.to_bits() == 0.1_f64.to_bits(), "{fast} {full}");
    }
}
