//! Every known message of the wire, both ways.

use dm_protocol::test_support::vectors;
use dm_protocol::*;

fn range(start: u64, count: u64) -> WireRange {
    WireRange::new(start, count).unwrap()
}

#[track_caller]
fn check(name: &str, trans_id: u32, message: Message<'_>) {
    let bytes = vectors::bytes(name);
    let packet = Packet { trans_id, message };
    assert_eq!(Packet::decode(bytes), Ok(packet), "{name} decoded");
    let mut buffer = [0xaa; MAX_GUEST_PAYLOAD];
    assert_eq!(packet.encode(&mut buffer), Ok(bytes), "{name} encoded");
    assert_eq!(packet.size(), bytes.len());
}

fn version(version: Version, is_last_attempt: bool) -> Message<'static> {
    Message::VersionRequest(VersionRequest { version, is_last_attempt })
}

#[test]
fn handshake() {
    check("DM1", 1, version(Version::V2_0, false));
    check("DM1b", 1, version(Version::V2_0, true));
    check("DM1c", 2, version(Version::V1_0, false));
    check("DM1d", 3, version(Version::V0_3, true));
    check("DM2", 1, Message::VersionResponse(VersionResponse { is_accepted: true }));
    check("DM2b", 1, Message::VersionResponse(VersionResponse { is_accepted: false }));
    let report = CapabilitiesReport {
        capabilities: Capabilities::new(true, true, 7),
        min_page_count: 0,
        max_page_number: u64::MAX,
    };
    check("DM3", 2, Message::CapabilitiesReport(report));
    let mut response = CapabilitiesResponse { is_accepted: true, ..Default::default() };
    check("DM4", 2, Message::CapabilitiesResponse(response));
    response.hot_remove = true;
    response.suppress_pressure_reports = true;
    check("DM4b", 2, Message::CapabilitiesResponse(response));
}

#[test]
fn capability_bits() {
    // The bytes that Linux guests are known to send for 128 MiB, 256 MiB, 1 GiB and 2 GiB.
    for (alignment, bits) in [(7, 0x1f), (8, 0x23), (10, 0x2b), (11, 0x2f)] {
        let capabilities = Capabilities::new(true, true, alignment);
        assert_eq!(capabilities.0, bits);
        assert!(capabilities.balloon() && capabilities.hot_add() && !capabilities.hot_remove());
        assert_eq!(capabilities.hot_add_alignment(), alignment);
    }
    // Each bit says one thing.
    let said = |bits| {
        let capabilities = Capabilities(bits);
        (capabilities.balloon(), capabilities.hot_add(), capabilities.hot_remove())
    };
    assert_eq!(said(0), (false, false, false));
    assert_eq!(said(1), (true, false, false));
    assert_eq!(said(2), (false, true, false));
    assert_eq!(said(0x40), (false, false, true));
    assert_eq!(said(!0x43), (false, false, false));
    assert_eq!(Capabilities::new(true, false, 0).0, 1);
    assert_eq!(Capabilities::new(false, true, 0).0, 2);
    assert_eq!(Capabilities(u64::MAX).hot_add_alignment(), 15);
}

#[test]
fn status() {
    let report = StatusReport { available: 0x30000, committed: 0x20000, ..Default::default() };
    check("DM5", 3, Message::StatusReport(report));
}

#[test]
fn balloon() {
    check("DM6", 0, Message::BalloonRequest(BalloonRequest { num_pages: 0x10000 }));
    let ranges = [range(0x40000, 512), range(0x41234, 1)];
    check("DM7", 5, Message::BalloonResponse(BalloonResponse { more_pages: true, ranges: &ranges }));
    check("DM7b", 6, Message::BalloonResponse(BalloonResponse { more_pages: false, ranges: &[] }));
    check("DM8", 2, Message::UnballoonRequest(UnballoonRequest { more_pages: false, ranges: &ranges[..1] }));
    check("DM8b", 2, Message::UnballoonRequest(UnballoonRequest { more_pages: true, ranges: &ranges[1..] }));
    check("DM9", 7, Message::UnballoonResponse);
}

#[test]
fn hot_add() {
    let range = range(0x100000, 0x8000);
    check("DM10", 1, Message::HotAddRequest(HotAddRequest { range, region: None }));
    check("DM10b", 1, Message::HotAddRequest(HotAddRequest { range, region: Some(range) }));
    let response = |page_count, result| Message::HotAddResponse(HotAddResponse { page_count, result });
    check("DM11", 8, response(0x8000, 1));
    check("DM11b", 8, response(0, 1));
    check("DM11c", 8, response(0, 0));
}

#[test]
fn information_and_hot_remove() {
    check("DM12", 0, Message::InfoMessage(InfoMessage::MaxPageCount(0x80000)));
    let request = HotRemoveRequest { virtual_node: 0, page_count: 0x8000, qos_flags: 0 };
    check("DM13", 4, Message::HotRemoveRequest(request));
    let ranges = [range(0x100000, 0x8000)];
    let response = HotRemoveResponse { result: 1, more_pages: false, ranges: &ranges };
    check("DM14", 9, Message::HotRemoveResponse(response));
}

#[test]
fn every_vector_is_checked_above() {
    let source = include_str!("vectors.rs");
    for (name, _) in vectors::MESSAGES {
        assert!(source.contains(&format!("check(\"{name}\"")), "{name}");
    }
}
