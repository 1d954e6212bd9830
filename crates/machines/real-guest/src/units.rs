//! Units in which guests and hosts tell of memory.

/// Bytes in MiB.
pub(crate) fn bytes_mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1u32 << 20)
}

/// Units of 1024 bytes, as `/proc/meminfo` has them, in MiB.
pub(crate) fn kb_mib(kb: u64) -> f64 {
    kb as f64 / 1024.0
}
