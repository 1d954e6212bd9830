//! Devices of a VM besides Dynamic Memory: users of the bus like any other.

use vmbus::control::Relid;
use vmbus::control::server::Offer;

/// The host's half of a device with one channel.
pub trait ChannelDevice: Send {
    /// How it is offered.
    fn offer(&self) -> Offer;

    /// A packet from the guest's driver; what is returned is sent to it.
    fn packet(&mut self, payload: &[u8]) -> Vec<Vec<u8>>;

    /// The channel was closed.
    fn closed(&mut self) {}
}

pub(crate) struct DeviceSlot {
    pub(crate) device: Box<dyn ChannelDevice>,
    pub(crate) relid: Option<Relid>,
}

impl DeviceSlot {
    pub(crate) fn new(device: Box<dyn ChannelDevice>) -> Self {
        Self { device, relid: None }
    }
}
