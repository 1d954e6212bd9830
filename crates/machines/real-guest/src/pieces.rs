//! The pieces from outside: a kernel with its modules, busybox, and QEMU where this computer's KVM is not enough.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use run_journal::manifest::{Artifact, sha256_hex};

use crate::modules::{GUEST_MODULES, SERVICE_MODULES};

/// Where [`crate::fetch`] unpacks what it gets, under the target directory.
pub const FOLDER: &str = "guest";

/// Below [`FOLDER`]: what a guest is made of. What another suite has is in a folder of that suite's name.
pub(crate) const ROOT: &str = "root";

/// Why a piece is not there.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// Nowhere found.
    #[error("no {what} was found in {}: run `cargo xtask guest fetch`, or name one with --{option}", looked_in.display())]
    Missing {
        /// What is missing.
        what: &'static str,
        /// The option that names it.
        option: &'static str,
        /// Where it was looked for.
        looked_in: PathBuf,
    },
    /// Given, but not there.
    #[error("--{option}: {}: {cause}", path.display())]
    Given {
        /// The option.
        option: &'static str,
        /// What was given.
        path: PathBuf,
        /// Why it cannot be read.
        cause: std::io::Error,
    },
    /// The kernel has no such module.
    #[error(
        "{} has no module {module}: {why} (the Debian cloud kernel has it; `cargo xtask guest fetch` gets one)",
        modules.display()
    )]
    NoModule {
        /// The folder of modules.
        modules: PathBuf,
        /// The module.
        module: &'static str,
        /// What it is needed for.
        why: &'static str,
    },
}

/// What the user named.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Kernel image.
    pub kernel: Option<PathBuf>,
    /// Folder of its modules.
    pub modules: Option<PathBuf>,
    /// A static busybox.
    pub busybox: Option<PathBuf>,
    /// QEMU for x86-64.
    pub qemu: Option<PathBuf>,
    /// Kernel image of the emulated machine, with its modules beside it as a package unpacks them.
    pub emulated_kernel: Option<PathBuf>,
}

/// The pieces of a guest.
#[derive(Clone, Debug)]
pub struct Pieces {
    /// Kernel image.
    pub kernel: PathBuf,
    /// Folder of its modules.
    pub modules: PathBuf,
    /// A static busybox.
    pub busybox: PathBuf,
    /// QEMU, if there is one.
    pub qemu: Option<Qemu>,
    /// Kernel and modules of the emulated machine, if they are not the guest's: what was fetched is known to work there, whatever
    /// kernel is looked at in the guest.
    pub emulated: Option<(PathBuf, PathBuf)>,
}

/// Where each piece is, or why it is not there.
#[derive(Debug)]
pub struct Looked {
    /// Kernel image.
    pub kernel: Result<PathBuf, PieceError>,
    /// Folder of its modules.
    pub modules: Result<PathBuf, PieceError>,
    /// A static busybox.
    pub busybox: Result<PathBuf, PieceError>,
    /// QEMU.
    pub qemu: Result<Qemu, PieceError>,
    emulated: Result<Option<(PathBuf, PathBuf)>, PieceError>,
}

impl Looked {
    /// Takes what was named, and looks for the rest in what was fetched under `target`; QEMU may also be installed.
    #[must_use]
    pub fn look(target: &Path, named: &Given) -> Self {
        let root = Pieces::folder(target).join(ROOT);
        let machine = machine_folder(target);
        let missing = |what, option| PieceError::Missing { what, option, looked_in: root.clone() };
        let kernel = match &named.kernel {
            Some(path) => given("kernel", path),
            None => newest_kernel(&root).ok_or_else(|| missing("kernel", "kernel")),
        };
        let modules = match &named.modules {
            Some(path) => given("modules", path),
            None => kernel
                .as_ref()
                .ok()
                .and_then(|kernel| modules_of(kernel, &root))
                .ok_or_else(|| missing("folder of kernel modules", "modules")),
        };
        let busybox = match &named.busybox {
            Some(path) => given("busybox", path),
            None => Some(root.join("bin/busybox"))
                .filter(|path| path.is_file())
                .ok_or_else(|| missing("static busybox", "busybox")),
        };
        let qemu = match &named.qemu {
            Some(path) => given("qemu", path).map(|program| Qemu { program, unpacked_in: None }),
            None => Qemu::find(&machine).ok_or_else(|| missing("qemu-system-x86_64", "qemu")),
        };
        let with_modules = |kernel: PathBuf| {
            let modules = modules_of(&kernel, &machine)?;
            Some((kernel, modules))
        };
        let emulated = match &named.emulated_kernel {
            Some(path) => given("emulated-kernel", path).map(with_modules),
            None => Ok(newest_kernel(&machine).and_then(with_modules)),
        };
        Self { kernel, modules, busybox, qemu, emulated }
    }

    /// The pieces, if all are there but perhaps QEMU.
    ///
    /// # Errors
    /// The first piece that is not there; a QEMU that was named and is not there.
    pub fn into_pieces(self) -> Result<Pieces, PieceError> {
        let qemu = match self.qemu {
            Err(PieceError::Missing { .. }) => None,
            other => Some(other?),
        };
        let kernel = self.kernel?;
        let emulated = self.emulated?.filter(|(emulated, _)| *emulated != kernel);
        Ok(Pieces { kernel, modules: self.modules?, busybox: self.busybox?, qemu, emulated })
    }
}

/// The modules of a kernel: beside it as a package unpacks them, else what was fetched.
fn modules_of(kernel: &Path, root: &Path) -> Option<PathBuf> {
    let version = kernel.file_name()?.to_string_lossy().into_owned();
    let version = version.strip_prefix("vmlinuz-").unwrap_or(&version);
    let beside = kernel.parent().and_then(Path::parent).map(|root| root.join("lib/modules").join(version));
    let fetched = root.join("lib/modules");
    beside
        .into_iter()
        .chain([fetched.join(version)])
        .find(|folder| folder.is_dir())
        .or_else(|| newest(&fetched, ""))
}

/// A QEMU that need not be installed.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// The program.
    pub program: PathBuf,
    /// Folders of shared libraries and of firmware, if it was unpacked and not installed.
    pub unpacked_in: Option<PathBuf>,
}

fn given(option: &'static str, path: &Path) -> Result<PathBuf, PieceError> {
    match path.metadata() {
        Ok(_) => Ok(path.to_owned()),
        Err(cause) => Err(PieceError::Given { option, path: path.to_owned(), cause }),
    }
}

/// Where the emulated machine's pieces are: QEMU and a kernel that were fetched together, of another suite than the guest's if there is
/// such a pair, since it is there for what the guest's own suite is too old for.
fn machine_folder(target: &Path) -> PathBuf {
    let folder = Pieces::folder(target);
    let root = folder.join(ROOT);
    let has_both = |suite: &PathBuf| {
        *suite != root && suite.join(UNPACKED_QEMU).is_file() && newest_kernel(suite).is_some()
    };
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let suites = entries.map(|entry| entry.path()).filter(has_both);
    suites.max_by_key(|suite| newest_kernel(suite).map(|kernel| version_of(&kernel))).unwrap_or(root)
}

/// The newest kernel that was unpacked into `root`.
#[must_use]
pub fn newest_kernel(root: &Path) -> Option<PathBuf> {
    newest(&root.join("boot"), "vmlinuz-")
}

/// Kernels with their modules in the folders below this one, each as a package unpacks it: the newest of each folder, in the order of the
/// folders' names.
#[must_use]
pub fn kernels_beside(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    let kernel = |folder: &PathBuf| {
        let kernel = newest_kernel(folder)?;
        let modules = modules_of(&kernel, folder)?;
        Some((kernel, modules))
    };
    folders.iter().filter_map(kernel).collect()
}

/// Copies what guests need of a kernel into a folder, as [`kernels_beside`] finds it there.
///
/// # Errors
/// A file cannot be read, or written.
pub fn copy_kernel(kernel: &Path, modules: &Path, folder: &Path) -> std::io::Result<()> {
    let name = kernel.file_name().unwrap_or_default();
    let version = name.to_string_lossy().trim_start_matches("vmlinuz-").to_owned();
    let (boot, to) = (folder.join("boot"), folder.join("lib/modules").join(version).join("kernel"));
    for folder in [&boot, &to] {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::copy(kernel, boot.join(name))?;
    let needed = GUEST_MODULES.iter().map(|(module, _)| module).chain(&SERVICE_MODULES);
    for file in needed.filter_map(|module| module_in(modules, module)) {
        std::fs::copy(&file, to.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// The newest (by version number) entry of a folder whose name starts with `prefix`.
fn newest(folder: &Path, prefix: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .collect();
    found.sort_by_key(|path| version_of(path));
    found.pop()
}

/// The numbers in a file's name.
fn version_of(path: &Path) -> Vec<u64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

impl Pieces {
    /// The folder that [`crate::fetch`] fills.
    #[must_use]
    pub fn folder(target: &Path) -> PathBuf {
        target.join(FOLDER)
    }

    /// Takes what was named, and looks for the rest in what was fetched under `target`.
    ///
    /// # Errors
    /// The first piece that is not there.
    pub fn find(target: &Path, named: &Given) -> Result<Self, PieceError> {
        Looked::look(target, named).into_pieces()
    }

    /// QEMU, or what to do to get one.
    ///
    /// # Errors
    /// If there is none.
    pub fn qemu(&self, target: &Path) -> Result<&Qemu, PieceError> {
        let looked_in = Self::folder(target);
        self.qemu.as_ref().ok_or(PieceError::Missing {
            what: "qemu-system-x86_64",
            option: "qemu",
            looked_in,
        })
    }

    /// A module's file, compressed or not.
    ///
    /// # Errors
    /// If the kernel has no such module.
    pub fn module(&self, module: &'static str, why: &'static str) -> Result<PathBuf, PieceError> {
        self.optional_module(module).ok_or_else(|| PieceError::NoModule {
            modules: self.modules.clone(),
            module,
            why,
        })
    }

    /// A module's file if it exists; what is built into the kernel has none.
    #[must_use]
    pub fn optional_module(&self, module: &str) -> Option<PathBuf> {
        module_in(&self.modules, module)
    }

    /// The kernel of the emulated machine.
    #[must_use]
    pub fn emulated_kernel(&self) -> &Path {
        self.emulated.as_ref().map_or(&self.kernel, |(kernel, _)| kernel)
    }

    /// A module of the emulated machine's kernel.
    #[must_use]
    pub fn emulated_module(&self, module: &str) -> Option<PathBuf> {
        module_in(self.emulated.as_ref().map_or(&self.modules, |(_, modules)| modules), module)
    }

    /// Versions and checksums, for a run's manifest.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn artifacts(&self, with_qemu: bool) -> std::io::Result<BTreeMap<String, Artifact>> {
        let version = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = vec![("kernel", self.kernel.clone()), ("busybox", self.busybox.clone())];
        if let (true, Some(qemu)) = (with_qemu, &self.qemu) {
            files.push(("qemu", qemu.program.clone()));
            files.push(("emulated machine's kernel", self.emulated_kernel().to_owned()));
        }
        for module in ["hv_vmbus", "hv_balloon"] {
            if let Some(path) = self.optional_module(module) {
                files.push((module, path));
            }
        }
        files
            .into_iter()
            .map(|(what, path)| {
                let sha256 = sha256_hex(&std::fs::read(&path)?);
                Ok((what.to_owned(), Artifact { version: version(&path), sha256 }))
            })
            .collect()
    }
}

/// A module's file in a folder of modules, compressed or not.
fn module_in(modules: &Path, module: &str) -> Option<PathBuf> {
    fn search(folder: &Path, names: &[String], depth: u32) -> Option<PathBuf> {
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().replace('-', "_");
            if path.is_dir() {
                folders.push(path);
            } else if names.contains(&name) {
                return Some(path);
            }
        }
        folders.sort();
        (depth > 0).then(|| folders.iter().find_map(|folder| search(folder, names, depth - 1)))?
    }
    let name = module.replace('-', "_");
    let names = ["ko", "ko.xz", "ko.zst"].map(|end| format!("{name}.{end}"));
    search(&modules.join("kernel"), &names, 8)
}

/// QEMU below a folder that it was unpacked into.
const UNPACKED_QEMU: &str = "usr/bin/qemu-system-x86_64";

impl Qemu {
    fn find(root: &Path) -> Option<Self> {
        let unpacked = root.join(UNPACKED_QEMU);
        if unpacked.is_file() {
            return Some(Self { program: unpacked, unpacked_in: Some(root.to_owned()) });
        }
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join("qemu-system-x86_64"))
            .find(|program| program.is_file())
            .map(|program| Self { program, unpacked_in: None })
    }

    /// The program, ready to be given its arguments.
    #[must_use]
    pub fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.program);
        if let Some(root) = &self.unpacked_in {
            let folders =
                ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib"].map(|at| root.join(at));
            if let Ok(path) = std::env::join_paths(&folders) {
                command.env("LD_LIBRARY_PATH", path);
            }
            // What was installed already was not fetched: firmware may be the system's, beside a QEMU that is not.
            for folder in firmware_folders(&[root, Path::new("/")]) {
                command.arg("-L").arg(folder);
            }
        }
        command
    }
}

/// Where firmware is when QEMU is installed.
const FIRMWARE_FOLDERS: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/local/share/qemu"];

/// Where firmware may be below these roots, in the order in which it is looked for.
pub(crate) fn firmware_folders(roots: &[&Path]) -> Vec<PathBuf> {
    roots.iter().flat_map(|root| FIRMWARE_FOLDERS.map(|folder| root.join(folder))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A QEMU that was fetched, beside firmware that the system had already and that was therefore not.
    #[test]
    fn firmware_may_be_the_systems() {
        let folders = firmware_folders(&[Path::new("/fetched"), Path::new("/")]);
        let place = |path: &str| folders.iter().position(|folder| folder == Path::new(path));
        assert!(place("/fetched/usr/share/seabios").is_some());
        assert!(place("/fetched/usr/share/qemu") < place("/usr/share/seabios"));
    }

    #[test]
    fn the_newest_kernel_is_taken_and_what_is_missing_is_named() {
        let target = tempfile::tempdir().unwrap();
        let error = Pieces::find(target.path(), &Given::default()).unwrap_err().to_string();
        assert!(error.contains("no kernel was found") && error.contains("guest fetch"), "{error}");
        let root = target.path().join("guest/root");
        for folder in ["boot", "bin", "lib/modules/6.12.9/kernel/drivers/hv"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in [
            "boot/vmlinuz-6.1.0-56",
            "boot/vmlinuz-6.12.9",
            "boot/vmlinuz-6.2.0",
            "bin/busybox",
            "lib/modules/6.12.9/kernel/drivers/hv/hv_balloon.ko.xz",
        ] {
            std::fs::write(root.join(file), file).unwrap();
        }
        let pieces = Pieces::find(target.path(), &Given::default()).unwrap();
        assert!(pieces.kernel.ends_with("vmlinuz-6.12.9"));
        assert!(pieces.modules.ends_with("6.12.9"));
        assert!(pieces.module("hv_balloon", "x").is_ok());
        let error = pieces.module("hv_vmbus", "the guest's end of the bus").unwrap_err().to_string();
        assert!(error.contains("hv_vmbus") && error.contains("the guest's end of the bus"), "{error}");
        // A kernel that was fetched into another folder has its own modules beside it.
        let other = target.path().join("guest/bookworm-backports");
        std::fs::create_dir_all(other.join("boot")).unwrap();
        std::fs::create_dir_all(other.join("lib/modules/6.13.1")).unwrap();
        std::fs::write(other.join("boot/vmlinuz-6.13.1"), "").unwrap();
        let named = Given { kernel: Some(other.join("boot/vmlinuz-6.13.1")), ..Given::default() };
        let pieces = Pieces::find(target.path(), &named).unwrap();
        assert!(pieces.modules.ends_with("lib/modules/6.13.1"));
        assert!(pieces.emulated_kernel().ends_with("guest/root/boot/vmlinuz-6.12.9"));
        let copied = target.path().join("copied");
        copy_kernel(&other.join("boot/vmlinuz-6.13.1"), &other.join("lib/modules/6.13.1"), &copied.join("x"))
            .unwrap();
        let found = kernels_beside(&copied);
        assert_eq!(found.len(), 1);
        assert!(found[0].0.ends_with("vmlinuz-6.13.1") && found[0].1.ends_with("lib/modules/6.13.1"));
        // With a QEMU beside it, it is the emulated machine's; the guest's stays what it was.
        assert_eq!(pieces.qemu.as_ref().and_then(|qemu| qemu.unpacked_in.as_ref()), None);
        std::fs::create_dir_all(other.join("usr/bin")).unwrap();
        std::fs::write(other.join("usr/bin/qemu-system-x86_64"), "").unwrap();
        let pieces = Pieces::find(target.path(), &Given::default()).unwrap();
        assert!(pieces.kernel.ends_with("guest/root/boot/vmlinuz-6.12.9"));
        assert!(pieces.emulated_kernel().ends_with("bookworm-backports/boot/vmlinuz-6.13.1"));
        assert_eq!(pieces.qemu.unwrap().unpacked_in, Some(other));
        let named = Given { emulated_kernel: Some(root.join("boot/vmlinuz-6.2.0")), ..Given::default() };
        let pieces = Pieces::find(target.path(), &named).unwrap();
        assert!(pieces.emulated_kernel().ends_with("vmlinuz-6.2.0"));
        let named = Given { kernel: Some("/nowhere/vmlinuz".into()), ..Given::default() };
        let error = Pieces::find(target.path(), &named).unwrap_err().to_string();
        assert!(error.starts_with("--kernel: /nowhere/vmlinuz"), "{error}");
    }
}
