//! The memory map of a VM: guest pages to host frames.
