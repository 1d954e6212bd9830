//! What is done by hand while a run goes on.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::plan::{Action, Step};

/// How often, in virtual time, the operator looks for what is to be done by hand. Invented.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// Gives the operator of a run actions, which it carries out beside the timeline, and says when it did. Clones give to the same operator.
#[derive(Clone, Debug, Default)]
pub struct Hand {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    wanted: Vec<Action>,
    done: Vec<Step>,
}

impl Hand {
    /// Has something done as soon as the operator looks.
    pub fn act(&self, action: Action) {
        self.state.lock().wanted.push(action);
    }

    /// What has been done since the last call, and when.
    #[must_use]
    pub fn done(&self) -> Vec<Step> {
        std::mem::take(&mut self.state.lock().done)
    }

    /// What is to be done now.
    pub(crate) fn take(&self, now: Duration) -> Vec<Action> {
        let mut state = self.state.lock();
        let wanted = std::mem::take(&mut state.wanted);
        state.done.extend(wanted.iter().map(|action| Step { at: now, action: action.clone() }));
        wanted
    }
}
