//! The page of the JSON files of a run, from the types that are written to them.

use std::fmt::Write as _;

use anyhow::{Result, bail};

use super::{cell, source};

/// The objects of `summary.json`: the type, and how the page calls it.
const SUMMARY: [(&str, &str, &str); 10] = [
    ("crates/study/scenario/src/run/summary.rs", "Summary", "summary.json"),
    ("crates/study/scenario/src/run/summary.rs", "EndSummary", "end"),
    ("crates/study/scenario/src/run/summary.rs", "HostSummary", "host"),
    ("crates/study/scenario/src/run/summary.rs", "VmSummary", "vm"),
    ("crates/study/scenario/src/run/summary.rs", "Refusal", "refusal"),
    ("crates/study/scenario/src/run/summary.rs", "InGuest", "in_guest"),
    ("crates/study/scenario/src/run/sums.rs", "Spread", "spread"),
    ("crates/study/scenario/src/run/phases.rs", "Phases", "phases"),
    ("crates/study/scenario/src/run/summary.rs", "MemoryMoved", "memory moved"),
    ("crates/study/scenario/src/run/summary.rs", "LoggedEvent", "logged event"),
];
const MANIFEST: [(&str, &str, &str); 3] = [
    ("crates/runtime/run-journal/src/manifest.rs", "Manifest", "manifest.json"),
    ("crates/runtime/run-journal/src/manifest.rs", "ScenarioIdentity", "scenario"),
    ("crates/runtime/run-journal/src/manifest.rs", "Seeds", "seeds"),
];

/// The page.
pub(super) fn page() -> Result<String> {
    let mut page = String::from(
        "# summary.json and manifest.json\n\nWhat the two JSON files of a run hold, from the types that are written to them. Sizes are MB of 2^20 bytes, pressure\n\
         is in percent, times are seconds of virtual time. What a run with one VM and a run with a thousand leave has the same form.\n",
    );
    for (file, name, title) in SUMMARY.iter().chain(&MANIFEST) {
        let fields = source::fields(&source::read(file)?, name);
        if fields.is_empty() {
            bail!("{file} has no struct {name} any more: correct xtask/src/commands/reference/files.rs");
        }
        let heading =
            if title.contains('.') { format!("`{title}`") } else { format!("The object `{title}`") };
        // Writing to a String does not fail.
        let _: std::fmt::Result =
            writeln!(page, "\n## {heading}\n\n| key | value | meaning |\n|---|---|---|");
        for field in fields {
            let _: std::fmt::Result =
                writeln!(page, "| `{}` | {} | {} |", field.name, kind(&field.kind), cell(&field.doc));
        }
    }
    Ok(page)
}

/// A Rust type, as JSON has it.
fn kind(rust: &str) -> String {
    let within = |outer: &str| rust.strip_prefix(outer).and_then(|rest| rest.strip_suffix('>'));
    if let Some(inner) = within("Option<") {
        return format!("{}, or null", kind(inner));
    }
    if let Some(inner) = within("Vec<") {
        return format!("list of {}", kind(inner));
    }
    let name = rust.rsplit("::").next().unwrap_or(rust);
    let known = SUMMARY.iter().chain(&MANIFEST).find(|(_, known, _)| *known == name);
    match name {
        "f64" => "number".to_owned(),
        "u16" | "u32" | "u64" | "usize" => "whole number".to_owned(),
        "bool" => "true or false".to_owned(),
        "VmState" => "`off`, `starting`, `running`, `stopping` or `failed`".to_owned(),
        "EventsLevel" => "`all`, `decisions` or `none`".to_owned(),
        _ if rust.starts_with("BTreeMap<") || name.starts_with("BTreeMap<") => "object".to_owned(),
        _ => known.map_or_else(
            || "text".to_owned(),
            |(_, _, title)| format!("[{title}](#the-object-{})", title.replace(' ', "-")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object that had no table would be called a text.
    #[test]
    fn every_object_of_the_summary_has_a_table() {
        for file in ["crates/study/scenario/src/run/summary.rs", "crates/study/scenario/src/run/phases.rs"] {
            let text = source::read(file).unwrap();
            let names =
                text.lines().filter_map(|line| line.strip_prefix("pub struct ")?.split([' ', '<']).next());
            let left_out: Vec<&str> =
                names.filter(|name| !SUMMARY.iter().any(|(_, known, _)| known == name)).collect();
            assert!(left_out.is_empty(), "{file}: {left_out:?}");
        }
    }
}
