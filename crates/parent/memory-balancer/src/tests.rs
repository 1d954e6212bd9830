//! Tests of the engine, with a rig that plays the workers.

mod orders;
mod properties;
mod rig;
mod safety;
mod starts;
