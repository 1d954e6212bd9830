//! Version, capabilities, and the status reports that follow.

use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::{
    CapabilitiesReport, CapabilitiesResponse, Message, VersionRequest, VersionResponse, WireRange,
};
use page_range::{PageBalance, PageCount, PageCounter};

use crate::state::{DmVsp, Phase, Service};
use crate::{CapabilityPolicy, GuestCapabilities, Output, ProtocolVersion, StatusReport};

/// What a status value can be at most: as many pages as the protocol can number.
const MOST_PAGES: u64 = WireRange::MAX_START + 1;

impl DmVsp {
    /// The guest may propose version after version until one is accepted or it says that it was the last.
    pub(crate) fn version_request(
        &mut self,
        now: Duration,
        trans_id: u32,
        request: VersionRequest,
        out: &mut Vec<Output>,
    ) {
        self.answered(out);
        let deadline = Some(now.saturating_add(self.config.timeouts.handshake));
        let accepted = self.config.versions.iter().copied().find(|known| known.on_wire() == request.version);
        self.state.phase = match accepted {
            Some(version) => Phase::Capabilities { version, deadline },
            None if request.is_last_attempt => Phase::Refused,
            None => Phase::Version { deadline },
        };
        let is_accepted = accepted.is_some();
        self.send(trans_id, Message::VersionResponse(VersionResponse { is_accepted }), out);
        out.push(Output::VersionAnswered {
            version: request.version.0,
            is_last_attempt: request.is_last_attempt,
            accepted: is_accepted,
        });
    }

    pub(crate) fn capabilities_report(
        &mut self,
        now: Duration,
        trans_id: u32,
        version: ProtocolVersion,
        report: CapabilitiesReport,
        out: &mut Vec<Output>,
    ) {
        self.answered(out);
        let capabilities = GuestCapabilities::from(report.capabilities);
        let accepted = match self.config.capability_policy {
            CapabilityPolicy::RequireBoth => capabilities.balloon && capabilities.hot_add,
            CapabilityPolicy::AcceptAny => true,
        };
        // Hot-remove is never asked for, and status reports are what all of this is for.
        let response = CapabilitiesResponse { is_accepted: accepted, ..CapabilitiesResponse::default() };
        self.send(trans_id, Message::CapabilitiesResponse(response), out);
        out.push(Output::CapabilitiesAnswered { capabilities, accepted });
        if !accepted {
            self.state.phase = Phase::Refused;
            return;
        }
        self.state.statistics.handshakes += 1;
        let service = Service { version, capabilities };
        if self.config.quiet_period.is_zero() {
            self.start_service(service, out);
        } else {
            self.state.phase = Phase::Quiet { service, until: now.saturating_add(self.config.quiet_period) };
        }
    }

    /// A report may come at any time after the handshake, and asks for no answer.
    pub(crate) fn status_report(&mut self, report: &dm_protocol::StatusReport, out: &mut Vec<Output>) {
        let mut absurd = false;
        let mut limited = |pages: u64| {
            absurd |= pages > MOST_PAGES;
            PageCount(pages.min(MOST_PAGES))
        };
        let reported = StatusReport {
            available: limited(report.available),
            committed: limited(report.committed),
            page_file_size: limited(report.page_file_size),
            zero_free: limited(report.zero_free),
            page_file_writes: PageCounter::from_low_bits(report.page_file_writes),
            io_balance: PageBalance::from_low_bits(report.io_diff),
        };
        self.state.statistics.status_reports += 1;
        self.state.statistics.absurd_status_reports += u64::from(absurd);
        let demand = reported.committed.saturating_sub(self.known_ballooned());
        out.push(Output::Status { reported, demand, absurd });
    }
}
