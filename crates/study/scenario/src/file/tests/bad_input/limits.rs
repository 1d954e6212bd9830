//! VMs that a host, its edition or its release does not take.

use super::refused;
use crate::file::{LoadOptions, parse};

#[test]
fn a_vm_above_64_gb() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "65GB"
"#,
        r#"
error: a VM cannot have 65GB
 --> bad.toml:7:17
  |
7 | maximum_bytes = "65GB"
  |                 ^^^^^^
  |
  = allowed: up to 64GB with edition "enterprise"
  = help: a VM of 65GB needs release = "2012" or later; edition "unlimited" has no limits

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_static_vm_above_64_gb() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "128GB"
dynamic_memory_enabled = false
"#,
        r#"
error: a VM cannot have 128GB
 --> bad.toml:6:17
  |
6 | startup_bytes = "128GB"
  |                 ^^^^^^^
  |
  = allowed: up to 64GB with edition "enterprise"
  = help: a VM of 128GB needs release = "2012" or later; edition "unlimited" has no limits

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_vm_above_what_standard_allows() {
    refused(
        r#"until = "10m"
host = { memory = "32GB", edition = "standard" }
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "33GB"
"#,
        r#"
error: a VM cannot have 33GB
 --> bad.toml:7:17
  |
7 | maximum_bytes = "33GB"
  |                 ^^^^^^
  |
  = allowed: up to 32GB with edition "standard"
  = help: 64GB with edition "enterprise" or "datacenter"

1 error in bad.toml; nothing was started
"#,
    );
    refused(
        r#"until = "10m"
host = { memory = "32GB", edition = "standard", release = "2008" }
[[vm]]
name = "VM1"
guest = "ws2008-sp2"
dynamic_memory_enabled = false
startup_bytes = "32GB"
"#,
        r#"
error: a VM cannot have 32GB
 --> bad.toml:7:17
  |
7 | startup_bytes = "32GB"
  |                 ^^^^^^
  |
  = allowed: up to 31.5GB with edition "standard"
  = help: 64GB with edition "enterprise" or "datacenter"

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn one_running_vm_too_many() {
    let limits = [
        ("2008-r2-sp1", "enterprise", 384, "2012"),
        ("2008-r2-sp1", "standard", 192, "2008-r2-sp1"),
        ("2008-kb956710", "datacenter", 192, "2008-r2-sp1"),
        ("2008", "enterprise", 128, "2008-kb956710"),
    ];
    for (release, edition, most, since) in limits {
        let (first, last) = (most - 2, most + 8);
        refused(
            &format!(
                r#"until = "10m"
host = {{ memory = "32GB", edition = "{edition}", release = "{release}" }}
[[vm]]
name = "VM{{n}}"
numbers = "1..{last}"
guest = "ws2003-sp2"
dynamic_memory_enabled = false
startup_bytes = "128MB"
[[timeline]]
at = "0s"
action = "start"
vm = "VM1..VM{first}"
[[timeline]]
at = "5m"
action = "start"
vm = "VM{}..VM{last}"
every = "1s"
"#,
                first + 1
            ),
            &format!(
                r#"
error: {one} VMs would run at once
  --> bad.toml:16:6
   |
16 | vm = "VM{from}..VM{last}"
   |      ^^^^^^^^^^^^^^ "VM{one}" would be number {one}
   |
   = allowed: {most} running VMs on a host of edition "{edition}", release "{release}"
   = help: a host with {one} running VMs needs release = "{since}" or later; edition "unlimited" has no limits

1 error in bad.toml; nothing was started
"#,
                one = most + 1,
                from = first + 1,
            ),
        );
    }
}

#[test]
fn more_virtual_processors_than_the_logical_ones_carry() {
    let file = |guest: &str| {
        format!(
            r#"until = "10m"
host = {{ memory = "32GB", logical_processors = 4 }}
[[vm]]
name = "VM{{n}}"
numbers = "1..9"
guest = "{guest}"
vcpus = 4
startup_bytes = "512MB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
"#
        )
    };
    refused(
        &file("ws2008-r2-sp1"),
        r#"
error: 36 virtual processors would run at once
  --> bad.toml:12:6
   |
12 | vm = "all"
   |      ^^^^^ with "VM9"
   |
   = allowed: 32 on this host, by its edition and its logical processors
   = help: a host with 36 of them needs release = "2012" or later; edition "unlimited" has no limits

1 error in bad.toml; nothing was started
"#,
    );
    // Twelve for each logical processor, if all guests are Windows 7.
    parse("good.toml", file("windows-7-sp1"), &LoadOptions::default()).unwrap_or_else(|bad| panic!("{bad}"));
}

#[test]
fn more_logical_processors_than_the_edition_takes() {
    refused(
        r#"until = "10m"
[[vm]]
name = "VM1"
guest = "ws2008-sp2"
dynamic_memory_enabled = false
startup_bytes = "512MB"
[host]
memory = "32GB"
release = "2008"
logical_processors = 24
"#,
        r#"
error: edition "enterprise" takes no more than 16 logical processors
  --> bad.toml:10:22
   |
10 | logical_processors = 24
   |                      ^^
   |
   = allowed: 1 to 16
   = help: a host of 24 of them needs release = "2008-kb956710" or later; edition "unlimited" has no limits

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn the_513th_configured_vm() {
    refused(
        r#"until = "10m"
host = { memory = "32GB", release = "2008-kb956710" }
[[vm]]
name = "VM{n}"
numbers = "1..513"
guest = "ws2003-sp2"
dynamic_memory_enabled = false
startup_bytes = "128MB"
"#,
        r#"
error: 513 VMs are configured
 --> bad.toml:4:8
  |
4 | name = "VM{n}"
  |        ^^^^^^^ "VM513" is VM number 513
  |
  = allowed: 512 configured VMs on a host of edition "enterprise"
  = help: a host with so many needs release = "2008-r2-sp1" or later; edition "unlimited" has no limits

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_guest_with_too_many_processors() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "ws2003-r2-sp2-enterprise"
startup_bytes = "512MB"
vcpus = 4
"#,
        r#"
error: Windows Server 2003 R2 SP2 Enterprise x64 does not support 4 virtual processors
 --> bad.toml:7:9
  |
7 | vcpus = 4
  |         ^ the guest is said in line 5
  |
  = allowed: 1 or 2

1 error in bad.toml; nothing was started
"#,
    );
}

#[test]
fn a_guest_with_one_processor_only() {
    refused(
        r#"until = "10m"
host = { memory = "32GB" }
[[vm]]
name = "VM1"
guest = "w2000-server-sp4"
startup_bytes = "512MB"
vcpus = 2
"#,
        r#"
error: Windows 2000 Server SP4 x86 does not support 2 virtual processors
 --> bad.toml:7:9
  |
7 | vcpus = 2
  |         ^ the guest is said in line 5
  |
  = allowed: 1

1 error in bad.toml; nothing was started
"#,
    );
}

/// A scenario of one VM with these settings on a host of this release.
fn on_release(release: &str, settings: &str) -> String {
    format!(
        r#"until = "10m"
host = {{ memory = "512GB", release = "{release}" }}
[[vm]]
name = "VM1"
{settings}
"#
    )
}

#[test]
fn a_vm_of_today_on_a_host_of_2011_is_told_which_release_takes_it() {
    let settings = "guest = \"ws2022\"\nstartup_bytes = \"96GB\"\nvcpus = 8";
    refused(
        &on_release("2008-r2-sp1", settings),
        r#"
error: a VM cannot have 96GB
 --> bad.toml:6:17
  |
6 | startup_bytes = "96GB"
  |                 ^^^^^^
  |
  = allowed: up to 64GB with edition "enterprise"
  = help: a VM of 96GB needs release = "2012" or later; edition "unlimited" has no limits

error: a VM of this host cannot have 8 virtual processors
 --> bad.toml:7:9
  |
7 | vcpus = 8
  |         ^ the guest is said in line 5
  |
  = allowed: 1 to 4
  = help: a VM of this guest with 8 virtual processors needs release = "2012" or later

2 errors in bad.toml; nothing was started
"#,
    );
    for release in ["2012", "2012-r2", "2016", "2019", "2022", "2025"] {
        let text = on_release(release, settings);
        let scenario =
            parse("good.toml", text, &LoadOptions::default()).unwrap_or_else(|bad| panic!("{bad}"));
        let vm = &scenario.vms[0];
        assert_eq!((vm.vcpus, vm.memory.maximum), (8, page_range::PageCount::from_mib(1 << 20)), "{release}");
    }
}

#[test]
fn generations_are_of_hosts_and_guests_that_have_them() {
    refused(
        &on_release("2012", "guest = \"ws2012\"\nstartup_bytes = \"1GB\"\ngeneration = 2"),
        r#"
error: a host of release "2012" has no VMs of generation 2
 --> bad.toml:7:14
  |
7 | generation = 2
  |              ^
  |
  = allowed: 1, or a host with release = "2012-r2" or later

1 error in bad.toml; nothing was started
"#,
    );
    refused(
        &on_release(
            "2022",
            "guest = \"windows-7-sp1-enterprise-x64\"\nstartup_bytes = \"1GB\"\ngeneration = 2",
        ),
        r#"
error: Windows 7 SP1 Enterprise x64 does not boot in a VM of generation 2
 --> bad.toml:7:14
  |
7 | generation = 2
  |              ^
  |
  = allowed: 1

1 error in bad.toml; nothing was started
"#,
    );
    // 2 TB and 128 processors are for generation 2.
    refused(
        &on_release(
            "2019",
            "guest = \"ws2019\"\nstartup_bytes = \"1GB\"\nmaximum_bytes = \"2TB\"\nvcpus = 128\ngeneration = 1",
        ),
        r#"
error: a VM cannot have 2TB
 --> bad.toml:7:17
  |
7 | maximum_bytes = "2TB"
  |                 ^^^^^
  |
  = allowed: up to 1TB with edition "datacenter"
  = help: edition "unlimited" has no limits

error: a VM of this host cannot have 128 virtual processors
 --> bad.toml:8:9
  |
8 | vcpus = 128
  |         ^^^ the guest is said in line 5
  |
  = allowed: 1 to 64

2 errors in bad.toml; nothing was started
"#,
    );
}

#[test]
fn an_edition_that_a_release_was_not_sold_in() {
    refused(
        "until = \"10m\"\nhost = { memory = \"32GB\", release = \"2022\", edition = \"enterprise\" }\n[[vm]]\nname = \"VM1\"\nguest = \"ws2022\"\nstartup_bytes = \"1GB\"\n",
        r#"
error: there is no edition "enterprise" of release "2022"
 --> bad.toml:2:55
  |
2 | host = { memory = "32GB", release = "2022", edition = "enterprise" }
  |                                                       ^^^^^^^^^^^^
  |
  = allowed: "datacenter", "standard", "unlimited"

1 error in bad.toml; nothing was started
"#,
    );
}
