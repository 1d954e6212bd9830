//! Starts: VMs wait for memory, and are admitted.

use core::time::Duration;

use balancing_policy::{PageCount, VmId};

use crate::state::Balancer;
use crate::vm::Live;
use crate::waiting::Waiting;
use crate::{Fault, Output};

impl Balancer {
    pub(crate) fn start_requested(
        &mut self,
        now: Duration,
        vm: VmId,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        if self.index(vm).is_some() || self.is_waiting(vm) {
            return Err(Fault::NotOff(vm));
        }
        self.wait_to_start(now, vm, PageCount::ZERO, out)
    }

    /// The VM ends and starts at once. No other VM that waits gets the memory that this VM had.
    pub(crate) fn restarted(&mut self, now: Duration, vm: VmId, out: &mut Vec<Output>) -> Result<(), Fault> {
        let had = self.stop(vm)?;
        self.wait_to_start(now, vm, had, out)
    }

    fn wait_to_start(
        &mut self,
        now: Duration,
        vm: VmId,
        had: PageCount,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let registered = self.registered.get(&vm).ok_or(Fault::NotRegistered(vm))?;
        let (startup, overhead) = (registered.settings.startup, self.config.overhead_per_vm);
        let waiting = Waiting {
            vm,
            weight: registered.settings.weight,
            startup,
            overhead,
            own: had.min(startup.saturating_add(overhead)),
            since: now,
            attempts: 0,
            next_attempt: now,
            aside: self.books.nothing(),
        };
        // Served by weight, and at the same weight in the order of their requests.
        let place = self.waiting.partition_point(|other| other.weight >= waiting.weight);
        self.waiting.insert(place, waiting);
        self.attempt(place, now, out);
        Ok(())
    }

    pub(crate) fn cancel_start(&mut self, vm: VmId) -> Result<(), Fault> {
        let place = self.waiting.iter().position(|waiting| waiting.vm == vm).ok_or(Fault::NotRunning(vm))?;
        self.drop_waiting(place);
        Ok(())
    }

    fn drop_waiting(&mut self, place: usize) -> Waiting {
        let mut waiting = self.waiting.remove(place);
        let all = waiting.aside.pages();
        self.books.give_back(&mut waiting.aside, all);
        waiting
    }

    /// Tries again to admit the VMs whose next attempt is due.
    pub(crate) fn retry_starts(&mut self, now: Duration, out: &mut Vec<Output>) {
        while let Some(place) = self.waiting.iter().position(|waiting| waiting.next_attempt <= now) {
            self.attempt(place, now, out);
        }
    }

    /// Tries to admit a waiting VM: what is set aside for it and what is free are enough, or not.
    fn attempt(&mut self, place: usize, now: Duration, out: &mut Vec<Output>) {
        let waiting = &mut self.waiting[place];
        let missing = waiting.missing();
        let available = waiting.aside.pages() + self.books.available();
        if missing <= self.books.available() {
            self.books.set_aside(&mut waiting.aside, missing);
            self.admit(place, now, out);
            return;
        }
        waiting.attempts += 1;
        let (vm, attempts, required) = (waiting.vm, waiting.attempts, waiting.needed());
        if attempts >= self.config.start_attempts {
            self.drop_waiting(place);
            out.push(Output::StartRefused { vm, required, available, attempts });
            self.serve(now, out);
        } else {
            // With a pause of zero this loop would try for ever at the same instant.
            waiting.next_attempt = now + self.config.start_retry.max(Duration::from_millis(1));
            let retry_at = waiting.next_attempt;
            out.push(Output::StartWaits { vm, attempt: attempts, required, available, retry_at });
        }
    }

    /// Set aside what the policy leaves for starts, first in line first, and admit each VM for which enough is set aside.
    pub(crate) fn serve_starts(&mut self, now: Duration, out: &mut Vec<Output>) {
        #[cfg(test)]
        if !self.protects_starts {
            return self.start_from_the_pool(now, out);
        }
        let (mut place, mut left) = (0, self.for_starts);
        while place < self.waiting.len() {
            let waiting = &mut self.waiting[place];
            let allowed = waiting.allowed(&mut left);
            let more = allowed.saturating_sub(waiting.aside.pages());
            self.books.set_aside(&mut waiting.aside, more);
            if waiting.missing().is_zero() {
                self.for_starts = self.for_starts.saturating_sub(waiting.needed());
                self.admit(place, now, out);
            } else {
                place += 1;
            }
        }
    }

    /// Give back what is set aside beyond what the policy leaves for starts.
    pub(crate) fn trim_starts(&mut self) {
        let mut left = self.for_starts;
        for waiting in &mut self.waiting {
            let beyond = waiting.aside.pages().saturating_sub(waiting.allowed(&mut left));
            self.books.give_back(&mut waiting.aside, beyond);
        }
    }

    /// What [`Self::serve_starts`] would be if nothing were set aside: the wrong way.
    #[cfg(test)]
    fn start_from_the_pool(&mut self, now: Duration, out: &mut Vec<Output>) {
        if let Some(place) =
            self.waiting.iter().position(|waiting| waiting.needed() <= self.books.available())
        {
            let waiting = &mut self.waiting[place];
            let needed = waiting.needed();
            self.books.set_aside(&mut waiting.aside, needed);
            self.admit(place, now, out);
        }
    }

    fn admit(&mut self, place: usize, now: Duration, out: &mut Vec<Output>) {
        let mut waiting = self.waiting.remove(place);
        let vm = waiting.vm;
        let Some((account, frames)) = self.books.open(&mut waiting.aside, waiting.startup, waiting.overhead)
        else {
            debug_assert!(false, "admitted without its memory");
            self.waiting.insert(place, waiting);
            return;
        };
        let Some(registered) = self.registered.get_mut(&vm) else {
            debug_assert!(false, "admitted and not registered");
            self.books.close(account);
            return;
        };
        registered.at_start = registered.tally;
        let live = Live::new(account, registered, waiting.startup);
        let view = live.view(vm, registered, now, Self::default_granule());
        let index = self.ids.partition_point(|&other| other < vm);
        self.ids.insert(index, vm);
        self.targets.insert(index, live.held_target());
        self.live.insert(index, live);
        self.views.insert(index, view);
        self.plan();
        out.push(Output::Admitted { vm, frames, waited: now.saturating_sub(waiting.since) });
    }
}
