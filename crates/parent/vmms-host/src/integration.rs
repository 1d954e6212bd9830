//! The integration services as devices of a VM.

use std::time::Duration;

use integration_protocol::{self as protocol, ShutdownKind};
use integration_vsp::{
    Event, Heartbeat, HeartbeatStatus, HostClock, IntegrationService, Output, ReferenceClock, Shutdown,
    TimeSync,
};
use machine_contract::{self as contract, ChannelDevice, DeviceOutput};
use vmbus::control::message::offer_flags;
use vmbus::control::server::Offer;

use crate::constants as c;

/// Of a channel in pipe mode, at the start of the offer's own data: what is written is read as it was written, message by message
/// (documented: Linux, `hyperv.h`, `VMBUS_PIPE_TYPE_MESSAGE`).
const PIPE_OF_MESSAGES: u32 = 4;

/// Devices for the services that Windows and Linux guests have in their kernels: heartbeat, shutdown and time synchronization.
///
/// Without a reference clock of the partition, guests are told the time by version 3.0 of that service.
#[must_use]
pub fn integration_devices(
    host: HostClock,
    reference: Option<ReferenceClock>,
) -> Vec<Box<dyn ChannelDevice>> {
    vec![
        Box::new(Device(Heartbeat::new())),
        Box::new(ShutdownDevice(Device(Shutdown::new()))),
        Box::new(Device(TimeSync::new(host, reference))),
    ]
}

/// How a service is offered.
pub(crate) fn service_offer(service: protocol::Service) -> Offer {
    Offer::new(service.class(), service.instance()).with(|offer| {
        offer.flags = offer_flags::NAMED_PIPE;
        offer.user_defined.0[..4].copy_from_slice(&PIPE_OF_MESSAGES.to_le_bytes());
    })
}

/// A service as a device.
#[derive(Debug)]
struct Device<S>(S);

impl<S: IntegrationService> Device<S> {
    /// Has the service do something, and says what comes of that in the worker's terms.
    fn drive(&mut self, out: &mut Vec<DeviceOutput>, call: impl FnOnce(&mut S, &mut Vec<Output>)) {
        let mut wanted = Vec::new();
        call(&mut self.0, &mut wanted);
        let service = self.0.service().name();
        out.extend(wanted.into_iter().map(|output| match output {
            Output::Send(packet) => DeviceOutput::Send(packet),
            Output::Event(Event::Heartbeat(status)) => DeviceOutput::Heartbeat(match status {
                HeartbeatStatus::NoContact => contract::Heartbeat::NoContact,
                HeartbeatStatus::Ok(_) => contract::Heartbeat::Ok,
                HeartbeatStatus::LostCommunication => contract::Heartbeat::LostCommunication,
            }),
            Output::Event(event) => DeviceOutput::Told { service, what: words(&event) },
        }));
    }
}

fn words(event: &Event) -> String {
    match event {
        Event::Negotiated { framework, version } => format!("version {version} (frame {framework})"),
        Event::NoCommonVersion => "the guest's driver speaks no version that the host speaks".to_owned(),
        Event::Shutdown(answer) => match answer {
            integration_vsp::ShutdownAnswer::Accepted => "the guest shuts down".to_owned(),
            integration_vsp::ShutdownAnswer::Refused(status) => {
                format!("the guest does not shut down (status {:#x})", status.0)
            }
            integration_vsp::ShutdownAnswer::NoAnswer => "the guest does not answer".to_owned(),
        },
        Event::Ignored(why) => format!("left alone: {why:?}"),
        other => format!("{other:?}"),
    }
}

impl<S: IntegrationService> ChannelDevice for Device<S> {
    fn offer(&self) -> Offer {
        service_offer(self.0.service())
    }

    fn opened(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.drive(out, |service, out| service.opened(now, out));
    }

    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<DeviceOutput>) {
        self.drive(out, |service, out| service.packet(now, payload, out));
    }

    fn closed(&mut self) {
        // The worker itself knows that nobody answers over a channel that is closed.
        self.0.closed(&mut Vec::new());
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.drive(out, |service, out| service.timer(now, out));
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.0.next_timeout()
    }
}

/// The one service that can ask a guest to shut down.
#[derive(Debug)]
struct ShutdownDevice(Device<Shutdown>);

impl ChannelDevice for ShutdownDevice {
    fn offer(&self) -> Offer {
        self.0.offer()
    }

    fn opened(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.0.opened(now, out);
    }

    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<DeviceOutput>) {
        self.0.packet(now, payload, out);
    }

    fn closed(&mut self) {
        self.0.closed();
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.0.timer(now, out);
    }

    fn shut_down(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) -> bool {
        let request = protocol::Shutdown {
            kind: ShutdownKind::PowerOff,
            // A guest that takes longer than the management service waits is turned off.
            force: true,
            timeout: u32::try_from(c::SHUTDOWN_TIMEOUT.duration().as_secs()).unwrap_or(u32::MAX),
            text: String::new(),
        };
        let mut asked = false;
        self.0.drive(out, |service, out| asked = service.request(now, &request, out));
        asked
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.0.next_timeout()
    }
}
