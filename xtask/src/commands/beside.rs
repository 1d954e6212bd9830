//! A command of this program that runs beside the steps of another, in what those leave of the processors.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::tools;
use crate::output::note;

/// A command that runs. What it says is kept in a file, so that it does not come between what the steps say.
///
/// If it is dropped it is ended; what it has begun (a compiler, a program of tests) comes to its own end.
#[derive(Debug)]
pub(crate) struct Beside {
    name: &'static str,
    said: PathBuf,
    running: Child,
}

impl Beside {
    /// Starts this program once more, with these arguments. It is nice to others where the system has `nice`.
    ///
    /// # Errors
    /// It cannot be started, or there is no room for what it says.
    pub(crate) fn start(name: &'static str, args: impl IntoIterator<Item = String>) -> Result<Self> {
        let root = tools::workspace_root();
        let folder = root.join("target");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let said = folder.join(format!("{name}.txt"));
        note!(
            "── {name}: beside the next steps; what is said there is shown at the end (until then: target/{name}.txt)"
        );
        let out = File::create(&said).with_context(|| format!("cannot write {}", said.display()))?;
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = if tools::on_path("nice") {
            let mut nice = Command::new("nice");
            nice.args(["-n", "19"]).arg(program);
            nice
        } else {
            Command::new(program)
        };
        let errors = out.try_clone().context("cannot write to one file twice")?;
        let running = command.args(args).current_dir(root).stdin(Stdio::null()).stdout(out).stderr(errors);
        let running = running.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, said, running })
    }

    /// Looks, without waiting, whether it has failed.
    ///
    /// # Errors
    /// It has ended, and failed. What it said has been shown then.
    pub(crate) fn look(&mut self) -> Result<()> {
        match self.running.try_wait()? {
            Some(status) if !status.success() => self.shown(status),
            _ => Ok(()),
        }
    }

    /// Waits for its end, and shows what it said.
    ///
    /// # Errors
    /// It has failed.
    pub(crate) fn finish(mut self) -> Result<()> {
        let status = self.running.wait()?;
        self.shown(status)
    }

    fn shown(&self, status: std::process::ExitStatus) -> Result<()> {
        let text =
            std::fs::read(&self.said).with_context(|| format!("cannot read {}", self.said.display()))?;
        note!("{}", String::from_utf8_lossy(&text).trim_end());
        if !status.success() {
            bail!("{} failed ({status})", self.name);
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Neither matters if it has ended already.
        let _ended = self.running.kill();
        let _status = self.running.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This program is the one that runs the tests: it lists them, or does not know what it is asked for.
    #[test]
    fn what_it_says_is_kept_and_a_failure_is_one() {
        let start = |name, arg: &str| Beside::start(name, [arg.to_owned()]).unwrap();
        let good = start("test-of-beside-good", "--list");
        let said = good.said.clone();
        good.finish().unwrap();
        let text = std::fs::read_to_string(&said).unwrap();
        assert!(text.contains("beside::tests::what_it_says_is_kept"), "{text}");
        std::fs::remove_file(said).unwrap();

        let mut bad = start("test-of-beside-bad", "--no-such-word");
        bad.running.wait().unwrap();
        let error = bad.look().unwrap_err().to_string();
        assert!(error.starts_with("test-of-beside-bad failed"), "{error}");
        assert!(!std::fs::read(&bad.said).unwrap().is_empty(), "why is kept too");
        std::fs::remove_file(&bad.said).unwrap();
    }
}
