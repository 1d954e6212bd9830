//! A guest of QEMU's on the same KVM, with the same kernel, to be measured beside a guest of this project.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::agent::{AGENT, Voice};
use crate::qemu_files::{LINKER, PROGRAM};

/// Memory of the guest, MiB: what the guest of this project has.
const MEMORY_MIB: u64 = 512;

/// A QEMU with its guest, both ended with this value.
pub(super) struct QemuGuest {
    process: Child,
    input: ChildStdin,
    voice: Voice,
}

impl QemuGuest {
    /// Starts QEMU of `folder` with this kernel and initramfs, and a raw disk on virtio-blk.
    pub(super) fn start(folder: &Path, kernel: &Path, initramfs: &Path, disk: &Path) -> Result<Self> {
        let mut process = Command::new(folder.join(LINKER))
            .arg("--library-path")
            .arg(folder)
            .arg(folder.join(PROGRAM))
            .arg("-L")
            .arg(folder)
            .args([
                "-M",
                "q35",
                "-accel",
                "kvm",
                "-cpu",
                "host",
                "-smp",
                "1",
                "-m",
                &format!("{MEMORY_MIB}M"),
            ])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off"])
            .args(["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"])
            .arg("-drive")
            .arg(format!("if=none,id=disk,format=raw,file={}", disk.display()))
            .args(["-device", "virtio-blk-pci,drive=disk"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {PROGRAM} of {}", folder.display()))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let voice = Voice::default();
        let guest = Self { process, input: input.context("QEMU has no input")?, voice: voice.clone() };
        let mut output = output.context("QEMU has no output")?;
        std::thread::Builder::new().name("console of QEMU".to_owned()).spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                // Whether it is ready is asked for below.
                let _said = voice.hear(AGENT, &bytes[..count]);
            }
        })?;
        Ok(guest)
    }

    /// Waits until its init listens.
    pub(super) fn is_ready(&self, longest: Duration) -> bool {
        self.voice.wait_for("ready", longest).is_some()
    }

    /// Gives its init a command, and waits for a line that begins with `answer`. Without one the measurement ends: no later answer can be mistaken.
    pub(super) fn ask(&mut self, command: &str, answer: &str, longest: Duration) -> Result<String> {
        self.voice.clear_answers();
        writeln!(self.input, "{command}").context("QEMU has ended")?;
        self.voice.wait_for(answer, longest).with_context(|| {
            format!("QEMU's guest did not answer {command:?} within {} s", longest.as_secs())
        })
    }
}

impl Drop for QemuGuest {
    fn drop(&mut self) {
        // Both calls fail if QEMU has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
