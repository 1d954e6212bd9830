//! The DM VSC as a driver on the guest's bus.

use std::sync::Arc;
use std::time::Duration;

use component_runtime::Doorbell;
use component_runtime::trace::{self, Cause};
use dm_protocol::MessageType;
use dm_vsc::{
    BalloonAllocation, DmVsc, Faults, HotAddRefusal, Input, MemoryServices, Output, StatusSnapshot, VscConfig,
};
use guest_memory_manager::Guest;
use model_sync::Mutex;
use page_range::{GuestRange, PageBalance, PageCount, PageCounter};
use vmbus::control::{DYNAMIC_MEMORY_CLASS, Uuid};

use crate::driver::{ChannelDriver, DriverOutput};

/// The guest's memory manager as the DM VSC sees it, at one moment.
struct Bridge<'a> {
    now: Duration,
    guest: &'a mut Guest,
}

impl MemoryServices for Bridge<'_> {
    fn status(&self) -> StatusSnapshot {
        let counters = self.guest.counters();
        let profile = self.guest.memory().profile();
        StatusSnapshot::default().with(|status| {
            status.total = profile.managed(counters.visible.saturating_sub(counters.ballooned));
            status.available = counters.available;
            status.committed = profile.reported_commit(counters.committed.saturating_sub(counters.ballooned));
            status.not_online = PageCount::ZERO;
            status.page_file_size = counters.page_file_size;
            status.zero_free = counters.zeroed + counters.free;
            status.page_file_writes = PageCounter::at(counters.page_writes);
            status.io_balance = PageBalance::of(counters.cache_faults, counters.page_reads);
        })
    }

    fn allocate_balloon(&mut self, most: PageCount) -> BalloonAllocation {
        let given = self.guest.allocate_balloon(self.now, most);
        BalloonAllocation::new(given.ranges, given.write_time)
    }

    fn free_balloon(&mut self, ranges: &[GuestRange]) -> PageCount {
        self.guest.free_balloon(self.now, ranges)
    }

    fn hot_add(
        &mut self,
        range: GuestRange,
        _region: Option<GuestRange>,
    ) -> Result<PageCount, HotAddRefusal> {
        self.guest.hot_add(self.now, range).map_err(|refused| {
            if refused.is_permanent() { HotAddRefusal::ForGood } else { HotAddRefusal::ForNow }
        })
    }
}

/// Faults of a guest's driver, set from outside at any time, and kept for the drivers of later boots.
#[derive(Debug, Default)]
pub(crate) struct FaultSwitch {
    faults: Faults,
    /// How often they were set.
    times: u64,
}

impl FaultSwitch {
    pub(crate) fn set(&mut self, faults: Faults) {
        self.faults = faults;
        self.times += 1;
    }

    /// The faults, if they were set more often than `seen`, which is brought up to date.
    fn set_since(&mut self, seen: &mut u64) -> Option<Faults> {
        (core::mem::replace(seen, self.times) != self.times).then(|| self.faults.clone())
    }
}

/// The driver "Microsoft Hyper-V Dynamic Memory".
pub(crate) struct DmDriver {
    guest: Arc<Mutex<Guest>>,
    /// Set from outside; taken in at the next call.
    faults: Arc<Mutex<FaultSwitch>>,
    machine: DmVsc,
    /// How often they had been set when they were last taken in.
    faults_set: u64,
    /// Rung when the memory manager has to be looked at earlier than it said.
    kernel: Doorbell,
    /// What led to the request that is being carried out: its answer comes when the guest's own time for it has passed.
    request: Cause,
    /// Memory added since the driver was loaded.
    added: PageCount,
    /// What the machine says, while it is carried out; empty otherwise.
    outputs: Vec<Output>,
}

impl DmDriver {
    pub(crate) fn new(
        config: VscConfig,
        guest: Arc<Mutex<Guest>>,
        faults: Arc<Mutex<FaultSwitch>>,
        kernel: Doorbell,
    ) -> Self {
        Self {
            guest,
            faults,
            machine: DmVsc::new(config),
            faults_set: 0,
            kernel,
            request: Cause::NONE,
            added: PageCount::ZERO,
            outputs: Vec::new(),
        }
    }

    fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<DriverOutput>) {
        let mut outputs = std::mem::take(&mut self.outputs);
        {
            let mut guest = self.guest.lock();
            let before = guest.memory().next_timeout();
            let mut bridge = Bridge { now, guest: &mut guest };
            if let Some(faults) = self.faults.lock().set_since(&mut self.faults_set) {
                self.machine.handle(now, Input::SetFaults(faults), &mut bridge, &mut outputs);
            }
            self.machine.handle(now, input, &mut bridge, &mut outputs);
            if guest.is_due_earlier(before) {
                self.kernel.ring();
            }
        }
        if let [Output::Reported { .. }, Output::Send { .. }] = outputs[..] {
            // A report comes with the second, whatever request is being carried out meanwhile.
            trace::set_cause(Cause::NONE);
        }
        // What was done comes before the message that says so: the one leads to the other.
        for output in &outputs {
            match *output {
                Output::Send { .. } | Output::CloseChannel => {}
                // As Linux' driver records it (`hyperv:balloon_status`). This guest has no memory that was added and is not
                // in use yet.
                Output::Reported { available, committed, own_commit, ballooned } => tracing::debug!(
                    event = "balloon_status",
                    available = available.get(),
                    committed = committed.get(),
                    vm_memory_committed = own_commit.get(),
                    pages_ballooned = ballooned.get(),
                    pages_added = self.added.get(),
                    pages_onlined = self.added.get()
                ),
                Output::VersionAccepted(version) => {
                    tracing::debug!(event = "dm_version_accepted", version = %version.on_wire());
                }
                Output::Running { version } => {
                    tracing::info!(event = "dm_running", version = %version.on_wire());
                }
                Output::Ended(why) => {
                    tracing::warn!(event = "dm_ended", source = "dmvsc", id = 1, why = ?why);
                }
                Output::Ballooned { requested, given } => {
                    tracing::info!(event = "ballooned", requested = requested.get(), given = given.get());
                }
                Output::Unballooned { pages, left_alone } => {
                    tracing::info!(event = "unballooned", pages = pages.get(), left_alone = left_alone.get());
                }
                Output::HotAdded { offered, accepted } => {
                    self.added += accepted;
                    tracing::info!(event = "hot_added", offered = offered.get(), accepted = accepted.get());
                }
                Output::Maximum(pages) => tracing::info!(event = "dm_maximum", mb = pages.whole_mib()),
                Output::Ignored { message_type, why } => {
                    tracing::debug!(event = "dm_message_ignored", message_type = message_type, why = ?why);
                }
            }
        }
        for output in outputs.drain(..) {
            match output {
                Output::Send { message, bytes } => {
                    if message != MessageType::STATUS_REPORT {
                        tracing::debug!(event = "dm_send", message = %message, bytes = bytes.len());
                    }
                    out.push(DriverOutput::Send(bytes));
                }
                Output::CloseChannel => out.push(DriverOutput::Close),
                _ => {}
            }
        }
        self.outputs = outputs;
    }
}

impl ChannelDriver for DmDriver {
    fn class(&self) -> Uuid {
        DYNAMIC_MEMORY_CLASS
    }

    fn opened(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        self.handle(now, Input::ChannelOpened, out);
    }

    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<DriverOutput>) {
        self.request = trace::cause();
        self.handle(now, Input::Packet(payload.to_vec()), out);
    }

    fn closed(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        self.handle(now, Input::ChannelClosed, out);
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        trace::set_cause(if self.machine.is_busy() { self.request } else { Cause::NONE });
        self.handle(now, Input::Timer, out);
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.machine.next_timeout()
    }
}
