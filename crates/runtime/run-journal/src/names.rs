//! Names that occur again and again, kept once.

use std::{collections::BTreeSet, sync::Arc};

use crate::json_text::append_text;

/// Numbers names in the order in which they are first met, and keeps what is written for each.
///
/// Names are found by their hash, in a table that is only looked up: nothing depends on its order.
#[derive(Debug)]
pub(crate) struct Numbering {
    names: Vec<Name>,
    /// For each hash, modulo the length (a power of two), the index after that of a name, or 0. A name whose place is taken is at the next
    /// free one.
    table: Vec<u32>,
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    /// The name as the key of a field that follows another: `,"name":`.
    key: Box<[u8]>,
}

impl Default for Numbering {
    fn default() -> Self {
        Self { names: Vec::new(), table: vec![0; 256] }
    }
}

impl Numbering {
    /// The number of `name`, and whether it is new.
    pub(crate) fn number(&mut self, name: &str) -> (u32, bool) {
        let mut place = self.place(name);
        while let Some(number) = self.table[place].checked_sub(1) {
            if *self.names[number as usize].text == *name {
                return (number, false);
            }
            place = (place + 1) % self.table.len();
        }
        let mut key = Vec::with_capacity(name.len() + 4);
        key.push(b',');
        append_text(&mut key, name);
        key.push(b':');
        self.names.push(Name { text: name.into(), key: key.into() });
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.table[place] = next;
        // At most half full, so that a search is short.
        if 2 * self.names.len() > self.table.len() {
            self.grow();
        }
        (next - 1, true)
    }

    /// A name as a JSON string.
    pub(crate) fn json(&self, number: u32) -> &[u8] {
        let key = self.key(number);
        &key[1..key.len() - 1]
    }

    /// A name as the key of a field that follows another in a JSON object: with comma and colon.
    pub(crate) fn key(&self, number: u32) -> &[u8] {
        &self.names[number as usize].key
    }

    fn grow(&mut self) {
        self.table = vec![0; 2 * self.table.len()];
        for (next, name) in (1..).zip(&self.names) {
            let mut place = self.place(&name.text);
            while self.table[place] != 0 {
                place = (place + 1) % self.table.len();
            }
            self.table[place] = next;
        }
    }

    fn place(&self, name: &str) -> usize {
        /// The golden ratio in 64 bits: spreads what is multiplied by it over the upper bits.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = name.len() as u64;
        let mut add = |word: u64| hash = (hash.rotate_left(5) ^ word).wrapping_mul(SPREAD);
        let bytes = name.as_bytes();
        match bytes.last_chunk() {
            Some(last) => {
                for word in bytes.as_chunks().0 {
                    add(u64::from_le_bytes(*word));
                }
                // What is left, with as much of what precedes it as makes a word.
                add(u64::from_le_bytes(*last));
            }
            None => add(bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))),
        }
        // The uppermost bits, on which every byte has an effect.
        (hash >> (u64::BITS - self.table.len().ilog2())) as usize
    }
}

/// Keeps one copy of each name that a reader meets.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    names: BTreeSet<Arc<str>>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_as_they_come_however_many() {
        let mut names = Numbering::default();
        let name = |n: u32| format!("VM{n}\"");
        for n in 0..5_000 {
            assert_eq!(names.number(&name(n)), (n, true));
            assert_eq!(names.number(&name(n / 2)), (n / 2, false));
        }
        assert_eq!(names.json(4_321), b"\"VM4321\\\"\"");
        assert_eq!(names.key(4_321), b",\"VM4321\\\"\":");
        assert_eq!(names.number(""), (5_000, true));
    }
}
