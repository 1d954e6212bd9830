//! The tests of the runtime, as one program.

mod causes;
mod failing_driver;
mod layers;
mod lives;
mod out_of_threads;
mod same_order;
mod scheduling;
mod wall_clock;
