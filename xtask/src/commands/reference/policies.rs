//! The page of the balancing policies: what each crate says of itself, and its parameters.

use std::fmt::Write as _;

use anyhow::Result;
use policy_catalogue::{POLICIES, make};

use super::{cell, source};

/// The page.
pub(super) fn page() -> Result<String> {
    let mut page = String::from(
        "# Policies and their parameters\n\n`--policy NAME`, or `name` in a scenario file's `[policy]`, chooses one. What follows is what each crate says of itself, and\n\
         the parameters that `[policy.parameters]` may set. Times and sizes are written as everywhere: `\"300s\"`, `\"100MB\"`.\n\n\
         | policy | weights | |\n|---|---|---|\n",
    );
    // Writing to a String does not fail.
    let mut line = |text: String| {
        let _: std::fmt::Result = writeln!(page, "{text}");
    };
    for entry in POLICIES {
        let weights = make(entry.name, &Default::default()).is_ok_and(|policy| policy.uses_priority());
        line(format!(
            "| [`{0}`](#{0}) | {1} | {2} |",
            entry.name,
            if weights { "decide" } else { "ignored" },
            cell(entry.summary)
        ));
    }
    for entry in POLICIES {
        let (file, config) = if entry.name == memory_balancer::hyperv::PressureBandPolicy::NAME {
            ("crates/parent/memory-balancer/src/hyperv.rs".to_owned(), "HyperVConfig")
        } else {
            (format!("crates/balancers/{}/src/lib.rs", entry.name), "Config")
        };
        line(format!("\n## `{}`\n", entry.name));
        // A policy of a user's own may live elsewhere.
        let Ok(text) = source::read(&file) else {
            line(format!("{}.", entry.summary));
            continue;
        };
        for said in source::module_doc(&text).lines() {
            // Headings of a crate are below that of its policy here.
            line(if said.starts_with('#') { format!("##{said}") } else { said.to_owned() });
        }
        let fields = source::fields(&text, config);
        if fields.is_empty() {
            line("\nIt has no parameters.".to_owned());
            continue;
        }
        let constants = file.replace("hyperv.rs", "constants.rs").replace("lib.rs", "constants.rs");
        let constants = source::read(&constants).unwrap_or_default();
        line("\n### Parameters\n\n| parameter | default | meaning |\n|---|---|---|".to_owned());
        for field in fields {
            let default = default(&text, &constants, config, &field.name);
            line(format!("| `{}` | {} | {} |", field.name, cell(&default), cell(&field.doc)));
        }
    }
    Ok(page)
}

/// The default of a parameter, as `Default` says it; a constant is shown with its unit and its label.
fn default(source: &str, constants: &str, config: &str, field: &str) -> String {
    let head = format!("impl Default for {config} {{");
    let start = format!("{field}: ");
    let said = source
        .lines()
        .skip_while(|line| *line != head)
        .take_while(|line| *line != "}")
        .find_map(|line| line.trim().strip_prefix(&start));
    let Some(said) = said.map(|said| said.trim_end_matches(',')) else { return String::new() };
    let Some(constant) = said.strip_prefix("c::").and_then(|rest| rest.split(['.', ' ']).next()) else {
        return said.to_owned();
    };
    // Long entries go on in the next line.
    let value = constants
        .split_once(&format!(" {constant} = "))
        .and_then(|(_, rest)| rest.split_once("\";"))
        .map(|(value, _)| value.split_whitespace().collect::<Vec<_>>().join(" "));
    // NAME = "text", 10.0, "s", Documented,
    let parts: Option<(&str, &str, &str)> = value.as_deref().and_then(|value| {
        let (_, rest) = value.split_once("\", ")?;
        let (number, rest) = rest.split_once(", \"")?;
        let (unit, rest) = rest.split_once("\", ")?;
        let (label, _) = rest.split_once(',')?;
        Some((number, unit, label))
    });
    parts.map_or_else(
        || said.to_owned(),
        |(number, unit, label)| {
            format!(
                "{} {} ({})",
                number.strip_suffix(".0").unwrap_or(number),
                unit.replace("MiB", "MB"),
                label.to_lowercase()
            )
        },
    )
}
