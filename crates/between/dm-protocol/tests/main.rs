//! The tests of the messages, as one program.

mod properties;
mod vectors;
