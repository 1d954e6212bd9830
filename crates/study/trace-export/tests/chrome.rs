use std::collections::BTreeSet;

use trace_export::perfetto::causes;

use crate::fixture;

#[test]
fn it_is_json_with_every_event_and_every_flow() {
    let mut text = Vec::new();
    trace_export::chrome::write(&fixture::run(), &mut text).unwrap();
    let trace: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |kind: &str| events.iter().filter(|event| event["ph"] == kind).collect::<Vec<_>>();
    let records = fixture::run().events().unwrap();
    assert_eq!(of("X").len(), records.len());
    let flows =
        |kind: &str| of(kind).iter().map(|event| event["id"].as_u64().unwrap()).collect::<BTreeSet<_>>();
    let expected: BTreeSet<u64> =
        records.iter().flat_map(|record| causes(record).map(|(_, flow)| flow)).collect();
    assert_eq!((flows("s"), flows("f")), (expected.clone(), expected));
    assert_eq!(of("B").len(), of("E").len());
    assert!(of("C").len() > 1000);
}
