//! Guests that do not do what they should: each gets a clear message and a clean end, and harms no other guest.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use kvm_partition::{KernelImage, MachineEvent};

use super::balloon::boot_seen;
use super::{OPERATION, Record, Stage, VM, mib, stage_config};
use crate::host::RealHost;
use crate::initramfs;
use crate::pieces::Pieces;

pub(super) fn look(record: &mut Record, pieces: &Pieces) -> Result<()> {
    without_driver(record, pieces)?;
    flood_and_panic(record, pieces)?;
    hang(record, pieces)
}

fn without_driver(record: &mut Record, pieces: &Pieces) -> Result<()> {
    let (config, targets) = stage_config(|_| {});
    let kernel = Arc::new(KernelImage::open(&pieces.kernel)?);
    let initramfs: Arc<[u8]> = initramfs::guest_without(pieces, "hv_balloon")?.into();
    let stage = Stage { host: RealHost::start_with(&kernel, &initramfs, config)?, targets };
    let up = stage.named(0, super::BOOT, "login_screen").is_some();
    let missing = stage.guest().voice().missing();
    record.check(
        "a guest without hv_balloon is named, and runs",
        up && missing.as_deref() == Some("hv_balloon")
            && stage.named(0, Duration::ZERO, "dm_ready").is_none(),
        format!("missing: {}", missing.unwrap_or_default()),
    );
    stage.host.end()?;
    Ok(())
}

fn flood_and_panic(record: &mut Record, pieces: &Pieces) -> Result<()> {
    let stage = Stage::new(pieces, |_| {})?;
    if !record.check("another guest boots", stage.ready(0), boot_seen(&stage)) {
        return Ok(());
    }
    let _begun = stage.ask("flood", "flooding");
    let (bytes, from) = (stage.guest().voice().console_bytes(), stage.mark());
    let reports = stage.named(from, OPERATION, "status_report").is_some();
    let finished = stage.bring_to(448);
    let printed = stage.guest().voice().console_bytes() - bytes;
    let kept: usize = stage.guest().voice().last_lines(usize::MAX).iter().map(String::len).sum();
    record.check(
        "a guest that floods its console is still served, and fills no memory",
        reports
            && finished.is_some_and(|event| event.number("done") == Some(mib(64).get()))
            && kept < 1 << 20,
        format!("{printed} bytes printed meanwhile, {kept} kept"),
    );
    let from = stage.mark();
    stage.guest().command("panic");
    let failed = stage.named(from, OPERATION, "vm_failed");
    let why = failed.map_or_else(String::new, |event| event.word("why").to_owned());
    let (crashed, ended) = match stage.guest().ended() {
        Some(MachineEvent::Crashed { parameters }) => (true, format!("its crash registers: {parameters:x?}")),
        Some(otherwise) => (false, otherwise.to_string()),
        None => (false, "it has not ended".to_owned()),
    };
    stage.settle();
    let assigned = stage.assigned();
    record.check(
        "a guest that panics is reported through Hyper-V's crash registers, and ended",
        crashed && !why.is_empty() && assigned.is_zero(),
        format!("{why}; {ended}"),
    );
    stage.host.end()?;
    Ok(())
}

fn hang(record: &mut Record, pieces: &Pieces) -> Result<()> {
    let stage = Stage::new(pieces, |config| config.timeouts.balloon_base = Duration::from_secs(3))?;
    if !record.check("a third guest boots", stage.ready(0), boot_seen(&stage)) {
        return Ok(());
    }
    // From the host's side a guest whose processors stand still and one that spins with interrupts off are the same.
    stage.guest().pause(true);
    let from = stage.mark();
    stage.targets.set(VM, Some(mib(448)));
    let unresponsive = stage.named(from, OPERATION, "guest_unresponsive");
    let asked = stage.host.events.find(from, |event| event.word("message") == "BALLOON_REQUEST").len();
    record.check(
        "a guest that hangs is named unresponsive, and nothing more is asked of it",
        unresponsive.is_some() && asked == 1,
        format!(
            "asked {asked} time, then waiting for {}",
            unresponsive.map_or_else(String::new, |event| event.word("waiting_for").to_owned())
        ),
    );
    stage.guest().pause(false);
    let responsive = stage.named(from, OPERATION, "guest_responsive").is_some();
    stage.settle();
    let assigned = stage.assigned();
    record.check(
        "its late answer is taken when it comes",
        responsive && assigned == mib(448),
        assigned.to_string(),
    );
    stage.guest().pause(true);
    let end = stage.host.end()?;
    record.check("a guest that hangs ends when told to", end.panics.is_empty(), end.reason.to_string());
    Ok(())
}
