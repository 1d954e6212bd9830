//! The host's side of the channel protocol, against any guest.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _reached = vmbus::control::test_support::fuzz_server(bytes);
});
