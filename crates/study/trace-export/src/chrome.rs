//! A trace in Chrome's JSON format, which `chrome://tracing`, Perfetto and Speedscope read.
//!
//! Processes, tracks, slices, flows and counters are those of the [Perfetto trace](crate::perfetto); events are slices without length, since
//! flows of this format join slices. Times are microseconds with three decimals. The format: "Trace Event Format" of the Chromium
//! project (documented).

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use run_journal::{FieldValue, Record};
use serde_json::{Map, Value, json};

use crate::slices::{self, Edge, Row};
use crate::tracks::Processes;
use crate::{ExportError, Run, Scope, perfetto};

/// Writes the trace of a run.
///
/// # Errors
/// The run has neither events nor counters, or the output cannot be written.
pub fn write(run: &Run, mut out: impl Write) -> Result<(), ExportError> {
    let (records, counters) = run.events_and_counters()?;
    let known = counters.as_ref().map_or_else(|| run.vm_names(), |counters| counters.vms.clone());
    let processes = Processes::new(&records, &known);
    let edges = slices::edges(&records);
    let rows = rows(&edges, &processes);
    let places: BTreeMap<u64, &Record> = records.iter().map(|record| (record.seq, record)).collect();
    out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")?;
    let mut lines = Lines { out: &mut out, any: false };
    for (process, name) in processes.names() {
        lines.line(&json!({"ph": "M", "name": "process_name", "pid": process, "args": {"name": name}}))?;
    }
    for ((process, component), track) in &processes.components {
        let name = &**component;
        lines.line(
            &json!({"ph": "M", "name": "thread_name", "pid": process, "tid": track, "args": {"name": name}}),
        )?;
    }
    for ((_, row), &(process, track)) in &rows {
        let name = row.name();
        lines.line(
            &json!({"ph": "M", "name": "thread_name", "pid": process, "tid": track, "args": {"name": name}}),
        )?;
    }
    let mut edges = edges.iter().peekable();
    for record in &records {
        let (pid, tid) = processes.track(record);
        let ts = micros(record.t.as_nanos());
        let (name, cat) = (&*record.event, record.severity.name());
        lines.line(&json!({
            "ph": "X", "name": name, "cat": cat, "pid": pid, "tid": tid, "ts": ts, "dur": 0, "args": fields(record)
        }))?;
        for (cause, flow) in perfetto::causes(record) {
            let Some(cause) = places.get(&cause) else { continue };
            let (from_pid, from_tid) = processes.track(cause);
            let from = micros(cause.t.as_nanos());
            lines.line(&json!({
                "ph": "s", "name": "cause", "cat": "cause", "id": flow, "pid": from_pid, "tid": from_tid, "ts": from
            }))?;
            lines.line(&json!({
                "ph": "f", "bp": "e", "name": "cause", "cat": "cause", "id": flow, "pid": pid, "tid": tid, "ts": ts
            }))?;
        }
        while let Some(edge) = edges.next_if(|edge| edge.seq == record.seq) {
            let Some((pid, tid)) = rows.get(&(Arc::clone(&edge.vm), edge.row)) else { continue };
            let ts = micros(edge.t_ns);
            lines.line(&match &edge.begins {
                Some(name) => {
                    json!({"ph": "B", "name": name, "pid": pid, "tid": tid, "ts": ts, "args": {"operation": edge.operation}})
                }
                None => json!({"ph": "E", "pid": pid, "tid": tid, "ts": ts}),
            })?;
        }
    }
    for series in counters.iter().flat_map(|counters| &counters.series) {
        let pid = match &series.scope {
            Scope::Host => processes.number(None),
            Scope::Vm(vm) => processes.number(Some(vm)),
        };
        let name = format!("{} ({})", series.definition.name, series.definition.unit.symbol());
        let times = counters.iter().flat_map(|counters| &counters.times);
        let mut before = None;
        for (at, value) in times.zip(&series.values) {
            if let Some(number) = value.filter(|_| *value != before) {
                let ts = at.as_nanos() as f64 / 1000.0;
                lines.line(
                    &json!({"ph": "C", "name": name, "pid": pid, "ts": ts, "args": {"value": number}}),
                )?;
            }
            before = *value;
        }
    }
    out.write_all(b"\n]}\n")?;
    Ok(())
}

/// Process and track of each row of slices: the tracks follow those of the components.
fn rows(edges: &[Edge], processes: &Processes) -> BTreeMap<(Arc<str>, Row), (u32, u32)> {
    let mut rows = BTreeMap::new();
    for edge in edges {
        rows.insert((Arc::clone(&edge.vm), edge.row), (0, 0));
    }
    let first = processes.components.len() as u32 + 1;
    for (((vm, _), place), track) in rows.iter_mut().zip(first..) {
        *place = (processes.number(Some(vm)), track);
    }
    rows
}

fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}

fn fields(record: &Record) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("seq".to_owned(), record.seq.into());
    if let Some(vm) = &record.vm {
        fields.insert("vm".to_owned(), (&**vm).into());
    }
    for (name, value) in &record.fields {
        let value = match value {
            FieldValue::Unsigned(number) => (*number).into(),
            FieldValue::Negative(number) => (*number).into(),
            FieldValue::Float(number) => (*number).into(),
            FieldValue::Bool(value) => (*value).into(),
            FieldValue::Text(text) => text.as_str().into(),
        };
        fields.insert(name.to_string(), value);
    }
    fields
}

/// The elements of the list, one to a line.
struct Lines<'a, W> {
    out: &'a mut W,
    any: bool,
}

impl<W: Write> Lines<'_, W> {
    fn line(&mut self, value: &Value) -> Result<(), ExportError> {
        if std::mem::replace(&mut self.any, true) {
            self.out.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut *self.out, value).map_err(std::io::Error::from)?;
        Ok(())
    }
}
