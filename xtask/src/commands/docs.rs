//! `cargo xtask docs`: the book, the pages of it that are generated from code, and what it shows of commands.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::tools::{Tool, step, workspace_root};

/// What to do with the book.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Say which generated pages and examples differ from what the code gives, and change nothing.
    #[arg(long)]
    check: bool,
    /// Only this generated page or figure, by its path below docs/src, such as reference/counters.md; the book is not built. Can be given
    /// several times
    #[arg(long, value_name = "PATH")]
    page: Vec<String>,
}

/// Writes the generated pages and examples, and builds the book into `docs/book/`.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !args.page.is_empty() {
        let chosen = super::reference::chosen(&args.page)?;
        return if args.check { super::reference::check(&chosen) } else { super::reference::write(&chosen) };
    }
    if args.check {
        return check();
    }
    super::reference::write(super::reference::PAGES)?;
    super::examples::write()?;
    super::queries::write()?;
    links()?;
    build()
}

/// Checks generated pages, examples and links, then builds the book. Examples run one after another, so a core is left for the pages and
/// for compiling the program that builds the book.
fn check() -> Result<()> {
    std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            super::reference::check(super::reference::PAGES)?;
            step("the program that builds the book", builder("build"))
        });
        super::examples::check()?;
        super::queries::check()?;
        others.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    links()?;
    build()
}

/// Checks that every link within the book leads to a page of it, and every page is in the table of contents.
fn links() -> Result<()> {
    let root = workspace_root().join("docs/src");
    let summary = root.join("SUMMARY.md");
    let mut pages = Vec::new();
    super::examples::markdown(&root, &mut pages)?;
    let mut wrong = Vec::new();
    let mut listed = Vec::new();
    for page in &pages {
        let text =
            std::fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
        for target in targets(&text) {
            let file = resolve(page.parent().unwrap_or(&root), target);
            if !file.is_file() {
                wrong.push(format!(
                    "{} links to {target}, which is not there",
                    page.strip_prefix(&root)?.display()
                ));
            }
            if *page == summary {
                listed.push(file);
            }
        }
    }
    for page in pages.iter().filter(|page| **page != summary && !listed.contains(page)) {
        wrong.push(format!("{} is not in SUMMARY.md", page.strip_prefix(&root)?.display()));
    }
    if !wrong.is_empty() {
        bail!("the book is not whole:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

/// Files that a page links to, without links to elsewhere and to parts of itself.
fn targets(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let outside_code = text.lines().filter(|line| {
        if line.starts_with("```") {
            in_code = !in_code;
        }
        !in_code
    });
    outside_code
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split('#').next().unwrap_or(target))
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.contains(' '))
        .collect()
}

fn resolve(folder: &Path, target: &str) -> PathBuf {
    let mut path = folder.to_owned();
    for part in target.split('/') {
        match part {
            "." => {}
            ".." => {
                path.pop();
            }
            name => path.push(name),
        }
    }
    path
}

/// Builds the book, by a program of its own.
fn build() -> Result<()> {
    step("book", builder("run"))
}

/// A cargo command on the program that builds the book.
fn builder(command: &str) -> Tool {
    Tool::cargo([command, "--locked", "--package", "book-builder"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "[a](b.md) and [c](../d/e.md#f), [g](#h), [i](https://j)\n```text\n[k](l.md)\n```\n";
        assert_eq!(targets(text), ["b.md", "../d/e.md"]);
        assert_eq!(resolve(Path::new("/x/y"), "../d/e.md"), Path::new("/x/d/e.md"));
    }
}
