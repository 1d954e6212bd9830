//! The record of real guests: made here, or inside emulated machines.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;

use anyhow::{Context as _, Result, anyhow, bail};
use real_guest::disk_examination;
use real_guest::disk_images::{self, NoMke2fs};
use real_guest::nested::{self, Console};
use real_guest::pieces::{Pieces, copy_kernel, kernels_beside};
use real_guest::record::{Part, Record};
use real_guest::task::{RECORD_FILE, Task};

use super::perform::{perform, perform_with, target};
use crate::commands::bad_input;
use crate::commands::guest_place::Where;
use crate::output::{note, say};

/// Makes the record, and has this computer's tools look at the disks that guests have written.
pub(super) fn make(place: &Where, only: Vec<Part>, out: &Path) -> Result<()> {
    let prepared = tempfile::tempdir().context("no temporary folder")?;
    let mut disks = None;
    if only.is_empty() || only.contains(&Part::Disks) {
        let pieces = place.examine().into_pieces().map_err(bad_input)?;
        match disk_images::prepare(&pieces, prepared.path()) {
            Ok(_) => disks = Some(prepared.path().to_owned()),
            Err(error) if only.is_empty() && error.is::<NoMke2fs>() => note!("{error}: disks are left out"),
            Err(error) => return Err(error.context("the disks for the record cannot be made")),
        }
    }
    let copied = tempfile::tempdir().context("no temporary folder")?;
    let kernels = further_kernels(place, &only, copied.path())?;
    let with_disks = disks.is_some();
    let ended = if place.nested && only.is_empty() && has_two_processors() {
        in_two_machines(place, disks, kernels, out)
    } else {
        perform(place, &Task::Record { only, where_possible: false, disks, kernels }, out, false)
    };
    if !with_disks || !out.join(RECORD_FILE).is_file() {
        return ended;
    }
    let mut record = Record::read(out)?;
    disk_examination::examine(&mut record, out, |what| note!("{what}"))?;
    record.write(out)?;
    ended?;
    if !record.passed() {
        bail!("not everything is as it must be: see {}", out.join(RECORD_FILE).display());
    }
    Ok(())
}

/// An emulated machine has one processor, so where there are two of them two machines take half of the time.
fn has_two_processors() -> bool {
    std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1)
}

/// Makes the record in two emulated machines at a time. What the second one prints is shown when the first one has ended.
fn in_two_machines(
    place: &Where,
    disks: Option<PathBuf>,
    kernels: Option<PathBuf>,
    out: &Path,
) -> Result<()> {
    note!("{}\nTwo such machines run at a time; what the second one says comes last.", nested::EXPLANATION);
    let [first, second] = Part::halves();
    let task = |only: Vec<Part>, disks, kernels| Task::Record { only, where_possible: true, disks, kernels };
    let (first, second) = (task(first, None, None), task(second, disks, kernels));
    let beside = out.with_file_name("record-second");
    let (tell, lines) = channel();
    let ended = std::thread::scope(|scope| {
        let machine = || perform_with(place, &second, &beside, false, Console::Lines(tell));
        let later =
            std::thread::Builder::new().name("second machine".to_owned()).spawn_scoped(scope, machine);
        let first = perform_with(place, &first, out, false, Console::Here);
        for line in lines {
            say!("{line}");
        }
        let later = later.context("no thread can be started")?.join();
        // Of both machines what went wrong is told; what the first one says of the reason stands above what the second one says.
        match (first, later.map_err(|_| anyhow!("the thread of the second machine has panicked"))?) {
            (Err(first), Err(second)) => bail!("{first:#}\nand of the second machine: {second:#}"),
            (first, second) => first.and(second),
        }
    });
    let joined = join(out, &beside);
    ended.and(joined)
}

/// Adds to a record what the second machine has left; of files of the same name the first one's stays.
fn join(out: &Path, beside: &Path) -> Result<()> {
    if let (Ok(mut record), Ok(later)) = (Record::read(out), Record::read(beside)) {
        record.append(later);
        record.write(out)?;
    }
    for entry in std::fs::read_dir(beside).with_context(|| format!("cannot read {}", beside.display()))? {
        let from = entry?.path();
        let Some(to) = from.file_name().map(|name| out.join(name)).filter(|to| !to.exists()) else {
            continue;
        };
        std::fs::rename(&from, &to).with_context(|| format!("cannot make {}", to.display()))?;
    }
    std::fs::remove_dir_all(beside).with_context(|| format!("cannot empty {}", beside.display()))
}

/// Copies what guests need of the kernels that were fetched beside the one that all is looked at with; `None` if there is no other.
fn further_kernels(place: &Where, only: &[Part], copied: &Path) -> Result<Option<PathBuf>> {
    if !only.is_empty() && !only.contains(&Part::Kernels) {
        return Ok(None);
    }
    let own = place.examine().into_pieces().map_err(bad_input)?.kernel;
    let folder = copied.join("kernels");
    for (kernel, modules) in kernels_beside(&Pieces::folder(&target())) {
        if kernel.file_name() != own.file_name() {
            let name = kernel.file_name().unwrap_or_default();
            copy_kernel(&kernel, &modules, &folder.join(name)).context("a kernel cannot be copied")?;
        }
    }
    if !folder.is_dir() {
        note!(
            "further kernels: left out, for none was fetched (`cargo xtask guest fetch` brings one where the release is old)"
        );
        return Ok(None);
    }
    Ok(Some(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_are_one_record() {
        let folder = tempfile::tempdir().unwrap();
        let (out, beside) = (folder.path().join("record"), folder.path().join("record-second"));
        let half = |figure: &str| Record { figures: vec![(figure.to_owned(), 1.0)], ..Record::default() };
        for (place, figure) in [(&out, "first"), (&beside, "second")] {
            std::fs::create_dir(place).unwrap();
            half(figure).write(place).unwrap();
            std::fs::write(place.join("pieces.json"), figure).unwrap();
        }
        std::fs::write(beside.join("root.vhd"), "disk").unwrap();
        join(&out, &beside).unwrap();
        let names: Vec<_> = Record::read(&out).unwrap().figures.into_iter().map(|figure| figure.0).collect();
        assert_eq!(names, ["first", "second"]);
        assert_eq!(std::fs::read_to_string(out.join("pieces.json")).unwrap(), "first");
        assert!(out.join("root.vhd").is_file() && !beside.exists());
    }

    #[test]
    fn each_part_is_in_one_half() {
        let [first, second] = Part::halves();
        let all: Vec<Part> = first.iter().chain(&second).copied().collect();
        assert_eq!(all, <Part as clap::ValueEnum>::value_variants());
        assert!(!first.is_empty() && second.contains(&Part::Disks) && second.contains(&Part::Kernels));
    }
}
