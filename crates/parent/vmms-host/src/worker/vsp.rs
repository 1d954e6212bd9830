//! The DM VSP: what it is fed, and what comes of what it says.

use std::collections::VecDeque;

use balancing_policy::GuestStatus;
use component_runtime::Context;
use component_runtime::trace;
use dm_protocol::MessageType;
use dm_vsp::{
    DmVsp, GuestCapabilities, Input, MapKind, OperationKind, Outcome, Output, ReleaseKind, StatusReport,
    Waiting,
};
use memory_balancer::Input as BalancerInput;
use page_range::{GuestPage, PageCount, RangeSet};

use crate::message::VmmsMessage;

use super::memory::merge;
use super::restraint::{Recording, Report};
use super::{Work, Worker};
use crate::statistics::MapStatistics;

/// The device as published entries of Hyper-V's event log name it (documented; on no host compared).
const DEVICE: &str = "Microsoft Hyper-V Dynamic Memory";

impl Worker {
    /// Feeds the VSP, and carries out what it says until nothing is left.
    pub(super) fn vsp(&mut self, ctx: &mut Context<'_>, input: Input) {
        let (mut first, mut inputs) = (Some(input), VecDeque::new());
        let mut outputs = std::mem::take(&mut self.vsp_outputs);
        while let Some(input) = first.take().or_else(|| inputs.pop_front()) {
            let Some(vsp) = &mut self.vsp else { return };
            let recorded = self.journal.input(ctx, self.recording, vsp, &input);
            vsp.handle(Self::now(ctx), input, &mut outputs);
            if recorded {
                self.journal.outputs(ctx, &outputs);
            }
            for output in outputs.drain(..) {
                inputs.extend(self.carry_out(ctx, output));
            }
        }
        self.vsp_outputs = outputs;
        // When a session ends, or the VM is reset, the VSP waits for no answer any more, and does not say so.
        if self.unresponsive && !self.vsp.as_ref().is_some_and(DmVsp::is_unresponsive) {
            self.unresponsive = false;
            self.tell_balancer(ctx, BalancerInput::Responsive { vm: self.vm, responsive: true });
        }
    }

    /// Does what the VSP says; what it is to be told in turn is returned.
    fn carry_out(&mut self, ctx: &mut Context<'_>, output: Output) -> Option<Input> {
        match output {
            Output::Send { message, bytes } => self.send(ctx, message, &bytes),
            Output::CloseChannel => return self.rescind_dynamic_memory(ctx),
            Output::Map { ticket, ranges, kind } => return Some(self.map_for_vsp(ticket, &ranges, kind)),
            Output::Release { ticket, ranges, kind: ReleaseKind::Ballooned } => {
                self.unmap_later(ctx, ticket, ranges);
            }
            Output::Release { ticket, ranges, .. } => return Some(self.unmap_refused(ticket, &ranges)),
            Output::Ready { capabilities, .. } => self.ready(ctx, capabilities),
            Output::Status { reported, demand, absurd } => self.status(ctx, &reported, demand, absurd),
            Output::Rejected { kind, requested, why } => {
                tracing::info!(event = "operation_rejected", pages = requested.get(), why = ?why);
                self.finished(ctx, kind, PageCount::ZERO, false);
            }
            Output::Finished { kind, requested, done, unballooned, hot_added, unconfirmed, outcome } => {
                let grow = kind == OperationKind::Grow;
                tracing::info!(
                    event = "operation_finished",
                    kind = if grow { "grow" } else { "shrink" },
                    requested = requested.get(),
                    done = done.get(),
                    unballooned = grow.then_some(unballooned.get()),
                    hot_added = grow.then_some(hot_added.get()),
                    unconfirmed = unconfirmed.get(),
                    outcome = ?outcome
                );
                let barrier = matches!(outcome, Outcome::HotAddOver | Outcome::NoRoom);
                self.finished(ctx, kind, done + unconfirmed, barrier);
            }
            Output::Unresponsive { waiting_for } => self.does_not_answer(ctx, waiting_for),
            // `vsp` tells the balancer when everything is carried out.
            Output::Responsive => tracing::info!(event = "guest_responsive"),
            Output::ProtocolError { violation } => self.protocol_error(ctx, DEVICE, &violation),
            Output::VersionAnswered { version, accepted, is_last_attempt } => {
                if let (false, true, Some(vsp)) = (accepted, is_last_attempt, &self.vsp) {
                    let why = dm_vsp::version_refusal(version, &vsp.config().versions);
                    tracing::warn!(event = "dm_refused", why = why.as_str());
                    if self.recording != Recording::Nothing {
                        ctx.send(&self.vmms, VmmsMessage::DynamicMemoryRefused { vm: self.vm, why });
                    }
                }
                tracing::info!(
                    event = "dm_version",
                    major = version >> 16,
                    minor = version & 0xffff,
                    accepted
                );
            }
            Output::CapabilitiesAnswered { capabilities, accepted } => {
                tracing::info!(
                    event = "dm_capabilities",
                    balloon = capabilities.balloon,
                    hot_add = capabilities.hot_add,
                    granule_mb = capabilities.granule.whole_mib(),
                    accepted
                );
            }
            Output::Ignored { message_type, why } => {
                tracing::debug!(event = "dm_message_ignored", message_type = message_type, why = ?why);
            }
        }
        None
    }

    fn send(&mut self, ctx: &Context<'_>, message: MessageType, bytes: &[u8]) {
        let (Some(relid), Some(bus)) = (self.dm_channel, &mut self.bus) else { return };
        tracing::debug!(event = "dm_send", message = %message, bytes = bytes.len());
        let sent = bus.send(relid, bytes);
        self.record_frames(ctx);
        self.told_whether_sent(sent);
    }

    /// Takes the channel of Dynamic Memory back. Returned is what the VSP has to hear of it.
    pub(super) fn rescind_dynamic_memory(&mut self, ctx: &mut Context<'_>) -> Option<Input> {
        let (Some(relid), Some(bus)) = (self.dm_channel.take(), &mut self.bus) else { return None };
        let was_open = bus.is_open(relid);
        bus.rescind(relid);
        // The bus' own event comes later and names a channel that is not the VSP's any more.
        self.left(ctx);
        was_open.then_some(Input::ChannelClosed)
    }

    fn map_for_vsp(&mut self, ticket: u64, ranges: &RangeSet<GuestPage>, kind: MapKind) -> Input {
        let result = self.map(ranges, kind);
        let now = MapStatistics::of(&self.memory);
        tracing::info!(
            event = "pages_mapped",
            pages = ranges.pages().get(),
            kind = if kind == MapKind::HotAdd { "hot_add" } else { "unballoon" },
            ok = result.is_ok(),
            large_pages = now.large_pages,
            small_pages = now.small_pages
        );
        Input::Mapped { ticket, result }
    }

    /// Unmapping what the guest gave takes the host its time; a late answer outside of any operation, too.
    fn unmap_later(&mut self, ctx: &Context<'_>, ticket: u64, ranges: RangeSet<GuestPage>) {
        let with_base =
            self.operation.as_mut().is_none_or(|operation| !std::mem::replace(&mut operation.begun, true));
        let after = self.work.back().map_or(Self::now(ctx), |due| due.at.max(Self::now(ctx)));
        let due = after + self.operation_time.of(ranges.pages(), self.slowdown.get(), with_base);
        self.push_work(due, Work::Unmap { ticket, ranges });
    }

    /// What was mapped for the guest and the guest did not take.
    fn unmap_refused(&mut self, ticket: u64, ranges: &RangeSet<GuestPage>) -> Input {
        let (result, frames) = self.unmap(ranges);
        tracing::info!(event = "pages_unmapped", pages = ranges.pages().get(), kind = "hot_add_refused");
        if let Some(frames) = frames {
            merge(&mut self.granted, frames);
        }
        Input::Released { ticket, result }
    }

    fn ready(&mut self, ctx: &mut Context<'_>, capabilities: GuestCapabilities) {
        tracing::info!(event = "dm_ready");
        let GuestCapabilities { balloon, hot_add, granule, .. } = capabilities;
        self.known_to_balancer = true;
        self.joined = true;
        self.tell_balancer(ctx, BalancerInput::Joined { vm: self.vm, granule, balloon, hot_add });
    }

    fn status(&mut self, ctx: &mut Context<'_>, reported: &StatusReport, demand: PageCount, absurd: bool) {
        if absurd {
            tracing::warn!(event = "absurd_status", committed = reported.committed.get());
        }
        tracing::debug!(
            event = "status_report",
            committed = reported.committed.get(),
            available = reported.available.get(),
            page_file_size = reported.page_file_size.get(),
            zero_free = reported.zero_free.get(),
            page_file_writes = reported.page_file_writes.low_bits(),
            io_diff = reported.io_balance.low_bits(),
            demand = demand.get()
        );
        let status = GuestStatus::default().with(|status| {
            status.demand = demand;
            status.commit = reported.committed;
            status.available = reported.available;
            status.free = reported.zero_free;
            status.page_file = reported.page_file_size;
            status.page_file_writes = reported.page_file_writes;
            status.io_balance = reported.io_balance;
        });
        let returnable = self.returnable();
        self.reports.came(Report { status, returnable, cause: trace::cause() });
        self.pass_report_on(ctx);
    }

    /// Passes the guest's last report on, if it is time.
    pub(super) fn pass_report_on(&mut self, ctx: &mut Context<'_>) {
        if let Some(Report { status, returnable, cause }) = self.reports.due(Self::now(ctx)) {
            self.known_to_balancer = true;
            trace::with_cause(cause, || {
                self.tell_balancer(ctx, BalancerInput::Status { vm: self.vm, status, returnable });
            });
        }
    }

    fn does_not_answer(&mut self, ctx: &mut Context<'_>, waiting_for: Waiting) {
        tracing::warn!(event = "guest_unresponsive", waiting_for = ?waiting_for);
        self.return_taken(ctx);
        self.unresponsive = true;
        self.tell_balancer(ctx, BalancerInput::Responsive { vm: self.vm, responsive: false });
    }

    /// The guest is no part of Dynamic Memory any more, and what it counts since boot may begin anew. The balancer is told once
    /// for each time that it heard of the guest, so that a guest which opens and closes without end is not heard.
    pub(super) fn left(&mut self, ctx: &mut Context<'_>) {
        self.reports.forget();
        self.joined = false;
        if std::mem::take(&mut self.known_to_balancer) {
            self.tell_balancer(ctx, BalancerInput::Left { vm: self.vm });
        }
    }
}
