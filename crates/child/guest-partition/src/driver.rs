//! Drivers of VMBus devices in the guest.

use std::time::Duration;

use vmbus::control::Uuid;

/// What a driver wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverOutput {
    /// Send this as one packet.
    Send(Vec<u8>),
    /// Close the channel; it is not opened again until it is offered anew.
    Close,
    /// Have the guest shut down and switch off.
    ShutDown,
    /// Have the guest shut down and boot again.
    Restart,
}

/// The guest's half of a device with one channel: a state machine that the bus drives.
pub trait ChannelDriver: Send {
    /// The class of the devices that this driver serves.
    fn class(&self) -> Uuid;

    /// Pages of each ring of the driver's channel, control page included; at least 2. Default: 5, as Linux' DM driver has (documented).
    fn ring_pages(&self) -> u32 {
        5
    }

    /// The channel is open.
    fn opened(&mut self, now: Duration, out: &mut Vec<DriverOutput>);

    /// A packet from the host.
    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<DriverOutput>);

    /// The channel is closed, by the driver or by the host.
    fn closed(&mut self, now: Duration, out: &mut Vec<DriverOutput>);

    /// The time that `next_timeout` named has come.
    fn timer(&mut self, now: Duration, out: &mut Vec<DriverOutput>);

    /// When the driver wants to be called at the latest.
    fn next_timeout(&self) -> Option<Duration>;
}
