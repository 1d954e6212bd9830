//! A server, and a guest that sends the messages about a device in any order whatever, while the host takes the device
//! away and brings it back, and its owner answers late, wrongly or too late. Explored until nothing new is found.

use alloc::vec::Vec;

use super::{Explored, World, explore, make_canonical};
use crate::control::message::{
    Body, CloseChannel, GpadlMessages, GpadlTeardown, InitiateContact, Message, OpenChannel, Payload,
    RelidReleased, UserData,
};
use crate::control::server::{Offer, Output, Sabotage, SavedState, Server, ServerConfig};
use crate::control::test_support::{Monitor, Question};
use crate::control::{
    CONTACT_CONNECTION_ID, DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE, GpadlId, Relid, Status, Uuid,
    Version,
};

const DEVICES: [Offer; 2] = [
    Offer::new(DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE),
    Offer::new(Uuid::from_bytes([0xec; 16]), Uuid::nil()),
];
const LISTS: [GpadlId; 2] = [GpadlId(1), GpadlId(2)];
/// The owner answers before it is asked more than this; overtaken questions count.
const MOST_QUESTIONS: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Act {
    Contact,
    RequestOffers,
    Describe(Relid, GpadlId),
    Open(Relid, GpadlId),
    Close(Relid),
    Teardown(Relid, GpadlId),
    Release(Relid),
    Unload,
    Offer(usize),
    Rescind(Relid),
    Answer(Question, bool),
}

#[derive(Clone, Hash)]
struct AnyGuest {
    server: Server,
    monitor: Monitor,
}

fn relids() -> [Relid; 3] {
    [1, 2, 3].map(|number| Relid::new(number).unwrap())
}

fn payload(act: Act) -> Option<Payload> {
    Some(match act {
        Act::Contact => InitiateContact::with_interrupt_page(Version::WIN10, 0, 0, [0, 0]).to_payload(),
        Act::RequestOffers => Message::RequestOffers.to_payload(),
        Act::Describe(relid, gpadl) => GpadlMessages::new(relid, gpadl, &[1, 2, 3, 4]).ok()?.next()?,
        Act::Open(relid, gpadl) => OpenChannel {
            relid: relid.get().into(),
            open_id: relid.get().into(),
            ring_gpadl: gpadl.0.into(),
            target_vp: 0.into(),
            downstream_page_offset: 2.into(),
            user_data: UserData::ZERO,
        }
        .to_payload(),
        Act::Close(relid) => CloseChannel::new(relid).to_payload(),
        Act::Teardown(relid, gpadl) => GpadlTeardown::new(relid, gpadl).to_payload(),
        Act::Release(relid) => RelidReleased::new(relid).to_payload(),
        Act::Unload => Message::Unload.to_payload(),
        Act::Offer(_) | Act::Rescind(_) | Act::Answer(..) => return None,
    })
}

impl AnyGuest {
    fn new(sabotage: Sabotage) -> Self {
        let mut server = Server::new(ServerConfig::default());
        server.sabotage = sabotage;
        let mut world = Self { server, monitor: Monitor::new() };
        world.act(Act::Offer(0));
        world
    }

    fn run(&mut self, act: impl FnOnce(&mut Server, &mut Vec<Output>)) {
        let mut out = Vec::new();
        act(&mut self.server, &mut out);
        for output in &out {
            self.monitor.output(output);
        }
        self.monitor.at_rest();
    }

    fn check_saved_state(&self) {
        let json = serde_json::to_string(&self.server.save()).unwrap();
        let saved: SavedState = serde_json::from_str(&json).unwrap();
        let mut asked = Vec::new();
        let mut restored = Server::restore(self.server.config().clone(), saved, &mut asked).unwrap();
        restored.sabotage = self.server.sabotage;
        assert!(restored == self.server, "restored to something else");
        for output in asked {
            let (Output::EstablishGpadl { request, .. } | Output::Open { request, .. }) = output else {
                panic!("restored with {output:?}")
            };
            assert!(self.monitor.questions().any(|question| question.request() == request));
        }
    }
}

impl World for AnyGuest {
    type Act = Act;

    fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        let questions: Vec<Question> = self.monitor.questions().collect();
        if questions.len() < MOST_QUESTIONS {
            acts.extend([Act::Contact, Act::RequestOffers, Act::Unload, Act::Offer(0), Act::Offer(1)]);
            for relid in relids() {
                acts.extend([Act::Close(relid), Act::Release(relid), Act::Rescind(relid)]);
                for gpadl in LISTS {
                    acts.extend([
                        Act::Describe(relid, gpadl),
                        Act::Open(relid, gpadl),
                        Act::Teardown(relid, gpadl),
                    ]);
                }
            }
        }
        for question in questions {
            acts.extend([Act::Answer(question, true), Act::Answer(question, false)]);
        }
        acts
    }

    fn act(&mut self, act: Act) -> bool {
        if let Some(payload) = payload(act) {
            self.monitor.guest_message(self.server.version().is_some(), &payload);
            self.run(|server, out| {
                server.message(CONTACT_CONNECTION_ID, &payload, out);
            });
        }
        match act {
            Act::Offer(device) => self.run(|server, out| {
                let _ = server.offer(DEVICES[device].clone(), out);
            }),
            Act::Rescind(relid) => self.run(|server, out| {
                server.rescind(relid, out);
            }),
            Act::Answer(question, ok) => {
                self.monitor.answer(question, ok);
                self.run(|server, out| match question {
                    Question::Gpadl(request) => server.gpadl_result(request, ok, out),
                    Question::Open(request) => server.open_result(request, Status::from_ok(ok), out),
                });
            }
            _ => {}
        }
        // Not more than three channels at a time: the devices, and what is left of one.
        if self.server.channels().any(|(relid, ..)| relid.get() > 3) {
            return false;
        }
        make_canonical(&mut self.server, &mut self.monitor);
        true
    }

    fn check(&self) {
        self.check_saved_state();
    }
}

fn explored(sabotage: Sabotage) -> Explored {
    explore(AnyGuest::new(sabotage), 100)
}

#[test]
fn no_order_of_messages_breaks_a_rule() {
    let explored = explored(Sabotage::None);
    assert!(explored.complete, "{explored:?}");
    assert!(explored.states > 30_000, "too few to mean anything: {explored:?}");
}

/// With a check left out, the exploration must find an order of messages that breaks a rule.
#[test]
#[should_panic(expected = "released while a channel is open on it")]
fn without_the_check_for_lists_in_use() {
    explored(Sabotage::ReleaseGpadlInUse);
}

#[test]
#[should_panic(expected = "offered again before it was released")]
fn without_waiting_for_the_release_of_an_id() {
    explored(Sabotage::FreeRelidAtRescind);
}

#[test]
#[should_panic(expected = "confirmed but not granted")]
fn without_telling_late_answers_from_others() {
    explored(Sabotage::BelieveStaleAnswers);
}

#[test]
#[should_panic(expected = "is never answered")]
fn without_an_answer_to_an_open_that_is_closed() {
    explored(Sabotage::ForgetToAnswerClosedOpen);
}
