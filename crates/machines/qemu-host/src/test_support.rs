//! A QEMU that is none, and connections to it in virtual time: for tests of everything above the socket, and for fuzzing.

mod fake;
mod fuzz;
mod wires;

pub use fake::{FakeQemu, Knobs};
pub use fuzz::{Reached, libvirt, session};
pub use wires::{FakeQemus, peer};
