//! Version, capabilities, quiet period, status.

use super::*;
use dm_protocol::{Capabilities, CapabilitiesReport, StatusReport as WireStatus};

fn send(name: &str) -> Output {
    let bytes = vectors::bytes(name).to_vec();
    Output::Send { message: Packet::decode(&bytes).unwrap().message.message_type(), bytes }
}

fn answered(version: u32, is_last_attempt: bool, accepted: bool) -> Output {
    Output::VersionAnswered { version, is_last_attempt, accepted }
}

#[test]
fn a_2008_r2_host_accepts_0_3_after_the_guest_has_walked_down() {
    let mut host = host(config().with(|c| c.versions = vec![ProtocolVersion::V0_3]));
    assert_eq!(host.input(Input::ChannelOpened), []);
    assert_eq!(host.vector("DM1"), [send("DM2b"), answered(0x20000, false, false)]);
    let out = host.vector("DM1c");
    assert_eq!(sent(&out)[0].trans_id, 2);
    let out = host.vector("DM1d");
    assert_eq!((sent(&out)[0].trans_id, &out[1]), (3, &answered(3, true, true)));
    let out = host.vector("DM3");
    assert_eq!(out[0], send("DM4"));
    let capabilities = GuestCapabilities::from(Capabilities::new(true, true, 7));
    let GuestCapabilities { balloon, hot_add, granule, hot_remove, .. } = capabilities;
    assert_eq!((balloon, hot_add, granule, hot_remove), (true, true, mib(128), false));
    assert_eq!(out[1], Output::CapabilitiesAnswered { capabilities, accepted: true });
    assert_eq!(out[2], Output::Ready { version: ProtocolVersion::V0_3, capabilities });
    assert_eq!(host.vsp.agreed(), Some((ProtocolVersion::V0_3, capabilities)));
}

#[test]
fn versions_must_match_exactly() {
    let all = vec![ProtocolVersion::V0_3, ProtocolVersion::V1_0, ProtocolVersion::V2_0];
    for (version, accepted) in [
        (3, true),
        (0x10000, true),
        (0x20000, true),
        (2, false),
        (5, false),
        (0x1_0001, false),
        (0x30000, false),
    ] {
        let mut host = host(config().with(|c| c.versions = all.clone()));
        host.input(Input::ChannelOpened);
        let request =
            dm_protocol::VersionRequest { version: dm_protocol::Version(version), is_last_attempt: false };
        let out = host.message(Message::VersionRequest(request));
        assert_eq!(out[1], answered(version, false, accepted));
    }
}

#[test]
fn a_refused_last_attempt_is_the_end() {
    let mut host = host(config().with(|c| c.versions = vec![ProtocolVersion::V0_3]));
    host.input(Input::ChannelOpened);
    assert_eq!(host.vector("DM1b"), [send("DM2b"), answered(0x20000, true, false)]);
    let out = host.vector("DM1d");
    assert_eq!(out, [Output::Ignored { message_type: None, why: Ignored::Closed }]);
    assert_eq!(host.vsp.next_timeout(), None);
    host.input(Input::ChannelClosed);
    host.input(Input::ChannelOpened);
    assert!(host.vector("DM1d").contains(&answered(3, true, true)), "a new channel, a new chance");
}

#[test]
fn capabilities_that_are_not_enough_are_refused() {
    for (balloon, hot_add) in [(true, false), (false, true), (false, false)] {
        for (policy, accepted) in
            [(CapabilityPolicy::RequireBoth, false), (CapabilityPolicy::AcceptAny, true)]
        {
            let mut host = host(config().with(|c| c.capability_policy = policy));
            host.input(Input::ChannelOpened);
            host.vector("DM1");
            let out = host.message(Message::CapabilitiesReport(CapabilitiesReport {
                capabilities: Capabilities::new(balloon, hot_add, 0),
                min_page_count: 0,
                max_page_number: 0,
            }));
            let [Packet { message: Message::CapabilitiesResponse(response), .. }, ..] = sent(&out)[..] else {
                panic!("{out:?}")
            };
            assert_eq!(response.is_accepted, accepted);
            assert_eq!(host.vsp.is_ready(), accepted);
            assert!(
                accepted
                    || host.vector("DM5") == [Output::Ignored { message_type: None, why: Ignored::Closed }]
            );
            if accepted {
                let out = if balloon { host.grow(mib(2)) } else { host.shrink(mib(2)) };
                let nothing_to_do = !hot_add || !balloon;
                assert_eq!(finished(&out) == Some((PageCount::ZERO, Outcome::NotCapable)), nothing_to_do);
            }
        }
    }
}

#[test]
fn nothing_is_asked_in_the_quiet_period_and_status_is_heard() {
    let mut host = host(config().with(|c| {
        c.quiet_period = seconds(50);
        c.maximum = Some(PageCount(0x80000));
    }));
    host.input(Input::ChannelOpened);
    host.vector("DM1");
    let out = host.vector("DM3");
    assert_eq!(out.len(), 2, "no information, not ready: {out:?}");
    assert_eq!(host.vsp.next_timeout(), Some(seconds(50)));
    let why = Rejection::NotReady;
    assert_eq!(host.grow(mib(2)), [Output::Rejected { kind: OperationKind::Grow, requested: mib(2), why }]);
    assert!(matches!(host.vector("DM5")[..], [Output::Status { .. }]));
    assert_eq!(host.wait(Duration::from_millis(49_999)), []);
    let out = host.wait(Duration::from_millis(1));
    assert_eq!(out[0], send("DM12"));
    assert!(matches!(out[1], Output::Ready { version: ProtocolVersion::V2_0, .. }));
    assert_eq!(sent(&host.grow(mib(128))).len(), 1);
}

#[test]
fn the_quiet_period_ends_in_time_even_if_nobody_says_so() {
    let mut host = host(config().with(|c| c.quiet_period = seconds(50)));
    host.handshake(1);
    host.now = seconds(51);
    let out = host.shrink(mib(2));
    assert!(matches!(out[..], [Output::Ready { .. }, Output::Send { .. }]));
}

#[test]
fn a_0_3_guest_gets_no_information() {
    let mut host = host(config().with(|c| c.maximum = Some(PageCount(0x80000))));
    host.input(Input::ChannelOpened);
    host.vector("DM1d");
    assert_eq!(sent(&host.vector("DM3")).len(), 1);
}

#[test]
fn order_is_checked() {
    let mut host = host(config());
    let unexpected = |name: &str| {
        let message_type = Some(vectors::bytes(name)[0].into());
        vec![Output::Ignored { message_type, why: Ignored::Unexpected }]
    };
    assert_eq!(host.vector("DM1"), [Output::Ignored { message_type: None, why: Ignored::Closed }]);
    host.input(Input::ChannelOpened);
    for name in ["DM3", "DM5", "DM7", "DM9", "DM11", "DM2", "DM6"] {
        assert_eq!(host.vector(name), unexpected(name), "{name} before the version");
    }
    host.vector("DM1");
    for name in ["DM1", "DM5", "DM7", "DM9", "DM11", "DM4"] {
        assert_eq!(host.vector(name), unexpected(name), "{name} before the capabilities");
    }
    host.vector("DM3");
    for name in ["DM1", "DM3", "DM7", "DM7b", "DM9", "DM11", "DM14", "DM8", "DM12"] {
        assert_eq!(host.vector(name), unexpected(name), "{name} when nothing was asked");
    }
    assert!(host.vsp.is_ready());
    let unknown = [99, 0, 8, 0, 1, 0, 0, 0];
    let out = host.input(Input::Packet(unknown.to_vec()));
    assert_eq!(out, [Output::Ignored { message_type: Some(99), why: Ignored::UnknownType }]);
    let out = host.input(Input::Packet(vec![5, 0, 16, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(out, [Output::Ignored { message_type: Some(5), why: Ignored::TooShort }]);
    let statistics = host.vsp.statistics();
    assert_eq!((statistics.messages_received, statistics.ignored), (27, 25));
    assert_eq!(statistics.messages_sent, 2, "the others were answered");
}

#[test]
fn a_guest_that_does_not_go_on_is_unresponsive_until_it_does() {
    let mut host = host(config());
    host.input(Input::ChannelOpened);
    assert_eq!(host.vsp.next_timeout(), Some(seconds(30)));
    assert_eq!(host.wait(seconds(30)), [Output::Unresponsive { waiting_for: Waiting::Version }]);
    assert_eq!(host.vsp.next_timeout(), None, "said once");
    assert_eq!(host.vector("DM1")[0], Output::Responsive);
    assert_eq!(host.wait(seconds(30)), [Output::Unresponsive { waiting_for: Waiting::Capabilities }]);
    let out = host.vector("DM3");
    assert_eq!(out[0], Output::Responsive);
    assert!(host.vsp.is_ready() && !host.vsp.is_unresponsive());
}

#[test]
fn demand_is_commit_without_what_is_known_to_be_ballooned() {
    let status = |host: &mut Host, committed: u64| {
        let report = WireStatus { available: 7, committed, ..WireStatus::default() };
        match host.message(Message::StatusReport(report))[..] {
            [Output::Status { reported, demand, absurd: false }] => {
                assert_eq!((reported.available, reported.committed), (PageCount(7), PageCount(committed)));
                demand.get()
            }
            ref other => panic!("{other:?}"),
        }
    };
    let mut host = ready();
    assert_eq!(status(&mut host, 1000), 1000);
    host.balloon(&[(0, 300)]);
    assert_eq!(status(&mut host, 1300), 1000);
    assert_eq!(status(&mut host, 200), 0);
    // Given away, and not released yet.
    host.held_back = Some(Vec::new());
    host.shrink(PageCount(100));
    host.gives(false, &[(300, 100)]);
    assert_eq!(status(&mut host, 1400), 1000);
    for input in host.held_back.take().unwrap() {
        host.input(input);
    }
    assert_eq!(status(&mut host, 1400), 1000);
    // Offered back, and not taken yet.
    host.grow(PageCount(400));
    assert_eq!(status(&mut host, 1400), 1000);
    host.took();
    assert_eq!(status(&mut host, 1000), 1000);
    // New, and not accepted yet: Linux' driver counts it when it has added it, as the recorded load `ramp` shows in its 26th second.
    host.grow(mib(2));
    assert_eq!(status(&mut host, 1000), 1000);
    host.added(512, 1);
    assert_eq!(status(&mut host, 1000), 1000);
    // Stranded: the Linux driver keeps counting it.
    host.balloon(&[(0, 300)]);
    host.input(Input::ChannelClosed);
    host.handshake(1);
    assert_eq!(status(&mut host, 1300), 1000);
}

#[test]
fn absurd_claims_are_limited() {
    let mut host = ready();
    let report = WireStatus { available: u64::MAX, committed: (1 << 40) + 1, ..WireStatus::default() };
    let out = host.message(Message::StatusReport(report));
    let most = PageCount(1 << 40);
    let mut reported = StatusReport::default();
    (reported.available, reported.committed) = (most, most);
    assert_eq!(out, [Output::Status { reported, demand: most, absurd: true }]);
    assert_eq!(host.vsp.statistics().absurd_status_reports, 1);
    let report = WireStatus { committed: 1 << 40, ..WireStatus::default() };
    assert!(matches!(
        host.message(Message::StatusReport(report))[..],
        [Output::Status { absurd: false, .. }]
    ));
}
