//! The drivers: who calls the components that the scheduler has chosen.
pub(crate) mod affinity;
pub(crate) mod inline;
mod look_ahead;
pub(crate) mod threads;
pub(crate) mod wall;
