//! A VSP's inputs and deadlines: what comes in is dealt out to the files below.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use core::time::Duration;

use dm_protocol::{DecodeError, InfoMessage, Message, MessageType, Packet};
use page_range::PageCount;

use crate::state::{DmVsp, HotAddState, Phase, Service, State, Step, Undo};
use crate::{
    ConfigError, GuestCapabilities, GuestPages, Ignored, Input, MapKind, Outcome, Output, ProtocolVersion,
    Statistics, Violation, VspConfig, Waiting,
};

impl DmVsp {
    /// A VSP for a VM that has its boot RAM and no channel yet.
    ///
    /// # Errors
    /// If the configuration contradicts itself or the protocol.
    pub fn new(config: VspConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let state = State {
            phase: Phase::Closed,
            operation: None,
            pages: GuestPages::new(&config.layout),
            hot_add: HotAddState::Available,
            undo: BTreeMap::new(),
            next_ticket: 0,
            trans_id: 0,
            unresponsive: false,
            statistics: Statistics::default(),
        };
        Ok(Self { state, config })
    }

    /// Something happened at `now`; what is to be done about it is added to `out`, in order.
    ///
    /// Deadlines up to `now` are dealt with first, whether or not [`Input::Timer`] came for them.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        self.expire(now, out);
        match input {
            Input::ChannelOpened => {
                self.end_session(Outcome::ChannelClosed, out);
                let deadline = Some(now.saturating_add(self.config.timeouts.handshake));
                self.state.phase = Phase::Version { deadline };
            }
            Input::ChannelClosed => {
                self.end_session(Outcome::ChannelClosed, out);
                self.state.phase = Phase::Closed;
            }
            Input::Packet(payload) => self.packet(now, &payload, out),
            Input::Grow { pages } => self.grow(now, pages, out),
            Input::Shrink { pages } => self.shrink(now, pages, out),
            Input::Mapped { ticket, result } => self.mapped(now, ticket, result, out),
            Input::Released { ticket, result } => self.released(now, ticket, result, out),
            Input::Reset => self.reset(out),
            Input::GuestReplaced => self.guest_replaced(out),
            Input::Timer => {}
        }
    }

    /// When [`Input::Timer`] is due next, if no other input comes before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let handshake = match self.state.phase {
            Phase::Version { deadline } | Phase::Capabilities { deadline, .. } => deadline,
            Phase::Quiet { until, .. } => Some(until),
            Phase::Closed | Phase::Refused | Phase::Ready { .. } | Phase::Failed => None,
        };
        let operation = self.state.operation.as_ref().and_then(|operation| operation.step.deadline());
        [handshake, operation].into_iter().flatten().min()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &VspConfig {
        &self.config
    }

    /// The account of the guest's pages.
    #[must_use]
    pub fn pages(&self) -> &GuestPages {
        &self.state.pages
    }

    /// The version spoken and what the guest can do, once they are agreed on.
    #[must_use]
    pub fn agreed(&self) -> Option<(ProtocolVersion, GuestCapabilities)> {
        self.service().map(|service| (service.version, service.capabilities))
    }

    /// Whether operations are possible: the handshake and the quiet period are over. One operation may be outstanding.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.state.phase, Phase::Ready { .. })
    }

    /// Whether an operation is outstanding.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.state.operation.is_some()
    }

    /// Whether the guest has exceeded its time and not answered since.
    #[must_use]
    pub fn is_unresponsive(&self) -> bool {
        self.state.unresponsive
    }

    /// Whether memory can be hot-added, as far as the guest's answers tell.
    #[must_use]
    pub fn hot_add_state(&self) -> HotAddState {
        self.state.hot_add
    }

    /// What has been counted.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.state.statistics
    }

    fn expire(&mut self, now: Duration, out: &mut Vec<Output>) {
        let late = |deadline: &mut Option<Duration>| deadline.take_if(|deadline| *deadline <= now).is_some();
        let waiting_for = match &mut self.state.phase {
            Phase::Version { deadline } => late(deadline).then_some(Waiting::Version),
            Phase::Capabilities { deadline, .. } => late(deadline).then_some(Waiting::Capabilities),
            &mut Phase::Quiet { service, until } if until <= now => {
                self.start_service(service, out);
                None
            }
            _ => None,
        };
        let operation = self.state.operation.as_mut().and_then(|operation| operation.step.expire(now));
        for waiting_for in waiting_for.into_iter().chain(operation) {
            self.state.unresponsive = true;
            self.state.statistics.timeouts += 1;
            out.push(Output::Unresponsive { waiting_for });
        }
    }

    /// The guest did what it was waited for.
    pub(crate) fn answered(&mut self, out: &mut Vec<Output>) {
        if core::mem::take(&mut self.state.unresponsive) {
            self.state.statistics.late_answers += 1;
            out.push(Output::Responsive);
        }
    }

    /// The quiet period is over.
    pub(crate) fn start_service(&mut self, service: Service, out: &mut Vec<Output>) {
        self.state.phase = Phase::Ready { service };
        let Service { version, capabilities } = service;
        if let Some(maximum) = self.config.maximum.filter(|_| version >= ProtocolVersion::V1_0) {
            let message = Message::InfoMessage(InfoMessage::MaxPageCount(maximum.get()));
            self.send(self.state.trans_id, message, out);
        }
        out.push(Output::Ready { version, capabilities });
    }

    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<Output>) {
        self.state.statistics.messages_received += 1;
        let packet = match Packet::decode(payload) {
            _ if matches!(self.state.phase, Phase::Closed | Phase::Refused | Phase::Failed) => {
                return self.ignore(None, Ignored::Closed, out);
            }
            Err(error) => return self.undecodable(error, out),
            Ok(packet) => packet,
        };
        let message_type = packet.message.message_type();
        match packet.message {
            Message::VersionRequest(request) if matches!(self.state.phase, Phase::Version { .. }) => {
                self.version_request(now, packet.trans_id, request, out);
            }
            Message::CapabilitiesReport(report) => {
                let Phase::Capabilities { version, .. } = self.state.phase else {
                    return self.ignore(Some(message_type), Ignored::Unexpected, out);
                };
                self.capabilities_report(now, packet.trans_id, version, report, out);
            }
            Message::StatusReport(report) if self.service().is_some() => self.status_report(&report, out),
            Message::BalloonResponse(response) if self.expects(MessageType::BALLOON_RESPONSE) => {
                self.balloon_response(now, response, out);
            }
            Message::UnballoonResponse if self.expects(MessageType::UNBALLOON_RESPONSE) => {
                self.unballoon_response(now, out);
            }
            Message::HotAddResponse(response) if self.expects(MessageType::MEM_HOT_ADD_RESPONSE) => {
                self.hot_add_response(now, response, out);
            }
            Message::Unknown(_) | Message::Error(_) => {
                self.ignore(Some(message_type), Ignored::UnknownType, out);
            }
            _ => self.ignore(Some(message_type), Ignored::Unexpected, out),
        }
    }

    /// Whether an answer of this type is what the outstanding operation waits for.
    fn expects(&self, answer: MessageType) -> bool {
        let step = self.state.operation.as_ref().map(|operation| &operation.step);
        step.and_then(Step::awaits) == Some(answer)
    }

    fn undecodable(&mut self, error: DecodeError, out: &mut Vec<Output>) {
        if error.is_overclaim() {
            self.fail(Violation::Malformed { error: error.to_string() }, out);
        } else {
            self.ignore(error.message_type(), Ignored::TooShort, out);
        }
    }

    pub(crate) fn ignore(&mut self, message_type: Option<MessageType>, why: Ignored, out: &mut Vec<Output>) {
        self.state.statistics.ignored += 1;
        out.push(Output::Ignored { message_type: message_type.map(|message_type| message_type.0), why });
    }

    /// The guest broke a rule.
    pub(crate) fn fail(&mut self, violation: Violation, out: &mut Vec<Output>) {
        self.state.statistics.protocol_errors += 1;
        out.push(Output::ProtocolError { violation });
        if !matches!(self.state.phase, Phase::Closed | Phase::Failed) {
            self.state.phase = Phase::Failed;
            out.push(Output::CloseChannel);
        }
        self.end_session(Outcome::ProtocolError, out);
    }

    /// The conversation is over. What was asked for cannot be answered any more, and what the guest gave away is
    /// stranded.
    fn end_session(&mut self, outcome: Outcome, out: &mut Vec<Output>) {
        self.state.unresponsive = false;
        self.state.pages.strand();
        if let Some(operation) = &mut self.state.operation {
            match core::mem::replace(&mut operation.step, Step::Ending { outcome }) {
                Step::MapUnballoon { ticket, ranges } => {
                    self.state.undo.insert(ticket, Undo { ranges, kind: MapKind::Unballoon });
                }
                Step::MapHotAdd { ticket, range } => {
                    self.state.undo.insert(ticket, Undo { ranges: range.into(), kind: MapKind::HotAdd });
                }
                Step::Unballoon { ranges, .. } => operation.unconfirmed += ranges.pages(),
                Step::HotAdd { range, .. } => operation.unconfirmed += range.pages(),
                Step::Balloon { .. } => {}
                // The operation was over before.
                Step::Ending { outcome: first } => operation.step = Step::Ending { outcome: first },
            }
        }
        self.finish_if_settled(out);
    }

    /// What the operating system before this one gave away is not in this one's reports, and what it refused says nothing of
    /// what this one will.
    fn guest_replaced(&mut self, out: &mut Vec<Output>) {
        self.end_session(Outcome::ChannelClosed, out);
        self.state.phase = Phase::Closed;
        self.state.pages.forget_stranded();
        self.state.hot_add = HotAddState::Available;
    }

    /// The VM starts anew with its boot RAM.
    fn reset(&mut self, out: &mut Vec<Output>) {
        if let Some(operation) = self.state.operation.take() {
            out.push(operation.finished(Outcome::Reset));
        }
        self.state.phase = Phase::Closed;
        self.state.pages = GuestPages::new(&self.config.layout);
        self.state.hot_add = HotAddState::Available;
        self.state.undo.clear();
        self.state.trans_id = 0;
        self.state.unresponsive = false;
    }

    /// Pages that the guest's reports count as committed, and the host knows to be ballooned: everything given away, and what an offer
    /// to give back names that is not answered yet. Not what is offered as new: a guest counts that once it has added it, if it is not
    /// online by then (documented: `hot_add_req` and `post_status` of Linux' `hv_balloon`), and to take it off before would make the
    /// guest's demand too low by it.
    pub(crate) fn known_ballooned(&self) -> PageCount {
        let asked =
            self.state.operation.as_ref().map_or(PageCount::ZERO, |operation| match &operation.step {
                Step::Unballoon { ranges, .. } => ranges.pages(),
                _ => PageCount::ZERO,
            });
        self.state.pages.known_ballooned() + asked
    }
}
