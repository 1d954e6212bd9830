//! `import` and `size`, as an administrator would use them.
#![cfg(feature = "sizing")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;

use crate::program::{output, refused, stand};

/// An hour of three VMs, a value every 15 s: WEB works in the middle, the others idle. In German, as a German host would write it: the first
/// line has its time zone, the numbers have points as PDH writes them everywhere.
fn perfmon(folder: &Path) {
    let mut log = "\"(PDH-CSV 4.0) (Mitteleuropäische Sommerzeit)(-120)\"".to_owned();
    for vm in ["web", "APP (alt)", "DB's"] {
        for counter in ["Physical Memory", "Current Pressure"] {
            let name = vm.replace('(', "[").replace(')', "]");
            let _ = write!(log, ",\"\\\\HV01\\Hyper-V Dynamic Memory VM({name})\\{counter}\"");
        }
    }
    log.push_str("\r\n");
    for sample in 0..240_u32 {
        let web = match sample {
            100..140 => 1200 + (sample - 100) * 60,
            140..180 => 3600,
            _ => 1200,
        };
        let _ = write!(
            log,
            "\"09/22/2026 {:02}:{:02}:{:02}.000\"",
            10 + sample / 240,
            sample / 4 % 60,
            sample % 4 * 15
        );
        for demand in [web, 900, 1500 + sample % 7 * 20] {
            let _ = write!(log, ",\"{:.6}\",\"{:.6}\"", f64::from(demand) * 1.2, 100.0 / 1.2);
        }
        log.push_str("\r\n");
    }
    std::fs::write(folder.join("log.csv"), log).unwrap();
}

/// Get-VM | Export-Csv -UseCulture in Windows PowerShell 5, on a German host.
fn list(folder: &Path) {
    let list = "#TYPE Selected.Microsoft.HyperV.PowerShell.VirtualMachine\r\n\
        \"Name\";\"State\";\"MemoryStartup\";\"MemoryMinimum\";\"MemoryMaximum\";\"DynamicMemoryEnabled\";\"Zugewiesener RAM (GB)\"\r\n\
        \"WEB\";\"Running\";\"1073741824\";\"536870912\";\"8589934592\";\"True\";\"1,5\"\r\n\
        \"APP (alt)\";\"Running\";\"4294967296\";\"4294967296\";\"4294967296\";\"True\";\"1,1\"\r\n\
        \"DB's\";\"Running\";\"1073741824\";\"536870912\";\"1099511627776\";\"True\";\"1,8\"\r\n";
    std::fs::write(folder.join("vms.csv"), list).unwrap();
}

fn said(folder: &Path, words: &[&str]) -> String {
    let done = output(folder, words);
    let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert!(done.status.success(), "{words:?}: {out}{err}");
    format!("{out}{err}")
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn files_become_a_scenario_that_runs() {
    let folder = stand("import");
    perfmon(&folder);
    list(&folder);
    let told = said(&folder, &["import", "log.csv", "vms.csv", "--out", "load.toml"]);
    assert!(told.contains("3 VMs on: demand of 3 over 59m45s, a value every 15 s"), "{told}");
    let scenario = std::fs::read_to_string(folder.join("load.toml")).unwrap();
    for part in [
        "name = \"APP _alt_\"",
        "# In the files: \"DB's\"",
        "maximum_bytes = \"1TB\"",
        "minimum_bytes = \"512MB\"",
        "name = \"HV01\"",
    ] {
        assert!(scenario.contains(part), "{part}:\n{scenario}");
    }
    let ran = said(
        &folder,
        &[
            "scenario",
            "load.toml",
            "--driver",
            "inline",
            "--events",
            "none",
            "--until",
            "5m",
            "--out",
            "run",
            "--no-report",
        ],
    );
    assert!(!ran.contains("error"), "{ran}");
    // The counters of that run are a file like any other: the VMs are the same.
    let told = said(&folder, &["import", "run/counters.csv", "--out", "again.toml"]);
    assert!(told.contains("3 VMs on"), "{told}");
    let (code, error) = refused(&folder, &["import", "log.csv", "--out", "load.toml"]);
    assert!(code == Some(2) && plain(&error).contains("load.toml exists already; --force"), "{error}");
    std::fs::copy(folder.join("vms.csv"), folder.join("x.trace.csv")).unwrap();
    let (code, error) = refused(&folder, &["import", "x.trace.csv", "--out", "x.toml", "--force"]);
    assert!(code == Some(2) && plain(&error).contains("would be overwritten"), "{error}");
}

#[test]
fn from_files_to_an_answer_a_page_and_scripts() {
    let folder = stand("size");
    perfmon(&folder);
    list(&folder);
    let told = said(&folder, &["size", "log.csv", "vms.csv", "--out", "sized", "--back-test"]);
    let words = plain(&told);
    assert!(
        words.contains("One host of") && words.contains("is enough.") && words.contains("is not enough:"),
        "{told}"
    );
    assert!(words.contains("Confidence: very low.") || words.contains("Confidence: low."), "{told}");
    assert!(words.contains("Back-test: the first"), "{told}");
    assert!(
        told.lines().all(|line| line.chars().count() <= 80
            || line.starts_with("Set:")
            || line.starts_with("Repeat:")),
        "{told}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("sized/size.json")).unwrap()).unwrap();
    let memory = json["found"][0]["memory_mb"].as_f64().unwrap();
    // Peaks of 3.6 and 1.6 GB, the 4 GB that APP is never below, and the host's own; never the sum of the maxima.
    assert!((9_500.0..12_500.0).contains(&memory), "{memory}");
    // APP demands 0.9 GB: with a minimum that says so the host can be smaller by what it never used.
    let advised = json["with_advice"]["memory_mb"].as_f64().unwrap();
    assert!(advised < memory - 1_500.0, "{advised} {memory}");
    assert_eq!(json["found"][0]["kept"], true);
    let page = std::fs::read_to_string(folder.join("sized/size.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("DB&#39;s") || page.contains("DB's"), "{page}");
    let script = std::fs::read_to_string(folder.join("sized/set-memory.ps1")).unwrap();
    // A maximum of 1 TB is nobody's choice; startup RAM of 4 GB for what never demands one is too much.
    assert!(script.contains("Set-VMMemory -VMName 'DB''s'") && script.contains("-MaximumBytes"), "{script}");
    assert!(
        script.contains("Set-VMMemory -VMName 'APP (alt)'") && script.contains("-WhatIf:$WhatIf"),
        "{script}"
    );
    let undo = std::fs::read_to_string(folder.join("sized/undo-memory.ps1")).unwrap();
    assert!(undo.contains("-MaximumBytes 1048576MB") && undo.contains("-StartupBytes 4096MB"), "{undo}");
    for script in [&script, &undo] {
        assert_eq!(host_sizing::script::check(script.trim_start_matches('\u{feff}')), []);
    }
    parses_in_powershell(&folder.join("sized/set-memory.ps1"));
    parses_in_powershell(&folder.join("sized/undo-memory.ps1"));
    let (code, error) = refused(&folder, &["size", "log.csv", "--out", "sized"]);
    assert!(code == Some(2) && error.contains("--force overwrites a sizing"), "{error}");
    std::fs::write(folder.join("sized/thesis.tex"), "mine").unwrap();
    let (code, error) = refused(&folder, &["size", "log.csv", "--out", "sized", "--force"]);
    assert!(code == Some(2) && error.contains("thesis.tex"), "{error}");
}

/// PowerShell's own word on a script, where it is installed.
fn parses_in_powershell(script: &Path) {
    let read = format!(
        "$e = $null; $null = [System.Management.Automation.Language.Parser]::ParseFile('{}', [ref]$null, [ref]$e); $e; exit $e.Count",
        script.display()
    );
    let Ok(done) = std::process::Command::new("pwsh").args(["-NoProfile", "-Command", &read]).output() else {
        return;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

#[test]
fn hosts_that_are_too_small_are_red() {
    let folder = stand("size-red");
    perfmon(&folder);
    list(&folder);
    let words = ["size", "log.csv", "vms.csv", "--hosts", "1", "--host-memory", "5GB", "--out", "red"];
    let done = output(&folder, &words);
    let told = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(1), "{told}");
    let plain = plain(&told);
    assert!(plain.contains("One host of 5 GB is NOT enough:") && plain.contains("One host of"), "{told}");
    let page = std::fs::read_to_string(folder.join("red/size.html")).unwrap();
    assert!(page.contains("<div class=\"answer bad\">") && page.contains("What breaks the risk"));
}

#[test]
fn sizes_of_hosts_and_spare_hosts() {
    let folder = stand("size-hosts");
    perfmon(&folder);
    list(&folder);
    let told = plain(&said(&folder, &["size", "log.csv", "vms.csv", "--host", "6GB,16GB", "--out", "a"]));
    assert!(told.contains("Two hosts of 16 GB are enough, with one of them down."), "{told}");
    assert!(told.contains("hosts of 6 GB are"), "{told}");
    // The exit code is of all sizes: no number of hosts of 2 GB is enough.
    let code = |hosts: &str, out: &str| {
        output(&folder, &["size", "log.csv", "vms.csv", "--host", hosts, "--out", out]).status.code()
    };
    assert_eq!((code("2GB", "b"), code("2GB,16GB", "c")), (Some(1), Some(0)));
    // And what is advised is tried on hosts that can be enough.
    let page = |out: &str| std::fs::read_to_string(folder.join(out).join("size.html")).unwrap();
    assert!(page("b").contains("<div class=\"answer bad\">") && page("c").contains("<div class=\"answer\">"));
    assert!(page("c").contains("With the advised settings two hosts of 16 GB"), "{}", page("c"));
    let (code, error) = refused(&folder, &["size", "log.csv", "--hosts", "1", "--spare", "1"]);
    assert!(code == Some(2) && plain(&error).contains("none is left"), "{error}");
}

#[test]
fn what_cannot_be_sized_is_refused_and_leaves_nothing() {
    let folder = stand("size-wrong");
    std::fs::write(folder.join("notes.csv"), "Dear all,\n").unwrap();
    std::fs::write(folder.join("small.csv"), "Name,MemoryStartup,MemoryMaximum\nA,1,8\n").unwrap();
    let moment = "Name,MemoryStartup (GB),MemoryMaximum (GB),MemoryDemand (GB)\nA,1,8,2\n";
    std::fs::write(folder.join("moment.csv"), moment).unwrap();
    std::fs::create_dir(folder.join("logs")).unwrap();
    std::fs::write(folder.join("logs/log.csv"), "\"(PDH-CSV 4.0) (UTC)(0)\"\n").unwrap();
    std::fs::write(folder.join("load.toml"), "until = \"1m\"\n").unwrap();
    for (words, expected) in [
        (&["size", "notes.csv"][..], "is of none of the kinds that are read"),
        (&["size", "small.csv"], "Which unit is it? Say --unit \"MemoryStartup=MB\""),
        (&["size", "none.csv"], "none.csv: cannot be read"),
        (&["size", "small.csv", "--growth", "-95%/y"], "\"-95%/y\" is no growth"),
        (&["size", "small.csv", "--burst", "-5MB"], "such as 512MB"),
        (&["size", "moment.csv", "--back-test"], "no second half to test with"),
        (&["size", "logs"], "name logs and lists one by one, such as logs"),
        (&["size"], "name at least one file"),
        (&["size", "load.toml"], "host"),
        (&["size", "multi-vm", "--growth", "20%/y"], "only what was recorded can be grown"),
        (&["size", "multi-vm", "notes.csv", "x.toml"], "a scenario file is sized alone"),
        (&["size", "multi-vm", "--policy", "hypervv"], "hyperv"),
        (&["size", "multi-vm", "--risk", "swap=1"], "states no risk"),
        (&["import", "small.csv", "--out", "load"], "a scenario file ends in .toml"),
        (
            &["import", "--prometheus", "https://a", "--from", "0", "--to", "1", "--out", "a.toml"],
            "only plain http://",
        ),
        (&["import", "--prometheus", "http://127.0.0.1:9", "--out", "a.toml"], "--from"),
        (
            &["import", "--prometheus", "http://127.0.0.1:9", "--from", "2", "--to", "1", "--out", "a.toml"],
            "--from 2 is not before --to 1",
        ),
        (
            &[
                "import",
                "--prometheus",
                "http://127.0.0.1:9",
                "--from",
                "0",
                "--to",
                "1e300",
                "--out",
                "a.toml",
            ],
            "say a longer --resolution",
        ),
    ] {
        let (code, error) = refused(&folder, words);
        assert!(code == Some(2) && plain(&error).contains(expected), "{words:?}: {code:?} {error}");
    }
    let left = folder.join("runs").read_dir().map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing was found, and no folder is left");
    // Nor one that the user named, unless it was there before.
    for (named, there) in [("new", false), ("old", true)] {
        if there {
            std::fs::create_dir(folder.join(named)).unwrap();
        }
        refused(&folder, &["size", "notes.csv", "--out", named]);
        assert_eq!(folder.join(named).exists(), there, "{named}");
    }
}

/// A server that answers one request with what it has of a VM, and returns that request.
fn server() -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/prom", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"windows_hyperv_dynamic_memory_vm_physical_bytes","vm":"VM1","instance":"hv01:9182"},"values":[[1790000000,"2147483648"],[1790000060,"2147483648"]]},
            {"metric":{"__name__":"windows_hyperv_dynamic_memory_vm_pressure_current_ratio","vm":"VM1","instance":"hv01:9182"},"values":[[1790000000,"0.5"],[1790000060,"0.75"]]}]}}"#;
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, server)
}

const FROM_TO: [&str; 4] = ["--from", "2026-09-21T00:00:00Z", "--to", "2026-09-22T00:00:00Z"];

#[test]
fn a_server_is_asked_for_what_it_has() {
    let folder = stand("import-server");
    let (url, server) = server();
    let told =
        said(&folder, &[&["import", "--prometheus", &url, "--out", "load.toml"][..], &FROM_TO[..]].concat());
    let request = server.join().unwrap();
    assert!(request.starts_with("GET /prom/api/v1/query_range?query=%7B__name__%3D~%22windows_hyperv_dynamic_memory_vm_physical_bytes"), "{request}");
    assert!(request.contains("start=1789948800&end=1790035200&") && request.contains("step=60"), "{request}");
    assert!(told.contains("1 VM on: demand of 1 over 1m"), "{told}");
    let size = format!("Size it: cargo xtask size --prometheus {url} --from 2026-09-21T00:00:00Z");
    assert!(plain(&told).contains(&size), "{told}");
    let trace = std::fs::read_to_string(folder.join("load.trace.csv")).unwrap();
    assert!(trace.contains("VM1,0,") && trace.contains(",1048576,0"), "{trace}");
}

#[test]
fn what_came_from_a_server_is_asked_for_again_in_the_same_words() {
    let folder = stand("size-server");
    let (url, server) = server();
    let told = said(
        &folder,
        &[&["size", "--prometheus", &url, "--resolution", "5m", "--out", "sized"][..], &FROM_TO[..]].concat(),
    );
    server.join().unwrap();
    let again = format!(
        "cargo xtask size --prometheus {url} --from 2026-09-21T00:00:00Z --to 2026-09-22T00:00:00Z --resolution 5m"
    );
    assert!(plain(&told).contains(&format!("Repeat: {again}")), "{told}");
    let json = std::fs::read(folder.join("sized/size.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["command"], again);
}
