//! The emulated machine: QEMU plays an AMD computer with virtualisation, whose kernel's KVM has all that ours may lack.
//!
//! Everything of this project runs inside the emulated machine unchanged. Emulation is slow (a guest boots in half a minute),
//! but needs nothing of the computer that it runs on.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::initramfs;
use crate::pieces::Pieces;

/// What to run inside.
#[derive(Clone, Debug)]
pub struct Nested {
    /// Memory of the emulated machine, MiB.
    pub memory_mib: u64,
    /// Longest time for all of it.
    pub limit: Option<Duration>,
    /// Arguments of the program inside.
    pub arguments: Vec<String>,
    /// Files that the program finds in `/files`: their paths there, and where they are here.
    pub files: Vec<(String, PathBuf)>,
    /// Where the files that it leaves go.
    pub out: PathBuf,
    /// Those of them that come out while they are written, so that somebody can follow them; all others come when the machine is off.
    pub streams: &'static [&'static str],
    /// Whether what is typed goes to the program inside.
    pub interactive: bool,
    /// Where its console goes.
    pub console: Console,
}

/// Where the console of an emulated machine goes.
#[derive(Clone, Debug)]
pub enum Console {
    /// To standard output, as it comes.
    Here,
    /// To whoever listens, line by line.
    Lines(Sender<String>),
}

impl Console {
    fn stdout(&self) -> Stdio {
        match self {
            Self::Here => Stdio::inherit(),
            Self::Lines(_) => Stdio::piped(),
        }
    }

    /// Passes on what a machine prints, until there is nothing more or nobody listens.
    fn pass_on(&self, output: Option<impl Read + Send + 'static>) -> Result<Option<JoinHandle<()>>> {
        let (Self::Lines(listener), Some(output)) = (self, output) else { return Ok(None) };
        let listener = listener.clone();
        let read = move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if listener.send(terminal_text::escape_lines(line.trim_end()).into_owned()).is_err() {
                    return;
                }
            }
        };
        let reader = std::thread::Builder::new().name("console".to_owned()).spawn(read);
        reader.map(Some).context("no thread can be started")
    }
}

/// The shortest word about what is going to happen, and how long it takes.
pub const EXPLANATION: &str = "\
This computer's KVM is not used. QEMU emulates an AMD machine (level 1), a Debian kernel in it loads kvm-amd, and the virtual
machine monitor runs there with its guests (level 2). Expect 5-10 s until level 1 is up and 20-40 s until hv_balloon has
negotiated. Nothing is installed, and all of it ends with this command.";

/// The program that runs guests inside the emulated machine.
pub const PROGRAM: &str = "real-guest";

/// The port of the emulated machine at which it is knocked.
const KNOCK: &str = "knock";
/// How often (invented): what an interrupt that is lost costs at most, and many times what being knocked at costs.
const KNOCK_INTERVAL: Duration = Duration::from_millis(500);

/// Builds a program of this package for inside: static, so that it needs nothing but a kernel.
///
/// # Errors
/// If cargo fails.
pub fn build_program(workspace: &Path, name: &str) -> Result<PathBuf> {
    let target = workspace.join("target/nested");
    // The flags go to the target only, not to build scripts and procedural macros.
    let triple = "x86_64-unknown-linux-gnu";
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(workspace)
        .args(["build", "--quiet", "--locked", "--profile", "nested", "-p", "real-guest", "--bin", name])
        .args(["--target", triple])
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static")
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the program that runs inside the emulated machine could not be built");
    }
    Ok(target.join(triple).join("nested").join(name))
}

/// The same, ended by the kernel when this process ends, however that happens. Where there is no `setpriv` (it belongs to util-linux)
/// a process that is killed with SIGKILL leaves its QEMU behind; any other end takes it along.
fn with_this_process(command: Command) -> Command {
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|program| program.is_file())
    });
    let Some(setpriv) = found else { return command };
    let mut wrapped = Command::new(setpriv);
    wrapped.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// A QEMU that is ended with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both calls fail if QEMU has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Knocks at an emulated machine, so that it looks up.
///
/// QEMU up to 10.1 loses an interrupt now and then: on its way out of a guest the processor's thread clears a bit of the word of pending
/// interrupts without a lock, while another thread sets one (inferred from its machine code, and shown by dropping one on purpose). A kernel sets its
/// clock anew at each tick. So if that one is lost there is no further one: the processor stays in the guest, and the machine stands still for
/// ever. The next interrupt of any device has the processor look for what is pending, and finds the lost one: a byte at a serial port will do.
struct Knocking {
    socket: PathBuf,
    machine: Option<UnixStream>,
}

impl Knocking {
    fn new(socket: PathBuf) -> Self {
        Self { socket, machine: None }
    }

    /// Knocks. A machine that is not there yet, or no more, or takes nothing, misses nothing by it.
    fn once(&mut self) {
        if self.machine.is_none() {
            self.machine = UnixStream::connect(&self.socket)
                .and_then(|stream| stream.set_nonblocking(true).map(|()| stream))
                .ok();
        }
        if let Some(machine) = &mut self.machine {
            let _ = machine.write_all(b"\n");
        }
    }
}

/// Whether a process ends within this time. The kernel says so the moment it does: its pidfd is readable then.
#[expect(clippy::disallowed_methods, reason = "waits for a process of the real world")]
fn ends_within(process: &Child, limit: Duration) -> std::io::Result<bool> {
    let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(std::io::ErrorKind::InvalidInput)?;
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let begun = Instant::now();
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        match poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            // A signal, as of a terminal whose size has changed.
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl Nested {
    /// Runs `program` inside, and returns its exit status when the machine is off. Its files are in [`out`](Self::out) then.
    ///
    /// # Errors
    /// If the machine cannot be started, or does not end in time.
    pub fn run(&self, target: &Path, pieces: &Pieces, program: &Path) -> Result<i32> {
        let qemu = pieces.qemu(target)?;
        std::fs::create_dir_all(&self.out).with_context(|| format!("cannot make {}", self.out.display()))?;
        let scratch = tempfile::tempdir().context("no temporary folder")?;
        let said = scratch.path().join("qemu.txt");
        let (initrd, archive) = (scratch.path().join("level1.cpio"), scratch.path().join("out.tar"));
        std::fs::write(&initrd, initramfs::level1(pieces, program, &self.arguments, &self.files)?)
            .context("cannot write the emulated machine's initramfs")?;
        let knock = scratch.path().join(KNOCK);
        let mut command = with_this_process(qemu.command());
        command
            .args([
                "-M",
                "q35",
                "-accel",
                "tcg,thread=multi",
                "-nodefaults",
                "-display",
                "none",
                "-no-reboot",
            ])
            .args(["-cpu", "EPYC-v3", "-smp", "1", "-m", &format!("{}M", self.memory_mib)])
            .arg("-kernel")
            .arg(pieces.emulated_kernel())
            .arg("-initrd")
            .arg(&initrd)
            .args([
                "-append",
                "console=ttyS0 quiet loglevel=1 panic=-1 nokaslr mitigations=off no_timer_check",
            ])
            .args(["-chardev", "stdio,id=console,signal=on", "-serial", "chardev:console"])
            .args(["-device", "virtio-serial-pci", "-chardev"])
            .arg(format!("file,id=out,path={}", archive.display()))
            .args(["-device", "virtserialport,chardev=out,name=out", "-chardev"])
            .arg(format!("socket,id={KNOCK},path={},server=on,wait=off", knock.display()))
            .args(["-device", &format!("virtserialport,chardev={KNOCK},name={KNOCK}")])
            .args(self.streams.iter().enumerate().flat_map(|(number, name)| {
                [
                    "-chardev".to_owned(),
                    format!("file,id=stream{number},path={}", self.out.join(name).display()),
                    "-device".to_owned(),
                    format!("virtserialport,chardev=stream{number},name={name}"),
                ]
            }))
            // What the emulation lacks of the processor is not news; if QEMU fails, the file is shown.
            .stderr(File::create(&said).context("cannot make a temporary file")?)
            .stdin(if self.interactive { Stdio::inherit() } else { Stdio::null() })
            .stdout(self.console.stdout());
        let mut running =
            Running(command.spawn().with_context(|| format!("cannot run {}", qemu.program.display()))?);
        let console = self.console.pass_on(running.0.stdout.take())?;
        let ended = self.wait(&mut running, Knocking::new(knock));
        drop(running);
        // What it printed last says why it ended.
        if let Some(console) = console {
            let _ = console.join();
        }
        let status = ended?;
        if !status.success() {
            let said = std::fs::read_to_string(&said).unwrap_or_default();
            bail!("QEMU ended with {status}: {}", said.trim());
        }
        self.unpack(&archive)
    }

    /// Waits until QEMU has ended, or its time is up.
    #[expect(clippy::disallowed_methods, reason = "waits for a process of the real world")]
    fn wait(&self, running: &mut Running, mut knocking: Knocking) -> Result<std::process::ExitStatus> {
        let begun = Instant::now();
        loop {
            let left = self.limit.map(|limit| limit.saturating_sub(begun.elapsed()));
            let next = left.map_or(KNOCK_INTERVAL, |left| left.min(KNOCK_INTERVAL));
            if ends_within(&running.0, next).context("cannot wait for QEMU")? {
                break;
            }
            knocking.once();
            let (Some(limit), Some(Duration::ZERO)) = (self.limit, left) else { continue };
            // A line of its own: the guest's console may have stopped anywhere.
            let _ = writeln!(std::io::stderr());
            bail!(
                "the emulated machine did not end within {} s, and was switched off; what it printed last says where it \
                 hangs",
                limit.as_secs()
            );
        }
        running.0.wait().context("cannot wait for QEMU")
    }

    /// Unpacks the files, and reads the status among them.
    fn unpack(&self, archive: &Path) -> Result<i32> {
        let output = Command::new("tar")
            .arg("-x")
            .arg("-f")
            .arg(archive)
            .arg("-C")
            .arg(&self.out)
            .output()
            .context("cannot run tar")?;
        let status = self.out.join(".status");
        let text = std::fs::read_to_string(&status).with_context(|| {
            format!(
                "the emulated machine left no result: it did not get as far as the end ({})",
                String::from_utf8_lossy(&output.stderr).trim()
            )
        })?;
        // Done with it.
        let _ = std::fs::remove_file(&status);
        text.trim().parse().context("the emulated machine left a result that is no number")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::pieces::Given;

    /// A folder with pieces that are none, and a program that plays QEMU: a shell script.
    fn stage(script: &str) -> (tempfile::TempDir, Pieces) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("guest/root");
        for file in [
            "boot/vmlinuz-6.1",
            "bin/busybox",
            "lib/modules/6.1/kernel/hv_vmbus.ko",
            "lib/modules/6.1/kernel/hv_balloon.ko",
            "usr/bin/qemu-system-x86_64",
        ] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let qemu = root.join("usr/bin/qemu-system-x86_64");
        std::fs::write(&qemu, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755)).unwrap();
        let pieces = Pieces::find(folder.path(), &Given::default()).unwrap();
        (folder, pieces)
    }

    fn machine(folder: &tempfile::TempDir, limit: Duration) -> Nested {
        Nested {
            memory_mib: 64,
            limit: Some(limit),
            arguments: vec!["record".to_owned()],
            files: Vec::new(),
            out: folder.path().join("out"),
            streams: &["events.jsonl"],
            interactive: false,
            console: Console::Here,
        }
    }

    fn run(script: &str, limit: Duration) -> (tempfile::TempDir, Result<i32>) {
        let (folder, pieces) = stage(script);
        let machine = machine(&folder, limit);
        let ended = machine.run(folder.path(), &pieces, &pieces.busybox);
        (folder, ended)
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn what_qemu_says_is_told_when_it_fails() {
        let (_folder, ended) = run("echo 'no such machine type' >&2; exit 3", LONG);
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("no such machine type") && error.contains("status: 3"), "{error}");
    }

    #[test]
    fn a_machine_that_ends_before_its_program_has_a_result_says_so() {
        let (_folder, ended) = run("exit 0", LONG);
        let error = format!("{:#}", ended.unwrap_err());
        assert!(error.contains("left no result"), "{error}");
    }

    /// What the program inside leaves comes out by a port that is a file here: an archive with its status.
    #[test]
    fn the_files_and_the_status_of_the_program_inside_come_out() {
        let script = r#"
            for word in "$@"; do case $word in file,id=out,path=*) out=${word#*path=};; esac; done
            folder=$(mktemp -d); echo 7 > "$folder/.status"; echo seen > "$folder/record.json"
            tar -c -f "$out" -C "$folder" .; rm -r "$folder""#;
        let (folder, ended) = run(script, LONG);
        assert_eq!(ended.unwrap(), 7);
        assert_eq!(std::fs::read_to_string(folder.path().join("out/record.json")).unwrap(), "seen\n");
        assert!(!folder.path().join("out/.status").exists());
    }

    #[test]
    fn what_a_machine_prints_goes_line_by_line_to_whoever_listens() {
        let (folder, pieces) = stage(r"printf 'ok  one\r\nok  \033[2Jtwo\nlast'; exit 3");
        let (tell, lines) = std::sync::mpsc::channel();
        let machine = Nested { console: Console::Lines(tell), ..machine(&folder, LONG) };
        machine.run(folder.path(), &pieces, &pieces.busybox).unwrap_err();
        drop(machine);
        let lines: Vec<String> = lines.iter().collect();
        assert_eq!((lines.len(), &*lines[0], &*lines[2]), (3, "ok  one", "last"));
        assert!(!lines[1].contains('\u{1b}') && lines[1].ends_with("two"), "{lines:?}");
    }

    /// What comes out while it is written is there however the machine ends.
    #[test]
    fn what_has_come_out_by_then_stays_when_the_machine_is_switched_off() {
        let script = r#"
            for word in "$@"; do case $word in file,id=stream0,path=*) echo event > "${word#*path=}";; esac; done
            exit 3"#;
        let (folder, ended) = run(script, LONG);
        assert!(ended.is_err());
        assert_eq!(std::fs::read_to_string(folder.path().join("out/events.jsonl")).unwrap(), "event\n");
    }

    /// However long nobody listens, or listens and takes nothing.
    #[test]
    fn knocking_waits_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("knock");
        let mut knocking = Knocking::new(path.clone());
        knocking.once();
        let listener = UnixListener::bind(&path).unwrap();
        knocking.once();
        let (mut machine, _) = listener.accept().unwrap();
        let mut heard = [0; 1];
        machine.read_exact(&mut heard).unwrap();
        // Far more than a socket holds.
        for _ in 0..1_000_000 {
            knocking.once();
        }
        drop((machine, listener));
        knocking.once();
    }

    #[test]
    fn the_machine_has_a_port_to_be_knocked_at() {
        let script = r#"
            for word in "$@"; do case $word in socket,id=knock,*,server=on,wait=off) there=yes;; esac; done
            [ "$there" = yes ] || exit 4
            exit 3"#;
        let (_folder, ended) = run(script, LONG);
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("status: 3"), "{error}");
    }

    #[test]
    fn a_machine_that_hangs_is_switched_off_and_no_process_is_left() {
        let (folder, ended) = run(r#"echo $$ > "$(dirname "$0")/pid"; exec sleep 1000"#, Duration::ZERO);
        let error = ended.unwrap_err().to_string();
        assert!(error.contains("was switched off"), "{error}");
        // The switching off may have come too early for the program to write its process id.
        if let Ok(pid) = std::fs::read_to_string(folder.path().join("guest/root/usr/bin/pid"))
            && !pid.is_empty()
        {
            let command = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim()));
            assert!(!command.is_ok_and(|command| command.contains("1000")), "{pid} is still there");
        }
    }

    #[test]
    fn qemu_keeps_its_arguments_and_libraries_when_it_is_bound_to_this_process() {
        let mut plain = Command::new("/opt/qemu");
        plain.args(["-L", "/a folder"]).env("LD_LIBRARY_PATH", "/lib");
        let bound = with_this_process(plain);
        let words: Vec<_> = std::iter::once(bound.get_program()).chain(bound.get_args()).collect();
        assert!(words.ends_with(&["/opt/qemu".as_ref(), "-L".as_ref(), "/a folder".as_ref()]), "{words:?}");
        assert!(bound.get_envs().any(|(name, value)| name == "LD_LIBRARY_PATH" && value.is_some()));
    }
}
