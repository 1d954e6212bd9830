//! Writes the small trace that comes with the project: `cargo run -p scenario --example generate-trace > scenarios/loads/generated-trace.csv`.

fn main() -> std::io::Result<()> {
    scenario::compare::loads::generated_trace().write(std::io::stdout().lock())
}
