//! Questions about recorded events: which concern a VM or a component, and what led to what.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};

use component_runtime::SimTime;

use crate::record::Record;

/// Picks events. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events about this VM.
    pub vm: Option<String>,
    /// Only events of this component: `dm-vsp`, or `dm-vsp/VM8` for that of one VM.
    pub component: Option<String>,
    /// Only events of this name.
    pub event: Option<String>,
    /// Only events of this time or later.
    pub from: Option<SimTime>,
    /// Only events of this time or earlier.
    pub until: Option<SimTime>,
}

impl Filter {
    /// Whether `record` is picked. VM names are compared as Windows does, without regard to case.
    pub fn matches(&self, record: &Record) -> bool {
        let is_vm = |name: &str| record.vm.as_deref().is_some_and(|vm| vm.eq_ignore_ascii_case(name));
        let is_component = |wanted: &str| match wanted.split_once('/') {
            Some((component, vm)) => *record.component == *component && is_vm(vm),
            None => *record.component == *wanted,
        };
        self.vm.as_deref().is_none_or(is_vm)
            && self.component.as_deref().is_none_or(is_component)
            && self.event.as_deref().is_none_or(|event| *record.event == *event)
            && self.from.is_none_or(|from| from <= record.t)
            && self.until.is_none_or(|until| record.t <= until)
    }
}

/// Everything that one event is connected with.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain<'a> {
    /// What led to it, in order of time, each with its distance from the event (1: immediate).
    pub causes: Vec<(usize, &'a Record)>,
    /// The event.
    pub event: &'a Record,
    /// What came of it, each event once and after its cause, with its distance from the event (1: immediate).
    pub effects: Vec<(usize, &'a Record)>,
}

/// A number that no recorded event has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no event has the number {seq}; the recorded ones are {first} to {last}")]
pub struct UnknownSeq {
    seq: u64,
    first: u64,
    last: u64,
}

/// Numbers of the events that led to one immediately.
fn causes_of(record: &Record) -> impl Iterator<Item = u64> + use<> {
    let seq = record.seq;
    [Some(record.cause), record.also_because_of()]
        .into_iter()
        .flatten()
        .filter(move |&cause| cause != 0 && cause < seq)
}

/// Recorded events, connected by cause and effect.
#[derive(Clone, Debug)]
pub struct Causality<'a> {
    /// In the order of their numbers.
    records: Vec<&'a Record>,
    /// Cause and index of its effect, in order.
    effects: Vec<(u64, usize)>,
}

impl<'a> Causality<'a> {
    /// Connects `records`, by their causes and by [what they are also because of](Record::also_because_of). Causes that lie
    /// outside of them, or after their effect, count as none.
    pub fn new(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut records: Vec<_> = records.into_iter().filter(|record| record.seq != 0).collect();
        records.sort_by_key(|record| record.seq);
        let mut effects: Vec<_> = records
            .iter()
            .enumerate()
            .flat_map(|(index, record)| causes_of(record).map(move |cause| (cause, index)))
            .collect();
        effects.sort_unstable();
        effects.dedup();
        Self { records, effects }
    }

    /// The event with a number.
    pub fn get(&self, seq: u64) -> Option<&'a Record> {
        self.records.binary_search_by_key(&seq, |record| record.seq).ok().map(|index| self.records[index])
    }

    /// What an event led to immediately, in order.
    pub fn effects(&self, seq: u64) -> impl DoubleEndedIterator<Item = &'a Record> {
        let start = self.effects.partition_point(|&(cause, _)| cause < seq);
        let end = self.effects.partition_point(|&(cause, _)| cause <= seq);
        self.effects[start..end].iter().map(|&(_, index)| self.records[index])
    }

    /// All causes of an event up to the first, and all that came of it.
    ///
    /// # Errors
    /// If no event has the number.
    pub fn chain(&self, seq: u64) -> Result<Chain<'a>, UnknownSeq> {
        let event = self.get(seq).ok_or_else(|| UnknownSeq {
            seq,
            first: self.records.first().map_or(0, |record| record.seq),
            last: self.records.last().map_or(0, |record| record.seq),
        })?;
        // Both searches (for causes and for effects) end: each step goes to a smaller number, or to a larger one, and
        // no event is taken twice.
        let mut causes = BTreeMap::new();
        let mut open = VecDeque::from([(0, event)]);
        while let Some((distance, at)) = open.pop_front() {
            for cause in causes_of(at).filter_map(|cause| self.get(cause)) {
                if let Entry::Vacant(place) = causes.entry(cause.seq) {
                    place.insert((distance + 1, cause));
                    open.push_back((distance + 1, cause));
                }
            }
        }
        let mut effects = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open: Vec<_> = self.effects(seq).rev().map(|effect| (1, effect)).collect();
        while let Some((distance, effect)) = open.pop() {
            if seen.insert(effect.seq) {
                effects.push((distance, effect));
                open.extend(self.effects(effect.seq).rev().map(|next| (distance + 1, next)));
            }
        }
        Ok(Chain { causes: causes.into_values().collect(), event, effects })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{ALSO_BECAUSE_OF, FieldValue, Severity};

    fn record(seq: u64, cause: u64) -> Record {
        Record {
            t: SimTime(seq),
            seq,
            component: "dm-vsp".into(),
            vm: Some("VM8".into()),
            event: "status".into(),
            cause,
            severity: Severity::Normal,
            fields: Vec::new(),
        }
    }

    fn record_of_two(seq: u64, cause: u64, also: u64) -> Record {
        let fields = vec![(ALSO_BECAUSE_OF.into(), FieldValue::Unsigned(also))];
        Record { fields, ..record(seq, cause) }
    }

    #[test]
    fn filters_pick_by_what_they_name() {
        let record = record(1, 0);
        let filter = |vm: Option<&str>, component: Option<&str>, event: Option<&str>| Filter {
            vm: vm.map(Into::into),
            component: component.map(Into::into),
            event: event.map(Into::into),
            ..Filter::default()
        };
        assert!(filter(None, None, None).matches(&record));
        assert!(filter(Some("vm8"), Some("dm-vsp"), Some("status")).matches(&record));
        assert!(filter(None, Some("dm-vsp/VM8"), None).matches(&record));
        assert!(!filter(None, Some("dm-vsp/VM7"), None).matches(&record));
        assert!(!filter(Some("VM7"), None, None).matches(&record));
        assert!(!filter(None, Some("dm-vsc"), None).matches(&record));
        assert!(!filter(None, None, Some("grant")).matches(&record));
        let during = |from: u64, until: u64| Filter {
            from: Some(SimTime(from)),
            until: Some(SimTime(until)),
            ..Filter::default()
        };
        assert!(during(0, 1).matches(&record) && during(1, 9).matches(&record));
        assert!(!during(2, 9).matches(&record) && !during(0, 0).matches(&record));
    }

    #[test]
    fn a_chain_goes_up_to_the_root_and_down_to_all_leaves() {
        //  1 ─ 2 ─ 4 ─ 6
        //       └─ 5      3 (on its own) ─ 7
        let records: Vec<_> = [(1, 0), (2, 1), (3, 0), (4, 2), (5, 2), (6, 4), (7, 3)]
            .map(|(seq, cause)| record(seq, cause))
            .into();
        let causality = Causality::new(&records);
        let chain = causality.chain(2).unwrap();
        assert_eq!(chain.causes.iter().map(|(d, r)| (*d, r.seq)).collect::<Vec<_>>(), [(1, 1)]);
        assert_eq!(chain.event.seq, 2);
        assert_eq!(
            chain.effects.iter().map(|(d, r)| (*d, r.seq)).collect::<Vec<_>>(),
            [(1, 4), (2, 6), (1, 5)]
        );
        let leaf = causality.chain(6).unwrap();
        assert_eq!(
            leaf.causes.iter().map(|(d, r)| (*d, r.seq)).collect::<Vec<_>>(),
            [(3, 1), (2, 2), (1, 4)]
        );
        assert!(leaf.effects.is_empty());
    }

    /// A grant of memory that another VM gave back: because of the decision about the one, and of what the other gave.
    #[test]
    fn an_event_may_have_two_causes() {
        // 1 ─ 3 ─┐
        // 2 ─ 4 ─ 5 ─ 6, and 3 ─ 6
        let mut records: Vec<_> =
            [(1, 0), (2, 0), (3, 1), (4, 2), (5, 4), (6, 5)].map(|(seq, cause)| record(seq, cause)).into();
        let also = |cause| vec![(ALSO_BECAUSE_OF.into(), FieldValue::Unsigned(cause))];
        records[4].fields = also(3);
        records[5].fields = also(3);
        let causality = Causality::new(&records);
        let leaf = causality.chain(6).unwrap();
        let causes: Vec<_> = leaf.causes.iter().map(|(distance, record)| (*distance, record.seq)).collect();
        assert_eq!(causes, [(2, 1), (3, 2), (1, 3), (2, 4), (1, 5)]);
        let root = causality.chain(1).unwrap();
        let effects: Vec<_> = root.effects.iter().map(|(distance, record)| (*distance, record.seq)).collect();
        assert_eq!(effects, [(1, 3), (2, 5), (3, 6)]);
    }

    #[test]
    fn an_unknown_number_is_named_with_the_known_ones() {
        let records = [record(3, 0), record(9, 3)];
        let error = Causality::new(&records).chain(4).unwrap_err();
        assert_eq!(error.to_string(), "no event has the number 4; the recorded ones are 3 to 9");
    }

    proptest! {
        /// Also for files that no run could have written: causes in a circle, of unknown number, numbers twice.
        #[test]
        fn any_file_has_finite_chains(links in prop::collection::vec((0..30_u64, 0..30_u64, 0..30_u64), 1..60)) {
            let records: Vec<_> = links.iter().map(|&(seq, cause, also)| record_of_two(seq, cause, also)).collect();
            let causality = Causality::new(&records);
            for &(seq, ..) in &links {
                if let Ok(chain) = causality.chain(seq) {
                    prop_assert!(chain.causes.len() <= 30);
                    for (_, effect) in &chain.effects {
                        prop_assert!(effect.seq > seq);
                    }
                }
            }
        }

        /// In a file as runs write it, x is among the effects of y exactly if y is among the causes of x.
        #[test]
        fn causes_and_effects_agree(causes in prop::collection::vec(any::<[prop::sample::Index; 2]>(), 1..40)) {
            let records: Vec<_> = causes
                .iter()
                .enumerate()
                .map(|(i, causes)| {
                    let [cause, also] = causes.map(|cause| cause.index(i + 1) as u64);
                    record_of_two(i as u64 + 1, cause, also)
                })
                .collect();
            let causality = Causality::new(&records);
            for a in &records {
                let chain = causality.chain(a.seq).unwrap();
                for b in &records {
                    let effect = chain.effects.iter().any(|(_, r)| r.seq == b.seq);
                    let caused = causality.chain(b.seq).unwrap().causes.iter().any(|(_, r)| r.seq == a.seq);
                    prop_assert_eq!(effect, caused);
                }
            }
        }
    }
}
