//! The disks that a person gives a guest: as they are typed, looked at before anything is started, and taken into an emulated machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use vhd::files::{self, Opening};
use vhd::{Disk, DiskType};

use crate::disk::DiskFile;

/// How a disk is used. Written after its name: `data.vhd,ro`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOption {
    /// A VHD.
    pub path: PathBuf,
    /// The guest may not write it.
    pub read_only: bool,
    /// It is at hand, and not plugged in yet.
    pub spare: bool,
}

impl FromStr for DiskOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut name, mut read_only, mut spare) = (text, false, false);
        while let Some((before, word)) = name.rsplit_once(',') {
            match word {
                "ro" => read_only = true,
                "spare" => spare = true,
                // A name may have a comma in it.
                _ if word.contains(['.', '/']) => break,
                _ => {
                    return Err(format!(
                        "{word:?} is not known of a disk: FILE,ro and FILE,spare are possible"
                    ));
                }
            }
            name = before;
        }
        if name.is_empty() {
            return Err("the disk has no name: FILE.vhd is wanted".to_owned());
        }
        Ok(Self { path: name.into(), read_only, spare })
    }
}

impl std::fmt::Display for DiskOption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (read_only, spare) =
            (if self.read_only { ",ro" } else { "" }, if self.spare { ",spare" } else { "" });
        write!(f, "{}{read_only}{spare}", self.path.display())
    }
}

/// The most disks of a controller (documented, \[D\]).
pub const MOST_DISKS: usize = 64;
/// Inside an emulated machine disks are files in its memory: so much of them is possible (invented), bytes.
const MOST_INSIDE: u64 = 1 << 30;
/// What they may grow by meanwhile, MiB (invented).
const GROWTH_MIB: u64 = 512;

/// All disks of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestDisks {
    /// The disk with its root, which is number 0.
    pub root: Option<PathBuf>,
    /// The others, in the order of their numbers.
    pub others: Vec<DiskOption>,
}

impl GuestDisks {
    /// Whether the guest has a controller.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_none() && self.others.is_empty()
    }

    /// All of them in order, and how they are used.
    fn all(&self) -> impl Iterator<Item = DiskOption> {
        let root =
            self.root.iter().map(|path| DiskOption { path: path.clone(), read_only: false, spare: false });
        root.chain(self.others.iter().cloned())
    }

    /// What the guest has from its start.
    #[must_use]
    pub fn plugged(&self) -> Vec<DiskFile> {
        let plugged = self.all().filter(|disk| !disk.spare);
        (0..)
            .zip(plugged)
            .map(|(lun, disk)| DiskFile { lun, path: disk.path, read_only: disk.read_only })
            .collect()
    }

    /// The disk of this name, if it is one of these: inside an emulated machine it lies elsewhere than where it was named.
    #[must_use]
    pub fn named(&self, name: &Path) -> Option<DiskOption> {
        self.all().find(|disk| disk.path == name).or_else(|| {
            let mut same = self.all().filter(|disk| disk.path.file_name() == name.file_name());
            same.next()
        })
    }

    /// Whether these disks can be used, before anything is started. A root that is not there yet is made.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub fn check(&self) -> Result<()> {
        if self.all().count() > MOST_DISKS {
            bail!("{} disks: a controller has at most {MOST_DISKS}", self.all().count());
        }
        let mut seen: Vec<PathBuf> = Vec::new();
        for disk in self.all() {
            if self.root.as_ref() == Some(&disk.path) && !disk.path.exists() {
                continue;
            }
            // Held for a moment only: whoever uses it holds it longer.
            open(&disk)?;
            let path = disk.path.canonicalize().unwrap_or(disk.path);
            if seen.contains(&path) {
                bail!("{} is there twice: a guest has a disk once", path.display());
            }
            seen.push(path);
        }
        Ok(())
    }

    /// The same disks as an emulated machine finds them in its folder `there`, and what has to be brought there.
    ///
    /// # Errors
    /// A disk cannot be taken along.
    pub fn inside(&self, there: &str) -> Result<(Self, Vec<Brought>)> {
        let mut brought = Vec::new();
        let mut moved = self.clone();
        for (number, disk) in self.all().enumerate() {
            let name = disk.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // Folders of their own: two of one name stay apart.
            let folder = if disk.read_only { "here" } else { BACK };
            let name = format!("{folder}/{number}/{name}");
            let path = PathBuf::from(format!("{there}/{name}"));
            match number.checked_sub(usize::from(self.root.is_some())).and_then(|at| moved.others.get_mut(at))
            {
                Some(other) => other.path = path,
                None => moved.root = Some(path),
            }
            let held = open(&disk)?;
            if held.image().footer().disk_type == DiskType::Differencing {
                bail!(
                    "{} is a differencing disk, whose parents an emulated machine does not have: `cargo xtask vhd convert {} \
                     whole.vhd` makes one disk of them",
                    disk.path.display(),
                    disk.path.display()
                );
            }
            brought.push(Brought { name, path: disk.path, back: !disk.read_only, held });
        }
        let bytes: u64 = brought.iter().map(Brought::bytes).sum();
        if bytes > MOST_INSIDE {
            bail!(
                "the disks have {} MB: inside an emulated machine they are kept in its memory, at most {} MB of them",
                bytes >> 20,
                MOST_INSIDE >> 20
            );
        }
        Ok((moved, brought))
    }

    /// Memory that an emulated machine takes for them, MiB: the archive in which they come, their files (of which its kernel allows as much as
    /// half of its memory), and what these may grow by.
    #[must_use]
    pub fn memory_mib(&self) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let bytes: u64 =
            self.all().filter_map(|disk| disk.path.metadata().ok()).map(|found| found.len()).sum();
        3 * (bytes >> 20) + 2 * GROWTH_MIB
    }
}

/// Where an emulated machine keeps what comes back.
pub const BACK: &str = "back";

/// A disk that is brought into an emulated machine. Nobody else writes its file as long as this value exists.
pub struct Brought {
    /// Its path there, below the folder for files.
    pub name: String,
    /// Where it is here.
    pub path: PathBuf,
    back: bool,
    held: Disk<File>,
}

impl std::fmt::Debug for Brought {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Brought").field("name", &self.name).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Brought {
    fn bytes(&self) -> u64 {
        self.path.metadata().map_or(0, |found| found.len())
    }

    /// Puts the disk that came out of the machine, into the folder `out`, in the place of the old one: at once, so that there is always a whole
    /// one.
    ///
    /// # Errors
    /// It did not come out, is not whole, or cannot be put there.
    pub fn bring_back(self, out: &Path) -> Result<()> {
        if !self.back {
            return Ok(());
        }
        let came = out.join(&self.name);
        let lost = || {
            format!("{} stays as it was: what the guest wrote did not come out whole", self.path.display())
        };
        drop(files::open(&came, Opening::read()).with_context(lost)?);
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut whole = tempfile::NamedTempFile::new_in(folder)
            .with_context(|| format!("cannot write to {}", folder.display()))?;
        let mut bytes = File::open(&came).with_context(lost)?;
        std::io::copy(&mut bytes, whole.as_file_mut()).with_context(lost)?;
        whole.as_file().set_permissions(self.path.metadata()?.permissions())?;
        whole.as_file().sync_all()?;
        whole.persist(&self.path).with_context(|| format!("cannot replace {}", self.path.display()))?;
        drop(self.held);
        // What has come back is kept once.
        let _ = std::fs::remove_file(&came);
        Ok(())
    }
}

fn open(disk: &DiskOption) -> Result<Disk<File>> {
    Ok(files::open(&disk.path, Opening::read())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FileDisk;
    use crate::disk_images::new_disk;

    fn made(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        files::create_dynamic(&path, &new_disk(4, 1), vhd::TableAccess::InMemory).unwrap();
        path
    }

    fn disks(root: Option<PathBuf>, others: &[String]) -> GuestDisks {
        GuestDisks { root, others: others.iter().map(|text| text.parse().unwrap()).collect() }
    }

    #[test]
    fn a_disk_is_typed_with_how_it_is_used() {
        for text in ["a.vhd", "a.vhd,ro", "a,b.vhd,spare", "x/a.vhd,ro,spare"] {
            assert_eq!(text.parse::<DiskOption>().unwrap().to_string(), text);
        }
        assert_eq!("a,b.vhd".parse::<DiskOption>().unwrap().path, PathBuf::from("a,b.vhd"));
        for (text, said) in [("a.vhd,rw", "\"rw\" is not known"), ("", "no name"), (",ro", "no name")] {
            assert!(text.parse::<DiskOption>().unwrap_err().contains(said), "{text}");
        }
    }

    #[test]
    fn numbers_follow_the_order_and_spares_have_none() {
        let found = disks(Some("r.vhd".into()), &["a.vhd,spare".to_owned(), "b.vhd,ro".to_owned()]).plugged();
        let expected = [(0, "r.vhd", false), (1, "b.vhd", true)].map(|(lun, path, read_only)| DiskFile {
            lun,
            path: path.into(),
            read_only,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn what_cannot_be_used_is_told_before_anything_starts() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path(), "a.vhd").display().to_string();
        disks(Some(folder.path().join("not-yet.vhd")), std::slice::from_ref(&path)).check().unwrap();
        let twice = disks(None, &[path.clone(), format!("{path},ro")]).check().unwrap_err().to_string();
        assert!(twice.contains("is there twice"), "{twice}");
        let text = folder.path().join("b.vhd");
        std::fs::write(&text, "no disk").unwrap();
        for wrong in [text, folder.path().join("none.vhd")] {
            let error = disks(None, &[wrong.display().to_string()]).check().unwrap_err().to_string();
            assert!(error.contains(&wrong.display().to_string()), "{error}");
        }
        let _used = FileDisk::open(Path::new(&path)).unwrap();
        assert!(disks(None, &[path]).check().is_err(), "another guest has it");
    }

    #[test]
    fn disks_go_into_the_machine_and_what_was_written_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (made(folder.path(), "x/a.vhd"), made(folder.path(), "y/a.vhd"));
        let given = disks(Some(one.clone()), &[format!("{},ro", two.display())]);
        let (inside, brought) = given.inside("/files").unwrap();
        assert_eq!(inside.root, Some("/files/back/0/a.vhd".into()));
        assert_eq!(inside.others[0].to_string(), "/files/here/1/a.vhd,ro");
        assert_eq!(
            inside.named(Path::new("some/where/a.vhd")).unwrap().path,
            PathBuf::from("/files/back/0/a.vhd")
        );
        assert!(FileDisk::open(&one).is_err(), "nobody else writes it meanwhile");
        let out = folder.path().join("out");
        let came = out.join("back/0/a.vhd");
        std::fs::create_dir_all(came.parent().unwrap()).unwrap();
        std::fs::copy(&one, &came).unwrap();
        files::open(&came, Opening::write()).unwrap().write(8, &[7; 512]).unwrap();
        for disk in brought {
            disk.bring_back(&out).unwrap();
        }
        let mut bytes = [0; 512];
        files::open(&one, Opening::read()).unwrap().read(8, &mut bytes).unwrap();
        assert_eq!(bytes, [7; 512]);
        // A machine that was switched off in the middle leaves half a file, or none.
        let (_, brought) = given.inside("/files").unwrap();
        std::fs::write(&came, "half").unwrap();
        let error = brought.into_iter().next().unwrap().bring_back(&out).unwrap_err().to_string();
        assert!(error.contains("stays as it was"), "{error}");
        files::open(&one, Opening::read()).unwrap().read(8, &mut bytes).unwrap();
        assert_eq!(bytes, [7; 512]);
    }
}
