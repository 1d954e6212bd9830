//! What commands that run for a while have in common: how far they are, and the folder for what they find.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{RUNS, bad_input};

/// A bar on standard error, if it is to be shown.
pub(super) fn progress_bar(show: bool, template: &str) -> ProgressBar {
    let target = if show { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// What a command leaves in a folder.
pub(super) struct Results {
    /// What it is, such as `comparison`.
    pub(super) what: &'static str,
    /// Folders without a name of their own are `runs/KIND-001` and so on.
    pub(super) kind: &'static str,
    /// The files.
    pub(super) files: &'static [&'static str],
}

impl Results {
    /// Makes the folder: the one that is asked for, or the next that is free. A folder that holds anything else is left alone.
    pub(super) fn folder(&self, out: Option<&Path>, force: bool) -> Result<PathBuf> {
        let Some(out) = out else {
            return scenario::run::directory::create_next(Path::new(RUNS), self.kind).map_err(bad_input);
        };
        let what = self.what;
        if let Ok(entries) = std::fs::read_dir(out) {
            for entry in entries {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if !self.files.contains(&name.as_str()) {
                    return Err(bad_input(format!(
                        "{} holds {name:?}, which no {what} has left there: name another folder with --out",
                        out.display()
                    )));
                }
                if !force {
                    return Err(bad_input(format!(
                        "{} exists already; --force overwrites a {what}, --out names another folder",
                        out.display()
                    )));
                }
            }
        }
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        Ok(out.to_owned())
    }
}
