//! Free page reporting: what a guest frees leaves the host's memory, without a balloon.

use std::time::Duration;

use anyhow::Result;
use kvm_partition::{Backing, Capabilities};
use page_range::PageCount;

use super::balloon::{boot_seen, mb};
use super::{OPERATION, Record, Stage, close, mib};
use crate::factory::Reported;
use crate::pieces::Pieces;
use crate::units::bytes_mib;

/// What is missing where it cannot be seen.
pub(super) const NOT_POSSIBLE: &str =
    "the KVM that runs the guests hands no extended hypercalls to user space (Linux 6.3 and later do)";

/// What the load of the guest takes, MiB.
const LOAD: u64 = 300;
/// Longest time until what is free has been reported: Linux collects for 2 s, and reports a share at a time.
const UNTIL_REPORTED: Duration = Duration::from_secs(60);
/// Between two looks at resident memory.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn possible() -> Result<bool> {
    Ok(Capabilities::probe()?.page_reporting)
}

pub(super) fn look(record: &mut Record, pieces: &Pieces) -> Result<()> {
    let Some(without) = after_a_load(record, pieces, "without", false)? else { return Ok(()) };
    let Some(with) = after_a_load(record, pieces, "with", true)? else { return Ok(()) };
    record.figure("resident memory after a load, without page reporting, MiB", without.after);
    record.figure("resident memory after a load, with page reporting, MiB", with.after);
    record.figure("seconds from the end of a load until 90 % of it has left the host", with.seconds);
    record.check(
        "page reporting: what a guest frees stays on a host that offers none",
        without.reported.is_none() && without.loaded - without.after < LOAD as f64 * 0.1,
        format!("{} with a load of {LOAD} MB, {} after it", mb(without.loaded), mb(without.after)),
    );
    record.check(
        "page reporting: what a guest frees leaves the host, without a balloon",
        with.loaded - with.after > LOAD as f64 * 0.9 && with.assigned == mib(512),
        format!(
            "{} with a load of {LOAD} MB, {} after it; {} assigned",
            mb(with.loaded),
            mb(with.after),
            with.assigned
        ),
    );
    let reported = with.reported.unwrap_or_default();
    record.check(
        "page reporting: no report is refused",
        reported.refused == 0 && reported.pages >= mib(LOAD * 9 / 10),
        format!("{} reported, {} reports refused", reported.pages, reported.refused),
    );
    Ok(())
}

struct Seen {
    /// Resident with the load, and some time after it, MiB.
    loaded: f64,
    after: f64,
    seconds: f64,
    assigned: PageCount,
    reported: Option<Reported>,
}

/// Has a guest use memory and free it; what the host had of it, if the guest boots.
fn after_a_load(record: &mut Record, pieces: &Pieces, how: &str, offered: bool) -> Result<Option<Seen>> {
    let stage = Stage::new(pieces, |config| {
        config.guests[0].page_reporting = offered;
        // What is gone is gone for the whole host: of a file, resident memory of a process alone would say little.
        config.guests[0].backing = Backing::Memfd;
    })?;
    let boots = format!("page reporting: a guest {how} it boots");
    if !record.check(&boots, stage.ready(0), boot_seen(&stage)) {
        return Ok(None);
    }
    if offered {
        let said = stage.ask_lines("dmesg Cold.memory", "d", "d.");
        let enabled = said.iter().any(|line| line.contains("Cold memory discard hint enabled"));
        record.check("page reporting: the driver takes the offer", enabled, said.join("; "));
    }
    let eaten = eat(&stage, LOAD);
    let loaded = bytes_mib(stage.guest().resident());
    let eaten = eaten && eat(&stage, 0);
    if !record.check(
        &format!("page reporting: a guest {how} it takes {LOAD} MB and frees them"),
        eaten,
        mb(loaded),
    ) {
        return Ok(None);
    }
    let resident = || bytes_mib(stage.guest().resident());
    let gone = |share: f64| loaded - resident() > LOAD as f64 * share;
    let mut seconds = waited(|| gone(0.9), if offered { UNTIL_REPORTED } else { UNTIL_REPORTED / 6 });
    seconds = seconds.min(UNTIL_REPORTED.as_secs_f64());
    let seen = Seen {
        loaded,
        after: resident(),
        seconds,
        assigned: stage.assigned(),
        reported: stage.guest().reported(),
    };
    if offered {
        used_again(record, &stage, seen.after);
    }
    stage.host.end()?;
    Ok(Some(seen))
}

/// What was reported is the guest's as before: it can use it, and give it away.
fn used_again(record: &mut Record, stage: &Stage, before: f64) {
    let eaten = eat(stage, LOAD);
    let again = bytes_mib(stage.guest().resident());
    record.check(
        "page reporting: what was reported is the guest's, and comes back when it is used",
        eaten && again - before > LOAD as f64 * 0.9,
        format!("{} before, {} with the load again", mb(before), mb(again)),
    );
    let _freed = eat(stage, 0);
    let finished = stage.bring_to(352);
    let done = PageCount(finished.and_then(|event| event.number("done")).unwrap_or(0));
    // What is free beside the balloon is reported as before; what the guest has used meanwhile it keeps.
    let near = before + LOAD as f64 * 0.1;
    let settled = waited(|| bytes_mib(stage.guest().resident()) < near, UNTIL_REPORTED);
    record.check(
        "page reporting: free pages are ballooned as ever, and a balloon is refused none of them",
        done == mib(160) && close(stage.assigned().mib(), 352.0, 0.1),
        format!(
            "{done} ballooned, {} resident after {settled:.0} s",
            mb(bytes_mib(stage.guest().resident()))
        ),
    );
}

/// Has the guest's programs keep so much, MiB; whether they say that they do. What an emulated processor has to fill takes its time.
fn eat(stage: &Stage, mib: u64) -> bool {
    stage.guest().ask(&format!("eat {mib}"), &format!("eaten {mib}"), OPERATION).is_some()
}

/// Seconds until something is so, or until the longest time has passed.
#[expect(clippy::disallowed_methods, reason = "waits for a guest in the real world")]
fn waited(so: impl Fn() -> bool, longest: Duration) -> f64 {
    let begun = std::time::Instant::now();
    while !so() && begun.elapsed() < longest {
        std::thread::sleep(LOOK);
    }
    begun.elapsed().as_secs_f64()
}
