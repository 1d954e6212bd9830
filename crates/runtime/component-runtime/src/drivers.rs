//! The drivers, which call the components that the scheduler has chosen.
pub(crate) mod affinity;
pub(crate) mod inline;
pub(crate) mod paced;
pub(crate) mod threads;
pub(crate) mod wall;
