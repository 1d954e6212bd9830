//! `cargo xtask test`: everything that must hold before a change lands, in the order in which it is quickest to fail.

use std::path::Path;

use anyhow::Result;

use super::beside::Beside;
use super::loom;
use super::tools::{self, Tool, step};
use crate::output::note;

/// What to leave out or add.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Leave out the models: every interleaving (loom) and random schedules (shuttle).
    #[arg(long)]
    no_loom: bool,
    /// Leave out the minute of fuzzing.
    #[arg(long)]
    no_fuzz: bool,
    /// Draw new seeds for property tests, fuzzing and random schedules. Without it they are the same each time, so that what fails is due
    /// to what was changed.
    #[arg(long)]
    fresh: bool,
    /// Run nothing but the real guests: the unmodified Linux driver against this host (about six minutes).
    #[arg(long)]
    real_guest: bool,
    /// Run nothing but the daemon over guests of the QEMU that is installed (about three minutes).
    #[arg(long)]
    qemu: bool,
    /// With --qemu: hv-balloon as well, of a QEMU inside an emulated machine (some minutes more)
    #[arg(long, requires = "qemu")]
    nested: bool,
}

/// The program that builds the book. The program has nothing to test: a book that cannot be built fails the last step.
const BOOK_BUILDER: &str = "book-builder";

/// Of property tests, fuzzing and random schedules, unless new ones are drawn.
const SEED: u64 = 20_110_222;

/// Runs every check; stops at the first that fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.real_guest {
        return real_guest();
    }
    if args.qemu {
        return qemu(args.nested);
    }
    step("format", Tool::cargo(["fmt", "--all", "--check"]))?;
    let seed = (!args.fresh).then_some(SEED);
    // Models have a target folder of their own. They take what is left where a step cannot use all processors.
    let models = || Beside::start("models", loom::everything(seed));
    let mut models = (!args.no_loom).then(models).transpose()?;
    step("clippy", whole("clippy").args(["--all-targets", "--", "-D", "warnings"]))?;
    no_std()?;
    package()?;
    dependencies()?;
    let text = seed.map(|seed| seed.to_string());
    tests(text.as_deref())?;
    // The programs of that build: with other features, nearly every crate would be compiled once more.
    let xtask = || whole("build").args(["--bin", "xtask"]).built("xtask");
    let seeds = "1,2,3";
    step("what the source says, with three seeds", xtask()?.args(["verify", "--seed", seeds]))?;
    step(
        "what Microsoft's tests say, with three seeds",
        xtask()?.args(["verify", "--oracle", "--seed", seeds]),
    )?;
    recorded_trace()?;
    engines()?;
    if let Some(models) = &mut models {
        models.look()?;
    }
    // With the features of the steps above: what they have compiled is not compiled again.
    step("API documentation", whole("doc").args(["--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    if !args.no_fuzz {
        super::fuzz::for_a_minute(whole("build"), text.as_deref())?;
    }
    step("book", xtask()?.args(["docs", "--check"]))?;
    if let Some(models) = models {
        models.finish()?;
    }
    note!(
        "── real guests: left out (they take about six minutes)\n{}",
        super::guest_place::HOW_TO_RUN_GUESTS.trim_end()
    );
    note!("── guests of QEMU: left out (they take about three minutes): `cargo xtask test --qemu`");
    Ok(())
}

/// The tests of all crates; `seed` is that of property tests. By cargo-nextest where it is installed: cargo itself runs one program after the
/// other, and a processor waits whenever one of them comes to its last test.
fn tests(seed: Option<&str>) -> Result<()> {
    let seeded = |tool: Tool| tool.envs(seed.map(|seed| ("PROPTEST_RNG_SEED", seed)));
    if !tools::has_subcommand("nextest") {
        return step("tests", seeded(whole("test")));
    }
    let nextest = ["nextest", "run", "--workspace", "--exclude", BOOK_BUILDER, "--all-features", "--locked"];
    step("tests", seeded(Tool::cargo(nextest)))?;
    // Examples in documentation are not among what it runs.
    step("examples in the documentation of crates", seeded(whole("test").args(["--doc"])))
}

/// The daemon over guests of QEMU's. A test that finds no QEMU, or no kernel, says so.
fn qemu(nested: bool) -> Result<()> {
    let tests = ["test", "--package", "dynmemd", "--all-features", "--locked", "--test", "all"];
    let one_at_a_time = ["real_qemu::", "--", "--ignored", "--nocapture", "--test-threads", "1"];
    if !nested {
        note!("── hv-balloon: left out (it takes some minutes more): `cargo xtask test --qemu --nested`");
    }
    let skipped: &[&str] = if nested { &[] } else { &["--skip", "hv_balloon"] };
    step(
        "the daemon over QEMU's guests",
        Tool::cargo(tests).args(one_at_a_time).args(skipped.iter().copied()),
    )
}

/// A cargo command on every crate with every feature, so that each step finds what the steps before it compiled. Without the book
/// builder: with it, libraries that both take would have other features than elsewhere, and be compiled again.
fn whole(command: &str) -> Tool {
    Tool::cargo([command, "--workspace", "--exclude", BOOK_BUILDER, "--all-features", "--locked"])
}

/// Makes the packages of the crates that others take. Not compiled here: every crate would be, once more
/// (`.github/workflows/ci.yml` does that).
fn package() -> Result<()> {
    let crates = tools::published()?.into_iter().flat_map(|name| ["--package".to_owned(), name]);
    let tool = Tool::cargo(["package", "--no-verify", "--allow-dirty", "--offline", "--quiet"]);
    step("packages", tool.args(crates))
}

/// Licences, sources and advisories of all that the project takes from others, where the tool for that is installed.
fn dependencies() -> Result<()> {
    if !tools::has_subcommand("deny") {
        note!("── dependencies: left out (cargo-deny is not installed: `cargo install cargo-deny --locked`)");
        return Ok(());
    }
    step("dependencies", Tool::cargo(["deny", "--workspace", "--all-features", "check"]))
}

/// Sweeps on the engines that are installed: the same rows as on one machine, with a worker killed in the middle.
fn engines() -> Result<()> {
    let has = tools::on_path;
    let python = std::env::var("HYPERQUEUE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_hyperqueue = || {
        let asked = std::process::Command::new(&python).args(["-c", "import hyperqueue"]).output();
        asked.is_ok_and(|asked| asked.status.success())
    };
    let is_root = || std::fs::metadata("/proc/self").is_ok_and(|own| owner(&own) == 0);
    let engines = [
        ("gnu_parallel", has("parallel"), "GNU parallel is not installed: `apt-get install parallel`"),
        (
            "ssh",
            has("parallel") && has("ssh-keygen") && Path::new("/usr/sbin/sshd").is_file(),
            "GNU parallel or an ssh server is not installed: `apt-get install parallel openssh-server`",
        ),
        (
            "slurm",
            ["slurmctld", "slurmd", "munged", "sbatch"].into_iter().all(has) && is_root(),
            "Slurm is not installed, or this is not root: `apt-get install slurm-wlm`",
        ),
        (
            "hyperqueue",
            has_hyperqueue(),
            "HyperQueue's Python package is not installed: `pip install hyperqueue`, and HYPERQUEUE_PYTHON names the Python that has it",
        ),
    ];
    for (name, _, why) in engines.iter().filter(|(_, installed, _)| !installed) {
        note!("── a sweep on {name}: left out ({why})");
    }
    let installed: Vec<&str> =
        engines.iter().filter(|(_, installed, _)| *installed).map(|(name, ..)| *name).collect();
    if installed.is_empty() {
        return Ok(());
    }
    // Of the whole workspace, as the tests were: of one package, the crates below would have other features and be compiled again. All at
    // once: one works while another waits for its engine.
    let tests =
        whole("test").args(["--test", "command-line", "--", "--ignored", "--exact", "--test-threads=4"]);
    let tests = tests.args(installed.iter().map(|name| format!("engines::{name}")));
    step(&format!("a sweep on {}", installed.join(", ")), tests)
}

#[cfg(unix)]
fn owner(of: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::uid(of)
}

#[cfg(not(unix))]
fn owner(_: &std::fs::Metadata) -> u32 {
    u32::MAX
}

/// A recorded load of a real data centre, if there is one: such records do not come with the project.
fn recorded_trace() -> Result<()> {
    if std::env::var_os(TRACE).is_none() {
        note!("── a recorded trace: left out ({TRACE}=FILE.csv names one)");
        return Ok(());
    }
    let tests = ["test", "--package", "policy-comparison", "--locked", "--test", "real_trace"];
    step("a recorded trace", Tool::cargo(tests).args(["--", "--ignored"]))
}

/// The variable that names a recorded trace.
const TRACE: &str = "DYNAMIC_MEMORY_TRACE";

/// The real guests, in a build that has them.
fn real_guest() -> Result<()> {
    #[cfg(feature = "guest")]
    return super::guest::test();
    #[cfg(not(feature = "guest"))]
    anyhow::bail!("this build has no real guests");
}

/// What has to work without the standard library.
const NO_STD: [&str; 12] = [
    "-p",
    "page-range",
    "-p",
    "vmbus",
    "-p",
    "dm-protocol",
    "-p",
    "dm-vsp",
    "-p",
    "dm-vsc",
    "--no-default-features",
    "--locked",
];
/// A target that has no standard library: a crate that uses it, itself or by a dependency, does not build there.
const BARE_METAL: &str = "x86_64-unknown-none";

/// Builds for bare metal if the toolchain has the target; if not, `std` is refused by lint.
fn no_std() -> Result<()> {
    let library = Tool::rustc(["--print", "target-libdir", "--target", BARE_METAL]).output()?;
    if Path::new(String::from_utf8_lossy(&library).trim()).is_dir() {
        let tool = Tool::cargo(["build", "--target", BARE_METAL]).args(NO_STD);
        return step(&format!("no_std, on {BARE_METAL}"), tool);
    }
    let lints = ["std_instead_of_core", "std_instead_of_alloc"].map(|lint| format!("-Dclippy::{lint}"));
    step("no_std, by lint", Tool::cargo(["clippy"]).args(NO_STD).args(["--"]).args(lints))
}
