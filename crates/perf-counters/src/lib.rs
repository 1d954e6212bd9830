//! Hyper-V's Dynamic Memory performance counters and their exporters.
