//! Which core a thread runs on.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where the two threads run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    SameCore,
    TwoCore,
}

impl Placement {
    pub(crate) const ALL: [Self; 2] = [Self::SameCore, Self::TwoCore];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SameCore => "same-core",
            Self::TwoCore => "two-core",
        }
    }

    /// The cores of the two threads, out of those this process may use; `None` if it has only one and needs two.
    pub(crate) fn cores(self) -> Option<[usize; 2]> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let first = cores.next()?;
        match self {
            Self::SameCore => Some([first, first]),
            Self::TwoCore => Some([first, cores.next()?]),
        }
    }
}

/// Binds the calling thread to a core. If that fails the figures are worth less, so it is said.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    if let Err(error) = sched_setaffinity(None, &set) {
        eprintln!("cannot bind a thread to core {core}: {error}");
    }
}
