//! The dashboard for Grafana asks for nothing that is not served.

use std::collections::BTreeSet;
use std::path::Path;

use perf_counters::schema;
use serde_json::Value;

/// Words of PromQL and of Grafana that the dashboard's queries use, and the label that they choose by.
const WORDS: [&str; 7] = ["rate", "sum", "min", "max", "label_values", "vm", "__rate_interval"];

fn dashboard() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/src/grafana/dynamic-memory.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Every text under a key of this name, wherever it is.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                match value {
                    Value::String(text) if name == key => found.push(text),
                    other => texts(other, key, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| texts(value, key, found)),
        _ => {}
    }
}

#[test]
fn every_name_in_it_is_one_that_is_served() {
    let dashboard = dashboard();
    let served: BTreeSet<&str> = schema::all().map(|counter| counter.prometheus).collect();
    let mut queries = Vec::new();
    texts(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 30);
    texts(&dashboard, "definition", &mut queries);
    let mut asked = BTreeSet::new();
    for query in queries {
        let mut names = 0;
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')) {
            if served.contains(word) {
                asked.insert(word);
                names += 1;
            } else {
                assert!(WORDS.contains(&word), "{word} in {query} is nothing that is served");
            }
        }
        assert!(names > 0, "{query} asks for no counter");
    }
    // Memory, pressure, pool, operations, rings: what the dashboard is for is in it.
    for name in [
        "windows_hyperv_dynamic_memory_vm_physical_bytes",
        "windows_hyperv_dynamic_memory_vm_pressure_current_ratio",
        "windows_hyperv_dynamic_memory_balancer_available_memory_bytes",
        "windows_hyperv_dynamic_memory_vm_add_operations_total",
        "dynamic_memory_model_vmbus_upstream_ring_used_bytes",
        "dynamic_memory_model_vmbus_downstream_ring_high_water_bytes",
    ] {
        assert!(asked.contains(name), "{name}");
    }
}

/// Panels have numbers of their own, lie within 24 columns, and do not cover each other.
#[test]
fn panels_lie_beside_each_other() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let place = |panel: &Value| ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for (index, panel) in panels.iter().enumerate() {
        let [x, y, w, h] = place(panel);
        assert!(x + w <= 24, "{}", panel["title"]);
        for other in &panels[..index] {
            let [ox, oy, ow, oh] = place(other);
            let apart = x + w <= ox || ox + ow <= x || y + h <= oy || oy + oh <= y;
            assert!(apart, "{} covers {}", panel["title"], other["title"]);
        }
    }
}
