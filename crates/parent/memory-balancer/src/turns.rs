//! In which order VMs report: for hints that make it faster, and nothing else.

/// Every guest reports once a second, at a time of its own: so the reports come in the same turn as a second ago.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Whose report came last.
    last: Option<usize>,
    /// For each VM, whose report came after its last one. Where VMs have started or stopped since, it may be another's or
    /// nobody's.
    after: Vec<Option<u32>>,
}

impl Turns {
    /// The report of the VM at this index has come. Whose are likely to be the next two.
    pub(crate) fn reported(&mut self, index: usize) -> [Option<usize>; 2] {
        if index >= self.after.len() {
            self.after.resize(index + 1, None);
        }
        if let Some(last) = self.last.replace(index) {
            self.after[last] = u32::try_from(index).ok();
        }
        let next = self.after(index);
        [next, next.and_then(|next| self.after(next))]
    }

    fn after(&self, index: usize) -> Option<usize> {
        self.after.get(index).copied().flatten().map(|next| next as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turn_is_expected_to_be_the_same() {
        let mut turns = Turns::default();
        assert_eq!([2, 0, 1].map(|index| turns.reported(index)), [[None; 2]; 3]);
        assert_eq!(turns.reported(2), [Some(0), Some(1)]);
        assert_eq!(turns.reported(0), [Some(1), Some(2)]);
        // One falls out of turn; what is expected after it was true when it was last heard.
        assert_eq!(turns.reported(2), [Some(0), Some(2)]);
        assert_eq!(turns.reported(0), [Some(2), Some(0)]);
    }
}
