//! The tests of the command line, as one program.

mod new_balancer;
mod output;
