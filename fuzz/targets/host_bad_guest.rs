//! A whole host against one bad guest among good ones.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _reached = whole_stack_tests::fuzz_host_bad_guest(bytes);
});
