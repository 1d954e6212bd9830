//! The drivers: who calls the components that the scheduler has chosen.
pub(crate) mod inline;
