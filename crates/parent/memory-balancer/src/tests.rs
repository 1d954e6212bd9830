//! Tests of the engine, with a rig that plays the workers.

mod edges;
mod orders;
mod properties;
mod rig;
mod safety;
mod starts;
mod takeover;
