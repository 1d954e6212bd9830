//! An indexed heap: the earliest key of all components, where a component's key can be moved or taken out.

/// When something is due, and its rank among what is due at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Nanoseconds since the run began; `u64::MAX` is never.
    pub(super) time: u64,
    /// Unique in a run.
    pub(super) rank: u64,
}

impl Key {
    pub(super) const NEVER: Key = Key { time: u64::MAX, rank: u64::MAX };

    pub(super) const fn is_never(self) -> bool {
        self.time == u64::MAX
    }
}

/// Four children per node: half the levels of a binary heap, and a node's children share a cache line or two.
const ARITY: usize = 4;
const ABSENT: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(super) struct Heap {
    nodes: Vec<(Key, u32)>,
    /// Where each component is in `nodes`.
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
            self.rise(self.nodes.len() - 1);
        } else {
            let place = place as usize;
            let before = core::mem::replace(&mut self.nodes[place].0, key);
            if key < before {
                self.rise(place);
            } else {
                self.sink(place);
            }
        }
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(place) = self.places.get(slot as usize).copied().filter(|place| *place != ABSENT) else {
            return;
        };
        let place = place as usize;
        self.places[slot as usize] = ABSENT;
        self.nodes.swap_remove(place);
        if place < self.nodes.len() {
            // What came from the end may belong above or below.
            self.rise(place);
            self.sink(self.places[self.nodes[place].1 as usize] as usize);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a heap holds at most one node per u32 slot")]
    fn rise(&mut self, mut place: usize) {
        let node = self.nodes[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.nodes[parent].0 <= node.0 {
                break;
            }
            self.nodes[place] = self.nodes[parent];
            self.places[self.nodes[place].1 as usize] = place as u32;
            place = parent;
        }
        self.nodes[place] = node;
        self.places[node.1 as usize] = place as u32;
    }

    #[expect(clippy::cast_possible_truncation, reason = "a heap holds at most one node per u32 slot")]
    fn sink(&mut self, mut place: usize) {
        let node = self.nodes[place];
        loop {
            let first = place * ARITY + 1;
            let children = first..(first + ARITY).min(self.nodes.len());
            let Some(least) = children.min_by_key(|child| self.nodes[*child].0) else { break };
            if node.0 <= self.nodes[least].0 {
                break;
            }
            self.nodes[place] = self.nodes[least];
            self.places[self.nodes[place].1 as usize] = place as u32;
            place = least;
        }
        self.nodes[place] = node;
        self.places[node.1 as usize] = place as u32;
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
