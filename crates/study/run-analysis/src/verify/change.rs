//! What is different from a scenario as its file has it.

use scenario::run::Plan;

use super::knob::Knob;
use super::mutate::Mutation;
use super::windows::Windows;

/// What is different from a scenario as its file has it.
#[derive(Clone, Copy, Debug, Default)]
pub enum Change {
    /// Nothing.
    #[default]
    None,
    /// A mechanism is switched off.
    Without(&'static Mutation),
    /// A knob has this many times its value.
    Turned(Knob, f64),
    /// The plan of every run is changed like this.
    By(fn(&mut Plan)),
}

impl Change {
    pub(crate) fn apply(&self, plan: &mut Plan) {
        match self {
            Self::None => {}
            Self::Without(mutation) => (mutation.apply)(plan),
            Self::Turned(knob, factor) => knob.turn_plan(plan, *factor),
            Self::By(change) => change(plan),
        }
    }

    pub(crate) fn windows(&self) -> Windows {
        let mut windows = Windows::default();
        if let Self::Turned(knob, factor) = self {
            knob.turn_windows(&mut windows, *factor);
        }
        windows
    }

    /// The mechanism that is switched off.
    pub(crate) fn mechanism(&self) -> Option<&'static str> {
        match self {
            Self::Without(mutation) => Some(mutation.name),
            Self::None | Self::Turned(..) | Self::By(_) => None,
        }
    }
}
