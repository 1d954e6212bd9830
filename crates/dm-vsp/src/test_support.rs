//! For tests and fuzzing.
