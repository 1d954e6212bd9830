//! The program as its user runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder for a test to stand in, empty.
pub(crate) fn stand(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("output").join(name);
    let _old = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

pub(crate) fn xtask(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(folder).args(words).stdin(Stdio::null());
    command
}

pub(crate) fn output(folder: &Path, words: &[&str]) -> Output {
    xtask(folder, words).output().unwrap()
}

/// A run of a few virtual seconds.
pub(crate) fn run(folder: &Path) {
    let made =
        output(folder, &["scenario", "multi-vm", "--until", "30s", "--driver", "inline", "--out", "run"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// What a command says to standard error, and its exit code.
pub(crate) fn refused(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let done = output(folder, words);
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}
