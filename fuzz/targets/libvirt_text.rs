//! Sessions with what libvirt's program prints.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _reached = qemu_host::test_support::libvirt(bytes);
});
