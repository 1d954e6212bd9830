//! `cargo xtask fuzz`: the fuzz functions, guided by coverage.
//!
//! The same functions run on generated input in `cargo xtask test`. Here libFuzzer looks for what that does not reach. What it
//! finds interesting stays under `target/fuzz-corpus/`; the committed corpus (`fuzz/corpus/`) is only read.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::bad_input;
use super::tools::{Tool, has_subcommand, step, workspace_root};

/// What to fuzz, and for how long.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Which target; all of them, one after the other, if none is named
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
}

/// Fuzzes. A target that fails leaves its input under `fuzz/artifacts/` and ends this.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = workspace_root();
    let targets = targets(&root.join("fuzz/targets"))?;
    let chosen: Vec<&String> = match &args.target {
        None => targets.iter().collect(),
        Some(name) => match targets.iter().find(|target| *target == name) {
            Some(target) => vec![target],
            None => {
                return Err(bad_input(format!(
                    "there is no fuzz target {name:?}; there are {}",
                    targets.join(", ")
                )));
            }
        },
    };
    if !has_subcommand("fuzz") {
        bail!(
            "cargo-fuzz is not installed: `cargo install cargo-fuzz` (it needs a C++ compiler for libFuzzer). \
             Without it, the same functions run on generated input in `cargo xtask test`, and for as long as you like \
             in `cargo run -p whole-stack-tests --example fuzz -- SECONDS`."
        );
    }
    for target in chosen {
        let found = root.join("target/fuzz-corpus").join(target);
        fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let committed = Path::new("fuzz/corpus").join(target);
        let mut folders = vec![found.to_string_lossy().into_owned()];
        if root.join(&committed).is_dir() {
            folders.push(committed.to_string_lossy().into_owned());
        }
        // Without a sanitizer: sanitizers need a nightly toolchain, and safe code has little for them to find.
        let tool = Tool::cargo(["fuzz", "run", "--fuzz-dir", "fuzz", "--sanitizer", "none"])
            .args([target.clone()])
            .args(folders)
            .args(["--".to_owned(), format!("-max_total_time={}", args.seconds), "-max_len=4096".to_owned()]);
        step(&format!("fuzz: {target}, {} s", args.seconds), tool)?;
    }
    Ok(())
}

/// All targets for a minute, on random input and on changed inputs of the corpus, without coverage: nothing has to be installed.
///
/// `build` is the cargo command that builds the program.
pub(crate) fn for_a_minute(build: Tool, seed: Option<&str>) -> Result<()> {
    let fuzz = build.args(["--example", "fuzz"]).built("fuzz")?;
    step("fuzz: all targets, 60 s", fuzz.args(["60"]).args(seed))
}

/// The targets there are: a file for each.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem()
        {
            targets.push(name.to_string_lossy().into_owned());
        }
    }
    targets.sort();
    Ok(targets)
}
