//! Names that occur again and again, kept once.

use std::{collections::BTreeMap, sync::Arc};

/// Numbers names in the order in which they are first met.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    numbers: BTreeMap<Arc<str>, u32>,
}

impl Numbering {
    /// The number of `name`, and whether it is new.
    pub(crate) fn number(&mut self, name: &str) -> (u32, bool) {
        if let Some(&number) = self.numbers.get(name) {
            return (number, false);
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.into(), number);
        (number, true)
    }
}

/// Keeps one copy of each name that a reader meets.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    names: std::collections::BTreeSet<Arc<str>>,
}

impl Interner {
    pub(crate) fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.names.insert(new.clone());
        new
    }
}
