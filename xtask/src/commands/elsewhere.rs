//! Commands that this build of the program leaves out.
//!
//! The first `cargo xtask scenario` need not compile real guests, comparisons or a book builder. So each command names the features of
//! this package that it takes; a command whose features are missing is run by a build that has them, which cargo makes when it is first
//! asked for. `cargo install --path xtask --features full` has them all.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use super::tools::workspace_root;

/// What stands in the list of commands for one that is left out. Its arguments are read where it is run.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// A build of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Build {
    /// The feature that it is built with, or several, separated by commas.
    feature: &'static str,
    /// Whether link-time optimisation and the rest of the release profile are worth waiting for.
    release: bool,
}

const STUDY: Build = Build { feature: "study", release: false };
/// With the solver that the front of a comparison takes.
const COMPARE: Build = Build { feature: "bound", release: false };
const GUEST: Build = Build { feature: "guest", release: false };
const QEMU: Build = Build { feature: "qemu", release: false };
const CAPTURE: Build = Build { feature: "guest,export", release: false };
const WATCHED: Build = Build { feature: "guest,live", release: false };
const WATCHED_CAPTURE: Build = Build { feature: "guest,export,live", release: false };
const EXPORT: Build = Build { feature: "export", release: false };
pub(crate) const PARQUET: Build = Build { feature: "parquet", release: false };
const BENCH: Build = Build { feature: "bench", release: true };
/// Nothing is measured, so nothing need be optimised.
const BENCH_HELP: Build = Build { feature: "bench", release: false };
pub(crate) const DOCS: Build = Build { feature: "docs", release: false };
const STORAGE: Build = Build { feature: "storage", release: false };
const SIZING: Build = Build { feature: "sizing", release: false };
const WORKBOOK: Build = Build { feature: "workbook", release: false };
const LIVE: Build = Build { feature: "live", release: false };

/// Whether this build has a feature.
fn here(build: Build) -> bool {
    let feature = match build.feature {
        "study" => cfg!(feature = "study"),
        "bound" => cfg!(feature = "bound"),
        "guest" => cfg!(feature = "guest"),
        "qemu" => cfg!(feature = "qemu"),
        "guest,live" => cfg!(all(feature = "guest", feature = "live")),
        "guest,export,live" => cfg!(all(feature = "guest", feature = "export", feature = "live")),
        "guest,export" => cfg!(all(feature = "guest", feature = "export")),
        "export" => cfg!(feature = "export"),
        "parquet" => cfg!(feature = "parquet"),
        "bench" => cfg!(feature = "bench"),
        "docs" => cfg!(feature = "docs"),
        "live" => cfg!(feature = "live"),
        "storage" => cfg!(feature = "storage"),
        "sizing" => cfg!(feature = "sizing"),
        "workbook" => cfg!(feature = "workbook"),
        other => unreachable!("a build of {other}"),
    };
    // A measurement of a build with assertions would say nothing.
    feature && !(build.release && cfg!(debug_assertions))
}

/// The build that the words of a command line ask for, if it is not this one.
pub(crate) fn needed(words: &[OsString]) -> Option<Build> {
    let (command, rest) = words.split_first()?;
    // An option's value may stand in the word of the option.
    let has = |word: &str| {
        rest.iter().any(|other| {
            other == word
                || other
                    .to_str()
                    .is_some_and(|other| other.split_once('=').is_some_and(|(name, _)| name == word))
        })
    };
    let has_value = |option: &str, value: &str| {
        rest.windows(2).any(|words| words[0] == option && words[1] == value)
            || rest.iter().any(|word| word.to_str() == Some(&format!("{option}={value}")))
    };
    let build = match command.to_str()? {
        "help" => return needed(&[rest, &[OsString::from("--help")]].concat()),
        // A build that can compare does, with the front or without it; what a sweep's points come to is the same bytes in that build.
        "compare" if here(STUDY) => return None,
        "sweep" if here(STUDY) && here(SIZING) => return None,
        "compare" | "sweep" => COMPARE,
        "diff" | "verify" | "explore" | "tune" => STUDY,
        "import" | "size" if rest.iter().any(is_workbook) => WORKBOOK,
        "import" | "size" => SIZING,
        "storage-sizing" | "vhd" => STORAGE,
        "guest" if has("--capture") && has("--live") => WATCHED_CAPTURE,
        "guest" if has("--capture") => CAPTURE,
        "guest" if has("--live") => WATCHED,
        "guest" => GUEST,
        "qemu" => QEMU,
        "export" if has_value("--format", "parquet") => PARQUET,
        "export" => EXPORT,
        "scenario" if has(super::guest_place::REAL_LINUX) && has("--live") => WATCHED,
        "scenario" if has(super::guest_place::REAL_LINUX) => GUEST,
        "scenario" | "replay" if has("--live") => LIVE,
        "test" if has("--real-guest") => GUEST,
        "bench" if has("--help") || has("-h") => BENCH_HELP,
        "bench" => BENCH,
        // All three tell of the whole command line, so they are of one build: what they say must not depend on which build says it.
        "docs" | "completions" | "man" => DOCS,
        _ => return None,
    };
    (!here(build)).then_some(build)
}

/// Whether a word names a spreadsheet.
fn is_workbook(word: &OsString) -> bool {
    std::path::Path::new(word).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xlsx"))
}

/// A cargo that runs a build of this program with the words of a command line that are to be added.
fn cargo(build: Build) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.arg("run").arg("--manifest-path").arg(workspace_root().join("Cargo.toml"));
    command.args(["--locked", "--package", "xtask", "--features", build.feature]);
    if build.release {
        command.arg("--release");
    }
    command.arg("--");
    command
}

/// Runs the words of a command line in another build; its exit code is this program's.
///
/// # Errors
/// There is no cargo.
pub(crate) fn run(build: Build, words: &[OsString]) -> Result<ExitCode> {
    let mut command = cargo(build);
    command.args(words);
    // In place of this process, so that signals reach the command.
    #[cfg(unix)]
    let status = Err(std::os::unix::process::CommandExt::exec(&mut command));
    #[cfg(not(unix))]
    let status = command.status();
    let status: std::process::ExitStatus = status.context("cannot run cargo")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// As [`run`], as a step of another command.
///
/// # Errors
/// It did not end with exit code 0.
#[cfg(feature = "docs")]
pub(crate) fn step(name: &str, build: Build, words: &[&str]) -> Result<()> {
    super::tools::timed(name, || {
        let mut command = if here(build) { Command::new(std::env::current_exe()?) } else { cargo(build) };
        let status = command.args(words).status().context("cannot run the command in its build")?;
        anyhow::ensure!(status.success(), "`cargo xtask {}` failed ({status})", words.join(" "));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Option<Build> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        needed(&words)
    }

    #[test]
    fn what_every_build_has_is_run_here() {
        for line in [
            "scenario multi-vm",
            "scenario multi-vm --metrics 127.0.0.1:9182",
            "events runs/a",
            "--help",
            "help scenario",
            "test",
            "new-balancer x",
        ] {
            assert_eq!(asked(line), None, "{line}");
        }
    }

    #[test]
    fn what_a_build_leaves_out_is_run_by_one_that_has_it() {
        for (line, build) in [
            ("diff runs/a runs/b", STUDY),
            ("help verify", STUDY),
            ("import vms.csv --out load.toml", SIZING),
            ("size load.toml", SIZING),
            ("size rvtools.XLSX", WORKBOOK),
            ("guest doctor", GUEST),
            ("qemu --qmp /run/vms/*.qmp --dry-run", QEMU),
            ("guest --nested --capture x.pcapng", CAPTURE),
            ("guest contend --live", WATCHED),
            ("guest --live --capture=x.pcapng", WATCHED_CAPTURE),
            ("scenario real-linux --live", WATCHED),
            ("export runs/a --format csv --out x", EXPORT),
            ("export runs/a --format parquet --out x", PARQUET),
            ("export runs/a --format=parquet --out x", PARQUET),
            ("export runs/parquet --format csv --out parquet", EXPORT),
            ("scenario real-linux --force", GUEST),
            ("replay runs/a --live", LIVE),
            ("test --real-guest", GUEST),
            ("vhd info a.vhd", STORAGE),
            ("help storage-sizing", STORAGE),
            ("size load.toml", SIZING),
            ("docs --check", DOCS),
            ("bench --help", BENCH_HELP),
            ("help bench", BENCH_HELP),
        ] {
            assert_eq!(asked(line), (!here(build)).then_some(build), "{line}");
        }
        assert_eq!(asked("compare --json"), (!here(STUDY)).then_some(COMPARE));
        // With assertions on, as tests are built, a benchmark is never run here.
        #[cfg(debug_assertions)]
        assert_eq!(asked("bench stack"), Some(BENCH));
    }
}
