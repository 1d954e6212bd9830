//! The controller alone, and a driver, a controller and disks in files, joined by two rings in guest memory.

mod alone;
mod machine;
mod pair;
