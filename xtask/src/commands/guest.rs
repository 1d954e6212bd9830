//! `cargo xtask guest`: unmodified Linux guests under this project's VMBus, DM VSP and balancer.

#[cfg(feature = "export")]
mod capture;
mod left;
#[cfg(feature = "live")]
mod live;
mod perform;
mod record;
pub(super) mod validation;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use real_guest::fetch::{self, Wanted};
use real_guest::nested::{self, Console};
use real_guest::pieces::newest_kernel;
use real_guest::record::Part;
#[cfg(feature = "bench")]
use real_guest::storage_pieces;
use real_guest::task::{ContentionTask, GuestTask, RECORD_FILE, Task};
use run_analysis::figures;
use run_journal::EventsLevel;
use run_journal::manifest::{self, Manifest, ScenarioIdentity, Seeds};

use self::left::{Left, ONE_GUEST, words};
use self::perform::{perform, perform_in, ready, target};
use super::guest_place::REAL_LINUX;
pub(crate) use super::guest_place::Where;
use super::{bad_input, tools};
use crate::output::{note, say, tell};

/// Boot an unmodified Linux guest, show its console, and move its memory.
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    guest: GuestTask,
    #[command(flatten)]
    left: Left,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Say whether guests run here, how, and what is missing
    Doctor,
    /// Get a kernel, busybox and QEMU with apt-get, and unpack them under target/guest (nothing is installed)
    Fetch {
        /// Leave QEMU out: it is only for --nested
        #[arg(long)]
        without_qemu: bool,
        /// Get nothing but a kernel of this suite, such as bookworm-backports, into a folder of its own
        #[arg(long, value_name = "SUITE", conflicts_with = "without_qemu")]
        suite: Option<String>,
    },
    /// Look at everything that must be seen with the unmodified driver, one by one
    Record {
        /// Only these parts
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<Part>,
    },
    /// Run the same loads in real guests and in simulated ones, and say how far apart they are
    Validate {
        /// Only these loads; default: all of them
        #[arg(value_name = "LOAD")]
        loads: Vec<String>,
        /// Keep the real halves as the project's recordings (tests/recorded/validation), and make the book's page and figures of them
        #[arg(long)]
        keep: bool,
    },
    /// Several guests contend for a small host's memory (the scenario `real-linux`)
    Contend {
        #[command(flatten)]
        task: ContentionTask,
        #[command(flatten)]
        left: Left,
    },
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    match args.what {
        None => one_guest(&args.place, args.guest, &args.left),
        Some(What::Doctor) => {
            tell!("{}", args.place.examine());
            Ok(())
        }
        Some(What::Fetch { without_qemu, suite }) => fetch(&args.place, without_qemu, suite),
        Some(What::Record { only }) => {
            let out = target().join("guest/record");
            record::make(&args.place, only, &out)?;
            say!("Record: {}", out.join(RECORD_FILE).display());
            Ok(())
        }
        Some(What::Validate { loads, keep }) => {
            validation::run(&args.place, loads, &target().join("guest/validation"), keep)
        }
        Some(What::Contend { task, left }) => contend(&args.place, task, &left),
    }
}

/// One guest under a person's hand.
fn one_guest(place: &Where, mut task: GuestTask, left: &Left) -> Result<()> {
    let capture = task.capture.clone();
    #[cfg(feature = "export")]
    capture.as_deref().map_or(Ok(()), capture::can_be_written)?;
    if left.live {
        return watched(place, &Task::Guest(task), left);
    }
    task.keep = capture.is_some() || left.out.is_some();
    let (out, task) = (target().join("guest/last"), Task::Guest(task));
    let (out, ended) = if left.out.is_some() {
        let folder = left.folder(ONE_GUEST)?;
        (folder.clone(), recorded(place, &task, &folder))
    } else {
        let ended = perform(place, &task, &out, true);
        (out, ended)
    };
    let Some(file) = capture else { return ended };
    #[cfg(feature = "export")]
    {
        // What crossed before a guest failed is what one looks at then.
        match (ended, capture::write(&out, &file)) {
            (Err(ended), Err(capture)) => {
                note!("{capture:#}");
                Err(ended)
            }
            (ended, written) => ended.and(written),
        }
    }
    #[cfg(not(feature = "export"))]
    anyhow::bail!(
        "this build cannot write {}: what it would be made of is in {}",
        file.display(),
        out.display()
    )
}

/// Runs guests in a process of their own, and shows them.
fn watched(place: &Where, task: &Task, left: &Left) -> Result<()> {
    #[cfg(feature = "live")]
    return live::run(place, task, left);
    #[cfg(not(feature = "live"))]
    anyhow::bail!("this build cannot show {task:?} in the terminal ({place:?}, {left:?})")
}

fn fetch(place: &Where, without_qemu: bool, suite: Option<String>) -> Result<()> {
    let wanted = Wanted { qemu: !without_qemu, suite };
    match fetch::fetch(&target(), &wanted, |line| note!("{line}")) {
        Ok(folder) if wanted.suite.is_some() => {
            let kernel = newest_kernel(&folder)
                .with_context(|| format!("the package had no kernel for {}", folder.display()))?;
            say!("To use it: --kernel {}", kernel.display());
            Ok(())
        }
        Ok(_) => {
            tell!("{}", place.examine());
            Ok(())
        }
        // Without a network, what was fetched before is as good as ever.
        Err(error) if wanted.suite.is_none() && place.examine().nested() => {
            note!("{error:#}\nAll pieces are there from before, and are used.");
            tell!("{}", place.examine());
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The scenario `real-linux`.
fn contend(place: &Where, task: ContentionTask, left: &Left) -> Result<()> {
    let task = Task::Contention(task);
    if left.live {
        return watched(place, &task, left);
    }
    ready(place, &task)?;
    recorded(place, &task, &left.folder(REAL_LINUX)?)
}

/// Does a task, and leaves a folder as of any run.
fn recorded(place: &Where, task: &Task, folder: &Path) -> Result<()> {
    let pieces = ready(place, task)?;
    let command = format!("cargo xtask {}", words(place, task).join(" "));
    let (name, policy, until) = match task {
        Task::Contention(task) => {
            let config = task.contention(folder.to_owned());
            (REAL_LINUX, config.policy.clone(), Some(config.length()))
        }
        _ => (ONE_GUEST, "hyperv".to_owned(), None),
    };
    let manifest = Manifest {
        format: manifest::FORMAT_VERSION,
        scenario: ScenarioIdentity {
            name: name.to_owned(),
            file: None,
            sha256: manifest::sha256_hex(command.as_bytes()),
        },
        policy,
        seeds: Seeds::default(),
        driver: "threads".to_owned(),
        clock: "wall".to_owned(),
        speed: Some(1.0),
        until: until.map_or_else(|| "the guest ends".to_owned(), quantities::format_duration),
        epoch: "2011-02-22T09:00:00Z".to_owned(),
        sample_interval: "1s".to_owned(),
        events: EventsLevel::All,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: tools::commit(),
        command,
        artifacts: pieces.artifacts(place.nested).context("a piece cannot be read")?,
    };
    manifest.write(folder).with_context(|| format!("cannot write the manifest in {}", folder.display()))?;
    if place.nested {
        note!("{}", nested::EXPLANATION);
    }
    perform_in(place, task, folder, matches!(task, Task::Guest(_)), Console::Here)?;
    figures::write_for_run(folder).context("the figures could not be drawn")?;
    let report = super::report::write_after_run(folder);
    let report = report.map_or_else(String::new, |path| format!("\nReport: {}", path.display()));
    say!("Files: {0}{report}\nEvents: cargo xtask events {0}", folder.display());
    Ok(())
}

/// The scenario `real-linux` with its defaults, for `cargo xtask scenario real-linux`.
pub(crate) fn real_linux(
    place: &Where,
    policy: Option<&str>,
    out: Option<PathBuf>,
    force: bool,
    live: bool,
) -> Result<()> {
    #[derive(clap::Parser)]
    struct Defaults {
        #[command(flatten)]
        task: ContentionTask,
    }
    let mut words = vec![REAL_LINUX.to_owned()];
    words.extend(policy.map(|policy| format!("--policy={policy}")));
    let Defaults { task } = Defaults::try_parse_from(words).map_err(bad_input)?;
    contend(place, task, &Left { out, force, live })
}

/// The record as a test: here or nested, whichever works. The user asked for this test, so where neither works the test
/// has failed.
pub(crate) fn test() -> Result<()> {
    let mut place = Where::default();
    let diagnosis = place.examine();
    place.nested = !diagnosis.direct();
    if place.nested && !diagnosis.nested() {
        return Err(bad_input(format!(
            "the real guests cannot be run here\n{diagnosis}{}",
            super::guest_place::HOW_TO_RUN_GUESTS
        )));
    }
    note!("── real guests");
    record::make(&place, Vec::new(), &target().join("guest/record"))
}

/// Measures how fast memory moves: here or nested, whichever works; where neither does, says that it was left out.
#[cfg(feature = "bench")]
pub(crate) fn bench(repeat: usize) -> Result<()> {
    let mut place = Where::default();
    let diagnosis = place.examine();
    place.nested = !diagnosis.direct();
    if place.nested && !diagnosis.nested() {
        tell!("\nreal guests: left out\n{diagnosis}To measure them: `cargo xtask guest fetch` first.");
        return Ok(());
    }
    let how = if place.nested {
        "inside an emulated machine (this computer's KVM is not enough): its times are those of an emulated processor"
    } else {
        "on this computer's KVM"
    };
    say!("\nreal guests, {how}");
    let prepared = tempfile::tempdir().context("no temporary folder")?;
    let pieces = place.examine().into_pieces().map_err(bad_input)?;
    let disk_load = nested::build_program(&tools::workspace_root(), storage_pieces::DISK_LOAD)?;
    storage_pieces::prepare(&pieces, &disk_load, prepared.path())?;
    if !storage_pieces::has_qemu(prepared.path()) {
        tell!("QEMU's virtio-blk: left out, for there is no QEMU (`cargo xtask guest fetch` brings one)");
    }
    let storage = Some(prepared.path().to_owned());
    perform(&place, &Task::Speed { repeat, storage }, &target().join("guest/speed"), false)
}
