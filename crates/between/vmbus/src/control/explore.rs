//! All orders of messages, to a depth or until nothing new is found.
//!
//! States are told apart by 128 bits of hash. Names of questions are made canonical first, so that a state is the same
//! however often something was asked on the way to it.

mod any_guest;
mod both_ends;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::hash::{Hash, Hasher};
use std::eprintln;

use super::server::{RequestId, Server};
use super::test_support::{Monitor, Question};

/// A system that can be taken one step further, in several ways.
trait World: Clone + Hash {
    type Act: Copy + Debug;

    /// What can happen.
    fn acts(&self) -> Vec<Self::Act>;

    /// Lets it happen; panics when a rule is broken. False if it cannot happen after all.
    fn act(&mut self, act: Self::Act) -> bool;

    /// What holds in every state; called once for each.
    fn check(&self);
}

/// What an exploration saw.
#[derive(Debug)]
struct Explored {
    states: usize,
    /// Whether nothing new was left when it ended.
    complete: bool,
}

/// Prints the way to a broken rule.
struct Trail<'a, A: Debug>(&'a [A], A);

impl<A: Debug> Drop for Trail<'_, A> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("after {:?}, then {:?}", self.0, self.1);
        }
    }
}

/// Every order of acts, from `start`, at most `depth` of them.
fn explore<W: World>(start: W, depth: usize) -> Explored {
    let mut seen = BTreeSet::from([fingerprint(&start)]);
    let mut frontier = alloc::vec![(start, Vec::new())];
    for _ in 0..depth {
        let mut next = Vec::new();
        for (world, trail) in &frontier {
            for act in world.acts() {
                let mut after = world.clone();
                let on_panic = Trail(trail, act);
                let new = after.act(act) && seen.insert(fingerprint(&after));
                if new {
                    after.check();
                }
                drop(on_panic);
                if new {
                    let mut trail = trail.clone();
                    trail.push(act);
                    next.push((after, trail));
                }
            }
        }
        frontier = next;
        if frontier.is_empty() {
            return Explored { states: seen.len(), complete: true };
        }
    }
    Explored { states: seen.len(), complete: false }
}

/// Questions numbered in the order in which they are open.
fn make_canonical(server: &mut Server, monitor: &mut Monitor) {
    let mut open: Vec<RequestId> = monitor.questions().map(Question::request).collect();
    open.sort_unstable();
    let rename = |request: RequestId| {
        let place = open.iter().position(|&other| other == request);
        RequestId(place.and_then(|place| u64::try_from(place).ok()).unwrap_or(u64::MAX))
    };
    server.make_canonical(u64::try_from(open.len()).unwrap_or(u64::MAX), rename);
    monitor.rename_requests(rename);
}

/// Two lanes of a multiply-and-fold hash.
struct Lanes(u64, u64);

impl Hasher for Lanes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for &word in words {
            self.write_u64(u64::from_le_bytes(word));
        }
        let last = rest.iter().fold(bytes.len() as u64, |word, &byte| word << 8 | u64::from(byte));
        self.write_u64(last);
    }

    // Most of what is hashed are small numbers: as words, not as slices of bytes.
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        let fold = |lane: u64, by: u64| {
            let wide = u128::from(lane ^ word) * u128::from(by);
            (wide as u64) ^ ((wide >> 64) as u64)
        };
        self.0 = fold(self.0.wrapping_add(0x9e37_79b9_7f4a_7c15), 0xbf58_476d_1ce4_e5b9);
        self.1 = fold(self.1.rotate_left(29) ^ 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93);
    }
}

fn fingerprint(value: &impl Hash) -> u128 {
    let mut lanes = Lanes(1, 2);
    value.hash(&mut lanes);
    u128::from(lanes.0) << 64 | u128::from(lanes.1)
}
