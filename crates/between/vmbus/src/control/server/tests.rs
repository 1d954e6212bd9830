//! The host's side, message by message.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::control::message::{
    CloseChannel, GpadlMessages, GpadlTeardown, InitiateContact, MAX_GPADL_PAGES, ModifyChannel, OpenChannel,
    RelidReleased, TlConnectRequest,
};
use crate::control::test_support::{Monitor, Question, fuzz_server};
use crate::control::{DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE, NO_INTERRUPT_VP, Status};

mod saved;

const DM: Offer = Offer::new(DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE);
const ECHO: Offer = Offer::new(Uuid::from_bytes([0xec; 16]), Uuid::nil());
const LIST: GpadlId = GpadlId(0xe1e10);
const RELID: Relid = Relid::FIRST;

/// A server with its rules checked.
struct Host {
    server: Server,
    monitor: Monitor,
}

/// What a call led to, short enough to compare.
#[derive(PartialEq, Eq, Debug)]
enum Did {
    Said(MessageType, Option<Status>),
    Asked(Question),
    Release(GpadlId),
    Close(Relid),
    Retarget(u32),
    Released(Relid),
    Reset,
    Contact(Version, MessageTarget, ContactOrigin),
    Unloaded,
    Blamed(Violation),
    Unsupported(MessageType),
}

fn said(kind: MessageType) -> Did {
    Did::Said(kind, None)
}

fn answered(kind: MessageType, ok: bool) -> Did {
    Did::Said(kind, Some(Status::from_ok(ok)))
}

impl Host {
    fn new(config: ServerConfig) -> Self {
        Self { server: Server::new(config), monitor: Monitor::new() }
    }

    fn run<R>(&mut self, act: impl FnOnce(&mut Server, &mut Vec<Output>) -> R) -> (R, Vec<Did>) {
        let mut out = Vec::new();
        let result = act(&mut self.server, &mut out);
        let did = out.into_iter().map(|output| {
            self.monitor.output(&output);
            match output {
                Output::Post(message) => match Message::decode(&message.payload).unwrap() {
                    Message::OpenChannelResult(result) => {
                        Did::Said(MessageType::OPEN_CHANNEL_RESULT, Some(Status(result.status.get())))
                    }
                    Message::GpadlCreated(created) => {
                        Did::Said(MessageType::GPADL_CREATED, Some(Status(created.status.get())))
                    }
                    Message::ModifyChannelResponse(response) => {
                        Did::Said(MessageType::MODIFY_CHANNEL_RESPONSE, Some(Status(response.status.get())))
                    }
                    Message::VersionResponse(response) => Did::Said(
                        MessageType::VERSION_RESPONSE,
                        Some(Status::from_ok(response.supported != 0)),
                    ),
                    other => Did::Said(other.kind(), None),
                },
                Output::EstablishGpadl { request, .. } => Did::Asked(Question::Gpadl(request)),
                Output::Open { request, .. } => Did::Asked(Question::Open(request)),
                Output::ReleaseGpadl { gpadl, .. } => Did::Release(gpadl),
                Output::Close { relid } => Did::Close(relid),
                Output::Retarget { target_vp, .. } => Did::Retarget(target_vp),
                Output::Released { relid } => Did::Released(relid),
                Output::Reset => Did::Reset,
                Output::Contact { version, target, origin } => Did::Contact(version, target, origin),
                Output::Unloaded => Did::Unloaded,
                Output::Violation(violation) => Did::Blamed(violation),
                Output::Unsupported(kind) => Did::Unsupported(kind),
            }
        });
        let did = did.collect();
        self.monitor.at_rest();
        (result, did)
    }

    fn raw(&mut self, connection_id: u32, bytes: &[u8]) -> Vec<Did> {
        let heard = self.server.version().is_some_and(|version| contact_connection(version) == connection_id);
        self.monitor.guest_message(heard, bytes);
        let (status, did) = self.run(|server, out| server.message(connection_id, bytes, out));
        assert_eq!(status, PostStatus::Success);
        did
    }

    /// The message, through the right connection.
    fn says(&mut self, payload: impl AsRef<[u8]>) -> Vec<Did> {
        let connection_id = self.server.version().map_or(1, contact_connection);
        self.raw(connection_id, payload.as_ref())
    }

    fn contact(&mut self, version: Version) -> Vec<Did> {
        self.raw(contact_connection(version), &contact(version))
    }

    fn offer(&mut self, offer: Offer) -> Relid {
        self.run(|server, out| server.offer(offer, out)).0.unwrap()
    }

    fn rescind(&mut self, relid: Relid) -> Vec<Did> {
        let (known, did) = self.run(|server, out| server.rescind(relid, out));
        assert!(known);
        did
    }

    fn answer(&mut self, question: Question, ok: bool) -> Vec<Did> {
        self.monitor.answer(question, ok);
        let run = self.run(|server, out| match question {
            Question::Gpadl(request) => server.gpadl_result(request, ok, out),
            Question::Open(request) => server.open_result(request, Status::from_ok(ok), out),
        });
        run.1
    }

    /// The question asked last.
    fn question(&self) -> Question {
        self.monitor.questions().max_by_key(|question| question.request()).unwrap()
    }

    /// Contact, the Dynamic Memory offer, and its list of ten pages established.
    fn with_list(version: Version) -> Self {
        let config = ServerConfig { max_version: Version::WS2022, ..ServerConfig::default() };
        let mut host = Self::new(config);
        host.offer(DM);
        host.contact(version);
        host.says(Message::RequestOffers.to_payload());
        host.says(list(RELID, LIST, 10).remove(0));
        host.answer(host.question(), true);
        host
    }

    fn opened(version: Version) -> Self {
        let mut host = Self::with_list(version);
        host.says(open(RELID, LIST, 5));
        host.answer(host.question(), true);
        host
    }
}

fn contact(version: Version) -> Payload {
    if version.names_its_connection() {
        InitiateContact::with_sint(version, 1, 2, [0, 0]).to_payload()
    } else {
        InitiateContact::with_interrupt_page(version, 1, 0, [0, 0]).to_payload()
    }
}

fn list(relid: Relid, gpadl: GpadlId, pages: u64) -> Vec<Payload> {
    let pages: Vec<u64> = (100..100 + pages).collect();
    GpadlMessages::new(relid, gpadl, &pages).unwrap().collect()
}

fn open(relid: Relid, gpadl: GpadlId, downstream_offset: u32) -> Payload {
    OpenChannel {
        relid: relid.get().into(),
        open_id: 77.into(),
        ring_gpadl: gpadl.0.into(),
        target_vp: 0.into(),
        downstream_page_offset: downstream_offset.into(),
        user_data: UserData::ZERO,
    }
    .to_payload()
}

#[test]
fn the_whole_life_of_a_channel() {
    let mut host = Host::new(ServerConfig::default());
    assert_eq!(host.offer(DM), RELID);
    let target = MessageTarget { vp: 1, sint: 2 };
    let did = host.contact(Version::WIN10);
    assert_eq!(
        did,
        [
            Did::Reset,
            Did::Contact(Version::WIN10, target, ContactOrigin::First),
            answered(MessageType::VERSION_RESPONSE, true)
        ]
    );
    let did = host.says(Message::RequestOffers.to_payload());
    assert_eq!(did, [said(MessageType::OFFER_CHANNEL), said(MessageType::ALL_OFFERS_DELIVERED)]);
    let did = host.says(list(RELID, LIST, 10).remove(0));
    let question = Question::Gpadl(RequestId(0));
    assert_eq!(did, [Did::Asked(question)]);
    assert_eq!(host.answer(question, true), [answered(MessageType::GPADL_CREATED, true)]);
    let question = Question::Open(RequestId(1));
    assert_eq!(host.says(open(RELID, LIST, 5)), [Did::Asked(question)]);
    assert_eq!(host.answer(question, true), [answered(MessageType::OPEN_CHANNEL_RESULT, true)]);
    assert!(matches!(host.server.channel_status(RELID), Some(ChannelStatus::Open(_))));
    assert_eq!(host.says(CloseChannel::new(RELID).to_payload()), [Did::Close(RELID)]);
    let did = host.says(GpadlTeardown::new(RELID, LIST).to_payload());
    assert_eq!(did, [Did::Release(LIST), said(MessageType::GPADL_TORNDOWN)]);
    let did = host.says(Message::Unload.to_payload());
    assert_eq!(did, [Did::Reset, Did::Unloaded, said(MessageType::UNLOAD_RESPONSE)]);
    assert_eq!(host.server.version(), None);
}

#[test]
fn nothing_is_particular_to_one_device() {
    let mut host = Host::with_list(Version::WIN10);
    let (echo, did) = host.run(|server, out| server.offer(ECHO, out));
    let echo = echo.unwrap();
    assert_eq!(did, [said(MessageType::OFFER_CHANNEL)]);
    assert_eq!((echo.get(), host.server.event_connection_id(echo)), (2, 18));
    let own = GpadlId(5);
    host.says(list(echo, own, 4).remove(0));
    host.answer(host.question(), true);
    host.says(open(echo, own, 2));
    host.answer(host.question(), true);
    host.says(open(RELID, LIST, 5));
    host.answer(host.question(), true);
    assert_eq!(host.monitor.open_channels(), 2);
    // Closing one leaves the other alone.
    assert_eq!(host.says(CloseChannel::new(RELID).to_payload()), [Did::Close(RELID)]);
    assert!(matches!(host.server.channel_status(echo), Some(ChannelStatus::Open(_))));
    assert_eq!(
        host.run(|server, out| server.offer(ECHO, out)).0,
        Err(OfferError::Duplicate(echo)),
        "a device is offered once"
    );
}

#[test]
fn versions_and_the_connections_they_belong_to() {
    let mut host = Host::new(ServerConfig::default());
    assert_eq!(host.server.connection_ids(), [1]);
    let mut out = Vec::new();
    let bytes = contact(Version::WS2022);
    assert_eq!(host.server.message(4, &bytes, &mut out), PostStatus::InvalidConnectionId);
    assert_eq!(out, []);
    let refused = [Version::WS2008, Version::WIN7, Version::WIN10_RS3, Version::new(4, 7), Version(0)];
    for version in refused {
        let did = host.contact(version);
        assert_eq!(did, [Did::Reset, answered(MessageType::VERSION_RESPONSE, false)], "{version}");
        assert_eq!(host.server.version(), None);
    }
    for version in [Version::WIN8, Version::WIN8_1, Version::WIN10] {
        host.contact(version);
        assert_eq!(host.server.version(), Some(version));
    }

    let mut host = Host::new(ServerConfig { max_version: Version::COPPER, ..ServerConfig::default() });
    assert_eq!(host.server.connection_ids(), [1, 4]);
    for version in Version::SPOKEN {
        host.contact(version);
        assert_eq!(host.server.version(), Some(version));
        let other = 5 - contact_connection(version);
        let did = host.raw(other, &Message::RequestOffers.to_payload());
        let expected = contact_connection(version);
        let kind = MessageType::REQUEST_OFFERS;
        let violation = Violation::WrongConnection { kind, connection_id: other, expected };
        assert_eq!(did, [Did::Blamed(violation)]);
        let did = host.raw(other, &contact(version));
        let violation = Violation::ContactOnWrongConnection { version, connection_id: other };
        assert_eq!(did[1..], [answered(MessageType::VERSION_RESPONSE, false), Did::Blamed(violation)]);
    }
    let did = host.contact(Version::COPPER);
    assert_eq!(did[1..], [answered(MessageType::VERSION_RESPONSE, false)]);
    let bad = InitiateContact::with_sint(Version::WS2022, 0, 16, [0, 0]).to_payload();
    let violation = Violation::BadContactTarget { vp: 0, sint: 16, vtl: 0 };
    let did = host.raw(4, &bad);
    assert_eq!(did[1..], [answered(MessageType::VERSION_RESPONSE, false), Did::Blamed(violation)]);
}

/// What OpenVMM's server makes of an INITIATE_CONTACT, as its source has it: the VP is read from 3.0 on, the SINT from 5.0 on
/// and the VTL from 5.1 on; a SINT other than 2 is refused.
fn openvmm_target(version: Version, vp: u32, sint: u8, vtl: u8) -> (u32, u8, u8) {
    (
        if version >= Version::new(3, 0) { vp } else { 0 },
        if version >= Version::new(5, 0) { sint } else { 2 },
        if version >= Version::new(5, 1) { vtl } else { 0 },
    )
}

#[test]
fn a_contact_names_only_what_its_version_has() {
    let config =
        ServerConfig { max_version: Version::WS2022, processors: Some(4), ..ServerConfig::default() };
    for version in Version::SPOKEN {
        for (vp, sint, vtl) in
            [(0, 2, 0), (3, 2, 0), (4, 2, 0), (0, 0, 0), (0, 3, 0), (0, 15, 0), (0, 2, 1), (u32::MAX, 16, 2)]
        {
            let mut contact = InitiateContact::with_sint(version, vp, sint, [0, 0]);
            contact.interrupt_page_or_target = (u64::from(sint) | u64::from(vtl) << 8).into();
            let mut server = Server::new(config.clone());
            let mut out = Vec::new();
            let _ = server.message(contact_connection(version), &contact.to_payload(), &mut out);
            let (vp, sint, vtl) = openvmm_target(version, vp, sint, vtl);
            let accepted = vp < 4 && sint == 2 && vtl == 0;
            assert_eq!(server.version().is_some(), accepted, "{version} {vp} {sint} {vtl}");
            // Answered in a slot that is served, refused or not.
            let posted = out.iter().find_map(|output| match output {
                Output::Post(message) => Some(message.target),
                _ => None,
            });
            assert_eq!(posted, Some(MessageTarget { vp: if accepted { vp } else { 0 }, sint: 2 }));
            let violation = Violation::BadContactTarget { vp, sint, vtl };
            assert_eq!(out.contains(&Output::Violation(violation)), !accepted);
        }
    }
}

#[test]
fn a_contact_says_what_preceded_it() {
    let origin = |did: Vec<Did>| {
        did.into_iter().find_map(|did| match did {
            Did::Contact(.., origin) => Some(origin),
            _ => None,
        })
    };
    let mut host = Host::new(ServerConfig::default());
    // Nobody was there before.
    host.says(Message::Unload.to_payload());
    assert_eq!(origin(host.contact(Version::WIN10_RS3)), None, "refused");
    assert_eq!(origin(host.contact(Version::WIN10)), Some(ContactOrigin::First));
    assert_eq!(origin(host.contact(Version::WIN10)), Some(ContactOrigin::Renewed));
    host.says(Message::Unload.to_payload());
    assert_eq!(origin(host.contact(Version::WIN10_RS3)), None, "refused");
    let restored = Server::restore(host.server.config().clone(), host.server.save(), &mut Vec::new());
    assert_eq!(restored.as_ref(), Ok(&host.server));
    assert_eq!(origin(host.contact(Version::WIN10)), Some(ContactOrigin::AfterUnload));
    host.run(Server::reset);
    assert_eq!(origin(host.contact(Version::WIN10)), Some(ContactOrigin::First));
}

#[test]
fn hyper_v_sockets_are_refused_in_words_from_4_1_on() {
    let request = |version| {
        let mut host = Host::opened(version);
        let request = TlConnectRequest {
            endpoint: Uuid::from_bytes([1; 16]).into(),
            service: Uuid::from_bytes([2; 16]).into(),
        };
        let mut out = Vec::new();
        let connection_id = contact_connection(version);
        let _ = host.server.message(connection_id, &request.to_payload(), &mut out);
        out
    };
    assert_eq!(request(Version::WIN10), [Output::Unsupported(MessageType::TL_CONNECT_REQUEST)]);
    for version in [Version::WIN10_RS3, Version::WS2022] {
        let out = request(version);
        let [Output::Post(message)] = &out[..] else { panic!("{out:?}") };
        let mut expected = alloc::vec![23, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([1; 16]);
        expected.extend([2; 16]);
        expected.extend(0xc000_0236_u32.to_le_bytes());
        assert_eq!(message.payload.as_bytes(), expected);
    }
}

#[test]
fn a_contact_renewed_closes_everything_first() {
    let mut host = Host::opened(Version::WIN10);
    host.says(list(RELID, GpadlId(9), 30).remove(0));
    let did = host.contact(Version::WIN8_1);
    let target = MessageTarget { vp: 1, sint: 2 };
    assert_eq!(
        did,
        [
            Did::Close(RELID),
            Did::Release(LIST),
            Did::Reset,
            Did::Contact(Version::WIN8_1, target, ContactOrigin::Renewed),
            answered(MessageType::VERSION_RESPONSE, true)
        ]
    );
    // The offer stands, and is made again.
    let did = host.says(Message::RequestOffers.to_payload());
    assert_eq!(did, [said(MessageType::OFFER_CHANNEL), said(MessageType::ALL_OFFERS_DELIVERED)]);
}

#[test]
fn answers_that_come_too_late_change_nothing() {
    let mut host = Host::with_list(Version::WIN10);
    host.says(open(RELID, LIST, 5));
    let late_open = host.question();
    host.says(list(RELID, GpadlId(9), 4).remove(0));
    let late_list = host.question();
    host.contact(Version::WIN10);
    host.says(Message::RequestOffers.to_payload());
    // The same ids again.
    host.says(list(RELID, LIST, 10).remove(0));
    host.answer(host.question(), true);
    host.says(open(RELID, LIST, 5));
    let open_now = host.question();
    host.says(list(RELID, GpadlId(9), 4).remove(0));
    let list_now = host.question();
    assert_eq!(host.answer(late_open, true), []);
    assert_eq!(host.answer(late_list, false), []);
    assert!(matches!(host.server.channel_status(RELID), Some(ChannelStatus::Opening(..))));
    assert_eq!(host.answer(open_now, true), [answered(MessageType::OPEN_CHANNEL_RESULT, true)]);
    assert_eq!(host.answer(list_now, true), [answered(MessageType::GPADL_CREATED, true)]);
    // And once more.
    assert_eq!(host.answer(open_now, false), []);
    assert_eq!(host.answer(list_now, false), []);
    assert!(matches!(host.server.channel_status(RELID), Some(ChannelStatus::Open(_))));
}

#[test]
fn refusals_of_the_owner_are_passed_on() {
    let mut host = Host::with_list(Version::WIN10);
    host.says(open(RELID, LIST, 5));
    assert_eq!(host.answer(host.question(), false), [answered(MessageType::OPEN_CHANNEL_RESULT, false)]);
    assert_eq!(host.server.channel_status(RELID), Some(ChannelStatus::Closed));
    host.says(list(RELID, GpadlId(9), 4).remove(0));
    assert_eq!(host.answer(host.question(), false), [answered(MessageType::GPADL_CREATED, false)]);
    let kind = MessageType::GPADL_TEARDOWN;
    let did = host.says(GpadlTeardown::new(RELID, GpadlId(9)).to_payload());
    assert_eq!(did, [Did::Blamed(Violation::UnknownGpadl { kind, gpadl: GpadlId(9) })]);
}

#[test]
fn closing_before_the_owner_has_answered() {
    let mut host = Host::with_list(Version::WIN10);
    host.says(open(RELID, LIST, 5));
    let late = host.question();
    let did = host.says(CloseChannel::new(RELID).to_payload());
    assert_eq!(did, [Did::Close(RELID), answered(MessageType::OPEN_CHANNEL_RESULT, false)]);
    assert_eq!(host.answer(late, true), []);
    let did = host.says(GpadlTeardown::new(RELID, LIST).to_payload());
    assert_eq!(did, [Did::Release(LIST), said(MessageType::GPADL_TORNDOWN)]);
}

#[test]
fn rescinding_and_offering_again() {
    let mut host = Host::opened(Version::WIN10);
    assert_eq!(host.rescind(RELID), [Did::Close(RELID), said(MessageType::RESCIND_CHANNEL_OFFER)]);
    assert!(!host.run(|server, out| server.rescind(RELID, out)).0);
    // The device comes back before the guest has let go of the first channel: another id.
    assert_eq!(host.offer(DM).get(), 2);
    // What the guest sent before it heard of it: an open is not answered.
    assert_eq!(host.says(open(RELID, LIST, 5)), []);
    let created = answered(MessageType::GPADL_CREATED, true);
    assert_eq!(host.says(list(RELID, GpadlId(9), 4).remove(0)), [created]);
    assert_eq!(host.says(CloseChannel::new(RELID).to_payload()), []);
    assert_eq!(host.monitor.held_gpadls(), 1);
    let did = host.says(RelidReleased::new(RELID).to_payload());
    assert_eq!(did, [Did::Release(LIST), Did::Released(RELID)]);
    assert_eq!(host.offer(ECHO), RELID);
    // A list may be torn down after the rescind, too.
    let second = Relid::new(2).unwrap();
    host.says(list(second, LIST, 10).remove(0));
    host.answer(host.question(), true);
    host.rescind(second);
    let did = host.says(GpadlTeardown::new(second, LIST).to_payload());
    assert_eq!(did, [Did::Release(LIST), said(MessageType::GPADL_TORNDOWN)]);
    // One that has never been offered is just gone.
    let mut host = Host::new(ServerConfig::default());
    host.offer(DM);
    assert_eq!(host.rescind(RELID), [Did::Released(RELID)]);
    assert_eq!(host.offer(ECHO), RELID);
}

/// Requests that the guest made before it heard of the rescission are answered until the channel is released
/// (microsoft/openvmm #1100 and #3959): a driver that waits for its answers before it releases the channel gets them all.
#[test]
fn requests_that_cross_a_rescission_are_answered() {
    let created = |ok| answered(MessageType::GPADL_CREATED, ok);
    let torndown = || said(MessageType::GPADL_TORNDOWN);
    // A whole list, of one message or of three; the owner is not troubled.
    for pages in [10, 60] {
        let mut host = Host::with_list(Version::WIN10);
        host.rescind(RELID);
        let gpadl = GpadlId(9);
        let mut did = Vec::new();
        for message in list(RELID, gpadl, pages) {
            assert_eq!(did, []);
            did = host.says(message);
        }
        assert_eq!(did, [created(true)]);
        let restored = Server::restore(host.server.config().clone(), host.server.save(), &mut Vec::new());
        assert_eq!(restored.as_ref(), Ok(&host.server));
        let needless = host.says(list(RELID, gpadl, 60)[1]);
        assert_eq!(needless, [Did::Blamed(Violation::NeedlessBody(gpadl))]);
        assert_eq!(host.says(GpadlTeardown::new(RELID, gpadl).to_payload()), [torndown()]);
        let did = host.says(GpadlTeardown::new(RELID, LIST).to_payload());
        assert_eq!(did, [Did::Release(LIST), torndown()]);
        assert_eq!(host.says(RelidReleased::new(RELID).to_payload()), [Did::Released(RELID)]);
    }
    // A list half of which came before.
    let mut host = Host::with_list(Version::WIN10);
    let messages = list(RELID, GpadlId(9), 30);
    host.says(messages[0]);
    host.rescind(RELID);
    assert_eq!(host.says(messages[1]), [created(true)]);
    // A list that is with the owner.
    for ok in [true, false] {
        let mut host = Host::with_list(Version::WIN10);
        host.says(list(RELID, GpadlId(9), 10).remove(0));
        host.rescind(RELID);
        assert_eq!(host.answer(host.question(), ok), [created(ok)]);
    }
    // Too many lists are too many for a rescinded channel, too.
    let limits = Limits { gpadls: 2, gpadl_pages: 50 };
    let mut host = Host::new(ServerConfig { limits, ..ServerConfig::default() });
    host.offer(DM);
    host.contact(Version::WIN10);
    host.says(Message::RequestOffers.to_payload());
    host.rescind(RELID);
    for number in 0..2 {
        assert_eq!(host.says(list(RELID, GpadlId(number), 10).remove(0)), [created(true)]);
    }
    let violation = Violation::TooManyGpadls { gpadl: GpadlId(2), limit: 2 };
    let did = host.says(list(RELID, GpadlId(2), 10).remove(0));
    assert_eq!(did, [created(false), Did::Blamed(violation)]);
    assert_eq!(host.says(RelidReleased::new(RELID).to_payload()), [Did::Released(RELID)]);
    // Another processor, from 5.3 on, where there is an answer at all.
    let mut host = Host::opened(Version::WS2022);
    host.rescind(RELID);
    let did = host.says(ModifyChannel::new(RELID, 0).to_payload());
    assert_eq!(did, [answered(MessageType::MODIFY_CHANNEL_RESPONSE, false)]);
}

/// Linux releases a channel whose offer it could not handle.
#[test]
fn a_guest_that_wants_no_channel_gives_its_id_back() {
    let mut host = Host::with_list(Version::WIN10);
    assert_eq!(host.says(RelidReleased::new(RELID).to_payload()), [Did::Release(LIST)]);
    assert_eq!(host.server.channel_status(RELID), Some(ChannelStatus::Unannounced));
    let kind = MessageType::CLOSE_CHANNEL;
    let unknown = Violation::UnknownChannel { kind, relid: 1 };
    assert_eq!(host.says(CloseChannel::new(RELID).to_payload()), [Did::Blamed(unknown)]);
    // The guest need not be told when the channel goes; the next kernel is offered it again.
    let mut other = Host { server: host.server.clone(), monitor: host.monitor.clone() };
    assert_eq!(other.rescind(RELID), [Did::Released(RELID)]);
    host.contact(Version::WIN10);
    let did = host.says(Message::RequestOffers.to_payload());
    assert_eq!(did, [said(MessageType::OFFER_CHANNEL), said(MessageType::ALL_OFFERS_DELIVERED)]);
    let mut host = Host::opened(Version::WIN10);
    let did = host.says(RelidReleased::new(RELID).to_payload());
    assert_eq!(did, [Did::Blamed(Violation::ReleasedInUse(RELID))]);
}

#[test]
fn all_ids_in_use() {
    let mut host = Host::new(ServerConfig::default());
    for number in 1..=2047u16 {
        let mut wire = [0; 16];
        wire[..2].copy_from_slice(&number.to_le_bytes());
        assert_eq!(host.offer(Offer::new(Uuid::nil(), Uuid::from_bytes(wire))).get(), u32::from(number));
    }
    assert_eq!(host.run(|server, out| server.offer(DM, out)).0, Err(OfferError::NoRelid));
    let freed = Relid::new(1000).unwrap();
    host.rescind(freed);
    assert_eq!(host.server.offered(freed), None);
    assert_eq!(host.offer(DM), freed);
    assert_eq!(host.server.offered(freed), Some(&DM));
    host.contact(Version::WIN10);
    assert_eq!(host.says(Message::RequestOffers.to_payload()).len(), 2048);
}

#[test]
fn openvmm_numbers_connections_differently() {
    let config = ServerConfig { connection_ids: ConnectionIds::Packed, ..ServerConfig::default() };
    assert_eq!(Server::new(config).event_connection_id(RELID), 0x2001);
}

#[test]
fn lists_of_many_messages() {
    let mut host = Host::with_list(Version::WIN10);
    let gpadl = GpadlId(9);
    let messages = list(RELID, gpadl, 30 + 28);
    assert_eq!(host.says(messages[0]), []);
    assert_eq!(host.says(messages[1]), []);
    let Did::Asked(question) = host.says(messages[2]).remove(0) else { panic!("not asked for") };
    let pages: Vec<u64> = host.server.gpadls().find(|list| list.0 == gpadl).unwrap().2.to_vec();
    assert!(pages.into_iter().eq(100..158));
    assert_eq!(host.says(messages[2]), [Did::Blamed(Violation::NeedlessBody(gpadl))]);
    let refused = answered(MessageType::GPADL_CREATED, false);
    assert_eq!(host.says(messages[0]), [refused, Did::Blamed(Violation::DuplicateGpadl(gpadl))]);
    assert_eq!(host.answer(question, true), [answered(MessageType::GPADL_CREATED, true)]);
    // A body too many pages long for what was announced.
    let overrun = GpadlId(10);
    host.says(list(RELID, overrun, 27)[0]);
    let did = host.says(list(RELID, overrun, 30)[1]);
    let refused = answered(MessageType::GPADL_CREATED, false);
    assert_eq!(did, [refused, Did::Blamed(Violation::GpadlOverrun(overrun))]);
    // Torn down while it is put together.
    host.says(list(RELID, overrun, 27)[0]);
    let did = host.says(GpadlTeardown::new(RELID, overrun).to_payload());
    assert_eq!(did, [said(MessageType::GPADL_TORNDOWN)]);
}

#[test]
fn a_guest_shares_no_more_than_its_limits() {
    let limits = Limits { gpadls: 3, gpadl_pages: 50 };
    let mut host = Host::new(ServerConfig { limits, ..ServerConfig::default() });
    host.offer(DM);
    host.contact(Version::WIN10);
    host.says(Message::RequestOffers.to_payload());
    let large = list(RELID, LIST, 60);
    let violation = Violation::TooManyGpadlPages { gpadl: LIST, pages: 60, limit: 50 };
    assert_eq!(host.says(large[0]), [Did::Blamed(violation)]);
    assert_eq!(host.says(large[1]), [], "swallowed without another word");
    assert_eq!(host.says(large[2]), [answered(MessageType::GPADL_CREATED, false)]);
    // Announced pages count before they come.
    host.says(list(RELID, GpadlId(1), 40)[0]);
    let small = list(RELID, GpadlId(2), 11);
    let violation = Violation::TooManyGpadlPages { gpadl: GpadlId(2), pages: 11, limit: 50 };
    let refused = || answered(MessageType::GPADL_CREATED, false);
    assert_eq!(host.says(small[0]), [refused(), Did::Blamed(violation)]);
    host.says(list(RELID, GpadlId(2), 1)[0]);
    // All pages that there may be.
    let last = host.says(list(RELID, GpadlId(3), 9)[0]);
    assert!(matches!(last[..], [Did::Asked(_)]), "{last:?}");
    let violation = Violation::TooManyGpadls { gpadl: GpadlId(4), limit: 3 };
    assert_eq!(host.says(list(RELID, GpadlId(4), 1)[0]), [refused(), Did::Blamed(violation)]);
    // The largest list there is fits the default limits.
    let mut host = Host::with_list(Version::WIN10);
    let mut did = Vec::new();
    for message in list(RELID, GpadlId(1), MAX_GPADL_PAGES as u64) {
        did = host.says(message);
    }
    assert!(matches!(did[..], [Did::Asked(_)]));
}

#[test]
fn opens_that_break_a_rule_are_answered_all_the_same() {
    let refused = || answered(MessageType::OPEN_CHANNEL_RESULT, false);
    let mut host = Host::with_list(Version::WIN10);
    host.offer(ECHO);
    let kind = MessageType::OPEN_CHANNEL;
    let second = Relid::new(2).unwrap();
    for downstream_offset in [0, 1, 9, 10, u32::MAX] {
        let violation = Violation::BadRingSplit { pages: 10, downstream_offset };
        assert_eq!(host.says(open(RELID, LIST, downstream_offset)), [refused(), Did::Blamed(violation)]);
    }
    let unknown = Relid::new(3).unwrap();
    let violation = Violation::UnknownChannel { kind, relid: 3 };
    assert_eq!(host.says(open(unknown, LIST, 5)), [refused(), Did::Blamed(violation)]);
    let violation = Violation::UnknownGpadl { kind, gpadl: GpadlId(9) };
    assert_eq!(host.says(open(RELID, GpadlId(9), 5)), [refused(), Did::Blamed(violation)]);
    let violation = Violation::GpadlOfOtherChannel { gpadl: LIST, relid: 2 };
    assert_eq!(host.says(open(second, LIST, 5)), [refused(), Did::Blamed(violation)]);
    host.says(list(RELID, GpadlId(9), 4).remove(0));
    let violation = Violation::GpadlNotReady(GpadlId(9));
    assert_eq!(host.says(open(RELID, GpadlId(9), 2)), [refused(), Did::Blamed(violation)]);
    host.says(open(RELID, LIST, 5));
    let violation = Violation::AlreadyOpen(RELID);
    assert_eq!(host.says(open(RELID, LIST, 5)), [refused(), Did::Blamed(violation)]);
    host.answer(host.question(), true);
    let violation = Violation::AlreadyOpen(RELID);
    assert_eq!(host.says(open(RELID, LIST, 5)), [refused(), Did::Blamed(violation)]);
}

#[test]
fn other_broken_rules_are_named_and_change_nothing() {
    let mut host = Host::opened(Version::WIN10);
    let before = host.server.clone();
    let kind = MessageType::CLOSE_CHANNEL;
    let blamed = |violation| [Did::Blamed(violation)];
    let gone = CloseChannel { relid: 3.into() }.to_payload();
    assert_eq!(host.says(gone), blamed(Violation::UnknownChannel { kind, relid: 3 }));
    let impossible = CloseChannel { relid: 0x1_0001.into() }.to_payload();
    assert_eq!(host.says(impossible), blamed(Violation::UnknownChannel { kind, relid: 0x1_0001 }));
    let did = host.says(GpadlTeardown::new(RELID, LIST).to_payload());
    assert_eq!(did, blamed(Violation::GpadlInUse { gpadl: LIST, relid: RELID }));
    let did = host.says(GpadlTeardown::new(Relid::new(2).unwrap(), LIST).to_payload());
    assert_eq!(did, blamed(Violation::GpadlOfOtherChannel { gpadl: LIST, relid: 2 }));
    let did = host.says(Message::RequestOffers.to_payload());
    assert_eq!(did, blamed(Violation::OffersRequestedTwice));
    let did = host.says(Message::UnloadResponse.to_payload());
    assert_eq!(did, blamed(Violation::WrongDirection(MessageType::UNLOAD_RESPONSE)));
    let did = host.says([7, 0, 0, 0, 0, 0, 0, 0, 1]);
    let short = crate::control::message::MessageError::Short { kind, need: 12, got: 9 };
    assert_eq!(did, blamed(Violation::Malformed(short)));
    let mut unknown = [0; 16];
    unknown[0] = 19;
    assert_eq!(host.says(unknown), [Did::Unsupported(MessageType(19))]);
    let did = host.says(ModifyChannel::new(RELID, 1).to_payload());
    let (kind, version) = (MessageType::MODIFY_CHANNEL, Version::WIN10);
    assert_eq!(did, blamed(Violation::NotInVersion { kind, version }));
    assert_eq!(host.server, before);
    let mut host = Host::new(ServerConfig::default());
    let did = host.says(Message::RequestOffers.to_payload());
    assert_eq!(did, blamed(Violation::NotConnected(MessageType::REQUEST_OFFERS)));
    let text = Violation::GpadlInUse { gpadl: LIST, relid: RELID }.what();
    assert_eq!(text, "the guest tore down GPADL 0xe1e10, on which channel 1 is open");
}

#[test]
fn modifying_a_channel() {
    let modify = ModifyChannel::new(RELID, 3).to_payload();
    let mut host = Host::opened(Version::WIN10_RS3);
    assert_eq!(host.says(modify), [Did::Retarget(3)], "without an answer before 5.3");
    let mut host = Host::opened(Version::WS2022);
    assert_eq!(host.says(modify), [Did::Retarget(3), answered(MessageType::MODIFY_CHANNEL_RESPONSE, true)]);
    let Some(ChannelStatus::Open(rings)) = host.server.channel_status(RELID) else { panic!("not open") };
    assert_eq!(rings.target_vp, 3);
    host.says(CloseChannel::new(RELID).to_payload());
    let kind = MessageType::MODIFY_CHANNEL;
    let refused = || answered(MessageType::MODIFY_CHANNEL_RESPONSE, false);
    assert_eq!(host.says(modify), [refused(), Did::Blamed(Violation::NotOpen { kind, relid: RELID })]);
    // To a processor that the guest does not have, or to none.
    let mut host = Host::opened(Version::WS2022);
    host.server.config.processors = Some(4);
    assert_eq!(host.says(modify)[0], Did::Retarget(3));
    for vp in [4, NO_INTERRUPT_VP] {
        let did = host.says(ModifyChannel::new(RELID, vp).to_payload());
        let violation = Violation::UnknownProcessor { relid: RELID, vp };
        assert_eq!(did, [refused(), Did::Blamed(violation)]);
    }
    // Of a channel that was opened without interrupts.
    let mut host = Host::with_list(Version::WS2022);
    let mut silent = open(RELID, LIST, 5).as_bytes().to_vec();
    silent[20..24].fill(0xff);
    host.says(silent);
    host.answer(host.question(), true);
    assert_eq!(host.says(modify), [refused(), Did::Blamed(Violation::InterruptsOff(RELID))]);
}

#[test]
fn unload_is_answered_in_every_state() {
    let mut host = Host::opened(Version::WIN10);
    let did = host.says(Message::Unload.to_payload());
    let unloaded = || [Did::Unloaded, said(MessageType::UNLOAD_RESPONSE)];
    assert_eq!(did[..3], [Did::Close(RELID), Did::Release(LIST), Did::Reset]);
    assert_eq!(did[3..], unloaded());
    assert_eq!(host.says(Message::Unload.to_payload())[1..], unloaded());
    assert_eq!((host.monitor.open_channels(), host.monitor.held_gpadls()), (0, 0));
}

#[test]
fn a_restored_server_asks_again_what_was_not_answered() {
    let mut host = Host::with_list(Version::WIN10);
    host.says(open(RELID, LIST, 5));
    let opening = host.question();
    host.says(list(RELID, GpadlId(9), 4).remove(0));
    let listing = host.question();
    let json = serde_json::to_string(&host.server.save()).unwrap();
    let mut out = Vec::new();
    let config = host.server.config().clone();
    let restored = Server::restore(config.clone(), serde_json::from_str(&json).unwrap(), &mut out).unwrap();
    assert_eq!(restored, host.server);
    let [Output::EstablishGpadl { request: list_again, .. }, Output::Open { request: open_again, rings, .. }] =
        &out[..]
    else {
        panic!("{out:?}")
    };
    assert_eq!((Question::Open(*open_again), Question::Gpadl(*list_again)), (opening, listing));
    assert_eq!((rings.gpadl, rings.downstream_offset), (LIST, 5));
    // Not by a configuration that would never have agreed.
    let mut old = config;
    old.max_version = Version::WIN8_1;
    let refused = Server::restore(old, host.server.save(), &mut out);
    assert_eq!(refused, Err(RestoreError::Version(Version::WIN10)));
}

#[test]
fn saved_states_that_contradict_themselves_are_refused() {
    let host = Host::opened(Version::WIN10);
    let saved = serde_json::to_value(host.server.save()).unwrap();
    let restore = |value: serde_json::Value| {
        let saved = serde_json::from_value(value).map_err(|error| alloc::format!("{error}"))?;
        let server = Server::restore(host.server.config().clone(), saved, &mut Vec::new());
        server.map_err(|error| alloc::format!("{error}"))
    };
    assert_eq!(restore(saved.clone()).as_ref(), Ok(&host.server));
    type Change = fn(&mut serde_json::Value);
    let changes: [(&str, Change); 7] = [
        ("format", |saved| saved["format"] = 1.into()),
        ("no list", |saved| saved["state"]["gpadls"] = serde_json::json!({})),
        ("no channel", |saved| saved["state"]["channels"] = serde_json::json!({})),
        ("no contact", |saved| saved["state"]["contact"] = serde_json::Value::Null),
        ("no offers", |saved| saved["state"]["contact"]["offers_requested"] = false.into()),
        ("version", |saved| saved["state"]["contact"]["version"] = 0x1_0001.into()),
        ("relid", |saved| {
            let channel = saved["state"]["channels"]["1"].clone();
            saved["state"]["channels"] = serde_json::json!({ "4000": channel });
        }),
    ];
    for (name, change) in changes {
        let mut changed = saved.clone();
        change(&mut changed);
        assert!(restore(changed).is_err(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_guest_and_any_owner(bytes in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        let _ = fuzz_server(&bytes);
    }
}

#[test]
fn what_is_not_changed_keeps_its_default() {
    let config = ServerConfig::default().with(|config| {
        config.processors = Some(2);
        config.limits = Limits::default().with(|limits| limits.gpadls = 9);
    });
    assert_eq!((config.max_version, config.processors), (Version::WIN10, Some(2)));
    assert_eq!(config.limits, Limits { gpadls: 9, gpadl_pages: 65_536 });
    let offer = DM.with(|offer| offer.mmio_mib = 8);
    assert_eq!((offer.class, offer.mmio_mib, offer.subchannel_index), (DYNAMIC_MEMORY_CLASS, 8, 0));
}

#[test]
fn the_lists_that_the_owner_has_or_is_asked_for_are_known() {
    let mut host = Host::with_list(Version::WIN10);
    host.says(list(RELID, GpadlId(7), 3).remove(0));
    // Of the third only the first of two messages has come.
    host.says(list(RELID, GpadlId(8), 40).remove(0));
    let Question::Gpadl(asked) = host.question() else { panic!("asked for something else") };
    let lists: Vec<_> = host
        .server
        .gpadls()
        .map(|(gpadl, relid, pages, request)| (gpadl, relid, pages.len(), request))
        .collect();
    assert_eq!(lists, [(GpadlId(7), RELID, 3, Some(asked)), (LIST, RELID, 10, None)]);
}

#[test]
fn rules_and_messages_have_words() {
    assert_eq!(Violation::GpadlNotReady(LIST).what(), "the guest used GPADL 0xe1e10 before it was created");
    assert_eq!(
        alloc::format!("{} {:?}", MessageType(99), MessageType::GPADL_BODY),
        "message type 99 GPADL_BODY"
    );
    assert_eq!(alloc::format!("{}", RequestId(7)), "7");
}
