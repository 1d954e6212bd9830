//! Keeping threads on one CPU.

/// A CPU that this process may use, where that can be known.
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
pub(crate) fn this_cpu() -> Option<usize> {
    let cpu = rustix::thread::sched_getcpu();
    (cpu < rustix::thread::CpuSet::MAX_CPU).then_some(cpu)
}

/// Keeps this thread, and those that it starts from now on, on `cpu`. This only affects speed: where the system does
/// not allow it, the thread stays where it is.
#[cfg(all(target_os = "linux", not(any(loom, shuttle))))]
pub(crate) fn stay_on(cpu: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    let _ = rustix::thread::sched_setaffinity(None, &set);
}

#[cfg(not(all(target_os = "linux", not(any(loom, shuttle)))))]
pub(crate) fn this_cpu() -> Option<usize> {
    None
}

#[cfg(not(all(target_os = "linux", not(any(loom, shuttle)))))]
pub(crate) fn stay_on(_cpu: usize) {}
