//! The reference says what the code does: every default that it states is compared with the one in effect.

use dm_vsc::OperationTime;
use memory_balancer::BalancerConfig;
use page_range::PageCount;
use quantities::{parse_duration, parse_size};
use vmms_host::{HostOperationTime, parent_os::ParentOsConfig};

use super::*;
use crate::file::workload::{KINDS, Workload};

/// The default of a key as the reference states it, without its label.
fn stated(table: &TableDoc, key: &str) -> &'static str {
    let text = table.key(key).unwrap_or_else(|| panic!("{} has no {key}", table.name)).default;
    text.split(" (").next().unwrap_or(text)
}

fn size(table: &TableDoc, key: &str) -> PageCount {
    parse_size(stated(table, key)).unwrap()
}

fn time(table: &TableDoc, key: &str) -> Duration {
    parse_duration(stated(table, key)).unwrap()
}

fn number(table: &TableDoc, key: &str) -> f64 {
    stated(table, key).parse().unwrap()
}

#[test]
fn of_the_parent_os() {
    let doc = &schema::PARENT_OS;
    let stated = ParentOsConfig {
        in_use_idle_mib: size(doc, "in_use_idle").mib(),
        comfortable_free_mib: size(doc, "comfortable_free").mib(),
        working_set_knee_mib: size(doc, "working_set_knee").mib(),
        free_at_knee_mib: size(doc, "free_at_knee").mib(),
        need_scale_mib: size(doc, "need_scale").mib(),
        reads_at_knee: number(doc, "reads_at_knee"),
        reads_idle: number(doc, "reads_idle"),
        lag_seconds: time(doc, "lag").as_secs_f64(),
        slowdown_per_read: number(doc, "slowdown_per_read"),
        disk_reads: number(doc, "disk_reads"),
        waiting_threads: number(doc, "waiting_threads"),
        trimming: stated(doc, "trimming").parse().unwrap(),
    };
    assert_eq!(stated, ParentOsConfig::default());
}

#[test]
fn of_the_balancer() {
    let doc = &schema::BALANCER;
    let usual = BalancerConfig::for_host(PageCount::from_mib(32 << 10));
    assert_eq!(size(&schema::HOST, "overhead_per_vm"), usual.overhead_per_vm);
    assert_eq!(size(doc, "operation_limit"), usual.operation_limit);
    assert_eq!(size(doc, "minimum_move"), usual.minimum_move);
    assert_eq!(time(doc, "start_reservation"), usual.start_reservation);
    assert_eq!(time(doc, "rate_window"), usual.rate_window);
    assert_eq!(time(doc, "average_pressure_window"), usual.average_pressure_window);
    assert_eq!(time(doc, "report_timeout"), usual.report_timeout);
    // "384 MB + 30 MB per GB of host memory"
    assert!(
        schema::HOST.key("memory_reserve").is_some_and(|key| key.default.contains("384 MB + 30 MB per GB"))
    );
    assert_eq!(usual.reserve, PageCount::from_mib(384 + 30 * 32));
}

#[test]
fn of_operations() {
    let doc = &schema::OPERATIONS;
    let host = HostOperationTime::default();
    assert_eq!((time(doc, "host_fixed"), time(doc, "host_per_mb")), (host.base, host.per_mib));
    let (balloon, add) = (OperationTime::BALLOON, OperationTime::ADD);
    assert_eq!((time(doc, "guest_fixed"), time(doc, "guest_fixed")), (balloon.base, add.base));
    assert_eq!(
        (time(doc, "guest_balloon_per_mb"), time(doc, "guest_add_per_mb")),
        (balloon.per_mib, add.per_mib)
    );
}

/// The least that a workload of each kind must say.
fn least(kind: &str) -> &'static str {
    match kind {
        "paint" => "commit = \"1GB\"",
        "step" => "to = \"1GB\"",
        "ramp" => "to = \"1GB\"\nduration = \"1m\"",
        "sawtooth" => "high = \"1GB\"\nrise = \"1m\"",
        "leak" => "per_hour = \"1GB\"",
        "bursts" => "size = \"1GB\"\npause = \"1m\"\nlength = \"1m\"",
        _ => "",
    }
}

fn workload(kind: &str, more: &str) -> Workload {
    let text = format!(
        "until = \"1m\"\nhost = {{ memory = \"8GB\" }}\n[[vm]]\nname = \"a\"\nguest = \"linux\"\nstartup_bytes = \"64MB\"\n\
         [workloads.w]\nkind = \"{kind}\"\n{}\n{more}\n",
        least(kind)
    );
    let source = SourceText::new("w.toml", text.clone());
    let reader = Reader::new(&source);
    let (document, _) = DeTable::parse_recoverable(source.text());
    let root = Table::new(&reader, &schema::ROOT, document.get_ref(), &(0..0));
    let workload = read_workloads(&root).remove("w").flatten();
    let said: Vec<_> = reader.into_bad().diagnostics.iter().map(ToString::to_string).collect();
    workload.unwrap_or_else(|| panic!("{text}\n{}", said.join("\n")))
}

/// To state a default changes nothing.
#[test]
fn of_workloads() {
    let mut compared = 0;
    for (kind, doc) in KINDS {
        for key in doc.keys() {
            // Shared keys: "1s; paint 3s, leak 10s" is 1s but for paint and leak.
            let (usual, special) = key.default.split_once("; ").unwrap_or((key.default, ""));
            let own = special.split(", ").find_map(|text| text.strip_prefix(kind)).map_or(usual, str::trim);
            let value = match key.form {
                Form::SizeDraw if parse_size(own).is_ok() => format!("{own:?}"),
                Form::TimeDraw if parse_duration(own).is_ok() => format!("{own:?}"),
                Form::Number(_) | Form::Integer(_) if own.parse::<f64>().is_ok() => own.to_owned(),
                Form::Boolean => own.to_owned(),
                Form::Text if key.name == "vm" => format!("{own:?}"),
                // No default, or one that no value says: "none", "at random", "until told".
                _ => continue,
            };
            let mut rng = component_runtime::random::stream(1, "defaults");
            let without = workload(kind, "").draw("3", &mut rng).unwrap();
            let with = workload(kind, &format!("{} = {value}", key.name)).draw("3", &mut rng).unwrap();
            assert_eq!(with, without, "{} of {}: the reference states {value}", key.name, doc.name);
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}
