//! Keys that there are not, amounts that are none, and text that is not TOML.

use super::refused;

#[test]
fn an_unknown_key() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximun_bytes = "4096MB"
"#,
        r#"
error: `maximun_bytes` is not a key of [[vm]]
 --> bad.toml:7:1
  |
7 | maximun_bytes = "4096MB"
  | ^^^^^^^^^^^^^
  |
  = allowed: name, host, numbers, guest, integration_services, vcpus, generation, dynamic_memory_enabled, startup_bytes, minimum_bytes, maximum_bytes, buffer, priority, page_file, workload, agent, disk, odd, even, only
  = help: did you mean `maximum_bytes`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_key_without_a_like() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
colour = "red"
"#,
        r#"
error: `colour` is not a key of [[vm]]
 --> bad.toml:7:1
  |
7 | colour = "red"
  | ^^^^^^
  |
  = allowed: name, host, numbers, guest, integration_services, vcpus, generation, dynamic_memory_enabled, startup_bytes, minimum_bytes, maximum_bytes, buffer, priority, page_file, workload, agent, disk, odd, even, only

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_key_by_its_wmi_name() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
weight = 5000
"#,
        r#"
error: `weight` is not a key of [[vm]]
 --> bad.toml:7:1
  |
7 | weight = 5000
  | ^^^^^^
  |
  = allowed: name, host, numbers, guest, integration_services, vcpus, generation, dynamic_memory_enabled, startup_bytes, minimum_bytes, maximum_bytes, buffer, priority, page_file, workload, agent, disk, odd, even, only
  = help: write `priority`, from 0 to 100 as in Set-VMMemory: the weight divided by 100

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_key_of_another_action() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[timeline]]
at = "0s"
action = "start"
vm = "VM1"
[[timeline]]
at = "1m"
action = "reboot"
vm = "VM1"
workload = "x"
"#,
        r#"
error: `workload` is not a key of action "reboot" of [[timeline]]
  --> bad.toml:15:1
   |
15 | workload = "x"
   | ^^^^^^^^
   |
   = allowed: at, host, action, repeat_every, vm, every

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_table() {
    refused(
        r#"until = "10m"
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[hosts]
memory = "1GB"
"#,
        r#"
error: `host` is missing in the scenario
 --> bad.toml:1:1
  |
1 | until = "10m"
  | ^ needs `host`: The host; or [[host]] for each of several, which are independent runs.
  |
  = allowed: a table: [host]

error: `hosts` is not a key of the scenario
 --> bad.toml:6:2
  |
6 | [hosts]
  |  ^^^^^
  |
  = allowed: title, description, source, until, seed, sample_interval, host, policy, balancer, trace, workloads, vm, timeline, check
  = help: did you mean `host`?

2 errors in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_wrong_unit() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "4096M"
"#,
        r#"
error: `maximum_bytes` cannot be "4096M"
 --> bad.toml:7:17
  |
7 | maximum_bytes = "4096M"
  |                 ^^^^^^^ `M` is not a unit of memory
  |
  = allowed: a number and KB, MB, GB or TB, such as "512MB" or "2GB" (1 KB is 1024 bytes)
  = help: did you mean `MB`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_unit_of_something_else() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "4096 pages"
"#,
        r#"
error: `maximum_bytes` cannot be "4096 pages"
 --> bad.toml:7:17
  |
7 | maximum_bytes = "4096 pages"
  |                 ^^^^^^^^^^^^ `pages` is not a unit of memory
  |
  = allowed: a number and KB, MB, GB or TB, such as "512MB" or "2GB" (1 KB is 1024 bytes)

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_size_without_unit() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = 4096
"#,
        r#"
error: `maximum_bytes` must be a size
 --> bad.toml:7:17
  |
7 | maximum_bytes = 4096
  |                 ^^^^ a size needs a unit
  |
  = allowed: a number and KB, MB, GB or TB, such as "512MB" or "2GB" (1 KB is 1024 bytes)
  = help: write "4096MB" if MB are meant

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_size_as_text_without_unit() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "4096"
"#,
        r#"
error: `maximum_bytes` cannot be "4096"
 --> bad.toml:7:17
  |
7 | maximum_bytes = "4096"
  |                 ^^^^^^ a size needs a unit
  |
  = allowed: a number and KB, MB, GB or TB, such as "512MB" or "2GB" (1 KB is 1024 bytes)
  = help: write "4096MB" if MB are meant

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_size_that_is_not_aligned() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "4096.5MB"
"#,
        r#"
error: `maximum_bytes` must be a multiple of 2 MB, as Hyper-V wants it
 --> bad.toml:7:17
  |
7 | maximum_bytes = "4096.5MB"
  |                 ^^^^^^^^^^ this is 4194816KB
  |
  = allowed: the nearest: "4GB" or "4098MB"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_time_without_unit() {
    refused(
        r#"until = 600
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: `until` must be a time
 --> bad.toml:1:9
  |
1 | until = 600
  |         ^^^ this has no unit
  |
  = allowed: a time with units, such as "90s", "12m30s" or "1h"
  = help: write "600s" if seconds are meant

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_time_of_a_wrong_unit() {
    refused(
        r#"until = "10 minutes"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: `until` cannot be "10 minutes"
 --> bad.toml:1:9
  |
1 | until = "10 minutes"
  |         ^^^^^^^^^^^^ `minutes` is not a unit of time: use d, h, m, s, ms, us or ns
  |
  = allowed: a time with units, such as "90s", "12m30s" or "1h"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn text_that_is_no_toml() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]
name = "VM1"
"#,
        r#"
error: this is not TOML: unclosed array table, expected `]`
 --> bad.toml:3:6
  |
3 | [[vm]
  |      ^

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_key_twice() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
startup_bytes = "1GB"
"#,
        r#"
error: this is not TOML: duplicate key
 --> bad.toml:7:1
  |
7 | startup_bytes = "1GB"
  | ^^^^^^^^^^^^^

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_value_of_the_wrong_type() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
vm = "VM1"
"#,
        r#"
error: `vm` must be a list of tables: [[vm]]
 --> bad.toml:3:6
  |
3 | vm = "VM1"
  |      ^^^^^ this is a text
  |
  = allowed: a list of tables: [[vm]]

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn everything_at_once() {
    refused(
        r#"until = 10
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "256MB"
bufer = 20
vcpus = 3
[[timeline]]
at = "1m"
action = "start"
vm = "VM2"
"#,
        r#"
error: `until` must be a time
 --> bad.toml:1:9
  |
1 | until = 10
  |         ^^ this has no unit
  |
  = allowed: a time with units, such as "90s", "12m30s" or "1h"
  = help: write "10s" if seconds are meant

error: `maximum_bytes` is below `startup_bytes`
 --> bad.toml:7:17
  |
7 | maximum_bytes = "256MB"
  |                 ^^^^^^^ 256MB, but `startup_bytes` is 512MB (line 6)
  |
  = allowed: at least 512MB

error: `bufer` is not a key of [[vm]]
 --> bad.toml:8:1
  |
8 | bufer = 20
  | ^^^^^
  |
  = allowed: name, host, numbers, guest, integration_services, vcpus, generation, dynamic_memory_enabled, startup_bytes, minimum_bytes, maximum_bytes, buffer, priority, page_file, workload, agent, disk, odd, even, only
  = help: did you mean `buffer`?

error: Windows Server 2008 R2 SP1 Enterprise x64 does not support 3 virtual processors
 --> bad.toml:9:9
  |
9 | vcpus = 3
  |         ^ the guest is said in line 5
  |
  = allowed: 1, 2 or 4
  = help: a VM of this guest with 3 virtual processors needs release = "2012" or later

error: no VM is named "VM2"
  --> bad.toml:13:6
   |
13 | vm = "VM2"
   |      ^^^^^
   |
   = allowed: VM1; ranges such as "VM1..VM7"; "all"
   = help: did you mean `VM1`?

5 errors in bad.toml; nothing was started
"#,
    );
}
