//! `cargo xtask docs`: the book, and the reference pages that are generated from code.

use anyhow::Result;

/// What to do with the book.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Say which generated pages differ from what the code gives, and change nothing.
    #[arg(long)]
    check: bool,
}

/// Writes the generated pages and builds the book into `docs/book/`.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.check {
        return check();
    }
    super::reference::write()?;
    build()
}

/// Checks the generated pages, then builds the book.
pub(crate) fn check() -> Result<()> {
    super::reference::check()?;
    build()
}

/// In a build without the book builder: run this command again in one that has it.
#[cfg(not(feature = "book"))]
fn build() -> Result<()> {
    use super::tools::{Tool, step};
    step(
        "book",
        Tool::cargo(["run", "--quiet", "--release", "--locked", "--package", "xtask", "--features", "book", "--", "docs-build"])
    )
}

/// Builds the book.
#[cfg(feature = "book")]
fn build() -> Result<()> {
    build_here()
}

/// Builds the book in this process.
#[cfg(feature = "book")]
pub(crate) fn build_here() -> Result<()> {
    let book = mdbook_driver::MDBook::load(super::tools::workspace_root().join("docs"))?;
    book.build()?;
    eprintln!("the book is at docs/book/index.html");
    Ok(())
}
