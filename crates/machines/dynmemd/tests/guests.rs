//! Guests of the QEMU that is installed, with the kernel that `cargo xtask guest fetch` brings, and a daemon over them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use real_guest::initramfs;
use real_guest::pieces::{Given, Looked, Pieces};
use real_guest::qemu_machine;

/// The longest that is waited for anything. An emulated guest on a computer that has other work boots in half a minute.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// The same for a guest in a QEMU inside an emulated machine.
const PATIENCE_INSIDE: Duration = Duration::from_secs(400);
/// A guest takes more when it has this available, MiB, …
const ROOM: u64 = 20;
/// … and at most this at a time.
const LARGEST_STEP: u64 = 16;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What guests are made of, in a folder of their own; `None`, with a word, where something is missing.
pub(crate) fn rig() -> Option<Rig> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target");
    let pieces = match Looked::look(&target, &Given::default()).into_pieces() {
        Ok(pieces) => pieces,
        Err(error) => {
            eprintln!("left out: {error}");
            return None;
        }
    };
    if pieces.qemu.is_none() {
        eprintln!("left out: qemu-system-x86_64 is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let initramfs = folder.path().join("initramfs");
    std::fs::write(&initramfs, initramfs::qemu_guest(&pieces).unwrap()).unwrap();
    Some(Rig { pieces, initramfs, folder })
}

pub(crate) struct Rig {
    pieces: Pieces,
    initramfs: PathBuf,
    pub(crate) folder: tempfile::TempDir,
}

/// The device that most guests have.
pub(crate) const BALLOON: &[&str] = &["-device", "virtio-balloon-pci,id=balloon0"];

impl Rig {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A guest with these devices, up.
    pub(crate) fn guest(&self, name: &str, memory: &str, devices: &[&str], words: &str) -> Guest {
        let socket = self.path(&format!("{name}.qmp"));
        let _none = std::fs::remove_file(&socket);
        let qemu = self.pieces.qemu.as_ref().unwrap();
        let log = File::create(self.path(&format!("{name}.err"))).unwrap();
        let mut command = qemu.command();
        command
            .args([
                "-M",
                "q35",
                "-accel",
                "tcg",
                "-cpu",
                "max",
                "-smp",
                "1",
                "-m",
                memory,
                "-nodefaults",
                "-display",
                "none",
            ])
            .args(["-name", &format!("guest={name}"), "-serial", "stdio"])
            .arg("-kernel")
            .arg(&self.pieces.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .args(["-append", &format!("console=ttyS0 quiet panic=-1 nokaslr mitigations=off {words}")])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())])
            .args(devices)
            .stderr(log);
        Guest::start(name, &mut command, PATIENCE)
    }

    /// A guest with `hv-balloon`, in a QEMU inside an emulated machine, up; `None`, with a word, where QEMU has no such device.
    pub(crate) fn guest_of_hv_balloon(&self, name: &str) -> Option<Guest> {
        let qemu = self.pieces.qemu.as_ref().unwrap();
        if !qemu_machine::has_hv_balloon(qemu) {
            eprintln!("left out: {} has no hv-balloon (QEMU 8.2 and later have it)", qemu.program.display());
            return None;
        }
        let initramfs = self.path("machine");
        std::fs::write(&initramfs, qemu_machine::initramfs(&self.pieces, qemu).unwrap()).unwrap();
        // Free when it was asked for, and likely to be so a moment later.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let socket = UnixListener::bind(self.path(&format!("{name}.qmp"))).unwrap();
        std::thread::spawn(move || lead(&socket, port));
        let log = File::create(self.path(&format!("{name}.err"))).unwrap();
        let mut command = qemu.command();
        command.args(qemu_machine::arguments(&self.pieces, &initramfs, port)).stderr(log);
        Some(Guest::start(name, &mut command, PATIENCE_INSIDE))
    }

    /// A daemon with this file. `again`: which, for its log.
    pub(crate) fn daemon(&self, configuration: &str, again: u32) -> Daemon {
        let (file, socket) = (self.path("dynmemd.toml"), self.path("control"));
        let sockets = self.path("*.qmp");
        let text = format!(
            "qmp = {:?}\ncontrol = {:?}\nrecord = {:?}\n{configuration}",
            sockets.display().to_string(),
            socket.display().to_string(),
            self.path("records").display().to_string()
        );
        std::fs::write(&file, text).unwrap();
        let log = File::create(self.path(&format!("dynmemd-{again}.log"))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dynmemd"))
            .arg("--config")
            .arg(&file)
            .args(["--every", "0s", "--log", "info"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let daemon = Daemon { child, socket };
        until("the daemon answers", || daemon.ask("status").ok().map(drop));
        daemon
    }
}

/// Looks until there is something; tells what it waited for if there never is.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut left = PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(!left.is_zero(), "waited in vain: {what}");
        pause(LOOK);
        left = left.saturating_sub(LOOK);
    }
}

#[expect(clippy::disallowed_methods, reason = "guests of QEMU live in real time")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[expect(clippy::disallowed_methods, reason = "guests of QEMU live in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) struct Guest {
    pub(crate) name: String,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    patience: Duration,
}

/// Leads whoever connects to a socket to a port, for as long as both like.
fn lead(socket: &UnixListener, port: u16) {
    for near in socket.incoming().map_while(Result::ok) {
        let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
        let (Ok(mut from_near), Ok(mut to_far)) = (near.try_clone(), far.try_clone()) else { return };
        std::thread::spawn(move || {
            let _gone = std::io::copy(&mut from_near, &mut to_far);
            let _gone = to_far.shutdown(Shutdown::Write);
        });
        std::thread::spawn(move || {
            let _gone = std::io::copy(&mut &far, &mut &near);
            let _gone = near.shutdown(Shutdown::Both);
        });
    }
}

impl Guest {
    fn start(name: &str, command: &mut Command, patience: Duration) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (said, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        // For whoever looks for what went wrong.
        let shown = std::env::var_os("SHOW_GUESTS").map(|_| name.to_owned());
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| {
                if let Some(name) = &shown {
                    eprintln!("{name}: {line}");
                }
                said.send(line)
            })
        });
        let input = child.stdin.take().unwrap();
        let mut guest = Self { name: name.to_owned(), child, input, lines, patience };
        guest.hears("ready");
        guest
    }

    /// Waits until the guest says this.
    pub(crate) fn hears(&mut self, what: &str) -> String {
        self.hears_either(&[what])
            .unwrap_or_else(|error| panic!("{} never said {what:?}: {error}", self.name))
    }

    /// Waits until the guest says one of these.
    pub(crate) fn hears_either(&mut self, these: &[&str]) -> Result<String, RecvTimeoutError> {
        loop {
            let line = self.lines.recv_timeout(self.patience)?;
            if these.iter().any(|what| line.trim().starts_with(what)) {
                return Ok(line);
            }
        }
    }

    pub(crate) fn tell(&mut self, what: &str) {
        writeln!(self.input, "{what}").unwrap();
        self.input.flush().unwrap();
    }

    /// Loads so many MiB at once.
    pub(crate) fn loads(&mut self, mib: u64) {
        self.tell(&format!("load {mib}"));
        let said = self.hears("loaded");
        assert!(said.trim().ends_with(" 0"), "{} had no memory for {mib} MiB: {said}", self.name);
    }

    /// Loads so many MiB more, step by step as its VM is given memory: a guest that takes it faster kills its own programs.
    pub(crate) fn loads_more(&mut self, daemon: &Daemon, mib: u64) {
        let name = self.name.clone();
        let (mut left, mut latest) = (mib, now());
        while left > 0 {
            let room = until("its guest has room for some more", || {
                daemon.available_since(&name, latest).filter(|available| *available >= ROOM)
            });
            // A third: surplus may be on its way to the host at the same time.
            let step = (room / 3).min(LARGEST_STEP).min(left);
            self.tell(&format!("more {step}"));
            let said = self.hears("added");
            assert!(said.trim().ends_with(" 0"), "{name} had no memory for {step} of {room} MiB: {said}");
            (left, latest) = (left - step, now());
        }
    }

    /// The guest's own total, MiB.
    pub(crate) fn total(&mut self) -> u64 {
        self.tell("mem");
        let line = self.hears("total");
        line.trim().split(' ').nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// What QEMU has of the host's memory, MiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Sends QEMU a signal.
    pub(crate) fn signal(&self, signal: &str) {
        signal_to(self.child.id(), signal);
    }
}

fn signal_to(process: u32, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status();
    assert!(sent.unwrap().success());
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Fails if QEMU has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) socket: PathBuf,
}

impl Daemon {
    pub(crate) fn ask(&self, question: &str) -> anyhow::Result<String> {
        dynmemd::control::ask(&self.socket, question)
    }

    /// A line of what the daemon says of a VM, such as `has`.
    fn line(&self, vm: &str, name: &str) -> Option<String> {
        let text = self.ask(&format!("explain {vm}")).ok()?;
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(' '))?;
        Some(line.trim().to_owned())
    }

    fn number(&self, vm: &str, name: &str) -> Option<u64> {
        self.line(vm, name)?.split(' ').next()?.parse().ok()
    }

    /// What a VM has, MiB.
    pub(crate) fn has(&self, vm: &str) -> Option<u64> {
        self.number(vm, "has")
    }

    /// What a VM is charged with, MiB.
    pub(crate) fn charged(&self, vm: &str) -> Option<u64> {
        self.number(vm, "charged")
    }

    /// What a VM's guest needs, MiB.
    pub(crate) fn needs(&self, vm: &str) -> Option<u64> {
        self.line(vm, "its guest")?.strip_prefix("needs ")?.split(' ').next()?.parse().ok()
    }

    /// What a VM's guest has available, MiB, if it has said so since then.
    fn available_since(&self, vm: &str, then: Instant) -> Option<u64> {
        let line = self.line(vm, "its guest")?;
        let (available, age) = line.split_once(", has ")?.1.split_once(" MB available (")?;
        // Whole seconds, rounded down.
        let age: u64 = age.split(' ').next()?.parse().ok()?;
        (then.elapsed() > Duration::from_secs(age + 1)).then(|| available.parse().ok())?
    }

    pub(crate) fn why(&self, vm: &str) -> String {
        self.line(vm, "why").unwrap_or_default()
    }

    /// All VMs together, MiB, and what they may have.
    pub(crate) fn sum(&self) -> (u64, u64) {
        let text = self.ask("status").unwrap();
        let words: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
        let at = words.iter().position(|word| *word == "VMs").unwrap();
        (words[at + 1].parse().unwrap(), words[at + 3].parse().unwrap())
    }

    /// Ends it with a signal, and says with which code it ended.
    pub(crate) fn end(mut self, signal: &str) -> Option<i32> {
        signal_to(self.child.id(), signal);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // For whoever looks for why something was waited for in vain.
        if std::thread::panicking() {
            eprintln!("{}", self.ask("status").unwrap_or_else(|error| error.to_string()));
            for vm in ["web", "db", "plugged", "hv"] {
                eprintln!("{}", self.ask(&format!("explain {vm}")).unwrap_or_else(|error| error.to_string()));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
