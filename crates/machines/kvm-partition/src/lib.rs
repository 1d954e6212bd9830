//! A real partition: a minimal virtual machine on KVM, with the part of Hyper-V's hypervisor that VMBus needs.
//!
//! In the source documents this is the hypervisor: what the parent partition's worker sees of a child is the child's
//! memory, messages and event flags. [`KvmPartition`] offers the same three traits as the simulated partition
//! ([`partition::GuestMemory`], [`partition::MessagePort`], [`partition::EventPort`]), and a [`Machine`] runs an unmodified
//! kernel behind them.
//!
//! **Owns**: guest RAM ([`ram`]: mappings, memory slots, what is given back to the host), virtual processors and their
//! threads, the synthetic interrupt controller as far as KVM leaves it to user space ([`synic`]), and a few devices that
//! a kernel cannot do without: serial ports, the clock's CMOS, power and reset registers.
//!
//! **Never**: knows what a VMBus channel or a Dynamic Memory message is, decides about memory, or starts a guest again by
//! itself. No file but `sys` holds `unsafe` code.
//!
//! # What a guest finds
//! Hyper-V's CPUID leaves and nothing of KVM's (a KVM signature would win, and `hv_vmbus` would refuse), local APICs and
//! an IO-APIC, no PCI, no PIT, no HPET, hardware-reduced ACPI with the VMBus device and without `_S4` (with it the Linux
//! driver ignores balloon requests, since ballooned pages do not survive hibernation).
//!
//! Facts: Hypervisor Top-Level Functional Specification (CPUID leaves, SynIC, hypercalls); `Documentation/virt/kvm/api.rst`
//! and `Documentation/arch/x86/boot.rst` of Linux; ACPI 6.5.
#![deny(unsafe_code)]

mod acpi;
mod boot;
mod capabilities;
mod config;
mod cpuid;
mod devices;
mod doorbells;
mod error;
mod event;
mod hypercall;
mod kernel;
mod kvm_partition;
mod machine;
mod page_reporting;
mod panics;
pub mod ram;
mod registers;
mod serial;
pub mod synic;
mod sys;
mod vcpu;

pub use capabilities::{Capabilities, NoHypervisor};
pub use config::{MAX_VPS, MachineConfig};
pub use error::MachineError;
pub use event::{MachineEvent, MachineObserver};
pub use kernel::{KernelError, KernelImage};
pub use kvm_partition::KvmPartition;
pub use machine::{Machine, MachineControl};
pub use ram::Backing;
pub use serial::SERIAL_PORTS;
pub use vcpu::ExitCounts;
