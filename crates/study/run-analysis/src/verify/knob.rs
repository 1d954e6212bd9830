//! Everything that was chosen with a check in view, or could have been: constants of the models, loads of the scenarios, windows of the
//! checks, and the design of the policy.
//!
//! A knob names the checks that it was chosen with, so that what it is worth that these come out right is known ([`Kind`](super::kind::Kind)),
//! and it can be turned, so that what depends on it can be seen ([`sensitivity`](super::sensitivity)). No global value is changed: a knob turns
//! the plan of one run, or the windows through which one run is looked at.

mod constant;
mod definition;
mod load;
mod window;

use definition::Turn;
pub use definition::{Group, Knob};

/// The `hyperv` policy itself.
const DESIGN: Knob = Knob {
    name: "design of the policy hyperv",
    group: Group::Design,
    label: None,
    unit: "",
    chosen_with: &[
        "oracle-high-priority/start_time",
        "oracle-high-priority-strict/assigned_difference",
        "oracle-high-priority-contended/holds_more",
        "oracle-hot-remove/assigned_change",
        "oracle-startup-low-competes/start_time",
        "oracle-startup-low-competes/assigned_change",
        "oracle-startup-high-competes/start_time",
        "oracle-startup-high-competes/assigned_change",
        "oracle-remove-then-pressure/assigned_change",
        "oracle-bounds/bounds_reached",
    ],
    free: "the policy was designed so that Microsoft's tests pass; other designs pass them, too",
    turn: Turn::Fixed,
};

/// All knobs: constants that were chosen with a check in view, loads, windows, and the design of the policy.
pub fn all() -> impl Iterator<Item = Knob> {
    constant::knobs().chain(load::KNOBS.iter().copied()).chain(window::KNOBS.iter().copied()).chain([DESIGN])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::verify::windows::Windows;
    use scenario::file::{self, LoadOptions};
    use scenario::run::{Choices, Plan, build};

    fn plan(name: &str) -> Plan {
        let scenario = file::find(name, &LoadOptions::default()).unwrap();
        build::plan_alone(&scenario, &Choices::default()).unwrap()
    }

    #[test]
    fn every_knob_has_a_name_of_its_own_and_says_what_is_free() {
        let mut names = BTreeSet::new();
        for knob in all() {
            assert!(names.insert(knob.name), "{}", knob.name);
            assert!(!knob.free.is_empty(), "{}", knob.name);
            assert_eq!(knob.can_be_turned(), knob.group != Group::Design, "{}", knob.name);
        }
    }

    /// A knob that turns nothing would show that nothing depends on it.
    #[test]
    fn turning_a_knob_changes_the_plan_or_the_windows() {
        for knob in all().filter(Knob::can_be_turned) {
            if knob.group == Group::Window {
                let mut windows = Windows::default();
                knob.turn_windows(&mut windows, 2.0);
                assert_ne!(windows, Windows::default(), "{}", knob.name);
                continue;
            }
            // A scenario of both guests, with a load, and with the reserve unset.
            let before = plan(knob.read_from().unwrap_or("exhaustion"));
            let mut after = before.clone();
            knob.turn_plan(&mut after, 2.0);
            assert_ne!(format!("{after:?}"), format!("{before:?}"), "{}", knob.name);
            let mut same = before.clone();
            knob.turn_plan(&mut same, 1.0);
            let (once, plain) = (knob.value(Some(&same)).unwrap(), knob.value(Some(&before)).unwrap());
            assert!((once - plain).abs() < 1e-9, "{}", knob.name);
            if knob.group == Group::Load {
                let twice = knob.value(Some(&after)).unwrap();
                assert!((twice - 2.0 * plain).abs() <= 0.01 * plain, "{}: {plain}, {twice}", knob.name);
            }
        }
    }

    #[test]
    fn a_load_is_turned_in_its_own_scenarios_only() {
        let step = all().find(|knob| knob.name == "load of VM8: step").unwrap();
        let before = plan("single-vm-ws2008r2");
        let mut after = before.clone();
        step.turn_plan(&mut after, 2.0);
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
        assert!(!step.is_in("single-vm-ws2008r2") && step.is_in("exhaustion"));
    }
}
