//! Page ranges of GPA-direct packets, any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _taken = vmbus::ring::test_support::fuzz_gpa_direct(bytes);
});
