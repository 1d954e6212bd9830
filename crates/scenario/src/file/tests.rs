use super::*;

mod bad_input;
mod good_input;
