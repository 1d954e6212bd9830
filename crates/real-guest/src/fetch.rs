//! Getting the pieces on Debian and Ubuntu: `apt-get download`, unpacked into a folder. Nothing is installed.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::pieces::Pieces;

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// QEMU, with the libraries that are not installed here.
    pub qemu: bool,
}

/// The package that stands for the newest kernel for virtual machines.
const KERNEL_PACKAGES: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-virtual"];

/// Fetches and unpacks; `tell` is told what happens.
///
/// # Errors
/// If this is no Debian or Ubuntu, or a package cannot be had.
pub fn fetch(target: &Path, wanted: Wanted, mut tell: impl FnMut(&str)) -> Result<()> {
    if Command::new("apt-get").arg("--version").output().is_err() {
        bail!(
            "there is no apt-get here: `guest fetch` is for Debian and Ubuntu. Elsewhere name the pieces: --kernel, --modules, \
             --busybox, and --qemu where this computer's KVM is not enough (`cargo xtask guest doctor` says whether it is)"
        );
    }
    let folder = Pieces::folder(target);
    let (packages_folder, root) = (folder.join("packages"), folder.join("root"));
    for folder in [&packages_folder, &root] {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut packages = vec![kernel_package()?, "busybox-static".to_owned()];
    if wanted.qemu {
        packages.extend(not_installed("qemu-system-x86")?);
    }
    tell(&format!("downloading {} packages into {}", packages.len(), packages_folder.display()));
    let output = Command::new("apt-get")
        .arg("download")
        .args(&packages)
        .current_dir(&packages_folder)
        .output()
        .context("apt-get download")?;
    if !output.status.success() {
        bail!(
            "apt-get download failed (are the package lists there? `apt-get update` gets them):\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let mut archives: Vec<_> = std::fs::read_dir(&packages_folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    archives.sort();
    for archive in &archives {
        let output = Command::new("dpkg").arg("-x").arg(archive).arg(&root).output().context("dpkg -x")?;
        if !output.status.success() {
            bail!("cannot unpack {}: {}", archive.display(), String::from_utf8_lossy(&output.stderr).trim());
        }
    }
    tell(&format!("unpacked {} packages into {}; nothing was installed", archives.len(), root.display()));
    Ok(())
}

/// The kernel package of the newest version.
fn kernel_package() -> Result<String> {
    for meta in KERNEL_PACKAGES {
        let output = Command::new("apt-cache").args(["depends", meta]).output().context("apt-cache")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let name = text.lines().find_map(|line| {
            line.trim().strip_prefix("Depends: ").filter(|name| name.starts_with("linux-image-"))
        });
        if let Some(name) = name {
            return Ok(name.to_owned());
        }
    }
    bail!(
        "apt knows none of the packages {}: run `apt-get update`, or name a kernel with --kernel and --modules",
        KERNEL_PACKAGES.join(", ")
    )
}

/// A package with what it needs of packages that are not installed, as `name=version`.
fn not_installed(package: &str) -> Result<Vec<String>> {
    let installed = Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).output();
    if installed.is_ok_and(|output| output.stdout.ends_with(b"install ok installed")) {
        return Ok(Vec::new());
    }
    // Simulated: asks for no rights, changes nothing.
    let output = Command::new("apt-get")
        .args(["--simulate", "--no-install-recommends", "install", package])
        .output()
        .context("apt-get --simulate")?;
    if !output.status.success() {
        bail!("apt cannot tell what {package} needs: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(to_install(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads lines such as `Inst libfdt1 [1.5] (1.6.1-4 Debian:12 [amd64])`.
fn to_install(simulated: &str) -> Vec<String> {
    simulated
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix("Inst ")?;
            let (name, rest) = rest.split_once(' ')?;
            let version = rest.split_once('(')?.1.split_whitespace().next()?;
            Some(format!("{name}={version}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_apt_would_install_is_read() {
        let text = "Reading package lists...\nRemv qemu-utils [1]\nInst libfdt1 (1.6.1-4+b1 Debian:12 [amd64])\n\
                    Inst libc6 [2.35] (1:2.36-9 Debian:12 [amd64])\nConf libfdt1 (1.6.1-4+b1 Debian:12 [amd64])\n";
        assert_eq!(to_install(text), ["libfdt1=1.6.1-4+b1", "libc6=1:2.36-9"]);
    }
}
