//! The DM VSC against any host.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _reached = dm_vsc::test_support::fuzz_host(bytes);
});
