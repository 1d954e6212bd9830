//! Guests with other kernels than the one that all else is looked at with: what their drivers agree to, and that memory moves.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use integration_protocol::Service;
use page_range::PageCount;

use super::balloon::boot_seen;
use super::services::agreed;
use super::{OPERATION, Record, Stage, mib};
use crate::pieces::{Pieces, kernels_beside};
use crate::units::kb_mib;

/// What the drivers of Debian's kernels 6.1 and 6.12 agree to with this host, seen of both. A kernel that agrees to something else is one to look at.
const VMBUS: &str = "5.3";
const DYNAMIC_MEMORY: (u64, u64) = (2, 0);
const SERVICES: [(Service, &str); 3] = [
    (Service::Heartbeat, "version 3.0 (frame 3.0)"),
    (Service::Shutdown, "version 3.2 (frame 3.0)"),
    (Service::TimeSync, "version 3.0 (frame 3.0)"),
];

/// `folder` has a folder for each kernel, as a package unpacks it.
pub(super) fn look(record: &mut Record, pieces: &Pieces, folder: &Path) -> Result<()> {
    for (kernel, modules) in kernels_beside(folder) {
        let name = kernel.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.trim_start_matches("vmlinuz-").to_owned();
        let pieces = Pieces { kernel, modules, ..pieces.clone() };
        with(record, &pieces, &name).with_context(|| format!("kernel {name}"))?;
    }
    Ok(())
}

fn with(record: &mut Record, pieces: &Pieces, name: &str) -> Result<()> {
    let stage = Stage::new(pieces, |config| config.guests[0].vps = 2)?;
    let boots = format!("kernel {name}: a guest with two processors boots");
    if !record.check(&boots, stage.ready(0), boot_seen(&stage)) {
        return Ok(());
    }
    let cpus = stage.ask("cpus", "cpus").unwrap_or_default();
    record.check(&format!("kernel {name}: both processors run"), cpus == "cpus 2", cpus.clone());
    let contact = stage.named(0, Duration::ZERO, "vmbus_contact");
    let bus = contact.map_or_else(String::new, |event| event.word("version").to_owned());
    let dm = stage.named(0, Duration::ZERO, "dm_version");
    let dm = dm.and_then(|event| Some((event.number("major")?, event.number("minor")?)));
    let services = SERVICES.map(|(service, expected)| (service, expected, agreed(&stage, service)));
    let as_expected = services.iter().all(|(_, expected, agreed)| agreed == expected);
    let told = services.each_ref().map(|(service, _, agreed)| format!("{service} {agreed}"));
    record.check(
        &format!("kernel {name}: versions are agreed on as such kernels do"),
        bus == VMBUS && dm == Some(DYNAMIC_MEMORY) && as_expected,
        format!(
            "VMBus {bus}, Dynamic Memory {}, {}",
            dm.map_or_else(|| "none".to_owned(), |(major, minor)| format!("{major}.{minor}")),
            told.join(", ")
        ),
    );
    let finished = stage.bring_to(352);
    let done = PageCount(finished.and_then(|event| event.number("done")).unwrap_or(0));
    record.check(&format!("kernel {name}: 160 MB are ballooned"), done == mib(160), done.to_string());
    let before = stage.view();
    let finished = stage.bring_to(768);
    let done = PageCount(finished.and_then(|event| event.number("done")).unwrap_or(0));
    let grown = kb_mib(stage.view().total_kb.saturating_sub(before.total_kb));
    record.check(
        &format!("kernel {name}: one grant returns what is ballooned, and hot-adds the rest"),
        done == mib(416) && super::close(grown, 416.0, 3.0),
        format!("{done}; MemTotal grew by {grown:.0} MB"),
    );
    let from = stage.mark();
    stage.guest().command("poweroff");
    let off = stage.named(from, OPERATION, "vm_stopped").is_some_and(|event| !event.is("failed"));
    record.check(&format!("kernel {name}: the guest switches itself off"), off, boot_seen(&stage));
    stage.host.end()?;
    Ok(())
}
