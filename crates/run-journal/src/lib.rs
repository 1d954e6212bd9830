//! Recording of a run, reading it back, replaying a component.
