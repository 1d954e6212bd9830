//! Timelines, policies and checks that cannot be.

use super::refused;

#[test]
fn an_unknown_action() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[timeline]]
at = "0s"
action = "strat"
vm = "VM1"
"#,
        r#"
error: there is no action "strat"
 --> bad.toml:9:10
  |
9 | action = "strat"
  |          ^^^^^^^
  |
  = allowed: "start", "stop", "reboot", "set_workload", "unload", "set_vm_memory", "set_registry", "inject_fault", "mark"
  = help: did you mean `start`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_action_on_an_unknown_vm() {
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
vm = "VM1..VM2"
"#,
        r#"
error: no VM is named "VM2"
  --> bad.toml:10:6
   |
10 | vm = "VM1..VM2"
   |      ^^^^^^^^^^
   |
   = allowed: VM1; ranges such as "VM1..VM7"; "all"
   = help: did you mean `VM1`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_stop_before_the_start() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[timeline]]
at = "1m"
action = "stop"
vm = "VM1"
[[timeline]]
at = "2m"
action = "start"
vm = "VM1"
"#,
        r#"
error: "VM1" does not run at 1m
  --> bad.toml:10:6
   |
10 | vm = "VM1"
   |      ^^^^^ action "stop"
   |
   = help: start it before

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_start_after_the_start() {
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
at = "2m"
action = "start"
vm = "VM1"
"#,
        r#"
error: "VM1" runs already at 2m
  --> bad.toml:14:6
   |
14 | vm = "VM1"
   |      ^^^^^ action "start"
   |
   = help: stop it before, or start it once

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_action_after_the_end() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[timeline]]
at = "11m"
action = "start"
vm = "VM1"
"#,
        r#"
error: this happens after the run has ended
 --> bad.toml:8:6
  |
8 | at = "11m"
  |      ^^^^^ at 11m, but the run ends at 10m
  |
  = help: make `until` later, or `at` earlier

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_fault() {
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
action = "inject_fault"
vm = "VM1"
fault = "guest_crashes"
"#,
        r#"
error: `fault` cannot be "guest_crashes"
  --> bad.toml:15:9
   |
15 | fault = "guest_crashes"
   |         ^^^^^^^^^^^^^^^
   |
   = allowed: "guest_silent", "guest_refuses_hot_add", "guest_sends_garbage", "guest_closes_channel", "guest_crash", "component_panic"
   = help: did you mean `guest_crash`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_panic_of_nothing() {
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
action = "inject_fault"
vm = "VM1"
fault = "component_panic"
"#,
        r#"
error: component_panic needs to know which component
  --> bad.toml:15:9
   |
15 | fault = "component_panic"
   |         ^^^^^^^^^^^^^^^^^
   |
   = allowed: "dm-vsc", "guest", "worker"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_fault_that_does_not_last() {
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
action = "inject_fault"
vm = "VM1"
fault = "guest_crash"
duration = "1m"
"#,
        r#"
error: this fault happens at once and does not last
  --> bad.toml:16:12
   |
16 | duration = "1m"
   |            ^^^^
   |
   = allowed: `duration` with guest_silent, guest_refuses_hot_add, guest_closes_channel

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_registry_value() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[timeline]]
at = "1m"
action = "set_registry"
name = "MemoryReserv"
value = 2048
"#,
        r#"
error: `name` cannot be "MemoryReserv"
  --> bad.toml:10:8
   |
10 | name = "MemoryReserv"
   |        ^^^^^^^^^^^^^^
   |
   = allowed: "MemoryReserve"
   = help: did you mean `MemoryReserve`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn two_limits_for_one_start() {
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
while_host_used_below = "1GB"
while_host_used_below_that_of = "multi-vm"
"#,
        r#"
error: two limits for one start
  --> bad.toml:12:33
   |
12 | while_host_used_below_that_of = "multi-vm"
   |                                 ^^^^^^^^^^
   |
   = allowed: one of while_host_used_below, while_host_used_below_that_of

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_policy() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[policy]
name = "hiperv"
"#,
        r#"
error: there is no policy "hiperv"
 --> bad.toml:8:8
  |
8 | name = "hiperv"
  |        ^^^^^^^^
  |
  = allowed: hyperv, esx, static
  = help: did you mean `hyperv`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_unknown_check() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[check]]
name = "parent_fre"
at_least = 1
"#,
        r#"
error: there is no check "parent_fre"
 --> bad.toml:8:8
  |
8 | name = "parent_fre"
  |        ^^^^^^^^^^^^
  |
  = allowed: vms_started, vms_started_ratio, host_memory_used, no_failed_start, start_refused, idle_at_startup, idle_available, follows_demand, available_trend, available_sawtooth, unload_is_unseen, hold, reclaim, idle_after_reclaim, undisturbed_growth, others_undisturbed, contention, available_single_digits, available_single_digit_share, back_at_maximum, parent_free, available_mean, page_reads_peak, page_reads_quiet, curves_cross, memory_assigned, host_memory_used_ratio, flat_while_idle, page_reads_idle, unsteady, assigned_difference, holds_more, assigned_change, demand_change, start_time, reclaim_time, assigned, guest_visible, overhead_per_vm, pressure_difference, high_pressure_time, within_bounds, bounds_reached
  = help: did you mean `parent_free`?

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_check_without_its_number() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[check]]
name = "parent_free"
"#,
        r#"
error: check "parent_free" measures a number (MB) and needs to know which is right
 --> bad.toml:8:8
  |
8 | name = "parent_free"
  |        ^^^^^^^^^^^^^
  |
  = allowed: one of expect with tolerance, between, at_least, at_most

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_number_for_a_check_that_has_none() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[check]]
name = "reclaim"
at_least = 1
"#,
        r#"
error: check "reclaim" measures no number
 --> bad.toml:8:8
  |
8 | name = "reclaim"
  |        ^^^^^^^^^
  |
  = allowed: none of expect, between, at_least, at_most

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_expectation_without_tolerance() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[check]]
name = "hold"
expect = 300
"#,
        r#"
error: `expect` needs `tolerance`: measured numbers are never exact
 --> bad.toml:9:10
  |
9 | expect = 300
  |          ^^^
  |
  = allowed: tolerance = "5%", or a number in the check's unit

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_check_of_an_unknown_vm() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
[[check]]
name = "reclaim"
vm = "VM9"
"#,
        r#"
error: no VM is named "VM9"
 --> bad.toml:9:6
  |
9 | vm = "VM9"
  |      ^^^^^
  |
  = allowed: VM1; ranges such as "VM1..VM7"; "all"
  = help: did you mean `VM1`?

1 error in bad.toml; nothing was started
"#,
    );
}
