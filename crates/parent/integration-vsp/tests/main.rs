//! Both ends of each service, and guests that keep no rule.

use std::time::Duration;

use integration_protocol::{
    self as protocol, ApplicationState, Flags, KeyValue, KeyValueOperation, Message, MessageType,
    Negotiation, Pool, Service, ShutdownKind, Status, TimeSyncFlags, Value, Version,
};
use integration_vsc::{IntegrationVsc, Output as GuestOutput};
use integration_vsp::{
    Event, Heartbeat, HeartbeatStatus, HostClock, Ignored, IntegrationService, KeyValueAnswer, KeyValues,
    Output, Shutdown, ShutdownAnswer, TimeSync,
};
use proptest::prelude::*;

const S: Duration = Duration::from_secs(1);

/// What came of carrying packets to and fro until nobody says anything.
#[derive(Debug, Default)]
struct Said {
    host: Vec<Event>,
    guest: Vec<GuestOutput>,
}

/// Carries what the host has said to the guest, and the answers back.
fn carry(
    now: Duration,
    host: &mut dyn IntegrationService,
    guest: &mut IntegrationVsc,
    out: Vec<Output>,
) -> Said {
    let mut said = Said::default();
    let mut outputs = out;
    while !outputs.is_empty() {
        let mut next = Vec::new();
        for output in outputs {
            let packet = match output {
                Output::Send(packet) => packet,
                Output::Event(event) => {
                    said.host.push(event);
                    continue;
                }
            };
            let mut answers = Vec::new();
            guest.packet(&packet, &mut answers);
            for answer in answers {
                match answer {
                    GuestOutput::Send(packet) => host.packet(now, &packet, &mut next),
                    other => said.guest.push(other),
                }
            }
        }
        outputs = next;
    }
    said
}

fn open(host: &mut dyn IntegrationService, guest: &mut IntegrationVsc) -> Said {
    let mut out = Vec::new();
    host.opened(Duration::ZERO, &mut out);
    carry(Duration::ZERO, host, guest, out)
}

/// The time passes, and the guest answers or does not.
fn pass(now: Duration, host: &mut dyn IntegrationService, guest: Option<&mut IntegrationVsc>) -> Said {
    let mut out = Vec::new();
    host.timer(now, &mut out);
    match guest {
        Some(guest) => carry(now, host, guest, out),
        None => {
            let events = out.into_iter().filter_map(|output| match output {
                Output::Event(event) => Some(event),
                Output::Send(_) => None,
            });
            Said { host: events.collect(), guest: Vec::new() }
        }
    }
}

fn negotiated(version: Version) -> Event {
    Event::Negotiated { framework: Version::new(3, 0), version }
}

#[test]
fn the_newest_common_version_is_agreed_on() {
    for (speaks, agreed) in [
        (vec![Version::new(3, 2), Version::new(3, 1)], Version::new(3, 2)),
        (vec![Version::new(9, 0), Version::new(1, 0)], Version::new(1, 0)),
    ] {
        let mut guest = IntegrationVsc::speaking(Service::Shutdown, &speaks);
        let said = open(&mut Shutdown::new(), &mut guest);
        assert_eq!(said.host, [negotiated(agreed)]);
        assert_eq!(guest.agreed(), Some((Version::new(3, 0), agreed)));
    }
    let mut guest = IntegrationVsc::speaking(Service::Shutdown, &[Version::new(9, 0)]);
    let mut host = Shutdown::new();
    assert_eq!(open(&mut host, &mut guest).host, [Event::NoCommonVersion]);
    assert!(!host.request(S, &power_off(), &mut Vec::new()), "nothing can be asked");
}

#[test]
fn a_guest_that_answers_lives_until_it_no_longer_answers() {
    let (mut host, mut guest) = (Heartbeat::new(), IntegrationVsc::new(Service::Heartbeat));
    assert_eq!(host.status(), HeartbeatStatus::NoContact);
    let said = open(&mut host, &mut guest);
    let ok = HeartbeatStatus::Ok(ApplicationState::OK);
    assert_eq!(said.host, [negotiated(Version::new(3, 0)), Event::Heartbeat(ok)]);
    assert_eq!(host.next_timeout(), Some(2 * S));
    assert_eq!(pass(2 * S, &mut host, Some(&mut guest)).host, [], "all is as it was");
    guest.set_state(ApplicationState::CRITICAL);
    let critical = HeartbeatStatus::Ok(ApplicationState::CRITICAL);
    assert_eq!(pass(4 * S, &mut host, Some(&mut guest)).host, [Event::Heartbeat(critical)]);
    // The question of 6 s and the four after it stay without an answer.
    for beat in 3..=7 {
        assert_eq!(pass(2 * beat * S, &mut host, None).host, [], "beat {beat}");
    }
    let lost = Event::Heartbeat(HeartbeatStatus::LostCommunication);
    assert_eq!(pass(16 * S, &mut host, None).host, [lost]);
    // The guest is back.
    assert_eq!(pass(18 * S, &mut host, Some(&mut guest)).host, [Event::Heartbeat(critical)]);
    let mut out = Vec::new();
    host.closed(&mut out);
    assert_eq!(out, [Output::Event(Event::Heartbeat(HeartbeatStatus::NoContact))]);
    assert_eq!(host.next_timeout(), None);
}

fn power_off() -> protocol::Shutdown {
    let (kind, text) = (ShutdownKind::PowerOff, "the host is maintained".to_owned());
    protocol::Shutdown { kind, force: true, timeout: 60, text }
}

#[test]
fn a_guest_is_asked_to_shut_down() {
    let (mut host, mut guest) = (Shutdown::new(), IntegrationVsc::new(Service::Shutdown));
    open(&mut host, &mut guest);
    let mut out = Vec::new();
    assert!(host.request(S, &power_off(), &mut out));
    let said = carry(S, &mut host, &mut guest, out);
    assert_eq!(said.guest, [GuestOutput::Shutdown(power_off())]);
    assert_eq!(said.host, [Event::Shutdown(ShutdownAnswer::Accepted)]);
    assert_eq!(host.next_timeout(), None);

    // A guest that says nothing.
    assert!(host.request(S, &power_off(), &mut Vec::new()));
    assert_eq!(host.next_timeout(), Some(31 * S));
    assert_eq!(pass(31 * S, &mut host, None).host, [Event::Shutdown(ShutdownAnswer::NoAnswer)]);

    // A guest that will not.
    let mut out = Vec::new();
    assert!(host.request(40 * S, &power_off(), &mut out));
    let [Output::Send(asked)] = &out[..] else { panic!("{out:?}") };
    let refusal =
        Message { status: Status::FAILED, flags: Flags::RESPONSE, ..Message::decode(asked).unwrap() };
    let mut out = Vec::new();
    host.packet(40 * S, &refusal.encode(), &mut out);
    assert_eq!(out, [Output::Event(Event::Shutdown(ShutdownAnswer::Refused(Status::FAILED)))]);
}

/// A host whose time is this when the run begins.
fn since(at_zero: u64) -> HostClock {
    Box::new(move |now| at_zero + u64::try_from(now.as_nanos() / 100).unwrap())
}

#[test]
fn a_guest_is_told_the_time() {
    let told = |said: &Said| match &said.guest[..] {
        [GuestOutput::Time(time)] => *time,
        other => panic!("{other:?}"),
    };
    let mut guest = IntegrationVsc::new(Service::TimeSync);
    let mut host = TimeSync::new(since(1_000), None);
    let time = told(&open(&mut host, &mut guest));
    assert_eq!((time.host_time, time.flags), (1_000, TimeSyncFlags::SYNC));
    assert_eq!(guest.agreed(), Some((Version::new(3, 0), Version::new(3, 0))), "without a reference clock");
    let time = told(&pass(5 * S, &mut host, Some(&mut guest)));
    assert_eq!((time.host_time, time.reference_time), (50_001_000, None));
    assert_eq!(time.flags, TimeSyncFlags::SAMPLE);

    let mut clock = 70;
    let mut host = TimeSync::new(
        since(1_000),
        Some(Box::new(move || {
            clock += 7;
            clock
        })),
    );
    let mut guest = IntegrationVsc::new(Service::TimeSync);
    let time = told(&open(&mut host, &mut guest));
    assert_eq!(guest.agreed(), Some((Version::new(3, 0), Version::new(4, 0))));
    assert_eq!(time.reference_time, Some(77));
    let mut out = Vec::new();
    host.closed(&mut out);
    assert_eq!((host.next_timeout(), &out[..]), (None, &[][..]));
}

#[test]
fn values_are_read_and_written() {
    let (mut host, mut guest) = (KeyValues::new(), IntegrationVsc::new(Service::KeyValue));
    guest.remember(Pool::Auto, "OSName", Value::Text("Debian".to_owned()));
    open(&mut host, &mut guest);
    let mut ask = |pool, operation, key: &str| {
        let question = KeyValue { pool, operation, key: key.to_owned(), value: None };
        let mut out = Vec::new();
        assert!(host.request(S, &question, &mut out));
        assert!(!host.request(S, &question, &mut Vec::new()), "one question at a time");
        match &carry(S, &mut host, &mut guest, out).host[..] {
            [Event::KeyValue(answer)] => answer.clone(),
            other => panic!("{other:?}"),
        }
    };
    let value = |answer: KeyValueAnswer| match answer {
        KeyValueAnswer::Done(answer) => (answer.key, answer.value),
        other => panic!("{other:?}"),
    };
    let name = || ("OSName".to_owned(), Some(Value::Text("Debian".to_owned())));
    assert_eq!(value(ask(Pool::Auto, KeyValueOperation::Get, "OSName")), name());
    assert_eq!(value(ask(Pool::Auto, KeyValueOperation::Enumerate(0), "")), name());
    let none = KeyValueAnswer::Refused(Status::NO_MORE_ITEMS);
    assert_eq!(ask(Pool::Auto, KeyValueOperation::Enumerate(1), ""), none);
    assert_eq!(ask(Pool::External, KeyValueOperation::Get, "rack"), none);
    value(ask(Pool::External, KeyValueOperation::Set(Value::U32(7)), "rack"));
    let rack = ("rack".to_owned(), Some(Value::U32(7)));
    assert_eq!(value(ask(Pool::External, KeyValueOperation::Get, "rack")), rack);
    value(ask(Pool::External, KeyValueOperation::Delete, "rack"));
    assert_eq!(ask(Pool::External, KeyValueOperation::Delete, "rack"), none);
}

#[test]
fn what_answers_nothing_is_left_alone() {
    let mut host = Heartbeat::new();
    let mut out = Vec::new();
    host.opened(Duration::ZERO, &mut out);
    let [Output::Send(offer)] = &out[..] else { panic!("{out:?}") };
    let offer = offer.clone();
    let asked = Message::decode(&offer).unwrap();
    let mut says = |message: Message<'_>| {
        let mut out = Vec::new();
        host.packet(Duration::ZERO, &message.encode(), &mut out);
        out
    };
    let ignored = |why| [Output::Event(Event::Ignored(why))];
    assert_eq!(says(asked), ignored(Ignored::OfAnotherKind), "the question itself");
    let answer = Message { flags: Flags::RESPONSE, ..asked };
    assert_eq!(says(Message { kind: MessageType::SHUTDOWN, ..answer }), ignored(Ignored::OfAnotherKind));
    assert_eq!(says(Message { transaction: 77, ..answer }), ignored(Ignored::NotAsked));
    let never = Negotiation { frameworks: vec![Version::new(3, 0)], versions: vec![Version::new(8, 0)] };
    assert_eq!(says(Message { body: &never.encode(), ..answer }), ignored(Ignored::NotOffered));
    let chosen = Negotiation { frameworks: vec![Version::new(1, 0)], versions: vec![Version::new(1, 0)] };
    let out = says(Message { body: &chosen.encode(), ..answer });
    assert!(matches!(out[..], [Output::Event(Event::Negotiated { .. }), Output::Send(_)]), "{out:?}");
}

fn any_service() -> impl Strategy<Value = Box<dyn IntegrationService>> {
    (0..4).prop_map(|which| -> Box<dyn IntegrationService> {
        match which {
            0 => Box::new(Heartbeat::new()),
            1 => Box::new(Shutdown::new()),
            2 => Box::new(TimeSync::new(since(5), None)),
            _ => Box::new(KeyValues::new()),
        }
    })
}

proptest! {
    /// Whatever a guest sends, the host says at most one thing more than it was made to, and never more than one question is under way.
    #[test]
    fn any_guest_is_survived(
        mut host in any_service(),
        packets in prop::collection::vec((0_u16..6, any::<u8>(), 0_u8..6, prop::collection::vec(any::<u8>(), 0..80), any::<bool>()), 0..40),
    ) {
        let mut out = Vec::new();
        host.opened(Duration::ZERO, &mut out);
        for (step, (kind, transaction, flags, body, time)) in packets.into_iter().enumerate() {
            let now = S * step as u32;
            let version = Version::new(3, 0);
            let message = Message {
                framework: version, kind: MessageType(kind), version, status: Status(0),
                transaction: transaction % 4, flags: Flags(flags), body: &body,
            };
            out.clear();
            if time { host.timer(now, &mut out) } else { host.packet(now, &message.encode(), &mut out) }
            let sent = out.iter().filter(|output| matches!(output, Output::Send(_))).count();
            prop_assert!(sent <= 1 && out.len() <= 3, "{:?}", out);
        }
    }
}
