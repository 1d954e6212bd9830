//! Workloads and traces that cannot be.

use super::refused;

#[test]
fn an_unreadable_trace() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[trace]
file = "no-such-trace.csv"
"#,
        r#"
error: the trace cannot be used: no-such-trace.csv: cannot be read: No such file or directory (os error 2)
 --> bad.toml:8:8
  |
8 | file = "no-such-trace.csv"
  |        ^^^^^^^^^^^^^^^^^^^
  |
  = help: the path is seen from the scenario file's folder

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_trace_workload_without_trace() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
workload = { kind = "trace" }
"#,
        r#"
error: a workload of kind "trace" needs recorded loads
 --> bad.toml:7:12
  |
7 | workload = { kind = "trace" }
  |            ^^^^^^^^^^^^^^^^^^
  |
  = help: add a table [trace] with the `file`

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_trace_without_file() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[trace]
gaps = "fill"
"#,
        r#"
error: `file` is missing in [trace]
 --> bad.toml:7:1
  |
7 | [trace]
  | ^^^^^^^ needs `file`: The file, or folder of files and folders, seen from the scenario file's folder: columns vm, t (seconds, or dates with times), mem_provisioned_kb, mem_used_kb, cpu_pct; or GWA-T-12 or GWA-T-13 as published.
  |
  = allowed: text

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_window_that_is_none() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[trace]
file = "x.csv"
window = "24h"
"#,
        r#"
error: the trace cannot be used: x.csv: cannot be read: No such file or directory (os error 2)
 --> bad.toml:8:8
  |
8 | file = "x.csv"
  |        ^^^^^^^
  |
  = help: the path is seen from the scenario file's folder

error: `window` cannot be "24h"
 --> bad.toml:9:10
  |
9 | window = "24h"
  |          ^^^^^ there is no `..` in it
  |
  = allowed: a beginning and an end, such as "0h..24h"

2 errors in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_workload() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
workload = "pant"
[workloads.paint]
kind = "paint"
commit = "1GB"
"#,
        r#"
error: there is no workload "pant"
 --> bad.toml:7:12
  |
7 | workload = "pant"
  |            ^^^^^^
  |
  = allowed: "paint"; or a table { kind = … }
  = help: did you mean `paint`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_kind_of_workload() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
workload = { kind = "ramps", to = "1GB", duration = "1m" }
"#,
        r#"
error: there is no workload of kind "ramps"
 --> bad.toml:7:21
  |
7 | workload = { kind = "ramps", to = "1GB", duration = "1m" }
  |                     ^^^^^^^
  |
  = allowed: "idle", "paint", "step", "ramp", "sawtooth", "leak", "server", "bursts", "trace"
  = help: did you mean `ramp`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_workload_without_kind() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
workload = { to = "1GB" }
"#,
        r#"
error: `kind` is missing in a workload
 --> bad.toml:7:12
  |
7 | workload = { to = "1GB" }
  |            ^
  |
  = allowed: "idle", "paint", "step", "ramp", "sawtooth", "leak", "server", "bursts", "trace"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_key_of_another_workload() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[workloads.x]
kind = "leak"
per_hour = "1GB"
from = "1GB"
"#,
        r#"
error: `from` is not a key of a workload of kind "leak"
  --> bad.toml:10:1
   |
10 | from = "1GB"
   | ^^^^
   |
   = allowed: kind, base, per_hour, limit, interval

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_workload_that_lacks_a_key() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[workloads.x]
kind = "ramp"
to = "1GB"
"#,
        r#"
error: `duration` is missing in a workload of kind "ramp"
 --> bad.toml:7:1
  |
7 | [workloads.x]
  | ^^^^^^^^^^^^^ needs `duration`: How long it takes.
  |
  = allowed: time, or [earliest, latest] to draw from

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_workload_that_the_guest_does_not_take() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[workloads.x]
kind = "bursts"
size = "1GB"
pause = "1m"
length = "1m"
variation = 3
"#,
        r#"
error: `variation`: 3 is not a coefficient of variation: from 0 to 1 is allowed
  --> bad.toml:12:13
   |
12 | variation = 3
   |             ^

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn paint_without_goal() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[workloads.x]
kind = "paint"
step = "30MB"
"#,
        r#"
error: a workload of kind "paint" must say how far the canvas grows
 --> bad.toml:7:1
  |
7 | [workloads.x]
  | ^^^^^^^^^^^^^
  |
  = allowed: one of canvas, commit, guest_commit

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn paint_with_two_goals() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[workloads.x]
kind = "paint"
commit = "30MB"
canvas = [10, 10]
"#,
        r#"
error: the canvas cannot grow to both `canvas` and `commit`
 --> bad.toml:9:10
  |
9 | commit = "30MB"
  |          ^^^^^^
  |
  = allowed: one of canvas, commit, guest_commit

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_range_that_runs_backwards() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[workloads.x]
kind = "paint"
commit = ["3GB", "2GB"]
"#,
        r#"
error: the range of `commit` begins above its end
 --> bad.toml:9:10
  |
9 | commit = ["3GB", "2GB"]
  |          ^^^^^^^^^^^^^^
  |
  = allowed: [least, most]

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_range_of_three() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[workloads.x]
kind = "paint"
commit = ["1GB", "2GB", "3GB"]
"#,
        r#"
error: `commit` must be one amount or two
 --> bad.toml:9:10
  |
9 | commit = ["1GB", "2GB", "3GB"]
  |          ^^^^^^^^^^^^^^^^^^^^^ these are 3
  |
  = allowed: an amount, or [least, most] to draw from

1 error in bad.toml; nothing was started
"#,
    );
}
