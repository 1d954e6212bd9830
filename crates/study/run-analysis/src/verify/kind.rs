//! What it is worth that a check is as expected: whether it was predicted, calibrated, or holds by construction.
//!
//! No check is classified by hand twice. A check is *calibrated* if a [`knob`](mod@super::knob) names it: a constant of a model, a load of a
//! scenario or a window that was chosen with it in view. It holds *by construction* if [`CONSTRUCTIONS`] names it, beside the invariant from
//! which it follows. Every other must be named in [`PREDICTED`]: that nothing names it is not enough. A test sees to it that each check is in
//! exactly one place, and that no place names a check that is not there.

use serde::Serialize;

use super::knob;

/// What it is worth that a check is as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Kind {
    /// No constant, load or window was chosen with it in view, and it could have come out otherwise.
    Predicted,
    /// Something was chosen with it in view: it shows that the choice fits, no more.
    Calibrated {
        /// What was chosen.
        chosen: Vec<&'static str>,
    },
    /// It cannot fail while an invariant of the program holds: it tests the program, not the model.
    ByConstruction {
        /// The invariant.
        invariant: &'static str,
        /// How the check follows from it.
        because: &'static str,
    },
}

impl Kind {
    /// In a word or two.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Predicted => "predicted",
            Self::Calibrated { .. } => "calibrated",
            Self::ByConstruction { .. } => "by construction",
        }
    }

    /// The kind of a check of a scenario that comes with the project; `None` of any other.
    #[must_use]
    pub fn of(scenario: &str, check: &str) -> Option<Self> {
        let id = format!("{scenario}/{check}");
        if check == INVARIANTS {
            return Some(Self::ByConstruction { invariant: OWNED, because: "the check is the invariant" });
        }
        if let Some(found) = CONSTRUCTIONS.iter().find(|found| found.checks.contains(&id.as_str())) {
            return Some(Self::ByConstruction { invariant: found.invariant, because: found.because });
        }
        let chosen: Vec<&'static str> = knob::all()
            .filter(|knob| knob.chosen_with.contains(&id.as_str()))
            .map(|knob| knob.name)
            .collect();
        if !chosen.is_empty() {
            return Some(Self::Calibrated { chosen });
        }
        PREDICTED.contains(&id.as_str()).then_some(Self::Predicted)
    }
}

/// The check that every run has, whatever its scenario says.
pub(crate) const INVARIANTS: &str = "invariants";

/// An invariant of the program, and checks that cannot fail while it holds.
#[derive(Debug)]
pub struct Construction {
    /// The invariant.
    pub invariant: &'static str,
    /// How the checks follow from it.
    pub because: &'static str,
    /// The checks.
    pub checks: &'static [&'static str],
}

/// The first of ARCHITECTURE.md's invariants.
const OWNED: &str = "host memory is owned, never counted";
const RULES: &str = "what the engine gives is within a VM's bounds and the host's capacity";
const PHASES: &str = "phases are found by what the memory does";
const LOAD: &str = "the demand of a guest is its commit";

/// All of them.
pub static CONSTRUCTIONS: &[Construction] = &[
    Construction {
        invariant: OWNED,
        because: "eight times 4 GB are all of the host's memory, of which the parent OS and the VMs' overhead need some",
        checks: &["max-vms-static/start_refused"],
    },
    Construction {
        invariant: OWNED,
        because: "static VMs have what they started with, and seven times 4 GB are 28 GB",
        checks: &["max-vms-static/memory_assigned"],
    },
    Construction {
        invariant: OWNED,
        because: "the others lose nothing while the pool has memory, and what the pool has is the capacity less what the VMs have: the number \
                  that is expected is this sum",
        checks: &[
            "multi-vm/undisturbed_growth",
            "exhaustion/undisturbed_growth",
            "exhaustion-reserve-2048/undisturbed_growth",
        ],
    },
    Construction {
        invariant: RULES,
        because: "the seven VMs that are asked to start need 2 GB of the 30 GB that there are",
        checks: &["max-vms-dynamic-7/vms_started", "max-vms-dynamic-7/no_failed_start"],
    },
    Construction {
        invariant: RULES,
        because: "without contention nothing is taken back before the hold of minutes, and unloading takes seconds",
        checks: &["single-vm-ws2008r2/unload_is_unseen", "single-vm-ws2003r2/unload_is_unseen"],
    },
    Construction {
        invariant: RULES,
        because: "a VM at its minimum cannot be given less, and its idle guest asks for no more",
        checks: &["single-vm-ws2008r2/idle_after_reclaim", "single-vm-ws2003r2/idle_after_reclaim"],
    },
    Construction {
        invariant: RULES,
        because: "the check is the invariant",
        checks: &[
            "oracle-high-priority-strict/within_bounds",
            "oracle-remove-then-pressure/within_bounds",
            "oracle-bounds/within_bounds",
        ],
    },
    Construction {
        invariant: RULES,
        because: "the VM is at its minimum, and its idle guest asks for no more",
        checks: &["outside-case-study/assigned_change"],
    },
    Construction {
        invariant: RULES,
        because: "startup is maximum, so both VMs have the same",
        checks: &["oracle-high-priority/assigned_difference"],
    },
    Construction {
        invariant: "Guest Visible Physical Memory is the most that the guest has had",
        because: "the counter is a maximum, so taking memory back cannot lower it",
        checks: &[
            "single-vm-ws2008r2/reclaim",
            "single-vm-ws2003r2/reclaim",
            "outside-ballooned/guest_visible",
        ],
    },
    Construction {
        invariant: PHASES,
        because: "② ends when the others lose memory, so in ② they do not",
        checks: &["multi-vm/others_undisturbed"],
    },
    Construction {
        invariant: LOAD,
        because: "the scenario's load steps up and down",
        checks: &["oracle-remove-then-pressure/demand_change"],
    },
];

/// The checks that nothing was chosen with in view, and that could have come out otherwise. All of the source's but the first say how curves
/// behave, not what they come to; the mechanisms were designed from the same descriptions. Those of others come last.
pub static PREDICTED: &[&str] = &[
    "max-vms-static/vms_started",
    "single-vm-ws2008r2/follows_demand",
    "single-vm-ws2008r2/available_trend",
    "single-vm-ws2008r2/available_sawtooth",
    "single-vm-ws2003r2/follows_demand",
    "single-vm-ws2003r2/available_trend",
    "single-vm-ws2003r2/available_sawtooth",
    "multi-vm/contention",
    "exhaustion/curves_cross",
    "exhaustion/flat_while_idle",
    "exhaustion/page_reads_quiet",
    "exhaustion/unsteady",
    "exhaustion-reserve-2048/curves_cross",
    "exhaustion-reserve-2048/flat_while_idle",
    "exhaustion-reserve-2048/page_reads_quiet",
    "exhaustion-reserve-2048/unsteady",
    "outside-overhead/overhead_per_vm",
    "outside-case-study/assigned",
    "outside-case-study/pressure_difference",
    "outside-ballooned/assigned",
    "outside-pressure/high_pressure_time",
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::verify::{ORACLE, OUTSIDE, SOURCE};
    use scenario::file::{self, LoadOptions};

    /// Every check of the scenarios that `verify` runs, as it is named here.
    fn all() -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for name in SOURCE.iter().chain(ORACLE).chain(OUTSIDE) {
            let scenario = file::find(name, &LoadOptions::default()).unwrap();
            all.extend(scenario.applicable_checks().map(|check| format!("{name}/{}", check.check.name)));
        }
        all
    }

    #[test]
    fn every_check_is_named_in_exactly_one_place_and_every_place_names_checks() {
        let mut places: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for knob in knob::all() {
            for &check in knob.chosen_with {
                places.entry(check).or_default().insert("calibrated".to_owned());
            }
        }
        for (place, construction) in CONSTRUCTIONS.iter().enumerate() {
            for &check in construction.checks {
                assert!(places.entry(check).or_default().insert(format!("construction {place}")), "{check}");
            }
        }
        for &check in PREDICTED {
            assert!(places.entry(check).or_default().insert("predicted".to_owned()), "{check}");
        }
        for (check, places) in &places {
            assert_eq!(places.len(), 1, "{check} is {places:?}");
        }
        let named: BTreeSet<String> = places.keys().map(|&check| check.to_owned()).collect();
        assert_eq!(named, all());
    }

    /// README.md says how many checks are of which kind.
    #[test]
    fn the_readme_counts_the_kinds_as_they_are() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for name in SOURCE {
            let scenario = file::find(name, &LoadOptions::default()).unwrap();
            let checks = scenario.applicable_checks().map(|check| check.check.name);
            for check in checks.chain([INVARIANTS]) {
                *counts.entry(Kind::of(name, check).unwrap().name()).or_default() += 1;
            }
        }
        let of = |name: &str| counts[name];
        let all = counts.values().sum::<usize>();
        let readme = include_str!("../../../../../README.md").replace("\n  ", " ");
        for sentence in [
            format!("Of the {all} checks {} were *predicted*", of("predicted")),
            format!("{} are shown by what was *calibrated*", of("calibrated")),
            format!("{} hold *by construction*", of("by construction")),
        ] {
            assert!(readme.contains(&sentence), "{sentence}");
        }
    }

    #[test]
    fn a_check_of_another_scenario_has_no_kind() {
        assert_eq!(Kind::of("my-scenario", "available_mean"), None);
        assert_eq!(Kind::of("exhaustion", "no_such_check"), None);
    }

    #[test]
    fn what_was_chosen_is_named() {
        let Some(Kind::Calibrated { chosen }) = Kind::of("exhaustion", "available_mean") else { panic!() };
        for name in ["parent_os.slowdown_per_read", "load of VM8: step"] {
            assert!(chosen.contains(&name), "{name}: {chosen:?}");
        }
        assert_eq!(Kind::of("max-vms-static", "vms_started"), Some(Kind::Predicted));
    }
}
