//! How fast memory moves between a host and an unmodified guest, and what the host pays for it: as measured from events.
//!
//! Times are from the balancer's decision (the event `decision` of the round) to the end of the operation that follows from it
//! (`operation_finished`): the guest's driver has answered, and the balancer has the frames or the guest has the memory. Linux
//! answers a hot-add when the memory is online.

mod kvm_statistics;
mod qemu_guest;
mod series;
mod storage;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use page_range::PageCount;
use serde::Serialize;

use crate::pieces::Pieces;
pub use series::Series;
pub use storage::{Cost, Row, StorageSpeed};

use crate::record::{OPERATION, Stage, boot_seen, own_resident};
use crate::units::bytes_mib;

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Speed {
    /// The kernel image's name.
    pub kernel: String,
    /// Seconds from power-on until Dynamic Memory is ready.
    pub ready_s: f64,
    /// Decision to memory free on the host (balloon), seconds per GiB.
    pub free_on_host: Series,
    /// Decision to memory usable in the guest, returned (unballoon), seconds per GiB.
    pub unballoon: Series,
    /// Decision to memory usable in the guest, added (hot-add), seconds per GiB.
    pub hot_add: Series,
    /// The most resident memory of the host's process beyond guest RAM, MiB.
    pub overhead_mib: f64,
    /// Reports that were looked at.
    pub reports: u64,
    /// Exits to the host for VMBus in that time: hypercalls and SynIC registers.
    pub vmbus_exits: u64,
    /// Signals of the guest that came without an exit in that time.
    pub signals: u64,
    /// Storage, where it was asked for.
    pub storage: Option<StorageSpeed>,
}

/// The host's process may take this much beyond guest RAM, MiB.
pub const MOST_OVERHEAD_MIB: f64 = 20.0;
/// Reports that are looked at.
const REPORTS: u64 = 10;
/// What is ballooned each time: from startup RAM down to this, MiB.
const SMALL: u64 = 352;
const STARTUP: u64 = 512;
/// Hot-add in steps of this, MiB, up to the maximum of [`Stage`]'s guest.
const STEP: u64 = 256;
const MAXIMUM: u64 = 1280;

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{}: seconds per GiB, from the balancer's decision (median, smallest, largest)",
            self.kernel
        )?;
        for (what, series) in [
            ("to memory free on the host (balloon)", &self.free_on_host),
            ("to memory usable in the guest (unballoon)", &self.unballoon),
            ("to memory usable in the guest (hot-add)", &self.hot_add),
        ] {
            let (median, low, high) = series.spread();
            writeln!(f, "  {what:<44} {median:>7.3}   ({low:.3} to {high:.3})")?;
        }
        writeln!(f, "  from power-on to Dynamic Memory: {:.1} s", self.ready_s)?;
        let verdict = if self.overhead_mib < MOST_OVERHEAD_MIB { "below" } else { "NOT below" };
        writeln!(
            f,
            "  resident memory of the host's process beyond guest RAM: {:.1} MB ({verdict} {MOST_OVERHEAD_MIB:.0})",
            self.overhead_mib
        )?;
        let reports = self.reports.max(1) as f64;
        writeln!(
            f,
            "  for each status report: {:.2} signals without an exit, {:.2} exits for VMBus",
            self.signals as f64 / reports,
            self.vmbus_exits as f64 / reports
        )?;
        self.storage.iter().try_for_each(|storage| write!(f, "{storage}"))
    }
}

/// Measures. With a folder of [`storage_pieces`](crate::storage_pieces) storage is measured as well; its disk is made in `scratch`.
///
/// # Errors
/// If a guest does not boot, an operation does not come to its end, or a request of a disk fails.
pub fn measure(pieces: &Pieces, repeat: usize, storage: Option<&Path>, scratch: &Path) -> Result<Speed> {
    let mut speed = memory(pieces, repeat)?;
    speed.storage = storage.map(|folder| storage::measure(pieces, repeat, folder, scratch)).transpose()?;
    Ok(speed)
}

fn memory(pieces: &Pieces, repeat: usize) -> Result<Speed> {
    let kernel = pieces.kernel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut speed = Speed { kernel, ..Speed::default() };
    let stage = Stage::new(pieces, |_| {})?;
    if !stage.ready(0) {
        bail!("the guest did not get ready: {}", boot_seen(&stage));
    }
    let ready = stage.named(0, Duration::ZERO, "dm_ready").context("no dm_ready")?;
    speed.ready_s = ready.time().as_secs_f64();
    reports(&stage, &mut speed)?;
    for round in 0..repeat {
        // Memory that the guest never used is not the host's to get back.
        stage.touch(330);
        speed.free_on_host.0.push(operation(&stage, SMALL, STARTUP - SMALL)?);
        speed.unballoon.0.push(operation(&stage, STARTUP, STARTUP - SMALL)?);
        look_at_memory(&stage, &mut speed);
        for target in (STARTUP + STEP..=MAXIMUM).step_by(STEP as usize) {
            speed.hot_add.0.push(operation(&stage, target, STEP)?);
        }
        look_at_memory(&stage, &mut speed);
        if round + 1 < repeat {
            // Only a guest that starts anew is without what was hot-added.
            let from = stage.mark();
            stage.targets.set(super::record::VM, None);
            stage.host.command(vmms_host::VmmsCommand::Reset(super::record::VM));
            if !stage.ready(from) {
                bail!("the guest did not get ready after a reset: {}", boot_seen(&stage));
            }
            stage.settle();
        }
    }
    stage.host.end()?;
    Ok(speed)
}

/// Brings the guest to `target` MiB, which is one operation of `pages` MiB; seconds per GiB.
fn operation(stage: &Stage, target: u64, mib: u64) -> Result<f64> {
    let from = stage.mark();
    let finished =
        stage.bring_to(target).with_context(|| format!("nothing came of the target {target} MB"))?;
    let done = PageCount(finished.number("done").unwrap_or(0));
    if done != PageCount::from_mib(mib) {
        bail!("{done} of {mib} MB were moved for the target {target} MB: {}", finished.word("outcome"));
    }
    let decided = stage.named(from, Duration::ZERO, "decision").context("no decision was recorded")?;
    Ok(finished.time().saturating_sub(decided.time()).as_secs_f64() * 1024.0 / mib as f64)
}

fn look_at_memory(stage: &Stage, speed: &mut Speed) {
    let beyond = own_resident().saturating_sub(stage.guest().resident());
    speed.overhead_mib = speed.overhead_mib.max(bytes_mib(beyond));
}

fn reports(stage: &Stage, speed: &mut Speed) -> Result<()> {
    let bus = |exits: kvm_partition::ExitCounts| exits.post_message + exits.signal_event + exits.synic;
    let (exits, signals) = (bus(stage.guest().exits()), stage.guest().signals_without_exit());
    let mut at = stage.mark();
    for _ in 0..REPORTS {
        let next = stage.host.events.wait_for(at, OPERATION, |event| event.name() == "status_report");
        at = next.context("the guest has stopped reporting")?.1;
    }
    speed.reports = REPORTS;
    speed.vmbus_exits = bus(stage.guest().exits()) - exits;
    speed.signals = stage.guest().signals_without_exit() - signals;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_said_with_its_spread() {
        let speed = Speed {
            kernel: "vmlinuz-6.1".to_owned(),
            free_on_host: Series(vec![0.5, 0.25, 4.0]),
            overhead_mib: 21.0,
            reports: 10,
            signals: 10,
            ..Speed::default()
        };
        let text = speed.to_string();
        assert!(text.contains("0.500   (0.250 to 4.000)"), "{text}");
        assert!(text.contains("21.0 MB (NOT below 20)"), "{text}");
        assert!(text.contains("1.00 signals without an exit, 0.00 exits for VMBus"), "{text}");
        assert!(text.contains("NaN"), "what was not measured is not 0: {text}");
    }
}
