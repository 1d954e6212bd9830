//! Two processors, a file as memory, VMBus 4.0; VM reset, and guests that die in the middle of an operation.

use std::time::Duration;

use anyhow::Result;
use kvm_partition::Backing;
use page_range::PageCount;
use vmbus::control::Version;
use vmms_host::VmmsCommand;

use super::balloon::boot_seen;
use super::{OPERATION, Record, Stage, VM, close, mib};
use crate::pieces::Pieces;
use crate::units::{bytes_mib, kb_mib};

pub(super) fn look(record: &mut Record, pieces: &Pieces) -> Result<()> {
    let stage = Stage::new(pieces, |config| {
        config.bus_version = Version::WIN10;
        config.guests[0].vps = 2;
        config.guests[0].backing = Backing::Memfd;
    })?;
    if !record.check(
        "a guest with two processors and a file as memory boots",
        stage.ready(0),
        boot_seen(&stage),
    ) {
        return Ok(());
    }
    let contact = stage.named(0, Duration::ZERO, "vmbus_contact");
    let version = contact.map_or_else(String::new, |event| event.word("version").to_owned());
    record.check("VMBus is negotiated down to 4.0", version == "4.0", version.clone());
    let cpus = stage.ask("cpus", "cpus").unwrap_or_default();
    record.check("both processors run", cpus == "cpus 2", cpus.clone());
    holes(record, &stage);
    vm_reset(record, &stage);
    death(record, &stage, "balloon", 192, "BALLOON_REQUEST");
    restart(record, &stage);
    death(record, &stage, "hot-add", 1024, "MEM_HOT_ADD_REQUEST");
    stage.host.end()?;
    Ok(())
}

fn holes(record: &mut Record, stage: &Stage) {
    stage.touch(330);
    let resident = stage.guest().resident();
    let finished = stage.bring_to(352);
    let done = PageCount(finished.and_then(|event| event.number("done")).unwrap_or(0));
    let fell = bytes_mib(resident.saturating_sub(stage.guest().resident()));
    record.check(
        "the file loses the blocks of what is ballooned, within 5 %",
        done == mib(160) && close(fell, done.mib(), 5.0),
        format!("{done} ballooned, the file lost {fell:.1} MB"),
    );
    let before = stage.view();
    let finished = stage.bring_to(768);
    let done = PageCount(finished.and_then(|event| event.number("done")).unwrap_or(0));
    let grown = kb_mib(stage.view().total_kb.saturating_sub(before.total_kb));
    record.check(
        "one grant returns what is ballooned, and hot-adds the rest",
        done == mib(416) && close(grown, 416.0, 3.0),
        format!("{done}; MemTotal grew by {grown:.0} MB"),
    );
}

fn vm_reset(record: &mut Record, stage: &Stage) {
    let from = stage.mark();
    stage.targets.set(VM, None);
    stage.host.command(VmmsCommand::Reset(VM));
    let ready = stage.named(from, OPERATION, "vm_reset").is_some() && stage.ready(from);
    stage.settle();
    let assigned = stage.assigned();
    record.check(
        "the VM is reset: it boots with startup RAM",
        ready && assigned == mib(512),
        assigned.to_string(),
    );
}

/// How often a death is tried: on a busy computer the guest may be done before the host has heard that it is to die.
const TRIES: usize = 5;

/// Switches the guest off the moment that the host has asked something of it.
fn death(record: &mut Record, stage: &Stage, what: &str, target: u64, message: &str) {
    for last in (0..TRIES).rev() {
        let from = stage.mark();
        stage.targets.set(VM, Some(mib(target)));
        let asked = stage
            .wait(from, OPERATION, |event| event.name() == "dm_send" && event.word("message") == message)
            .is_some();
        stage.host.command(VmmsCommand::TurnOff(VM));
        let stopped = stage.named(from, OPERATION, "vm_stopped").is_some();
        let finished = stage
            .host
            .events
            .find(from, |event| event.name() == "operation_finished" && event.word("outcome") == "Complete");
        stage.targets.set(VM, None);
        stage.settle();
        if asked && stopped && !finished.is_empty() && last > 0 && again(stage) {
            continue;
        }
        let system = stage.host.host.balancer.system();
        let home = system.assigned.is_zero() && system.in_transit.is_zero() && system.available == mib(4096);
        record.check(
            &format!("a VM that dies in the middle of a {what} loses nothing of the host"),
            asked && stopped && home && finished.is_empty(),
            format!(
                "asked {asked}, available {}, assigned {}, in transit {}, operations done {}",
                system.available,
                system.assigned,
                system.in_transit,
                finished.len()
            ),
        );
        break;
    }
    let resident = stage.guest().resident();
    record.check("and its memory is the host's again", resident == 0, format!("{resident} bytes resident"));
}

fn again(stage: &Stage) -> bool {
    let from = stage.mark();
    stage.host.command(VmmsCommand::Start(VM));
    stage.ready(from)
}

fn restart(record: &mut Record, stage: &Stage) {
    let ready = again(stage);
    record.check("a VM that died starts again", ready, boot_seen(stage));
}
