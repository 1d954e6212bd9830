//! The driver against a host that answers by hand, and against one that answers anything.

use std::time::Duration;

use proptest::prelude::*;
use storage_protocol::{Message, NtStatus, PACKET_BYTES, Packet, Properties, SrbStatus, Version};
use storage_vsc::{Failure, Input, IoError, Operation, Output, StorageVsc, VscConfig};

fn bytes(message: Message) -> Vec<u8> {
    Packet::notice(message).encode(Version::WINDOWS_8_1, &mut [0; PACKET_BYTES]).to_vec()
}

fn completion(status: NtStatus) -> Vec<u8> {
    bytes(Message::Completion(status))
}

struct Driver {
    vsc: StorageVsc,
    now: Duration,
    out: Vec<Output>,
}

impl Driver {
    fn opened() -> Self {
        let mut driver =
            Self { vsc: StorageVsc::new(VscConfig::default()), now: Duration::ZERO, out: Vec::new() };
        driver.input(Input::ChannelOpened);
        driver
    }

    fn input(&mut self, input: Input) {
        self.vsc.handle(self.now, input, &mut self.out);
    }

    /// The last request that was sent.
    fn asked(&mut self) -> (u64, Message) {
        let sent = self.out.iter().rev().find_map(|output| match output {
            Output::Send { request, payload, .. } => {
                Some((*request, Packet::decode(payload).unwrap().message))
            }
            _ => None,
        });
        self.out.clear();
        sent.unwrap()
    }

    fn answer(&mut self, payload: Vec<u8>) {
        let (request, _) = self.asked();
        self.input(Input::Completion { request, payload, data: Vec::new() });
    }
}

#[test]
fn versions_are_tried_from_the_newest_on() {
    let mut driver = Driver::opened();
    driver.answer(completion(NtStatus::SUCCESS));
    for expected in Version::SPOKEN.iter().rev() {
        let (request, message) = driver.asked();
        assert_eq!(message, Message::QueryProtocolVersion { version: *expected, revision: 0 });
        let payload = completion(NtStatus::REVISION_MISMATCH);
        driver.input(Input::Completion { request, payload, data: Vec::new() });
    }
    assert_eq!(driver.out, [Output::Failed { why: Failure::VersionsRefused }]);
}

#[test]
fn a_host_that_does_not_answer_or_refuses_is_given_up() {
    for steps in 0..4 {
        let mut driver = Driver::opened();
        let properties = Properties { max_sub_channels: 0, max_transfer_bytes: 4096 };
        for step in 0..steps {
            driver.answer(match step {
                2 => bytes(Message::PropertiesCompletion(properties)),
                _ => completion(NtStatus::SUCCESS),
            });
        }
        let (mut late, mut refused) = (driver.vsc.clone(), driver);
        let deadline = late.next_timeout().unwrap();
        let mut out = Vec::new();
        late.handle(deadline - Duration::from_nanos(1), Input::Timer, &mut out);
        assert_eq!(out, []);
        late.handle(deadline, Input::Timer, &mut out);
        assert_eq!(out, [Output::Failed { why: Failure::NoAnswer }]);
        if steps != 1 {
            refused.answer(completion(NtStatus::NOT_SUPPORTED));
            let why = Failure::Refused(NtStatus::NOT_SUPPORTED);
            assert_eq!(refused.out.last(), Some(&Output::Failed { why }));
        }
    }
}

#[test]
fn nothing_is_read_before_there_is_a_disk() {
    let mut driver = Driver::opened();
    driver.out.clear();
    let operation = Operation::Read { sector: 0, count: 1 };
    driver.input(Input::Submit { tag: 9, lun: 0, operation });
    assert_eq!(driver.out, [Output::Done { tag: 9, result: Err(IoError::ChannelClosed) }]);
    assert_ne!(SrbStatus::SUCCESS, SrbStatus::ERROR);
}

proptest! {
    /// No panic, no request without an end; every operation is answered once.
    #[test]
    fn any_host_is_survived(script in prop::collection::vec((0..12u8, prop::collection::vec(any::<u8>(), 0..80)), 0..60)) {
        let mut driver = Driver::opened();
        let (mut last, mut submitted, mut done) = (1, 0, 0);
        for (action, mut anything) in script {
            for output in driver.out.drain(..) {
                match output {
                    Output::Send { request, .. } => last = request,
                    Output::Done { .. } => done += 1,
                    _ => {}
                }
            }
            let properties = Properties { max_sub_channels: 0, max_transfer_bytes: 1 << 20 };
            let input = match action {
                0 => Input::ChannelOpened,
                1 => Input::ChannelClosed,
                2 => Input::Notice { payload: anything },
                3 => Input::Notice { payload: bytes(Message::EnumerateBus) },
                4 => {
                    submitted += 1;
                    let operation = Operation::Read { sector: u64::MAX, count: 7 };
                    Input::Submit { tag: 1, lun: anything.first().copied().unwrap_or(0), operation }
                }
                5 => Input::Completion { request: last, payload: anything.clone(), data: anything },
                6 => Input::Completion { request: last, payload: bytes(Message::PropertiesCompletion(properties)), data: anything },
                _ => {
                    // A good answer to a SCSI command, with any data.
                    let mut payload = completion(NtStatus::SUCCESS);
                    payload[14] = 1;
                    payload[24..28].fill(0x7f);
                    anything.iter_mut().step_by(3).for_each(|byte| *byte = 0);
                    Input::Completion { request: last, payload, data: anything }
                }
            };
            driver.input(input);
        }
        driver.input(Input::ChannelClosed);
        done += driver.out.iter().filter(|output| matches!(output, Output::Done { .. })).count();
        prop_assert_eq!(submitted, done);
        prop_assert!(driver.vsc.disks().is_empty());
    }
}
