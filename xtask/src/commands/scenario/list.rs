//! The scenarios of the project.

use anyhow::Result;
use scenario::file::{self, LoadOptions};
use serde::Serialize;

use crate::commands::guest_place::REAL_LINUX;
use terminal_text::wrap_after;

use crate::output::{look, say, tell};

/// Scenarios of one kind.
#[derive(Debug, Serialize)]
struct Group {
    /// What they are, and where their files are.
    kind: &'static str,
    scenarios: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: &'static str,
    title: String,
}

fn titled(scenarios: &'static [(&'static str, &'static str)]) -> Vec<Entry> {
    let entry = |&(name, _): &(&'static str, _)| {
        let title =
            file::find(name, &LoadOptions::default()).map_or_else(|_| String::new(), |found| found.title);
        Entry { name, title }
    };
    scenarios.iter().map(entry).collect()
}

fn groups() -> [Group; 4] {
    let guests = "Unmodified Linux guests on KVM (see `cargo xtask guest doctor`)";
    [
        Group {
            kind: "What the sources and others ran, and Microsoft's tests, of Linux guests on later hosts (scenarios/)",
            scenarios: titled(file::BUILT_IN),
        },
        Group { kind: "How something works (scenarios/)", scenarios: titled(file::SHOWN) },
        Group {
            kind: "Loads that balancers are compared by (scenarios/loads/)",
            scenarios: titled(file::LOADS),
        },
        Group { kind: "Real guests", scenarios: vec![Entry { name: REAL_LINUX, title: guests.to_owned() }] },
    ]
}

/// Prints them: for people, or as JSON.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn print(json: bool) -> Result<()> {
    let groups = groups();
    if json {
        say!("{}", serde_json::to_string_pretty(&groups)?);
        return Ok(());
    }
    let all = groups.iter().flat_map(|group| &group.scenarios);
    let width = all.map(|entry| entry.name.len()).max().unwrap_or(0);
    for group in &groups {
        tell!("{}:", group.kind);
        for Entry { name, title } in &group.scenarios {
            say!("{}", wrap_after(&format!("  {name:<width$}  "), title, look().columns, width + 4));
        }
        say!("");
    }
    tell!(
        "Run one with `cargo xtask scenario NAME`; copy its file, change it, and run `cargo xtask scenario FILE.toml`.\n\
         Options: `cargo xtask scenario --help`."
    );
    Ok(())
}
