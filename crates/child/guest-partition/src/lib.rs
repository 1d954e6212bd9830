//! A simulated VM: applications, memory manager, DM VSC and guest VMBus.
//!
//! In the source documents this is the child partition of Figure 2-3. The crate assembles what the guest-side crates provide,
//! as two components: `guest` (the operating system with its memory manager, and the applications) and `dm-vsc` (the VMBus
//! driver with the drivers above it). Both share the memory manager under a lock, as a driver and its kernel do.
//!
//! **The crate owns** the machine of a [`SimulatedVm`]: partition, guest, drivers, over any number of boots; and the
//! [`Console`] at which a person, or a scenario, works in the guest. A worker reaches the machine through the
//! [`machine_contract`] alone.
//!
//! **The crate never** talks to the host but through the partition: messages, event flags, rings in guest pages. A real guest
//! could stand in its place.
#![forbid(unsafe_code)]

mod agent;
mod bus;
mod components;
mod dm;
mod driver;
mod integration;
mod machine;
mod storage;

pub use bus::GuestSide;
pub use components::{BusCommand, GuestCommand};
pub use driver::{ChannelDriver, DriverOutput};
pub use integration::integration_drivers;
pub use machine::{
    Console, MachineConfig, MoreDevices, MoreDrivers, SimulatedVm, default_bus_versions, driver_config,
};
