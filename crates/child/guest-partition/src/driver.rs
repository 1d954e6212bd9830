//! Drivers of VMBus devices in the guest.

use std::time::Duration;

use vmbus::control::Uuid;
use vmbus::ring::BufferRange;

/// What a driver wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverOutput {
    /// Send this as one packet.
    Send(Vec<u8>),
    /// Send this as one packet that the host is to complete: [`ChannelDriver::completed`].
    Request {
        /// What the driver calls it; no other request under way has this number.
        number: u64,
        /// Its message.
        payload: Vec<u8>,
        /// The driver's pages that go with it (GPA-direct); none: an in-band packet.
        buffer: Option<BufferRange>,
    },
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

    /// Whether the driver's packets are requests with numbers. Then a packet of the host's own with another number than 0 is none, as it is to
    /// Linux' storage driver (documented).
    fn numbers_requests(&self) -> bool {
        false
    }

    /// The host has completed a request.
    fn completed(&mut self, _now: Duration, _number: u64, _payload: &[u8], _out: &mut Vec<DriverOutput>) {}

    /// The bus has done what there was to do: what others wanted meanwhile can be done now.
    fn look(&mut self, _now: Duration, _out: &mut Vec<DriverOutput>) {}

    /// The channel is closed, by the driver or by the host.
    fn closed(&mut self, now: Duration, out: &mut Vec<DriverOutput>);

    /// The time that `next_timeout` named has come.
    fn timer(&mut self, now: Duration, out: &mut Vec<DriverOutput>);

    /// When the driver wants to be called at the latest.
    fn next_timeout(&self) -> Option<Duration>;
}
