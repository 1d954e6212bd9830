//! What a device's memory keeps of what was read and written last.

use std::collections::BTreeMap;

/// Blocks by when they were used last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cache {
    /// How many blocks fit.
    room: usize,
    by_block: BTreeMap<(u64, u64), u64>,
    by_use: BTreeMap<u64, (u64, u64)>,
    next: u64,
}

impl Cache {
    pub(crate) fn new(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    pub(crate) fn has(&self, block: (u64, u64)) -> bool {
        self.by_block.contains_key(&block)
    }

    /// A block was used: it is kept, and the one that was longest not used goes if there is no room.
    pub(crate) fn used(&mut self, block: (u64, u64)) {
        if self.room == 0 {
            return;
        }
        if let Some(before) = self.by_block.insert(block, self.next) {
            self.by_use.remove(&before);
        }
        self.by_use.insert(self.next, block);
        self.next += 1;
        if self.by_block.len() > self.room
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.by_block.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_longest_not_used_goes() {
        let mut cache = Cache::new(2);
        cache.used((0, 1));
        cache.used((0, 2));
        cache.used((0, 1));
        cache.used((0, 3));
        assert_eq!([1, 2, 3].map(|block| cache.has((0, block))), [true, false, true]);
        let mut none = Cache::new(0);
        none.used((0, 1));
        assert!(!none.has((0, 1)));
    }
}
