//! A trace for Perfetto (<https://ui.perfetto.dev>).
//!
//! A process for the parent partition and one for each VM; a track for each component, with every event as an instant that has its
//! fields; rows for what takes time ([`slices`]); a track for each counter. Each cause and its effect are joined by a flow
//! of their own, whose id is the effect's number and which of its causes it is ([`flow_id`]). Times are virtual, in nanoseconds from 0, in the
//! trace's default clock.
//!
//! The messages are those of Perfetto's `protos/perfetto/trace` ([`proto`]), as far as they are needed.

pub mod proto;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use perf_counters::{Kind, Unit};
use prost::Message as _;
use run_journal::{FieldValue, Record};

use crate::slices::{self, Edge, Row};
use crate::tracks::Processes;
use crate::{Counters, ExportError, Run, Scope, Series};
use proto::{
    CounterDescriptor, DebugAnnotation, ProcessDescriptor, ThreadDescriptor, TracePacket, TrackDescriptor,
    TrackEvent,
};

/// The one sequence of the packets.
const SEQUENCE: u32 = 1;

/// The flow from a cause to its effect: the effect's number, and whether it is the first cause or the one that the event is also because
/// of.
pub fn flow_id(effect: u64, also: bool) -> u64 {
    effect * 2 + u64::from(also)
}

/// Writes the trace of a run.
///
/// # Errors
/// The run has neither events nor counters, or the output cannot be written.
pub fn write(run: &Run, out: impl Write) -> Result<(), ExportError> {
    let (records, counters) = run.events_and_counters()?;
    let known = counters.as_ref().map_or_else(|| run.vm_names(), |counters| counters.vms.clone());
    let processes = Processes::new(&records, &known);
    let mut trace = Writer { out, scratch: Vec::new() };
    let tracks = Tracks::describe(&mut trace, &processes, &slices::edges(&records), counters.as_ref())?;
    tracks.write(&mut trace, &processes, &records, counters.as_ref())
}

/// A trace that is written packet by packet: a file that is cut off is good up to its last whole packet.
struct Writer<W> {
    out: W,
    scratch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    fn packet(&mut self, packet: &TracePacket) -> Result<(), ExportError> {
        self.scratch.clear();
        // Field 1 of `Trace`, with its length.
        self.scratch.push(0x0a);
        packet.encode_length_delimited(&mut self.scratch).map_err(std::io::Error::other)?;
        self.out.write_all(&self.scratch)?;
        Ok(())
    }

    fn descriptor(&mut self, descriptor: TrackDescriptor) -> Result<(), ExportError> {
        self.packet(&TracePacket {
            trusted_packet_sequence_id: Some(SEQUENCE),
            track_descriptor: Some(descriptor),
            ..TracePacket::default()
        })
    }

    fn event(&mut self, t_ns: u64, event: TrackEvent) -> Result<(), ExportError> {
        self.packet(&TracePacket {
            timestamp: Some(t_ns),
            trusted_packet_sequence_id: Some(SEQUENCE),
            track_event: Some(event),
            ..TracePacket::default()
        })
    }
}

/// The uuids of all tracks.
struct Tracks {
    edges: Vec<Edge>,
    rows: BTreeMap<(Arc<str>, Row), u64>,
    /// One for each series of the counters.
    series: Vec<u64>,
}

fn process_uuid(process: u32) -> u64 {
    u64::from(process)
}

fn component_uuid(track: u32) -> u64 {
    (1 << 32) | u64::from(track)
}

impl Tracks {
    fn describe<W: Write>(
        trace: &mut Writer<W>,
        processes: &Processes,
        edges: &[Edge],
        counters: Option<&Counters>,
    ) -> Result<Self, ExportError> {
        for (process, name) in processes.names() {
            trace.descriptor(TrackDescriptor {
                uuid: Some(process_uuid(process)),
                process: Some(ProcessDescriptor {
                    pid: Some(process as i32),
                    process_name: Some(name.to_owned()),
                }),
                ..TrackDescriptor::default()
            })?;
        }
        for ((process, component), &track) in &processes.components {
            trace.descriptor(TrackDescriptor {
                uuid: Some(component_uuid(track)),
                parent_uuid: Some(process_uuid(*process)),
                thread: Some(ThreadDescriptor {
                    pid: Some(*process as i32),
                    // No number of a thread is that of its process, or it would be the process' main thread.
                    tid: Some(10_000 + track as i32),
                    thread_name: Some(component.to_string()),
                }),
                ..TrackDescriptor::default()
            })?;
        }
        let mut rows = BTreeMap::new();
        for edge in edges {
            rows.insert((Arc::clone(&edge.vm), edge.row), 0);
        }
        for (((vm, row), uuid), number) in rows.iter_mut().zip(0..) {
            *uuid = (2 << 32) | number;
            trace.descriptor(TrackDescriptor {
                uuid: Some(*uuid),
                parent_uuid: Some(process_uuid(processes.number(Some(vm)))),
                name: Some(row.name()),
                ..TrackDescriptor::default()
            })?;
        }
        let mut series = Vec::new();
        for (of, number) in counters.iter().flat_map(|counters| &counters.series).zip(0..) {
            let uuid = (3 << 32) | number;
            let process = match &of.scope {
                Scope::Host => processes.number(None),
                Scope::Vm(vm) => processes.number(Some(vm)),
            };
            trace.descriptor(TrackDescriptor {
                uuid: Some(uuid),
                parent_uuid: Some(process_uuid(process)),
                name: Some(counter_name(of)),
                description: Some(of.definition.help.to_owned()),
                counter: Some(counter_descriptor(of)),
                ..TrackDescriptor::default()
            })?;
            series.push(uuid);
        }
        Ok(Self { edges: edges.to_vec(), rows, series })
    }

    /// Writes events, slices and counters, all in the order of time.
    fn write<W: Write>(
        &self,
        trace: &mut Writer<W>,
        processes: &Processes,
        records: &[Record],
        counters: Option<&Counters>,
    ) -> Result<(), ExportError> {
        let flows = Flows::of(records);
        let mut edges = self.edges.iter().peekable();
        let mut samples = counters.map(|counters| counters.times.iter().enumerate().peekable());
        for record in records {
            let now = record.t.as_nanos();
            while let (Some(counters), Some(samples)) = (counters, &mut samples) {
                let Some((row, at)) = samples.next_if(|(_, at)| at.as_nanos() <= u128::from(now)) else {
                    break;
                };
                self.sample(trace, counters, row, at.as_nanos() as u64)?;
            }
            let (_, track) = processes.track(record);
            trace.event(now, instant(record, component_uuid(track), &flows))?;
            while let Some(edge) = edges.next_if(|edge| edge.seq == record.seq) {
                self.edge(trace, edge)?;
            }
        }
        if let (Some(counters), Some(samples)) = (counters, samples) {
            for (row, at) in samples {
                self.sample(trace, counters, row, at.as_nanos() as u64)?;
            }
        }
        Ok(())
    }

    fn edge<W: Write>(&self, trace: &mut Writer<W>, edge: &Edge) -> Result<(), ExportError> {
        let kind = if edge.begins.is_some() { proto::SLICE_BEGIN } else { proto::SLICE_END };
        let operation = edge.operation.map(|operation| DebugAnnotation {
            name: Some("operation".to_owned()),
            uint_value: Some(operation),
            ..DebugAnnotation::default()
        });
        trace.event(
            edge.t_ns,
            TrackEvent {
                r#type: Some(kind),
                track_uuid: self.rows.get(&(Arc::clone(&edge.vm), edge.row)).copied(),
                name: edge.begins.clone(),
                correlation_id: edge.operation,
                debug_annotations: operation.into_iter().collect(),
                ..TrackEvent::default()
            },
        )
    }

    /// The counters of one row that have changed since the row before.
    fn sample<W: Write>(
        &self,
        trace: &mut Writer<W>,
        counters: &Counters,
        row: usize,
        t_ns: u64,
    ) -> Result<(), ExportError> {
        for (series, &uuid) in counters.series.iter().zip(&self.series) {
            let value_in = |row: usize| series.values.get(row).copied().flatten();
            // Where a VM has ended its counters have no value: shown as nothing rather than as what was last.
            let before = row.checked_sub(1).map(value_in);
            let now = value_in(row);
            if before == Some(now) || (before.is_none() && now.is_none()) {
                continue;
            }
            let event = TrackEvent {
                r#type: Some(proto::COUNTER),
                track_uuid: Some(uuid),
                double_counter_value: Some(shown(series, now.unwrap_or(0.0))),
                ..TrackEvent::default()
            };
            trace.event(t_ns, event)?;
        }
        Ok(())
    }
}

/// Which flows begin at an event: those to its effects.
struct Flows(BTreeMap<u64, Vec<u64>>);

impl Flows {
    fn of(records: &[Record]) -> Self {
        let first = records.first().map_or(0, |record| record.seq);
        let mut begin: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for record in records {
            for (cause, flow) in causes(record).filter(|&(cause, _)| cause >= first) {
                begin.entry(cause).or_default().push(flow);
            }
        }
        Self(begin)
    }
}

/// The causes of an event, each with the flow that joins them.
pub fn causes(record: &Record) -> impl Iterator<Item = (u64, u64)> + use<> {
    let seq = record.seq;
    let also = record.also_because_of().map(|cause| (cause, flow_id(seq, true)));
    [Some((record.cause, flow_id(seq, false))), also]
        .into_iter()
        .flatten()
        .filter(move |&(cause, _)| cause != 0 && cause < seq)
}

fn instant(record: &Record, track: u64, flows: &Flows) -> TrackEvent {
    let of_record = |name: &str, value: u64| DebugAnnotation {
        name: Some(name.to_owned()),
        uint_value: Some(value),
        ..DebugAnnotation::default()
    };
    let mut annotations = vec![of_record("seq", record.seq)];
    if record.cause != 0 {
        annotations.push(of_record("cause", record.cause));
    }
    if let Some(vm) = &record.vm {
        annotations.push(DebugAnnotation {
            name: Some("vm".to_owned()),
            string_value: Some(vm.to_string()),
            ..DebugAnnotation::default()
        });
    }
    annotations.extend(record.fields.iter().map(|(name, value)| annotation(name, value)));
    TrackEvent {
        r#type: Some(proto::INSTANT),
        track_uuid: Some(track),
        categories: vec![record.severity.name().to_owned()],
        name: Some(record.event.to_string()),
        flow_ids: flows.0.get(&record.seq).cloned().unwrap_or_default(),
        terminating_flow_ids: causes(record).map(|(_, flow)| flow).collect(),
        debug_annotations: annotations,
        ..TrackEvent::default()
    }
}

fn annotation(name: &str, value: &FieldValue) -> DebugAnnotation {
    let mut annotation = DebugAnnotation { name: Some(name.to_owned()), ..DebugAnnotation::default() };
    match value {
        FieldValue::Unsigned(number) => annotation.uint_value = Some(*number),
        FieldValue::Negative(number) => annotation.int_value = Some(*number),
        FieldValue::Float(number) => annotation.double_value = Some(*number),
        FieldValue::Bool(value) => annotation.bool_value = Some(*value),
        FieldValue::Text(text) => annotation.string_value = Some(text.clone()),
    }
    annotation
}

/// The counter, and its set where the name alone says too little.
fn counter_name(series: &Series) -> String {
    match series.definition.object {
        "Memory" => format!(
            "{} (in the {})",
            series.definition.name,
            match series.scope {
                Scope::Host => "parent OS",
                Scope::Vm(_) => "guest",
            }
        ),
        _ => series.definition.name.to_owned(),
    }
}

/// Memory in bytes, as Perfetto knows to show it; everything else as Performance Monitor shows it.
fn shown(series: &Series, value: f64) -> f64 {
    if series.definition.unit == Unit::Megabytes { value * 1_048_576.0 } else { value }
}

/// Unit, and a key for counters that share an axis: all memory of one process, both rings.
fn counter_descriptor(series: &Series) -> CounterDescriptor {
    let is_total = series.definition.kind == Kind::Counter;
    let (unit, unit_name, axis) = match series.definition.unit {
        Unit::Megabytes if is_total => (proto::UNIT_SIZE_BYTES, None, Some("memory moved")),
        Unit::Megabytes => (proto::UNIT_SIZE_BYTES, None, Some("memory")),
        Unit::Bytes if series.definition.name.contains("Ring") => {
            (proto::UNIT_SIZE_BYTES, None, Some("rings"))
        }
        Unit::Bytes => (proto::UNIT_SIZE_BYTES, None, Some("memory")),
        Unit::Percent => (0, Some("%"), Some("pressure")),
        Unit::PerSecond => (0, Some("1/s"), None),
        Unit::Seconds => (0, Some("s"), None),
        Unit::Operations => (proto::UNIT_COUNT, None, Some("operations")),
        Unit::Count if series.definition.name.contains("Signals") => {
            (proto::UNIT_COUNT, None, Some("signals and packets"))
        }
        Unit::Count if series.definition.name.contains("Packets") => {
            (proto::UNIT_COUNT, None, Some("signals and packets"))
        }
        Unit::Count => (proto::UNIT_COUNT, None, None),
    };
    CounterDescriptor {
        unit: Some(unit),
        unit_name: unit_name.map(str::to_owned),
        y_axis_share_key: axis.map(str::to_owned),
    }
}
