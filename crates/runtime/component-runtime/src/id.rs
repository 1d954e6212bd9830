//! The names of components.
use core::fmt;

use serde::{Deserialize, Serialize};

/// Names a component of a run. Not used again for another component of the same run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ComponentId(u64);

impl ComponentId {
    pub(crate) const fn new(slot: u32, generation: u32) -> Self {
        ComponentId((generation as u64) << 32 | slot as u64)
    }
    /// The component's slot in the tables of the runtime, as an index. A later component may be given the same slot.
    pub(crate) const fn index(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
    /// The component's slot in the tables of the runtime.
    pub(crate) const fn slot(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }
    /// How many components had the slot before.
    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentId({self})")
    }
}
impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.slot(), self.generation())
    }
}
