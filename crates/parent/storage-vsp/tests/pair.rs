//! Driver, controller and disks joined: every byte crosses in rings and pages of the guest.

use partition::GuestRam;
use proptest::prelude::*;
use storage_protocol::sense::Sense;
use storage_protocol::{Message, PACKET_BYTES, Packet, SrbStatus, Version};
use storage_vsc::{DiskInfo, IoError, Operation, Output, VscConfig};
use vmbus::ring::{BufferRange, OutgoingPacket};

use super::machine::{Machine, SECTORS, new_disk};

fn machine() -> Machine {
    let mut machine = Machine::new(VscConfig::default());
    machine.attach(0, new_disk(1).0);
    machine.attach(3, new_disk(2).0);
    machine.open();
    machine.run();
    machine
}

impl Machine {
    /// How an operation went.
    fn done(&mut self, lun: u8, operation: Operation) -> Result<(), IoError> {
        self.events.clear();
        self.guest(storage_vsc::Input::Submit { tag: 1, lun, operation });
        self.run();
        let done = self.events.iter().find_map(|event| match event {
            Output::Done { result, .. } => Some(*result),
            _ => None,
        });
        done.unwrap()
    }

    fn write(&mut self, lun: u8, sector: u64, data: &[u8]) -> Result<(), IoError> {
        self.partition.guest().write(Self::buffer_of(1), data).unwrap();
        self.done(lun, Operation::Write { sector, count: (data.len() / 512) as u32, force: false })
    }

    fn read(&mut self, lun: u8, sector: u64, count: u32) -> Result<Vec<u8>, IoError> {
        let mut data = vec![0; count as usize * 512];
        self.partition.guest().write(Self::buffer_of(1), &vec![0xee; data.len()]).unwrap();
        self.done(lun, Operation::Read { sector, count })?;
        self.partition.guest().read(Self::buffer_of(1), &mut data).unwrap();
        Ok(data)
    }
}

#[test]
fn a_driver_of_every_version_finds_its_disks_and_uses_them() {
    for version in Version::SPOKEN {
        let mut machine = Machine::new(VscConfig { versions: vec![Version::WINDOWS_10, version] });
        machine.attach(0, new_disk(1).0);
        machine.attach(3, new_disk(2).0);
        machine.open();
        machine.run();
        assert_eq!(machine.vsp.version(), Some(version));
        let disk = DiskInfo { sectors: SECTORS, writable: true, can_discard: true };
        assert_eq!(machine.vsc.disks().iter().collect::<Vec<_>>(), [(&0, &disk), (&3, &disk)]);
        let data: Vec<u8> = (0..3 * 512).map(|n| (n / 7) as u8).collect();
        machine.write(3, SECTORS - 3, &data).unwrap();
        machine.done(3, Operation::Flush).unwrap();
        assert_eq!(machine.read(3, SECTORS - 3, 3).unwrap(), data);
        assert_eq!(machine.read(0, SECTORS - 3, 3).unwrap(), [0; 3 * 512]);
        // It is in the file.
        let mut back = vec![0; data.len()];
        machine.disks.get_mut(&3).unwrap().read(SECTORS - 3, &mut back).unwrap();
        assert_eq!(back, data);
    }
}

#[test]
fn disks_are_plugged_and_unplugged_while_the_guest_runs() {
    let mut machine = machine();
    machine.attach(7, new_disk(7).0);
    machine.run();
    assert!(machine.vsc.disks().contains_key(&7));
    machine.write(7, 0, &[5; 512]).unwrap();
    machine.events.clear();
    machine.host(storage_vsp::Input::Detach { lun: 7 });
    machine.run();
    assert_eq!(machine.events, [Output::DiskGone { lun: 7 }]);
    assert!(!machine.disks.contains_key(&7));
    assert_eq!(machine.read(7, 0, 1), Err(IoError::NoDisk));
    // The first one goes, too: the others are still found.
    machine.host(storage_vsp::Input::Detach { lun: 0 });
    machine.run();
    assert_eq!(machine.vsc.disks().keys().collect::<Vec<_>>(), [&3]);
    machine.write(3, 0, &[6; 512]).unwrap();
}

#[test]
fn a_disk_that_is_unplugged_under_a_request_ends_the_request() {
    let mut machine = machine();
    machine.events.clear();
    machine.guest(storage_vsc::Input::Submit {
        tag: 1,
        lun: 3,
        operation: Operation::Read { sector: 0, count: 8 },
    });
    machine.host_reads();
    machine.host(storage_vsp::Input::Detach { lun: 3 });
    assert!(machine.disks.contains_key(&3), "it is in use");
    machine.run();
    assert!(!machine.disks.contains_key(&3));
    let result = Err(IoError::Controller(SrbStatus::INVALID_LUN));
    assert!(machine.events.contains(&Output::Done { tag: 1, result }), "{:?}", machine.events);
    assert!(machine.events.contains(&Output::DiskGone { lun: 3 }));
    assert!(machine.read(0, 0, 1).is_ok());
}

#[test]
fn a_host_that_is_full_is_a_medium_error_and_the_guest_goes_on() {
    let mut machine = Machine::new(VscConfig::default());
    let (disk, storage) = new_disk(1);
    machine.attach(0, disk);
    machine.open();
    machine.run();
    machine.write(0, 0, &[1; 512]).unwrap();
    machine.done(0, Operation::Flush).unwrap();
    storage.set_room(Some(1));
    let full = machine.write(0, 500, &[2; 16384]);
    assert_eq!(full, Err(IoError::Sense(Sense::WRITE_ERROR)));
    assert!(machine.host_log[0].contains("the host has no room"), "{:?}", machine.host_log);
    // What it has is there, and where it has blocks it can be written.
    assert_eq!(machine.read(0, 0, 1).unwrap(), [1; 512]);
    machine.write(0, 1, &[3; 512]).unwrap();
    machine.done(0, Operation::Flush).unwrap();
    storage.set_room(None);
    machine.write(0, 500, &[2; 16384]).unwrap();
    assert_eq!(machine.read(0, 500, 32).unwrap(), [2; 16384]);
}

#[test]
fn ranges_that_are_not_the_guests_cost_it_its_channel() {
    let message = Message::ExecuteSrb(storage_protocol::ScsiRequest {
        address: storage_protocol::Address::lun(0),
        cdb: storage_protocol::cdb::Command::Read { block: 0, count: 8 }.encode().0,
        cdb_length: 16,
        sense_length: 20,
        direction: storage_protocol::Direction::Read,
        transfer_length: 4096,
    });
    let payload = Packet::request(message).encode(Version::WINDOWS_8_1, &mut [0; PACKET_BYTES]).to_vec();
    let page = |page| BufferRange { byte_offset: 0, byte_count: 4096, pages: vec![page] };
    for (ranges, why) in [
        // Beyond its memory of 2048 pages.
        (vec![page(2048)], "is not memory of this guest"),
        (vec![page(100), page(u64::MAX >> 12)], "is not memory of this guest"),
        // The control page of its own ring.
        (vec![page(8)], "in use"),
        (vec![], "without a page range"),
        (vec![BufferRange { byte_offset: 4096, ..page(100) }], "begins at byte 4096"),
        (vec![BufferRange { byte_count: u32::MAX, ..page(100) }], "does not fit"),
        (
            vec![BufferRange { byte_count: 300 << 10, pages: vec![100; 75], byte_offset: 0 }],
            "takes 262144 at once",
        ),
    ] {
        let mut machine = machine();
        let (body, extra) = BufferRange::encode(&ranges, &payload);
        machine.guest_sends(&OutgoingPacket::gpa_direct(999, &body, extra));
        machine.host_reads();
        assert!(machine.closed, "{ranges:?}");
        assert!(machine.host_log[0].contains(why), "{ranges:?}: {:?}", machine.host_log);
    }
}

#[derive(Clone, Debug)]
enum Action {
    Write { lun: u8, sector: u64, count: u32, fill: u8, force: bool },
    Discard { lun: u8, sector: u64, count: u32 },
    Flush { lun: u8 },
    Read { lun: u8, sector: u64, count: u32 },
}

fn action() -> impl Strategy<Value = Action> {
    let place = || (prop::sample::select(vec![0u8, 3]), 0..SECTORS, 0..200u32);
    prop_oneof![
        4 => (place(), any::<u8>(), any::<bool>())
            .prop_map(|((lun, sector, count), fill, force)| Action::Write { lun, sector, count, fill, force }),
        1 => place().prop_map(|(lun, sector, count)| Action::Discard { lun, sector, count }),
        1 => place().prop_map(|(lun, ..)| Action::Flush { lun }),
        3 => place().prop_map(|(lun, sector, count)| Action::Read { lun, sector, count }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_a_guest_writes_is_what_it_reads(actions in prop::collection::vec(action(), 1..40)) {
        let mut machine = machine();
        let mut model = [0u8, 3].map(|lun| (lun, vec![0u8; SECTORS as usize * 512]));
        for action in actions {
            let (Action::Write { lun, sector, .. } | Action::Discard { lun, sector, .. } | Action::Read { lun, sector, .. }) = action else {
                let Action::Flush { lun } = action else { unreachable!() };
                machine.done(lun, Operation::Flush).unwrap();
                continue;
            };
            let (Action::Write { count, .. } | Action::Discard { count, .. } | Action::Read { count, .. }) = action else { unreachable!() };
            let fits = sector + u64::from(count) <= SECTORS;
            let disk = &mut model.iter_mut().find(|disk| disk.0 == lun).unwrap().1;
            let inside = if fits { sector as usize * 512..(sector as usize + count as usize) * 512 } else { 0..0 };
            let result = match action {
                Action::Write { fill, force, .. } => {
                    machine.partition.guest().write(Machine::buffer_of(1), &vec![fill; count as usize * 512]).unwrap();
                    disk[inside].fill(fill);
                    machine.done(lun, Operation::Write { sector, count, force })
                }
                Action::Discard { .. } => {
                    disk[inside].fill(0);
                    machine.done(lun, Operation::Discard { ranges: vec![(sector, count)] })
                }
                _ => {
                    let read = machine.read(lun, sector, count);
                    prop_assert_eq!(read.is_ok(), fits);
                    if let Ok(read) = &read {
                        prop_assert_eq!(&read[..], &disk[inside]);
                    }
                    read.map(|_| ())
                }
            };
            let expected = if fits { Ok(()) } else { Err(IoError::Sense(Sense::OUT_OF_RANGE)) };
            prop_assert_eq!(result, expected);
        }
        prop_assert!(machine.host_log.is_empty() && machine.vsp.under_way() == 0);
    }

    /// Requests that do not touch each other may be done in any order.
    #[test]
    fn requests_under_way_together_are_each_done(order in prop::collection::vec(any::<usize>(), 4), version in 0..4usize) {
        let mut machine = Machine::new(VscConfig { versions: vec![Version::SPOKEN[version]] });
        machine.attach(0, new_disk(1).0);
        machine.open();
        machine.run();
        machine.events.clear();
        for tag in 0..4 {
            machine.partition.guest().write(Machine::buffer_of(tag), &[tag as u8 + 1; 4096]).unwrap();
            let operation = Operation::Write { sector: tag * 100, count: 8, force: tag == 2 };
            machine.guest(storage_vsc::Input::Submit { tag, lun: 0, operation });
        }
        while machine.host_reads() {}
        for order in order {
            machine.order = order;
            prop_assert!(machine.disk_works());
        }
        machine.run();
        let mut done: Vec<u64> = machine.events.iter().map(|event| match event {
            Output::Done { tag, result: Ok(()) } => *tag,
            other => panic!("{other:?}"),
        }).collect();
        done.sort_unstable();
        prop_assert_eq!(done, [0, 1, 2, 3]);
        for tag in 0..4 {
            prop_assert_eq!(machine.read(0, tag * 100, 8).unwrap(), vec![tag as u8 + 1; 4096]);
        }
    }
}
