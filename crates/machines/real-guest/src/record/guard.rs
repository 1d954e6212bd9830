//! A guest that touches pages which it has given back: it is ended, and the other one goes on. From that one the channel of Dynamic
//! Memory is taken back while its driver uses it, and offered again.

use anyhow::Result;
use balancing_policy::VmId;
use page_range::GuestPage;
use shared_memory::PAGE_BYTES;
use vmms_host::VmmsCommand;

use super::{BOOT, OPERATION, Record, Stage, VM, mib};
use crate::events::Event;
use crate::factory::GuestHandle;
use crate::host::GuestConfig;
use crate::pieces::Pieces;

const OTHER: VmId = VmId(1);

pub(super) fn look(record: &mut Record, pieces: &Pieces) -> Result<()> {
    let stage = Stage::new(pieces, |config| {
        let mut other: GuestConfig = config.guests[0].clone();
        "VM2".clone_into(&mut other.name);
        config.guests.push(other);
    })?;
    let up = |vm: &str| {
        stage.wait(0, BOOT, |event| event.name() == "dm_ready" && event.vm() == Some(vm)).is_some()
            && stage.wait(0, BOOT, |event| event.name() == "login_screen" && event.vm() == Some(vm)).is_some()
    };
    if !record.check("two guests boot", up("VM1") && up("VM2"), "both report") {
        return Ok(());
    }
    let given = bring(&stage, VM, "VM1", 384);
    let other = bring(&stage, OTHER, "VM2", 384);
    let page = stage.guest().first_guarded();
    let (Some(given), Some(other), Some(page)) = (given, other, page) else {
        record.check("both balloon 128 MB", false, "no answer");
        return Ok(());
    };
    record.check("both balloon 128 MB", given == mib(128).get() && other == mib(128).get(), page.to_string());

    // What it has again, it may touch.
    bring(&stage, VM, "VM1", 512);
    let again = touch(stage.guest(), page);
    record.check(
        "a page that was returned can be touched again",
        again.as_deref() == Some("touched") && stage.guest().ended().is_none(),
        again.unwrap_or_else(|| "no answer".to_owned()),
    );
    bring(&stage, VM, "VM1", 384);
    let Some(page) = stage.guest().first_guarded() else {
        record.check("VM1 balloons once more", false, "no page is guarded");
        return Ok(());
    };
    let (from, resident) = (stage.mark(), stage.guest().resident());
    // Its answer does not come: the guest is gone when it reads the page.
    stage.guest().command(&touching(page));
    let failed =
        stage.wait(from, OPERATION, |event| event.name() == "vm_failed" && event.vm() == Some("VM1"));
    let why = failed.as_ref().map_or_else(String::new, |event| event.word("why").to_owned());
    stage.settle();
    let assigned = stage.assigned();
    record.check(
        "ballooned page touched: guest ended",
        why.contains("given back") && assigned.is_zero() && resident > 0 && stage.guest().resident() == 0,
        why,
    );
    let from = stage.mark();
    let reports = stage
        .wait(from, OPERATION, |event: &Event| event.name() == "status_report" && event.vm() == Some("VM2"));
    let back = bring(&stage, OTHER, "VM2", 512);
    record.check(
        "ballooned page touched: the other guest goes on",
        reports.is_some() && back == Some(mib(128).get()) && stage.host.guests[1].ended().is_none(),
        format!("VM2 reports, and took {} pages back", back.unwrap_or(0)),
    );
    taken_back(record, &stage);
    stage.host.end()?;
    Ok(())
}

/// The host takes the channel back from VM2, waits until its driver has let go, and offers it again.
fn taken_back(record: &mut Record, stage: &Stage) {
    let from = stage.mark();
    stage.host.command(VmmsCommand::RescindDynamicMemory(OTHER));
    let rescinded = stage.named(from, OPERATION, "vmbus_rescind").is_some();
    let gone = (0..TRIES).any(|_| {
        let look = "sh sleep 0.2; ls /sys/bus/vmbus/drivers/hv_balloon | grep -c -- -";
        stage.host.guests[1].ask_lines(look, ["", "sh."], usize::MAX, super::ANSWER) == ["0"]
    });
    record.check(
        "the channel is taken back: its driver lets go of it",
        rescinded && gone,
        if gone { "no device is left" } else { "the device stays" },
    );
    let offered = stage.mark();
    stage.host.command(VmmsCommand::OfferDynamicMemory(OTHER));
    let ready = stage
        .wait(offered, OPERATION, |event| event.name() == "dm_ready" && event.vm() == Some("VM2"))
        .is_some();
    let done = bring(stage, OTHER, "VM2", 384);
    let complaints = stage.host.events.find(from, |event| {
        event.vm() == Some("VM2") && matches!(event.name(), "vmbus_refused" | "protocol_error" | "event_log")
    });
    record.check(
        "offered again, the driver opens it, and the guest goes on",
        ready && done == Some(mib(128).get()) && complaints.is_empty(),
        format!("{} pages ballooned, {} complaints", done.unwrap_or(0), complaints.len()),
    );
}

/// How often the guest is asked whether its device is gone.
const TRIES: usize = 50;

/// Brings one of the guests to a target; the pages that the operation moved.
fn bring(stage: &Stage, vm: VmId, name: &str, target: u64) -> Option<u64> {
    let from = stage.mark();
    stage.targets.set(vm, Some(mib(target)));
    let finished =
        stage.wait(from, OPERATION, |event| event.name() == "operation_finished" && event.vm() == Some(name));
    stage.settle();
    finished?.number("done")
}

/// Where a kernel started with `nokaslr` maps all memory (documented, Documentation/arch/x86/x86_64/mm.rst, four-level page tables).
const DIRECT_MAP: u64 = 0xffff_8880_0000_0000;

/// Has the guest's kernel read a page by its address, as a driver with a stale pointer would: a probe on a function that every sleep
/// calls fetches the word there.
fn touching(page: GuestPage) -> String {
    let address = DIRECT_MAP + page.0 * PAGE_BYTES as u64;
    format!(
        "sh mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; cd /sys/kernel/tracing; echo > kprobe_events; \
         echo 'p:touch do_nanosleep word=@{address:#x}:u64' > kprobe_events && echo 1 > events/kprobes/touch/enable && \
         sleep 0.1; grep -q touch: trace && echo touched; echo 0 > events/kprobes/touch/enable; echo > kprobe_events; \
         echo > trace"
    )
}

fn touch(guest: &GuestHandle, page: GuestPage) -> Option<String> {
    guest.ask_lines(&touching(page), ["", "sh."], usize::MAX, super::ANSWER).pop()
}
