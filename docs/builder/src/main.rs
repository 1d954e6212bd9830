//! Builds the book into `docs/book/`. `cargo xtask docs` runs this when generated pages, examples and links are as they should be.
#![forbid(unsafe_code)]

use std::io::Write as _;
use std::path::Path;

fn main() -> anyhow::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    mdbook_driver::MDBook::load(docs)?.build()?;
    writeln!(std::io::stderr(), "the book is at docs/book/index.html")?;
    Ok(())
}
