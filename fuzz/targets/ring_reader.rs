//! A reader of a ring that anybody may write anything into.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _reached = vmbus::ring::test_support::fuzz_ring_reader(bytes);
});
