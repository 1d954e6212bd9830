//! How memory came to a VM: which VM paid for it ([`who_paid`]), and where the time went from the guest's need to memory that the guest can use
//! ([`spans`]).

use std::collections::BTreeMap;
use std::time::Duration;

use page_range::PageCount;
use run_journal::query::Causality;
use run_journal::{FieldValue, Record};
use serde::Serialize;

/// Memory that a VM was given, and where it came from. Events `memory_moved` say so.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paid {
    /// When, seconds.
    pub at_s: f64,
    /// Number of the event.
    pub seq: u64,
    /// The VM that gave; `None` for memory that was free, or that VMs which have ended left.
    pub donor: Option<String>,
    /// `vm`, `free` or `ended`.
    pub source: String,
    /// How much, MB.
    pub mb: f64,
}

/// The VMs that paid for what a VM was given, in order.
#[must_use]
pub fn who_paid(records: &[Record], vm: &str) -> Vec<Paid> {
    let ours = |record: &&Record| {
        &*record.event == "memory_moved"
            && record.vm.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(vm))
    };
    let text =
        |record: &Record, name: &str| record.field(name).and_then(FieldValue::as_str).map(str::to_owned);
    records
        .iter()
        .filter(ours)
        .map(|record| Paid {
            at_s: seconds(record),
            seq: record.seq,
            donor: text(record, "donor"),
            source: text(record, "source").unwrap_or_default(),
            mb: pages(record, "pages").mib(),
        })
        .collect()
}

/// Sums by who gave, largest first: VMs by their names, else `free` or `ended`.
#[must_use]
pub fn sums(paid: &[Paid]) -> Vec<(String, f64)> {
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for paid in paid {
        *sums.entry(paid.donor.as_deref().unwrap_or(&paid.source)).or_default() += paid.mb;
    }
    let mut sums: Vec<(String, f64)> = sums.into_iter().map(|(name, mb)| (name.to_owned(), mb)).collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sums
}

/// Stages between a guest's need and memory that the guest can use, in order.
pub const STAGES: [&str; 6] = ["report", "bus", "decide", "wait", "map", "guest"];

/// What the stages are.
pub const MEANINGS: [&str; 6] = [
    "the load grew, and the guest has not reported it: up to this long, since the report before",
    "the report crosses the bus to the VSP",
    "until the balancer decides",
    "until the balancer grants memory: others give first where there is none",
    "until the pages are in the VM's map",
    "until the guest's driver has them in use",
];

/// One growth of a VM. Times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// When the guest can use the memory.
    pub usable_s: f64,
    /// Number of the event that says so.
    pub seq: u64,
    /// The VM.
    pub vm: String,
    /// How much, MB.
    pub mb: f64,
    /// How long each of the [`STAGES`] took; `None` where its events are not recorded.
    pub stages_s: [Option<f64>; 6],
}

impl Span {
    /// All stages together, those that are known.
    #[must_use]
    pub fn total_s(&self) -> f64 {
        self.stages_s.iter().flatten().sum()
    }
}

/// Every growth of a VM, or of all VMs, in the order in which the memory could be used.
#[must_use]
pub fn spans(records: &[Record], vm: Option<&str>) -> Vec<Span> {
    let causality = Causality::new(records);
    // When each VM reported before a report of its own.
    let mut reported: BTreeMap<&str, f64> = BTreeMap::new();
    let mut before: BTreeMap<u64, f64> = BTreeMap::new();
    for record in records.iter().filter(|record| &*record.event == "balloon_status") {
        if let Some(earlier) = reported.insert(record.vm.as_deref().unwrap_or(""), seconds(record)) {
            before.insert(record.seq, earlier);
        }
    }
    let grown = |record: &&Record| {
        matches!(&*record.event, "hot_added" | "unballooned")
            && vm.is_none_or(|vm| record.vm.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(vm)))
    };
    records.iter().filter(grown).filter_map(|usable| span(&causality, &before, usable)).collect()
}

/// The way back from memory that can be used to the report that asked for it.
fn span(causality: &Causality<'_>, before: &BTreeMap<u64, f64>, usable: &Record) -> Option<Span> {
    let mut found: BTreeMap<&str, &Record> = BTreeMap::new();
    let mut at = usable;
    while let Some(cause) = causality.get(at.cause) {
        found.entry(&*cause.event).or_insert(cause);
        at = cause;
    }
    // Memory that no grant led to is a balloon that a guest gave back by itself.
    let granted = *found.get("add_memory")?;
    let time = |name: &str| found.get(name).map(|record| seconds(record));
    let decided = time("decision");
    let report = found.get("balloon_status").copied();
    let sent = report.map(seconds);
    let points = [
        report.and_then(|report| before.get(&report.seq).copied()),
        sent,
        time("status_report"),
        decided,
        Some(seconds(granted)),
        time("pages_mapped"),
        Some(seconds(usable)),
    ];
    let mut stages_s = [None; 6];
    for (stage, ends) in stages_s.iter_mut().zip(points.windows(2)) {
        *stage = ends[1].zip(ends[0]).map(|(end, begin)| (end - begin).max(0.0));
    }
    let name = if &*usable.event == "hot_added" { "accepted" } else { "pages" };
    Some(Span {
        usable_s: seconds(usable),
        seq: usable.seq,
        vm: usable.vm.as_deref().unwrap_or("").to_owned(),
        mb: pages(usable, name).mib(),
        stages_s,
    })
}

fn seconds(record: &Record) -> f64 {
    Duration::from(record.t).as_secs_f64()
}

fn pages(record: &Record, name: &str) -> PageCount {
    PageCount(record.field(name).and_then(FieldValue::as_u64).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use component_runtime::SimTime;
    use run_journal::Severity;

    use super::*;

    fn record(seq: u64, ms: u64, event: &str, cause: u64, fields: &[(&str, FieldValue)]) -> Record {
        Record {
            t: SimTime::from(Duration::from_millis(ms)),
            seq,
            component: "any".into(),
            vm: Some("VM8".into()),
            event: event.into(),
            cause,
            severity: Severity::Normal,
            fields: fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
        }
    }

    #[test]
    fn time_is_told_from_the_report_before_to_memory_in_use() {
        let records = [
            record(1, 1000, "balloon_status", 0, &[]),
            record(2, 2000, "balloon_status", 0, &[]),
            record(3, 2001, "status_report", 2, &[]),
            record(4, 2500, "decision", 3, &[]),
            record(5, 2500, "add_memory", 4, &[]),
            record(6, 2510, "grant", 5, &[]),
            record(7, 2600, "pages_mapped", 6, &[]),
            record(8, 2610, "dm_send", 7, &[]),
            record(9, 2700, "hot_added", 8, &[("accepted", FieldValue::Unsigned(512))]),
            // No VM was asked for this.
            record(10, 3000, "unballooned", 0, &[("pages", FieldValue::Unsigned(1))]),
        ];
        let spans = spans(&records, Some("vm8"));
        assert_eq!(spans.len(), 1);
        let ms = spans[0].stages_s.map(|stage| (stage.unwrap() * 1e3).round());
        assert_eq!(ms, [1000.0, 1.0, 499.0, 0.0, 100.0, 100.0]);
        assert_eq!((spans[0].mb, (spans[0].total_s() * 1e3).round()), (2.0, 1700.0));
        assert!(super::spans(&records, Some("VM1")).is_empty());
    }

    #[test]
    fn donors_are_summed() {
        let moved = |seq, source: &str, donor: Option<&str>, pages| {
            let mut fields =
                vec![("pages", FieldValue::Unsigned(pages)), ("source", FieldValue::Text(source.to_owned()))];
            fields.extend(donor.map(|donor| ("donor", FieldValue::Text(donor.to_owned()))));
            record(seq, seq, "memory_moved", 0, &fields)
        };
        let records = [
            moved(1, "free", None, 256),
            moved(2, "vm", Some("VM1"), 512),
            moved(3, "vm", Some("VM2"), 256),
            moved(4, "vm", Some("VM1"), 256),
        ];
        let paid = who_paid(&records, "VM8");
        assert_eq!(paid.len(), 4);
        let sums = sums(&paid);
        assert_eq!(sums, [("VM1".to_owned(), 3.0), ("VM2".to_owned(), 1.0), ("free".to_owned(), 1.0)]);
    }
}
