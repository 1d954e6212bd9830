//! A run in the terminal, as it happens.
//!
//! [`run`] runs a plan with the inline driver at the pace of whoever watches: at any speed, step by step, or standing still. Figure 2-3 of the
//! verification guideline \[A\] is the picture: the host's pool, each VM with what it has and needs, and for one chosen VM the way of its
//! messages from guest to balancer. What the watcher does by hand ([`hand`]) is done by the run's operator, recorded like everything else,
//! and written as a timeline that repeats it.
//!
//! [`play`] shows a run that is over in the same view: its [record](recording) is played at any speed, step by step, and wound to any time.
//! Real guests run in a process of their own; what they have left so far is their record, followed as it grows.
//!
//! [`view`] is what is shown, as data; [`draw`] draws it; [`keys`] says what keys mean; [`pace`] lets the run go on. None of the four does I/O.
#![forbid(unsafe_code)]

pub mod draw;
pub mod hand;
pub mod keys;
pub mod pace;
mod play;
pub mod recording;
mod terminal;
pub mod view;

pub use play::{Source, play};
pub use terminal::{Ended, LiveError, run};

#[cfg(test)]
mod tests;
