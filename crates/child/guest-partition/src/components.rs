//! The two components of a simulated guest.

use std::sync::Arc;
use std::time::Duration;

use component_runtime::trace::{self, Cause};
use component_runtime::{Address, Component, Context, Doorbell, Mailbox, NextWake, SimTime, WakeCause};
use guest_memory_manager::workload::Workload;
use guest_memory_manager::{ApplicationId, Guest, GuestEvent};
use model_sync::Mutex;
use partition::PowerEvent;

use crate::bus::{BusNews, GuestBus};

/// What a user at the guest's console does.
#[derive(Debug)]
pub enum GuestCommand {
    /// Starts a workload beside those that run; with a name, to be ended by it.
    Run {
        /// How it is called from now on. A workload of the same name is ended first.
        name: Arc<str>,
        /// What it does.
        workload: Box<dyn Workload>,
    },
    /// Tells a workload to give back what it holds, in its own way.
    Unload {
        /// Which.
        name: Arc<str>,
    },
    /// Ends a workload.
    End {
        /// Which.
        name: Arc<str>,
    },
    /// Shuts the guest down.
    ShutDown,
    /// Restarts it.
    Restart,
    /// Crashes it.
    Crash,
    /// Panics: the component itself is broken (for tests of what that costs others).
    Panic,
}

/// To the guest's VMBus driver.
#[derive(Debug)]
pub enum BusCommand {
    /// The drivers are loaded: find the host.
    Connect,
    /// Take leave of the host, then end as said.
    Leave(PowerEvent),
    /// Fault: send these bytes on every open channel, as one packet each.
    SendGarbage(Vec<u8>),
    /// Fault: close every channel.
    CloseChannels,
    /// Open the channels again that were closed.
    ReopenChannels,
    /// Panics: the component itself is broken (for tests of what that costs others).
    Panic,
}

/// The guest's operating system and its applications (`guest/VM8`).
pub(crate) struct GuestComponent {
    pub(crate) guest: Arc<Mutex<Guest>>,
    /// Rung when the memory manager wants something of the disk, if there is one.
    pub(crate) driver: Option<Doorbell>,
    pub(crate) inbox: Mailbox<GuestCommand>,
    pub(crate) bus: Address<BusCommand>,
    pub(crate) power: Address<PowerEvent>,
    pub(crate) applications: Vec<(Arc<str>, ApplicationId)>,
    pub(crate) events: Vec<GuestEvent>,
    pub(crate) connected: bool,
    pub(crate) halted: bool,
}

impl GuestComponent {
    fn command(&mut self, ctx: &mut Context<'_>, command: GuestCommand) {
        let now: Duration = ctx.now().into();
        match command {
            GuestCommand::Run { name, workload } => {
                self.end(now, &name);
                tracing::info!(event = "workload_started", workload = &*name, kind = workload.name());
                let id = self.guest.lock().start_application(now, workload);
                self.applications.push((name, id));
            }
            GuestCommand::Unload { name } => {
                tracing::info!(event = "workload_unloaded", workload = &*name);
                for (_, id) in self.applications.iter().filter(|(known, _)| *known == name) {
                    self.guest.lock().unload_application(now, *id);
                }
            }
            GuestCommand::End { name } => {
                tracing::info!(event = "workload_ended", workload = &*name);
                self.end(now, &name);
            }
            GuestCommand::ShutDown => self.leave(ctx, PowerEvent::PoweredOff),
            GuestCommand::Restart => self.leave(ctx, PowerEvent::Reset),
            GuestCommand::Crash => {
                tracing::error!(event = "guest_crashed");
                self.halted = true;
                ctx.send(&self.power, PowerEvent::Crashed);
            }
            GuestCommand::Panic => panic!("the guest component was told to panic"),
        }
    }

    fn end(&mut self, now: Duration, name: &str) {
        let ended = |(known, _): &(Arc<str>, ApplicationId)| &**known == name;
        for (_, id) in self.applications.iter().filter(|application| ended(application)) {
            self.guest.lock().end_application(now, *id);
        }
        self.applications.retain(|application| !ended(application));
    }

    fn leave(&mut self, ctx: &mut Context<'_>, event: PowerEvent) {
        let now: Duration = ctx.now().into();
        for (_, id) in std::mem::take(&mut self.applications) {
            self.guest.lock().end_application(now, id);
        }
        self.halted = true;
        if self.connected {
            ctx.send(&self.bus, BusCommand::Leave(event));
        } else {
            ctx.send(&self.power, event);
        }
    }

    fn report(&mut self, ctx: &mut Context<'_>) {
        for event in std::mem::take(&mut self.events) {
            match event {
                GuestEvent::IntegrationServicesReady => {
                    tracing::info!(event = "integration_services_ready");
                    self.connected = true;
                    ctx.send(&self.bus, BusCommand::Connect);
                }
                GuestEvent::NoDynamicMemory { reason } => {
                    tracing::warn!(event = "no_dynamic_memory", source = "dmvsc", id = 2, why = %reason);
                }
                GuestEvent::Login => {
                    tracing::info!(event = "login");
                    ctx.send(&self.power, PowerEvent::Login);
                }
                GuestEvent::BootFailed { needed } => {
                    tracing::error!(event = "boot_failed", needed_mb = needed.whole_mib());
                    self.halted = true;
                    ctx.send(&self.power, PowerEvent::Crashed);
                }
                GuestEvent::ApplicationStarted { workload, .. } => {
                    tracing::debug!(event = "application_started", kind = workload);
                }
                GuestEvent::CommitFailed { requested, left, .. } => {
                    tracing::warn!(event = "commit_failed", requested = requested.get(), left = left.get());
                }
                GuestEvent::ApplicationFinished { commit, .. } => {
                    tracing::info!(event = "application_finished", commit = commit.get());
                }
            }
        }
    }
}

impl Component for GuestComponent {
    fn wake(&mut self, _now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        let now: Duration = ctx.now().into();
        if cause.message || cause.again {
            while let Some(command) = ctx.recv(&mut self.inbox) {
                self.command(ctx, command);
            }
        }
        if self.halted {
            return NextWake::Idle;
        }
        if !cause.message {
            trace::set_cause(Cause::NONE);
        }
        let next = {
            let mut guest = self.guest.lock();
            let next = guest.tick(now, &mut self.events);
            if let Some(driver) = self.driver.as_ref().filter(|_| guest.memory().wants_disk()) {
                driver.ring();
            }
            next
        };
        self.report(ctx);
        if self.halted {
            return NextWake::Idle;
        }
        next.map_or(NextWake::Idle, |at| NextWake::At(SimTime::from(at)))
    }
}

/// The guest's VMBus driver with the drivers above it, the DM VSC among them (`dm-vsc/VM8`).
pub(crate) struct BusComponent {
    pub(crate) bus: GuestBus,
    pub(crate) inbox: Mailbox<BusCommand>,
    pub(crate) power: Address<PowerEvent>,
    pub(crate) guest: Address<GuestCommand>,
    pub(crate) leaving: Option<PowerEvent>,
}

impl BusComponent {
    fn report(&mut self, ctx: &mut Context<'_>) {
        for news in self.bus.news() {
            match news {
                BusNews::Connected(version) => tracing::info!(event = "vmbus_connected", version = %version),
                BusNews::Failed(why) => {
                    tracing::warn!(event = "vmbus_failed", why = why.as_str());
                    self.left(ctx);
                }
                BusNews::Unloaded => {
                    tracing::info!(event = "vmbus_unloaded");
                    self.left(ctx);
                }
                BusNews::HostViolation(what) => {
                    tracing::warn!(event = "host_violation", what = what.as_str());
                }
                BusNews::NotPosted(why) => tracing::warn!(event = "vmbus_not_posted", why = why.as_str()),
                BusNews::NotOpened(why) => tracing::warn!(event = "vmbus_not_opened", why = why.as_str()),
                BusNews::ShutDown { restart } => {
                    let command = if restart { GuestCommand::Restart } else { GuestCommand::ShutDown };
                    ctx.send(&self.guest, command);
                }
            }
        }
    }

    fn left(&mut self, ctx: &mut Context<'_>) {
        if let Some(event) = self.leaving.take() {
            ctx.send(&self.power, event);
        }
    }
}

impl Component for BusComponent {
    fn wake(&mut self, _now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        let now: Duration = ctx.now().into();
        if cause.message || cause.again {
            while let Some(command) = ctx.recv(&mut self.inbox) {
                match command {
                    BusCommand::Connect => self.bus.connect(now),
                    BusCommand::Leave(event) => {
                        self.leaving = Some(event);
                        self.bus.unload(now);
                    }
                    BusCommand::SendGarbage(bytes) => {
                        tracing::warn!(event = "garbage_sent", bytes = bytes.len());
                        self.bus.send_raw(now, &bytes);
                    }
                    BusCommand::CloseChannels => self.bus.close_all(now),
                    BusCommand::ReopenChannels => self.bus.reopen_all(now),
                    BusCommand::Panic => panic!("the guest's bus driver was told to panic"),
                }
            }
        }
        if cause.doorbell || cause.message || cause.again {
            self.bus.run(now, &mut || ctx.spend());
        } else {
            self.bus.timers(now, &mut || ctx.spend());
        }
        self.report(ctx);
        self.bus.next_timeout().map_or(NextWake::Idle, |at| NextWake::At(SimTime::from(at)))
    }
}
