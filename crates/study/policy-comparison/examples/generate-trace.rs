//! Writes the small trace that comes with the project: `cargo run -p policy-comparison --example generate-trace > scenarios/loads/generated-trace.csv`.

fn main() -> std::io::Result<()> {
    policy_comparison::loads::generated_trace().write(std::io::stdout().lock())
}
