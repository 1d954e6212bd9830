//! The memory balancer: ledger, safety, two-phase moves, and Hyper-V's pressure-band policy.
