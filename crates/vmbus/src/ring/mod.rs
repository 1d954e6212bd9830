//! Ring buffers and packets.
