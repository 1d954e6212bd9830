//! The command line of the project: `cargo xtask --help`.
fn main() -> anyhow::Result<()> {
    Ok(())
}
