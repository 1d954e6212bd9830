//! Functions of bytes that must not fail: what a fuzzer, and the tests, feed.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::bytes::Bytes;
use super::pair::{Pair, Step};
use crate::control::client::{Client, ClientConfig, OpenParams, Output, Retry};
use crate::control::message::{
    Body, CloseChannel, GpadlCreated, GpadlMessages, GpadlTeardown, GpadlTorndown, InitiateContact, Message,
    ModifyChannel, ModifyChannelResponse, OfferChannel, OpenChannel, OpenChannelResult, Payload,
    RelidReleased, RescindChannelOffer, UserData, VersionResponse,
};
use crate::control::server::{Limits, Offer, RequestId, Server, ServerConfig};
use crate::control::{
    DYNAMIC_MEMORY_CLASS, GpadlId, NO_INTERRUPT_VP, PostStatus, Relid, Status, Uuid, Version,
};

/// Inputs handled at most: more bytes than that tell nothing new.
const MOST_INPUTS: usize = 2_000;

/// Channel messages: any bytes are decoded or refused; what was decoded is encoded, and decoded again to the same.
pub fn fuzz_message(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else { return };
    let payload = message.to_payload();
    assert!(payload.len() <= bytes.len(), "{message:?} grew");
    let again = Message::decode(&payload);
    assert_eq!(again, Ok(message), "encoded and decoded again");
    if let Message::GpadlHeader(header) = message {
        assert!(header.announced_pages().is_none_or(|pages| pages >= header.page_numbers().len()));
    }
}

/// How far a run got: the names of what was reported. A test can see from it whether inputs reach what they should.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reached {
    /// How often, by name: events, rules broken, states.
    pub names: BTreeMap<String, u64>,
}

impl Reached {
    /// Notes a value by the name of its variant.
    fn note(&mut self, value: &impl fmt::Debug) {
        let text = alloc::format!("{value:?}");
        let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
        *self.names.entry(text[..end].into()).or_default() += 1;
    }
}

/// A server with a guest that does what the bytes say, and an owner who answers when they say so.
pub fn fuzz_server(bytes: &[u8]) -> Reached {
    let mut reached = Reached::default();
    let mut bytes = Bytes::new(bytes);
    let limits = Limits { gpadls: 4, gpadl_pages: 64 };
    let max_version = Version::SPOKEN[bytes.below(8) as usize];
    let config = ServerConfig { max_version, limits, processors: Some(4), ..ServerConfig::default() };
    let mut pair = Pair::new(ClientConfig::default(), config, 16);
    for _ in 0..MOST_INPUTS {
        if bytes.is_empty() {
            break;
        }
        server_input(&mut pair, &mut bytes);
        assert!(pair.server.gpadls().count() <= limits.gpadls);
        assert!(
            pair.server.gpadls().map(|(_, _, pages, _)| pages.len()).sum::<usize>() <= limits.gpadl_pages
        );
        // Nobody reads: the guest has to, before it goes on.
        pair.drop_messages_to_guest();
        for violation in pair.violations.drain(..) {
            reached.note(&violation);
        }
        for (.., status) in pair.server.channels() {
            reached.note(&status);
        }
    }
    pair.host(Server::reset);
    assert_eq!((pair.monitor.open_channels(), pair.monitor.held_gpadls()), (0, 0));
    reached
}

fn server_input(pair: &mut Pair, bytes: &mut Bytes<'_>) {
    match bytes.below(16) {
        0 => {
            let offer = Offer::new(DYNAMIC_MEMORY_CLASS, Uuid::from_bytes([bytes.byte() % 3; 16]));
            let _ = pair.host(|server, out| server.offer(offer, out));
        }
        // Seldom, or there would be few channels.
        1 if bytes.below(4) == 0 => {
            if let Some(relid) = Relid::new(bytes.mostly_below(4)) {
                pair.host(|server, out| server.rescind(relid, out));
            }
        }
        2..=5 => {
            let which = usize::from(bytes.byte());
            let ok = bytes.below(4) != 0;
            let count = pair.monitor.questions().count();
            let question = pair.monitor.questions().nth(which % count.max(1));
            match question {
                Some(question) => pair.step(Step::Answer(question, ok)),
                // Answers to what was never asked.
                None => pair.host(|server, out| {
                    server.open_result(RequestId(u64::from(bytes.word())), Status::from_ok(ok), out);
                    server.gpadl_result(RequestId(u64::from(bytes.word())), ok, out);
                }),
            }
        }
        6 if bytes.below(16) == 0 => pair.host(Server::reset),
        7 => {
            let restored = Server::restore(pair.server.config().clone(), pair.server.save(), &mut Vec::new());
            assert_eq!(restored.as_ref(), Ok(&pair.server), "saved and restored");
        }
        8 => {
            let connection_id = bytes.mostly_below(6);
            let payload = bytes.slice(250);
            pair.guest_message(connection_id, payload);
        }
        _ => {
            let connection_id = match pair.server.version() {
                Some(version) if version.names_its_connection() => 4,
                _ => 1,
            };
            for (own, payload) in guest_messages(bytes, pair.server.version().is_some()) {
                pair.guest_message(own.unwrap_or(connection_id), &payload);
            }
        }
    }
}

/// The teardown of a list, or one whole list: what comes to something only if nothing is wrong with it.
fn list_and_open(bytes: &mut Bytes<'_>, channel: Relid, gpadl: GpadlId) -> Vec<(Option<u32>, Payload)> {
    if bytes.below(4) == 0 {
        return alloc::vec![(None, GpadlTeardown::new(channel, gpadl).to_payload())];
    }
    GpadlMessages::new(channel, gpadl, &[1, 2, 3, 4])
        .map(|messages| messages.map(|payload| (None, payload)).collect())
        .unwrap_or_default()
}

/// Messages as a guest sends them, about few channels and lists, in any order.
fn guest_messages(bytes: &mut Bytes<'_>, connected: bool) -> Vec<(Option<u32>, Payload)> {
    let relid = bytes.mostly_below(4);
    let channel = Relid::new(relid).unwrap_or(Relid::FIRST);
    // Mostly one of the two lists that are this channel's.
    let gpadl =
        GpadlId(if bytes.below(4) == 0 { bytes.below(6) } else { channel.get() * 2 + bytes.below(2) });
    let payload = match bytes.below(18) {
        0 | 1 if !connected || bytes.below(8) == 0 => {
            let version = Version(bytes.mostly_below(8));
            let version = usize::try_from(version.0)
                .ok()
                .and_then(|at| Version::SPOKEN.get(at))
                .copied()
                .unwrap_or(version);
            let sint = if bytes.below(8) == 0 { bytes.byte() } else { 2 };
            let contact = InitiateContact::with_sint(version, bytes.mostly_below(4), sint, [0, 0]);
            let connection_id = if version.names_its_connection() { 4 } else { 1 };
            let connection_id = if bytes.below(8) == 0 { 5 - connection_id } else { connection_id };
            return alloc::vec![(Some(connection_id), contact.to_payload())];
        }
        0..=3 => Message::RequestOffers.to_payload(),
        4..=6 => {
            let most = if bytes.below(4) == 0 { 80 } else { 12 };
            let pages: Vec<u64> = (0..u64::from(bytes.byte() % most)).collect();
            let mut messages: Vec<_> = match GpadlMessages::new(channel, gpadl, &pages) {
                Ok(messages) => messages.map(|payload| (None, payload)).collect(),
                Err(_) => Vec::new(),
            };
            if bytes.below(4) == 0 {
                // One is lost, or comes twice.
                let at = usize::from(bytes.byte()) % messages.len().max(1);
                if bytes.flag() && !messages.is_empty() {
                    messages.remove(at);
                } else if let Some(&message) = messages.get(at) {
                    messages.push(message);
                }
            }
            return messages;
        }
        7..=9 => OpenChannel {
            relid: relid.into(),
            open_id: bytes.below(4).into(),
            ring_gpadl: gpadl.0.into(),
            target_vp: if bytes.flag() { NO_INTERRUPT_VP } else { bytes.mostly_below(4) }.into(),
            downstream_page_offset: bytes.mostly_below(6).into(),
            user_data: UserData::ZERO,
        }
        .to_payload(),
        10 => CloseChannel { relid: relid.into() }.to_payload(),
        11 => GpadlTeardown::new(channel, gpadl).to_payload(),
        12 => RelidReleased { relid: relid.into() }.to_payload(),
        13 => ModifyChannel { relid: relid.into(), target_vp: bytes.below(6).into() }.to_payload(),
        14 if bytes.below(8) == 0 => Message::Unload.to_payload(),
        14..=16 => return list_and_open(bytes, channel, gpadl),
        _ => Payload::new(&bytes.word().to_le_bytes()).unwrap_or(Payload::EMPTY),
    };
    alloc::vec![(None, payload)]
}

/// A client whose host says what the bytes say, and whose driver asks for what they say.
pub fn fuzz_client(bytes: &[u8]) -> Reached {
    let mut reached = Reached::default();
    let mut bytes = Bytes::new(bytes);
    let config = ClientConfig {
        retry: Retry { attempts: 1 + bytes.below(8), ..Retry::default() },
        reply_timeout: (bytes.below(4) == 0).then_some(Duration::from_secs(1)),
        ..ClientConfig::default()
    };
    let mut client = Client::new(config);
    let refuses = bytes.below(4) == 0;
    let mut now = Duration::ZERO;
    let mut out = Vec::new();
    let mut lists = Vec::new();
    let mut posted = Vec::new();
    // A client without contact is of little interest: it soon tries again.
    let mut failed = false;
    client.connect(now, &mut out);
    for _ in 0..MOST_INPUTS {
        // Only what was put out can have come of one input: no input makes the client talk without end.
        let mut posts = 0;
        while let Some(output) = take_first(&mut out) {
            match &output {
                Output::HostViolation(violation) => reached.note(violation),
                Output::Failed(failure) => {
                    reached.note(failure);
                    failed = true;
                }
                Output::NotPosted(failure) => reached.note(failure),
                other => reached.note(other),
            }
            if let Output::Post { payload, .. } = output {
                posted.push(payload);
                posts += 1;
                assert!(posts < 4_000, "posts without end");
                let status = match bytes.byte() {
                    1 => PostStatus::InvalidConnectionId,
                    2..=16 => PostStatus::InsufficientBuffers,
                    17 => PostStatus::Other(5),
                    _ => PostStatus::Success,
                };
                client.post_result(now, status, &mut out);
            }
        }
        if failed && bytes.below(4) == 0 {
            failed = false;
            client.connect(now, &mut out);
        }
        if bytes.is_empty() {
            break;
        }
        match bytes.below(10) {
            0 | 8 | 9 => client_driver(&mut client, now, &mut bytes, &mut lists, &mut out),
            1 => {
                now = client.next_timeout().map_or(now, |at| now.max(at));
                client.timer(now, &mut out);
            }
            2 => {
                let restored = Client::restore(client.config().clone(), client.save());
                assert_eq!(restored.as_ref(), Ok(&client), "saved and restored");
            }
            3 => {
                let payload = bytes.slice(250);
                client.message(now, payload, &mut out);
            }
            4 | 5 if !refuses && !posted.is_empty() => {
                // What an honest host would say, though perhaps for the second time, or late.
                let back = if bytes.below(4) == 0 { bytes.below(4) } else { 0 };
                let at = posted.len().saturating_sub(1 + usize::try_from(back).unwrap_or(0));
                let answer = posted.get(at).and_then(honest_answer);
                if let Some(payload) = answer {
                    client.message(now, &payload, &mut out);
                }
            }
            _ => {
                let payload = host_message(&mut bytes, refuses, &lists);
                client.message(now, &payload, &mut out);
            }
        }
    }
    reached
}

fn take_first(out: &mut Vec<Output>) -> Option<Output> {
    (!out.is_empty()).then(|| out.remove(0))
}

/// Mostly one of the lists described last.
fn recent(lists: &[GpadlId], bytes: &mut Bytes<'_>) -> GpadlId {
    let back = usize::try_from(bytes.below(3)).unwrap_or(0);
    let any = GpadlId(bytes.mostly_below(4).wrapping_add(0xe1e10));
    lists.len().checked_sub(1 + back).and_then(|at| lists.get(at)).copied().unwrap_or(any)
}

fn client_driver(
    client: &mut Client,
    now: Duration,
    bytes: &mut Bytes<'_>,
    lists: &mut Vec<GpadlId>,
    out: &mut Vec<Output>,
) {
    let relid = Relid::new(1 + bytes.below(3)).unwrap_or(Relid::FIRST);
    let list = recent(lists, bytes);
    // Refusals are as good as any answer here.
    match bytes.below(12) {
        0 if bytes.below(8) == 0 => client.connect(now, out),
        1 if bytes.below(8) == 0 => client.unload(now, out),
        2 | 3 => {
            let pages: Vec<u64> = (0..u64::from(bytes.byte() % 80)).collect();
            lists.extend(client.establish_gpadl(relid, &pages, out));
        }
        4 | 5 => {
            let params =
                OpenParams { gpadl: list, downstream_offset: 2, target_vp: 0, user_data: UserData::ZERO };
            let _ = client.open(relid, &params, out);
        }
        6 => {
            let _ = client.close(relid, out);
        }
        7 => {
            let _ = client.teardown_gpadl(list, out);
        }
        8..=10 => {
            let _ = client.modify(relid, bytes.word(), out);
        }
        _ => {
            let _ = client.release(relid, out);
        }
    }
}

/// What an honest host answers.
fn honest_answer(posted: &Payload) -> Option<Payload> {
    Some(match Message::decode(posted).ok()? {
        Message::InitiateContact(contact) => VersionResponse::accepted(contact.version(), 4).to_payload(),
        Message::RequestOffers => offer(1),
        Message::OpenChannel(open) => {
            OpenChannelResult::new(open.relid.get(), open.open_id.get(), Status::SUCCESS).to_payload()
        }
        Message::GpadlHeader(header) => {
            let gpadl = GpadlId(header.fixed().gpadl.get());
            GpadlCreated::new(header.fixed().relid.get(), gpadl, Status::SUCCESS).to_payload()
        }
        Message::GpadlTeardown(teardown) => GpadlTorndown::new(GpadlId(teardown.gpadl.get())).to_payload(),
        Message::ModifyChannel(modify) => {
            ModifyChannelResponse::new(modify.relid.get(), Status::SUCCESS).to_payload()
        }
        Message::Unload => Message::UnloadResponse.to_payload(),
        _ => return None,
    })
}

fn offer(relid: u32) -> Payload {
    OfferChannel {
        class: DYNAMIC_MEMORY_CLASS.into(),
        instance: Uuid::nil().into(),
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
        connection_id: 17.into(),
    }
    .to_payload()
}

/// A message as a host sends it, about few channels and lists, in any order.
fn host_message(bytes: &mut Bytes<'_>, refuses: bool, lists: &[GpadlId]) -> Payload {
    let relid = bytes.mostly_below(4);
    let gpadl = recent(lists, bytes);
    let status = Status(bytes.below(4) / 3);
    match bytes.below(16) {
        0..=2 => VersionResponse {
            supported: if refuses { u8::from(bytes.below(16) == 0) } else { bytes.byte() % 8 },
            state: u8::from(bytes.below(8) == 0),
            reserved: 0.into(),
            connection_id_or_version: bytes.word().into(),
        }
        .to_payload(),
        3..=5 => offer(relid),
        6 => Message::AllOffersDelivered.to_payload(),
        7 => RescindChannelOffer { relid: relid.into() }.to_payload(),
        8 | 9 => OpenChannelResult::new(relid, relid, status).to_payload(),
        10 | 11 => GpadlCreated::new(relid, gpadl, status).to_payload(),
        12 => GpadlTorndown::new(gpadl).to_payload(),
        13 | 14 => ModifyChannelResponse::new(relid, status).to_payload(),
        15 if bytes.flag() => Message::UnloadResponse.to_payload(),
        _ => Payload::new(&bytes.word().to_le_bytes()).unwrap_or(Payload::EMPTY),
    }
}
