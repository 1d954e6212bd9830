//! Memory settings that cannot be.

use super::refused;

#[test]
fn a_maximum_below_startup() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "256MB"
"#,
        r#"
error: `maximum_bytes` is below `startup_bytes`
 --> bad.toml:7:17
  |
7 | maximum_bytes = "256MB"
  |                 ^^^^^^^ 256MB, but `startup_bytes` is 512MB (line 6)
  |
  = allowed: at least 512MB

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_startup_below_minimum() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
minimum_bytes = "1GB"
"#,
        r#"
error: `startup_bytes` is below `minimum_bytes`
 --> bad.toml:6:17
  |
6 | startup_bytes = "512MB"
  |                 ^^^^^^^ 512MB, but `minimum_bytes` is 1GB (line 7)
  |
  = allowed: at least 1GB

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_buffer_out_of_range() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
buffer = 4
"#,
        r#"
error: `buffer` cannot be 4
 --> bad.toml:7:10
  |
7 | buffer = 4
  |          ^
  |
  = allowed: a whole number from 5 to 2000

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_buffer_that_is_text() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
buffer = "20%"
"#,
        r#"
error: `buffer` must be a whole number from 5 to 2000
 --> bad.toml:7:10
  |
7 | buffer = "20%"
  |          ^^^^^ this is a text
  |
  = allowed: a whole number from 5 to 2000

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_priority_out_of_range() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
priority = 5000
"#,
        r#"
error: `priority` cannot be 5000
 --> bad.toml:7:12
  |
7 | priority = 5000
  |            ^^^^
  |
  = allowed: a whole number from 0 to 100

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn dynamic_memory_before_its_time() {
    refused(
        r#"until = "10m"
host = { memory = "32GB", release = "2008-kb956710" }
[[vm]]
name = "VM1"
guest = "ws2008-sp2"
dynamic_memory_enabled = true
startup_bytes = "1GB"
"#,
        r#"
error: Windows Server 2008 has no Dynamic Memory
 --> bad.toml:6:26
  |
6 | dynamic_memory_enabled = true
  |                          ^^^^
  |
  = allowed: false, or a host of release "2008-r2-sp1"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn static_memory_with_a_maximum() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
dynamic_memory_enabled = false
maximum_bytes = "4GB"
"#,
        r#"
error: `maximum_bytes` means nothing without Dynamic Memory
 --> bad.toml:8:17
  |
8 | maximum_bytes = "4GB"
  |                 ^^^^^
  |
  = allowed: startup_bytes alone, with dynamic_memory_enabled = false
  = help: remove `maximum_bytes`, or set dynamic_memory_enabled = true

1 error in bad.toml; nothing was started
"#,
    );
}
