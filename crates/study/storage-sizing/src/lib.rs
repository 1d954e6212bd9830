//! Many VMs from one golden image: how many of them an array serves, and how much space they take.
//!
//! \[C\], a short paper, compares two functions of disk arrays by formulas. VMs are *clones* of a *golden image*: with the **snapshot**
//! function clones share the data of one image, with **thin** provisioning each is a mirror of its own. In both only what a clone writes anew
//! takes space. [`formula`] has the formulas, [`inputs`] what they are fed with, each number with its label, and [`mechanism`]
//! the same amounts counted in real differencing disks.
//!
//! | | | |
//! |---|---|---|
//! | of a VM | A | load on the array's memory, accesses a second |
//! | | B | load on its disks, accesses a second |
//! | | C | space that is allocated for what it writes anew |
//! | of the images | D | space of all golden images |
//! | of the array | N | accesses a second that its processors serve |
//! | | M | accesses a second that one disk serves |
//! | | X | disks |
//! | result | Y | accesses a second that the array serves |
//! | | T | VMs that it serves |
//! | | S | space that they take |
//!
//! ```
//! use storage_sizing::formula::{Array, Limit, VmLoad};
//!
//! let array = Array { processor: 100_000.0, disk: 150.0, disks: 96 };
//! let vm = VmLoad { memory: 90.0, disk: 10.0, new_bytes: 2e9 };
//! assert_eq!(array.machines(&vm), (1000, Limit::Processor));
//! ```
#![forbid(unsafe_code)]

mod constants;
pub mod formula;
pub mod inputs;
pub mod mechanism;
pub mod storm;

pub use constants::constants;
