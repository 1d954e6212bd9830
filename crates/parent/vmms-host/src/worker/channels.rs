//! The VM's bus and what goes over its channels.

use component_runtime::lanes::Lane;
use component_runtime::{Context, trace};
use dm_vsp::Input;
use memory_balancer::Input as BalancerInput;
use page_range::GuestPage;
use vmbus::control::server::{ContactOrigin, Offer};
use vmbus::control::{DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE, Relid};
use vmbus::ring::PacketType;

use super::Worker;
use crate::bus::{BusEvent, HostBus, ReceivedPacket, RequestId, SendError};
use crate::devices::{Devices, Surroundings, Told};
use crate::message::VmmsMessage;
use crate::statistics::ChannelStatistics;
use machine_contract::Heartbeat;

/// The only device that sees rules broken, as Windows names it (invented: no entry of the event log was found).
const STORAGE_DEVICE: &str = "Microsoft Synthetic SCSI Controller";

impl Worker {
    /// Offers Dynamic Memory and the other devices, as far as they are not on offer.
    pub(super) fn offer_devices(&mut self, ctx: &mut Context<'_>) {
        let Some(bus) = &mut self.bus else { return };
        if self.vsp.is_some() && self.dm_channel.is_none() {
            let offer = Offer::new(DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE);
            self.dm_channel = bus.offer(offer).ok();
        }
        self.devices.offer(bus);
        self.settle_bus(ctx);
    }

    /// Has the bus handle what the guest has posted.
    pub(super) fn poll_bus(&mut self, ctx: &mut Context<'_>) {
        loop {
            let again = self.bus.as_mut().is_some_and(|bus| bus.poll(|| ctx.spend()));
            self.settle_bus(ctx);
            if !again {
                break;
            }
        }
    }

    /// Tells the VSP and the devices what the bus reports, and answers what the bus asks.
    pub(super) fn settle_bus(&mut self, ctx: &mut Context<'_>) {
        while let Some(event) = self.bus.as_mut().and_then(HostBus::next_event) {
            match event {
                BusEvent::Pin { request, pages } => self.pin(request, &pages),
                BusEvent::Unpin(request) => self.unpin(request),
                event => self.heard(ctx, |worker, ctx| worker.bus_event(ctx, event)),
            }
        }
        self.record_frames(ctx);
    }

    fn bus_event(&mut self, ctx: &mut Context<'_>, event: BusEvent) {
        match event {
            BusEvent::Contact(version, origin) => {
                tracing::info!(event = "vmbus_contact", version = %version);
                // The VM was not reset: another kernel runs in it (kexec, kdump), or the guest's drivers were loaded anew.
                // Neither knows of what was given away before.
                if origin == ContactOrigin::AfterUnload {
                    self.vsp(ctx, Input::GuestReplaced);
                }
                self.offer_devices(ctx);
            }
            BusEvent::Opened(relid) => {
                tracing::info!(event = "vmbus_open", child_relid = relid.get());
                if self.dm_channel == Some(relid) {
                    self.vsp(ctx, Input::ChannelOpened);
                } else {
                    let now = Self::now(ctx);
                    let sent = self.with_devices(|devices, around| devices.opened(now, around, relid));
                    self.told_whether_sent(sent.unwrap_or(Ok(())));
                }
            }
            BusEvent::Closed(relid, counted) => {
                tracing::info!(event = "vmbus_close", child_relid = relid.get());
                record_counters(relid, &counted);
                self.channel_closed(ctx, relid);
            }
            BusEvent::Unloaded => tracing::info!(event = "vmbus_unload"),
            BusEvent::Violation(violation) => self.protocol_error(ctx, "VMBus", &violation),
            BusEvent::Corrupt(relid, corruption) => {
                self.protocol_error(ctx, "VMBus ring", &corruption);
                self.channel_closed(ctx, relid);
                // The channel has been rescinded, and is offered again when the guest makes contact anew.
                self.forget_channel(relid);
            }
            BusEvent::StaleTrailers(relid) => {
                tracing::info!(event = "vmbus_stale_trailers", child_relid = relid.get());
            }
            BusEvent::Refused(why) => tracing::warn!(event = "vmbus_refused", why = why.as_str()),
            BusEvent::HighWater { relid, ring, used, size } => {
                let ring = match ring {
                    Lane::Upstream => "upstream",
                    Lane::Downstream => "downstream",
                };
                // What comes next comes of the packets, not of this.
                trace::with_cause(trace::cause(), || {
                    tracing::info!(event = "ring_high_water", child_relid = relid.get(), ring, used, size);
                });
            }
            BusEvent::Pin { .. } | BusEvent::Unpin(_) => {}
        }
    }

    /// What was counted of the channels that are open, since the VM is over.
    pub(super) fn record_open_channels(&self) {
        let channels = self.bus.iter().flat_map(HostBus::channel_statistics);
        channels.for_each(|(relid, counted)| record_counters(relid, &counted));
    }

    fn pin(&mut self, request: RequestId, pages: &[GuestPage]) {
        self.fault_in(pages);
        let pinned = self.memory.pin(pages).map_err(|error| error.to_string());
        let result = pinned.map(|pin| drop(self.pins.insert(request, pin)));
        if let Some(bus) = &mut self.bus {
            bus.pinned(request, result);
        }
    }

    fn unpin(&mut self, request: RequestId) {
        if let Some(pin) = self.pins.remove(&request) {
            let unpinned = self.memory.unpin(pin);
            debug_assert!(unpinned.is_ok(), "the pin is of this VM's map");
        }
    }

    fn channel_closed(&mut self, ctx: &mut Context<'_>, relid: Relid) {
        if self.dm_channel == Some(relid) {
            self.vsp(ctx, Input::ChannelClosed);
            self.left(ctx);
        }
        self.devices.closed(relid);
    }

    fn forget_channel(&mut self, relid: Relid) {
        self.dm_channel.take_if(|dm| *dm == relid);
        self.devices.forget(relid);
    }

    /// Hands on what the guest has sent.
    pub(super) fn read_channels(&mut self, ctx: &mut Context<'_>) {
        while let (Some(relid), Some(bus)) = (self.dm_channel, &mut self.bus) {
            if !ctx.spend() {
                bus.pause_reading(relid);
                break;
            }
            let Some(packet) = bus.read(relid) else { break };
            self.heard(ctx, |worker, ctx| worker.packet(ctx, relid, packet));
        }
        let now = Self::now(ctx);
        let sent = self.with_devices(|devices, around| devices.run(now, around, || ctx.spend()));
        if let Some(sent @ Err(_)) = sent {
            self.heard(ctx, |worker, _| worker.told_whether_sent(sent));
        }
        self.settle_bus(ctx);
    }

    /// Does something with the devices; nothing before the machine is there.
    pub(super) fn with_devices<R>(
        &mut self,
        act: impl FnOnce(&mut Devices, &mut Surroundings<'_>) -> R,
    ) -> Option<R> {
        let Self { bus: Some(bus), memory, partition: Some(partition), devices, .. } = self else {
            return None;
        };
        Some(act(devices, &mut Surroundings { bus, memory, partition: &**partition }))
    }

    /// Tells the management service and the VM's events what the devices say of their guest.
    pub(super) fn pass_on_what_devices_say(&mut self, ctx: &mut Context<'_>) {
        for told in self.devices.told() {
            self.heard(ctx, |worker, ctx| match told {
                Told::Heartbeat(heartbeat) => {
                    let status = match heartbeat {
                        Heartbeat::NoContact => "no contact",
                        Heartbeat::Ok => "ok",
                        Heartbeat::LostCommunication => "lost communication",
                    };
                    tracing::info!(event = "heartbeat", status);
                    ctx.send(&worker.vmms, VmmsMessage::Heartbeat(worker.vm, heartbeat));
                }
                Told::Event { service, what } => {
                    tracing::info!(event = "integration_service", service, what = what.as_str());
                }
                Told::Insight(measured) => {
                    tracing::debug!(event = "guest_insight", says = measured.to_text().trim_end());
                    worker.tell_balancer(ctx, BalancerInput::Insight { vm: worker.vm, measured });
                }
                Told::Storage { lun, what } => tracing::info!(event = "storage", lun, what = what.as_str()),
                Told::Violation { rule } => worker.protocol_error(ctx, STORAGE_DEVICE, &rule),
            });
        }
    }

    /// A packet on the channel of Dynamic Memory.
    fn packet(&mut self, ctx: &mut Context<'_>, relid: Relid, packet: ReceivedPacket) {
        self.record_frames(ctx);
        if let Some(bus) = self.bus.as_mut().filter(|_| packet.completion_requested) {
            let sent = bus.complete(relid, packet.transaction_id, &[]);
            self.told_whether_sent(sent);
        }
        if packet.kind == PacketType::IN_BAND {
            self.vsp(ctx, Input::Packet(packet.payload));
        } else {
            self.protocol_error(ctx, "VMBus", &format_args!("a packet of type {:#x}", packet.kind.0));
        }
    }

    /// What could not be sent, since the guest reads nothing, is lost: the guest's own doing.
    pub(super) fn told_whether_sent(&self, sent: Result<(), SendError>) {
        if let Err(error) = sent {
            tracing::warn!(event = "send_failed", why = %error);
        }
    }
}

/// Records what was counted of a channel while it was open. What comes next does not come of this.
fn record_counters(relid: Relid, ChannelStatistics { upstream, downstream }: &ChannelStatistics) {
    trace::with_cause(trace::cause(), || {
        tracing::info!(
            event = "channel_counters",
            child_relid = relid.get(),
            packets_from_guest = upstream.packets,
            signals_from_guest = upstream.signals,
            suppressed_from_guest = upstream.suppressed,
            upstream_high_water = upstream.high_water,
            upstream_size = upstream.size,
            packets_to_guest = downstream.packets,
            signals_to_guest = downstream.signals,
            suppressed_to_guest = downstream.suppressed,
            downstream_high_water = downstream.high_water,
            downstream_size = downstream.size
        );
    });
}
