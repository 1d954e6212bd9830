//! VMs, names and groups that cannot be.

use super::refused;
use crate::file::LoadOptions;

#[test]
fn two_vms_of_one_name() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[vm]]
name = "vm1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: two VMs are named "vm1"
 --> bad.toml:8:8
  |
8 | name = "vm1"
  |        ^^^^^ the first "VM1" is configured in line 4
  |
  = allowed: names that differ, in more than upper and lower case
  = help: give them other `numbers`, or another `name`

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn groups_that_overlap() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM{n}"
numbers = "1..8"
guest = "linux"
startup_bytes = "128MB"
[[vm]]
name = "VM{n}"
numbers = "8..9"
guest = "linux"
startup_bytes = "128MB"
"#,
        r#"
error: two VMs are named "VM8"
 --> bad.toml:9:8
  |
9 | name = "VM{n}"
  |        ^^^^^^^ the first "VM8" is configured in line 4
  |
  = allowed: names that differ, in more than upper and lower case
  = help: give them other `numbers`, or another `name`

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_group_without_number_in_its_name() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "web"
numbers = "1..8"
guest = "linux"
startup_bytes = "128MB"
"#,
        r#"
error: 8 VMs would all be named "web"
 --> bad.toml:4:8
  |
4 | name = "web"
  |        ^^^^^
  |
  = allowed: a name with `{n}` for the number
  = help: write "web{n}"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_vm_of_the_host_s_name() {
    refused(
        r#"until = "10m"
host = { memory = "32GB", name = "vm1" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: a VM has the host's name, "VM1"
 --> bad.toml:4:8
  |
4 | name = "VM1"
  |        ^^^^^
  |
  = allowed: names that differ, in more than upper and lower case
  = help: give them other `numbers`, or another `name`

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_name_that_paths_cannot_hold() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "a/b"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: "a/b" cannot be a name
 --> bad.toml:4:8
  |
4 | name = "a/b"
  |        ^^^^^
  |
  = allowed: letters, digits, spaces inside, `-`, `_` and single `.`; `{n}` for the number of a VM

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_guest() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r3-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: there is no guest "ws2008-r3-sp1-enterprise"
 --> bad.toml:5:9
  |
5 | guest = "ws2008-r3-sp1-enterprise"
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = allowed: ws2008-r2-sp1, ws2008-r2, ws2008-sp2, ws2008-sp1, ws2003-r2-sp2, ws2003-sp2, windows-7-sp1, windows-7, windows-vista-sp2, windows-vista-sp1, w2000-server-sp4, windows-xp-sp3, windows-xp-sp2, suse-10-sp1, suse-10-sp2, ws2012, ws2012-r2, ws2016, ws2019, ws2022, ws2025, windows-8, windows-8-1, windows-10, windows-11, linux, linux-measured, linux-dm2; each with edition and architecture, or without
  = help: did you mean `ws2008-r2-sp1-enterprise-x64`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_missing_key() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
"#,
        r#"
error: `guest` is missing in [[vm]]
 --> bad.toml:3:1
  |
3 | [[vm]]
  | ^^^^^^ needs `guest`: Guest operating system: a profile's key such as "ws2008-r2-sp1-enterprise-x64", or its full name.
  |
  = allowed: text

error: `startup_bytes` is missing in [[vm]]
 --> bad.toml:3:1
  |
3 | [[vm]]
  | ^^^^^^ needs `startup_bytes`: Startup RAM (Set-VMMemory -StartupBytes).
  |
  = allowed: size, such as "512MB"

2 errors in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_missing_host() {
    refused(
        r#"until = "10m"
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: `host` is missing in the scenario
 --> bad.toml:1:1
  |
1 | until = "10m"
  | ^ needs `host`: The host; or [[host]] for each of several, which are independent runs.
  |
  = allowed: a table: [host]

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn no_vm() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
"#,
        r#"
error: `vm` is missing in the scenario
 --> bad.toml:1:1
  |
1 | until = "10m"
  | ^ needs `vm`: VMs, or groups of VMs.
  |
  = allowed: tables: [[vm]]

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn numbers_that_are_none() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM{n}"
numbers = "1-8"
guest = "linux"
startup_bytes = "128MB"
"#,
        r#"
error: `numbers` cannot be "1-8"
 --> bad.toml:5:11
  |
5 | numbers = "1-8"
  |           ^^^^^
  |
  = allowed: "1..8" for 1 to 8, or "trace"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn numbers_that_run_backwards() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM{n}"
numbers = "8..1"
guest = "linux"
startup_bytes = "128MB"
"#,
        r#"
error: the last number is below the first
 --> bad.toml:5:11
  |
5 | numbers = "8..1"
  |           ^^^^^^
  |
  = allowed: "1..8" for 1 to 8, or "trace"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn settings_of_single_vms_are_of_vms_that_the_group_has() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM{n}"
numbers = "1..3"
guest = "linux"
startup_bytes = "512MB"
only.VM2 = 3
[vm.only.VM4]
priority = 101
"#,
        r#"
error: the settings of a VM are a table
 --> bad.toml:8:12
  |
8 | only.VM2 = 3
  |            ^ this is a whole number
  |
  = allowed: { priority = … }

error: this group has no VM "VM4"
 --> bad.toml:9:1
  |
9 | [vm.only.VM4]
  | ^^^^^^^^^^^^^
  |
  = allowed: names of the group's VMs, such as [vm.only.VM1]
  = help: did you mean `VM1`?

error: `priority` cannot be 101
  --> bad.toml:10:12
   |
10 | priority = 101
   |            ^^^
   |
   = allowed: a whole number from 0 to 100

3 errors in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_setting_beside_the_file_is_complained_of_like_one_in_it() {
    let options =
        LoadOptions { settings: vec!["vm.VM3.priority=800".parse().unwrap()], ..LoadOptions::default() };
    let bad = super::find("multi-vm", &options).unwrap_err().to_string();
    let expected = "error: `priority` cannot be 800\n  --> scenarios/multi-vm.toml (as changed by --set):27:21\n   |\n\
        27 | only.VM3.priority = 800\n   |                     ^^^\n   |\n   = allowed: a whole number from 0 to 100\n\n\
        1 error in scenarios/multi-vm.toml (as changed by --set); nothing was started";
    assert_eq!(bad, expected);
}
