//! The engine: inputs in, outputs out.

use core::time::Duration;
use std::sync::Arc;

use balancing_policy::{GuestStatus, Insight, PageCount, PendingKind, Phase, VmId, pressure};
use page_range::HostFrames;

use crate::origins::{Origin, Origins, Source};
use crate::rates::Ewma;
use crate::state::Balancer;
use crate::vm::{Joined, Operation};
use crate::{Done, Fault, Input, OperationId, Output};

impl Balancer {
    /// Handle one input, and whatever has come due by `now`. Outputs are added to `out`.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        if let Err(fault) = self.take_in(now, input, out) {
            out.push(Output::Fault(fault));
        }
        self.end_reservations(now, out);
        if now >= self.next_round {
            self.round(now, out);
        }
        self.came_back.settle(self.books.available());
        debug_assert!(self.ledger().balances(), "{:?}", self.ledger());
    }

    fn take_in(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) -> Result<(), Fault> {
        match input {
            Input::StartRequest { vm } => self.start_requested(now, vm, out)?,
            Input::TakeOver { vm } => self.take_over(now, vm, out)?,
            Input::StartCancelled { vm } => {
                self.cancel_start(vm)?;
                self.serve(now, out);
            }
            Input::VmStarted { vm } => self.started(now, vm)?,
            Input::VmStopped { vm } => {
                // It runs, or it waits to start.
                if self.place(vm).is_some() {
                    self.cancel_start(vm)?;
                } else {
                    self.stop(vm)?;
                }
                self.serve(now, out);
            }
            Input::VmRestarts { vm } => {
                self.restarted(now, vm, out)?;
                self.serve(now, out);
            }
            Input::Joined { vm, granule, balloon, hot_add } => {
                let index = self.running(vm)?;
                self.live[index].joined = Some(Joined { balloon, hot_add });
                self.live[index].growth_refusals.accepted();
                self.live[index].shrink_refusals.accepted();
                if !granule.is_zero() {
                    self.views[index].granule = granule;
                }
                self.refresh(index, now);
            }
            Input::Left { vm } => {
                let index = self.running(vm)?;
                self.live[index].joined = None;
                // What the guest reported may be of before a reboot: whether it still holds is not known.
                self.live[index].average_pressure = Ewma::default();
                self.views[index].history.clear();
                self.views[index].insight = None;
                self.views[index].returnable = PageCount::ZERO;
                self.refresh(index, now);
            }
            Input::Status { vm, status, returnable } => self.reported(now, vm, status, returnable)?,
            Input::OperationFinished { vm, operation, done, returnable } => {
                let finished = self.finished(now, vm, operation, done, returnable, out);
                self.serve(now, out);
                finished?;
            }
            Input::Returned { vm, frames } => {
                let returned = self.returned(now, vm, frames);
                self.serve(now, out);
                returned?;
            }
            Input::Responsive { vm, responsive } => {
                let index = self.running(vm)?;
                let live = &mut self.live[index];
                live.does_not_answer = !responsive;
                live.silent &= !responsive;
                if let Some(operation) = live.operation.as_mut() {
                    operation.stalled |= !responsive;
                }
                self.refresh(index, now);
            }
            Input::ParentState(parent) => self.parent = parent,
            Input::FramesHome(frames) => {
                let home = self.frames_home(frames);
                self.serve(now, out);
                home?;
            }
            Input::SetReserve(reserve) => {
                self.config.reserve = reserve;
                self.books.set_reserve(reserve.saturating_add(self.config.beyond));
                self.serve(now, out);
            }
            Input::Timer => {}
            Input::Insight { vm, measured } => {
                let index = self.running(vm)?;
                self.views[index].insight = Some(Arc::new(Insight { at: now, measured }));
            }
        }
        Ok(())
    }

    fn started(&mut self, now: Duration, vm: VmId) -> Result<(), Fault> {
        let index = self.running(vm)?;
        if self.views[index].phase != Phase::Starting {
            return Err(Fault::NotOff(vm));
        }
        let live = &mut self.live[index];
        let granted = live.account.granted();
        let nothing = self.books.nothing();
        self.books.grant_ended(&mut live.account, granted, granted, nothing);
        self.views[index].phase = Phase::Running;
        self.refresh(index, now);
        Ok(())
    }

    /// The VM has ended. Returns what it had and cost.
    pub(crate) fn stop(&mut self, vm: VmId) -> Result<PageCount, Fault> {
        let index = self.running(vm)?;
        let live = self.live.remove(index);
        self.ids.remove(index);
        self.views.remove(index);
        self.targets.remove(index);
        let had = live.held() + live.account.overhead();
        let pool = self.books.available();
        self.books.close(live.account);
        self.came_home(pool, Source::Ended);
        self.plan();
        Ok(had)
    }

    fn reported(
        &mut self,
        now: Duration,
        vm: VmId,
        status: GuestStatus,
        returnable: PageCount,
    ) -> Result<(), Fault> {
        let index = self.running(vm)?;
        let view = &mut self.views[index];
        let live = &mut self.live[index];
        view.history.push(now, status);
        let pressure = pressure(status.demand, live.account.assigned());
        if pressure.is_finite() {
            live.average_pressure.add(self.config.average_pressure_window, now, pressure);
        }
        // Most reports change nothing about what the VM can be brought to.
        let was_silent = core::mem::take(&mut live.silent);
        if core::mem::replace(&mut view.returnable, returnable) != returnable || was_silent {
            live.refresh(view, now);
        } else {
            live.refresh_pauses(view, now);
        }
        Ok(())
    }

    pub(crate) fn begin_operation(
        &mut self,
        index: usize,
        now: Duration,
        kind: PendingKind,
        pages: PageCount,
    ) -> OperationId {
        let id = OperationId(self.next_operation);
        self.next_operation += 1;
        self.live[index].operation =
            Some(Operation { id, kind, pages, since: now, released: PageCount::ZERO, stalled: false });
        self.refresh(index, now);
        id
    }

    fn finished(
        &mut self,
        now: Duration,
        vm: VmId,
        id: OperationId,
        mut done: Done,
        returnable: PageCount,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let (Done::Grown { returned, .. } | Done::Shrunk { returned, .. }) = &mut done;
        let foreign = !self.books.owns(returned);
        if foreign {
            core::mem::replace(returned, self.books.nothing()).send_home();
        }
        let index = self.index(vm);
        let operation =
            index.and_then(|index| self.live[index].operation).filter(|operation| operation.id == id);
        let (Some(index), Some(operation)) = (index, operation) else {
            // Of a run of the VM that has ended, or never asked for: the frames are good all the same.
            let (Done::Grown { returned, .. } | Done::Shrunk { returned, .. }) = done;
            self.books.come_home(returned);
            return Err(Fault::NoSuchOperation { vm, operation: id });
        };
        let took = now.saturating_sub(operation.since);
        let live = &mut self.live[index];
        live.operation = None;
        let mut granted_from = core::mem::take(&mut live.granted_from);
        let pool = self.books.available();
        self.views[index].returnable = returnable;
        let (first, longest) = (self.config.refusal_first, self.config.refusal_longest);
        let fits = match (operation.kind, done) {
            (PendingKind::Grow, Done::Grown { mapped, returned, barrier }) => {
                let back = returned.pages();
                let (mapped, fits) =
                    self.books.grant_ended(&mut live.account, operation.pages, mapped, returned);
                self.came_back.put_back(granted_from.take_last(back));
                // What is missing comes home by itself.
                granted_from.take_last(granted_from.pages().saturating_sub(mapped));
                if barrier && let Some(joined) = live.joined.as_mut() {
                    joined.hot_add = false;
                }
                if mapped == operation.pages {
                    live.growth_refusals.accepted();
                } else if !barrier {
                    live.growth_refusals.refused(now, first, longest);
                }
                if let Some(registered) = self.registered.get_mut(&vm) {
                    registered.tally.add(mapped);
                }
                if !operation.stalled && !mapped.is_zero() {
                    self.rates.add_took(now, took);
                }
                fits
            }
            (PendingKind::Shrink, Done::Shrunk { released, returned }) => {
                let (released, fits) = self.books.released(&mut live.account, released, returned);
                self.came_back.came(Source::Vm(vm), self.books.available().saturating_sub(pool));
                let in_all = operation.released + released;
                if in_all >= operation.pages {
                    live.shrink_refusals.accepted();
                } else {
                    live.shrink_refusals.refused(now, first, longest);
                }
                if let Some(registered) = self.registered.get_mut(&vm) {
                    registered.tally.removed += released;
                    registered.tally.remove_operations += u64::from(!in_all.is_zero());
                }
                if !operation.stalled && !in_all.is_zero() {
                    self.rates.remove_took(now, took);
                }
                fits && in_all <= operation.pages
            }
            (PendingKind::Grow, Done::Shrunk { returned, .. }) => {
                let origins = core::mem::take(&mut granted_from);
                self.came_back.put_back(origins);
                // The answer is that of another kind of operation: the grant is over, and nothing of it was mapped.
                let (mapped, _) =
                    self.books.grant_ended(&mut live.account, operation.pages, PageCount::ZERO, returned);
                debug_assert!(mapped.is_zero(), "nothing was said to be mapped");
                false
            }
            (PendingKind::Shrink, Done::Grown { returned, .. }) => {
                self.books.come_home(returned);
                false
            }
        };
        self.record_moved(vm, Some(id), granted_from, out);
        self.refresh(index, now);
        if operation.kind == PendingKind::Shrink {
            self.shrink(index, now, out);
        }
        match (foreign, fits) {
            (true, _) => Err(Fault::ForeignFrames),
            (false, true) => Ok(()),
            (false, false) => Err(Fault::BeyondOperation { vm, operation: id }),
        }
    }

    fn returned(&mut self, now: Duration, vm: VmId, frames: HostFrames) -> Result<(), Fault> {
        if !self.books.owns(&frames) {
            return Err(Fault::ForeignFrames);
        }
        let Some(index) = self.index(vm) else {
            self.books.come_home(frames);
            return Err(Fault::NotRunning(vm));
        };
        let live = &mut self.live[index];
        let pool = self.books.available();
        let (released, fits) = self.books.released(&mut live.account, PageCount::ZERO, frames);
        self.came_back.came(Source::Vm(vm), self.books.available().saturating_sub(pool));
        let mut late = true;
        if let Some(operation) =
            live.operation.as_mut().filter(|operation| operation.kind == PendingKind::Shrink)
        {
            operation.released += released;
            late = false;
        }
        if let Some(registered) = self.registered.get_mut(&vm) {
            registered.tally.removed += released;
            registered.tally.remove_operations += u64::from(late && !released.is_zero());
        }
        self.refresh(index, now);
        if fits { Ok(()) } else { Err(Fault::MoreThanItHad(vm)) }
    }

    fn frames_home(&mut self, frames: HostFrames) -> Result<(), Fault> {
        if !self.books.owns(&frames) {
            return Err(Fault::ForeignFrames);
        }
        let pool = self.books.available();
        self.books.come_home(frames);
        self.came_home(pool, Source::Ended);
        Ok(())
    }

    /// The pool had `before`, and has more now.
    fn came_home(&mut self, before: PageCount, source: Source) {
        self.came_back.came(source, self.books.available().saturating_sub(before));
    }

    /// Memory has become a VM's.
    pub(crate) fn record_moved(
        &mut self,
        vm: VmId,
        operation: Option<OperationId>,
        origins: Origins,
        out: &mut Vec<Output>,
    ) {
        if origins.is_empty() {
            return;
        }
        let origins = origins.by_source();
        for &Origin { source, pages } in &origins {
            *self.moved.entry((source, vm)).or_default() += pages;
        }
        out.push(Output::Moved { vm, operation, origins });
    }
}
