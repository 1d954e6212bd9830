//! Any bytes as a Dynamic Memory message.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    dm_protocol::test_support::fuzz_decode(bytes);
});
