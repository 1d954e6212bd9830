//! Dynamic Memory for QEMU guests: the daemon around [`qemu_host`].
//!
//! The daemon owns the command line, the clock, the files, and what is printed. It decides nothing about memory.
#![forbid(unsafe_code)]

pub mod command_line;
mod config;
pub mod control;
mod daemon;
mod libvirt;
mod options;
mod record;
mod sockets;
mod summary;
mod surroundings;
mod tell;
mod watch;

pub use daemon::{check, complaint, run};
pub use options::Options;
pub use tell::say;
