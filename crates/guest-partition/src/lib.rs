//! A simulated VM: applications, memory manager, DM VSC and guest VMBus.
