//! What a hypervisor offers both sides: guest memory, message port, event flags.
