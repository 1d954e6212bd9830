//! The tests of the balancer, as one program.

mod allocations;
mod contention;
mod oracle;
