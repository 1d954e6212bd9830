//! The rules a server owes its owner and its guest, checked from what goes in and comes out.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::control::message::{Message, OpenChannelResult};
use crate::control::server::{Output, RequestId};
use crate::control::{GpadlId, Relid, Status};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Held {
    Asked(RequestId),
    Granted,
}

/// A question the server asked its owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Question {
    /// To get hold of a list's pages.
    Gpadl(RequestId),
    /// To open a channel.
    Open(RequestId),
}

impl Question {
    /// Its name.
    pub fn request(self) -> RequestId {
        match self {
            Self::Gpadl(request) | Self::Open(request) => request,
        }
    }
}

/// Plays the owner's bookkeeping, and panics when a rule is broken:
///
/// - no list is released while a channel is open on it, or about to be;
/// - opens and closes, establishes and releases come in pairs, and opens only on lists that were granted;
/// - every OPENCHANNEL is answered once, with success only if the owner said so;
/// - the guest is told that pages are its own again only after the owner has let go of them;
/// - an id is offered again only when it was released;
/// - after a reset nothing is open and nothing held.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Monitor {
    held: BTreeMap<GpadlId, (Relid, Held)>,
    rings: BTreeMap<Relid, (GpadlId, Held)>,
    /// OPENCHANNELs not answered, with their open ids.
    unanswered: Vec<(u32, u32)>,
    with_guest: BTreeSet<Relid>,
    rescinded: BTreeSet<Relid>,
    /// Questions not answered, overtaken ones included.
    questions: BTreeSet<Question>,
}

impl Monitor {
    /// Nothing offered, nothing open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Questions the owner has not answered, those that have been overtaken included.
    pub fn questions(&self) -> impl Iterator<Item = Question> {
        self.questions.iter().copied()
    }

    /// Channels open, as the owner sees it.
    pub fn open_channels(&self) -> usize {
        self.rings.len()
    }

    /// Lists held, as the owner sees it.
    pub fn held_gpadls(&self) -> usize {
        self.held.len()
    }

    /// To be called before the server handles a message; `heard` if the server listens to it (there is contact, and it
    /// came through the right connection).
    pub fn guest_message(&mut self, heard: bool, bytes: &[u8]) {
        if let Ok(Message::OpenChannel(open)) = Message::decode(bytes) {
            let relid = open.relid.get();
            let rescinded = Relid::new(relid).is_some_and(|relid| self.rescinded.contains(&relid));
            if heard && !rescinded {
                self.unanswered.push((relid, open.open_id.get()));
            }
        }
    }

    /// To be called before the owner answers.
    pub fn answer(&mut self, question: Question, ok: bool) {
        self.questions.remove(&question);
        match question {
            Question::Gpadl(request) => {
                let asked = |held: &(Relid, Held)| held.1 == Held::Asked(request);
                if let Some(gpadl) = self.held.iter().find(|(_, held)| asked(held)).map(|(&gpadl, _)| gpadl) {
                    match self.held.get_mut(&gpadl) {
                        Some(held) if ok => held.1 = Held::Granted,
                        _ => drop(self.held.remove(&gpadl)),
                    }
                }
            }
            Question::Open(request) => {
                let asked = |ring: &(GpadlId, Held)| ring.1 == Held::Asked(request);
                if let Some(relid) = self.rings.iter().find(|(_, ring)| asked(ring)).map(|(&relid, _)| relid)
                {
                    match self.rings.get_mut(&relid) {
                        Some(ring) if ok => ring.1 = Held::Granted,
                        _ => drop(self.rings.remove(&relid)),
                    }
                }
            }
        }
    }

    /// To be called for every output, in order.
    pub fn output(&mut self, output: &Output) {
        match output {
            Output::EstablishGpadl { request, relid, gpadl, pages } => {
                assert!(!pages.is_empty(), "{gpadl:?} without pages");
                let held = self.held.insert(*gpadl, (*relid, Held::Asked(*request)));
                assert_eq!(held, None, "{gpadl:?} established twice");
                assert!(self.questions.insert(Question::Gpadl(*request)), "request {request} used twice");
            }
            Output::ReleaseGpadl { relid, gpadl } => {
                let held = self.held.remove(gpadl);
                assert_eq!(held.map(|(relid, _)| relid), Some(*relid), "{gpadl:?} released but not held");
                let user = self.rings.iter().find(|(_, (used, _))| used == gpadl);
                assert_eq!(user, None, "{gpadl:?} released while a channel is open on it");
            }
            Output::Open { request, relid, rings } => {
                let held = self.held.get(&rings.gpadl);
                assert_eq!(held, Some(&(*relid, Held::Granted)), "{relid:?} opened on a list not granted");
                let ring = self.rings.insert(*relid, (rings.gpadl, Held::Asked(*request)));
                assert_eq!(ring, None, "{relid:?} opened twice");
                assert!(self.questions.insert(Question::Open(*request)), "request {request} used twice");
            }
            Output::Close { relid } => {
                assert!(self.rings.remove(relid).is_some(), "{relid:?} closed but not open");
            }
            Output::Retarget { relid, .. } => {
                let granted = self.rings.get(relid).is_some_and(|ring| ring.1 == Held::Granted);
                assert!(granted, "{relid:?} retargeted but not open");
            }
            Output::Released { relid } => {
                let held = self.held.values().any(|(owner, _)| owner == relid);
                assert!(!held && !self.rings.contains_key(relid), "{relid:?} released but in use");
                self.with_guest.remove(relid);
                self.rescinded.remove(relid);
            }
            Output::Reset => {
                self.unanswered.clear();
                self.with_guest.clear();
                self.rescinded.clear();
                assert!(self.rings.is_empty(), "open after a reset: {:?}", self.rings);
                assert!(self.held.is_empty(), "held after a reset: {:?}", self.held);
            }
            Output::Post(message) => match Message::decode(&message.payload) {
                Ok(message) => self.host_message(&message),
                Err(error) => panic!("the server posted {message:?}: {error}"),
            },
            Output::Contact { .. } | Output::Unloaded | Output::Violation(_) | Output::Unsupported(_) => {}
        }
    }

    fn host_message(&mut self, message: &Message<'_>) {
        let relid = |number: u32| Relid::new(number).unwrap_or_else(|| panic!("{message:?}: no channel id"));
        assert!(message.kind().is_from_host(), "the server posted {message:?}");
        match message {
            Message::OfferChannel(offer) => {
                assert_eq!((offer.monitor_allocated, offer.dedicated_interrupt.get()), (0, 1));
                let relid = relid(offer.relid.get());
                assert!(self.with_guest.insert(relid), "{relid:?} offered again before it was released");
            }
            Message::RescindChannelOffer(rescind) => {
                let relid = relid(rescind.relid.get());
                assert!(self.with_guest.contains(&relid), "{relid:?} rescinded but not offered");
                assert!(self.rescinded.insert(relid), "{relid:?} rescinded twice");
                // An open is not answered any more.
                let open = self.unanswered.iter().find(|(open, _)| *open == relid.get());
                assert_eq!(open, None, "{relid:?} rescinded before its open was answered");
            }
            Message::OpenChannelResult(result) => self.open_result(result),
            Message::GpadlCreated(created) if created.status.get() == 0 => {
                let gpadl = GpadlId(created.gpadl.get());
                let relid = relid(created.relid.get());
                // Of a rescinded channel the owner need not have heard.
                let unheard = self.rescinded.contains(&relid) && !self.held.contains_key(&gpadl);
                let granted = self.held.get(&gpadl) == Some(&(relid, Held::Granted));
                assert!(granted || unheard, "{gpadl:?} confirmed but not granted");
            }
            Message::GpadlTorndown(torndown) => {
                let gpadl = GpadlId(torndown.gpadl.get());
                assert!(!self.held.contains_key(&gpadl), "{gpadl:?} torn down but held");
            }
            _ => {}
        }
    }

    fn open_result(&mut self, result: &OpenChannelResult) {
        let answered = (result.relid.get(), result.open_id.get());
        let open = self.unanswered.iter().position(|&open| open == answered);
        let open = open.unwrap_or_else(|| panic!("OPENCHANNEL {answered:?} answered, but not asked for"));
        self.unanswered.remove(open);
        if Status(result.status.get()).is_success() {
            let ring = Relid::new(answered.0).and_then(|relid| self.rings.get(&relid));
            assert!(ring.is_some_and(|ring| ring.1 == Held::Granted), "{answered:?} said to be open");
        }
    }

    /// To be called when the server has nothing more to do for now: the only opens without an answer are those whose
    /// owner has not answered.
    pub fn at_rest(&self) {
        for (relid, open_id) in &self.unanswered {
            let asked = Relid::new(*relid)
                .and_then(|relid| self.rings.get(&relid))
                .is_some_and(|ring| matches!(ring.1, Held::Asked(_)));
            assert!(asked, "OPENCHANNEL of channel {relid} (open id {open_id}) is never answered");
        }
    }

    /// Renames questions; for explorations, which must not tell states apart by how often something was asked.
    #[cfg(test)]
    pub(crate) fn rename_requests(&mut self, rename: impl Fn(RequestId) -> RequestId) {
        let renamed = |held: &mut Held| {
            if let Held::Asked(request) = held {
                *request = rename(*request);
            }
        };
        self.held.values_mut().for_each(|(_, held)| renamed(held));
        self.rings.values_mut().for_each(|(_, held)| renamed(held));
        self.questions = core::mem::take(&mut self.questions)
            .into_iter()
            .map(|question| match question {
                Question::Gpadl(request) => Question::Gpadl(rename(request)),
                Question::Open(request) => Question::Open(rename(request)),
            })
            .collect();
    }
}
