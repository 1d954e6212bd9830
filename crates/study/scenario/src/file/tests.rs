use super::*;

mod bad_input;
mod defaults;
mod good_input;
