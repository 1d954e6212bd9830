//! Getting the pieces on Debian and Ubuntu: `apt-get download`, unpacked into a folder. Nothing is installed, and nothing of the
//! system is changed: where apt has no package lists, they are fetched into the same folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

use crate::pieces::{Pieces, ROOT};

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// QEMU, with the libraries that are not installed here.
    pub qemu: bool,
    /// Only a kernel, of this suite (such as `bookworm-backports`), into a folder of its own.
    pub suite: Option<String>,
}

/// The package that stands for the newest kernel for virtual machines.
const KERNEL_PACKAGES: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-virtual"];

/// Fetches and unpacks; `tell` is told what happens. Returns the folder with what was unpacked.
///
/// # Errors
/// If this is no Debian or Ubuntu, or a package cannot be had.
pub fn fetch(target: &Path, wanted: &Wanted, mut tell: impl FnMut(&str)) -> Result<PathBuf> {
    for program in ["apt-get", "apt-cache", "dpkg"] {
        if Command::new(program).arg("--version").output().is_err() {
            bail!(
                "there is no {program} here: `guest fetch` is for Debian and Ubuntu. Elsewhere name the pieces: --kernel, \
                 --modules, --busybox, and --qemu where this computer's KVM is not enough (`cargo xtask guest doctor` says \
                 whether it is)"
            );
        }
    }
    let folder = Pieces::folder(target);
    match &wanted.suite {
        None => {
            let (apt, kernel) = Apt::with_kernel(&folder, &mut tell)?;
            let mut packages = vec![kernel.clone(), "busybox-static".to_owned()];
            let mut qemu = wanted.qemu;
            if qemu && version_in(&kernel) < PAGE_REPORTING_SINCE {
                match machine_of_backports(&folder, &mut tell) {
                    Ok(()) => qemu = false,
                    Err(error) => tell(&format!(
                        "an emulated machine whose kernel hands over reports of free pages (Linux {}.{} or later) cannot be had: {error:#}\n\
                         Guests run without; the part `reporting` of the record is left out.",
                        PAGE_REPORTING_SINCE.0, PAGE_REPORTING_SINCE.1
                    )),
                }
            }
            if qemu {
                packages.extend(apt.needed(QEMU_PACKAGE, &folder, None)?);
            }
            apt.download(&packages, &folder.join("packages"), &folder.join(ROOT), &mut tell)
        }
        Some(suite) => {
            let apt = Apt::of_suite(&folder, suite, &mut tell)?;
            let kernel = apt.kernel_package()?.with_context(|| {
                format!("the suite {suite} has none of the packages {}", KERNEL_PACKAGES.join(", "))
            })?;
            let own = folder.join(suite);
            apt.download(&[kernel], &own.join("packages"), &own, &mut tell)
        }
    }
}

/// Kernel and QEMU of the release's backports, into a folder of their own: what the emulated machine is made of where the release's own
/// kernel is too old to hand over reports of free pages. Both, since a kernel and a QEMU that were made in the same years are known to work with
/// each other.
fn machine_of_backports(folder: &Path, tell: &mut impl FnMut(&str)) -> Result<()> {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let release = codename(&release).context("/etc/os-release names no release")?;
    let suite = format!("{release}-backports");
    let apt = Apt::of_suite(folder, &suite, tell)?;
    let kernel =
        apt.kernel_package()?.with_context(|| format!("{suite} has no kernel for virtual machines"))?;
    if version_in(&kernel) < PAGE_REPORTING_SINCE {
        bail!("{suite} has {kernel}, which is too old");
    }
    let own = folder.join(&suite);
    let mut packages = vec![kernel];
    packages.extend(apt.needed(QEMU_PACKAGE, &own, Some(&suite))?);
    apt.download(&packages, &own.join("packages"), &own, tell)?;
    Ok(())
}

const QEMU_PACKAGE: &str = "qemu-system-x86";
const C_LIBRARY: &str = "libc6";

/// The first Linux whose KVM hands extended hypercalls to user space.
const PAGE_REPORTING_SINCE: (u32, u32) = (6, 3);

/// The version in the name of a kernel's package, such as `linux-image-6.1.0-57-cloud-amd64`.
fn version_in(package: &str) -> (u32, u32) {
    let numbers = package.trim_start_matches(|c: char| !c.is_ascii_digit()).split(['.', '-', '+']);
    let mut numbers = numbers.map_while(|word| word.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// `VERSION_CODENAME` of an os-release file.
fn codename(os_release: &str) -> Option<&str> {
    os_release.lines().find_map(|line| Some(line.strip_prefix("VERSION_CODENAME=")?.trim_matches('"')))
}

/// What a program said on standard error: of apt, the errors; a few of them, since one cause makes many.
fn said(output: &Output) -> String {
    const MOST: usize = 4;
    let text = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("E: ")).collect();
    if errors.is_empty() {
        return text.trim().to_owned();
    }
    let mut shown = errors[..errors.len().min(MOST)].join("\n");
    if let Some(more) = errors.len().checked_sub(MOST).filter(|&more| more > 0) {
        shown.push_str(&format!("\n(and {more} more)"));
    }
    shown
}

/// apt, perhaps with package lists of its own.
#[derive(Debug, Default)]
struct Apt {
    options: Vec<String>,
}

impl Apt {
    fn run(&self, program: &str, arguments: &[&str], at: &Path) -> Result<Output> {
        Command::new(program)
            .args(&self.options)
            .args(arguments)
            .current_dir(at)
            .env("LC_ALL", "C")
            .output()
            .with_context(|| format!("cannot run {program}"))
    }

    /// apt as it is set up here; if it knows no kernel, with package lists fetched into `folder`.
    fn with_kernel(folder: &Path, tell: &mut impl FnMut(&str)) -> Result<(Self, String)> {
        let apt = Self::default();
        if let Some(kernel) = apt.kernel_package()? {
            return Ok((apt, kernel));
        }
        tell("apt has no package lists here: fetching them into a folder of our own");
        let apt = Self::with_lists(&folder.join("apt"), &[], None)?;
        let kernel = apt.kernel_package()?.with_context(|| {
            format!(
                "apt knows none of the packages {}, with fresh lists neither: name a kernel with --kernel and --modules",
                KERNEL_PACKAGES.join(", ")
            )
        })?;
        Ok((apt, kernel))
    }

    /// apt with the packages of one suite and of the release that it belongs to, from where this system has its own.
    fn of_suite(folder: &Path, suite: &str, tell: &mut impl FnMut(&str)) -> Result<Self> {
        if suite.is_empty() || !suite.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)) {
            bail!("{suite:?} is no suite: one looks like bookworm-backports");
        }
        let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
        let output = Self::default().run("apt-get", &["indextargets", "--format", format], Path::new("."))?;
        let Some((site, release)) = site_of(&String::from_utf8_lossy(&output.stdout), suite) else {
            bail!(
                "apt has no source from which {suite} could come: it has to be a suite of the release that is set up here, such as \
                 bookworm-backports on bookworm"
            );
        };
        tell(&format!("fetching the package list of {suite} into a folder of our own"));
        let mut sources = vec![format!("{site} {suite} main")];
        if release != suite {
            sources.push(format!("{site} {release} main"));
        }
        Self::with_lists(&folder.join("apt").join(suite), &sources, Some(suite))
    }

    /// apt with lists in `folder`, which are fetched; from `sources`, if there are any, instead of the system's, with packages of the suite
    /// `preferred` before others.
    fn with_lists(folder: &Path, sources: &[String], preferred: Option<&str>) -> Result<Self> {
        let (lists, cache) = (folder.join("lists"), folder.join("cache"));
        for needed in [lists.join("partial"), cache.join("archives/partial")] {
            std::fs::create_dir_all(&needed).with_context(|| format!("cannot make {}", needed.display()))?;
        }
        let mut apt = Self::default();
        apt.option("Dir::State::Lists", &lists)?;
        apt.option("Dir::Cache", &cache)?;
        if !sources.is_empty() {
            let file = folder.join("sources.list");
            let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
            let signed =
                if Path::new(keyring).exists() { format!("[signed-by={keyring}] ") } else { String::new() };
            let text: String = sources.iter().map(|source| format!("deb {signed}{source}\n")).collect();
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            apt.option("Dir::Etc::SourceList", &file)?;
            apt.option("Dir::Etc::SourceParts", Path::new("/dev/null"))?;
        }
        let output = apt.run("apt-get", &["-q", "-o", "APT::Update::Error-Mode=any", "update"], folder)?;
        if !output.status.success() {
            bail!("the package lists cannot be fetched (is there a network?):\n{}", said(&output));
        }
        if let Some(suite) = preferred {
            apt.options.extend(["-o".to_owned(), format!("APT::Default-Release={suite}")]);
        }
        Ok(apt)
    }

    fn option(&mut self, name: &str, path: &Path) -> Result<()> {
        let path = std::path::absolute(path).context("no working folder")?;
        self.options.extend(["-o".to_owned(), format!("{name}={}", path.display())]);
        Ok(())
    }

    /// The kernel package of the newest version, if apt knows one.
    fn kernel_package(&self) -> Result<Option<String>> {
        for meta in KERNEL_PACKAGES {
            let output = self.run("apt-cache", &["depends", meta], Path::new("."))?;
            let text = String::from_utf8_lossy(&output.stdout);
            let name = text.lines().find_map(|line| {
                line.trim().strip_prefix("Depends: ").filter(|name| name.starts_with("linux-image-"))
            });
            if let Some(name) = name {
                return Ok(Some(name.to_owned()));
            }
        }
        Ok(None)
    }

    /// A package with what it needs of packages that are not installed in a version that will do, as `name=version`.
    ///
    /// apt is asked on a system without any package, and what is installed is left out afterwards: so nothing that is installed here, such
    /// as tools of another version of QEMU, can be in the way of a package that is only unpacked.
    fn needed(&self, package: &str, folder: &Path, of_suite: Option<&str>) -> Result<Vec<String>> {
        if of_suite.is_none() && installed(package).is_some() {
            return Ok(Vec::new());
        }
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut nothing = Self { options: self.options.clone() };
        nothing.option("Dir::State::Status", Path::new("/dev/null"))?;
        // Simulated: asks for no rights, changes nothing.
        let arguments = ["--simulate", "--no-install-recommends", "install", package];
        let output = nothing.run("apt-get", &arguments, folder)?;
        if !output.status.success() {
            bail!("apt cannot tell what {package} needs: {}", said(&output));
        }
        // The C library belongs to the system's linker, and every package of a release's suites is made for that release's.
        let needed = |name: &str, version: &str| {
            name == package || !(suffices(name, version) || name == C_LIBRARY && installed(name).is_some())
        };
        let all = to_install(&String::from_utf8_lossy(&output.stdout));
        Ok(all
            .into_iter()
            .filter(|(name, version)| needed(name, version))
            .map(|(name, version)| format!("{name}={version}"))
            .collect())
    }

    /// Downloads into `packages`, and unpacks all that is there into `root`.
    fn download(
        &self,
        wanted: &[String],
        packages: &Path,
        root: &Path,
        tell: &mut impl FnMut(&str),
    ) -> Result<PathBuf> {
        for folder in [packages, root] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        tell(&format!("downloading {} into {}", count(wanted.len()), packages.display()));
        let arguments: Vec<&str> =
            ["-q", "download"].into_iter().chain(wanted.iter().map(String::as_str)).collect();
        let output = self.run("apt-get", &arguments, packages)?;
        if !output.status.success() {
            bail!(
                "apt-get download failed (is there a network? are the package lists old? `apt-get update` renews them):\n{}",
                said(&output)
            );
        }
        let mut archives: Vec<_> = std::fs::read_dir(packages)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .collect();
        archives.sort();
        for archive in &archives {
            let output = Command::new("dpkg").arg("-x").arg(archive).arg(root).output().context("dpkg -x")?;
            if !output.status.success() {
                bail!("cannot unpack {}: {}", archive.display(), said(&output));
            }
        }
        tell(&format!("unpacked {} into {}; nothing was installed", count(archives.len()), root.display()));
        Ok(root.to_owned())
    }
}

/// A number of packages in words.
fn count(packages: usize) -> String {
    if packages == 1 { "1 package".to_owned() } else { format!("{packages} packages") }
}

/// Where a suite can be had: the site of the release whose name it begins with, and that release. The lines are site, release, component.
fn site_of(targets: &str, suite: &str) -> Option<(String, String)> {
    targets.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (site, release, component) = (words.next()?, words.next()?, words.next()?);
        let is_base =
            suite == release || suite.strip_prefix(release).is_some_and(|rest| rest.starts_with('-'));
        (is_base && component == "main").then(|| (site.to_owned(), release.to_owned()))
    })
}

/// The version of a package that is installed.
fn installed(package: &str) -> Option<String> {
    let output =
        Command::new("dpkg-query").args(["-W", "-f=${Status}\t${Version}\n", package]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("install ok installed\t").map(str::to_owned))
}

/// Whether a package is installed in this version or a later one.
fn suffices(package: &str, version: &str) -> bool {
    let compared = |installed: String| {
        Command::new("dpkg")
            .args(["--compare-versions", &installed, "ge", version])
            .status()
            .is_ok_and(|status| status.success())
    };
    installed(package).is_some_and(compared)
}

/// Reads lines such as `Inst libfdt1 [1.5] (1.6.1-4 Debian:12 [amd64])`: name and version.
fn to_install(simulated: &str) -> Vec<(String, String)> {
    simulated
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix("Inst ")?;
            let (name, rest) = rest.split_once(' ')?;
            let version = rest.split_once('(')?.1.split_whitespace().next()?;
            Some((name.to_owned(), version.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pieces::Given;

    #[test]
    fn what_apt_would_install_is_read() {
        let text = "Reading package lists...\nRemv qemu-utils [1]\nInst libfdt1 (1.6.1-4+b1 Debian:12 [amd64])\n\
                    Inst libc6 [2.35] (1:2.36-9 Debian:12 [amd64])\nConf libfdt1 (1.6.1-4+b1 Debian:12 [amd64])\n";
        let pairs = [("libfdt1", "1.6.1-4+b1"), ("libc6", "1:2.36-9")];
        assert_eq!(to_install(text), pairs.map(|(name, version)| (name.to_owned(), version.to_owned())));
    }

    #[test]
    fn a_kernels_version_and_a_releases_name_are_read() {
        assert_eq!(version_in("linux-image-6.1.0-57-cloud-amd64"), (6, 1));
        assert_eq!(version_in("linux-image-6.12.95+deb12-cloud-amd64"), (6, 12));
        assert_eq!(version_in("linux-image"), (0, 0));
        let text = "NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!((codename(text), codename("ID=x\n")), (Some("bookworm"), None));
    }

    /// On this system as it is, whatever is installed: what was fetched is there, and its QEMU runs.
    #[test]
    #[ignore = "downloads packages"]
    fn what_is_fetched_runs() {
        let target = tempfile::tempdir().unwrap();
        let mut told = Vec::new();
        let wanted = Wanted { qemu: true, suite: None };
        fetch(target.path(), &wanted, |line| told.push(line.to_owned())).unwrap();
        let pieces = Pieces::find(target.path(), &Given::default()).unwrap();
        let qemu = pieces.qemu(target.path()).unwrap();
        let output = qemu.command().arg("--version").output().unwrap();
        assert!(output.status.success(), "{told:?}\n{}", said(&output));
        let kernel = pieces.emulated_kernel().file_name().unwrap().to_string_lossy().into_owned();
        let left_out = told.iter().any(|line| line.contains("cannot be had"));
        let package = kernel.replace("vmlinuz-", "linux-image-");
        assert!(left_out || version_in(&package) >= PAGE_REPORTING_SINCE, "{told:?}\n{kernel}");
    }

    #[test]
    fn of_many_errors_a_few_are_shown() {
        let output = |text: String| Output {
            status: std::process::ExitStatus::default(),
            stdout: Vec::new(),
            stderr: text.into_bytes(),
        };
        let many = format!("rm: x\n{}W: y\n", "E: Failed to fetch z\n".repeat(9));
        let said = said(&output(many));
        assert_eq!(said.matches("E: Failed").count(), 4);
        assert!(said.ends_with("(and 5 more)") && !said.contains("rm:"), "{said}");
        assert_eq!(super::said(&output("dpkg-deb: error: no\n".to_owned())), "dpkg-deb: error: no");
    }

    #[test]
    fn a_suite_comes_from_where_its_release_does() {
        let targets = "https://one.example/tools stable main\nhttps://two.example/debian-security bookworm-security main\n\
                       https://three.example/debian bookworm contrib\nhttps://three.example/debian bookworm main\n";
        let site = |suite| site_of(targets, suite);
        let found = Some(("https://three.example/debian".to_owned(), "bookworm".to_owned()));
        assert_eq!((site("bookworm-backports"), site("bookworm")), (found.clone(), found));
        assert_eq!((site("trixie-backports"), site("bookwormy")), (None, None));
    }

    #[test]
    fn a_suite_that_is_none_is_refused_before_anything_is_fetched() {
        let folder = tempfile::tempdir().unwrap();
        for wrong in ["", "book worm", "x] [trusted=yes"] {
            let error = Apt::of_suite(folder.path(), wrong, &mut |_: &str| ()).unwrap_err().to_string();
            assert!(error.contains("is no suite"), "{error}");
        }
    }
}
