//! Pages of memory that a guest or another process writes to at the same time.
//!
//! The source documents take for granted that parent and child partition see the same physical pages: a VMBus ring, a
//! GPADL, a SynIC message page are such pages. This crate is the one place where that idea becomes Rust: a [`Region`]
//! is a mapping (process memory, a sealed memfd, or guest RAM of a hypervisor), a [`Page`] names one of its pages and
//! keeps the mapping alive, and a page's content can be touched only through atomics.
//!
//! **Owns**: mappings, and the rule that a page is accessed as 64-bit words ([`DataPages`]) *or* as 32-bit words
//! ([`ControlPage`]), never as both at a time. Racing accesses of different sizes are undefined in the memory model of
//! Rust, and a hostile guest can list one page both as control page and as data page of its rings; claiming a page for
//! the second width is therefore refused ([`WidthConflict`]).
//!
//! Pages that a guest has given away are [withdrawn](Region::withdraw): nothing in this process can touch them, so that the
//! code that mapped them may take the access away.
//!
//! **Never**: interprets what is in a page, allocates guest page numbers, or hands out `&[u8]` into shared memory.
//!
//! This crate is also the one of the stack with `unsafe` code. Each block carries its argument; all of it is in the modules
//! `region`, `memfd` and `view`.

mod claim;
mod copy;
#[cfg(target_os = "linux")]
mod memfd;
mod region;
mod size;
mod view;

pub use claim::{ViewError, Width, WidthConflict, WithdrawError, Withdrawn};
pub use copy::{CopyError, OutOfPage};
#[cfg(target_os = "linux")]
pub use memfd::MemfdError;
pub use region::Region;
pub use size::{CONTROL_WORDS_PER_PAGE, PAGE_BYTES, RegionError, WORDS_PER_PAGE};
pub use view::{ControlPage, DataPages, MappedPages, Page};

#[cfg(all(test, target_os = "linux"))]
mod tests;
