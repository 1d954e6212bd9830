//! Stills of a run: what the report shows moving, as pictures that stand alone.
//!
//! [`components`] is Figure 2-3 of \[A\] at one moment: memory as areas of one scale, messages in the rings, memory on its way.
//! [`lanes`] is one growth of a VM over time, component by component, with the VM that gave memory for it. [`Growth::telling`] finds
//! the growth of a run that tells most.

mod components;
mod lanes;

use std::time::Duration;

use page_range::PageCount;
use run_journal::query::Causality;
use run_journal::{FieldValue, Record};

pub use components::components;
pub use lanes::lanes;

/// A VM's memory grows, and who gives memory for that.
#[derive(Clone, Debug, PartialEq)]
pub struct Growth<'a> {
    /// The VM.
    pub vm: &'a str,
    /// The balancer's decision to add memory (`add_memory`).
    pub added: &'a Record,
    /// The worker's order (`grant`).
    pub granted: &'a Record,
    /// The pages are in the VM's map.
    pub mapped: &'a Record,
    /// The operation is over (`operation_finished`).
    pub finished: &'a Record,
    /// Where the memory came from: a VM or `None` for memory that was free, and how much.
    pub sources: Vec<(Option<&'a str>, PageCount)>,
    /// Of the VM that gave most, the last `remove_memory` whose memory had come home before.
    pub removed: Option<&'a Record>,
}

impl<'a> Growth<'a> {
    /// The growth that tells most: the first that another VM gave memory for, else the largest; of one VM, or of any. `None` if no VM has
    /// grown, or the events do not say so.
    #[must_use]
    pub fn telling(causality: &Causality<'a>, records: &'a [Record], vm: Option<&str>) -> Option<Self> {
        let wanted = |record: &&Record| {
            &*record.event == "add_memory"
                && vm.is_none_or(|vm| record.vm.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(vm)))
        };
        let growths =
            || records.iter().filter(wanted).filter_map(|added| Self::of(causality, records, added));
        let paid = growths().find(|growth| growth.removed.is_some());
        paid.or_else(|| {
            growths().max_by_key(|growth| (pages(growth.added), std::cmp::Reverse(growth.added.seq)))
        })
    }

    fn of(causality: &Causality<'a>, records: &'a [Record], added: &'a Record) -> Option<Self> {
        let effects = causality.chain(added.seq).ok()?.effects;
        let first =
            |name: &str| effects.iter().map(|(_, record)| *record).find(|record| &*record.event == name);
        let moved =
            effects.iter().map(|(_, record)| *record).filter(|record| &*record.event == "memory_moved");
        let sources: Vec<(Option<&str>, PageCount)> =
            moved.map(|record| (record.field("donor").and_then(FieldValue::as_str), pages(record))).collect();
        let most = sources.iter().filter_map(|(donor, given)| donor.map(|donor| (*given, donor))).max();
        let removed = most.and_then(|(_, donor)| {
            // What was granted had come home before.
            let before = records.partition_point(|record| record.t <= added.t);
            let over = |record: &&Record| {
                &*record.event == "operation_finished" && record.vm.as_deref() == Some(donor)
            };
            records[..before]
                .iter()
                .rev()
                .filter(over)
                .find_map(|record| ancestor(causality, record, &["remove_memory"]))
        });
        Some(Self {
            vm: added.vm.as_deref()?,
            added,
            granted: first("grant")?,
            mapped: first("pages_mapped")?,
            finished: first("operation_finished")?,
            sources,
            removed,
        })
    }

    /// A moment at which the memory is on its way: halfway through being mapped.
    #[must_use]
    pub fn moment(&self) -> Duration {
        let (from, to) = (Duration::from(self.granted.t), Duration::from(self.mapped.t));
        from + to.saturating_sub(from) / 2
    }
}

/// The nearest event of these names on the way back from an event to its first cause.
fn ancestor<'a>(causality: &Causality<'a>, record: &Record, names: &[&str]) -> Option<&'a Record> {
    let mut at = causality.get(record.cause)?;
    while !names.contains(&&*at.event) {
        at = causality.get(at.cause)?;
    }
    Some(at)
}

/// How much memory an event tells of.
fn pages(record: &Record) -> PageCount {
    PageCount(record.field("pages").and_then(FieldValue::as_u64).unwrap_or(0))
}

fn mb(pages: PageCount) -> String {
    let mib = pages.mib();
    if mib >= 100.0 { format!("{mib:.0} MB") } else { format!("{mib:.1} MB").replace(".0 MB", " MB") }
}

/// A time of a run as people write it, to tenths of a second.
fn tenths(time: Duration) -> String {
    let tenth = Duration::from_millis(100);
    let rounded = tenth * u32::try_from((time + tenth / 2).as_nanos() / tenth.as_nanos()).unwrap_or(u32::MAX);
    let text = quantities::format_duration(rounded);
    text.strip_suffix("00s").filter(|text| text.contains('.')).map_or(text.clone(), |text| format!("{text}s"))
}
