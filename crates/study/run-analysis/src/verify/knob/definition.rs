//! What a knob is, and how one is turned.

use model_constants::Label;
use page_range::PageCount;
use scenario::run::Plan;
use serde::Serialize;

use crate::verify::windows::Windows;

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
    pub(super) turn: Turn,
}

/// How a knob is read and turned.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
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
pub(super) const CONTENTION: &[&str] = &["multi-vm", "exhaustion", "exhaustion-reserve-2048"];
/// Those of one VM that is loaded and unloaded.
pub(super) const SINGLE: &[&str] = &["single-vm-ws2008r2", "single-vm-ws2003r2"];

/// So many times this size.
pub(super) fn times(pages: PageCount, factor: f64) -> PageCount {
    PageCount((pages.get() as f64 * factor + 0.5) as u64)
}

impl Knob {
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

    pub(in crate::verify) fn turn_plan(&self, plan: &mut Plan, factor: f64) {
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

    pub(in crate::verify) fn turn_windows(&self, windows: &mut Windows, factor: f64) {
        if let Turn::Window(_, _, turn) = self.turn {
            turn(windows, factor);
        }
    }
}
