//! The drivers of the integration services in a simulated guest.

use std::time::Duration;

use integration_protocol::{Service, ShutdownKind};
use integration_vsc::{IntegrationVsc, Output};
use vmbus::control::Uuid;

use crate::driver::{ChannelDriver, DriverOutput};

/// Drivers for heartbeat, shutdown and time synchronization. A simulated guest keeps no clock of its own: what it is told of the time it
/// hears, and no more.
#[must_use]
pub fn integration_drivers() -> Vec<Box<dyn ChannelDriver>> {
    let services = [Service::Heartbeat, Service::Shutdown, Service::TimeSync];
    services
        .map(|service| -> Box<dyn ChannelDriver> { Box::new(Driver(IntegrationVsc::new(service))) })
        .into()
}

struct Driver(IntegrationVsc);

impl ChannelDriver for Driver {
    fn class(&self) -> Uuid {
        self.0.service().class()
    }

    fn opened(&mut self, _now: Duration, _out: &mut Vec<DriverOutput>) {
        self.0.reset();
    }

    fn packet(&mut self, _now: Duration, payload: &[u8], out: &mut Vec<DriverOutput>) {
        let mut wanted = Vec::new();
        self.0.packet(payload, &mut wanted);
        out.extend(wanted.into_iter().filter_map(|output| match output {
            Output::Send(packet) => Some(DriverOutput::Send(packet)),
            Output::Shutdown(request) => match request.kind {
                ShutdownKind::PowerOff => Some(DriverOutput::ShutDown),
                ShutdownKind::Restart => Some(DriverOutput::Restart),
                // A simulated guest has nothing to hibernate to.
                ShutdownKind::Hibernate => None,
            },
            Output::Time(_) => None,
        }));
    }

    fn closed(&mut self, _now: Duration, _out: &mut Vec<DriverOutput>) {
        self.0.reset();
    }

    fn timer(&mut self, _now: Duration, _out: &mut Vec<DriverOutput>) {}

    fn next_timeout(&self) -> Option<Duration> {
        None
    }
}
