//! A run told to a newcomer.
