//! Timers: the earliest key of all components, where a component's key can be moved or taken out.
//!
//! What [`Heap`] is for, made for timers, of which there are thousands in a large fleet: nearly all are set a second ahead, and
//! nearly all come. In a heap each would travel through all levels, down when it is set and up before it comes, at a cache
//! line or two for each. Here it is noted on its day's page, and looked at again when all of its day are put in order.

use std::collections::VecDeque;

use super::heap::{Heap, Key};

/// A day has 2 to the power of so many nanoseconds: 67 ms. A thousand VMs have some hundred timers in it.
const DAY_BITS: u32 = 26;

/// Days that have a page, two seconds of them; what is later is elsewhere. As many as `Calendar::noted` has bits.
const DAYS: u64 = 32;

/// So many notes, and two for each component, there may be before the void ones are thrown out.
const SPARE_NOTES: usize = 1024;

/// A component's timer, as it was when it was set: void if the component has another one now.
#[derive(Clone, Copy, Debug)]
struct Note {
    key: Key,
    slot: u32,
}

/// The timers of all components.
#[derive(Debug)]
pub(super) struct Calendar {
    /// Each component's timer, as far as it is noted below.
    keys: Vec<Key>,
    /// The earliest notes in order, all of `day` and before. The first of them is not void, and there is one if there are notes
    /// at all.
    today: VecDeque<Note>,
    day: u64,
    /// The notes of the days after, each day's at its number modulo their number.
    pages: Vec<Vec<Note>>,
    /// Which pages have notes, by bit.
    noted: u32,
    /// How many notes there are, void ones too.
    notes: usize,
    /// Timers of days that have no page.
    later: Heap,
}

impl Default for Calendar {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            today: VecDeque::new(),
            day: 0,
            pages: vec![Vec::new(); DAYS as usize],
            noted: 0,
            notes: 0,
            later: Heap::default(),
        }
    }
}

impl Calendar {
    /// The earliest.
    pub(super) fn earliest(&self) -> Option<(Key, u32)> {
        let near = self.today.front().map(|note| (note.key, note.slot));
        match (near, self.later.earliest()) {
            (Some(near), Some(later)) => Some(near.min(later)),
            (near, later) => near.or(later),
        }
    }

    /// Two that are likely to come after the earliest. It may be others.
    pub(super) fn after_earliest(&self) -> [Option<u32>; 2] {
        [1, 2].map(|at| self.today.get(at).map(|note| note.slot))
    }

    /// Puts `slot` at `key`, wherever it was before; takes it out if that is never.
    pub(super) fn set(&mut self, slot: u32, key: Key, now: u64) {
        if key.is_never() {
            return self.remove(slot);
        }
        if self.notes == 0 {
            self.day = day_of(now);
        }
        let day = day_of(key.time);
        if day >= self.day + DAYS {
            self.erase(slot);
            self.later.set(slot, key);
        } else {
            self.later.remove(slot);
            self.note(Note { key, slot }, day);
        }
    }

    pub(super) fn remove(&mut self, slot: u32) {
        self.erase(slot);
        self.later.remove(slot);
    }

    fn note(&mut self, note: Note, day: u64) {
        let index = note.slot as usize;
        if index >= self.keys.len() {
            self.keys.resize(index + 1, Key::NEVER);
        }
        if core::mem::replace(&mut self.keys[index], note.key) == note.key {
            return;
        }
        if day <= self.day {
            let place = self.today.partition_point(|other| other.key < note.key);
            self.today.insert(place, note);
        } else {
            self.pages[page_of(day)].push(note);
            self.noted |= 1 << page_of(day);
        }
        self.notes += 1;
        self.turn_over();
        if self.notes > 2 * self.keys.len() + SPARE_NOTES {
            self.throw_out();
        }
    }

    /// Makes what is noted of a component void.
    fn erase(&mut self, slot: u32) {
        if let Some(key) = self.keys.get_mut(slot as usize)
            && !core::mem::take(key).is_never()
        {
            self.turn_over();
        }
    }

    /// Sees to it that the earliest note is the first of today.
    fn turn_over(&mut self) {
        loop {
            while let Some(note) = self.today.front() {
                if self.keys[note.slot as usize] == note.key {
                    return;
                }
                self.today.pop_front();
                self.notes -= 1;
            }
            if self.noted == 0 {
                return;
            }
            let tomorrow = self.day + 1;
            self.day =
                tomorrow + u64::from(self.noted.rotate_right(page_of(tomorrow) as u32).trailing_zeros());
            self.noted &= !(1 << page_of(self.day));
            self.today.extend(self.pages[page_of(self.day)].drain(..));
            if self.today.len() > 1 {
                self.today.make_contiguous().sort_unstable_by_key(|note| note.key);
            }
        }
    }

    /// Throws void notes out.
    fn throw_out(&mut self) {
        let counts = |note: &Note| self.keys[note.slot as usize] == note.key;
        self.today.retain(counts);
        self.pages.iter_mut().for_each(|page| page.retain(counts));
        self.notes = self.today.len() + self.pages.iter().map(Vec::len).sum::<usize>();
    }
}

fn day_of(time: u64) -> u64 {
    time >> DAY_BITS
}

/// The page of a day is that of other days too, but never at the same time.
fn page_of(day: u64) -> usize {
    (day % DAYS) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    /// Times that are now, today, on some page, and beyond all pages.
    fn delay() -> impl Strategy<Value = u64> {
        prop_oneof![0..3u64, 0..1u64 << DAY_BITS, 0..DAYS << DAY_BITS, 0..(4 * DAYS) << DAY_BITS]
    }

    proptest! {
        /// Against a map from component to key.
        #[test]
        fn gives_the_earliest(
            actions in prop::collection::vec((0u32..24, prop::option::weighted(0.9, delay()), any::<bool>()), 1..300),
        ) {
            let (mut calendar, mut model) = (Calendar::default(), BTreeMap::new());
            let mut now = 0;
            for (rank, (slot, delay, comes)) in (0u64..).zip(actions) {
                match delay {
                    Some(delay) => {
                        let key = Key { time: now + delay, rank };
                        calendar.set(slot, key, now);
                        model.insert(slot, key);
                    }
                    None => {
                        calendar.set(slot, Key::NEVER, now);
                        model.remove(&slot);
                    }
                }
                let earliest = model.iter().map(|(slot, key)| (*key, *slot)).min();
                prop_assert_eq!(calendar.earliest(), earliest);
                // Time goes to the earliest at times, which is then set anew or taken out by what follows.
                if let Some((key, _)) = earliest.filter(|_| comes) {
                    now = now.max(key.time);
                }
            }
            while let Some((_, slot)) = calendar.earliest() {
                prop_assert_eq!(calendar.earliest(), model.iter().map(|(slot, key)| (*key, *slot)).min());
                calendar.remove(slot);
                model.remove(&slot);
            }
            prop_assert!(model.is_empty());
            prop_assert_eq!((calendar.notes, calendar.noted), (0, 0));
        }
    }

    #[test]
    fn void_notes_are_thrown_out() {
        let mut calendar = Calendar::default();
        for rank in 0..100_000 {
            calendar.set(0, Key { time: (1 + rank % 100) << DAY_BITS, rank }, 0);
            calendar.set(1, Key { time: rank, rank }, 0);
            assert!(calendar.notes <= 2 * 2 + SPARE_NOTES + 1);
        }
    }

    #[test]
    fn those_of_one_day_come_in_turn() {
        let mut calendar = Calendar::default();
        for slot in 0..10 {
            calendar.set(slot, Key { time: 5, rank: u64::from(slot) }, 0);
        }
        assert_eq!(calendar.after_earliest(), [Some(1), Some(2)]);
        let mut order = Vec::new();
        while let Some((key, slot)) = calendar.earliest() {
            order.push(slot);
            if key.time > 5 {
                calendar.remove(slot);
            } else {
                calendar.set(slot, Key { time: 1_000_000_000, rank: 100 - u64::from(slot) }, key.time);
            }
        }
        assert_eq!(order, (0..10).chain((0..10).rev()).collect::<Vec<_>>());
    }
}
