//! Saving and restoring in every state.

use super::*;

fn round_trip<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

/// Restores both sides from their states and goes on with those.
fn restored<'m>(memory: &'m HeapRing, pair: &Pair<&'m HeapRing>) -> Pair<&'m HeapRing> {
    let (out, inc) = (pair.outgoing.save(&pair.out), pair.incoming.save(&pair.inc));
    let (outgoing, out_offsets) = OutgoingRing::restore(memory, &round_trip(&out)).unwrap();
    let (incoming, inc_offsets) = IncomingRing::restore(memory, &round_trip(&inc)).unwrap();
    assert_eq!((outgoing.save(&out_offsets), incoming.save(&inc_offsets)), (out, inc));
    Pair { outgoing, out: out_offsets, incoming, inc: inc_offsets, buffer: PacketBuffer::new() }
}

#[test]
fn every_state() {
    let memory = HeapRing::new(80).unwrap();
    let mut pair = restored(&memory, &Pair::new(&memory));
    pair.write(b"").unwrap();
    pair = restored(&memory, &pair);
    assert_eq!(pair.commit(), Signal::Needed, "an uncommitted packet is not lost");
    pair = restored(&memory, &pair);
    assert_eq!(pair.send(b"second"), Signal::NotNeeded);
    assert_eq!(pair.wait_for_space(48).wait, Wait::Armed);
    pair = restored(&memory, &pair);
    assert!(pair.read().is_some());
    pair = restored(&memory, &pair);
    assert_eq!(pair.read().unwrap(), b"second\0\0");
    pair = restored(&memory, &pair);
    assert_eq!(pair.wait_for_packet(), Committed { signal: Signal::Needed, wait: Wait::Armed });
    pair = restored(&memory, &pair);
    assert_eq!(pair.send(b"third"), Signal::Needed, "the mask is as it was");
    memory.poke(ControlWord::ReadIndex, 4);
    memory.poke(ControlWord::WriteIndex, 4);
    assert!(pair.incoming.read(&mut pair.inc, &mut pair.buffer).is_err());
    assert!(pair.outgoing.free_bytes(&mut pair.out).is_err());
    let found = (pair.inc.corruption(), pair.out.corruption());
    pair = restored(&memory, &pair);
    assert_eq!((pair.inc.corruption(), pair.out.corruption()), found, "corrupt stays corrupt");
}

#[test]
fn states_that_are_refused() {
    let memory = HeapRing::new(80).unwrap();
    let pair = Pair::new(&memory);
    let with = |field: &str, value: u32| {
        let mut inc = serde_json::to_value(pair.incoming.save(&pair.inc)).unwrap();
        let mut out = serde_json::to_value(pair.outgoing.save(&pair.out)).unwrap();
        let mut errors = Vec::new();
        if inc.get(field).is_some() {
            inc[field] = value.into();
            let saved = serde_json::from_value(inc).unwrap();
            errors.push(IncomingRing::restore(&memory, &saved).unwrap_err());
        }
        if out.get(field).is_some() {
            out[field] = value.into();
            let saved = serde_json::from_value(out).unwrap();
            errors.push(OutgoingRing::restore(&memory, &saved).unwrap_err());
        }
        assert!(!errors.is_empty());
        errors.dedup();
        errors
    };
    assert_eq!(with("version", 1), [RestoreError::Version { found: 1 }]);
    assert_eq!(with("size", 88), [RestoreError::Size { found: 88, size: 80 }]);
    for field in ["published", "write", "read", "next"] {
        assert_eq!(with(field, 80), [RestoreError::Index { index: 80, size: 80 }]);
        assert_eq!(with(field, 12), [RestoreError::Index { index: 12, size: 80 }]);
    }
    // The reader cannot have read what it has not seen written.
    let unseen = RestoreError::Index { index: 24, size: 80 };
    let mut inc = serde_json::to_value(pair.incoming.save(&pair.inc)).unwrap();
    inc["next"] = 24.into();
    let saved: SavedIncoming = serde_json::from_value(inc.clone()).unwrap();
    assert_eq!(IncomingRing::restore(&memory, &saved).unwrap_err(), unseen);
    inc["surprise"] = 1.into();
    assert!(serde_json::from_value::<SavedIncoming>(inc).is_err());
}
