//! What the book and the README show of commands: made by running them, so that it is what a reader sees.
//!
//! A block of a page is an example if a comment stands before it:
//!
//! ````text
//! <!-- example
//! run multi-vm
//! show events runs/multi-vm-001 --vm VM8 | head -n 3
//! -->
//! ```console
//! $ cargo xtask events runs/multi-vm-001 --vm VM8
//! …
//! ```
//! ````
//!
//! The comment is a shell script; its output is what the block shows. `show` prints a command and runs it; `run` makes the run
//! that the examples look at, `tell` and `story` print what it said, with and without its command; `record` brings a folder of `docs/records`, which
//! was recorded where no run can be repeated. All examples share one folder, and what they show is the same on every machine: runs are
//! functions of scenario, seed and version. A block after `<!-- file NAME -->` is written to that folder first.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::tools::workspace_root;
use crate::output::note;

/// Lines are cut here; a page scrolls to this without end otherwise.
const WIDTH: usize = 400;

/// What examples may use.
const PRELUDE: &str = r#"
set -e
xtask() { "$XTASK" "$@" 2>&1; }
cargo() { shift; xtask "$@"; }
show() { echo "$ cargo xtask $*"; xtask "$@" || true; }
run() { n="${1%.toml}"; mkdir -p runs; [ -f "runs/$n.txt" ] || xtask scenario "$1" --out "runs/$n-001" > "runs/$n.txt"; }
story() { run "$1"; cat "runs/${1%.toml}.txt"; }
tell() { echo "$ cargo xtask scenario $1"; story "$1"; }
record() { [ -d "$1" ] || cp -r "$RECORDS/$1" "$1"; }
seq_of() { sed -n 's/^[^#]*#\([0-9]*\) .*/\1/p' | head -n 1; }
"#;

/// Makes all examples again, and writes the pages whose examples have changed.
pub(crate) fn write() -> Result<()> {
    for (path, _, new) in changed()? {
        std::fs::write(&path, new).with_context(|| format!("cannot write {}", path.display()))?;
        note!("wrote the examples of {}", shown(&path));
    }
    Ok(())
}

/// Says which pages show what the commands no longer print.
pub(crate) fn check() -> Result<()> {
    let changed = changed()?;
    if let Some((path, old, new)) = changed.first() {
        let difference = old.lines().zip(new.lines()).find(|(old, new)| old != new);
        let (old, new) = difference.unwrap_or(("(fewer or more lines)", ""));
        let pages: Vec<String> = changed.iter().map(|(path, ..)| shown(path)).collect();
        bail!(
            "examples are not what the commands print: {}; run `cargo xtask docs`. The first, in {}:\n  is     {old}\n  should {new}",
            pages.join(", "),
            shown(path)
        );
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace_root()).unwrap_or(path).display().to_string()
}

/// Pages whose examples differ: path, old text, new text.
fn changed() -> Result<Vec<(PathBuf, String, String)>> {
    let root = workspace_root();
    let mut pages = vec![root.join("README.md")];
    markdown(&root.join("docs/src"), &mut pages)?;
    if Command::new("sh")
        .args(["-c", "sed --version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        note!("note: there is no `sh` here, so the examples of the book are left as they are");
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir()?;
    pages
        .into_iter()
        .map(|path| {
            let old =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let new =
                refresh(&old, folder.path()).with_context(|| format!("an example of {}", shown(&path)))?;
            Ok((path, old, new))
        })
        .filter(|page| page.as_ref().map_or(true, |(_, old, new)| old != new))
        .collect()
}

/// All Markdown files below a folder, in order.
pub(crate) fn markdown(folder: &Path, pages: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            markdown(&path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    Ok(())
}

/// The text of a page with its examples made again.
fn refresh(page: &str, folder: &Path) -> Result<String> {
    let mut out = String::new();
    let mut lines = page.lines().peekable();
    let mut script: Option<String> = None;
    let mut file: Option<String> = None;
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line == "<!-- example" {
            let mut text = String::new();
            for line in lines.by_ref() {
                out.push_str(line);
                out.push('\n');
                if line == "-->" {
                    break;
                }
                text.push_str(line);
                text.push('\n');
            }
            script = Some(text);
        } else if let Some(name) = line.strip_prefix("<!-- file ").and_then(|rest| rest.strip_suffix(" -->"))
        {
            file = Some(name.to_owned());
        } else if line.starts_with("```") && (script.is_some() || file.is_some()) {
            let mut body = String::new();
            for line in lines.by_ref() {
                if line == "```" {
                    break;
                }
                body.push_str(line);
                body.push('\n');
            }
            if let Some(name) = file.take() {
                std::fs::write(folder.join(name), &body)?;
            }
            out.push_str(&match script.take() {
                Some(script) => output(&script, folder)?,
                None => body,
            });
            out.push_str("```\n");
        }
    }
    Ok(out)
}

/// What a script prints, with endless lines cut.
fn output(script: &str, folder: &Path) -> Result<String> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let done = Command::new("sh")
        .args(["-c", &format!("{PRELUDE}{script}")])
        .current_dir(folder)
        .env("XTASK", program)
        .env("RECORDS", workspace_root().join("docs/records"))
        .env("NO_COLOR", "1")
        .env("COLUMNS", "110")
        .output()
        .context("cannot run sh")?;
    if !done.status.success() {
        bail!("this fails ({}):\n{script}{}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    let mut text = String::new();
    for line in String::from_utf8_lossy(&done.stdout).lines() {
        let line = line.trim_end();
        let cut: String = line.chars().take(WIDTH).collect();
        let more = if cut.len() < line.len() { "…" } else { "" };
        // Writing to a String does not fail.
        let _: std::fmt::Result = writeln!(text, "{cut}{more}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn an_example_shows_what_its_script_prints() {
        let page = "A\n<!-- file a.txt -->\n```text\nhello\n```\n<!-- example\ncat a.txt\n-->\n```console\nold\n```\nZ\n```sh\nkept\n```\n";
        let folder = tempfile::tempdir().unwrap();
        let new = refresh(page, folder.path()).unwrap();
        assert_eq!(new, page.replace("old\n", "hello\n"));
    }
}
