use super::*;

fn round_trip(saved: &SavedState) {
    let json = serde_json::to_string(saved).unwrap();
    assert_eq!(&serde_json::from_str::<SavedState>(&json).unwrap(), saved);
    let config = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(saved, config).unwrap();
    let (read, length): (SavedState, _) = bincode::serde::decode_from_slice(&bytes, config).unwrap();
    assert_eq!((&read, length), (saved, bytes.len()));
}

/// Save, write, read, and restore onto other frames; everything but the frames must be the same.
pub(super) fn check_restoring(gmo: &GmoMemoryManager) {
    let saved = gmo.save();
    round_trip(&saved);
    let (other_host, frames) = host(gmo.pages().get());
    let Restored { mut manager, pins } = GmoMemoryManager::restore(&saved, frames).unwrap();
    assert_eq!(manager.save(), saved);
    assert_eq!((manager.mapped(), manager.pages()), (gmo.mapped(), gmo.pages()));
    assert_eq!(manager.pinned_pages(), gmo.pinned_pages());
    for pin in pins {
        manager.unpin(pin).unwrap();
    }
    assert_eq!(manager.pinned_pages(), PageCount::ZERO);
    drop(manager);
    assert_eq!(other_host.returned_pages(), gmo.pages());
}

fn v1(gmo: &GmoMemoryManager) -> SavedStateV1 {
    let SavedState::V1(state) = gmo.save();
    state
}

#[test]
fn an_empty_map_is_restored() {
    let (_host, pool) = host(10);
    check_restoring(&GmoMemoryManager::new(&pool));
}

#[test]
fn a_restored_map_goes_on_where_the_saved_one_was() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    let ring = gmo.pin(&[GuestPage(10), GuestPage(11)]).unwrap();
    let gone = gmo.pin(&[GuestPage(12)]).unwrap();
    gmo.unpin(gone).unwrap();
    let other = gmo.pin(&[GuestPage(11), GuestPage(20)]).unwrap();
    drop(gmo.unmap(&[guest(500, 600)]).unwrap());
    check_restoring(&gmo);

    let (_new_host, mut frames) = host(4096);
    let needed = frames.take(gmo.pages()).unwrap();
    let Restored { mut manager, pins } = GmoMemoryManager::restore(&gmo.save(), needed).unwrap();
    assert_eq!(pins.iter().map(Pin::id).collect::<Vec<_>>(), [ring.id(), other.id()]);
    assert_eq!(manager.first_pinned(guest(0, 100)), Some(guest(10, 12)));
    assert_eq!(manager.counts().large, 2);
    assert_eq!(manager.pin(&[GuestPage(1)]).unwrap().id(), gmo.pin(&[GuestPage(1)]).unwrap().id());
    // Tokens of the saved map are not the restored map's.
    assert!(manager.unpin(ring).is_err());
}

#[test]
fn the_form_is_stable() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    drop(gmo.unmap(&[guest(500, 600)]).unwrap());
    let _ring = gmo.pin(&[GuestPage(11), GuestPage(10)]).unwrap();
    assert_eq!(
        serde_json::to_string(&gmo.save()).unwrap(),
        concat!(
            r#"{"V1":{"mapped":[{"start":0,"pages":500},{"start":600,"pages":1448}],"#,
            r#""pins":[{"id":0,"pages":[{"start":10,"pages":2}]}],"next_pin":1}}"#
        )
    );
}

#[test]
fn an_unknown_version_is_refused() {
    let error = serde_json::from_str::<SavedState>(r#"{"V2":{}}"#).unwrap_err().to_string();
    assert!(error.contains("unknown variant `V2`"), "{error}");
    let error =
        serde_json::from_str::<SavedState>(r#"{"V1":{"mapped":[],"pins":[],"next_pin":0,"frames":[]}}"#)
            .unwrap_err()
            .to_string();
    assert!(error.contains("unknown field `frames`"), "{error}");
}

#[test]
fn a_state_that_was_never_saved_is_refused() {
    let (_host, _pool, mut gmo) = vm_of_8_mib();
    let _pins = [gmo.pin(&[GuestPage(10)]).unwrap(), gmo.pin(&[GuestPage(11)]).unwrap()];
    let good = v1(&gmo);
    let id = PinId;
    type Damage = fn(&mut SavedStateV1);
    let damaged: [(Damage, u64, RestoreRefusal); 7] = [
        (|_| (), 2047, MapRefusal::WrongCount { guest: PageCount(2048), frames: PageCount(2047) }.into()),
        (
            |saved| saved.mapped = guest(0, u64::MAX).into(),
            2048,
            MapRefusal::BeyondAddressSpace { range: guest(0, u64::MAX) }.into(),
        ),
        (
            |saved| saved.pins[1].pages = guest(2000, 1 << 40).into(),
            2048,
            RestoreRefusal::PinNotMapped { id: id(1), missing: guest(2048, 1 << 40) },
        ),
        (|saved| saved.pins[1].id = PinId(0), 2048, RestoreRefusal::PinOrder { id: id(0) }),
        (|saved| saved.pins.reverse(), 2048, RestoreRefusal::PinOrder { id: id(0) }),
        (|saved| saved.next_pin = PinId(1), 2048, RestoreRefusal::PinOrder { id: id(1) }),
        (
            |saved| {
                saved.next_pin = PinId(u64::MAX);
                saved.pins[1].id = PinId(u64::MAX - 1);
            },
            2048,
            RestoreRefusal::PinOrder { id: id(u64::MAX) },
        ),
    ];
    for (damage, pages, refusal) in damaged {
        let mut saved = good.clone();
        damage(&mut saved);
        let (other_host, frames) = host(pages);
        let error = GmoMemoryManager::restore(&SavedState::V1(saved), frames).unwrap_err();
        assert_eq!(error.refusal, refusal);
        assert_eq!(error.frames.pages(), other_host.total());
    }
}

#[test]
fn the_highest_number_that_a_pin_may_have_next_is_restored() {
    let (_host, _pool, gmo) = vm_of_8_mib();
    let restored = |next: u64| {
        let mut saved = v1(&gmo);
        saved.next_pin = PinId(next);
        let (_other_host, frames) = host(2048);
        GmoMemoryManager::restore(&SavedState::V1(saved), frames)
            .map(|restored| v1(&restored.manager).next_pin)
    };
    assert_eq!(restored(1 << 63).unwrap(), PinId(1 << 63));
    let refusal = restored((1 << 63) + 1).unwrap_err().refusal;
    assert_eq!(refusal, RestoreRefusal::PinOrder { id: PinId((1 << 63) + 1) });
    assert!(refusal.to_string().contains("9223372036854775809"), "{refusal}");
}
