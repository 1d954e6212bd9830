use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use trace_export::perfetto::proto::{self, Trace, TrackDescriptor, TrackEvent};
use trace_export::perfetto::{causes, write};

use crate::fixture;

fn trace() -> (Vec<u8>, Trace) {
    let mut bytes = Vec::new();
    write(&fixture::run(), &mut bytes).unwrap();
    let trace = Trace::decode(&bytes[..]).unwrap();
    (bytes, trace)
}

fn events(trace: &Trace) -> impl Iterator<Item = (u64, &TrackEvent)> {
    trace.packet.iter().filter_map(|packet| Some((packet.timestamp?, packet.track_event.as_ref()?)))
}

fn seq(event: &TrackEvent) -> u64 {
    let seq = event.debug_annotations.iter().find(|field| field.name.as_deref() == Some("seq"));
    seq.and_then(|seq| seq.uint_value).unwrap()
}

#[test]
fn every_event_is_there_and_every_cause_is_a_flow() {
    let (_, trace) = trace();
    let records = fixture::run().events().unwrap();
    let mut found = BTreeMap::new();
    let (mut begins, mut ends) = (BTreeMap::new(), BTreeMap::new());
    for (t, event) in events(&trace).filter(|(_, event)| event.r#type == Some(proto::INSTANT)) {
        let seq = seq(event);
        found.insert(seq, (t, event.name.clone().unwrap()));
        for &flow in &event.flow_ids {
            assert_eq!(begins.insert(flow, seq), None, "a flow has one cause");
        }
        for &flow in &event.terminating_flow_ids {
            assert_eq!(ends.insert(flow, seq), None, "a flow has one effect");
        }
    }
    let recorded: BTreeMap<_, _> =
        records.iter().map(|record| (record.seq, (record.t.as_nanos(), record.event.to_string()))).collect();
    assert_eq!(found, recorded);
    let edges: BTreeSet<(u64, u64)> =
        records.iter().flat_map(|record| causes(record).map(move |(cause, _)| (cause, record.seq))).collect();
    let flows: BTreeSet<(u64, u64)> = ends.iter().map(|(flow, &effect)| (begins[flow], effect)).collect();
    assert_eq!(flows, edges);
    assert_eq!(begins.len(), ends.len());
    assert!(edges.len() > 500, "{}", edges.len());
}

#[test]
fn every_track_is_described_and_slices_lie_in_each_other() {
    let (_, trace) = trace();
    let tracks: BTreeMap<u64, &TrackDescriptor> = trace
        .packet
        .iter()
        .filter_map(|packet| packet.track_descriptor.as_ref())
        .map(|track| (track.uuid.unwrap(), track))
        .collect();
    let names: Vec<_> = tracks
        .values()
        .filter_map(|track| track.process.as_ref())
        .map(|process| process.process_name.clone().unwrap())
        .collect();
    assert_eq!(names, ["parent partition", "VM1", "VM2"]);
    let (mut last, mut open, mut operations) = (0, BTreeMap::<u64, u64>::new(), 0);
    for (t, event) in events(&trace) {
        assert!(t >= last, "in the order of time");
        last = t;
        let track = event.track_uuid.unwrap();
        assert!(tracks.contains_key(&track), "{event:?}");
        match event.r#type.unwrap() {
            proto::SLICE_BEGIN => {
                *open.entry(track).or_default() += 1;
                operations += u64::from(event.correlation_id.is_some());
            }
            proto::SLICE_END => {
                let open = open.get_mut(&track).unwrap();
                *open = open.checked_sub(1).expect("what ends has begun");
            }
            proto::COUNTER => assert!(tracks[&track].counter.is_some()),
            _ => {}
        }
    }
    assert!(open.values().all(|&open| open == 0), "what begins ends: {open:?}");
    let records = fixture::run().events().unwrap();
    let asked = records.iter().filter(|record| ["add_memory", "remove_memory"].contains(&&*record.event));
    assert_eq!(operations, asked.count() as u64);
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    assert!(trace().0 == trace().0);
}

#[test]
fn a_trace_that_is_cut_off_is_read_up_to_its_last_packet() {
    let (bytes, whole) = trace();
    let mut at = 0;
    for _ in 0..5 {
        // Tag 0x0a, a length, a packet.
        let (mut length, mut shift, mut read) = (0_usize, 0, at + 1);
        loop {
            let byte = usize::from(bytes[read]);
            length |= (byte & 0x7f) << shift;
            (shift, read) = (shift + 7, read + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        at = read + length;
    }
    assert_eq!(Trace::decode(&bytes[..at]).unwrap().packet[..], whole.packet[..5]);
}
