//! Domains of libvirt: by a `virsh` that is none, which says and does what that of libvirt 9.0 was seen to.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::guests::{Daemon, PATIENCE};

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

/// What the daemon logs, line by line.
struct Log(Receiver<String>);

impl Log {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (said, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| said.send(line))
        });
        Self(lines)
    }

    /// Waits for a line with all of these words.
    fn hears(&self, words: &[&str]) {
        let mut heard = String::new();
        loop {
            match self.0.recv_timeout(PATIENCE) {
                Ok(line) if words.iter().all(|word| line.contains(word)) => return,
                Ok(line) => heard += &format!("{line}\n"),
                Err(error) => panic!("the daemon never said {words:?} ({error}), but\n{heard}"),
            }
        }
    }
}

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
    let mut child = Command::new(env!("CARGO_BIN_EXE_dynmemd"))
        .env("PATH", format!("{}:{search}", folder.path().display()))
        .args(["--libvirt", "qemu:///system", "--memory", "864MB", "--reserve", "64MB", "--every", "0s"])
        .arg("--control")
        .arg(path("control"))
        .args(["--log", "info"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Log::of(child.stderr.take().unwrap());
    let daemon = Daemon { child, socket: path("control") };
    let has = |domain: &str| {
        let text = std::fs::read_to_string(path(&format!("{domain}.kib"))).unwrap();
        text.trim().parse::<u64>().unwrap() / 1024
    };
    // 1024 MB for two that may have 800 together, of which each needs 80.
    while has("a") + has("b.c") > 800 {
        log.hears(&["operation_finished"]);
    }
    assert_eq!(std::fs::read_to_string(path("a.period")).unwrap(), "1\n");
    // A libvirt that does not answer holds its domains, and one that is back does not.
    std::fs::write(path("broken"), "").unwrap();
    log.hears(&["qemu-worker/a ", "vm_held", "does not answer"]);
    std::fs::remove_file(path("broken")).unwrap();
    log.hears(&["qemu-worker/a ", "vm_released"]);
    // A domain that is gone is gone.
    std::fs::remove_file(path("b.c.kib")).unwrap();
    log.hears(&["vm_gone", "b.c"]);
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
