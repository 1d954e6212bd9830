//! Hosts that cannot be.

use super::refused;

#[test]
fn a_host_above_1_tb() {
    refused(
        r#"until = "10m"
host = { memory = "2TB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: edition "enterprise" takes no more than 1TB of memory
 --> bad.toml:2:19
  |
2 | host = { memory = "2TB" }
  |                   ^^^^^ this is 2TB
  |
  = allowed: up to 1TB
  = help: a host of 2TB needs release = "2012" or later; edition "unlimited" has no limits

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_host_above_32_gb_on_standard() {
    refused(
        r#"until = "10m"
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[host]
memory = "64GB"
edition = "standard"
"#,
        r#"
error: edition "standard" takes no more than 32GB of memory
 --> bad.toml:7:10
  |
7 | memory = "64GB"
  |          ^^^^^^ this is 64GB
  |
  = allowed: up to 32GB
  = help: 1TB with edition "enterprise" or "datacenter"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_edition() {
    refused(
        r#"until = "10m"
host = { memory = "32GB", edition = "enterprize" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: `edition` cannot be "enterprize"
 --> bad.toml:2:37
  |
2 | host = { memory = "32GB", edition = "enterprize" }
  |                                     ^^^^^^^^^^^^
  |
  = allowed: "enterprise", "datacenter", "standard", "hyper-v-server", "unlimited"
  = help: did you mean `enterprise`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_reserve_above_the_host() {
    refused(
        r#"until = "10m"
host = { memory = "2GB", memory_reserve = "2GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: `memory_reserve` leaves nothing for VMs
 --> bad.toml:2:43
  |
2 | host = { memory = "2GB", memory_reserve = "2GB" }
  |                                           ^^^^^ the host has 2GB
  |
  = allowed: less than the host's `memory`

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_epoch_without_zone() {
    refused(
        r#"until = "10m"
host = { memory = "32GB", epoch = 2011-02-22T09:00:00 }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: `epoch` must be a date and time with its distance to UTC
 --> bad.toml:2:35
  |
2 | host = { memory = "32GB", epoch = 2011-02-22T09:00:00 }
  |                                   ^^^^^^^^^^^^^^^^^^^
  |
  = allowed: such as 2011-02-22T09:00:00Z

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_protocol_version() {
    refused(
        r#"until = "10m"
host = { memory = "32GB", dynamic_memory_versions = ["0.3", "3.0"] }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
"#,
        r#"
error: the protocol has no version "3.0"
 --> bad.toml:2:61
  |
2 | host = { memory = "32GB", dynamic_memory_versions = ["0.3", "3.0"] }
  |                                                             ^^^^^
  |
  = allowed: "0.3", "1.0", "2.0"

1 error in bad.toml; nothing was started
"#,
    );
}
