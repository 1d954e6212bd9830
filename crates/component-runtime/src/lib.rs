//! Components, doorbells, clocks and drivers: how the parts of the stack run.
