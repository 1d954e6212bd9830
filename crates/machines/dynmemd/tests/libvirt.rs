//! Domains of libvirt: by a `virsh` that is none, which says and does what that of libvirt 9.0 was seen to.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::guests::{Daemon, until};

const VIRSH: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 1
shift 3 # -q -c URI
case $1 in
version) echo "Running hypervisor: QEMU 10.0.2";;
event) echo $$ >> events; exec sleep 1000;;
domstats)
    [ ! -e broken ] || { echo "error: failed to connect" >&2; exit 1; }
    for domain in *.kib; do
        name=${domain%.kib}; has=$(cat $domain)
        printf "Domain: '%s'\n  state.state=1\n  state.reason=1\n  balloon.current=%s\n  balloon.maximum=524288\n" "$name" "$has"
        [ ! -e $name.period ] || printf '  balloon.usable=%s\n  balloon.last-update=%s\n' $((has - 81920)) $(date +%s)
        echo
    done;;
setmem) echo "$6" > new; mv new "$4.kib";;
dommemstat) echo "$6" > "$4.period";;
*) echo "error: unknown command: '$1'" >&2; exit 1;;
esac
"#;

#[test]
fn domains_are_found_asked_and_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("virsh"), VIRSH).unwrap();
    std::fs::set_permissions(path("virsh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    for domain in ["a", "b.c"] {
        std::fs::write(path(&format!("{domain}.kib")), "524288\n").unwrap();
    }
    let search = std::env::var("PATH").unwrap_or_default();
    let child = Command::new(env!("CARGO_BIN_EXE_dynmemd"))
        .env("PATH", format!("{}:{search}", folder.path().display()))
        .args(["--libvirt", "qemu:///system", "--memory", "864MB", "--reserve", "64MB", "--every", "0s"])
        .arg("--control")
        .arg(path("control"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let daemon = Daemon { child, socket: path("control") };
    // 1024 MB for two that may have 800 together, of which each needs 80.
    until("the two have no more than they may", || {
        (daemon.charged("a")? + daemon.charged("b.c")? <= 800).then_some(())
    });
    let has = |domain: &str| {
        let text = std::fs::read_to_string(path(&format!("{domain}.kib"))).unwrap();
        text.trim().parse::<u64>().unwrap() / 1024
    };
    assert!(has("a") + has("b.c") <= 800, "{} {}", has("a"), has("b.c"));
    assert_eq!(std::fs::read_to_string(path("a.period")).unwrap(), "1\n");
    // A libvirt that does not answer holds its domains, and one that is back does not.
    std::fs::write(path("broken"), "").unwrap();
    until("they are held", || daemon.why("a").contains("does not answer").then_some(()));
    std::fs::remove_file(path("broken")).unwrap();
    until("they are held no more", || (!daemon.why("a").starts_with("held")).then_some(()));
    // A domain that is gone is gone.
    std::fs::remove_file(path("b.c.kib")).unwrap();
    until("it is gone", || daemon.ask("explain b.c").is_err().then_some(()));
    assert_eq!(daemon.end("TERM"), Some(0));
    for process in std::fs::read_to_string(path("events")).unwrap().lines() {
        assert!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "virsh was left behind");
    }
}

#[test]
fn without_a_libvirt_it_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_dynmemd"))
        .env("PATH", folder.path())
        .args(["--libvirt", "qemu:///system"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("libvirt-clients"), "{text}");
}
