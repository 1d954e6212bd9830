//! Devices of a VM besides Dynamic Memory: users of the bus like any other.

use std::time::Duration;

use vmbus::control::server::Offer;

/// What a device wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceOutput {
    /// Send this to the guest's driver as one packet. The packet waits if the ring has no room; a guest that reads
    /// nothing loses packets when too many wait.
    Send(Vec<u8>),
    /// Whether the guest lives is seen otherwise than before.
    Heartbeat(Heartbeat),
    /// Something for the VM's events: which service of the device, and what happened.
    Told {
        /// The service, or the device.
        service: &'static str,
        /// What happened, in words.
        what: String,
    },
}

/// Whether a guest lives, as its heartbeat shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heartbeat {
    /// The guest's driver is not there, or has not answered yet.
    #[default]
    NoContact,
    /// The guest answers.
    Ok,
    /// The guest has answered, and no longer does.
    LostCommunication,
}

/// The host's half of a device with one channel: a state machine that the worker drives, without I/O, threads or a clock of its
/// own.
///
/// A device that answers later (since a disk takes its time, say) names the time in [`next_timeout`](Self::next_timeout) and
/// answers from [`timer`](Self::timer). The worker makes a device at each start of its VM; a reset of the guest closes the
/// channel, and the same device sees it opened again.
pub trait ChannelDevice: Send {
    /// How the device is offered. Asked again whenever the channel is offered anew.
    fn offer(&self) -> Offer;

    /// The guest's driver opened the channel.
    fn opened(&mut self, _now: Duration, _out: &mut Vec<DeviceOutput>) {}

    /// A packet from the guest's driver: whatever bytes a guest likes.
    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<DeviceOutput>);

    /// The channel was closed, by the guest or by the host. Nothing can be sent until it is opened again.
    fn closed(&mut self) {}

    /// The time that [`next_timeout`](Self::next_timeout) named has come.
    fn timer(&mut self, _now: Duration, _out: &mut Vec<DeviceOutput>) {}

    /// The guest is to shut down. False: the device has no way to ask it, or the guest's driver is not there.
    fn shut_down(&mut self, _now: Duration, _out: &mut Vec<DeviceOutput>) -> bool {
        false
    }

    /// When it wants to be called at the latest; `None`: not before the next packet.
    fn next_timeout(&self) -> Option<Duration> {
        None
    }
}
