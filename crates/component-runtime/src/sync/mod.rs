//! Hand-written synchronisation, all of it, each with its loom models.
mod baton;
mod port;

pub(crate) use baton::Baton;
pub(crate) use port::{Port, Signals};

#[cfg(all(test, loom))]
mod loom_baton;
#[cfg(all(test, loom))]
mod loom_port;
