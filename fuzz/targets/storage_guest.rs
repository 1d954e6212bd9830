//! The StorVSP against any guest.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _reached = storage_vsp::test_support::fuzz_guest(bytes);
});
