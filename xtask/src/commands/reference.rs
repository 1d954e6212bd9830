//! Reference pages of the book that are generated from code.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::tools::workspace_root;

/// A generated page: its path below `docs/src`, and its text.
type Page = (&'static str, fn() -> String);

/// All of them.
const PAGES: &[Page] = &[("reference/scenario-files.md", || scenario::file::reference_markdown())];

fn path(page: &str) -> PathBuf {
    workspace_root().join("docs/src").join(page)
}

/// Writes the pages that differ from what the code gives.
pub(crate) fn write() -> Result<()> {
    for (page, text) in PAGES {
        let path = path(page);
        let text = text();
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote docs/src/{page}");
    }
    Ok(())
}

/// Says which pages differ from what the code gives.
pub(crate) fn check() -> Result<()> {
    let stale: Vec<&str> = PAGES
        .iter()
        .filter(|(page, text)| std::fs::read_to_string(path(page)).ok() != Some(text()))
        .map(|(page, _)| *page)
        .collect();
    if !stale.is_empty() {
        bail!("generated pages are not up to date: {}; run `cargo xtask docs`", stale.join(", "));
    }
    Ok(())
}
