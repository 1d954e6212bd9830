//! Starts: VMs are admitted or refused, and memory is collected for those that were refused.

use core::time::Duration;

use balancing_policy::{PageCount, VmId, VmView};

use crate::origins::Origins;
use crate::state::Balancer;
use crate::vm::Live;
use crate::waiting::{Purpose, Waiting};
use crate::{Fault, Output};

impl Balancer {
    /// A request is answered at once: the VM starts, or its start is refused (inferred: Microsoft's tests of Linux guests on later hosts
    /// expect that a start fails while memory is still being removed from others, and ask again; no host of 2008 R2 SP1 was compared).
    /// After a refusal, memory is collected for the VM for a while, so that another request finds it.
    pub(crate) fn start_requested(
        &mut self,
        now: Duration,
        vm: VmId,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        if self.index(vm).is_some() || self.restarts(vm) {
            return Err(Fault::NotOff(vm));
        }
        let asked_before = self.place(vm).map(|place| self.waiting.remove(place));
        let place = self.wait_to_start(now, vm, Purpose::AnotherRequest, PageCount::ZERO, asked_before)?;
        self.attempt(place, now, out);
        Ok(())
    }

    /// A VM that somebody else has started: it has its memory, so the reserve lends what the pool lacks.
    pub(crate) fn take_over(&mut self, now: Duration, vm: VmId, out: &mut Vec<Output>) -> Result<(), Fault> {
        let registered = self.registered.get(&vm).ok_or(Fault::NotRegistered(vm))?;
        let needed = registered.settings.startup.saturating_add(self.config.overhead_per_vm);
        let aside = self.place(vm).map_or(PageCount::ZERO, |place| self.waiting[place].aside.pages());
        let lacking = needed.saturating_sub(aside).saturating_sub(self.books.available());
        self.books.lend_reserve(lacking);
        let requested = self.start_requested(now, vm, out);
        self.books.complete_reserve();
        requested
    }

    /// The VM ends and starts at once. No other VM that waits gets the memory that this VM had.
    pub(crate) fn restarted(&mut self, now: Duration, vm: VmId, out: &mut Vec<Output>) -> Result<(), Fault> {
        let had = self.stop(vm)?;
        let place = self.wait_to_start(now, vm, Purpose::Restart, had, None)?;
        self.attempt(place, now, out);
        Ok(())
    }

    /// Puts the VM in line. Returns its place.
    fn wait_to_start(
        &mut self,
        now: Duration,
        vm: VmId,
        purpose: Purpose,
        had: PageCount,
        asked_before: Option<Waiting>,
    ) -> Result<usize, Fault> {
        let registered = self.registered.get(&vm).ok_or(Fault::NotRegistered(vm))?;
        let settings = registered.settings;
        let (startup, overhead) = (settings.startup, self.config.overhead_per_vm);
        // Only a restart is helped out by a file: not a start of a VM that was off, as after a failover (documented: Hyper-V Dynamic Memory
        // Overview). That the VM has at least its minimum RAM of the host is inferred: the file bridges what is between the two.
        let smart_paging =
            self.config.smart_paging.filter(|_| purpose == Purpose::Restart && settings.dynamic);
        let (since, aside, origins) = asked_before.map_or_else(
            || (now, self.books.nothing(), Origins::default()),
            |waiting| (waiting.since, waiting.aside, waiting.origins),
        );
        let waiting = Waiting {
            vm,
            purpose,
            weight: settings.weight,
            startup,
            overhead,
            least: if smart_paging.is_some() { settings.minimum.min(startup) } else { startup },
            own: had.min(startup.saturating_add(overhead)),
            since,
            until: now.saturating_add(smart_paging.unwrap_or(self.config.start_reservation)),
            aside,
            origins,
        };
        // Served by weight, and at the same weight in the order of their requests.
        let place = self.waiting.partition_point(|other| other.weight >= waiting.weight);
        self.waiting.insert(place, waiting);
        Ok(place)
    }

    pub(crate) fn cancel_start(&mut self, vm: VmId) -> Result<(), Fault> {
        let place = self.place(vm).ok_or(Fault::NotRunning(vm))?;
        self.drop_waiting(place);
        Ok(())
    }

    pub(crate) fn drop_waiting(&mut self, place: usize) -> Waiting {
        let mut waiting = self.waiting.remove(place);
        let all = waiting.aside.pages();
        waiting.give_back(&mut self.books, &mut self.came_back, all);
        waiting
    }

    /// Reservations that have lasted their time: what is set aside is everybody's again.
    pub(crate) fn end_reservations(&mut self, now: Duration, out: &mut Vec<Output>) {
        while let Some(place) = self.waiting.iter().position(|waiting| waiting.until <= now) {
            if self.admit_with_less(place, now, out) {
                continue;
            }
            let waiting = &self.waiting[place];
            let (vm, required) = (waiting.vm, waiting.needed());
            let available = waiting.aside.pages() + self.books.available();
            out.push(match waiting.purpose {
                Purpose::AnotherRequest => Output::ReservationEnded { vm },
                Purpose::Restart => Output::StartRefused { vm, required, available, reserved_until: None },
            });
            self.drop_waiting(place);
            self.serve(now, out);
        }
    }

    /// Tries to admit a waiting VM: what is set aside for it and what is free are enough, or not.
    fn attempt(&mut self, place: usize, now: Duration, out: &mut Vec<Output>) {
        let waiting = &mut self.waiting[place];
        let missing = waiting.missing();
        let available = waiting.aside.pages() + self.books.available();
        if missing <= self.books.available() {
            waiting.set_aside(&mut self.books, &mut self.came_back, missing);
            self.admit(place, now, out);
            return;
        }
        let (vm, required, until, purpose) = (waiting.vm, waiting.needed(), waiting.until, waiting.purpose);
        match purpose {
            Purpose::Restart => out.push(Output::RestartWaits { vm, required, available, until }),
            Purpose::AnotherRequest if self.could_be_made(required) => {
                out.push(Output::StartRefused { vm, required, available, reserved_until: Some(until) });
            }
            // Nothing is taken from anybody for a start that cannot be made.
            Purpose::AnotherRequest => {
                self.drop_waiting(place);
                out.push(Output::StartRefused { vm, required, available, reserved_until: None });
                self.serve(now, out);
            }
        }
    }

    /// Smart Paging: whether what was the VM's own is home, and no other VM has enough to give.
    fn has_nothing_to_wait_for(&self, place: usize) -> bool {
        let waiting = &self.waiting[place];
        waiting.can_do_with_less()
            && waiting.aside.pages() + self.books.available() >= waiting.own
            && !self.could_be_made(waiting.needed())
    }

    /// Smart Paging: admits a VM that restarts with what there is, if that is less than its startup RAM and enough to start with. Returns
    /// whether it is admitted.
    fn admit_with_less(&mut self, place: usize, now: Duration, out: &mut Vec<Output>) -> bool {
        let waiting = &mut self.waiting[place];
        let available = waiting.aside.pages() + self.books.available();
        if !waiting.can_do_with_less() || available < waiting.suffices() {
            return false;
        }
        let more = waiting.missing().min(self.books.available());
        waiting.set_aside(&mut self.books, &mut self.came_back, more);
        self.admit(place, now, out);
        true
    }

    /// Whether the running VMs could be brought to so little that there is enough.
    fn could_be_made(&self, required: PageCount) -> bool {
        let least = |(live, view): (&Live, &VmView)| {
            let gives = view.settings.dynamic && live.joined.is_some_and(|joined| joined.balloon);
            if gives { live.held().min(view.settings.minimum) } else { live.held() }
        };
        let kept: PageCount = self.live.iter().zip(&self.views).map(least).sum();
        kept.saturating_add(required) <= self.books.capacity()
    }

    /// Set aside what the policy leaves for starts, first in line first, and admit whoever restarts and has all
    /// it needs.
    pub(crate) fn serve_starts(&mut self, now: Duration, out: &mut Vec<Output>) {
        #[cfg(test)]
        if !self.protects_starts {
            return;
        }
        let (mut place, mut left) = (0, self.for_starts);
        while place < self.waiting.len() {
            let waiting = &mut self.waiting[place];
            let allowed = waiting.allowed(&mut left);
            let more = allowed.saturating_sub(waiting.aside.pages());
            waiting.set_aside(&mut self.books, &mut self.came_back, more);
            if waiting.missing().is_zero() && waiting.purpose == Purpose::Restart {
                self.for_starts = self.for_starts.saturating_sub(waiting.needed());
                self.admit(place, now, out);
            } else if !(self.has_nothing_to_wait_for(place) && self.admit_with_less(place, now, out)) {
                place += 1;
            }
        }
    }

    /// Give back what is set aside beyond what the policy leaves for starts.
    pub(crate) fn trim_starts(&mut self) {
        let mut left = self.for_starts;
        for waiting in &mut self.waiting {
            let beyond = waiting.aside.pages().saturating_sub(waiting.allowed(&mut left));
            waiting.give_back(&mut self.books, &mut self.came_back, beyond);
        }
    }

    fn admit(&mut self, place: usize, now: Duration, out: &mut Vec<Output>) {
        let mut waiting = self.waiting.remove(place);
        let vm = waiting.vm;
        let startup = waiting.startup.min(waiting.aside.pages().saturating_sub(waiting.overhead));
        let Some((account, frames)) = self.books.open(&mut waiting.aside, startup, waiting.overhead) else {
            debug_assert!(false, "admitted without its memory");
            self.waiting.insert(place, waiting);
            return;
        };
        let Some(registered) = self.registered.get_mut(&vm) else {
            debug_assert!(false, "admitted and not registered");
            self.books.close(account);
            return;
        };
        // What was set aside beyond what is needed is in the pool again.
        let beyond = waiting.origins.pages().saturating_sub(waiting.needed());
        self.came_back.put_back(waiting.origins.take_last(beyond));
        registered.at_start = registered.tally;
        let live = Live::new(account, registered, waiting.startup);
        let view = live.view(vm, registered, now, Self::default_granule());
        let index = self.ids.binary_search(&vm).unwrap_or_else(|place| place);
        self.ids.insert(index, vm);
        self.targets.insert(index, live.held_target());
        self.live.insert(index, live);
        self.views.insert(index, view);
        self.plan();
        out.push(Output::Admitted { vm, frames, waited: now.saturating_sub(waiting.since) });
        self.record_moved(vm, None, waiting.origins, out);
    }
}
