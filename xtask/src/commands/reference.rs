//! Reference pages of the book that are generated from code: from its tables, its doc comments and its command line.

mod command_line;
mod comparison;
mod constants;
mod events;
mod files;
mod guests;
mod kept;
mod policies;
mod sensitivity;
mod source;
mod sweep;
mod validation;
mod verification;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use run_analysis::counters::Counters;
use run_analysis::figures::{self, Drawn, Recorded};
use run_analysis::sequence::Sequence;
use run_analysis::stills::Growth;
use run_journal::EVENTS_FILE;
use run_journal::query::Causality;

use super::bad_input;
use super::figures::{COMPONENTS, LANES, MAX_VMS, MAX_VMS_RUNS, record, record_all, stills};
use super::tools::workspace_root;
use crate::output::note;

/// A generated page: its path below `docs/src`, and its text.
pub(super) type Page = (&'static str, fn() -> Result<String>);

/// The growth of VM8 that the other two tell of, as a sequence diagram, among the pictures of multi-vm.
const SEQUENCE: &str = "sequence";
/// Its effects up to so many steps away.
const DEPTH: usize = 12;
/// Pages of VM1's map over time, among the pictures of multi-vm.
const MAP: &str = "map";

/// All of them.
pub(super) const PAGES: &[Page] = &[
    ("reference/command-line.md", || Ok(command_line::page())),
    ("reference/scenario-files.md", || Ok(scenario_files())),
    ("reference/guests.md", || Ok(guests::page())),
    ("reference/counters.md", || Ok(counters())),
    ("reference/events.md", events::page),
    ("reference/summary.md", files::page),
    ("reference/policies.md", policies::page),
    ("reference/constants.md", || Ok(constants::page())),
    ("reference/verification.md", verification::page),
    (comparison::NUMBERS, comparison::numbers),
    ("reference/comparison.md", comparison::page),
    (sensitivity::NUMBERS, sensitivity::numbers),
    ("reference/sensitivity.md", sensitivity::page),
    ("figures/max-vms-4-1.svg", || for_the_book("max-vms", "figure-4-1.svg")),
    ("figures/max-vms-4-3.svg", || for_the_book("max-vms", "figure-4-3.svg")),
    ("figures/single-vm-ws2008r2-4-4.svg", || for_the_book("single-vm-ws2008r2", "figure-4-4.svg")),
    ("figures/single-vm-ws2003r2-4-4.svg", || for_the_book("single-vm-ws2003r2", "figure-4-4.svg")),
    ("figures/multi-vm-4-5.svg", || for_the_book("multi-vm", "figure-4-5.svg")),
    ("figures/multi-vm-components.svg", || of_multi_vm(COMPONENTS)),
    ("figures/multi-vm-lanes.svg", || of_multi_vm(LANES)),
    ("figures/multi-vm-sequence.svg", || of_multi_vm(SEQUENCE)),
    ("figures/multi-vm-map.svg", || of_multi_vm(MAP)),
    ("figures/shared-disk.svg", || of_its_counters("shared-disk", "figure-disks.svg")),
    ("figures/idle-fleet-overview.svg", || for_the_book("idle-fleet", "figure-overview.svg")),
    ("validation.md", validation::page),
    ("figures/validation-steps.svg", || validation::figure("steps")),
    ("figures/validation-ramp.svg", || validation::figure("ramp")),
    ("figures/validation-waves.svg", || validation::figure("waves")),
    ("figures/validation-contention.svg", || validation::figure("contention")),
    ("figures/validation-files.svg", || validation::figure("files")),
    ("figures/validation-files-more.svg", || validation::figure("files-more")),
    ("figures/validation-files-late.svg", || validation::figure("files-late")),
    ("figures/validation-swap.svg", || validation::figure("swap")),
    ("figures/validation-swap-more.svg", || validation::figure("swap-more")),
    ("figures/validation-swap-large.svg", || validation::figure("swap-large")),
    (sweep::NUMBERS, sweep::numbers),
    ("figures/reserve-sweep.svg", sweep::figure),
    ("figures/exhaustion-4-6.svg", || for_the_book("exhaustion", "figure-4-6.svg")),
    ("figures/exhaustion-reserve-2048-4-6.svg", || for_the_book("exhaustion-reserve-2048", "figure-4-6.svg")),
    ("figures/exhaustion-4-7.svg", || for_the_book("exhaustion", "figure-4-7.svg")),
    ("figures/exhaustion-reserve-2048-4-7.svg", || for_the_book("exhaustion-reserve-2048", "figure-4-7.svg")),
];

fn scenario_files() -> String {
    format!(
        "# Scenario files\n\n\
         Every key of a scenario file, from the table that the reader of these files obeys. How to write one is told in\n\
         [Writing a scenario file](../writing-a-scenario.md). A key that is not here is refused, with the nearest one that is.\n\n\
         Sizes are texts as an administrator types them: `\"512MB\"`, `\"2GB\"`; MB and GB are 2^20 and 2^30 bytes. Times are texts\n\
         such as `\"12m30s\"`. Where a page says *or [least, most] to draw from*, two values in brackets stand for one that is\n\
         drawn between them, anew for each VM and each seed. *Documented*, *inferred*, *calibrated* and *invented* say where a default\n\
         comes from; see [Fidelity](../fidelity.md).\n\n{}",
        scenario::file::reference_markdown()
    )
}

fn counters() -> String {
    format!(
        "# Counters\n\n\
         Every column of `counters.csv`, from the table that the file is written from. `HOST` is the host's name and `VM1` a\n\
         VM's; the columns of a VM are there once for each VM. A *gauge* is a present amount; a *counter* only grows, from the\n\
         last start of its VM (or of the balancer). MB is 2^20 bytes. The last column is the name in Prometheus' text format,\n\
         where MB become bytes and percent become ratios.\n\n\
         A field is empty while there is nothing to say: a VM that is off has no pressure, a guest that has not booted no\n\
         available memory.\n\n\
         *Driver Locked* is what RAMMap shows inside a guest, and no counter of Windows does. In it is all memory that the host has taken\n\
         from the guest by ballooning, since the balloon driver holds those pages locked, and besides them the rings of the VMBus. So it is\n\
         about *Guest Visible Physical Memory* less *Physical Memory*, except while memory is on its way. A guest's *Committed Bytes*\n\
         contain it.\n\n{}",
        perf_counters::schema::reference_markdown()
    )
}

/// A figure for the book: of the run of this scenario with seed 1, or of the three runs of max-vms.
fn for_the_book(name: &str, figure: &str) -> Result<String> {
    let drawn: Vec<Drawn> = if name == MAX_VMS {
        let [fixed, same, most] = MAX_VMS_RUNS.map(|name| record(name, Some(1)));
        figures::draw_starts([&fixed?, &same?, &most?])
    } else {
        figures::draw(&record(name, Some(1))?)
    };
    let found = drawn.into_iter().find(|(name, _)| *name == figure);
    found.map(|(_, text)| text).with_context(|| format!("{name} does not show {figure}"))
}

/// A figure of the counters that the run of this scenario with seed 1 leaves: of what only they have.
fn of_its_counters(name: &str, figure: &str) -> Result<String> {
    let folder = record_all(name, Some(1))?;
    let drawn = figures::draw(&Recorded::read(folder.path())?);
    let found = drawn.into_iter().find(|(name, _)| *name == figure);
    found.map(|(_, text)| text).with_context(|| format!("{name} does not show {figure}"))
}

/// A picture of the run of multi-vm with seed 1 and everything recorded. The run is made once for all of them.
fn of_multi_vm(name: &str) -> Result<String> {
    static DRAWN: OnceLock<Vec<Drawn>> = OnceLock::new();
    let drawn = match DRAWN.get() {
        Some(drawn) => drawn,
        None => {
            let drawn = draw_multi_vm()?;
            DRAWN.get_or_init(|| drawn)
        }
    };
    let found = drawn.iter().find(|(drawn, _)| *drawn == name);
    found.map(|(_, text)| text.clone()).with_context(|| format!("multi-vm does not show {name}"))
}

fn draw_multi_vm() -> Result<Vec<Drawn>> {
    let folder = record_all("multi-vm", Some(1))?;
    let records = run_journal::events::read_whole(&folder.path().join(EVENTS_FILE))?.records;
    let mut drawn = stills(&Recorded::read(folder.path())?, &records, None, None);
    let causality = Causality::new(&records);
    let growth = Growth::telling(&causality, &records, None).context("no VM of multi-vm has grown")?;
    // As `events DIR --sequence SEQ --as svg` draws it.
    drawn.push((SEQUENCE, Sequence::of(&causality.chain(growth.added.seq)?, DEPTH).picture()));
    // As `counters DIR "2M Pages" "4K Pages" --vm VM1 --svg FILE` draws it.
    let counters = Counters::read(folder.path())?;
    let of = |name| counters.named(name, Some("VM1"));
    let map = counters.draw(&[of("2M Pages"), of("4K Pages")].concat(), Duration::ZERO, Duration::MAX);
    drawn.push((MAP, map));
    Ok(drawn)
}

fn path(page: &str) -> PathBuf {
    workspace_root().join("docs/src").join(page)
}

/// The pages of these paths below `docs/src`.
///
/// # Errors
/// There is no such page.
pub(super) fn chosen(paths: &[String]) -> Result<Vec<Page>> {
    let find = |path: &String| {
        let found = PAGES.iter().find(|(page, _)| page == path);
        found.copied().ok_or_else(|| {
            let all: Vec<&str> = PAGES.iter().map(|(page, _)| *page).collect();
            bad_input(format!("{path:?} is no generated page of the book; there are {}", all.join(", ")))
        })
    };
    paths.iter().map(find).collect()
}

/// Writes those of the pages that differ from what the code gives.
pub(super) fn write(pages: &[Page]) -> Result<()> {
    for (page, text) in pages {
        let path = path(page);
        let text = text()?;
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        note!("wrote docs/src/{page}");
    }
    Ok(())
}

/// Says which of the pages differ from what the code gives.
pub(super) fn check(pages: &[Page]) -> Result<()> {
    let mut stale = Vec::new();
    for (page, text) in pages {
        if std::fs::read_to_string(path(page)).ok() != Some(text()?) {
            stale.push(*page);
        }
    }
    if !stale.is_empty() {
        bail!("generated pages are not up to date: {}; run `cargo xtask docs`", stale.join(", "));
    }
    Ok(())
}

/// A text for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
