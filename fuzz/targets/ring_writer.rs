//! A writer of a ring whose reader stores anything anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _reached = vmbus::ring::test_support::fuzz_ring_writer(bytes);
});
