//! The tests of what a run shows, as one program.

mod answers;
mod figures;
mod stills;
