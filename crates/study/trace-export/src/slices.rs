//! What takes time: lives of VMs, open channels, operations and their stages, found in the events.

use std::collections::BTreeMap;
use std::sync::Arc;

use run_journal::{FieldValue, Record};

/// A row of slices of one VM. Slices of a row lie in each other, or apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    /// Waiting for memory, booting, running.
    Life,
    /// The channel of a number is open.
    Channel(u64),
    /// Operations of the balancer, and in them who works: host or guest.
    Operations,
}

impl Row {
    /// Its name.
    pub fn name(self) -> String {
        match self {
            Self::Life => "life".to_owned(),
            Self::Channel(relid) => format!("channel {relid}"),
            Self::Operations => "operations".to_owned(),
        }
    }
}

/// A slice begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// When, in nanoseconds of virtual time.
    pub t_ns: u64,
    /// Of which VM.
    pub vm: Arc<str>,
    /// In which row.
    pub row: Row,
    /// The name of the slice that begins; `None`: the innermost open slice of the row ends.
    pub begins: Option<String>,
    /// Number of the operation, for operations that begin.
    pub operation: Option<u64>,
    /// The event at which it is so.
    pub seq: u64,
}

/// Finds them; in the order of the events. Every slice that begins ends, at the last event at the latest.
pub fn edges(records: &[Record]) -> Vec<Edge> {
    let mut finder = Finder::default();
    for record in records {
        finder.event(record);
    }
    if let Some(last) = records.last() {
        finder.end(last);
    }
    finder.edges
}

#[derive(Default)]
struct Finder {
    edges: Vec<Edge>,
    /// How many slices are open.
    open: BTreeMap<(Arc<str>, Row), usize>,
}

/// Memory in the unit in which people think of it.
fn mb(pages: u64) -> String {
    let hundredths = pages * 100 / 256;
    match (hundredths / 100, hundredths % 100) {
        (whole, 0) => format!("{whole} MB"),
        (whole, rest) => format!("{whole}.{rest:02} MB"),
    }
}

impl Finder {
    fn depth(&self, vm: &Arc<str>, row: Row) -> usize {
        self.open.get(&(Arc::clone(vm), row)).copied().unwrap_or(0)
    }

    fn begin(&mut self, record: &Record, vm: &Arc<str>, row: Row, name: String, operation: Option<u64>) {
        *self.open.entry((Arc::clone(vm), row)).or_default() += 1;
        self.edges.push(Edge {
            t_ns: record.t.as_nanos(),
            vm: Arc::clone(vm),
            row,
            begins: Some(name),
            operation,
            seq: record.seq,
        });
    }

    /// Ends slices of the row until `depth` are open.
    fn end_to(&mut self, record: &Record, vm: &Arc<str>, row: Row, depth: usize) {
        let mut open = self.depth(vm, row);
        while open > depth {
            open -= 1;
            self.edges.push(Edge {
                t_ns: record.t.as_nanos(),
                vm: Arc::clone(vm),
                row,
                begins: None,
                operation: None,
                seq: record.seq,
            });
        }
        self.open.insert((Arc::clone(vm), row), open);
    }

    /// The VM's life goes on with this.
    fn life(&mut self, record: &Record, vm: &Arc<str>, stage: Option<&str>) {
        self.end_to(record, vm, Row::Life, 0);
        if let Some(stage) = stage {
            self.begin(record, vm, Row::Life, stage.to_owned(), None);
        }
    }

    /// Somebody else works on the operation under way.
    fn stage(&mut self, record: &Record, vm: &Arc<str>, who: &str) {
        if self.depth(vm, Row::Operations) > 0 {
            self.end_to(record, vm, Row::Operations, 1);
            self.begin(record, vm, Row::Operations, who.to_owned(), None);
        }
    }

    fn event(&mut self, record: &Record) {
        let Some(vm) = &record.vm else { return };
        let number = |name: &str| record.field(name).and_then(FieldValue::as_u64);
        match (&*record.event, &*record.component) {
            ("start_requested", _) => self.life(record, vm, Some("waits for memory")),
            ("vm_started" | "vm_reset", _) => self.life(record, vm, Some("boots")),
            ("login_screen", _) => self.life(record, vm, Some("runs")),
            ("vm_stopped" | "start_cancelled" | "vm_failed", _) => {
                self.life(record, vm, None);
                self.end_to(record, vm, Row::Operations, 0);
            }
            ("add_memory" | "remove_memory", _) => {
                self.end_to(record, vm, Row::Operations, 0);
                let what = if &*record.event == "add_memory" { "grow" } else { "shrink" };
                let name = format!("{what} {}", mb(number("pages").unwrap_or(0)));
                self.begin(record, vm, Row::Operations, name, number("operation"));
            }
            ("grant" | "shrink", _) => self.stage(record, vm, "host"),
            ("dm_send", "dm-vsp") => self.stage(record, vm, "guest"),
            ("dm_send", "dm-vsc") => self.stage(record, vm, "host"),
            ("operation_finished" | "operation_rejected", _) => self.end_to(record, vm, Row::Operations, 0),
            ("vmbus_open", "dm-vsp") => {
                let row = Row::Channel(number("child_relid").unwrap_or(0));
                self.end_to(record, vm, row, 0);
                self.begin(record, vm, row, "open".to_owned(), None);
            }
            ("vmbus_close", "dm-vsp") => {
                self.end_to(record, vm, Row::Channel(number("child_relid").unwrap_or(0)), 0);
            }
            _ => {}
        }
    }

    fn end(&mut self, last: &Record) {
        for (vm, row) in self.open.keys().cloned().collect::<Vec<_>>() {
            self.end_to(last, &vm, row, 0);
        }
    }
}
