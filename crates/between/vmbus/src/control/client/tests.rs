//! The guest's side, message by message, and joined to a server.

use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::outbox::kind_of;
use super::*;
use crate::control::message::{
    Body, GpadlCreated, GpadlTorndown, ModifyChannelResponse, OfferChannel, OpenChannelResult,
    RescindChannelOffer, TlConnectRequest, TlConnectResult, VersionResponse,
};
use crate::control::server::{self, ServerConfig};
use crate::control::test_support::{Pair, fuzz_client};
use crate::control::{DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE, PostStatus};

mod saved;

const RELID: Relid = Relid::FIRST;
const LIST: GpadlId = GpadlId(FIRST_GPADL);
const T0: Duration = Duration::ZERO;
const PAGES: [u64; 10] = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

fn params(gpadl: GpadlId) -> OpenParams {
    OpenParams { gpadl, downstream_offset: 5, target_vp: 0, user_data: UserData::ZERO }
}

fn offer_message(relid: u32) -> Payload {
    OfferChannel {
        class: DYNAMIC_MEMORY_CLASS.into(),
        instance: DYNAMIC_MEMORY_INSTANCE.into(),
        reserved: Default::default(),
        flags: 0.into(),
        mmio_mib: 0.into(),
        user_defined: UserData::ZERO,
        subchannel_index: 0.into(),
        reserved2: 0.into(),
        relid: relid.into(),
        monitor_id: 0,
        monitor_allocated: 0,
        dedicated_interrupt: 1.into(),
        connection_id: (16 + relid).into(),
    }
    .to_payload()
}

/// A client whose host is the test. Posts succeed at once.
struct Guest {
    client: Client,
    posted: Vec<(u32, MessageType)>,
}

impl Guest {
    fn new(config: ClientConfig) -> Self {
        Self { client: Client::new(config), posted: Vec::new() }
    }

    /// Runs it, notes what it posts, and returns the events.
    fn run<R>(&mut self, act: impl FnOnce(&mut Client, &mut Vec<Output>) -> R) -> (R, Vec<Output>) {
        let mut out = Vec::new();
        let result = act(&mut self.client, &mut out);
        let mut events = Vec::new();
        while !out.is_empty() {
            match out.remove(0) {
                Output::Post { connection_id, payload } => {
                    self.posted.push((connection_id, Message::decode(&payload).unwrap().kind()));
                    let mut more = Vec::new();
                    self.client.post_result(T0, PostStatus::Success, &mut more);
                    out.extend(more);
                }
                event => events.push(event),
            }
        }
        (result, events)
    }

    fn hears(&mut self, payload: impl AsRef<[u8]>) -> Vec<Output> {
        self.run(|client, out| client.message(T0, payload.as_ref(), out)).1
    }

    fn posted(&mut self) -> Vec<MessageType> {
        core::mem::take(&mut self.posted).into_iter().map(|(_, kind)| kind).collect()
    }

    /// Connected in this version, one channel offered.
    fn offered(version: Version) -> Self {
        let mut guest = Self::new(ClientConfig { versions: alloc::vec![version], ..ClientConfig::default() });
        guest.run(|client, out| client.connect(T0, out));
        guest.hears(VersionResponse::accepted(version, 4).to_payload());
        guest.hears(offer_message(1));
        guest.hears(Message::AllOffersDelivered.to_payload());
        guest.posted();
        guest
    }

    fn with_list(version: Version) -> Self {
        let mut guest = Self::offered(version);
        guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out)).0.unwrap();
        guest.hears(GpadlCreated::new(1, LIST, Status::SUCCESS).to_payload());
        guest
    }

    fn opened(version: Version) -> Self {
        let mut guest = Self::with_list(version);
        guest.run(|client, out| client.open(RELID, &params(LIST), out)).0.unwrap();
        guest.hears(OpenChannelResult::new(1, 1, Status::SUCCESS).to_payload());
        assert_eq!(guest.client.channel_status(RELID), Some(ChannelStatus::Open));
        guest.posted();
        guest
    }
}

fn blamed(violation: HostViolation) -> Vec<Output> {
    alloc::vec![Output::HostViolation(violation)]
}

#[test]
fn versions_are_tried_downwards() {
    let mut client = Client::new(ClientConfig::default());
    let mut out = Vec::new();
    client.connect(T0, &mut out);
    let mut tried = Vec::new();
    // A host like QEMU's: connection 4 is not there, 4.1 is refused, 4.0 agreed to.
    loop {
        let Output::Post { connection_id, payload } = out.remove(0) else { panic!("{out:?}") };
        let Ok(Message::InitiateContact(contact)) = Message::decode(&payload) else { panic!("{payload:?}") };
        tried.push(contact.version());
        assert_eq!(connection_id, if contact.version().names_its_connection() { 4 } else { 1 });
        if connection_id == 4 {
            client.post_result(T0, PostStatus::InvalidConnectionId, &mut out);
            continue;
        }
        client.post_result(T0, PostStatus::Success, &mut out);
        if contact.version() == Version::WIN10 {
            client.message(T0, &VersionResponse::accepted(Version::WIN10, 0).to_payload(), &mut out);
            break;
        }
        client.message(T0, &VersionResponse::refused().to_payload(), &mut out);
    }
    assert_eq!(tried, Version::SPOKEN[..6]);
    let requests = Message::RequestOffers.to_payload();
    assert_eq!(
        out,
        [Output::Connected(Version::WIN10), Output::Post { connection_id: 1, payload: requests }]
    );
}

#[test]
fn from_5_0_on_the_host_names_the_connection() {
    let mut guest = Guest::new(ClientConfig::default());
    guest.run(|client, out| client.connect(T0, out));
    let did = guest.hears(VersionResponse::accepted(Version::WS2022, 9).to_payload());
    assert_eq!(did, [Output::Connected(Version::WS2022)]);
    assert_eq!(guest.posted, [(4, MessageType::INITIATE_CONTACT), (9, MessageType::REQUEST_OFFERS)]);
}

#[test]
fn a_host_that_refuses_everything() {
    let mut guest = Guest::new(ClientConfig::default());
    guest.run(|client, out| client.connect(T0, out));
    for left in (0..8).rev() {
        let did = guest.hears(VersionResponse::refused().to_payload());
        let failed = [Output::Failed(Failure::NoVersion)];
        assert_eq!(did, if left == 0 { &failed[..] } else { &[] });
    }
    // Low on resources is a refusal, too; a version we do not speak is not used.
    let low = VersionResponse { state: 1, ..VersionResponse::accepted(Version::COPPER, 4) };
    let versions = alloc::vec![Version::WIN10, Version::COPPER];
    let mut guest = Guest::new(ClientConfig { versions, ..ClientConfig::default() });
    guest.run(|client, out| client.connect(T0, out));
    assert_eq!(guest.hears(low.to_payload()), []);
    let did = guest.hears(VersionResponse::accepted(Version::COPPER, 4).to_payload());
    assert_eq!(did, [Output::Failed(Failure::NoVersion)]);
    // Nothing to try.
    let mut guest = Guest::new(ClientConfig { versions: Vec::new(), ..ClientConfig::default() });
    let (_, did) = guest.run(|client, out| client.connect(T0, out));
    assert_eq!(did, [Output::Failed(Failure::NoVersion)]);
}

#[test]
fn a_full_port_is_tried_again_later_and_later() {
    let retry = Retry { attempts: 4, first: Duration::from_millis(1), longest: Duration::from_millis(3) };
    let mut client = Client::new(ClientConfig { retry, ..ClientConfig::default() });
    let mut out = Vec::new();
    let mut now = Duration::from_secs(5);
    client.connect(now, &mut out);
    let first = out.remove(0);
    for wait in [1, 2, 3] {
        client.post_result(now, PostStatus::InsufficientBuffers, &mut out);
        assert_eq!(out, []);
        let due = now + Duration::from_millis(wait);
        assert_eq!(client.next_timeout(), Some(due));
        client.timer(due - Duration::from_nanos(1), &mut out);
        assert_eq!(out, [], "not before its time");
        now = due;
        client.timer(now, &mut out);
        assert_eq!(out.pop().as_ref(), Some(&first), "the same message again");
        assert_eq!(client.next_timeout(), None);
    }
    client.post_result(now, PostStatus::InsufficientBuffers, &mut out);
    let kind = MessageType::INITIATE_CONTACT;
    let busy = PostFailure::HostBusy { kind, attempts: 4 };
    assert_eq!(out, [Output::Failed(Failure::NotPosted(busy))]);
    assert_eq!(client.next_timeout(), None);
    // Any other status fails at once.
    out.clear();
    client.connect(now, &mut out);
    out.clear();
    client.post_result(now, PostStatus::Other(6), &mut out);
    assert_eq!(out, [Output::Failed(Failure::NotPosted(PostFailure::Status { kind, status: 6 }))]);
}

/// Linux' `vmbus_post_msg`, as its source has it: 0x0b and 0x13 are tried again, and so is 0x12 for everything but
/// INITIATE_CONTACT; anything else fails at once.
fn linux_tries_again(kind: MessageType, status: u16) -> bool {
    match status {
        0x0b | 0x13 => true,
        0x12 => kind != MessageType::INITIATE_CONTACT,
        _ => false,
    }
}

#[test]
fn posts_are_tried_again_as_linux_does_and_no_failure_costs_the_connection() {
    type Ask = fn(&mut Client, &mut Vec<Output>);
    let requests: [(Ask, MessageType); 6] = [
        (
            |client, out| client.establish_gpadl(RELID, &[0; 60], out).map(drop).unwrap(),
            MessageType::GPADL_HEADER,
        ),
        (|client, out| client.close(RELID, out).unwrap(), MessageType::CLOSE_CHANNEL),
        (|client, out| client.modify(RELID, 0, out).unwrap(), MessageType::MODIFY_CHANNEL),
        (|client, out| client.connect(T0, out), MessageType::INITIATE_CONTACT),
        (|client, out| client.unload(T0, out), MessageType::UNLOAD),
        (
            |client, out| {
                client.message(T0, &RescindChannelOffer::new(RELID).to_payload(), out);
                client.state.channels.get_mut(&RELID).unwrap().ring = Ring::Closed;
                client.state.gpadls.clear();
                client.release(RELID, out).unwrap();
                out.retain(|output| matches!(output, Output::Post { .. }));
            },
            MessageType::RELID_RELEASED,
        ),
    ];
    for (ask, kind) in requests {
        for status in [0x05, 0x06, 0x0b, 0x11, 0x12, 0x13, 0x14] {
            let mut client = Guest::opened(Version::WS2022).client;
            let mut out = Vec::new();
            ask(&mut client, &mut out);
            let [Output::Post { payload, .. }] = out[..] else { panic!("{kind}: {out:?}") };
            assert_eq!(kind_of(&payload), kind);
            out.clear();
            client.post_result(T0, PostStatus::from_hv_status(status), &mut out);
            let again = linux_tries_again(kind, status);
            assert_eq!(client.next_timeout().is_some(), again, "{kind}, status {status:#x}");
            if again {
                assert_eq!(out, [], "{kind}, status {status:#x}");
                client.timer(client.next_timeout().unwrap(), &mut out);
                assert!(matches!(out[..], [Output::Post { payload: repeated, .. }] if repeated == payload));
            } else if ![MessageType::INITIATE_CONTACT, MessageType::UNLOAD].contains(&kind) {
                assert_eq!(client.version(), Some(Version::WS2022), "{kind}, status {status:#x}");
                assert_eq!(out[0], Output::NotPosted(PostFailure::Status { kind, status }));
            }
        }
    }
}

/// The driver that asked is told that its request has failed; nothing else is lost.
#[test]
fn a_request_that_cannot_be_posted_fails_alone() {
    let failed = Status::UNSUCCESSFUL;
    let refuse = |guest: &mut Guest, out: &mut Vec<Output>| {
        out.clear();
        guest.client.post_result(T0, PostStatus::Other(5), out);
        let told = out.split_off(0);
        assert_eq!(guest.client.version(), Some(Version::WS2022));
        assert!(guest.client.all_posted(), "what belongs to the request is not posted either");
        assert!(!guest.client.is_waiting());
        told
    };
    let mut out = Vec::new();
    // A list of three messages, of which the first, or the second, is not taken.
    for taken in 0..2 {
        let mut guest = Guest::offered(Version::WS2022);
        let gpadl = guest.client.establish_gpadl(RELID, &[0; 60], &mut out).unwrap();
        for _ in 0..taken {
            guest.client.post_result(T0, PostStatus::Success, &mut out);
        }
        let told = refuse(&mut guest, &mut out);
        assert_eq!(told[1..], [Output::GpadlCreated { relid: RELID, gpadl, status: failed }]);
        assert!(!guest.client.has_gpadl(gpadl));
    }
    let mut guest = Guest::with_list(Version::WS2022);
    guest.client.open(RELID, &params(LIST), &mut out).unwrap();
    let told = refuse(&mut guest, &mut out);
    assert_eq!(told[1..], [Output::Opened { relid: RELID, status: failed }]);
    assert_eq!(guest.client.channel_status(RELID), Some(ChannelStatus::Closed));
    let mut guest = Guest::opened(Version::WS2022);
    guest.client.modify(RELID, 0, &mut out).unwrap();
    let told = refuse(&mut guest, &mut out);
    assert_eq!(told[1..], [Output::Modified { relid: RELID, status: failed }]);
}

#[test]
fn every_unanswered_request_is_waited_for_by_itself() {
    let waits = |guest: &Guest| guest.client.is_waiting();
    let mut guest = Guest::new(ClientConfig::default());
    assert!(!waits(&guest));
    guest.run(|client, out| client.connect(T0, out));
    assert!(waits(&guest), "for a version");
    let mut guest = Guest::offered(Version::WS2022);
    assert!(!waits(&guest));
    guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out)).0.unwrap();
    assert!(waits(&guest), "for a list");
    guest.hears(GpadlCreated::new(1, LIST, Status::SUCCESS).to_payload());
    assert!(!waits(&guest));
    guest.run(|client, out| client.open(RELID, &params(LIST), out)).0.unwrap();
    assert!(waits(&guest), "for an open");
    guest.hears(OpenChannelResult::new(1, 1, Status::SUCCESS).to_payload());
    assert!(!waits(&guest));
    guest.run(|client, out| client.modify(RELID, 0, out)).0.unwrap();
    assert!(waits(&guest), "for a modification");
    guest.hears(ModifyChannelResponse::new(1, Status::SUCCESS).to_payload());
    assert!(!waits(&guest));
    guest.run(|client, out| client.close(RELID, out)).0.unwrap();
    assert!(!waits(&guest), "a close is not answered");
    guest.run(|client, out| client.teardown_gpadl(LIST, out)).0.unwrap();
    assert!(waits(&guest), "for a list's pages");
    guest.hears(GpadlTorndown::new(LIST).to_payload());
    assert!(!waits(&guest));
    guest.run(|client, out| client.unload(T0, out));
    assert!(waits(&guest), "for UNLOAD");
}

/// A driver that has closed its channel, or has lost it, waits for no answer to what it asked of the channel before.
#[test]
fn a_modification_that_cannot_be_posted_is_told_only_while_the_channel_is_open() {
    let told = |meanwhile: fn(&mut Guest, &mut Vec<Output>)| {
        let mut guest = Guest::opened(Version::WS2022);
        let mut out = Vec::new();
        guest.client.modify(RELID, 0, &mut out).unwrap();
        meanwhile(&mut guest, &mut out);
        out.clear();
        guest.client.post_result(T0, PostStatus::Other(5), &mut out);
        out.iter().filter(|output| matches!(output, Output::Modified { .. })).count()
    };
    assert_eq!(told(|_, _| ()), 1);
    assert_eq!(told(|guest, out| guest.client.close(RELID, out).unwrap()), 0);
    let rescind = |guest: &mut Guest, out: &mut Vec<Output>| {
        guest.client.message(T0, &RescindChannelOffer::new(RELID).to_payload(), out);
    };
    assert_eq!(told(rescind), 0);
}

/// A host may confirm a list of which it has not had all messages. The list is used then, and is not given up when the rest of its
/// messages is refused: a channel would be open on pages that nobody knows any more.
#[test]
fn a_list_that_was_confirmed_early_is_not_given_up() {
    let mut guest = Guest::offered(Version::WS2022);
    let mut out = Vec::new();
    let gpadl = guest.client.establish_gpadl(RELID, &[0; 60], &mut out).unwrap();
    guest.client.message(T0, GpadlCreated::new(1, gpadl, Status::SUCCESS).to_payload().as_ref(), &mut out);
    guest.client.open(RELID, &params(gpadl), &mut out).unwrap();
    guest.client.message(T0, OpenChannelResult::new(1, 1, Status::SUCCESS).to_payload().as_ref(), &mut out);
    out.clear();
    guest.client.post_result(T0, PostStatus::Other(5), &mut out);
    assert!(matches!(out[0], Output::NotPosted(_)));
    assert!(guest.client.has_gpadl(gpadl));
    assert_eq!(guest.client.channel_status(RELID), Some(ChannelStatus::Open));
    let config = ClientConfig { versions: alloc::vec![Version::WS2022], ..ClientConfig::default() };
    assert_eq!(Client::restore(config, guest.client.save()).as_ref(), Ok(&guest.client));
}

#[test]
fn order_is_kept_while_the_port_is_full() {
    let mut guest = Guest::offered(Version::WIN10);
    let mut out = Vec::new();
    let pages: Vec<u64> = (0..60).collect();
    guest.client.establish_gpadl(RELID, &pages, &mut out).unwrap();
    assert_eq!(out.len(), 1, "one post at a time");
    guest.client.post_result(T0, PostStatus::InsufficientBuffers, &mut out);
    let mut kinds = Vec::new();
    out.clear();
    guest.client.timer(guest.client.next_timeout().unwrap(), &mut out);
    assert!(!guest.client.all_posted());
    while let Some(Output::Post { payload, .. }) = out.pop() {
        kinds.push(Message::decode(&payload).unwrap().kind());
        guest.client.post_result(T0, PostStatus::Success, &mut out);
    }
    assert_eq!(kinds, [MessageType::GPADL_HEADER, MessageType::GPADL_BODY, MessageType::GPADL_BODY]);
    assert!(guest.client.all_posted());
}

#[test]
fn a_host_that_never_answers() {
    let timeout = Some(Duration::from_secs(100));
    let mut guest = Guest::new(ClientConfig { reply_timeout: timeout, ..ClientConfig::default() });
    guest.run(|client, out| client.connect(T0, out));
    assert_eq!(guest.client.next_timeout(), timeout);
    let (_, did) = guest.run(|client, out| client.timer(Duration::from_secs(100), out));
    assert_eq!(did, [Output::Failed(Failure::NoAnswer(MessageType::INITIATE_CONTACT))]);
    let versions = alloc::vec![Version::WIN10];
    let mut guest = Guest::new(ClientConfig { reply_timeout: timeout, versions, ..ClientConfig::default() });
    guest.run(|client, out| client.connect(T0, out));
    guest.hears(VersionResponse::accepted(Version::WIN10, 0).to_payload());
    assert_eq!(guest.client.next_timeout(), None);
    guest.run(|client, out| client.unload(T0, out));
    let (_, did) = guest.run(|client, out| client.timer(Duration::from_secs(101), out));
    assert_eq!(did, [Output::Failed(Failure::NoAnswer(MessageType::UNLOAD))]);
}

#[test]
fn a_message_is_posted_when_its_status_is_known() {
    let mut guest = Guest::offered(Version::WIN10);
    let mut out = Vec::new();
    guest.client.establish_gpadl(RELID, &PAGES, &mut out).unwrap();
    assert!(matches!(out[..], [Output::Post { .. }]) && !guest.client.all_posted());
    out.clear();
    guest.client.post_result(T0, PostStatus::Success, &mut out);
    assert!(out.is_empty() && guest.client.all_posted());
}

#[test]
fn an_offer_is_told_as_it_came_and_the_lowest_bit_says_whether_its_interrupt_is_its_own() {
    let offer = |relid: u32, dedicated: u16| {
        let payload = offer_message(relid);
        let Ok(Message::OfferChannel(message)) = Message::decode(&payload) else { panic!("{payload:?}") };
        OfferChannel { dedicated_interrupt: dedicated.into(), ..*message }.to_payload()
    };
    let mut guest = Guest::new(ClientConfig::default());
    guest.run(|client, out| client.connect(T0, out));
    guest.hears(VersionResponse::accepted(guest.client.config().versions[0], 4).to_payload());
    for (relid, dedicated, own) in [(1, 0, false), (2, 1, true), (3, 2, false), (4, 3, true)] {
        assert!(!guest.client.all_offers_delivered());
        let did = guest.hears(offer(relid, dedicated));
        let expected = Offer {
            relid: Relid::new(relid).unwrap(),
            class: DYNAMIC_MEMORY_CLASS,
            instance: DYNAMIC_MEMORY_INSTANCE,
            subchannel_index: 0,
            flags: 0,
            mmio_mib: 0,
            connection_id: 16 + relid,
            dedicated_interrupt: own,
            user_defined: UserData::ZERO,
        };
        assert_eq!(did, [Output::Offer(expected)]);
    }
    guest.hears(Message::AllOffersDelivered.to_payload());
    assert!(guest.client.all_offers_delivered());
    assert_eq!(guest.client.offers().count(), 4);
}

#[test]
fn a_driver_opens_and_closes() {
    let mut guest = Guest::offered(Version::WIN10);
    assert_eq!(guest.client.offers_of(DYNAMIC_MEMORY_CLASS).count(), 1);
    assert_eq!(guest.client.offers_of(Uuid::nil()).count(), 0);
    assert!(guest.client.all_offers_delivered());
    let (list, _) = guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out));
    assert_eq!(list, Ok(LIST));
    let open = |guest: &mut Guest| guest.run(|client, out| client.open(RELID, &params(LIST), out)).0;
    assert_eq!(open(&mut guest), Err(ClientError::NoGpadl(LIST)), "not yet created");
    let did = guest.hears(GpadlCreated::new(1, LIST, Status::SUCCESS).to_payload());
    assert_eq!(did, [Output::GpadlCreated { relid: RELID, gpadl: LIST, status: Status::SUCCESS }]);
    assert_eq!(open(&mut guest), Ok(()));
    assert_eq!(open(&mut guest), Err(ClientError::AlreadyOpen(RELID)));
    let teardown = |guest: &mut Guest| guest.run(|client, out| client.teardown_gpadl(LIST, out));
    let in_use = Err(ClientError::GpadlInUse { gpadl: LIST, relid: RELID });
    assert_eq!(teardown(&mut guest).0, in_use);
    let did = guest.hears(OpenChannelResult::new(1, 1, Status::SUCCESS).to_payload());
    assert_eq!(did, [Output::Opened { relid: RELID, status: Status::SUCCESS }]);
    assert_eq!(teardown(&mut guest).0, in_use);
    guest.run(|client, out| client.close(RELID, out)).0.unwrap();
    let (closed, _) = guest.run(|client, out| client.close(RELID, out));
    assert_eq!(closed, Err(ClientError::NotOpen(RELID)));
    teardown(&mut guest).0.unwrap();
    assert_eq!(teardown(&mut guest).0, Err(ClientError::NoGpadl(LIST)));
    let did = guest.hears(GpadlTorndown::new(LIST).to_payload());
    assert_eq!(did, [Output::GpadlTorndown(LIST)]);
    let posted = guest.posted();
    assert_eq!(
        posted,
        [
            MessageType::GPADL_HEADER,
            MessageType::OPEN_CHANNEL,
            MessageType::CLOSE_CHANNEL,
            MessageType::GPADL_TEARDOWN
        ]
    );
    let (list, _) = guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out));
    assert_eq!(list, Ok(GpadlId(FIRST_GPADL + 1)));
}

#[test]
fn a_list_that_no_channel_is_open_on_is_given_back_while_its_channel_is_open_on_another() {
    let mut guest = Guest::opened(Version::WIN10);
    let other = GpadlId(FIRST_GPADL + 1);
    assert_eq!(guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out)).0, Ok(other));
    guest.hears(GpadlCreated::new(1, other, Status::SUCCESS).to_payload());
    assert_eq!(guest.run(|client, out| client.teardown_gpadl(other, out)).0, Ok(()));
    let did = guest.hears(GpadlTorndown::new(other).to_payload());
    assert_eq!(did, [Output::GpadlTorndown(other)]);
    assert_eq!(guest.client.channel_status(RELID), Some(ChannelStatus::Open));
}

#[test]
fn an_answer_to_an_open_that_crossed_the_rescission_says_nothing() {
    for status in [Status::SUCCESS, Status::UNSUCCESSFUL] {
        let mut guest = Guest::with_list(Version::WIN10);
        guest.run(|client, out| client.open(RELID, &params(LIST), out)).0.unwrap();
        guest.hears(RescindChannelOffer::new(RELID).to_payload());
        assert_eq!(guest.hears(OpenChannelResult::new(1, 1, status).to_payload()), []);
    }
}

#[test]
fn a_hyper_v_socket_that_nobody_asked_for_is_the_hosts_fault() {
    let mut guest = Guest::offered(Version::WIN10_RS3);
    let request = TlConnectRequest {
        endpoint: Uuid::from_bytes([1; 16]).into(),
        service: Uuid::from_bytes([2; 16]).into(),
    };
    let did = guest.hears(TlConnectResult::refused(&request).to_payload());
    assert_eq!(did, blamed(HostViolation::NotAsked(MessageType::TL_CONNECT_RESULT)));
}

#[test]
fn failures_are_passed_on_and_can_be_tried_again() {
    let mut guest = Guest::with_list(Version::WIN10);
    guest.run(|client, out| client.open(RELID, &params(LIST), out)).0.unwrap();
    let did = guest.hears(OpenChannelResult::new(1, 1, Status::UNSUCCESSFUL).to_payload());
    assert_eq!(did, [Output::Opened { relid: RELID, status: Status::UNSUCCESSFUL }]);
    guest.run(|client, out| client.open(RELID, &params(LIST), out)).0.unwrap();
    let second = guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out)).0.unwrap();
    let did = guest.hears(GpadlCreated::new(1, second, Status::UNSUCCESSFUL).to_payload());
    assert!(matches!(did[..], [Output::GpadlCreated { status: Status::UNSUCCESSFUL, .. }]));
    let (torn, _) = guest.run(|client, out| client.teardown_gpadl(second, out));
    assert_eq!(torn, Err(ClientError::NoGpadl(second)));
    let (none, _) = guest.run(|client, out| client.establish_gpadl(RELID, &[], out));
    assert!(matches!(none, Err(ClientError::GpadlSize(_))));
}

#[test]
fn nothing_without_contact() {
    let mut guest = Guest::new(ClientConfig::default());
    let (list, _) = guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out));
    assert_eq!(list, Err(ClientError::NotConnected));
    let (open, _) = guest.run(|client, out| client.open(RELID, &params(LIST), out));
    assert_eq!(open, Err(ClientError::NotConnected));
    let (closed, _) = guest.run(|client, out| client.close(RELID, out));
    assert_eq!(closed, Err(ClientError::NoChannel(RELID)));
    let (_, did) = guest.run(|client, out| client.unload(T0, out));
    assert_eq!(did, [Output::Unloaded], "nobody to take leave of");
    assert_eq!(guest.posted, []);
}

#[test]
fn a_channel_rescinded_and_offered_again() {
    let mut guest = Guest::opened(Version::WIN10);
    let second = guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out)).0.unwrap();
    let did = guest.hears(RescindChannelOffer::new(RELID).to_payload());
    assert!(matches!(did[..], [Output::Rescinded(Offer { relid: RELID, .. })]));
    assert_eq!(guest.client.offers().count(), 0);
    // Nothing is reported of it any more.
    assert_eq!(guest.hears(GpadlCreated::new(1, second, Status::SUCCESS).to_payload()), []);
    let again = guest.hears(RescindChannelOffer::new(RELID).to_payload());
    assert_eq!(again, blamed(HostViolation::RescindedTwice(RELID)));
    assert_eq!(guest.hears(offer_message(1)), blamed(HostViolation::DuplicateOffer(RELID)));
    let (list, _) = guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out));
    assert_eq!(list, Err(ClientError::Rescinded(RELID)));
    guest.posted();
    guest.run(|client, out| client.release(RELID, out)).0.unwrap();
    let teardown = MessageType::GPADL_TEARDOWN;
    assert_eq!(guest.posted(), [MessageType::CLOSE_CHANNEL, teardown, teardown]);
    assert_eq!(guest.hears(GpadlTorndown::new(LIST).to_payload()), [Output::GpadlTorndown(LIST)]);
    assert_eq!(guest.posted(), [], "not before everything is answered");
    assert_eq!(guest.hears(GpadlTorndown::new(second).to_payload()), [Output::GpadlTorndown(second)]);
    assert_eq!(guest.posted(), [MessageType::RELID_RELEASED]);
    assert_eq!(guest.client.channel_status(RELID), None);
    let (again, _) = guest.run(|client, out| client.release(RELID, out));
    assert_eq!(again, Err(ClientError::NoChannel(RELID)));
    assert!(matches!(guest.hears(offer_message(1))[..], [Output::Offer(_)]));
    let (early, _) = guest.run(|client, out| client.release(RELID, out));
    assert_eq!(early, Err(ClientError::NotRescinded(RELID)));
}

#[test]
fn a_host_that_takes_nothing_but_offers_and_rescinds() {
    let retry = Retry { attempts: u32::MAX, ..Retry::default() };
    let mut client = Guest::opened(Version::WIN10).client;
    client.config.retry = retry;
    let mut out = Vec::new();
    for _ in 0..1_000 {
        client.message(T0, &RescindChannelOffer::new(RELID).to_payload(), &mut out);
        let _ = client.release(RELID, &mut out);
        client.post_result(T0, PostStatus::InsufficientBuffers, &mut out);
        client.message(T0, &offer_message(1), &mut out);
        client.timer(Duration::MAX, &mut out);
        out.clear();
    }
    assert!(client.state.outbox.len() <= 2, "{:?}", client.state.outbox);
}

#[test]
fn a_driver_that_closes_after_the_rescind() {
    let mut guest = Guest::opened(Version::WIN10);
    guest.hears(RescindChannelOffer::new(RELID).to_payload());
    guest.run(|client, out| client.close(RELID, out)).0.unwrap();
    let (torn, did) = guest.run(|client, out| client.teardown_gpadl(LIST, out));
    assert_eq!((torn, did), (Ok(()), Vec::new()));
    guest.run(|client, out| client.release(RELID, out)).0.unwrap();
    assert_eq!(guest.posted(), [MessageType::CLOSE_CHANNEL, MessageType::GPADL_TEARDOWN]);
    assert_eq!(guest.hears(GpadlTorndown::new(LIST).to_payload()), [Output::GpadlTorndown(LIST)]);
    assert_eq!(guest.posted(), [MessageType::RELID_RELEASED]);
}

/// A host answers what it was asked of a rescinded channel until the channel is released, and one that has no pages for a
/// list says so: the id is given back when the last answer has come, whatever it is.
#[test]
fn requests_that_cross_the_rescission_are_awaited() {
    let mut guest = Guest::opened(Version::WS2022);
    guest.run(|client, out| client.modify(RELID, 0, out)).0.unwrap();
    let [kept, refused] =
        [0, 1].map(|_| guest.run(|client, out| client.establish_gpadl(RELID, &PAGES, out)).0.unwrap());
    guest.hears(RescindChannelOffer::new(RELID).to_payload());
    guest.run(|client, out| client.release(RELID, out)).0.unwrap();
    assert!(guest.client.is_waiting());
    let created = |gpadl, ok| GpadlCreated::new(1, gpadl, Status::from_ok(ok)).to_payload();
    assert_eq!(guest.hears(created(kept, true)), []);
    assert_eq!(guest.hears(created(refused, false)), [Output::GpadlTorndown(refused)]);
    for gpadl in [LIST, kept] {
        assert_eq!(guest.hears(GpadlTorndown::new(gpadl).to_payload()), [Output::GpadlTorndown(gpadl)]);
    }
    guest.posted();
    let answer = ModifyChannelResponse::new(1, Status::UNSUCCESSFUL).to_payload();
    assert_eq!(guest.hears(answer), []);
    assert_eq!(guest.posted(), [MessageType::RELID_RELEASED]);
    assert!(!guest.client.is_waiting());
}

#[test]
fn modifying_a_channel() {
    let mut guest = Guest::opened(Version::WIN10);
    let (modified, _) = guest.run(|client, out| client.modify(RELID, 3, out));
    assert_eq!(modified, Err(ClientError::NotInVersion(Version::WIN10)));
    let mut guest = Guest::opened(Version::WS2022);
    guest.run(|client, out| client.modify(RELID, 3, out)).0.unwrap();
    let answer = ModifyChannelResponse::new(1, Status::SUCCESS).to_payload();
    assert_eq!(guest.hears(answer), [Output::Modified { relid: RELID, status: Status::SUCCESS }]);
    let kind = MessageType::MODIFY_CHANNEL_RESPONSE;
    assert_eq!(guest.hears(answer), blamed(HostViolation::NotAsked(kind)));
    // Answered after the channel was closed.
    guest.run(|client, out| client.modify(RELID, 4, out)).0.unwrap();
    guest.run(|client, out| client.close(RELID, out)).0.unwrap();
    assert_eq!(guest.hears(answer), []);
    assert_eq!(guest.posted().len(), 3);
}

#[test]
fn results_nobody_waits_for_and_ids_that_cannot_be() {
    let mut guest = Guest::opened(Version::WIN10);
    let before = guest.client.clone();
    let unknown = |kind, relid| blamed(HostViolation::UnknownChannel { kind, relid });
    let not_asked = |kind| blamed(HostViolation::NotAsked(kind));
    let result = MessageType::OPEN_CHANNEL_RESULT;
    let ok = Status::SUCCESS;
    assert_eq!(guest.hears(OpenChannelResult::new(1, 1, ok).to_payload()), not_asked(result));
    assert_eq!(guest.hears(OpenChannelResult::new(2, 2, ok).to_payload()), unknown(result, 2));
    assert_eq!(guest.hears(OpenChannelResult::new(0, 0, ok).to_payload()), unknown(result, 0));
    let created = MessageType::GPADL_CREATED;
    assert_eq!(guest.hears(GpadlCreated::new(1, LIST, ok).to_payload()), not_asked(created));
    assert_eq!(guest.hears(GpadlCreated::new(1, GpadlId(0), ok).to_payload()), not_asked(created));
    assert_eq!(guest.hears(GpadlCreated::new(99_999, LIST, ok).to_payload()), unknown(created, 99_999));
    let torndown = MessageType::GPADL_TORNDOWN;
    assert_eq!(guest.hears(GpadlTorndown::new(LIST).to_payload()), not_asked(torndown));
    assert_eq!(guest.hears(offer_message(1)), blamed(HostViolation::DuplicateOffer(RELID)));
    assert_eq!(guest.hears(offer_message(0)), unknown(MessageType::OFFER_CHANNEL, 0));
    assert_eq!(guest.hears(offer_message(2048)), unknown(MessageType::OFFER_CHANNEL, 2048));
    let rescind = MessageType::RESCIND_CHANNEL_OFFER;
    let other = Relid::new(2).unwrap();
    assert_eq!(guest.hears(RescindChannelOffer::new(other).to_payload()), unknown(rescind, 2));
    let all = Message::AllOffersDelivered.to_payload();
    assert_eq!(guest.hears(all), not_asked(MessageType::ALL_OFFERS_DELIVERED));
    let response = VersionResponse::accepted(Version::WIN8, 1).to_payload();
    assert_eq!(guest.hears(response), not_asked(MessageType::VERSION_RESPONSE));
    let response = Message::UnloadResponse.to_payload();
    assert_eq!(guest.hears(response), not_asked(MessageType::UNLOAD_RESPONSE));
    let kind = MessageType::UNLOAD;
    assert_eq!(guest.hears(Message::Unload.to_payload()), blamed(HostViolation::WrongDirection(kind)));
    let mut strange = [0; 8];
    strange[0] = 19;
    assert_eq!(guest.hears(strange), blamed(HostViolation::Unknown(MessageType(19))));
    let short = MessageError::Short { kind: result, need: 20, got: 19 };
    let cut = OpenChannelResult::new(1, 1, ok).to_payload();
    assert_eq!(guest.hears(&cut[..19]), blamed(HostViolation::Malformed(short)));
    assert_eq!(guest.client, before);
    // Right channel, wrong open.
    let mut guest = Guest::with_list(Version::WIN10);
    guest.run(|client, out| client.open(RELID, &params(LIST), out)).0.unwrap();
    assert_eq!(guest.hears(OpenChannelResult::new(1, 2, ok).to_payload()), not_asked(result));
    assert_eq!(guest.client.channel_status(RELID), Some(ChannelStatus::Opening));
}

#[test]
fn contact_renewed_while_connected_ignores_what_the_host_sent_before() {
    let mut guest = Guest::opened(Version::WIN10);
    guest.run(|client, out| client.connect(T0, out));
    assert_eq!(guest.client.version(), None);
    assert_eq!(guest.hears(offer_message(2)), []);
    assert_eq!(guest.hears(RescindChannelOffer::new(RELID).to_payload()), []);
    let did = guest.hears(VersionResponse::accepted(Version::WIN10, 0).to_payload());
    assert_eq!(did, [Output::Connected(Version::WIN10)]);
    assert_eq!(guest.client.offers().count(), 0);
    assert_eq!(guest.posted(), [MessageType::INITIATE_CONTACT, MessageType::REQUEST_OFFERS]);
}

#[test]
fn wishes_wait_for_the_answer_under_way() {
    let yes = || VersionResponse::accepted(Version::WIN10, 0).to_payload();
    let versions = alloc::vec![Version::WIN10_RS3, Version::WIN10];
    let config = ClientConfig { versions, ..ClientConfig::default() };
    let contact = MessageType::INITIATE_CONTACT;
    // Contact, contact: the second begins when the first is answered.
    let mut guest = Guest::new(config.clone());
    guest.run(|client, out| client.connect(T0, out));
    guest.run(|client, out| client.connect(T0, out));
    assert_eq!(guest.posted(), [contact]);
    assert_eq!(guest.hears(yes()), []);
    assert_eq!(guest.posted(), [contact]);
    assert_eq!(guest.hears(yes()), [Output::Connected(Version::WIN10_RS3)]);
    // Contact, leave: nothing is heard of the contact.
    let mut guest = Guest::new(config.clone());
    guest.run(|client, out| client.connect(T0, out));
    guest.run(|client, out| client.unload(T0, out));
    assert_eq!(guest.hears(yes()), []);
    assert_eq!(guest.posted(), [contact, MessageType::UNLOAD]);
    assert_eq!(guest.hears(Message::UnloadResponse.to_payload()), [Output::Unloaded]);
    // The same with a host that refuses.
    let mut guest = Guest::new(config);
    guest.run(|client, out| client.connect(T0, out));
    guest.run(|client, out| client.unload(T0, out));
    assert_eq!(guest.hears(VersionResponse::refused().to_payload()), [Output::Unloaded]);
    assert_eq!(guest.posted(), [contact]);
    // Leave, contact, leave, contact.
    guest.run(|client, out| client.connect(T0, out));
    guest.hears(yes());
    guest.posted();
    guest.run(|client, out| client.unload(T0, out));
    guest.run(|client, out| client.connect(T0, out));
    guest.run(|client, out| client.unload(T0, out));
    guest.run(|client, out| client.connect(T0, out));
    assert_eq!(guest.posted(), [MessageType::UNLOAD]);
    assert_eq!(guest.hears(Message::UnloadResponse.to_payload()), [Output::Unloaded]);
    assert_eq!(guest.posted(), [contact]);
}

#[test]
fn before_3_0_nobody_takes_leave() {
    let mut guest = Guest::opened(Version::WIN8);
    let (_, did) = guest.run(|client, out| client.unload(T0, out));
    assert_eq!(did, [Output::Unloaded]);
    assert_eq!(guest.posted(), []);
}

#[test]
fn a_post_under_way_when_contact_is_renewed() {
    let mut guest = Guest::opened(Version::WIN10);
    let mut out = Vec::new();
    guest.client.close(RELID, &mut out).unwrap();
    out.clear();
    // The status of CLOSECHANNEL has not come.
    guest.client.connect(T0, &mut out);
    assert_eq!(out, [], "still one at a time");
    guest.client.post_result(T0, PostStatus::InsufficientBuffers, &mut out);
    let [Output::Post { payload, .. }] = out[..] else { panic!("{out:?}") };
    assert_eq!(Message::decode(&payload).unwrap().kind(), MessageType::INITIATE_CONTACT);
    // A status nobody waits for.
    guest.client.post_result(T0, PostStatus::Success, &mut out);
    let before = guest.client.clone();
    guest.client.post_result(T0, PostStatus::Other(1), &mut out);
    assert_eq!(guest.client, before);
}

#[test]
fn a_saved_client_goes_on() {
    let guest = Guest::opened(Version::WS2022);
    let json = serde_json::to_string(&guest.client.save()).unwrap();
    let restored = Client::restore(guest.client.config().clone(), serde_json::from_str(&json).unwrap());
    assert_eq!(restored.as_ref(), Ok(&guest.client));
    let saved = serde_json::to_value(guest.client.save()).unwrap();
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 6] = [
        ("format", |saved| saved["format"] = 1.into()),
        ("no lists", |saved| saved["state"]["gpadls"] = serde_json::json!({})),
        ("no channels", |saved| saved["state"]["channels"] = serde_json::json!({})),
        ("no contact", |saved| saved["state"]["connection"] = "Disconnected".into()),
        ("version", |saved| saved["state"]["connection"]["Connected"]["version"] = 7.into()),
        ("another's id", |saved| saved["state"]["channels"]["1"]["offer"]["relid"] = 2.into()),
    ];
    for (name, change) in changes {
        let mut changed = saved.clone();
        change(&mut changed);
        let changed = serde_json::from_value(changed).unwrap();
        assert!(Client::restore(guest.client.config().clone(), changed).is_err(), "{name}");
    }
}

fn pair(max_version: Version, buffers: usize) -> Pair {
    let config = ServerConfig { max_version, ..ServerConfig::default() };
    let mut pair = Pair::new(ClientConfig::default(), config, buffers);
    let dm = server::Offer::new(DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE);
    let echo = server::Offer::new(Uuid::from_bytes([0xec; 16]), Uuid::nil());
    pair.host(|server, out| server.offer(dm, out)).unwrap();
    pair.host(|server, out| server.offer(echo, out)).unwrap();
    pair.guest(Client::connect);
    pair
}

/// Two devices, one client, one server, all the messages between them.
#[test]
fn joined_ends_of_every_version() {
    for version in Version::SPOKEN {
        let mut pair = pair(version, 2);
        pair.settle(200).unwrap();
        assert_eq!(pair.client.version(), Some(version));
        assert_eq!(pair.server.version(), Some(version));
        let offers: Vec<Offer> = pair.client.offers().copied().collect();
        assert_eq!(offers.len(), 2);
        pair.take_events();
        for offer in &offers {
            let pages: Vec<u64> = (0..200).collect();
            let (relid, pages) = (offer.relid, &pages);
            let list = pair.guest(|client, _, out| client.establish_gpadl(relid, pages, out)).unwrap();
            pair.settle(200).unwrap();
            pair.guest(|client, _, out| client.open(relid, &params(list), out)).unwrap();
            pair.settle(200).unwrap();
            assert_eq!(pair.client.channel_status(relid), Some(ChannelStatus::Open));
        }
        assert_eq!(pair.monitor.open_channels(), 2);
        // One device goes away and comes back, the other stays.
        let gone = offers[0];
        pair.host(|server, out| server.rescind(gone.relid, out));
        pair.settle(200).unwrap();
        assert!(pair.take_events().contains(&Output::Rescinded(gone)));
        pair.guest(|client, _, out| client.release(gone.relid, out)).unwrap();
        pair.settle(200).unwrap();
        assert!(matches!(pair.take_events()[..], [Output::GpadlTorndown(_)]));
        let again = server::Offer::new(gone.class, gone.instance);
        assert_eq!(pair.host(|server, out| server.offer(again, out)), Ok(gone.relid));
        pair.settle(200).unwrap();
        assert_eq!(pair.take_events(), [Output::Offer(gone)]);
        assert_eq!((pair.monitor.open_channels(), pair.monitor.held_gpadls()), (1, 1));
        pair.guest(Client::unload);
        pair.settle(200).unwrap();
        assert_eq!(pair.take_events(), [Output::Unloaded]);
        assert_eq!(pair.violations, []);
        // Before 3.0 the host is not told, and finds out at the next contact.
        let left = usize::from(!version.has_unload());
        assert_eq!((pair.monitor.open_channels(), pair.monitor.held_gpadls()), (left, left));
        pair.guest(Client::connect);
        pair.settle(200).unwrap();
        assert_eq!((pair.monitor.open_channels(), pair.monitor.held_gpadls()), (0, 0));
        assert_eq!(pair.client.offers().count(), 2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_host_and_any_driver(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        let _ = fuzz_client(&bytes);
    }
}

#[test]
fn what_is_not_changed_keeps_its_default() {
    let config = ClientConfig::default().with(|config| {
        config.target_vp = 3;
        config.retry = Retry::default().with(|retry| retry.attempts = 5);
    });
    assert_eq!((config.target_vp, config.sint, config.retry.attempts), (3, VMBUS_SINT, 5));
    assert_eq!(config.retry.first, Duration::from_millis(1));
    let params = OpenParams::new(LIST, 5);
    assert_eq!((params.gpadl, params.downstream_offset, params.target_vp), (LIST, 5, 0));
    assert_eq!(params.user_data, UserData::ZERO);
}
