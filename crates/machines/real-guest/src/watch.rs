//! What goes wrong with the guests of a run, seen at its samples.

use std::time::Duration;

use scenario::run::Point;
use vmms_host::VmState;

use crate::factory::GuestHandle;

/// Longest time for all guests to report (an emulated machine may be busy).
pub(crate) const UNTIL_ALL_REPORT: Duration = Duration::from_secs(300);

/// The first guest that has failed, with its last words.
///
/// # Errors
/// That guest.
pub(crate) fn none_has_failed(point: &Point, handles: &[GuestHandle]) -> Result<(), String> {
    let Some(failed) = point.vms.iter().position(|vm| vm.state == VmState::Failed) else { return Ok(()) };
    let guest = &handles[failed];
    Err(format!(
        "VM{} has failed: {}; its console's last lines: {:?}",
        failed + 1,
        guest.ended().map_or_else(|| "it did not start".to_owned(), |end| end.to_string()),
        guest.voice().last_lines(6)
    ))
}

/// Whether all guests report.
///
/// # Errors
/// A guest that has had its time, with its last words.
pub(crate) fn all_report(point: &Point, handles: &[GuestHandle]) -> Result<bool, String> {
    if point.vms.iter().all(|vm| vm.demand.is_some()) {
        return Ok(true);
    }
    if point.time <= UNTIL_ALL_REPORT {
        return Ok(false);
    }
    let silent = handles.iter().position(|handle| !handle.voice().is_ready()).unwrap_or(0);
    let voice = handles[silent].voice();
    Err(format!(
        "VM{} has not reported within {} s; missing drivers: {:?}; its console's last lines: {:?}",
        silent + 1,
        UNTIL_ALL_REPORT.as_secs(),
        voice.missing(),
        voice.last_lines(6)
    ))
}
