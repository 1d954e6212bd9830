//! Tables for pandas, Polars and DuckDB: one row for each thing, one type for each column, units in the columns' names.
//!
//! * `events`: a row for each event; a column for each field that any event has, empty where an event does not have it.
//! * `host_counters`: a row for each sample of the host.
//! * `vm_counters`: a row for each sample of each VM that ran then.
//! * `frames`: a row for each message and packet that crossed between a guest and the host.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use perf_counters::{CounterDefinition, Unit};
use run_journal::{FieldValue, Record};
use vmms_host::bus::RecordedFrame;

use crate::{Counters, ExportError, Run, Scope, pcapng};

/// A value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// There is none.
    Empty,
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// A number with decimals.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Text.
    Text(String),
}

/// A table in memory.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Names of its columns.
    pub columns: Vec<String>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// Writes the tables of a run as CSV files into a folder, which is made if need be; returns their names. Tables of what was not
/// recorded are left out.
///
/// # Errors
/// Nothing was recorded, or a file cannot be written.
pub fn write_csv(run: &Run, folder: &Path) -> Result<Vec<String>, ExportError> {
    let counters = run.counters()?;
    let mut tables =
        vec![("host_counters", host_counters(&counters)), ("vm_counters", vm_counters(&counters))];
    if let Ok(records) = run.events() {
        tables.push(("events", events(&records)));
    }
    if let Ok(frames) = frames(run) {
        tables.push(("frames", frames));
    }
    std::fs::create_dir_all(folder)?;
    let mut names = Vec::new();
    for (name, table) in tables {
        let name = format!("{name}.csv");
        let file = std::fs::File::create(folder.join(&name))?;
        table.write_csv(std::io::BufWriter::new(file))?;
        names.push(name);
    }
    Ok(names)
}

/// Fields that are pages of 4 KiB and do not say so (the reference page of the events does).
const PAGES: [&str; 24] = [
    "accepted",
    "assigned",
    "available",
    "committed",
    "demand",
    "done",
    "given",
    "hot_added",
    "left_alone",
    "offered",
    "page_file_size",
    "proposed",
    "requested",
    "target",
    "unballooned",
    "unconfirmed",
    "vm_memory_committed",
    "zero_free",
    "commit",
    "page_file_writes",
    "io_diff",
    "boot",
    "maximum",
    "minimum",
];

/// Fields that are bytes and do not say so.
const BYTES: [&str; 6] =
    ["used", "size", "upstream_high_water", "downstream_high_water", "upstream_size", "downstream_size"];

/// A field's name with its unit.
fn with_unit(name: &str) -> String {
    if PAGES.contains(&name) {
        format!("{name}_pages")
    } else if BYTES.contains(&name) {
        format!("{name}_bytes")
    } else {
        name.to_owned()
    }
}

fn optional(number: Option<u64>) -> Cell {
    number.filter(|&number| number != 0).map_or(Cell::Empty, Cell::Unsigned)
}

/// A row for each event.
pub fn events(records: &[Record]) -> Table {
    let head = ["t_ns", "seq", "component", "vm", "event", "cause_seq", "severity"];
    let mut fields: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, _) in records.iter().flat_map(|record| &record.fields) {
        fields.insert(name, 0);
    }
    for (place, number) in fields.values_mut().zip(head.len()..) {
        *place = number;
    }
    let mut columns: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    columns.extend(fields.keys().map(|name| match *name {
        "also_because_of" => "also_because_of_seq".to_owned(),
        name if head.contains(&name) => format!("{name}_field"),
        name => with_unit(name),
    }));
    let text = |text: &str| Cell::Text(text.to_owned());
    let rows = records.iter().map(|record| {
        let mut row = vec![Cell::Empty; columns.len()];
        row[0] = Cell::Unsigned(record.t.as_nanos());
        row[1] = Cell::Unsigned(record.seq);
        row[2] = text(&record.component);
        row[3] = record.vm.as_deref().map_or(Cell::Empty, text);
        row[4] = text(&record.event);
        row[5] = optional(Some(record.cause));
        row[6] = text(record.severity.name());
        for (name, value) in &record.fields {
            if let Some(&place) = fields.get(&**name) {
                row[place] = match value {
                    FieldValue::Unsigned(number) => Cell::Unsigned(*number),
                    FieldValue::Negative(number) => Cell::Negative(*number),
                    FieldValue::Float(number) => Cell::Float(*number),
                    FieldValue::Bool(value) => Cell::Bool(*value),
                    FieldValue::Text(text) => Cell::Text(text.clone()),
                };
            }
        }
        row
    });
    let rows = rows.collect();
    Table { columns, rows }
}

/// A counter's name as a column: small letters, and its unit at the end.
pub fn column_name(counter: &CounterDefinition) -> String {
    let set = match counter.object {
        "Memory" => "os_",
        "Dynamic Memory Model VMBus" => "vmbus_",
        "Dynamic Memory Model Map" => "map_",
        _ => "",
    };
    let name = counter.name.to_lowercase().replace("mbytes", "").replace("/sec", "").replace("bytes", "");
    let words: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let unit = match counter.unit {
        Unit::Megabytes => "_mib",
        Unit::Percent => "_percent",
        Unit::PerSecond => "_per_s",
        Unit::Bytes => "_bytes",
        Unit::Seconds => "_s",
        Unit::Operations | Unit::Count => "",
    };
    format!("{set}{}{unit}", words.join("_"))
}

fn seconds(counters: &Counters, row: usize) -> Cell {
    counters.times.get(row).map_or(Cell::Empty, |time| Cell::Float(time.as_secs_f64()))
}

fn number(value: Option<f64>) -> Cell {
    value.map_or(Cell::Empty, Cell::Float)
}

/// A row for each sample of the host.
pub fn host_counters(counters: &Counters) -> Table {
    let of_host: Vec<_> = counters.series.iter().filter(|series| series.scope == Scope::Host).collect();
    let mut columns = vec!["t_s".to_owned()];
    columns.extend(of_host.iter().map(|series| column_name(series.definition)));
    let rows = (0..counters.times.len()).map(|row| {
        let values = of_host.iter().map(|series| number(series.values.get(row).copied().flatten()));
        std::iter::once(seconds(counters, row)).chain(values).collect()
    });
    Table { columns, rows: rows.collect() }
}

/// A row for each sample of each VM that has a value in it.
pub fn vm_counters(counters: &Counters) -> Table {
    let mut columns = vec!["t_s".to_owned(), "vm".to_owned()];
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for series in counters.series.iter().filter(|series| series.scope != Scope::Host) {
        let name = column_name(series.definition);
        if !places.contains_key(&name) {
            places.insert(name.clone(), columns.len());
            columns.push(name);
        }
    }
    let mut rows = Vec::new();
    for row in 0..counters.times.len() {
        for vm in &counters.vms {
            let mut cells = vec![Cell::Empty; columns.len()];
            let scope = Scope::Vm(std::sync::Arc::clone(vm));
            for series in counters.series.iter().filter(|series| series.scope == scope) {
                if let Some(&place) = places.get(&column_name(series.definition)) {
                    cells[place] = number(series.values.get(row).copied().flatten());
                }
            }
            if cells.iter().any(|cell| *cell != Cell::Empty) {
                cells[0] = seconds(counters, row);
                cells[1] = Cell::Text(vm.to_string());
                rows.push(cells);
            }
        }
    }
    Table { columns, rows }
}

/// A row for each message and packet.
///
/// # Errors
/// None were recorded.
pub fn frames(run: &Run) -> Result<Table, ExportError> {
    let names = [
        "t_ns",
        "vm",
        "direction",
        "layer",
        "child_relid",
        "kind",
        "transaction_id",
        "ring_offset_bytes",
        "bytes",
        "cause_seq",
        "payload_hex",
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let rows = run.frames()?.into_iter().filter_map(|crossed| {
        let direction = if crossed.from_guest { "guest_to_host" } else { "host_to_guest" };
        let (layer, relid, kind, transaction, offset, payload) = match &crossed.frame {
            RecordedFrame::Message { bytes, .. } => {
                ("control", Cell::Empty, pcapng::message_name(&bytes.0), Cell::Empty, Cell::Empty, &bytes.0)
            }
            RecordedFrame::Packet { child_relid, kind, transaction_id, offset, payload, .. } => (
                "ring",
                Cell::Unsigned((*child_relid).into()),
                format!("{kind}"),
                Cell::Unsigned(*transaction_id),
                Cell::Unsigned((*offset).into()),
                &payload.0,
            ),
            RecordedFrame::LeftOut { .. } => return None,
        };
        Some(vec![
            Cell::Unsigned(crossed.t_ns),
            Cell::Text(crossed.vm.to_string()),
            Cell::Text(direction.to_owned()),
            Cell::Text(layer.to_owned()),
            relid,
            Cell::Text(kind),
            transaction,
            offset,
            Cell::Unsigned(payload.len() as u64),
            optional(Some(crossed.cause)),
            Cell::Text(hex(payload)),
        ])
    });
    Ok(Table { columns: names.map(str::to_owned).to_vec(), rows: rows.collect() })
}

impl Table {
    /// Writes it as CSV (RFC 4180): a line of names, then the rows; what is empty is nothing between two commas.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_csv(&self, mut out: impl Write) -> Result<(), ExportError> {
        writeln!(out, "{}", self.columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(","))?;
        for row in &self.rows {
            for (index, cell) in row.iter().enumerate() {
                if index > 0 {
                    out.write_all(b",")?;
                }
                match cell {
                    Cell::Empty => {}
                    Cell::Unsigned(number) => write!(out, "{number}")?,
                    Cell::Negative(number) => write!(out, "{number}")?,
                    Cell::Float(number) => write!(out, "{number}")?,
                    Cell::Bool(value) => write!(out, "{value}")?,
                    Cell::Text(text) => out.write_all(quoted(text).as_bytes())?,
                }
            }
            out.write_all(b"\n")?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Text as a field of CSV.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use perf_counters::schema::{host_sets, vm_sets};

    use super::*;

    #[test]
    fn no_two_counters_of_one_table_have_one_name() {
        let host: Vec<_> = host_sets().into_iter().flat_map(|(_, set)| set).map(column_name).collect();
        let vm: Vec<_> = vm_sets().into_iter().flat_map(|(_, set)| set).map(column_name).collect();
        for names in [host, vm] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn fields_with_commas_and_quotes_are_one_field() {
        let table = Table {
            columns: vec!["a".to_owned(), "b".to_owned()],
            rows: vec![
                vec![Cell::Text("x,\"y\"".to_owned()), Cell::Empty],
                vec![Cell::Float(0.5), Cell::Bool(true)],
            ],
        };
        let mut out = Vec::new();
        table.write_csv(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,b\n\"x,\"\"y\"\"\",\n0.5,true\n");
    }
}
