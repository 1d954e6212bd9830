//! VMs that wait for memory to start.

use core::time::Duration;

use balancing_policy::{PageCount, VmId};
use page_range::HostFrames;

use crate::engine::Balancer;
use crate::vm::Live;
use crate::{Fault, Output};

/// A VM that waits to start. What is set aside for it can go to nobody else.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) vm: VmId,
    pub(crate) weight: u32,
    pub(crate) startup: PageCount,
    pub(crate) overhead: PageCount,
    pub(crate) since: Duration,
    /// Tries that failed.
    pub(crate) attempts: u32,
    pub(crate) next_attempt: Duration,
    pub(crate) aside: HostFrames,
}

impl Waiting {
    pub(crate) fn needed(&self) -> PageCount {
        self.startup.saturating_add(self.overhead)
    }

    fn missing(&self) -> PageCount {
        self.needed().saturating_sub(self.aside.pages())
    }
}

impl Balancer {
    pub(crate) fn is_waiting(&self, vm: VmId) -> bool {
        self.waiting.iter().any(|waiting| waiting.vm == vm)
    }

    pub(crate) fn start_requested(
        &mut self,
        now: Duration,
        vm: VmId,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let registered = self.registered.get(&vm).ok_or(Fault::NotRegistered(vm))?;
        if self.index(vm).is_some() || self.is_waiting(vm) {
            return Err(Fault::NotOff(vm));
        }
        let waiting = Waiting {
            vm,
            weight: registered.settings.weight,
            startup: registered.settings.startup,
            overhead: self.config.overhead_per_vm,
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

    /// Try again what is due.
    pub(crate) fn retry_starts(&mut self, now: Duration, out: &mut Vec<Output>) {
        while let Some(place) = self.waiting.iter().position(|waiting| waiting.next_attempt <= now) {
            self.attempt(place, now, out);
        }
    }

    /// One try: what is set aside and what is free are enough, or not.
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
            // A pause of nothing would try for ever in one moment.
            waiting.next_attempt = now + self.config.start_retry.max(Duration::from_millis(1));
            let retry_at = waiting.next_attempt;
            out.push(Output::StartWaits { vm, attempt: attempts, required, available, retry_at });
        }
    }

    /// Set aside what the policy leaves for starts, and admit whoever has all it needs.
    pub(crate) fn serve_starts(&mut self, now: Duration, out: &mut Vec<Output>) {
        let mut place = 0;
        while place < self.waiting.len() {
            let aside: PageCount = self.waiting.iter().map(|waiting| waiting.aside.pages()).sum();
            let waiting = &mut self.waiting[place];
            let more = waiting.missing().min(self.for_starts.saturating_sub(aside));
            if !more.is_zero() {
                self.books.set_aside(&mut waiting.aside, more);
            }
            if waiting.missing().is_zero() {
                self.for_starts = self.for_starts.saturating_sub(waiting.needed());
                self.admit(place, now, out);
            } else {
                place += 1;
            }
        }
    }

    /// Give back what is set aside beyond what the policy leaves for starts, last in line first.
    pub(crate) fn trim_starts(&mut self) {
        let aside: PageCount = self.waiting.iter().map(|waiting| waiting.aside.pages()).sum();
        let mut beyond = aside.saturating_sub(self.for_starts);
        for waiting in self.waiting.iter_mut().rev() {
            if beyond.is_zero() {
                break;
            }
            let back = beyond.min(waiting.aside.pages());
            self.books.give_back(&mut waiting.aside, back);
            beyond -= back;
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
        let live = Live::new(account, registered, &self.config, waiting.startup);
        let view = live.view(vm, registered, now, Self::default_granule());
        let index = self.views.partition_point(|other| other.id < vm);
        self.live.insert(index, live);
        self.views.insert(index, view);
        self.plan();
        out.push(Output::Admitted { vm, frames, waited: now.saturating_sub(waiting.since) });
    }
}
