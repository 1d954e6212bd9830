//! The page of the recorded events: found in the sources where they are recorded, and explained here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::cell;
use crate::commands::tools::workspace_root;
use crate::output::note;

/// What each event means.
const MEANINGS: &[(&str, &str)] = &[
    (
        "absurd_status",
        "A guest claims to have committed more than it can have. The balancer does not believe it.",
    ),
    (
        "add_memory",
        "The balancer takes frames from its pool for a VM, to bring it to `target`; pages. They are in transit from now on. How the guest gets them, the VM's worker decides (`operation_finished`).",
    ),
    ("add_memory_failed", "The partition cannot give the guest memory that was mapped for it."),
    ("application_finished", "An application has all the memory that it wanted: `commit` pages."),
    ("application_started", "An application begins to allocate."),
    ("bad_workload", "A workload cannot be drawn for this VM."),
    (
        "balancer_fault",
        "Something came to the balancer that does not fit: an unknown VM, an answer that nobody waits for.",
    ),
    ("balloon_change", "What a VM of QEMU's has, by QEMU's word, has changed: `actual`, pages."),
    ("balloon_refused", "QEMU refuses to bring a VM to what the balancer wants: why."),
    (
        "balloon_status",
        "The guest's status report is written to the ring, as Linux' trace event of this name has it: what the report says (`available`, `committed`), and what the driver knows (`vm_memory_committed` without the balloon, `pages_ballooned`, `pages_added`, `pages_onlined`); pages.",
    ),
    (
        "balloon_target",
        "QEMU is asked that a VM have so many `pages`: to give some back, to take some, or to stay where it is when an operation is given up.",
    ),
    ("ballooned", "The guest gave pages to the balloon: `given` of the `requested`."),
    ("boot_failed", "A guest has less memory than it needs to boot."),
    (
        "channel_counters",
        "What was counted of a channel while it was open, as the host saw it: recorded when the channel is closed, or the VM ends with it open. `suppressed_…` are packets that needed no signal of their own; `…_high_water` is the most that was in a ring, in bytes.",
    ),
    ("commit_failed", "The guest refuses an allocation: its commit limit is reached."),
    ("component_exited", "A component has ended."),
    (
        "component_panicked",
        "A component panicked. It takes down its VM and nobody else; what it owned comes home.",
    ),
    ("configure_failed", "The balancer refuses a VM's settings."),
    ("console_off", "Somebody wanted to work in a guest that does not run."),
    (
        "decision",
        "What the policy wants for a VM, and why: `rule` and its `inputs`. Recorded when the rule or the target has changed. `assigned` is what the VM has, `proposed` what the policy said, `target` what the balancer made of it; pages.",
    ),
    ("discard_failed", "The partition cannot give back memory that the guest gave."),
    ("disk_error", "The guest's storage driver was told that a disk could not do what it was asked."),
    ("disk_not_made", "A virtual hard disk of the scenario cannot be made."),
    ("dm_capabilities", "The host's answer to the guest's capabilities."),
    ("dm_ended", "The guest's driver gives up."),
    ("dm_maximum", "The guest was told the most memory it can have."),
    ("dm_message_ignored", "A message that does not belong here was left alone."),
    ("dm_ready", "The quiet period after the handshake is over: the VM takes part in balancing."),
    (
        "dm_refused",
        "The guest's last proposal of a version was refused, and why: the VM keeps its startup RAM. For a newer Linux driver the \
         host has to speak 2.0.",
    ),
    ("dm_running", "The guest's driver has finished the handshake."),
    (
        "dm_send",
        "A Dynamic Memory message is written to the ring: by `dm-vsp` to the guest, by `dm-vsc` to the host (its status reports are `balloon_status`).",
    ),
    ("dm_version", "The host's answer to the version that the guest asked for."),
    ("dm_version_accepted", "The guest has learnt that its version is accepted."),
    ("event_log", "An entry of Hyper-V's event log, with its id and wording."),
    (
        "events_left_out",
        "A guest does more than is recorded of it; `count` of what it did (packets, messages, power events) left no events and are not in the journal.",
    ),
    ("exit_notice_panicked", "Code that was to be told of a component's end panicked."),
    ("garbage_sent", "A fault was injected: the guest sent random bytes."),
    ("grant", "The worker has received frames for its VM."),
    ("guest_crashed", "The guest's kernel has crashed."),
    (
        "guest_insight",
        "What an agent in the guest says of its memory, as the host has read it: stalls, active pages, a miss curve.",
    ),
    (
        "guest_reset",
        "The guest of a VM of QEMU's was reset. Until it reports again it is charged with all that it can have.",
    ),
    ("guest_responsive", "A guest that was silent answers again."),
    ("guest_unresponsive", "A guest did not answer in time. Nothing more is asked of it until it does."),
    (
        "heartbeat",
        "Whether a guest lives is seen otherwise than before: `ok`, `no contact` or `lost communication`.",
    ),
    ("host_violation", "The guest saw the host break the protocol."),
    ("hot_added", "The guest added memory: `accepted` of the `offered` pages."),
    ("inject_fault", "The timeline makes something go wrong."),
    (
        "integration_service",
        "What happened between the host's and the guest's end of an integration service.",
    ),
    ("integration_services_ready", "The guest's VMBus driver has started."),
    ("invariant_violated", "A check of the run's own books failed. The run ends with an error."),
    ("login", "The guest shows its login screen."),
    ("login_screen", "The host has seen the guest's login screen: the VM counts as started."),
    ("mark", "A line that the timeline writes."),
    (
        "memory_moved",
        "Memory has become a VM's, and from where it came: `source` is `vm` (the VM `donor` gave it up), `free` (no VM had to give it up) or `ended` (it came home of a VM that had ended). What no VM has given up goes first; then what came back from VMs, oldest first. One event for each source of a grant (`operation`), or of a start (startup RAM and overhead; no `operation`).",
    ),
    ("memory_reserve", "The registry value MemoryReserve was read."),
    ("no_dynamic_memory", "The guest cannot use Dynamic Memory and runs at its startup RAM."),
    ("no_report", "The guest of a VM of QEMU's does not say what it needs, and keeps what it has: why."),
    ("not_off", "A VM was asked to start that is not off."),
    ("not_running", "A VM was asked to stop or reboot that does not run."),
    (
        "operation_finished",
        "An operation is over: `done` of the `requested` pages, of which the guest got `unballooned` back and `hot_added` new; `unconfirmed` ones were offered and may be in use.",
    ),
    ("operation_rejected", "An operation was refused before the guest was asked."),
    (
        "overrun",
        "A guest has so many `pages` more than its VM is charged with, or may have them: it was reset, took them by itself, or was given them by another program. The reserve bears them; 0 when that is over.",
    ),
    ("pages_mapped", "Frames are in the VM's map."),
    ("pages_unmapped", "Frames left the VM's map, on their way home."),
    ("paused", "Somebody has told the daemon to move nothing any more, or to go on."),
    ("policy_failed", "The policy panicked or took too long. The last targets hold."),
    (
        "protocol_error",
        "A guest broke the protocol (Hyper-V's event 12540). The first ones of each start are in the event log, too.",
    ),
    ("qemu_answers", "A QEMU that did not answer does so again."),
    ("qemu_found", "A QEMU has said what its VM has and can have, and by which device."),
    ("qemu_hung", "A QEMU has not answered a command for a while: its VM is held."),
    (
        "qemu_lost",
        "The connection to a QEMU is lost: its VM keeps what it has, and is charged with all that it may still get.",
    ),
    ("qemu_not_reached", "There is a socket and no VM behind it that could be looked after: why."),
    ("qemu_useless", "A VM of QEMU's cannot be looked after: why."),
    ("register_failed", "The balancer refuses to know a VM."),
    ("remove_memory", "The balancer asks a VM for memory."),
    (
        "restart_waits",
        "A guest restarts, and its VM has less than it starts with: memory is collected for it, and it starts when all is there.",
    ),
    (
        "ring_high_water",
        "A channel's ring has not been so full since the channel was opened, by a sixteenth of the ring or more: `used` of `size` bytes, as the host found it (`upstream`, guest to host) or left it (`downstream`).",
    ),
    (
        "round",
        "A round of the balancer, recorded when its rule has changed: whether memory suffices, or by how much it does not (`lambda`).",
    ),
    ("send_failed", "A message could not be put into the ring."),
    ("set_workload", "The timeline changes what runs in a guest."),
    (
        "shortage",
        "The VMs of QEMU's together need more than there is for them, or do no more. Meanwhile guests may be brought below what they need.",
    ),
    ("shrink", "The worker has received the balancer's request for memory."),
    ("shutdown_overdue", "A guest was asked to shut down and does not; it is turned off."),
    ("shutdown_requested", "A guest is asked to shut down."),
    (
        "smart_paging",
        "Pages of a VM came out of its paging file on the host: memory went under them, or the guest ballooned them. `left` are in it.",
    ),
    (
        "smart_paging_begins",
        "A VM restarts on a host (release 2012 or later) that has less than its startup RAM: the rest is in a file of the host.",
    ),
    ("smart_paging_ends", "Nothing of the VM is in a file any more."),
    ("smart_paging_request", "The guest is asked to balloon, so that its VM's paging file shrinks."),
    ("start_admitted", "The balancer has set a VM's startup RAM aside."),
    (
        "start_again",
        "The operator asks for a VM again whose start was refused: the how-many-th `try` of how many.",
    ),
    ("start_cancelled", "A VM that waited to start was stopped."),
    (
        "start_refused",
        "There is not enough memory to start a VM: what it requires, what there is, and for how long memory is collected for it \
         now (`reserved_s`, 0 if the others cannot give enough).",
    ),
    ("start_requested", "A VM is asked to start."),
    (
        "start_reservation_ended",
        "A VM whose start was refused was not asked for again: what was collected for it is everybody's.",
    ),
    (
        "status_report",
        "A status report has reached the host: all that the guest says, and the `demand` that the host makes of it; pages. \
         `page_file_writes` and `io_diff` count since the guest booted (the low 32 bits).",
    ),
    (
        "storage",
        "A virtual hard disk `lun` of a VM was attached, is detached, or could not do what its guest asked; without a disk: a version of storage is agreed on.",
    ),
    ("storage_failed", "The guest's storage driver gives up."),
    ("storage_ready", "The guest's storage driver has finished the handshake."),
    ("unballooned", "The guest took pages back from its balloon; `left_alone` ones it had never given."),
    ("unmap_refused", "A guest gave pages that it may not give: all of them are refused."),
    ("vm_failed", "A VM ends because something went wrong."),
    ("vm_found", "A VM of QEMU's is known by its name: what it has and can have, pages."),
    ("vm_gone", "A VM of QEMU's is no more; what it had goes to the others."),
    ("vm_held", "Nothing is asked of a VM of QEMU's from now on, and it keeps what it has: why."),
    ("vm_migrates", "A VM of QEMU's is being migrated, or is no more."),
    ("vm_released", "Nothing keeps the memory of a VM of QEMU's from being moved any more."),
    ("vm_reset", "A VM is reset: it goes back to its startup RAM."),
    ("vm_started", "A VM has its startup RAM and begins to boot."),
    ("vm_state", "The processors of a VM of QEMU's run, or do not: QEMU's word for the state."),
    ("vm_stopped", "A VM has ended; its memory has come home."),
    ("vmbus_close", "The guest closed a channel."),
    ("vmbus_close_internal", "The guest closes a channel."),
    ("vmbus_connected", "The guest's bus driver has agreed on a version with the host."),
    ("vmbus_contact", "A guest has made contact; the host's answer."),
    ("vmbus_establish_gpadl_body", "Further pages of the rings, if they do not fit in one message."),
    ("vmbus_establish_gpadl_header", "The guest shares the pages of its rings with the host."),
    ("vmbus_failed", "The guest's bus driver found no version that the host accepts."),
    ("vmbus_negotiate_version", "The guest makes contact and asks for a version of VMBus."),
    ("vmbus_not_opened", "The host refused to open a channel."),
    ("vmbus_not_posted", "The host took no message of the guest: what it asked for has failed."),
    ("vmbus_ongpadl_created", "The guest has the host's answer: the pages are shared if `status` is 0."),
    ("vmbus_ongpadl_torndown", "The pages of the rings are the guest's again."),
    ("vmbus_onoffer", "The guest was offered a channel: device class `if_type`, device `if_instance`."),
    ("vmbus_onoffer_rescind", "The guest was told that a channel goes away."),
    (
        "vmbus_onopen_result",
        "The guest has the host's answer to opening a channel: it is open if `status` is 0.",
    ),
    ("vmbus_onversion_response", "The guest has the host's answer to the version."),
    (
        "vmbus_open",
        "The guest asks for a channel to be opened (`dm-vsc`); it is open, its two rings are there (`dm-vsp`).",
    ),
    ("vmbus_refused", "The host refused a channel message."),
    (
        "vmbus_release_relid",
        "The guest is done with a channel that was taken back; its number may be used again.",
    ),
    ("vmbus_request_offers", "The guest asks which channels there are."),
    ("vmbus_rescind", "The host takes the channel of Dynamic Memory back, as it was told to."),
    ("vmbus_stale_trailers", "The guest leaves the trailers of its packets stale. Nothing depends on them."),
    ("vmbus_teardown_gpadl", "The guest asks for the pages of its rings back."),
    ("vmbus_unload", "The guest leaves the bus (`dm-vsc`); it has left (`dm-vsp`)."),
    ("vmbus_unloaded", "The guest knows that it has left the bus."),
    ("workload_ended", "A workload was ended."),
    ("workload_started", "A workload began in a guest."),
    ("workload_unloaded", "A workload was told to give its memory back."),
];

/// What the sources record under one name.
#[derive(Default)]
struct Event {
    levels: BTreeSet<&'static str>,
    crates: BTreeSet<String>,
    fields: Vec<String>,
}

/// The page.
pub(super) fn page() -> Result<String> {
    let mut found = BTreeMap::new();
    let crates = workspace_root().join("crates");
    walk(&crates, &crates, &mut found)?;
    let mut page = String::from(
        "# Events\n\nEvery event that can be in `events.jsonl` and in the journal, found in the sources. `cargo xtask events` prints them, and\n\
         `--event NAME` only those of one name.\n\n\
         Each line of `events.jsonl` also has `t` (virtual time in nanoseconds), `seq` (its number, from 1), `component`, `vm` if it is\n\
         about one, and `cause`: the number of the event that led to it, or 0. Amounts are pages of 4 KiB where the field's name\n\
         does not say otherwise (`_mb`, `_ms`).\n\n\
         The level says how much it matters: *debug* is the traffic of every second, *info* decisions, operations and lives, *warn*\n\
         and *error* what went wrong. `--events decisions` records all but *debug*.\n\n\
         | event | level | recorded by | fields | meaning |\n|---|---|---|---|---|\n",
    );
    for (name, event) in &found {
        let meaning = MEANINGS.iter().find(|(known, _)| known == name).map(|(_, meaning)| *meaning);
        if meaning.is_none() {
            note!("note: the event {name} has no meaning in xtask/src/commands/reference/events.rs");
        }
        let fields: Vec<String> = event.fields.iter().map(|field| format!("`{field}`")).collect();
        // Writing to a String does not fail.
        let _: std::fmt::Result = writeln!(
            page,
            "| `{name}` | {} | {} | {} | {} |",
            event.levels.iter().copied().collect::<Vec<_>>().join(", "),
            event.crates.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            fields.join(", "),
            cell(meaning.unwrap_or("–"))
        );
    }
    Ok(page)
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Event>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            // Tests and examples record events of their own; the journal's documentation, too.
            if !["tests", "examples", "run-journal", "target"].contains(&name.as_str()) {
                walk(root, &path, found)?;
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let below = path.strip_prefix(root).unwrap_or(&path);
            let package = below.components().take_while(|part| part.as_os_str() != "src").last();
            let package =
                package.map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
            collect(&text, &package, found);
        }
    }
    Ok(())
}

/// The events that a source records.
fn collect(text: &str, package: &str, found: &mut BTreeMap<String, Event>) {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    for level in ["debug", "info", "warn", "error"] {
        let macro_name = format!("tracing::{level}!(");
        for (start, _) in code.match_indices(&macro_name) {
            let line = code[..start].rsplit('\n').next().unwrap_or_default();
            let Some(arguments) = arguments(&code[start + macro_name.len()..]) else { continue };
            let name =
                arguments.iter().find_map(|argument| argument.strip_prefix("event = \"")?.strip_suffix('"'));
            let (Some(name), false) = (name, line.trim_start().starts_with("//")) else { continue };
            let event = found.entry(name.to_owned()).or_default();
            event.levels.insert(level);
            event.crates.insert(package.to_owned());
            for argument in &arguments {
                let field =
                    argument.split('=').next().unwrap_or_default().trim().trim_start_matches(['?', '%']);
                // These are the record's own.
                if !["event", "vm", "component", "cause", ""].contains(&field)
                    && !event.fields.iter().any(|known| known == field)
                {
                    event.fields.push(field.to_owned());
                }
            }
        }
    }
}

/// The arguments of a macro's call, from behind its opening parenthesis.
fn arguments(text: &str) -> Option<Vec<String>> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut all = vec![String::new()];
    for character in text.chars() {
        let last = all.last_mut()?;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => {
                return Some(all.iter().map(|argument| argument.trim().to_owned()).collect());
            }
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        last.push(character);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_with_their_fields() {
        let text = "fn a() { tracing::info!(event = \"grant\", vm = name, pages = f(a, b), ok, why = %x); }\n// tracing::warn!(event = \"no\");\n";
        let mut found = BTreeMap::new();
        collect(text, "here", &mut found);
        let names: Vec<_> = found.keys().cloned().collect();
        assert_eq!(names, ["grant"]);
        assert_eq!(found["grant"].fields, ["pages", "ok", "why"]);
        assert!(found["grant"].levels.contains("info") && found["grant"].crates.contains("here"));
    }

    #[test]
    fn meanings_are_in_order_and_there_once() {
        assert!(MEANINGS.is_sorted_by(|a, b| a.0 < b.0));
    }
}
