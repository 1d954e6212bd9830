//! Any bytes as a channel message.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    vmbus::control::test_support::fuzz_message(bytes);
});
