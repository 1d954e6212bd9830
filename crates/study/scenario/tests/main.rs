//! The tests of scenario files and their runs, as one program.

mod adding_up;
mod told;
