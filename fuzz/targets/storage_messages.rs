//! Messages of storage, any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| storage_protocol::test_support::fuzz_decode(bytes));
