//! The state of a driver, its inputs and its deadlines.

use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::{
    Capabilities, CapabilitiesReport, CapabilitiesResponse, InfoMessage, Message, MessageType, Packet,
    VersionRequest, VersionResponse,
};
use page_range::{GuestPage, GuestRange, PageCount, RangeSet};

use crate::{DriverVersion, EndReason, Faults, Ignored, Input, MemoryServices, Output, VscConfig};

/// Status is not reported more often, so that time goes on between two reports whatever is configured (invented).
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// The guest's driver for Dynamic Memory.
///
/// The driver carries out one request at a time, and takes as long for it as its guest does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DmVsc {
    pub(crate) phase: Phase,
    next_status: Option<Duration>,
    /// When the first handshake's pause before the first report is over, if there was a handshake.
    reports_from: Option<Duration>,
    pub(crate) job: Option<Job>,
    pub(crate) next: NextJobs,
    /// Pages that status reports count as ballooned: those that the host has been told of.
    pub(crate) counted: PageCount,
    pub(crate) next_trans_id: u32,
    pub(crate) config: VscConfig,
    /// Pages that the driver got from the memory manager and gave to the host.
    pub(crate) held: RangeSet<GuestPage>,
    maximum: Option<PageCount>,
}

/// Requests that came while another was carried out: of each kind the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct NextJobs {
    pub(crate) balloon: Option<PageCount>,
    pub(crate) hot_add: Option<(GuestRange, Option<GuestRange>)>,
}

/// How far the conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Phase {
    Closed,
    Version { proposal: usize, deadline: Duration },
    Capabilities { version: DriverVersion, deadline: Duration },
    Running { version: DriverVersion },
    Ended,
}

/// The request that is being carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Job {
    /// Pages are to be taken from the memory manager at `due`.
    Balloon { requested: PageCount, due: Duration },
    /// The pages have been given away, and the host is told at `due`.
    BalloonAnswer { requested: PageCount, ranges: Vec<GuestRange>, complete: bool, due: Duration },
    /// More pages to be taken back are to be named by the host.
    UnballoonMore { back: Back },
    /// All have been named; they are taken back at `due`.
    Unballoon { back: Back, due: Duration },
    /// New memory is taken at `due`.
    HotAdd { range: GuestRange, region: Option<GuestRange>, due: Duration },
}

/// Pages that the host returns in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Back {
    /// To be taken back when the time has come; the driver holds them.
    pub(crate) later: RangeSet<GuestPage>,
    /// Taken back already.
    pub(crate) done: PageCount,
    /// Not the driver's to take back.
    pub(crate) left_alone: PageCount,
}

impl Job {
    fn due(&self) -> Option<Duration> {
        match self {
            Self::Balloon { due, .. }
            | Self::BalloonAnswer { due, .. }
            | Self::Unballoon { due, .. }
            | Self::HotAdd { due, .. } => Some(*due),
            Self::UnballoonMore { .. } => None,
        }
    }
}

impl DmVsc {
    /// A driver that has just been loaded.
    #[must_use]
    pub fn new(config: VscConfig) -> Self {
        Self {
            phase: Phase::Closed,
            next_status: None,
            reports_from: None,
            job: None,
            next: NextJobs::default(),
            counted: PageCount::ZERO,
            next_trans_id: 1,
            config,
            held: RangeSet::new(),
            maximum: None,
        }
    }

    /// Something happened at `now`; what is to be done about it is added to `out`, in order.
    ///
    /// What is due up to `now` is done first, whether or not [`Input::Timer`] came for it.
    pub fn handle(
        &mut self,
        now: Duration,
        input: Input,
        memory: &mut dyn MemoryServices,
        out: &mut Vec<Output>,
    ) {
        self.do_what_is_due(now, memory, out);
        match input {
            Input::ChannelOpened => {
                self.stop(memory);
                let deadline = now.saturating_add(self.config.handshake_timeout);
                self.propose(0, deadline, out);
            }
            Input::ChannelClosed => {
                self.stop(memory);
                self.phase = Phase::Closed;
            }
            Input::Packet(payload) => self.packet(now, &payload, memory, out),
            Input::SetFaults(faults) => self.config.faults = faults,
            Input::Timer => {}
        }
        // What was asked for may take no time.
        self.do_what_is_due(now, memory, out);
    }

    /// When [`Input::Timer`] is due next, if no other input comes before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let handshake = match self.phase {
            Phase::Version { deadline, .. } | Phase::Capabilities { deadline, .. } => Some(deadline),
            Phase::Closed | Phase::Running { .. } | Phase::Ended => None,
        };
        let job = self.job.as_ref().and_then(Job::due);
        [handshake, job, self.next_status].into_iter().flatten().min()
    }

    /// The version spoken, once the handshake is done.
    #[must_use]
    pub fn version(&self) -> Option<DriverVersion> {
        match self.phase {
            Phase::Running { version } => Some(version),
            _ => None,
        }
    }

    /// Pages that the driver has given to the host and not got back.
    #[must_use]
    pub fn ballooned(&self) -> &RangeSet<GuestPage> {
        &self.held
    }

    /// The most memory that the guest can ever have, if the host said so.
    #[must_use]
    pub fn maximum(&self) -> Option<PageCount> {
        self.maximum
    }

    /// Whether a request is being carried out.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    /// What is wrong with the guest.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.config.faults
    }

    fn do_what_is_due(&mut self, now: Duration, memory: &mut dyn MemoryServices, out: &mut Vec<Output>) {
        if let Phase::Version { deadline, .. } | Phase::Capabilities { deadline, .. } = self.phase
            && deadline <= now
        {
            self.give_up(EndReason::NoAnswer, out);
        }
        while let Some(job) = self.job.take_if(|job| job.due().is_some_and(|due| due <= now)) {
            self.carry_out(now, job, memory, out);
            self.start_next(now);
        }
        if let Some(due) = self.next_status.take_if(|due| *due <= now) {
            self.report_status(memory, out);
            // One report for each interval that has passed, but no burst after a pause.
            let interval = self.config.status_interval.max(SHORTEST_INTERVAL);
            let (next, soon) = (due.saturating_add(interval), now.saturating_add(interval));
            self.next_status = Some(if next > now { next } else { soon });
        }
    }

    fn packet(
        &mut self,
        now: Duration,
        payload: &[u8],
        memory: &mut dyn MemoryServices,
        out: &mut Vec<Output>,
    ) {
        let packet = match Packet::decode(payload) {
            Ok(packet) => packet,
            Err(error) => return ignore(error.message_type(), Ignored::Malformed, out),
        };
        let message_type = packet.message.message_type();
        match (packet.message, self.phase) {
            (Message::VersionResponse(response), Phase::Version { proposal, deadline }) => {
                self.version_response(now, response, proposal, deadline, out);
            }
            (Message::CapabilitiesResponse(response), Phase::Capabilities { version, .. }) => {
                self.capabilities_response(now, response, version, out);
            }
            (Message::BalloonRequest(request), Phase::Running { .. }) => {
                self.balloon_request(now, request, out);
            }
            (Message::UnballoonRequest(request), Phase::Running { .. }) => {
                self.unballoon_request(now, request, memory, out);
            }
            (Message::HotAddRequest(request), Phase::Running { .. }) => {
                self.hot_add_request(now, request, out);
            }
            (Message::InfoMessage(InfoMessage::MaxPageCount(pages)), Phase::Running { .. }) => {
                self.maximum = Some(PageCount(pages));
                out.push(Output::Maximum(PageCount(pages)));
            }
            (
                Message::Unknown(_)
                | Message::Error(_)
                | Message::HotRemoveRequest(_)
                | Message::InfoMessage(_),
                _,
            ) => ignore(Some(message_type), Ignored::Unsupported, out),
            _ => ignore(Some(message_type), Ignored::Unexpected, out),
        }
    }

    fn propose(&mut self, proposal: usize, deadline: Duration, out: &mut Vec<Output>) {
        let Some(version) = self.config.proposals.get(proposal) else {
            return self.give_up(EndReason::VersionsRefused, out);
        };
        let is_last_attempt = proposal + 1 == self.config.proposals.len();
        let request = VersionRequest { version: version.on_wire(), is_last_attempt };
        self.phase = Phase::Version { proposal, deadline };
        self.send(Message::VersionRequest(request), out);
    }

    fn version_response(
        &mut self,
        now: Duration,
        response: VersionResponse,
        proposal: usize,
        deadline: Duration,
        out: &mut Vec<Output>,
    ) {
        let version = self.config.proposals.get(proposal).copied();
        let Some(version) = version.filter(|_| response.is_accepted) else {
            return self.propose(proposal + 1, deadline, out);
        };
        let deadline = now.saturating_add(self.config.handshake_timeout);
        self.phase = Phase::Capabilities { version, deadline };
        out.push(Output::VersionAccepted(version));
        let VscConfig { balloon, hot_add, hot_add_alignment, .. } = self.config;
        let report = CapabilitiesReport {
            capabilities: Capabilities::new(balloon, hot_add, hot_add_alignment),
            min_page_count: 0,
            max_page_number: u64::MAX,
        };
        self.send(Message::CapabilitiesReport(report), out);
    }

    fn capabilities_response(
        &mut self,
        now: Duration,
        response: CapabilitiesResponse,
        version: DriverVersion,
        out: &mut Vec<Output>,
    ) {
        if !response.is_accepted {
            return self.give_up(EndReason::CapabilitiesRefused, out);
        }
        self.phase = Phase::Running { version };
        let suppressed = response.suppress_pressure_reports && version >= DriverVersion::V2_0;
        if !(suppressed && self.config.honour_suppression) {
            let delay = self.config.pressure_report_delay;
            let from = *self.reports_from.get_or_insert(now.saturating_add(delay));
            self.next_status = Some(from.max(now).saturating_add(self.config.status_interval));
        }
        out.push(Output::Running { version });
    }

    fn give_up(&mut self, why: EndReason, out: &mut Vec<Output>) {
        self.phase = Phase::Ended;
        out.extend([Output::Ended(why), Output::CloseChannel]);
    }

    /// The conversation is over; what was asked for is not to be answered any more. Pages that the host does not know of go
    /// back into use, and so do those that it has returned. What it has been given stays given.
    fn stop(&mut self, memory: &mut dyn MemoryServices) {
        self.next_status = None;
        self.next = NextJobs::default();
        match self.job.take() {
            Some(Job::BalloonAnswer { ranges, .. }) => {
                memory.free_balloon(&ranges);
            }
            Some(Job::UnballoonMore { back } | Job::Unballoon { back, .. }) => {
                self.take_back(&back, memory);
            }
            Some(Job::Balloon { .. } | Job::HotAdd { .. }) | None => {}
        }
    }

    pub(crate) fn send(&mut self, message: Message<'_>, out: &mut Vec<Output>) {
        let packet = Packet { trans_id: self.next_trans_id, message };
        self.next_trans_id = self.next_trans_id.wrapping_add(1);
        let mut bytes = vec![0; packet.size()];
        let encoded = packet.encode(&mut bytes).is_ok();
        debug_assert!(encoded, "{message:?}");
        if encoded {
            out.push(Output::Send { message: message.message_type(), bytes });
        }
    }
}

pub(crate) fn ignore(message_type: Option<MessageType>, why: Ignored, out: &mut Vec<Output>) {
    out.push(Output::Ignored { message_type: message_type.map(|message_type| message_type.0), why });
}
