//! The DM VSC as a driver on the guest's bus.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use component_runtime::Doorbell;
use component_runtime::trace::{self, Cause};
use dm_vsc::{
    BalloonAllocation, DmVsc, Faults, HotAddRefusal, Input, MemoryManager, Output, StatusSnapshot, VscConfig,
};
use guest_memory_manager::Guest;
use model_sync::Mutex;
use page_range::{GuestRange, PageBalance, PageCount, PageCounter};
use vmbus::control::Guid;

use crate::driver::{Driver, DriverOutput};

/// The guest's memory manager as the DM VSC sees it, at one moment.
struct Bridge<'a> {
    now: Duration,
    guest: &'a mut Guest,
}

impl MemoryManager for Bridge<'_> {
    fn status(&self) -> StatusSnapshot {
        let counters = self.guest.counters();
        StatusSnapshot {
            total: counters.visible.saturating_sub(counters.driver_locked),
            available: counters.available,
            committed: counters.committed.saturating_sub(counters.driver_locked),
            not_online: PageCount::ZERO,
            page_file_size: counters.page_file_size,
            zero_free: counters.zeroed + counters.free,
            page_file_writes: PageCounter::at(counters.page_writes),
            io_balance: PageBalance::of(counters.cache_faults, counters.page_reads),
        }
    }

    fn allocate_balloon(&mut self, most: PageCount) -> BalloonAllocation {
        let given = self.guest.allocate_balloon(self.now, most);
        BalloonAllocation { ranges: given.ranges, delay: given.write_time }
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

thread_local! {
    /// What the state machine decided: one for all that a thread runs, so that it stays in the processor's cache; it is taken
    /// while it is in use.
    static OUTPUTS: Cell<Vec<Output>> = Cell::default();
}

/// The driver "Microsoft Hyper-V Dynamic Memory". In this order in memory: what a status report takes comes first.
#[repr(C, align(64))]
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
        }
    }

    fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<DriverOutput>) {
        // Looked at further down, behind a lock.
        prefetch::line(&*self.faults);
        let mut outputs = OUTPUTS.take();
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
        // What was done comes before the message that says so: the one leads to the other.
        for output in &outputs {
            match *output {
                Output::Send(_) | Output::CloseChannel => {}
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
        let alone = outputs.len() == 1;
        for output in outputs.drain(..) {
            match output {
                Output::Send(bytes) => {
                    if alone && is_status(&bytes) {
                        // It comes with the second, whatever is being carried out meanwhile.
                        trace::set_cause(Cause::NONE);
                    }
                    self.trace_sent(&bytes);
                    out.push(DriverOutput::Send(bytes));
                }
                Output::CloseChannel => out.push(DriverOutput::Close),
                _ => {}
            }
        }
        OUTPUTS.set(outputs);
    }

    /// Records a message to the host; a status report as Linux' driver records it (`hyperv:balloon_status`).
    fn trace_sent(&self, bytes: &[u8]) {
        if !tracing::event_enabled!(tracing::Level::DEBUG, event) {
            return;
        }
        match dm_protocol::Packet::decode(bytes) {
            Ok(dm_protocol::Packet { message: dm_protocol::Message::StatusReport(report), .. }) => {
                let (committed, ballooned) = {
                    let guest = self.guest.lock();
                    let memory = guest.memory();
                    (memory.committed().saturating_sub(memory.ballooned()), memory.ballooned())
                };
                tracing::debug!(
                    event = "balloon_status",
                    available = report.available,
                    committed = report.committed,
                    vm_memory_committed = committed.get(),
                    pages_ballooned = ballooned.get(),
                    pages_added = self.added.get(),
                    // This guest has no memory that was added and is not in use yet.
                    pages_onlined = self.added.get()
                );
            }
            _ => {
                if let [low, high, ..] = *bytes {
                    let message = dm_protocol::MessageType(u16::from_le_bytes([low, high]));
                    tracing::debug!(event = "dm_send", message = %message, bytes = bytes.len());
                }
            }
        }
    }
}

fn is_status(bytes: &[u8]) -> bool {
    bytes.starts_with(&dm_protocol::MessageType::STATUS_REPORT.0.to_le_bytes())
}

impl Driver for DmDriver {
    fn class(&self) -> Guid {
        Guid::DYNAMIC_MEMORY
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
