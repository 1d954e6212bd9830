//! `scenario --metrics`, asked while the run lasts.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use perf_counters::schema;

use crate::program::{output, stand, xtask};

/// The body of an answer whose status is 200.
fn ask(address: &str, accept: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Some(body.to_owned())
}

/// Reads OpenMetrics as its specification has it, as far as this program uses it: each family once, with its type before its samples,
/// samples of counters ending in `_total`, labels quoted, values that are numbers, and an end. The names of the samples.
fn openmetrics(text: &str) -> BTreeSet<String> {
    let body = text.strip_suffix("# EOF\n").expect("the text has its end");
    let (mut families, mut samples, mut series) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut family = (String::new(), String::new());
    for line in body.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, meaning) = help.split_once(' ').expect("a family has a meaning");
            assert!(families.insert(name.to_owned()), "{name} twice");
            assert!(!meaning.is_empty());
            family = (name.to_owned(), String::new());
        } else if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').expect("a family has a type");
            assert_eq!(name, family.0, "the type of the family at hand");
            assert!(["gauge", "counter"].contains(&kind), "{line}");
            kind.clone_into(&mut family.1);
        } else {
            let (what, value) = line.rsplit_once(' ').expect("a sample has a value");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert!(series.insert(what.to_owned()), "{what} twice");
            let name = what.split('{').next().unwrap();
            if let Some(labels) = what.strip_prefix(name).filter(|labels| !labels.is_empty()) {
                let inside =
                    labels.strip_prefix('{').and_then(|labels| labels.strip_suffix("\"}")).expect("labels");
                let (label, text) = inside.split_once("=\"").expect("a label has a value");
                assert!(["vm", "balancer"].contains(&label) && !text.is_empty(), "{line}");
            }
            let ending = if family.1 == "counter" { "_total" } else { "" };
            assert_eq!(name, format!("{}{ending}", family.0), "a sample stands below its family");
            samples.insert(name.to_owned());
        }
    }
    samples
}

#[test]
fn a_run_serves_its_counters_while_it_lasts() {
    let folder = stand("metrics");
    let words =
        "scenario multi-vm --until 10m --speed 60 --no-report --events none --out run --metrics 127.0.0.1:0";
    let mut command = xtask(&folder, &words.split(' ').collect::<Vec<_>>());
    let mut run = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(run.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("metrics: http://").and_then(|url| url.strip_suffix("/metrics"));
    let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
    // All VMs have been started by then: each counter has a value, but for those of disks, which no VM of this run has.
    let names = schema::all().map(|counter| counter.prometheus.to_owned());
    let everything = names.filter(|name| !name.contains("_storage_")).collect::<BTreeSet<_>>();
    let mut best = BTreeSet::new();
    while let Some(text) = ask(&address, "application/openmetrics-text; version=1.0.0") {
        best = openmetrics(&text);
        if best == everything {
            // Another program cannot have the port, and says so before it has made a folder.
            let second = output(&folder, &["scenario", "multi-vm", "--out", "second", "--metrics", &address]);
            assert_eq!(second.status.code(), Some(2));
            let told = String::from_utf8(second.stderr).unwrap();
            assert!(told.contains(&format!("{address} is in use by another program")), "{told}");
            assert!(!folder.join("second").exists());
            break;
        }
        std::thread::yield_now();
    }
    assert_eq!(best, everything);
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(ask(&address, "*/*"), None, "nothing is served after the run");
}

#[test]
fn what_cannot_be_served_is_a_sentence() {
    let folder = stand("metrics-wrong");
    for (words, sentence) in [
        ("--metrics 9182", "an address and a port are wanted, such as 127.0.0.1:9182"),
        ("--metrics 0.0.0.0:9182", "0.0.0.0 can be reached from other machines"),
        ("--metrics 127.0.0.1:0 --driver inline", "cannot follow the clock of --metrics"),
    ] {
        let line = format!("scenario multi-vm --out run {words}");
        let refused = output(&folder, &line.split(' ').collect::<Vec<_>>());
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(2), "{words}: {told}");
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(sentence), "{words}: {told}");
    }
    assert!(!folder.join("run").exists());
}
