//! An indexed heap: the earliest key of all components, where a component's key can be moved or taken out.

use core::cmp::Ordering;

/// When something is due, and its rank among what is due at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Nanoseconds since the run began; `u64::MAX` is never.
    pub(super) time: u64,
    /// Unique in a run.
    pub(super) rank: u64,
}

impl Default for Key {
    fn default() -> Self {
        Key::NEVER
    }
}

impl Key {
    pub(super) const NEVER: Key = Key { time: u64::MAX, rank: u64::MAX };

    pub(super) const fn is_never(self) -> bool {
        self.time == u64::MAX
    }

    /// Time and rank as one number: comparing it takes no branch, and a heap does little else.
    const fn order(self) -> u128 {
        (self.time as u128) << 64 | self.rank as u128
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }

    fn lt(&self, other: &Self) -> bool {
        self.order() < other.order()
    }
}

/// Children of a node: half the levels of a binary heap.
const ARITY: usize = 4;
const ABSENT: u32 = u32::MAX;

/// A heap of the components that have a key.
#[derive(Debug, Default)]
pub(super) struct Heap {
    /// Keys with the slots of their components. The children of the node at `n` are at `ARITY * n + 1` and after.
    nodes: Vec<(Key, u32)>,
    /// At which node each component is, by slot.
    places: Vec<u32>,
}

impl Heap {
    pub(super) fn earliest(&self) -> Option<(Key, u32)> {
        self.nodes.first().copied()
    }

    /// Puts `slot` at `key`, wherever it was before; takes it out if that is never.
    pub(super) fn set(&mut self, slot: u32, key: Key) {
        if key.is_never() {
            return self.remove(slot);
        }
        let index = slot as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, ABSENT);
        }
        let place = self.places[index];
        if place == ABSENT {
            self.nodes.push((key, slot));
            self.rise(self.nodes.len() - 1, key, slot);
        } else if self.nodes[place as usize].0 != key {
            self.replace(place as usize, key, slot);
        }
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(place) = self.places.get(slot as usize).copied().filter(|place| *place != ABSENT) else {
            return;
        };
        self.places[slot as usize] = ABSENT;
        let Some((key, last)) = self.nodes.pop() else { return };
        if (place as usize) < self.nodes.len() {
            // What came from the end may belong above or below.
            self.replace(place as usize, key, last);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a heap holds at most one node per u32 slot")]
    fn put(&mut self, place: usize, key: Key, slot: u32) {
        self.nodes[place] = (key, slot);
        self.places[slot as usize] = place as u32;
    }

    fn replace(&mut self, place: usize, key: Key, slot: u32) {
        if key < self.nodes[place].0 {
            self.rise(place, key, slot);
        } else {
            self.sink(place, key, slot);
        }
    }

    fn rise(&mut self, mut place: usize, key: Key, slot: u32) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            let (above, its) = self.nodes[parent];
            if above < key {
                break;
            }
            self.put(place, above, its);
            place = parent;
        }
        self.put(place, key, slot);
    }

    fn sink(&mut self, mut place: usize, key: Key, slot: u32) {
        loop {
            let first = place * ARITY + 1;
            let Some((&earliest, others)) =
                self.nodes.get(first..).and_then(|children| children.split_first())
            else {
                break;
            };
            let mut child = (earliest, first);
            for (node, at) in others.iter().take(ARITY - 1).zip(first + 1..) {
                if node.0 < child.0.0 {
                    child = (*node, at);
                }
            }
            let ((below, its), at) = child;
            if key < below {
                break;
            }
            self.put(place, below, its);
            place = at;
        }
        self.put(place, key, slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Against a map from component to key.
        #[test]
        fn gives_the_earliest(actions in prop::collection::vec((0u32..24, prop::option::of(0u64..40)), 1..200)) {
            let (mut heap, mut model) = (Heap::default(), BTreeMap::new());
            for (rank, (slot, time)) in (0u64..).zip(actions) {
                match time {
                    Some(time) => {
                        heap.set(slot, Key { time, rank });
                        model.insert(slot, Key { time, rank });
                    }
                    None => {
                        heap.set(slot, Key::NEVER);
                        model.remove(&slot);
                    }
                }
                let earliest = model.iter().map(|(slot, key)| (*key, *slot)).min();
                prop_assert_eq!(heap.earliest(), earliest);
            }
            while let Some((_, slot)) = heap.earliest() {
                prop_assert_eq!(heap.earliest(), model.iter().map(|(slot, key)| (*key, *slot)).min());
                heap.remove(slot);
                model.remove(&slot);
            }
            prop_assert!(model.is_empty());
        }
    }
}
