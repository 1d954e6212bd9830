//! The parent partition: VM lifecycle, admission, workers, and the parent OS's memory.
