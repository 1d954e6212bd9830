//! Guests do something: in this process, on this computer's KVM, or inside an emulated machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use real_guest::disk_images;
use real_guest::doctor::{self, Diagnosis};
use real_guest::nested::{self, Console, Nested};
use real_guest::pieces::{Given, Pieces};
use real_guest::task::{Moved, Task};

use crate::commands::guest_place::Where;
use crate::commands::{bad_input, tools};
use crate::output::note;

/// Versions and checksums of what a record or a measurement was made with.
pub(super) const PIECES_FILE: &str = "pieces.json";

pub(super) fn target() -> PathBuf {
    tools::workspace_root().join("target")
}

impl Where {
    fn given(&self) -> Given {
        Given {
            kernel: self.kernel.clone(),
            modules: self.modules.clone(),
            busybox: self.busybox.clone(),
            qemu: self.qemu.clone(),
            emulated_kernel: self.emulated_kernel.clone(),
        }
    }

    pub(super) fn examine(&self) -> Diagnosis {
        doctor::examine(&target(), &self.given())
    }
}

/// Does something with guests, here or inside the emulated machine. `out` is emptied first.
pub(super) fn perform(place: &Where, task: &Task, out: &Path, interactive: bool) -> Result<()> {
    if place.nested {
        note!("{}", nested::EXPLANATION);
    }
    perform_with(place, task, out, interactive, Console::Here)
}

/// The same, without a word before it, and with the console of an emulated machine wherever it is to go.
pub(super) fn perform_with(
    place: &Where,
    task: &Task,
    out: &Path,
    interactive: bool,
    console: Console,
) -> Result<()> {
    match std::fs::remove_dir_all(out) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", out.display()));
        }
        _ => std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?,
    }
    if let (false, Ok(pieces)) = (interactive, place.examine().into_pieces()) {
        let artifacts = pieces.artifacts(place.nested).context("a piece cannot be read")?;
        let text = serde_json::to_string_pretty(&artifacts)? + "\n";
        std::fs::write(out.join(PIECES_FILE), text).context("cannot write the versions of the pieces")?;
    }
    perform_in(place, task, out, interactive, console)
}

/// What guests need to run as they are asked to, if everything is there.
pub(super) fn ready(place: &Where, task: &Task) -> Result<Pieces> {
    task.check().map_err(bad_input)?;
    let mut diagnosis = place.examine();
    let kvm = std::mem::replace(&mut diagnosis.kvm, Ok(()));
    let pieces = diagnosis.into_pieces().map_err(bad_input)?;
    if place.nested {
        pieces.qemu(&target()).map_err(bad_input)?;
    } else if let Err(error) = kvm {
        return Err(bad_input(format!(
            "{error}\nWith --nested the same runs inside an emulated machine, slower. `cargo xtask guest doctor` says more."
        )));
    }
    Ok(pieces)
}

pub(super) fn perform_in(
    place: &Where,
    task: &Task,
    out: &Path,
    interactive: bool,
    console: Console,
) -> Result<()> {
    let pieces = ready(place, task)?;
    if let Task::Guest(task) = task
        && let Some(root) = &task.guest_disks().root
        && !root.exists()
    {
        disk_images::prepare_root(&pieces, root)
            .with_context(|| format!("a root cannot be made in {}", root.display()))?;
        note!("made {}, from which the guest runs", root.display());
    }
    if !place.nested {
        return task.run(&pieces, out);
    }
    let program = nested::build_program(&tools::workspace_root(), nested::PROGRAM)?;
    let Moved { task, files, brought } = task.with_files_in("/files").map_err(bad_input)?;
    let machine = Nested {
        memory_mib: task.emulated_memory_mib(),
        limit: task.limit(),
        arguments: task.words(),
        files,
        out: out.to_owned(),
        streams: task.streams(),
        interactive,
        console,
    };
    let status = machine.run(&target(), &pieces, &program)?;
    // However the guest has ended: what it wrote is on its disks.
    brought.into_iter().try_for_each(|disk| disk.bring_back(out))?;
    match status {
        0 => Ok(()),
        status => bail!("inside the emulated machine it failed (status {status}); the reason is above"),
    }
}
