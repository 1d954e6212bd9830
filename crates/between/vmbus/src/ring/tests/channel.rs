//! The rings of a channel in guest pages.

use partition::{GuestMemory, GuestRam, MappedPages, SimulatedPartition};

use super::*;

/// Pages of a guest, seen by host and guest.
fn gpadl(numbers: &[u64]) -> (MappedPages, MappedPages) {
    let partition = SimulatedPartition::new(1);
    let range = page_range::GuestRange::between(0, 1 << 20).unwrap();
    partition.host().add(range).unwrap();
    (partition.host().pages(numbers).unwrap(), partition.guest().pages(numbers).unwrap())
}

fn open(pages: &MappedPages, downstream: u32, role: Role) -> Result<ChannelRings, RingLayoutError> {
    ChannelRings::open(pages, downstream, role)
}

#[test]
fn both_directions() {
    let (of_host, of_guest) = gpadl(&[20, 21, 22, 23, 24, 30, 31, 32, 33, 34]);
    // What an earlier owner left in the control pages does not matter.
    of_guest.get(0).unwrap().write(0, &[0xff; 100]).unwrap();
    of_guest.get(5).unwrap().write(0, &[0xff; 100]).unwrap();
    let mut guest = open(&of_guest, 5, Role::Guest).unwrap();
    let mut host = open(&of_host, 5, Role::Host).unwrap();
    assert_eq!((host.incoming.size(), host.outgoing.size()), (0x4000, 0x4000));
    assert!(host.peer_honours_pending_send_size() && guest.peer_honours_pending_send_size());
    let mut buffer = PacketBuffer::new();

    guest.write(&OutgoingPacket::in_band(1, b"upstream")).unwrap();
    assert_eq!(guest.commit_write(), Ok(Signal::Needed));
    assert_eq!(host.read(&mut buffer).unwrap().payload, b"upstream");
    assert_eq!(host.commit_read(), Ok(Signal::NotNeeded));
    assert_eq!(host.wait_for_packet().unwrap().wait, Wait::Armed);

    host.write(&OutgoingPacket::in_band(2, b"downstrm")).unwrap();
    assert_eq!(host.commit_write(), Ok(Signal::Needed));
    assert_eq!(guest.read(&mut buffer).unwrap().payload, b"downstrm");
    assert_eq!(guest.wait_for_packet().unwrap().wait, Wait::Armed);
    let space = guest.wait_for_space(24).unwrap();
    assert_eq!(space.wait, Wait::Ready);

    // On the wire: the upstream packet is in the second page of the GPADL.
    let mut bytes = [0; 24];
    of_host.get(1).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(bytes[..2], [6, 0]);
    assert_eq!(&bytes[16..], b"upstream");
    let mut control = [0; 4];
    of_host.get(0).unwrap().read(64, &mut control).unwrap();
    assert_eq!(control, [1, 0, 0, 0], "feature bits at byte 64");

    // A host without the pending send size: its guest has to poll. Only what the other side says counts.
    of_host.get(5).unwrap().write(64, &[0; 4]).unwrap();
    assert!(!guest.peer_honours_pending_send_size() && host.peer_honours_pending_send_size());
}

#[test]
fn a_ring_over_pages_that_lie_apart() {
    // Pages touched one after the other are not adjacent; the ring does not notice.
    let partition = SimulatedPartition::new(1);
    let range = page_range::GuestRange::between(0, 100).unwrap();
    partition.host().add(range).unwrap();
    for page in [9, 3, 7, 5, 1, 8] {
        partition.guest().write(page * 4096, &[0]).unwrap();
    }
    let numbers = [1, 3, 5, 7, 8, 9];
    let mut guest = open(&partition.guest().pages(&numbers).unwrap(), 4, Role::Guest).unwrap();
    let mut host = open(&partition.host().pages(&numbers).unwrap(), 4, Role::Host).unwrap();
    let mut buffer = PacketBuffer::new();
    for round in 0..100u64 {
        let payload: Vec<u8> = (0..1000 + round * 8).map(|byte| (byte * 7 + round) as u8).collect();
        guest.write(&OutgoingPacket::in_band(round, &payload)).unwrap();
        assert_eq!(guest.commit_write(), Ok(Signal::Needed));
        let packet = host.read(&mut buffer).unwrap();
        assert_eq!((packet.transaction_id, packet.payload), (round, &payload[..]));
        assert_eq!(host.wait_for_packet().unwrap().wait, Wait::Armed);
    }
}

#[test]
fn layouts_that_are_refused() {
    let (_, pages) = gpadl(&[1, 2, 3, 4, 5]);
    for downstream in [0, 1, 4, 5, 6, u32::MAX] {
        let refused = open(&pages, downstream, Role::Guest).unwrap_err();
        assert_eq!(refused, RingLayoutError::TooSmall { pages: 5, downstream });
    }
    for downstream in [2, 3] {
        assert!(open(&pages, downstream, Role::Guest).is_ok());
    }
}

#[test]
fn a_page_that_is_control_and_data_at_once_is_refused() {
    let (of_host, _) = gpadl(&[1, 2, 3, 1]);
    let refused = open(&of_host, 2, Role::Host).unwrap_err();
    assert!(matches!(refused, RingLayoutError::PageInUse(_)), "{refused}");
    // Twice a data page is foolish, but harms nobody.
    let (of_host, _) = gpadl(&[1, 2, 3, 2]);
    assert!(open(&of_host, 2, Role::Host).is_ok());
}

#[test]
fn a_host_checks_what_the_guest_left_in_the_control_pages() {
    let (of_host, of_guest) = gpadl(&[1, 2, 3, 4]);
    of_guest.get(0).unwrap().write(0, &0x1000u32.to_le_bytes()).unwrap();
    let error = OpenError::Corrupt(Corruption::WriteIndex { index: 0x1000, size: 0x1000 });
    assert_eq!(open(&of_host, 2, Role::Host).unwrap_err(), RingLayoutError::Open(error));
}
