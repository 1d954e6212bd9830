//! Version, capabilities, status.

use super::*;
use dm_protocol::{CapabilitiesResponse, StatusReport};
use dm_vsc::{EndReason, Faults, Ignored, StatusClaim};

fn send(name: &str) -> Output {
    let bytes = vectors::bytes(name).to_vec();
    Output::Send { message: Packet::decode(&bytes).unwrap().message.message_type(), bytes }
}

#[test]
fn a_current_driver_walks_down_the_versions_as_linux_does() {
    let mut guest = guest(VscConfig::linux());
    assert_eq!(guest.input(Input::ChannelOpened), [send("DM1")]);
    assert_eq!(guest.vector("DM2b"), [send("DM1c")]);
    assert_eq!(guest.vector("DM2b"), [send("DM1d")]);
    let out = guest.vector("DM2");
    assert_eq!(out[0], Output::VersionAccepted(DriverVersion::V0_3));
    assert_eq!(guest.vsc.version(), None);
    assert_eq!(guest.vector("DM4"), [Output::Running { version: DriverVersion::V0_3 }]);
    assert_eq!(guest.vsc.version(), Some(DriverVersion::V0_3));
}

#[test]
fn the_capabilities_are_those_of_the_vector() {
    let mut guest = guest(VscConfig::linux());
    guest.input(Input::ChannelOpened);
    assert_eq!(guest.vector("DM2")[1], send("DM3"));
}

#[test]
fn a_newer_linux_has_one_attempt() {
    let config = VscConfig::linux().with(|c| c.proposals = vec![DriverVersion::V2_0]);
    let mut guest = guest(config);
    assert_eq!(guest.input(Input::ChannelOpened), [send("DM1b")]);
    let out = guest.vector("DM2b");
    assert_eq!(out, [Output::Ended(EndReason::VersionsRefused), Output::CloseChannel]);
    assert_eq!(guest.vsc.next_timeout(), None);
}

#[test]
fn refused_capabilities_end_the_service() {
    let mut guest = guest(quick());
    guest.input(Input::ChannelOpened);
    guest.vector("DM2");
    let out = guest.message(Message::CapabilitiesResponse(CapabilitiesResponse::default()));
    assert_eq!(out, [Output::Ended(EndReason::CapabilitiesRefused), Output::CloseChannel]);
}

#[test]
fn a_silent_host_is_given_up_after_five_seconds_for_all_versions_together() {
    let mut guest = guest(quick());
    guest.input(Input::ChannelOpened);
    assert_eq!(guest.run_until(seconds(4)), []);
    guest.vector("DM2b");
    let out = guest.run_until(seconds(60));
    assert_eq!(out[0], (seconds(5), Output::Ended(EndReason::NoAnswer)));
}

#[test]
fn the_handshake_can_be_repeated() {
    let mut guest = running(quick());
    guest.input(Input::ChannelClosed);
    assert_eq!(guest.vsc.version(), None);
    let out = guest.input(Input::ChannelOpened);
    assert!(matches!(messages(&out)[..], [Message::VersionRequest(_)]));
    guest.vector("DM2");
    guest.vector("DM4");
    assert_eq!(guest.vsc.version(), Some(DriverVersion::V2_0));
}

#[test]
fn status_is_reported_once_a_second() {
    let mut guest = running(VscConfig::windows(DriverVersion::V2_0));
    let out = guest.run_until(seconds(10));
    let times: Vec<u64> = out.iter().map(|(at, _)| at.as_secs()).collect();
    assert_eq!(times, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let expected = StatusReport {
        available: 48 * 256,
        committed: 16 * 256,
        page_file_size: 77,
        zero_free: 48 * 256,
        page_file_writes: 99,
        io_diff: (-11_i32).cast_unsigned(),
    };
    assert_eq!(sent(&out[0].1).unwrap().message, Message::StatusReport(expected));
    let mut ids: Vec<u32> = out.iter().filter_map(|(_, output)| sent(output)).map(|p| p.trans_id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 10, "every message has a number of its own");
}

#[test]
fn after_a_pause_there_is_no_burst() {
    // Due at 1 s: one interval too late to the nanosecond, and several.
    for (now, next) in [(2000, 3000), (7300, 8300)]
        .map(|(now, next)| (Duration::from_millis(now), Duration::from_millis(next)))
    {
        let mut guest = running(VscConfig::windows(DriverVersion::V2_0));
        guest.now = now;
        assert_eq!(guest.input(Input::Timer).len(), 1);
        assert_eq!(guest.vsc.next_timeout(), Some(next));
    }
}

#[test]
fn linux_is_silent_at_first_and_adds_its_floor() {
    let mut guest = running(VscConfig::linux());
    let out = guest.run_until(seconds(50));
    assert_eq!(out[0].0, seconds(46));
    let Message::StatusReport(report) = sent(&out[0].1).unwrap().message else { panic!() };
    // The memory manager knows of free pages and of a page file; the driver does not tell.
    let (available, committed) = (48 * 256, (16 + 40) * 256);
    assert_eq!(report, StatusReport { available, committed, ..StatusReport::default() });
}

#[test]
fn linux_is_silent_once() {
    let mut guest = running(VscConfig::linux());
    guest.run_until(seconds(20));
    let reopened = |guest: &mut Guest| {
        guest.input(Input::ChannelClosed);
        guest.input(Input::ChannelOpened);
        guest.vector("DM2");
        guest.vector("DM4");
        guest.vsc.next_timeout()
    };
    assert_eq!(reopened(&mut guest), Some(seconds(46)), "what is left of the 45 s");
    guest.run_until(seconds(100));
    assert_eq!(reopened(&mut guest), Some(seconds(101)));
}

#[test]
fn a_report_is_announced_with_what_it_is_made_of() {
    let mut guest = running(VscConfig::linux());
    let (mut out, floor) = (Vec::new(), PageCount::from_mib(40));
    guest.vsc.handle(seconds(46), Input::Timer, &mut guest.memory, &mut out);
    let own_commit = PageCount::from_mib(16);
    let announced = Output::Reported {
        available: PageCount::from_mib(48),
        committed: own_commit + floor,
        own_commit,
        ballooned: PageCount::ZERO,
    };
    assert_eq!(out[0], announced);
    assert!(matches!(out[1], Output::Send { message: dm_protocol::MessageType::STATUS_REPORT, .. }));
}

#[test]
fn suppression_is_honoured_by_whom_it_is() {
    for (honour_suppression, reports) in [(true, 0), (false, 5)] {
        let config =
            VscConfig::windows(DriverVersion::V2_0).with(|c| c.honour_suppression = honour_suppression);
        let mut guest = guest(config);
        guest.input(Input::ChannelOpened);
        guest.vector("DM2");
        guest.vector("DM4b");
        assert_eq!(guest.run_until(seconds(5)).len(), reports);
    }
}

#[test]
fn a_lie_is_told() {
    let mut guest = running(VscConfig::windows(DriverVersion::V2_0));
    let claim = Some(StatusClaim { available: 1, committed: u64::MAX });
    guest.input(Input::SetFaults(Faults::default().with(|c| c.claim = claim)));
    let out = guest.run_until(seconds(1));
    let Message::StatusReport(report) = sent(&out[0].1).unwrap().message else { panic!() };
    assert_eq!((report.available, report.committed), (1, u64::MAX));
}

#[test]
fn information_is_kept() {
    let mut guest = running(quick());
    assert_eq!(guest.vector("DM12"), [Output::Maximum(PageCount(0x80000))]);
    assert_eq!(guest.vsc.maximum(), Some(PageCount(0x80000)));
}

#[test]
fn what_a_host_should_not_send_is_dropped() {
    let mut guest = running(quick());
    for (name, why) in [
        ("DM1", Ignored::Unexpected),
        ("DM2", Ignored::Unexpected),
        ("DM4", Ignored::Unexpected),
        ("DM7", Ignored::Unexpected),
        ("DM13", Ignored::Unsupported),
    ] {
        let message_type = Some(vectors::bytes(name)[0].into());
        assert_eq!(guest.vector(name), [Output::Ignored { message_type, why }], "{name}");
    }
    let out = guest.input(Input::Packet(vec![6, 0, 16, 0]));
    assert_eq!(out, [Output::Ignored { message_type: None, why: Ignored::Malformed }]);
}
