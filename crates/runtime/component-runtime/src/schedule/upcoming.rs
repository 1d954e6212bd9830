//! Who is likely to be woken soon: for hints that make a run faster, and nothing else.

use super::calendar::Calendar;

/// Who is likely to be woken after a component, by slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Upcoming {
    /// Whom it has rung for before: it is likely to do so again.
    pub(crate) rung: Option<u32>,
    /// Whose timers come next. Known only when a timer has woken the component.
    pub(crate) timers: [Option<u32>; 2],
}

/// Who rings for whom.
#[derive(Debug, Default)]
pub(super) struct Followers {
    awake: Option<u32>,
    /// For each slot, for whom it rang last.
    rung: Vec<Option<u32>>,
}

impl Followers {
    /// This one is woken; by its timer, the earliest, or by something else.
    pub(super) fn wakes(&mut self, slot: u32, by_timer: bool, timers: &Calendar) -> Upcoming {
        self.awake = Some(slot);
        Upcoming {
            rung: self.rung.get(slot as usize).copied().flatten(),
            timers: if by_timer { timers.after_earliest() } else { [None; 2] },
        }
    }

    /// Whoever is awake rings for this one.
    pub(super) fn rings(&mut self, slot: u32) {
        // Only asked for by a driver that wakes one at a time and says who it is.
        let Some(ringer) = self.awake.map(|ringer| ringer as usize) else { return };
        if ringer >= self.rung.len() {
            self.rung.resize(ringer + 1, None);
        }
        self.rung[ringer] = Some(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::super::heap::Key;
    use super::*;

    #[test]
    fn who_has_rung_is_expected_to_ring_again() {
        let mut timers = Calendar::default();
        for (slot, time) in [(0, 10), (1, 20), (2, 30)] {
            timers.set(slot, Key { time, rank: u64::from(slot) }, 0);
        }
        let mut followers = Followers::default();
        followers.rings(9);
        assert_eq!(followers.wakes(0, true, &timers), Upcoming { rung: None, timers: [Some(1), Some(2)] });
        followers.rings(7);
        assert_eq!(followers.wakes(7, false, &timers), Upcoming::default());
        assert_eq!(followers.wakes(0, false, &timers).rung, Some(7));
        followers.rings(8);
        assert_eq!(followers.wakes(0, true, &timers).rung, Some(8));
    }
}
