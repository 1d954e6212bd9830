//! The tests of the command line, as one program.

mod damaged;
mod events;
mod metrics;
mod new_balancer;
mod output;
mod program;
mod sizing;
mod what_if;
mod wrong;
