//! Saving a VSP and restoring it, here or on another host.

use core::time::Duration;

use crate::state::{DmVsp, HotAddState, Phase, State, Step};
use crate::{ConfigError, Outcome, VspConfig};

/// The format that is written and read.
const FORMAT: u32 = 3;

/// Everything that a VSP has learnt, without its configuration. Points in time are kept as what is left until then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedState {
    format: u32,
    state: State,
}

/// Why a saved state cannot be restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Another version of this crate wrote the state.
    #[error("saved in format {found}; this version reads format {FORMAT}")]
    Format {
        /// The format that it names.
        found: u32,
    },
    /// The configuration is wrong in itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The pages in it contradict each other or the configured layout.
    #[error("the pages in the saved state contradict each other or the VM's memory layout")]
    Pages,
    /// An operation is outstanding in a state that has none.
    #[error("the saved state has an operation that cannot be outstanding there")]
    Operation,
}

impl State {
    fn times(&mut self) -> impl Iterator<Item = &mut Duration> {
        let phase = match &mut self.phase {
            Phase::Version { deadline } | Phase::Capabilities { deadline, .. } => deadline.as_mut(),
            Phase::Quiet { until, .. } => Some(until),
            Phase::Closed | Phase::Refused | Phase::Ready { .. } | Phase::Failed => None,
        };
        let step = self.operation.as_mut().and_then(|operation| match &mut operation.step {
            Step::Ending { outcome: Outcome::HotAddLater { not_before } } => Some(not_before),
            step => step.deadline_mut(),
        });
        let backoff = match &mut self.hot_add {
            HotAddState::Later { not_before, .. } => Some(not_before),
            HotAddState::Available | HotAddState::Over => None,
        };
        [phase, step, backoff].into_iter().flatten()
    }

    fn operation_is_possible(&self) -> bool {
        let step = self.operation.as_ref().and_then(|operation| match operation.step {
            Step::MapUnballoon { ticket, .. } | Step::MapHotAdd { ticket, .. } => Some(ticket),
            _ => None,
        });
        let tickets = self.undo.keys().chain(self.pages.releasing.keys()).copied().chain(step);
        if !tickets.into_iter().all(|ticket| ticket < self.next_ticket) {
            return false;
        }
        let Some(operation) = &self.operation else {
            return self.undo.is_empty() && self.pages.is_settled();
        };
        let fits = match &operation.step {
            Step::Ending { .. } => return true,
            Step::MapUnballoon { ranges, .. } => self.pages.ballooned.contains_all(ranges),
            Step::Unballoon { ranges, .. } => {
                self.pages.ram.contains_all(ranges) && !self.pages.ballooned.intersects_any(ranges)
            }
            Step::MapHotAdd { range, .. } => !self.pages.ram.intersects(*range),
            Step::HotAdd { range, .. } => self.pages.ram.contains_range(*range),
            Step::Balloon { .. } => true,
        };
        fits && matches!(self.phase, Phase::Ready { .. })
    }
}

impl DmVsp {
    /// What is needed to go on elsewhere. Maps and releases that were asked for and not answered are part of it: their
    /// tickets stay valid.
    #[must_use]
    pub fn save(&self, now: Duration) -> SavedState {
        let mut state = self.state.clone();
        state.times().for_each(|time| *time = time.saturating_sub(now));
        SavedState { format: FORMAT, state }
    }

    /// A VSP that goes on where the saved one was.
    ///
    /// # Errors
    /// If the saved state is of another format, contradicts itself, or does not fit the configuration.
    pub fn restore(config: VspConfig, saved: SavedState, now: Duration) -> Result<Self, RestoreError> {
        config.check()?;
        let SavedState { format, mut state } = saved;
        if format != FORMAT {
            return Err(RestoreError::Format { found: format });
        }
        if !state.pages.is_consistent(&config.layout) {
            return Err(RestoreError::Pages);
        }
        if !state.operation_is_possible() {
            return Err(RestoreError::Operation);
        }
        state.times().for_each(|time| *time = time.saturating_add(now));
        Ok(Self { state, config })
    }
}
