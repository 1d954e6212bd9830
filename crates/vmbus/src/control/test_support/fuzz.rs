//! Functions of bytes that must not fail: what a fuzzer, and the tests, feed.

use alloc::vec::Vec;
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
use crate::control::{GpadlId, Guid, PostStatus, Relid, Status, Version};

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

/// A server with a guest that does what the bytes say, and an owner who answers when they say so.
pub fn fuzz_server(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let limits = Limits { gpadls: 4, gpadl_pages: 64 };
    let max_version = Version::SPOKEN[bytes.below(8) as usize];
    let config = ServerConfig { max_version, limits, ..ServerConfig::default() };
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
        pair.violations.clear();
    }
    pair.host(|server, out| server.reset(out));
    assert_eq!((pair.monitor.open_channels(), pair.monitor.held_gpadls()), (0, 0));
}

fn server_input(pair: &mut Pair, bytes: &mut Bytes<'_>) {
    match bytes.below(16) {
        0 => {
            let offer = Offer::new(Guid::DYNAMIC_MEMORY, Guid::from_wire([bytes.byte() % 3; 16]));
            let _ = pair.host(|server, out| server.offer(offer, out));
        }
        1 => {
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
        6 if bytes.below(16) == 0 => pair.host(|server, out| server.reset(out)),
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
            for (own, payload) in guest_messages(bytes) {
                pair.guest_message(own.unwrap_or(connection_id), &payload);
            }
        }
    }
}

/// Messages as a guest sends them, about few channels and lists, in any order.
fn guest_messages(bytes: &mut Bytes<'_>) -> Vec<(Option<u32>, Payload)> {
    let relid = bytes.mostly_below(4);
    let channel = Relid::new(relid).unwrap_or(Relid::FIRST);
    let gpadl = GpadlId(bytes.below(6));
    let payload = match bytes.below(16) {
        0 => {
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
        1..=3 => Message::RequestOffers.to_payload(),
        4..=6 => {
            let pages: Vec<u64> = (0..u64::from(bytes.byte() % 80)).collect();
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
            target_vp: bytes.mostly_below(4).into(),
            downstream_page_offset: bytes.mostly_below(16).into(),
            user_data: UserData::ZERO,
        }
        .to_payload(),
        10 => CloseChannel { relid: relid.into() }.to_payload(),
        11 => GpadlTeardown::new(channel, gpadl).to_payload(),
        12 => RelidReleased { relid: relid.into() }.to_payload(),
        13 => ModifyChannel { relid: relid.into(), target_vp: bytes.word().into() }.to_payload(),
        14 => Message::Unload.to_payload(),
        _ => Payload::new(&bytes.word().to_le_bytes()).unwrap_or(Payload::EMPTY),
    };
    alloc::vec![(None, payload)]
}

/// A client whose host says what the bytes say, and whose driver asks for what they say.
pub fn fuzz_client(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let config = ClientConfig {
        retry: Retry { attempts: 1 + bytes.below(4), ..Retry::default() },
        reply_timeout: bytes.flag().then_some(Duration::from_secs(1)),
        ..ClientConfig::default()
    };
    let mut client = Client::new(config);
    let mut now = Duration::ZERO;
    let mut out = Vec::new();
    let mut lists = Vec::new();
    client.connect(now, &mut out);
    for _ in 0..MOST_INPUTS {
        // Only what was put out can have come of one input: no input makes the client talk without end.
        let mut posts = 0;
        while let Some(output) = take_first(&mut out) {
            match output {
                Output::Post { .. } => {
                    posts += 1;
                    assert!(posts < 4_000, "posts without end");
                    let status = match bytes.below(16) {
                        0 => PostStatus::InvalidConnectionId,
                        1 | 2 => PostStatus::InsufficientBuffers,
                        3 if bytes.below(8) == 0 => PostStatus::Other(5),
                        _ => PostStatus::Success,
                    };
                    client.post_result(now, status, &mut out);
                }
                Output::GpadlCreated { gpadl, .. } => lists.push(gpadl),
                _ => {}
            }
        }
        if bytes.is_empty() {
            break;
        }
        match bytes.below(8) {
            0 => client_driver(&mut client, now, &mut bytes, &lists, &mut out),
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
            _ => {
                let payload = host_message(&mut bytes);
                client.message(now, &payload, &mut out);
            }
        }
    }
}

fn take_first(out: &mut Vec<Output>) -> Option<Output> {
    (!out.is_empty()).then(|| out.remove(0))
}

fn client_driver(
    client: &mut Client,
    now: Duration,
    bytes: &mut Bytes<'_>,
    lists: &[GpadlId],
    out: &mut Vec<Output>,
) {
    let relid = Relid::new(1 + bytes.below(3)).unwrap_or(Relid::FIRST);
    let list = lists.get(usize::from(bytes.byte()) % lists.len().max(1)).copied().unwrap_or(GpadlId(0));
    // Refusals are as good as any answer here.
    match bytes.below(10) {
        0 if bytes.below(8) == 0 => client.connect(now, out),
        1 if bytes.below(8) == 0 => client.unload(now, out),
        2 | 3 => {
            let pages: Vec<u64> = (0..u64::from(bytes.byte() % 80)).collect();
            let _ = client.establish_gpadl(relid, &pages, out);
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
        8 => {
            let _ = client.modify(relid, bytes.word(), out);
        }
        _ => {
            let _ = client.release(relid, out);
        }
    }
}

/// A message as a host sends it, about few channels and lists, in any order.
fn host_message(bytes: &mut Bytes<'_>) -> Payload {
    let relid = bytes.mostly_below(4);
    let gpadl = GpadlId(0xe1e10 + bytes.mostly_below(4));
    let status = Status(bytes.below(2));
    match bytes.below(16) {
        0..=2 => VersionResponse {
            supported: bytes.byte() % 2,
            state: u8::from(bytes.below(8) == 0),
            reserved: 0.into(),
            connection_id_or_version: bytes.word().into(),
        }
        .to_payload(),
        3..=5 => OfferChannel {
            class: Guid::DYNAMIC_MEMORY,
            instance: Guid::NIL,
            reserved: Default::default(),
            flags: 0.into(),
            mmio_mib: 0.into(),
            user_defined: UserData::ZERO,
            subchannel_index: 0.into(),
            reserved2: 0.into(),
            relid: relid.into(),
            monitor_id: bytes.byte(),
            monitor_allocated: bytes.byte(),
            dedicated_interrupt: u16::from(bytes.flag()).into(),
            connection_id: bytes.word().into(),
        }
        .to_payload(),
        6 => Message::AllOffersDelivered.to_payload(),
        7 => RescindChannelOffer { relid: relid.into() }.to_payload(),
        8 | 9 => OpenChannelResult::new(relid, relid, status).to_payload(),
        10 | 11 => GpadlCreated::new(relid, gpadl, status).to_payload(),
        12 => GpadlTorndown::new(gpadl).to_payload(),
        13 => ModifyChannelResponse::new(relid, status).to_payload(),
        14 => Message::UnloadResponse.to_payload(),
        _ => Payload::new(&bytes.word().to_le_bytes()).unwrap_or(Payload::EMPTY),
    }
}
