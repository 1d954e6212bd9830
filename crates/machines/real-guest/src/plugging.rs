//! Disks that are plugged in and taken out by hand, while the guest runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vmms_host::storage::{DiskStatistics, StorageHandle};

use crate::disk::FileDisk;
use crate::factory::GuestHandle;
use crate::guest_disks::{DiskOption, GuestDisks, MOST_DISKS};

/// How long the guest may take to say what it sees (invented).
const ANSWER: Duration = Duration::from_secs(20);
/// Has the guest say each disk's number, name, sectors and where it is mounted.
const LOOK: &str = "sh for d in /sys/bus/scsi/devices/*:0:0:*/block/*; do [ -e $d ] || continue; n=${d%/block/*}; \
                    echo disk ${n##*:} ${d##*/} $(cat $d/size) $(grep \"^/dev/${d##*/} \" /proc/mounts /proc/swaps | head -n 1 | \
                    cut -d ' ' -f 2); done";

/// The disks of one guest.
pub(crate) struct Plugging {
    known: GuestDisks,
    plugged: BTreeMap<u8, PathBuf>,
}

impl Plugging {
    pub(crate) fn new(known: &GuestDisks) -> Self {
        let plugged = known.plugged().into_iter().map(|disk| (disk.lun, disk.path)).collect();
        Self { known: known.clone(), plugged }
    }

    /// Plugs in a disk: one that was named when the guest was started, or another file. What came of it is returned.
    pub(crate) fn plug(&mut self, storage: &StorageHandle, text: &str) -> Result<String, String> {
        let wanted: DiskOption = text.trim().parse()?;
        if self.known.is_empty() {
            return Err("this guest has no controller for disks: start it with --disk FILE,spare".to_owned());
        }
        let disk = self.known.named(&wanted.path).unwrap_or_else(|| wanted.clone());
        let read_only = wanted.read_only || disk.read_only;
        if let Some((lun, _)) = self.plugged.iter().find(|(_, path)| **path == disk.path) {
            return Err(format!("{} is plugged in already: it is number {lun}", name(&disk.path)));
        }
        let most = u8::try_from(MOST_DISKS).unwrap_or(u8::MAX);
        let Some(lun) = (0..most).find(|lun| !self.plugged.contains_key(lun)) else {
            return Err(format!("all {MOST_DISKS} numbers are in use"));
        };
        let open = if read_only { FileDisk::open_read_only } else { FileDisk::open };
        let opened = open(&disk.path).map_err(|error| error.to_string())?;
        storage.attach(lun, Box::new(opened));
        self.plugged.insert(lun, disk.path);
        Ok(format!("plugged in as number {lun}; `disks` says what the guest sees of it"))
    }

    /// Takes a disk out.
    pub(crate) fn unplug(&mut self, storage: &StorageHandle, lun: u8) -> Result<String, String> {
        let Some(path) = self.plugged.remove(&lun) else {
            let numbers: Vec<String> = self.plugged.keys().map(u8::to_string).collect();
            return Err(match numbers.is_empty() {
                true => "no disk is plugged in".to_owned(),
                false => format!("no disk has the number {lun}: there are {}", numbers.join(", ")),
            });
        };
        storage.detach(lun);
        Ok(format!("{} is taken out; it goes when its last request is over", name(&path)))
    }

    /// What host and guest say of all disks.
    pub(crate) fn tell(&self, guest: &GuestHandle) -> String {
        let counted = guest.storage().statistics();
        let asked = !self.known.is_empty() && guest.voice().is_ready();
        let seen = if asked { seen(guest) } else { BTreeMap::new() };
        self.lines(&counted, &seen)
    }

    fn lines(&self, counted: &BTreeMap<u8, DiskStatistics>, seen: &BTreeMap<u8, String>) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1u32 << 20);
        let mut lines: Vec<String> = Vec::new();
        for (lun, path) in &self.plugged {
            let counted = counted.get(lun).copied().unwrap_or_default();
            let seen = seen.get(lun).map_or("the guest does not say", String::as_str);
            lines.push(format!(
                "   {lun}  {}: read {:.1} MB in {} requests, wrote {:.1} MB in {}, failed {}; in the guest: {seen}",
                name(path),
                mib(counted.bytes_read),
                counted.reads,
                mib(counted.bytes_written),
                counted.writes,
                counted.failed
            ));
        }
        if lines.is_empty() {
            lines.push("   no disk is plugged in".to_owned());
        }
        lines.join("\n")
    }
}

/// A disk's name: inside an emulated machine its folder says nothing.
fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// What the guest's init says of its disks, by their numbers.
fn seen(guest: &GuestHandle) -> BTreeMap<u8, String> {
    // A guest that answers something else without end has as many disks as there can be, and no more.
    let lines = guest.ask_lines(LOOK, ["disk ", "sh."], MOST_DISKS, ANSWER);
    lines.iter().filter_map(|line| read(line)).collect()
}

/// Reads what stands behind `disk`, such as `1 sdb 131072 /data`.
fn read(line: &str) -> Option<(u8, String)> {
    let mut words = line.split_whitespace();
    let lun = words.next()?.parse().ok()?;
    let (name, sectors) = (words.next()?, words.next()?.parse::<u64>().ok()?);
    let place = words.next().map_or_else(String::new, |place| format!(", {place}"));
    Some((lun, format!("{name}, {} MB{place}", sectors / 2048)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk_images::new_disk;

    #[test]
    fn disks_come_and_go_by_hand_and_what_cannot_be_done_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spare.vhd");
        vhd::files::create_dynamic(&path, &new_disk(4, 1), vhd::TableAccess::InMemory).unwrap();
        let spare = format!("{},spare", path.display());
        let known = GuestDisks { root: Some("r.vhd".into()), others: vec![spare.parse().unwrap()] };
        let mut plugging = Plugging::new(&known);
        let storage = StorageHandle::default();
        assert!(plugging.plug(&storage, "spare.vhd").unwrap().contains("number 1"), "found by its name");
        assert!(plugging.plug(&storage, "spare.vhd").unwrap_err().contains("it is number 1"));
        assert!(plugging.plug(&storage, "none.vhd").unwrap_err().contains("none.vhd"));
        assert!(plugging.plug(&storage, "none.vhd,rx").unwrap_err().contains("is not known"));
        assert!(plugging.unplug(&storage, 7).unwrap_err().contains("there are 0, 1"));
        assert!(plugging.unplug(&storage, 1).unwrap().contains("spare.vhd"));
        let mut none = Plugging::new(&GuestDisks::default());
        assert!(none.plug(&storage, "a.vhd").unwrap_err().contains("no controller"));
        assert!(none.unplug(&storage, 0).unwrap_err().contains("no disk is plugged in"));
    }

    #[test]
    fn what_the_guest_sees_stands_beside_what_the_host_counts() {
        assert_eq!(read("1 sdb 131072 /data"), Some((1, "sdb, 64 MB, /data".to_owned())));
        assert_eq!(read("0 sda 2048"), Some((0, "sda, 1 MB".to_owned())));
        assert_eq!(read("x sda 2048"), None);
        let plugging =
            Plugging { known: GuestDisks::default(), plugged: BTreeMap::from([(3, "a.vhd".into())]) };
        let counted = DiskStatistics { reads: 2, bytes_read: 3 << 20, ..DiskStatistics::default() };
        let text = plugging.lines(&BTreeMap::from([(3, counted)]), &BTreeMap::new());
        assert_eq!(
            text,
            "   3  a.vhd: read 3.0 MB in 2 requests, wrote 0.0 MB in 0, failed 0; in the guest: the guest does not say"
        );
    }
}
