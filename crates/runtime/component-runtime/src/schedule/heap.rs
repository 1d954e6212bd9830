//! An indexed heap: the earliest key of all components, where a component's key can be moved or taken out.

/// When something is due, and its rank among what is due at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
}

impl Key {
    /// Whether it is earlier, found without a branch: in a heap nobody could predict it.
    const fn is_before(self, other: Key) -> bool {
        self.packed() < other.packed()
    }

    const fn packed(self) -> u128 {
        (self.time as u128) << 64 | self.rank as u128
    }
}

/// Four children per node: half the levels of a binary heap.
const ARITY: usize = 4;
/// Where the root is: so that all children of a node are in one line, those of the node at `place` in line `place - 2`.
const ROOT: usize = ARITY - 1;
const ABSENT: u32 = u32::MAX;

/// Keys that share a cache line; those beyond the end of the heap are never.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([Key; ARITY]);

impl Line {
    const EMPTY: Line = Line([Key::NEVER; ARITY]);

    fn earliest(&self) -> (usize, Key) {
        let Line(keys) = self;
        let (a, b) = (usize::from(keys[1].is_before(keys[0])), 2 + usize::from(keys[3].is_before(keys[2])));
        let least = if keys[b].is_before(keys[a]) { b } else { a };
        (least, keys[least])
    }
}

/// Its nodes' keys are apart from their slots, so that the way down reads one cache line of keys on each level.
#[derive(Debug)]
pub(super) struct Heap {
    keys: Vec<Line>,
    /// Whose key is at each place. The places before the root are nobody's.
    slots: Vec<u32>,
    /// At which place each component is.
    places: Vec<u32>,
}

impl Default for Heap {
    fn default() -> Self {
        Heap { keys: vec![Line::EMPTY], slots: vec![ABSENT; ROOT], places: Vec::new() }
    }
}

impl Heap {
    pub(super) fn earliest(&self) -> Option<(Key, u32)> {
        self.slots.get(ROOT).map(|slot| (self.key(ROOT), *slot))
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
            let place = self.slots.len();
            self.slots.push(slot);
            if place / ARITY >= self.keys.len() {
                self.keys.push(Line::EMPTY);
            }
            self.rise(place, key, slot);
        } else if self.key(place as usize) != key {
            self.replace(place as usize, key, slot);
        }
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(place) = self.places.get(slot as usize).copied().filter(|place| *place != ABSENT) else {
            return;
        };
        let place = place as usize;
        self.places[slot as usize] = ABSENT;
        let Some(last) = self.slots.pop() else { return };
        let end = self.slots.len();
        let key = core::mem::take(&mut self.keys[end / ARITY].0[end % ARITY]);
        if place < end {
            // What came from the end may belong above or below.
            self.replace(place, key, last);
        }
    }

    fn key(&self, place: usize) -> Key {
        self.keys[place / ARITY].0[place % ARITY]
    }

    #[expect(clippy::cast_possible_truncation, reason = "a heap holds at most one node per u32 slot")]
    fn put(&mut self, place: usize, key: Key, slot: u32) {
        self.keys[place / ARITY].0[place % ARITY] = key;
        self.slots[place] = slot;
        self.places[slot as usize] = place as u32;
    }

    fn replace(&mut self, place: usize, key: Key, slot: u32) {
        let before = self.key(place);
        if key.is_before(before) {
            self.rise(place, key, slot);
        } else {
            self.sink(place, key, slot);
        }
    }

    fn rise(&mut self, mut place: usize, key: Key, slot: u32) {
        while place > ROOT {
            let parent = place / ARITY + 2;
            let above = self.key(parent);
            if above.is_before(key) {
                break;
            }
            self.put(place, above, self.slots[parent]);
            place = parent;
        }
        self.put(place, key, slot);
    }

    fn sink(&mut self, mut place: usize, key: Key, slot: u32) {
        while let Some(children) = self.keys.get(place - 2) {
            let (least, below) = children.earliest();
            if !below.is_before(key) {
                break;
            }
            let child = (place - 2) * ARITY + least;
            self.put(place, below, self.slots[child]);
            place = child;
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
