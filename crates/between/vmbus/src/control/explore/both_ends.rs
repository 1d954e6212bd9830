//! A client and a server that both keep the rules, with messages and answers under way for any time: neither ever
//! accuses the other, and nobody waits for ever.

use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::{Explored, World, explore, make_canonical};
use crate::control::client::{ChannelStatus, Client, ClientConfig, OpenParams, Output, Retry};
use crate::control::message::UserData;
use crate::control::server::{Offer, Sabotage, Server, ServerConfig};
use crate::control::test_support::{Pair, Step};
use crate::control::{DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE, GpadlId, Relid, Version};

const DEVICE: Offer = Offer::new(DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE);
/// Enough to bring any state to rest.
const SETTLING_STEPS: usize = 100;

#[derive(Clone, Copy, Debug)]
enum Act {
    Connect,
    Unload,
    Establish(Relid),
    Open(Relid, GpadlId),
    Close(Relid),
    Teardown(GpadlId),
    Modify(Relid),
    Release(Relid),
    Offer,
    Rescind(Relid),
    Step(Step),
}

#[derive(Clone, Hash)]
struct BothEnds {
    pair: Pair,
    /// Lists the host has confirmed, or not yet.
    lists: Vec<GpadlId>,
}

impl BothEnds {
    fn new(sabotage: Sabotage) -> Self {
        let client = ClientConfig {
            versions: alloc::vec![Version::WS2022],
            // Time stands still: how long a wait is makes no difference.
            retry: Retry { first: Duration::ZERO, longest: Duration::ZERO, ..Retry::default() },
            ..ClientConfig::default()
        };
        let server = ServerConfig { max_version: Version::WS2022, ..ServerConfig::default() };
        let mut pair = Pair::new(client, server, 2);
        pair.server.sabotage = sabotage;
        let mut world = Self { pair, lists: Vec::new() };
        world.act(Act::Offer);
        world
    }

    fn connected() -> Self {
        let mut world = Self::new(Sabotage::None);
        world.act(Act::Connect);
        world.settle();
        world
    }

    fn with_list() -> Self {
        let mut world = Self::connected();
        assert!(world.act(Act::Establish(Relid::FIRST)));
        world.settle();
        world
    }

    fn opened() -> Self {
        let mut world = Self::with_list();
        assert!(world.act(Act::Open(Relid::FIRST, world.lists[0])));
        world.settle();
        assert_eq!(world.pair.client.channel_status(Relid::FIRST), Some(ChannelStatus::Open));
        world
    }

    /// Lets everything under way arrive; then nobody may be waiting.
    fn settle(&mut self) {
        for _ in 0..SETTLING_STEPS {
            let Some(&step) = self.pair.steps().first() else { break };
            self.act(Act::Step(step));
        }
        assert!(self.pair.is_settled(), "not at rest after {SETTLING_STEPS} steps");
        assert!(self.pair.client.all_posted(), "something is never posted");
        let waiting = self.pair.client.is_waiting();
        assert!(!waiting, "the client waits for ever: {:?}", self.pair.client);
        if self.pair.client.version().is_none() {
            let left = (self.pair.monitor.open_channels(), self.pair.monitor.held_gpadls());
            assert_eq!(left, (0, 0), "left behind after UNLOAD");
        } else {
            assert!(self.pair.client.all_offers_delivered());
        }
    }

    fn listen(&mut self) {
        for event in self.pair.take_events() {
            match event {
                Output::HostViolation(violation) => panic!("the client accuses the server: {violation}"),
                Output::Failed(failure) => panic!("{failure}"),
                Output::Unloaded => {
                    let left = (self.pair.monitor.open_channels(), self.pair.monitor.held_gpadls());
                    assert_eq!(left, (0, 0), "left behind after UNLOAD");
                }
                _ => {}
            }
        }
        if let Some(violation) = self.pair.violations.first() {
            panic!("the server accuses the client: {violation}");
        }
    }
}

impl World for BothEnds {
    type Act = Act;

    fn acts(&self) -> Vec<Act> {
        let mut acts: Vec<Act> = self.pair.steps().into_iter().map(Act::Step).collect();
        acts.extend([Act::Connect, Act::Unload, Act::Offer]);
        for number in 1..=2 {
            let Some(relid) = Relid::new(number) else { continue };
            acts.extend([Act::Establish(relid), Act::Close(relid), Act::Modify(relid)]);
            acts.extend([Act::Release(relid), Act::Rescind(relid)]);
            acts.extend(self.lists.iter().map(|&list| Act::Open(relid, list)));
        }
        acts.extend(self.lists.iter().map(|&list| Act::Teardown(list)));
        acts
    }

    fn act(&mut self, act: Act) -> bool {
        let pair = &mut self.pair;
        let happened = match act {
            Act::Step(step) => {
                pair.step(step);
                true
            }
            Act::Connect => {
                pair.guest(Client::connect);
                true
            }
            Act::Unload => {
                pair.guest(Client::unload);
                true
            }
            Act::Establish(relid) => {
                let list = pair.guest(|client, _, out| client.establish_gpadl(relid, &[1, 2, 3, 4], out));
                self.lists.extend(list);
                // One list, and one that is being replaced.
                list.is_ok() && self.lists.len() <= 2
            }
            Act::Open(relid, gpadl) => {
                let params =
                    OpenParams { gpadl, downstream_offset: 2, target_vp: 0, user_data: UserData::ZERO };
                pair.guest(|client, _, out| client.open(relid, &params, out)).is_ok()
            }
            Act::Close(relid) => pair.guest(|client, _, out| client.close(relid, out)).is_ok(),
            Act::Teardown(gpadl) => pair.guest(|client, _, out| client.teardown_gpadl(gpadl, out)).is_ok(),
            Act::Modify(relid) => pair.guest(|client, _, out| client.modify(relid, 1, out)).is_ok(),
            Act::Release(relid) => pair.guest(|client, _, out| client.release(relid, out)).is_ok(),
            Act::Offer => pair.host(|server, out| server.offer(DEVICE, out)).is_ok(),
            Act::Rescind(relid) => pair.host(|server, out| server.rescind(relid, out)),
        };
        self.listen();
        self.lists.retain(|&list| self.pair.client.has_gpadl(list));
        make_canonical(&mut self.pair.server, &mut self.pair.monitor);
        happened
    }

    fn check(&self) {
        self.clone().settle();
        let client = &self.pair.client;
        let json = serde_json::to_string(&client.save()).unwrap();
        let restored = Client::restore(client.config().clone(), serde_json::from_str(&json).unwrap());
        assert!(restored.is_ok_and(|mut restored| {
            restored.impatient = client.impatient;
            restored.impatient_to_release = client.impatient_to_release;
            restored == *client
        }));
        let server = &self.pair.server;
        let restored = Server::restore(server.config().clone(), server.save(), &mut Vec::new());
        assert!(restored.is_ok_and(|mut restored| {
            restored.sabotage = server.sabotage;
            restored == *server
        }));
    }
}

/// Contact made anew before the last was answered: the answers get mixed up, and the exploration must see it.
#[test]
#[should_panic(expected = "the client accuses the server")]
fn without_waiting_for_the_answer_under_way() {
    let mut world = BothEnds::new(Sabotage::None);
    world.pair.client.impatient = true;
    explore(world, 21);
}

/// An id given back before the answers of its channel have come.
#[test]
#[should_panic(expected = "the client accuses the server")]
fn without_waiting_for_the_answers_of_a_rescinded_channel() {
    let mut world = BothEnds::with_list();
    world.pair.client.impatient_to_release = true;
    explore(world, 13);
}

/// A host that answers nothing of a rescinded channel.
#[test]
#[should_panic(expected = "the client waits for ever")]
fn without_answers_of_a_rescinded_channel() {
    let mut world = BothEnds::with_list();
    world.pair.server.sabotage = Sabotage::SilentWhenRescinded;
    explore(world, 13);
}

/// A channel forgotten as soon as it is rescinded, with the guest's messages still under way.
#[test]
#[should_panic(expected = "the server accuses the client")]
fn without_waiting_for_the_release_of_an_id() {
    let mut world = BothEnds::connected();
    world.pair.server.sabotage = Sabotage::FreeRelidAtRescind;
    explore(world, 14);
}

proptest! {
    /// Long ways, where the explorations end.
    #[test]
    fn at_random(choices in proptest::collection::vec(any::<usize>(), 0..400)) {
        let mut world = BothEnds::new(Sabotage::None);
        for choice in choices {
            let acts = world.acts();
            let mut after = world.clone();
            if let Some(&act) = acts.get(choice % acts.len().max(1))
                && after.act(act)
            {
                after.check();
                world = after;
            }
        }
    }
}

fn assert_explored(explored: &Explored, at_least: usize) {
    assert!(explored.states > at_least, "too few to mean anything: {explored:?}");
}

#[test]
fn from_nothing() {
    assert_explored(&explore(BothEnds::new(Sabotage::None), 21), 60_000);
}

#[test]
fn from_contact() {
    assert_explored(&explore(BothEnds::connected(), 14), 40_000);
}

#[test]
fn from_a_list() {
    assert_explored(&explore(BothEnds::with_list(), 13), 50_000);
}

#[test]
fn from_an_open_channel() {
    assert_explored(&explore(BothEnds::opened(), 12), 80_000);
}
