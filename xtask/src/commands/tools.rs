//! Running other programs, with one line that says what runs.

use anyhow::{Context as _, Result, bail};

use crate::output::note;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program with its arguments and environment, run from the workspace's root.
#[derive(Debug)]
pub(crate) struct Tool {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: PathBuf,
}

impl Tool {
    /// The cargo that runs this command line.
    pub(crate) fn cargo<const N: usize>(args: [&str; N]) -> Self {
        let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        Self { program, args: args.map(str::to_owned).to_vec(), env: Vec::new(), dir: workspace_root() }
    }

    /// The compiler that cargo uses.
    pub(crate) fn rustc<const N: usize>(args: [&str; N]) -> Self {
        let program = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        Self { program, ..Self::cargo(args) }
    }

    /// Adds arguments.
    pub(crate) fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of the program's environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets variables of the program's environment, if there are any.
    pub(crate) fn envs<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        variables.into_iter().fold(self, |tool, (name, value)| tool.env(name, value))
    }

    /// The program `name` that this `cargo build` makes, with nothing said to it yet.
    pub(crate) fn built(self, name: &str) -> Result<Self> {
        /// A line of what cargo says of its work; most lines are of libraries.
        #[derive(serde::Deserialize)]
        struct Artifact {
            executable: Option<PathBuf>,
        }
        let dir = self.dir.clone();
        let said = self.args(["--message-format=json-render-diagnostics"]).output()?;
        let program = said
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Artifact>(line).ok()?.executable)
            .find(|path| path.file_stem().is_some_and(|stem| stem == name))
            .with_context(|| format!("cargo does not say where it has built {name}"))?;
        Ok(Self { program: program.to_string_lossy().into_owned(), args: Vec::new(), env: Vec::new(), dir })
    }

    /// Runs it and waits for what it prints to standard output; an exit code other than 0 is an error.
    pub(crate) fn output(self) -> Result<Vec<u8>> {
        let shown = self.shown();
        let output = Command::new(&self.program)
            .args(&self.args)
            .envs(self.env)
            .current_dir(&self.dir)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run `{shown}`"))?;
        if !output.status.success() {
            bail!("`{shown}` failed ({})", output.status);
        }
        Ok(output.stdout)
    }

    /// As a user would type it.
    fn shown(&self) -> String {
        let program = Path::new(&self.program).file_name();
        let program =
            program.map_or_else(|| self.program.clone(), |name| name.to_string_lossy().into_owned());
        format!("{program} {}", self.args.join(" "))
    }

    /// Runs it and waits; an exit code other than 0 is an error.
    pub(crate) fn run(self) -> Result<()> {
        let shown = self.shown();
        let status = Command::new(&self.program)
            .args(&self.args)
            .envs(self.env)
            .current_dir(&self.dir)
            .status()
            .with_context(|| format!("cannot run `{shown}`"))?;
        if !status.success() {
            bail!("`{shown}` failed ({status})");
        }
        Ok(())
    }
}

/// Runs `tool` under a heading on standard error, and says how long it took.
pub(crate) fn step(name: &str, tool: Tool) -> Result<()> {
    timed(name, || tool.run())
}

/// Runs `work` under a heading on standard error, and says how long it took.
#[expect(clippy::disallowed_methods, reason = "how long a step of this machine took, told and not stored")]
pub(crate) fn timed(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    note!("── {name}");
    let began = std::time::Instant::now();
    work()?;
    note!("── {name}: {} s", began.elapsed().as_secs());
    Ok(())
}

/// Whether there is a program of this name, as far as `PATH` says.
pub(crate) fn on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// Whether cargo has a subcommand that is installed apart.
pub(crate) fn has_subcommand(name: &str) -> bool {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A crate of the workspace, as cargo describes it.
#[derive(serde::Deserialize)]
struct Package {
    name: String,
    /// The registries that it may be published to; `None`: any.
    publish: Option<Vec<String>>,
}

fn members() -> Result<Vec<Package>> {
    #[derive(serde::Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let text =
        Tool::cargo(["metadata", "--no-deps", "--format-version", "1", "--locked", "--offline"]).output()?;
    let metadata: Metadata = serde_json::from_slice(&text).context("cannot read what cargo says")?;
    Ok(metadata.packages)
}

/// The crates of the workspace, by name.
pub(crate) fn packages() -> Result<Vec<String>> {
    Ok(members()?.into_iter().map(|package| package.name).collect())
}

/// The crates that may be published: what others take, and what those crates need.
pub(crate) fn published() -> Result<Vec<String>> {
    let published = |package: Package| {
        let anywhere = package.publish.is_none_or(|registries| !registries.is_empty());
        anywhere.then_some(package.name)
    };
    Ok(members()?.into_iter().filter_map(published).collect())
}

/// The target that the toolchain compiles for by itself, such as `x86_64-unknown-linux-gnu`.
pub(crate) fn host_target() -> Result<String> {
    let said = Tool::rustc(["-vV"]).output()?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV does not name its host")?.to_owned())
}

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn workspace_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// The commit of the working tree, `-dirty` at its end if files have changed; `None` outside of a git checkout.
pub(crate) fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(workspace_root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { head } else { format!("{head}-dirty") })
}
