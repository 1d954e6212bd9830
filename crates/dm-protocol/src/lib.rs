//! The wire messages of the Hyper-V Dynamic Memory protocol.
