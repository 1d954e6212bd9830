//! Disks that cannot be.

use super::refused;

/// A file with these devices, and a VM with these disks.
fn file(devices: &str, disks: &str) -> String {
    format!(
        "until = \"10m\"\n[host]\nmemory = \"8GB\"\n{devices}[[vm]]\nname = \"A\"\nguest = \"linux\"\nstartup_bytes = \"512MB\"\n{disks}"
    )
}

const DEVICE: &str = "[[host.disk]]\nname = \"array\"\n";

#[test]
fn a_disk_without_a_device_to_lie_on() {
    refused(
        &file("", "[[vm.disk]]\nsize = \"40GB\"\n"),
        r#"
error: a disk needs a device to lie on, and the host has none
 --> bad.toml:8:1
  |
8 | [[vm.disk]]
  | ^^^^^^^^^^^
  |
  = help: add a [[host.disk]] with a `name`

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_device_that_is_not_there() {
    refused(
        &file(DEVICE, "disk = [{ device = \"arary\" }]\n"),
        r#"
error: the host has no device "arary"
  --> bad.toml:10:20
   |
10 | disk = [{ device = "arary" }]
   |                    ^^^^^^^
   |
   = allowed: "array"
   = help: did you mean `array`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_disk_that_no_vhd_can_be_and_a_parent_of_no_child() {
    refused(
        &file(DEVICE, "disk = [{ size = \"3TB\" }, { kind = \"fixed\", parent = \"golden\" }]\n"),
        r#"
error: no disk here has 3TB
  --> bad.toml:10:18
   |
10 | disk = [{ size = "3TB" }, { kind = "fixed", parent = "golden" }]
   |                  ^^^^^
   |
   = allowed: 1GB to 2040GB

error: only a differencing disk has a parent
  --> bad.toml:10:54
   |
10 | disk = [{ size = "3TB" }, { kind = "fixed", parent = "golden" }]
   |                                                      ^^^^^^^^
   |
   = help: write kind = "differencing", or leave `parent` out

2 errors in bad.toml; nothing was started
"#,
    );
}

#[test]
fn devices_of_one_name_one_that_transfers_nothing_and_too_many_disks() {
    refused(
        &file(
            &format!("{DEVICE}throughput = \"0MB\"\n{DEVICE}"),
            "disk = [{ device = \"array\" }, {}, {}]\n",
        ),
        r#"
error: a device that transfers nothing
 --> bad.toml:6:14
  |
6 | throughput = "0MB"
  |              ^^^^^
  |
  = allowed: more than 0MB, in a second

error: two devices are named "array"
 --> bad.toml:8:8
  |
8 | name = "array"
  |        ^^^^^^^
  |
  = allowed: names that differ

error: 3 disks: a simulated guest uses its first for files, and a second for its page file
  --> bad.toml:13:8
   |
13 | disk = [{ device = "array" }, {}, {}]
   |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = allowed: one or two [[vm.disk]]

error: `device` is missing in [[vm.disk]]
  --> bad.toml:13:31
   |
13 | disk = [{ device = "array" }, {}, {}]
   |                               ^ needs `device`: The [[host.disk]] that it lies on.
   |
   = allowed: text

4 errors in bad.toml; nothing was started
"#,
    );
}
