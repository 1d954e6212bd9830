//! The integration services, with the unmodified `hv_utils` driver.

use std::time::{Duration, SystemTime};

use anyhow::Result;
use integration_protocol::Service;
use vmms_host::VmmsCommand;

use super::balloon::boot_seen;
use super::{OPERATION, Record, Stage, VM};
use crate::events::Event;
use crate::pieces::Pieces;

pub(super) fn look(record: &mut Record, pieces: &Pieces) -> Result<()> {
    let stage = Stage::new(pieces, |_| {})?;
    if !record.check("a guest with integration services boots", stage.ready(0), boot_seen(&stage)) {
        return Ok(());
    }
    for service in [Service::Heartbeat, Service::Shutdown, Service::TimeSync] {
        let seen = agreed(&stage, service);
        // The newest that the host offers: without a reference time no more than 3.0 for the time.
        let newest = match service {
            Service::Shutdown => "version 3.2 (frame 3.0)",
            _ => "version 3.0 (frame 3.0)",
        };
        record.check(
            &format!("{service}: versions are agreed on with hv_utils"),
            seen == newest,
            seen.clone(),
        );
    }
    heartbeat(record, &stage);
    time_sync(record, &stage);
    shutdown(record, &stage);
    stage.host.end()?;
    Ok(())
}

/// What was agreed on with the guest's service.
pub(super) fn agreed(stage: &Stage, service: Service) -> String {
    let agreed =
        stage.wait(0, OPERATION, |event| told(event, service) && event.word("what").starts_with("version"));
    agreed.map_or_else(|| "nothing was agreed on".to_owned(), |event| event.word("what").to_owned())
}

fn told(event: &Event, service: Service) -> bool {
    event.name() == "integration_service" && event.word("service") == service.name()
}

fn heartbeat(record: &mut Record, stage: &Stage) {
    let seen = |from: usize, status: &str| {
        stage.wait(from, OPERATION, |event| event.name() == "heartbeat" && event.word("status") == status)
    };
    let ok = seen(0, "ok").is_some();
    let from = stage.mark();
    stage.guest().pause(true);
    let paused = stage.wait(from, OPERATION, |event| event.name() == "heartbeat");
    let from = stage.mark();
    stage.guest().pause(false);
    let again = seen(from, "ok").is_some();
    let status = paused.map_or_else(|| "nothing".to_owned(), |event| event.word("status").to_owned());
    record.check(
        "heartbeat: ok, lost communication while the guest's processors stand still, ok again",
        ok && status == "lost communication" && again,
        format!("ok {ok}, then {status}, then ok {again}"),
    );
}

/// How far a guest's clock may be from the host's: its `date` has whole seconds, and its answer takes time on an emulated machine.
const NEAR: f64 = 5.0;

fn time_sync(record: &mut Record, stage: &Stage) {
    // A clock that stands years before the host's, and a driver that is told the time anew.
    let script = format!(
        "date -s @1000000000; cd /sys/bus/vmbus/drivers/hv_utils; for i in *-*; do \
         [ $(cat $i/class_id) = {{{}}} ] && {{ echo $i > unbind; echo $i > bind; }}; done; sleep 2",
        Service::TimeSync.class()
    );
    let _done = stage.ask(&format!("sh {script}"), "sh.");
    let answer = stage.ask("sh echo now $(date +%s)", "now").unwrap_or_default();
    let guest: f64 = answer.trim_start_matches("now").trim().parse().unwrap_or(f64::NAN);
    let host = host_seconds();
    record.check(
        "time sync: a guest whose clock is wrong has the host's time",
        (guest - host).abs() < NEAR,
        format!("{:.0} s from the host's clock", guest - host),
    );
}

#[expect(clippy::disallowed_methods, reason = "the time of a real host, beside that of a real guest")]
fn host_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn shutdown(record: &mut Record, stage: &Stage) {
    let from = stage.mark();
    stage.host.command(VmmsCommand::ShutDown(VM));
    let agreed = stage.wait(from, OPERATION, |event| told(event, Service::Shutdown));
    let stopped = stage.named(from, OPERATION, "vm_stopped");
    let overdue = stage.named(from, Duration::ZERO, "shutdown_overdue").is_some();
    let orderly = stopped.is_some_and(|event| !event.is("failed"));
    let agreed = agreed.map_or_else(|| "nothing".to_owned(), |event| event.word("what").to_owned());
    record.check(
        "shutdown: the guest says that it will, and switches itself off",
        agreed == "the guest shuts down" && orderly && !overdue,
        format!("{agreed}; off by itself: {}", orderly && !overdue),
    );
}
