//! Negotiation, reports, balloon, unballoon, hot-add: with the newest VMBus and memory of this process.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use page_range::PageCount;

use super::{OPERATION, Record, Stage, close, messages, mib, own_resident};
use crate::pieces::Pieces;
use crate::units::{bytes_mib, kb_mib};

/// How many reports in a row are looked at.
const REPORTS: usize = 5;
/// The driver waits for a second, and reports when it wakes after it: 1 to 2 s (documented).
const ONCE_A_SECOND: std::ops::Range<f64> = 0.9..2.1;

pub(super) fn look(record: &mut Record, pieces: &Pieces, directory: &Path) -> Result<()> {
    let journal = messages::Journal::begin()?;
    let stage = Stage::new(pieces, |config| config.directory = Some(journal.folder().to_owned()))?;
    if !record.check("the guest boots, its drivers load", stage.ready(0), boot_seen(&stage)) {
        return Ok(());
    }
    let kernel = first_with(&stage.ask_lines("dmesg Linux.version", "d", "d."), "Linux version");
    negotiation(record, &stage);
    reports(record, &stage);
    floor(record, &stage);
    balloon_and_back(record, &stage);
    hot_add(record, &stage);
    driver_leaves_and_returns(record, &stage);
    reboot(record, &stage);
    let over = own_resident().saturating_sub(stage.guest().resident());
    record.figure("VMM memory beyond guest RAM, MiB", bytes_mib(over));
    record.check(
        "the VMM takes less than 20 MiB beyond guest RAM",
        bytes_mib(over) < 20.0,
        mb(bytes_mib(over)),
    );
    stage.host.end()?;
    journal.write_messages(&kernel, directory)
}

pub(crate) fn boot_seen(stage: &Stage) -> String {
    let voice = stage.guest().voice();
    if voice.is_ready() {
        return "init listens".to_owned();
    }
    let failed = stage.host.events.find(0, |event| event.name() == "vm_failed");
    let why = failed.first().map_or("", |event| event.word("why"));
    let ended = stage.guest().ended().map_or_else(|| "it has not ended".to_owned(), |end| end.to_string());
    format!("{why} {ended}; the console's last lines: {:?}", voice.last_lines(8))
}

pub(super) fn mb(mib: f64) -> String {
    format!("{mib:.1} MB")
}

fn negotiation(record: &mut Record, stage: &Stage) {
    let find = |name: &str| stage.host.events.find(0, |event| event.name() == name);
    let contact = find("vmbus_contact");
    let version = contact.first().map_or("", |event| event.word("version")).to_owned();
    record.check("VMBus is negotiated: 5.3", version == "5.3", version.clone());
    let dm = find("dm_version");
    let dm = dm.first().map(|event| (event.number("major"), event.number("minor"), event.is("accepted")));
    let seen = match dm {
        Some((Some(major), Some(minor), accepted)) => format!("{major}.{minor}, accepted: {accepted}"),
        _ => "nothing was negotiated".to_owned(),
    };
    record.check("Dynamic Memory 2.0 is agreed to", dm == Some((Some(2), Some(0), true)), seen);
    let capabilities = find("dm_capabilities");
    let granule = capabilities.first().and_then(|event| event.number("granule_mb"));
    let seen = granule.map_or_else(|| "none".to_owned(), |granule| format!("{granule} MB"));
    record.check("the guest names its granule", granule == Some(128), seen);
    if let Some(ready) = find("dm_ready").first() {
        record.figure("seconds from power-on to Dynamic Memory", ready.time().as_secs_f64());
    }
    let lines = stage.ask_lines("dmesg Hypervisor.detected|Vmbus.version|hv_balloon", "d", "d.");
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    record.check(
        "the kernel takes us for Hyper-V",
        has("Microsoft Hyper-V"),
        first_with(&lines, "Hypervisor"),
    );
    record.check(
        "INFO is shown in the guest",
        has("Max. dynamic memory size: 1280 MB"),
        first_with(&lines, "Max. dynamic"),
    );
}

fn first_with(lines: &[String], text: &str) -> String {
    lines.iter().find(|line| line.contains(text)).cloned().unwrap_or_else(|| "nothing".to_owned())
}

fn reports(record: &mut Record, stage: &Stage) {
    let (from, exits, signals) = (stage.mark(), stage.guest().exits(), stage.guest().signals_without_exit());
    let mut at = from;
    let mut times: Vec<f64> = Vec::new();
    let mut mean = f64::NAN;
    let mut newest = None;
    // On a computer that is busy with other things a guest wakes late at times: the newest reports in a row are looked at.
    while times.len() < 8 * REPORTS {
        let found = stage.host.events.wait_for(at, OPERATION, |event| event.name() == "status_report");
        let Some((event, next)) = found else { break };
        times.push(event.time().as_secs_f64());
        newest = Some(event);
        at = next;
        if let Some(first) = times.len().checked_sub(REPORTS) {
            mean = (times[times.len() - 1] - times[first]) / (REPORTS - 1) as f64;
            if ONCE_A_SECOND.contains(&mean) {
                break;
            }
        }
    }
    let seen = format!("{} reports, the last {REPORTS} of them {mean:.2} s apart", times.len());
    record.check("reports come once a second", ONCE_A_SECOND.contains(&mean), seen);
    fields(record, newest.as_ref());
    let (exits_now, signals_now) = (stage.guest().exits(), stage.guest().signals_without_exit());
    let bus = |exits: kvm_partition::ExitCounts| exits.post_message + exits.signal_event + exits.synic;
    let out = bus(exits_now) - bus(exits);
    let seen = format!("{} signals, {out} VMBus exits in {} reports", signals_now - signals, times.len());
    record.check("a report costs one signal in, and no VMBus exit", out == 0 && signals_now > signals, seen);
    record.figure("VMBus exits per status report", out as f64 / times.len().max(1) as f64);
}

/// A report's fields: those that the driver fills, and no others. The simulated guest's Linux profile is held against the messages
/// that such a record left (`whole-stack-tests::the_simulated_driver_says_what_the_recorded_one_said`).
fn fields(record: &mut Record, report: Option<&crate::events::Event>) {
    const FILLED: [&str; 2] = ["available", "committed"];
    const EMPTY: [&str; 4] = ["page_file_size", "zero_free", "page_file_writes", "io_diff"];
    let value = |field: &str| report.and_then(|report| report.number(field));
    let seen: Vec<String> = FILLED
        .iter()
        .chain(&EMPTY)
        .map(|field| format!("{field}={:?}", value(field).unwrap_or(u64::MAX)))
        .collect();
    let as_driven = FILLED.iter().all(|field| value(field).is_some_and(|pages| pages > 0))
        && EMPTY.iter().all(|field| value(field) == Some(0));
    record.check("a report has available and committed pages, and nothing else", as_driven, seen.join(" "));
}

fn number(event: Option<&crate::events::Event>, field: &str) -> PageCount {
    PageCount(event.and_then(|event| event.number(field)).unwrap_or(0))
}

/// Down to the driver's floor: it gives less than asked, and the host understands.
fn floor(record: &mut Record, stage: &Stage) {
    // So that all of the guest's memory is the host's, too: what was never used cannot be given back.
    stage.touch(330);
    let (before, resident) = (stage.view(), stage.guest().resident());
    let from = stage.mark();
    let finished = stage.bring_to(64);
    let finished = finished.as_ref();
    let (requested, done) = (number(finished, "requested"), number(finished, "done"));
    let outcome = finished.map_or("", |event| event.word("outcome")).to_owned();
    record.check(
        "asked for more than it can give, the driver gives what it can",
        outcome == "GuestAtMinimum" && !done.is_zero() && done < requested,
        format!("{done} of {requested}: {outcome}"),
    );
    let assigned = stage.assigned();
    record.check(
        "the balancer has the rest in its books",
        assigned == mib(512).saturating_sub(done),
        assigned.to_string(),
    );
    let after = stage.view();
    let lost = kb_mib(before.total_kb.saturating_sub(after.total_kb));
    let seen = format!("MemTotal {} kB, before {} kB: {lost:.1} MB less", after.total_kb, before.total_kb);
    record.check("the guest's MemTotal falls by exactly that", (lost - done.mib()).abs() < 0.05, seen);
    let fell = bytes_mib(resident.saturating_sub(stage.guest().resident()));
    let seen = format!("{fell:.1} MB, ballooned {:.1} MB", done.mib());
    record.check(
        "resident memory of the host falls by what was ballooned, within 5 %",
        close(fell, done.mib(), 5.0),
        seen,
    );
    if let (Some(request), Some(finished)) = (stage.named(from, Duration::ZERO, "remove_memory"), finished) {
        let took = finished.time().saturating_sub(request.time()).as_secs_f64();
        record.figure(
            "seconds per GiB from decision to memory free on the host",
            took * 1024.0 / done.mib().max(1.0),
        );
    }
    let lines = stage.ask_lines("dmesg Balloon.request", "d", "d.");
    record.check(
        "the driver says so, too",
        lines.iter().any(|line| line.contains("partially fulfilled")),
        first_with(&lines, "Balloon"),
    );
    back(record, stage, done);
}

/// All that was ballooned returns, exactly, and nothing else.
fn back(record: &mut Record, stage: &Stage, ballooned: PageCount) {
    let from = stage.mark();
    let finished = stage.bring_to(512);
    let done = number(finished.as_ref(), "done");
    let mapped = stage.host.events.find(from, |event| event.name() == "pages_mapped");
    let unballooned: u64 = mapped
        .iter()
        .filter(|event| event.word("kind") == "unballoon" && event.is("ok"))
        .filter_map(|event| event.number("pages"))
        .sum();
    let hot_added = mapped.iter().filter(|event| event.word("kind") == "hot_add").count();
    record.check(
        "unballoon returns exactly the pages given, and hot-adds nothing",
        done == ballooned && PageCount(unballooned) == ballooned && hot_added == 0,
        format!("{done} returned of {ballooned}, {hot_added} hot-adds"),
    );
    if let (Some(add), Some(finished)) = (stage.named(from, Duration::ZERO, "add_memory"), finished) {
        let took = finished.time().saturating_sub(add.time()).as_secs_f64();
        record.figure(
            "seconds per GiB from decision to memory usable, unballoon",
            took * 1024.0 / done.mib().max(1.0),
        );
    }
}

fn balloon_and_back(record: &mut Record, stage: &Stage) {
    // After a refusal the balancer asks for nothing for a while; a wish for more is heard at once, a wish for less is not.
    let start = stage.view();
    let from = stage.mark();
    stage.targets.set(super::VM, Some(mib(352)));
    let finished = stage.wait(from, OPERATION, |event| {
        event.name() == "operation_finished" && event.word("kind") == "shrink"
    });
    stage.settle();
    let done = number(finished.as_ref(), "done");
    let seen = format!("{done}, assigned {}", stage.assigned());
    record.check("160 MB are ballooned", done == mib(160) && stage.assigned() == mib(352), seen);
    let small = stage.view();
    back(record, stage, done);
    let again = stage.view();
    let seen = format!("MemTotal {} → {} → {} kB", start.total_kb, small.total_kb, again.total_kb);
    record.check("the guest has all of it again", again.total_kb == start.total_kb, seen);
}

fn hot_add(record: &mut Record, stage: &Stage) {
    for (target, more) in [(768, 256), (1280, 512)] {
        let (before, from) = (stage.view(), stage.mark());
        let finished = stage.bring_to(target);
        let done = number(finished.as_ref(), "done");
        let after = stage.view();
        // A little of each block is the kernel's own book-keeping.
        let grown = kb_mib(after.total_kb.saturating_sub(before.total_kb));
        let seen = format!("{done}; MemTotal grew by {grown:.0} MB to {} kB", after.total_kb);
        record.check(
            &format!("hot-add to {target} MB is online in the guest"),
            done == mib(more) && close(grown, more as f64, 3.0),
            seen,
        );
        if let (Some(add), Some(finished)) = (stage.named(from, Duration::ZERO, "add_memory"), finished) {
            let took = finished.time().saturating_sub(add.time()).as_secs_f64();
            record.figure(
                "seconds per GiB from decision to memory usable, hot-add",
                took * 1024.0 / done.mib().max(1.0),
            );
        }
    }
    let debug = stage.ask_lines("debug", "b", "b.");
    let value = |name: &str| -> Option<u64> {
        let line = debug.iter().find(|line| line.trim_start().starts_with(name))?;
        line.rsplit(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty())?.parse().ok()
    };
    let (added, online) = (value("pages_added"), value("pages_onlined"));
    let said = |count: Option<u64>| count.map_or_else(|| "(not said)".to_owned(), |count| count.to_string());
    let wanted = Some(mib(768).get());
    record.check(
        "the driver counts the same",
        (added, online) == (wanted, wanted),
        format!("pages_added {}, pages_onlined {}; {}", said(added), said(online), debug.join(" | ")),
    );
    stage.touch(900);
    let resident = stage.guest().resident();
    let finished = stage.bring_to(640);
    let done = number(finished.as_ref(), "done");
    let fell = bytes_mib(resident.saturating_sub(stage.guest().resident()));
    record.check(
        "hot-added memory is ballooned as any other, and leaves the host",
        done == mib(640) && close(fell, done.mib(), 5.0),
        format!("{done} ballooned, resident memory fell by {fell:.1} MB"),
    );
}

fn driver_leaves_and_returns(record: &mut Record, stage: &Stage) {
    let from = stage.mark();
    let refused = stage.ask("rmmod", "rmmod");
    record.check(
        "rmmod is refused by the kernel",
        refused.as_deref() == Some("rmmod refused"),
        refused.clone().unwrap_or_default(),
    );
    let unbound = stage.ask("unbind", "unbound");
    let closed = stage.named(from, OPERATION, "vmbus_close").is_some();
    record.check("the channel is closed when the driver is unbound", closed, unbound.unwrap_or_default());
    let bound = stage.ask("bind", "bound");
    let again = stage.named(from, OPERATION, "dm_ready").is_some();
    record.check("and opened again when it is bound", again, bound.unwrap_or_default());
    let reports = stage.named(stage.mark(), OPERATION, "status_report").is_some();
    record.check("and reports come again", reports, if reports { "they do" } else { "none" });
    flood_the_bus(record, stage);
}

/// The driver is unbound and bound as fast as the guest can: each time it closes its channel, tears its ring's GPADL down, makes
/// another, opens the channel and negotiates.
fn flood_the_bus(record: &mut Record, stage: &Stage) {
    const TIMES: u64 = 25;
    /// GPADL, open, close, teardown.
    const MESSAGES_EACH: u64 = 4;
    let from = stage.mark();
    let exits = stage.guest().exits().post_message;
    let flooded = stage.ask(&format!("rebind {TIMES}"), "rebound");
    let messages = stage.guest().exits().post_message - exits;
    let reports = stage.named(stage.mark(), OPERATION, "status_report").is_some();
    let refused = stage
        .host
        .events
        .find(from, |event| matches!(event.name(), "vmbus_refused" | "protocol_error"))
        .len();
    let done = number(stage.bring_to(600).as_ref(), "done");
    record.check(
        "a guest that floods the bus is served to its last message",
        flooded == Some(format!("rebound {TIMES}"))
            && messages >= TIMES * MESSAGES_EACH
            && refused == 0
            && reports
            && !done.is_zero(),
        format!(
            "{}, {messages} messages, {refused} refused; then {done} ballooned",
            flooded.as_deref().unwrap_or("no answer")
        ),
    );
}

fn reboot(record: &mut Record, stage: &Stage) {
    let from = stage.mark();
    stage.targets.set(super::VM, None);
    stage.guest().command("reboot");
    let reset = stage.named(from, OPERATION, "vm_reset").is_some();
    let ready = stage.ready(from);
    stage.settle();
    let (assigned, boots) = (stage.assigned(), stage.guest().voice().boots());
    record.check(
        "the guest reboots: ownership starts anew with startup RAM",
        reset && ready && assigned == mib(512) && boots == 2,
        format!("assigned {assigned}, boots {boots}"),
    );
    let from = stage.mark();
    let finished = stage.bring_to(384);
    let done = number(finished.as_ref(), "done");
    let refusals = stage.host.events.find(from, |event| event.name() == "unmap_refused").len();
    record.check("and it balloons as a new guest", done == mib(128) && refusals == 0, done.to_string());
}
