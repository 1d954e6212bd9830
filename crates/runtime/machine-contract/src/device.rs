//! Devices of a VM besides Dynamic Memory: users of the bus like any other.

use std::sync::Arc;
use std::time::Duration;

use guest_insight::GuestInsight;
use partition::NotifyFn;
use vmbus::control::server::Offer;
use vmbus::ring::GuestBuffer;

/// A request of a guest's driver: a packet to which the device owes an end.
#[derive(Clone, Debug)]
pub struct DeviceRequest {
    /// What the worker calls it. Never used twice for a device.
    pub number: u64,
    /// Its message: whatever bytes a guest likes.
    pub payload: Vec<u8>,
    /// The bytes of the guest's memory that it names, if it names any. Their pages are held until the request is over.
    pub buffer: Option<Arc<GuestBuffer>>,
}

/// What a device wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceOutput {
    /// Send this to the guest's driver as one packet. The packet waits if the ring has no room; a guest that reads
    /// nothing loses packets when too many wait. From a device whose packets are requests it has transaction number 0, since drivers of
    /// such devices take every other for a completion.
    Send(Vec<u8>),
    /// A [request](DeviceRequest) is over: the driver is sent this completion if it asked for one, and the request's pages are let go of.
    Complete {
        /// Which.
        request: u64,
        /// The completion.
        payload: Vec<u8>,
    },
    /// A request is over, and there is nobody to tell.
    Forget {
        /// Which.
        request: u64,
    },
    /// The guest broke a rule of the device: it loses the channel, until it makes contact with the bus anew.
    CloseChannel {
        /// Which rule.
        rule: String,
    },
    /// Something of a storage controller for the VM's events: a virtual hard disk came, went, or could not do what was asked.
    Storage {
        /// The disk's number on its controller; `None`: of the controller itself.
        lun: Option<u8>,
        /// What happened, in words.
        what: String,
    },
    /// Whether the guest lives is seen otherwise than before.
    Heartbeat(Heartbeat),
    /// An agent in the guest has measured something of its memory, for the balancer.
    Insight(GuestInsight),
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
/// A device that answers later names the time in [`next_timeout`](Self::next_timeout) and answers from [`timer`](Self::timer); one that
/// waits for something outside of the run (a thread that reads a file) has the [doorbell](Self::connect) rung and answers from
/// [`woken`](Self::woken). The worker makes a device at each start of its VM; a reset of the guest closes the channel, and the same device
/// sees it opened again.
///
/// There are two kinds of device. To most, packets are messages, which the worker completes by itself where the driver wants that. To a
/// device that names a [largest buffer](Self::largest_buffer) each packet is a [request](Self::request), to which the device owes an end
/// and whose data may stay in pages of the guest (GPA-direct): the worker holds the list of pages against the VM's map and pins them.
pub trait ChannelDevice: Send {
    /// How the device is offered. Asked again whenever the channel is offered anew.
    fn offer(&self) -> Offer;

    /// The guest's driver opened the channel.
    fn opened(&mut self, _now: Duration, _out: &mut Vec<DeviceOutput>) {}

    /// Where to ring when something outside of the run has happened. Called once, when the VM is started.
    fn connect(&mut self, _doorbell: &NotifyFn) {}

    /// The worker is awake, perhaps since the doorbell was rung. Also called while the channel is closed.
    fn woken(&mut self, _now: Duration, _out: &mut Vec<DeviceOutput>) {}

    /// Bytes of the largest buffer of a request; `None`: packets are messages.
    fn largest_buffer(&self) -> Option<u64> {
        None
    }

    /// A request of the guest's driver.
    fn request(&mut self, _now: Duration, request: DeviceRequest, out: &mut Vec<DeviceOutput>) {
        out.push(DeviceOutput::Forget { request: request.number });
    }

    /// A packet that names pages which are no buffer: they are not the guest's, or a ring's, or more than the device takes.
    fn bad_buffer(&mut self, _now: Duration, why: String, out: &mut Vec<DeviceOutput>) {
        out.push(DeviceOutput::CloseChannel { rule: why });
    }

    /// A packet from the guest's driver, of a device to which packets are messages: whatever bytes a guest likes.
    fn packet(&mut self, _now: Duration, _payload: &[u8], _out: &mut Vec<DeviceOutput>) {}

    /// The channel was closed, by the guest or by the host. Nothing can be sent until it is opened again. Requests under way are still
    /// to be ended, by [`DeviceOutput::Forget`].
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
