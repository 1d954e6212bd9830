//! The scheduler of the virtual clock: what runs next, and what time it is then. The scheduler knows no threads and calls no
//! component; the drivers do what it decides, so both run in the same order.
mod entry;
mod heap;
mod scheduler;
#[cfg(test)]
mod tests;

pub(crate) use scheduler::{Decision, Finished, Scheduler};
