//! Unmodified Linux guests under this project's own VMBus, DM VSP and balancer.
//!
//! The source documents describe what Windows' driver and Hyper-V's host do together. Here the host's half is this project's
//! and the guest's half is the driver `hv_balloon` of a Linux kernel as Debian ships it: what the two agree on was agreed
//! on by people who had no part in this project.
//!
//! **Owns**: the pieces that a guest needs ([`pieces`], [`fetch`], [`doctor`]), its initramfs, the [`factory`] that makes real
//! partitions for [`vmms_host`], the emulated machine for computers whose KVM is not enough ([`nested`]), and what is done with
//! guests: watch one ([`interactive`]), let several contend ([`contention`]), check a record of everything ([`record`]), run loads that
//! simulated guests run as well ([`validation`]), and measure ([`speed`]).
//!
//! **Never**: touches the protocol. Everything from the bus up is the same code as in a simulated run.
#![forbid(unsafe_code)]

pub mod agent;
pub mod contention;
pub mod cpio;
pub mod disk;
pub mod disk_examination;
pub mod disk_images;
pub mod disk_load;
pub mod doctor;
pub mod events;
pub mod factory;
pub mod fetch;
pub mod guest_disks;
pub mod host;
pub mod initramfs;
pub mod interactive;
pub mod manual;
mod modules;
pub mod nested;
pub mod pieces;
mod plugging;
mod qemu_files;
pub mod qemu_machine;
pub mod record;
pub mod speed;
pub mod storage_pieces;
pub mod task;
mod units;
pub mod validation;
mod watch;
