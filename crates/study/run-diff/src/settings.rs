//! What was set differently: keys of the scenarios' files, and how the runs were made.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::{Table, Value};

use crate::{Pair, Run};

/// A key that has not the same value in both runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The key's path as `--set` takes it, or what of the run it is.
    pub key: String,
    /// The values as TOML; `None` where the key is not there.
    pub values: Pair<Option<String>>,
}

/// Keys that are not the same.
pub(crate) fn differences(runs: Pair<&Run>, missing: &mut Vec<String>) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut differ = |key: &str, values: Pair<Option<String>>| {
        if !values.is_same() {
            settings.push(Setting { key: key.to_owned(), values });
        }
    };
    let of = |say: fn(&run_journal::Manifest) -> String| runs.map(|run| run.manifest.as_ref().map(say));
    differ("scenario", of(|manifest| manifest.scenario.name.clone()));
    differ("policy", of(|manifest| manifest.policy.clone()));
    differ("seed", of(|manifest| manifest.seeds.seed.to_string()));
    let schedule = |run: &Run| run.manifest.as_ref()?.seeds.schedule_seed.map(|seed| seed.to_string());
    differ("schedule seed", runs.map(schedule));
    differ("end of the run", of(|manifest| manifest.until.clone()));
    differ("sample interval", of(|manifest| manifest.sample_interval.clone()));
    differ("recorded events", of(|manifest| manifest.events.name().to_owned()));
    differ("version of the program", of(|manifest| manifest.version.clone()));
    let texts = runs.map(|run| {
        let text = run.scenario.as_deref()?;
        text.parse::<Table>()
            .map_err(|error| missing.push(format!("{}: {}", run.directory.display(), error.message())))
            .ok()
    });
    if let Pair { first: Some(first), second: Some(second) } = texts {
        let keys = Pair::new(flat(first), flat(second));
        let mut names: Vec<&String> = keys.first.keys().chain(keys.second.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            differ(name, keys.as_ref().map(|keys| keys.get(name).cloned()));
        }
    }
    settings
}

/// All keys with values, by their paths.
fn flat(table: Table) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    for (key, value) in table {
        // What a scenario is called and said to be for changes nothing.
        if !matches!(key.as_str(), "title" | "description" | "source") {
            flatten(&key, value, &mut keys);
        }
    }
    keys
}

fn flatten(path: &str, value: Value, keys: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                flatten(&format!("{path}.{key}"), value, keys);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_table) => {
            for (place, entry) in list.into_iter().enumerate() {
                // VMs go by their names, other entries by their number.
                let name =
                    entry.get("name").and_then(Value::as_str).filter(|_| path == "vm").map(str::to_owned);
                flatten(&format!("{path}.{}", name.unwrap_or_else(|| (place + 1).to_string())), entry, keys);
            }
        }
        other => {
            keys.insert(path.to_owned(), other.to_string());
        }
    }
}
