//! The contract between the memory balancer and its designs.
