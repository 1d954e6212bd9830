//! Everything that was chosen with a check in view, or could have been: constants of the models, loads of the scenarios, windows of the
//! checks, and the design of the policy.
//!
//! A knob names the checks that it was chosen with, so that what it is worth that these come out right is known ([`Kind`](super::kind::Kind)),
//! and it can be turned, so that what depends on it can be seen ([`sensitivity`](super::sensitivity)). No global value is changed: a knob turns
//! the plan of one run, or the windows through which one run is looked at.

mod constant;
mod load;
mod window;

use model_constants::Label;
use scenario::run::Plan;
use serde::Serialize;

use super::windows::Windows;

/// What kind of thing a knob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// A constant of a model.
    Constant,
    /// Part of a load that a scenario describes.
    Load,
    /// A window or threshold of the checks themselves.
    Window,
    /// How something works, which has no value.
    Design,
}

/// Something that was chosen.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// What it is called: a constant has its name in the tables.
    pub name: &'static str,
    /// What kind of thing it is.
    pub group: Group,
    /// How well founded it is, if it is a constant.
    pub label: Option<Label>,
    /// Unit of its value.
    pub unit: &'static str,
    /// The checks that it was chosen with in view, as `scenario/check`.
    pub chosen_with: &'static [&'static str],
    /// What these checks leave free.
    pub free: &'static str,
    turn: Turn,
}

/// How a knob is read and turned.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// A constant of this value, somewhere in a plan.
    Constant(f64, fn(&mut Plan, f64)),
    /// A constant that acts only when a load changes or the host has nothing left.
    OfLoad(f64, fn(&mut Plan, f64)),
    /// A part of the plans of some scenarios.
    Load(&'static [&'static str], fn(&Plan) -> Option<f64>, fn(&mut Plan, f64)),
    /// A window of the checks of some scenarios.
    Window(&'static [&'static str], fn(&Windows) -> f64, fn(&mut Windows, f64)),
    /// It cannot be turned.
    Fixed,
}

/// Names the scenarios whose guests idle on a host that has memory left: what acts under load is not turned there, which saves half of the runs'
/// time.
const IDLE: &[&str] = &["max-vms-static", "max-vms-dynamic-7", "max-vms-dynamic"];
/// Names the scenarios in which a VM comes last and takes memory from the others.
const CONTENTION: &[&str] = &["multi-vm", "exhaustion", "exhaustion-reserve-2048"];
/// Those of one VM that is loaded and unloaded.
const SINGLE: &[&str] = &["single-vm-ws2008r2", "single-vm-ws2003r2"];

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

impl Knob {
    /// All knobs: constants that were chosen with a check in view, loads, windows, and the design of the policy.
    pub fn all() -> impl Iterator<Item = Self> {
        constant::knobs()
            .chain(load::KNOBS.iter().copied())
            .chain(window::KNOBS.iter().copied())
            .chain([DESIGN])
    }

    /// Whether it can be turned.
    #[must_use]
    pub fn can_be_turned(&self) -> bool {
        !matches!(self.turn, Turn::Fixed)
    }

    /// Whether a run of this scenario has it.
    #[must_use]
    pub fn is_in(&self, scenario: &str) -> bool {
        match self.turn {
            Turn::Constant(..) => true,
            Turn::OfLoad(..) => !IDLE.contains(&scenario),
            Turn::Load(scenarios, ..) | Turn::Window(scenarios, ..) => scenarios.contains(&scenario),
            Turn::Fixed => false,
        }
    }

    /// A scenario whose plan [`Knob::value`] can read it from, if it needs one.
    #[must_use]
    pub fn read_from(&self) -> Option<&'static str> {
        match self.turn {
            Turn::Load(scenarios, ..) => scenarios.first().copied(),
            Turn::Constant(..) | Turn::OfLoad(..) | Turn::Window(..) | Turn::Fixed => None,
        }
    }

    /// Its value, in [`Knob::unit`].
    #[must_use]
    pub fn value(&self, plan: Option<&Plan>) -> Option<f64> {
        match self.turn {
            Turn::Constant(value, _) | Turn::OfLoad(value, _) => Some(value),
            Turn::Load(_, read, _) => read(plan?),
            Turn::Window(_, read, _) => Some(read(&Windows::default())),
            Turn::Fixed => None,
        }
    }

    pub(super) fn turn_plan(&self, plan: &mut Plan, factor: f64) {
        match self.turn {
            Turn::Constant(_, turn) | Turn::OfLoad(_, turn) => turn(plan, factor),
            Turn::Load(scenarios, _, turn) => {
                if scenarios.contains(&plan.name.as_str()) {
                    turn(plan, factor);
                }
            }
            Turn::Window(..) | Turn::Fixed => {}
        }
    }

    pub(super) fn turn_windows(&self, windows: &mut Windows, factor: f64) {
        if let Turn::Window(_, _, turn) = self.turn {
            turn(windows, factor);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use scenario::file::{self, LoadOptions};
    use scenario::run::{Choices, build};

    fn plan(name: &str) -> Plan {
        let scenario = file::find(name, &LoadOptions::default()).unwrap();
        build::plan_alone(&scenario, &Choices::default()).unwrap()
    }

    #[test]
    fn every_knob_has_a_name_of_its_own_and_says_what_is_free() {
        let mut names = BTreeSet::new();
        for knob in Knob::all() {
            assert!(names.insert(knob.name), "{}", knob.name);
            assert!(!knob.free.is_empty(), "{}", knob.name);
            assert_eq!(knob.can_be_turned(), knob.group != Group::Design, "{}", knob.name);
        }
    }

    /// A knob that turns nothing would show that nothing depends on it.
    #[test]
    fn turning_a_knob_changes_the_plan_or_the_windows() {
        for knob in Knob::all().filter(Knob::can_be_turned) {
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
        let step = Knob::all().find(|knob| knob.name == "load of VM8: step").unwrap();
        let before = plan("single-vm-ws2008r2");
        let mut after = before.clone();
        step.turn_plan(&mut after, 2.0);
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
        assert!(!step.is_in("single-vm-ws2008r2") && step.is_in("exhaustion"));
    }
}
