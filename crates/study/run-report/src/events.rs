//! The events of a run, packed: those that have the same place, name and fields together, field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use run_journal::{FieldValue, Record, Severity};

use crate::columns::{Cell, Column, Texts, integer, pack_whole};

/// What the events of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    severity: Severity,
    component: Arc<str>,
    vm: Option<Arc<str>>,
    event: Arc<str>,
    fields: Vec<Arc<str>>,
}

impl Kind {
    fn of(record: &Record) -> Self {
        Self {
            severity: record.severity,
            component: record.component.clone(),
            vm: record.vm.clone(),
            event: record.event.clone(),
            fields: record.fields.iter().map(|(name, _)| name.clone()).collect(),
        }
    }

    /// Whether a record is of this kind. Names that a reader met before are the same memory, which is quickly seen.
    fn is(&self, record: &Record) -> bool {
        let same = |a: &Arc<str>, b: &Arc<str>| Arc::ptr_eq(a, b) || a == b;
        same(&self.event, &record.event)
            && same(&self.component, &record.component)
            && match (&self.vm, &record.vm) {
                (Some(a), Some(b)) => same(a, b),
                (None, None) => true,
                _ => false,
            }
            && self.severity == record.severity
            && self.fields.len() == record.fields.len()
            && self.fields.iter().zip(&record.fields).all(|(a, (b, _))| same(a, b))
    }
}

/// Where a name is in memory: quick to compare, only looked up.
fn address(name: &Arc<str>) -> usize {
    Arc::as_ptr(name).addr()
}

/// The events of one kind, in order.
#[derive(Debug)]
struct Group {
    kind: Kind,
    seq: Vec<i64>,
    time: Vec<i64>,
    /// How many numbers before its event the cause is; 0 for none.
    cause: Vec<i64>,
    fields: Vec<Column>,
}

/// Events that are collected for a page.
#[derive(Debug)]
pub struct Events {
    most: usize,
    count: usize,
    groups: Vec<Group>,
    /// Places in `groups` of what may have this name of an event and of a VM, by where the names are in memory: a hint, each is compared.
    places: BTreeMap<(usize, usize), Vec<usize>>,
    texts: Texts,
    /// Names of events that are left out, and how many of each.
    left_out: BTreeMap<Arc<str>, u64>,
    /// The same, of those that came when nothing else could be left out.
    left_out_later: BTreeMap<Arc<str>, u64>,
    /// Nothing that matters less is there any more.
    nothing_less: bool,
    /// The VMs, those first whose operations are kept longest.
    order: Vec<String>,
    /// VMs whose operations are left out, and how many of their events.
    vms_left_out: BTreeMap<Arc<str>, u64>,
}

/// What every second brings: it matters less than all else, the first list least.
const TRAFFIC: [&[&str]; 2] = [&["balloon_status", "status_report"], &["dm_send", "dm_message_ignored"]];

/// What operations consist of, in the order in which it is left out where not even one VM's operations have room.
const OPERATIONS: [&[&str]; 5] = [
    &["grant", "shrink", "pages_mapped", "hot_added", "ballooned", "unballooned", "pages_unmapped"],
    &["decision", "memory_moved"],
    &["add_memory", "remove_memory"],
    &["operation_finished"],
    &["round"],
];

/// Whether an event is of a VM's operation, and tells of nothing bad.
fn is_operation(severity: Severity, event: &str) -> bool {
    severity == Severity::Normal && OPERATIONS.iter().any(|names| names.contains(&event))
}

impl Events {
    /// None yet; at most `most` are kept.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            count: 0,
            groups: Vec::new(),
            places: BTreeMap::new(),
            texts: Texts::default(),
            left_out: BTreeMap::new(),
            left_out_later: BTreeMap::new(),
            nothing_less: false,
            order: Vec::new(),
            vms_left_out: BTreeMap::new(),
        }
    }

    /// The VMs, those first whose operations matter most: where there are too many events, the operations of the last are left out first,
    /// and those of the others stay whole.
    #[must_use]
    pub fn in_order(self, order: Vec<String>) -> Self {
        Self { order, ..self }
    }

    /// The VMs whose operations were left out because there would be too many events, and how many events of each.
    #[must_use]
    pub fn vms_left_out(&self) -> &BTreeMap<Arc<str>, u64> {
        &self.vms_left_out
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names of the events that were left out because there would be too many, and how many of each.
    #[must_use]
    pub fn left_out(&self) -> BTreeMap<Arc<str>, u64> {
        let mut all = self.left_out.clone();
        for (name, count) in &self.left_out_later {
            *all.entry(name.clone()).or_default() += count;
        }
        all
    }

    /// Names of the VMs that events are of.
    #[must_use]
    pub fn vms(&self) -> BTreeSet<&str> {
        self.groups.iter().filter_map(|group| group.kind.vm.as_deref()).collect()
    }

    /// Adds an event, with a number above those before.
    pub fn add(&mut self, record: &Record) {
        if self.is_left_out(record) {
            return;
        }
        if self.count >= self.most && !self.leave_out() {
            // Nothing matters less: what comes later is left out, whatever it is.
            *self.left_out_later.entry(record.event.clone()).or_default() += 1;
            return;
        }
        // The event may just have become one of those that are left out.
        if self.is_left_out(record) {
            return;
        }
        let Ok(seq) = i64::try_from(record.seq) else { return };
        let place = self.place(record);
        let group = &mut self.groups[place];
        group.seq.push(seq);
        group.time.push(i64::try_from(record.t.0).unwrap_or(i64::MAX).min((1 << 53) - 1));
        let cause = i64::try_from(record.cause).unwrap_or(0);
        group.cause.push(if cause == 0 { 0 } else { seq - cause });
        for (column, (_, value)) in group.fields.iter_mut().zip(&record.fields) {
            let cell = match value {
                FieldValue::Unsigned(number) => Cell::unsigned(*number),
                FieldValue::Negative(number) => Cell::Whole(*number),
                FieldValue::Float(number) => Cell::Other((*number).into()),
                FieldValue::Bool(value) => Cell::Other((*value).into()),
                FieldValue::Text(text) => Cell::Text(self.texts.index(text)),
            };
            column.push(cell, &self.texts);
        }
        self.count += 1;
    }

    /// Whether an event is of those that are left out; such an event is counted.
    fn is_left_out(&mut self, record: &Record) -> bool {
        if record.severity != Severity::Normal {
            return false;
        }
        if let Some(count) = self.left_out.get_mut(&record.event) {
            *count += 1;
            return true;
        }
        if self.vms_left_out.is_empty() || !is_operation(record.severity, &record.event) {
            return false;
        }
        let count = record.vm.as_ref().and_then(|vm| self.vms_left_out.get_mut(vm));
        count.is_some_and(|count| {
            *count += 1;
            true
        })
    }

    /// The place of the group that an event belongs to, a new one if need be.
    fn place(&mut self, record: &Record) -> usize {
        let places =
            self.places.entry((address(&record.event), record.vm.as_ref().map_or(0, address))).or_default();
        if let Some(&place) = places.iter().find(|&&place| self.groups[place].kind.is(record)) {
            return place;
        }
        // A name that came from elsewhere, in other memory, may be of a group that is there.
        let known = self.groups.iter().position(|group| group.kind.is(record));
        let place = known.unwrap_or_else(|| {
            self.groups.push(Group {
                kind: Kind::of(record),
                seq: Vec::new(),
                time: Vec::new(),
                cause: Vec::new(),
                fields: vec![Column::default(); record.fields.len()],
            });
            self.groups.len() - 1
        });
        // Only memory that a group keeps is looked up again.
        if Arc::ptr_eq(&self.groups[place].kind.event, &record.event) {
            places.push(place);
        }
        place
    }

    /// Leaves out what matters least of what is there, now and from now on. Warnings and errors stay. `false`: nothing can be left out.
    fn leave_out(&mut self) -> bool {
        let present =
            |kind: &Kind, names: &[&str]| kind.severity == Severity::Normal && names.contains(&&*kind.event);
        if self.nothing_less {
            return false;
        }
        let here = |names: &&&[&str]| self.groups.iter().any(|group| present(&group.kind, names));
        let traffic = TRAFFIC.iter().find(here);
        if traffic.is_none() && self.leave_out_a_vm() {
            return true;
        }
        let here = |names: &&&[&str]| self.groups.iter().any(|group| present(&group.kind, names));
        let Some(names) = traffic.or_else(|| OPERATIONS.iter().find(here)) else {
            self.nothing_less = true;
            return false;
        };
        self.groups.retain(|group| {
            let goes = present(&group.kind, names);
            if goes {
                *self.left_out.entry(group.kind.event.clone()).or_default() += group.seq.len() as u64;
                self.count -= group.seq.len();
            }
            !goes
        });
        self.places.clear();
        true
    }

    /// Leaves out the operations of the VM that matters least, now and from now on, unless there is only one. `false`: there is.
    fn leave_out_a_vm(&mut self) -> bool {
        let of_operation = |group: &Group| is_operation(group.kind.severity, &group.kind.event);
        let vms: BTreeSet<Arc<str>> = self
            .groups
            .iter()
            .filter(|group| of_operation(group))
            .filter_map(|group| group.kind.vm.clone())
            .collect();
        let place = |vm: &Arc<str>| self.order.iter().position(|name| **name == **vm).unwrap_or(usize::MAX);
        let Some(least) = vms.iter().max_by_key(|vm| place(vm)).filter(|_| vms.len() > 1).cloned() else {
            return false;
        };
        let mut gone = 0;
        self.groups.retain(|group| {
            let goes = group.kind.vm.as_ref() == Some(&least) && of_operation(group);
            if goes {
                gone += group.seq.len();
            }
            !goes
        });
        self.count -= gone;
        self.places.clear();
        self.vms_left_out.insert(least, gone as u64);
        true
    }

    /// Appends the groups as JSON: `[{"component":…,"vm":…,"event":…,"severity":…,"n":…,"seq":…,"t":…,"cause":…,"fields":[[name, column]…]}…]`.
    /// Names are indices of texts.
    /// Returned are the texts that are referred to.
    pub fn pack(&mut self, out: &mut Vec<u8>) -> Vec<String> {
        let numbers = vec![None; self.texts.all().len()];
        let mut used = Used { all: &self.texts, numbers, texts: Texts::default() };
        self.groups.sort_by(|a, b| a.kind.cmp(&b.kind));
        self.places.clear();
        out.push(b'[');
        for (index, group) in self.groups.iter().enumerate() {
            let kind = &group.kind;
            if index > 0 {
                out.extend_from_slice(b",\n");
            }
            out.extend_from_slice(b"{\"component\":");
            integer(used.texts.index(&kind.component), out);
            if let Some(vm) = &kind.vm {
                out.extend_from_slice(b",\"vm\":");
                integer(used.texts.index(vm), out);
            }
            out.extend_from_slice(b",\"event\":");
            integer(used.texts.index(&kind.event), out);
            if kind.severity != Severity::Normal {
                out.extend_from_slice(b",\"severity\":");
                integer(used.texts.index(kind.severity.name()), out);
            }
            out.extend_from_slice(b",\"n\":");
            integer(group.seq.len(), out);
            for (name, numbers) in [("seq", &group.seq), ("t", &group.time), ("cause", &group.cause)] {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                pack_whole(numbers, out);
            }
            out.extend_from_slice(b",\"fields\":[");
            for (place, (name, column)) in kind.fields.iter().zip(&group.fields).enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                out.push(b'[');
                integer(used.texts.index(name), out);
                out.push(b',');
                column.pack(&mut |index| used.number(index), out);
                out.push(b']');
            }
            out.extend_from_slice(b"]}");
        }
        out.push(b']');
        used.texts.into_all()
    }
}

/// The texts that a page refers to, numbered as they are met: those of events that were left out are not among them.
struct Used<'a> {
    all: &'a Texts,
    numbers: Vec<Option<usize>>,
    texts: Texts,
}

impl Used<'_> {
    /// The number that the page has for one of all texts.
    fn number(&mut self, index: usize) -> usize {
        if let Some(number) = self.numbers[index] {
            return number;
        }
        let number = self.texts.index(&self.all.all()[index]);
        self.numbers[index] = Some(number);
        number
    }
}

#[cfg(test)]
mod tests {
    use component_runtime::SimTime;

    use super::*;

    fn record(seq: u64, event: &str, severity: Severity) -> Record {
        Record {
            t: SimTime(seq * 10),
            seq,
            component: "dm-vsp".into(),
            vm: Some("VM1".into()),
            event: event.into(),
            cause: seq.saturating_sub(1),
            severity,
            fields: vec![("pages".into(), FieldValue::Unsigned(512))],
        }
    }

    #[test]
    fn what_is_alike_is_together() {
        let mut events = Events::new(100);
        for seq in 1..=3 {
            events.add(&record(seq, "grant", Severity::Normal));
        }
        events.add(&record(4, "shrink", Severity::Warning));
        let mut out = Vec::new();
        let texts = events.pack(&mut out);
        let packed = String::from_utf8(out).unwrap();
        assert_eq!(
            packed,
            concat!(
                r#"[{"component":0,"vm":1,"event":2,"n":3,"seq":{"v":[1,2,3]},"t":{"e":[10,0,0]},"cause":{"v":[0,1,1]},"fields":[[3,{"c":512}]]},"#,
                "\n",
                r#"{"component":0,"vm":1,"event":4,"severity":5,"n":1,"seq":{"c":4},"t":{"c":40},"cause":{"c":1},"fields":[[3,{"c":512}]]}]"#
            )
        );
        assert_eq!(texts, ["dm-vsp", "VM1", "grant", "pages", "shrink", "warning"]);
    }

    #[test]
    fn of_too_many_those_that_matter_least_go_and_warnings_stay() {
        let mut events = Events::new(4);
        events.add(&record(1, "vm_started", Severity::Normal));
        events.add(&record(2, "status_report", Severity::Warning));
        for seq in 3..=6 {
            events.add(&record(seq, "status_report", Severity::Normal));
        }
        events.add(&record(7, "decision", Severity::Normal));
        assert_eq!(events.len(), 3);
        assert_eq!(
            events.left_out().iter().map(|(name, count)| (&**name, *count)).collect::<Vec<_>>(),
            [("status_report", 4)]
        );
        for seq in 8..=20 {
            events.add(&record(seq, "vm_failed", Severity::Error));
        }
        assert_eq!(events.len(), 4, "more than these are never there");
        let left_out = events.left_out();
        assert_eq!((left_out["decision"], left_out["vm_failed"]), (1, 11));
        let mut out = Vec::new();
        assert_eq!(events.pack(&mut out).len(), 8, "names only");
    }

    #[test]
    fn of_too_many_operations_those_of_the_vm_that_matters_most_stay_whole() {
        let of = |seq, vm: &str, event: &str| Record {
            vm: Some(vm.into()),
            ..record(seq, event, Severity::Normal)
        };
        let mut events = Events::new(12).in_order(vec!["B".to_owned(), "A".to_owned(), "C".to_owned()]);
        for round in 0..4 {
            for (place, vm) in ["A", "B", "C"].into_iter().enumerate() {
                let seq = 1 + round * 6 + 2 * place as u64;
                events.add(&of(seq, vm, "decision"));
                events.add(&of(seq + 1, vm, "add_memory"));
            }
        }
        events.add(&of(100, "A", "vm_failed"));
        let left_out: Vec<(&str, u64)> =
            events.vms_left_out().iter().map(|(vm, count)| (&**vm, *count)).collect();
        assert_eq!(left_out, [("A", 8), ("C", 8)]);
        assert!(events.left_out().is_empty());
        // All of B's, and what is no operation.
        assert_eq!(events.len(), 9);
        assert_eq!(events.vms().into_iter().collect::<Vec<_>>(), ["A", "B"]);
    }
}
