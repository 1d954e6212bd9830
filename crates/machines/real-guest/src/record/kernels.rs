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

/// What the drivers of a kernel agree to with this host.
#[derive(Debug, PartialEq, Eq)]
struct Agreed {
    /// The first version of Linux that this is so of, as far as was looked.
    since: (u64, u64),
    vmbus: &'static str,
    dynamic_memory: (u64, u64),
    heartbeat: &'static str,
    shutdown: &'static str,
    time_sync: &'static str,
}

/// Seen of Debian's kernels 6.1 and 6.12: nothing has changed between them.
const AGREED: [Agreed; 2] = [
    Agreed {
        since: (6, 1),
        vmbus: "5.3",
        dynamic_memory: (2, 0),
        heartbeat: "version 3.0 (frame 3.0)",
        shutdown: "version 3.2 (frame 3.0)",
        time_sync: "version 3.0 (frame 3.0)",
    },
    Agreed {
        since: (6, 12),
        vmbus: "5.3",
        dynamic_memory: (2, 0),
        heartbeat: "version 3.0 (frame 3.0)",
        shutdown: "version 3.2 (frame 3.0)",
        time_sync: "version 3.0 (frame 3.0)",
    },
];

/// The newest row that the kernel is not older than; the oldest, if it is older than all.
fn expected(version: (u64, u64)) -> &'static Agreed {
    AGREED.iter().rev().find(|row| row.since <= version).unwrap_or(&AGREED[0])
}

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
    let mut numbers = name.split(['.', '-', '+']).map_while(|word| word.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let expected = expected(version);
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
    let services =
        [Service::Heartbeat, Service::Shutdown, Service::TimeSync].map(|service| agreed(&stage, service));
    let [heartbeat, shutdown, time_sync] = services.each_ref().map(String::as_str);
    record.check(
        &format!("kernel {name}: versions are agreed on as such kernels do"),
        bus == expected.vmbus
            && dm == Some(expected.dynamic_memory)
            && [heartbeat, shutdown, time_sync] == [expected.heartbeat, expected.shutdown, expected.time_sync],
        format!(
            "VMBus {bus}, Dynamic Memory {}, heartbeat {heartbeat}, shutdown {shutdown}, time sync {time_sync}",
            dm.map_or_else(|| "none".to_owned(), |(major, minor)| format!("{major}.{minor}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_held_against_the_newest_that_it_is_not_older_than() {
        let since = |version| expected(version).since;
        assert_eq!(since((5, 10)), (6, 1));
        assert_eq!((since((6, 1)), since((6, 11))), ((6, 1), (6, 1)));
        assert_eq!((since((6, 12)), since((7, 0))), ((6, 12), (6, 12)));
    }
}
