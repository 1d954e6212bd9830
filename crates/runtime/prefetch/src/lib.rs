//! Asks the processor for memory before it is looked at.
//!
//! A host of a thousand virtual machines looks at each of them for a microsecond, once a second. What it looked at a second ago
//! the caches have forgotten, and each line of it is worth a tenth of that microsecond if it is waited for. Who is next is
//! known early, though, and a line that was asked for in time costs nothing.
//!
//! A hint changes nothing that a program can observe but time, so it may be given for the wrong memory, or left out. On
//! processors without such an instruction it is left out.
//!
//! The instruction itself comes from the library `branches`, until `core::hint::prefetch_read` is stable.

#![no_std]

/// Bytes that a processor fetches together.
const LINE: usize = 64;

/// No more lines than this are asked for at once: a core has some dozens of requests under way, and what is beyond the
/// beginning of a large value is seldom what comes next.
pub const MOST_LINES: usize = 16;

/// Asks for the cache line in which a value begins.
#[inline]
pub fn line<T>(value: &T) {
    at(core::ptr::from_ref(value).cast());
}

/// Asks for all cache lines of a value, its first [`MOST_LINES`] if it has more. What it points to is not asked for.
#[inline]
pub fn value<T: ?Sized>(value: &T) {
    let start: *const u8 = core::ptr::from_ref(value).cast();
    // A value that begins within a line ends within one more.
    let within = start.addr() % LINE;
    let lines = (within + size_of_val(value)).div_ceil(LINE).min(MOST_LINES);
    for line in 0..lines {
        at(start.wrapping_add(line * LINE));
    }
}

#[inline]
fn at(address: *const u8) {
    /// Into all levels of the cache.
    const ALL_LEVELS: i32 = 0;
    branches::prefetch_read_data::<u8, ALL_LEVELS>(address);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_may_be_asked_for() {
        let bytes = [7u8; 3 * LINE * MOST_LINES];
        for end in [0, 1, LINE, bytes.len()] {
            value(&bytes[..end]);
        }
        let shown: &dyn core::fmt::Debug = &bytes;
        value(shown);
        value("");
        line(&());
        line(&bytes);
        assert!(bytes.iter().all(|&byte| byte == 7));
    }
}
