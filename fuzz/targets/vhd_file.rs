//! VHD files, any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _reached = vhd::test_support::fuzz_file(bytes);
});
