//! The tests of the VSP, as one program.

mod host;
mod orders;
mod pair;
