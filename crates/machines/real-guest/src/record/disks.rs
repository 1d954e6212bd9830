//! Virtual hard disks, with the unmodified drivers `hv_storvsc`, `sd_mod` and ext4: the guest's root, its swap, and a disk that comes and
//! goes. What other people's tools say of the files afterwards is in
//! [`disk_examination`](crate::disk_examination).

use std::path::Path;

use anyhow::{Context as _, Result};
use balancing_policy::MemorySettings;
use run_journal::manifest::sha256_hex;
use vhd::files::{self, Opening};

use super::balloon::boot_seen;
use super::{OPERATION, Record, Stage, mib};
use crate::disk::{DiskFile, FileDisk};
use crate::disk_images::{self, STAMP, STAMP_SUM, SWAP};
use crate::pieces::Pieces;

const ROOT_LUN: u8 = 0;
const SWAP_LUN: u8 = 1;
/// Not the next one: numbers need not follow each other.
const DATA_LUN: u8 = 5;

/// Startup RAM and maximum, MiB: no more comes than this.
const RAM: u64 = 256;
/// What the guest is to keep in memory at once, MiB: more than that leaves room for.
const USED: u64 = 240;
/// Pieces of 4 MiB of it that are held against what was written, and how far they are apart.
const LOOKED_AT: u64 = 6;
const SPACING: u64 = 3;
/// What is written on the disk that comes and goes, MiB.
const DATA_MIB: u64 = 4;

pub(super) fn look(record: &mut Record, pieces: &Pieces, disks: &Path, directory: &Path) -> Result<()> {
    let [root, swap, data] = disk_images::copy(disks, directory)?;
    let disk = |lun, path| DiskFile { lun, path, read_only: false };
    let stage = Stage::new(pieces, |config| {
        let guest = &mut config.guests[0];
        guest.settings = MemorySettings::dynamic(mib(RAM), mib(RAM)).with_minimum(mib(64));
        guest.kernel_words = format!("root_disk={ROOT_LUN}");
        guest.disks = vec![disk(ROOT_LUN, root), disk(SWAP_LUN, swap.clone())];
    })?;
    if !record.check("a guest with disks boots", stage.ready(0), boot_seen(&stage)) {
        return Ok(());
    }
    let version = stage
        .wait(0, OPERATION, |event| event.name() == "storage" && event.word("what").starts_with("version"));
    let version = version.map_or_else(String::new, |event| event.word("what").to_owned());
    record.check(
        "storage: a version is agreed on with hv_storvsc",
        version == "version 6.0",
        version.clone(),
    );
    if !root_on_vhd(record, &stage, directory)? {
        stage.host.end()?;
        return Ok(());
    }
    swapping(record, &stage);
    hot_plug(record, &stage, &data)?;
    let from = stage.mark();
    stage.guest().command("poweroff");
    let off = stage.named(from, OPERATION, "vm_stopped").is_some_and(|event| !event.is("failed"));
    record.check(
        "the guest lets go of its disks and switches itself off",
        off,
        if off { "off".to_owned() } else { boot_seen(&stage) },
    );
    let faults =
        stage.host.events.find(0, |event| event.name() == "storage" && event.word("what").contains("failed"));
    record.check(
        "no request failed",
        faults.is_empty(),
        faults.first().map_or_else(|| "none".to_owned(), |event| event.word("what").to_owned()),
    );
    stage.host.end()?;
    // What it is, this project's own check says; it is too large to be taken out of an emulated machine.
    let mut disk = files::open(&swap, Opening::read())?;
    let checked = vhd::check(disk.image_mut());
    record.check(
        "the disk that was swapped on is whole",
        checked.as_ref().is_ok_and(|found| found.present > 0 && found.blocks_with_stale_bytes == 0),
        format!("{SWAP}: {checked:?}"),
    );
    drop(disk);
    std::fs::remove_file(&swap).context("cannot remove the disk that was swapped on")
}

/// A line that a command of the guest's shell printed, without the word before it.
fn shell(stage: &Stage, script: &str) -> String {
    // Kernels find disks in any order, so that their names say nothing.
    let disk = "disk() { ls /sys/bus/scsi/devices/*:0:0:$1/block 2>/dev/null; }";
    let answer = stage.ask(&format!("sh {disk}; echo answer $({script})"), "answer").unwrap_or_default();
    answer.trim_start_matches("answer").trim().to_owned()
}

fn root_on_vhd(record: &mut Record, stage: &Stage, directory: &Path) -> Result<bool> {
    let mounted = shell(stage, "grep ' / ' /proc/mounts | tail -n 1");
    let expected = format!("/dev/{} / ext4 rw", shell(stage, &format!("disk {ROOT_LUN}")));
    let runs =
        record.check("root on VHD: the guest runs from it", mounted.starts_with(&expected), mounted.clone());
    if !runs {
        why_not(record, stage);
        return Ok(false);
    }
    let before = counted(stage, ROOT_LUN);
    // Out of the page cache, and back from the disk.
    let sum = shell(
        stage,
        &format!(
            "dd if=/dev/urandom of=/{STAMP} bs=1M count=4 2>/dev/null; sync; sha256sum /{STAMP} > /tmp/before; \
             echo 3 > /proc/sys/vm/drop_caches; sha256sum /{STAMP} | cmp - /tmp/before && cut -d ' ' -f 1 /tmp/before"
        ),
    );
    let after = counted(stage, ROOT_LUN);
    let (read, written) = (after.bytes_read - before.bytes_read, after.bytes_written - before.bytes_written);
    record.check(
        "root on VHD: what is written is read back from the disk",
        sum.len() == 64 && read >= 4 << 20 && written >= 4 << 20,
        format!("sha256 {sum}; the host read {} KB and wrote {} KB", read >> 10, written >> 10),
    );
    std::fs::write(directory.join(STAMP_SUM), &sum).context("cannot write a check sum")?;
    cost_of_requests(record, stage);
    Ok(true)
}

/// What the host pays for a request. Two signals come with each, and neither with an exit: the guest's, that there is one, and the end of the interrupt
/// that tells the guest of its completion.
fn cost_of_requests(record: &mut Record, stage: &Stage) {
    let bus = |exits: kvm_partition::ExitCounts| exits.post_message + exits.signal_event + exits.synic;
    let guest = stage.guest();
    let (before, exits, signals) =
        (counted(stage, SWAP_LUN), bus(guest.exits()), guest.signals_without_exit());
    let read = format!(
        "dd if=/dev/$(disk {SWAP_LUN}) of=/dev/null bs=256k count={READS} iflag=direct 2>/dev/null && echo read"
    );
    let read = shell(stage, &read);
    let after = counted(stage, SWAP_LUN);
    let requests = after.reads - before.reads;
    let each = |count: u64| count as f64 / requests.max(1) as f64;
    let (exits, signals) = (each(bus(guest.exits()) - exits), each(guest.signals_without_exit() - signals));
    record.check(
        "a request costs two signals, and no VMBus exit",
        read == "read" && requests >= READS && exits < 0.1 && signals < 2.5,
        format!("{exits:.2} exits and {signals:.2} signals for each of {requests} requests of 256 KB"),
    );
    record.figure("VMBus exits for each request of a disk", exits);
    let seconds = (after.read_time - before.read_time).as_secs_f64();
    record.figure("ms from request to completion", seconds * 1e3 / requests.max(1) as f64);
}

/// Reads of 256 KiB, one after the other.
const READS: u64 = 200;

/// What guest and host say of the disks, for whoever has to find out.
fn why_not(record: &mut Record, stage: &Stage) {
    const MOST: usize = 40;
    for line in stage.ask_lines("dmesg scsi|sd\\s|storvsc|EXT4|vmbus", "d", "d.").into_iter().take(MOST) {
        record.check("the guest's kernel says", false, line);
    }
    let told = stage
        .host
        .events
        .find(0, |event| matches!(event.name(), "storage" | "protocol_error" | "vmbus_open"));
    for event in told {
        let text = format!("{} {}{}", event.name(), event.word("what"), event.word("text"));
        record.check("the host has recorded", false, text);
    }
}

fn counted(stage: &Stage, lun: u8) -> vmms_host::storage::DiskStatistics {
    stage.guest().storage().statistics().get(&lun).copied().unwrap_or_default()
}

fn swapping(record: &mut Record, stage: &Stage) {
    let on =
        format!("d=/dev/$(disk {SWAP_LUN}); mkswap $d > /dev/null && swapon $d && tail -n 1 /proc/swaps");
    let on = shell(stage, &on);
    let before = counted(stage, SWAP_LUN);
    // Bytes that no kernel can leave out, more of them than there is memory.
    let piece = "dd if=/dev/urandom of=/piece bs=1M count=4 2>/dev/null";
    let fill = format!("i=0; while [ $i -lt {} ]; do cat /piece; i=$((i + 1)); done", USED / 4);
    let kept = shell(stage, &format!("{piece}; ({fill}) > /eat/y; grep pswpout /proc/vmstat"));
    // What was written first went out first. Each piece of it is read on its own: all of it takes an emulated processor minutes.
    let mut same = true;
    for piece in 0..LOOKED_AT {
        let at = piece * SPACING;
        let read = shell(
            stage,
            &format!("dd if=/eat/y bs=4M skip={at} count=1 2>/dev/null | md5sum; md5sum < /piece"),
        );
        let sums: Vec<&str> = read.split_whitespace().filter(|word| word.len() == 32).collect();
        same &= matches!(sums[..], [one, other] if one == other);
    }
    let back = shell(stage, "grep pswpin /proc/vmstat; rm /eat/y /piece");
    let after = counted(stage, SWAP_LUN);
    let pages = |text: &str, name: &str| -> u64 {
        let at = text.split_whitespace().skip_while(|word| *word != name).nth(1);
        at.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let (out, back) = (pages(&kept, "pswpout") * 4, pages(&back, "pswpin") * 4);
    let (written, read) =
        ((after.bytes_written - before.bytes_written) >> 10, (after.bytes_read - before.bytes_read) >> 10);
    record.check(
        "swap: the guest keeps more than it has memory for, and has it back unchanged",
        on.starts_with("/dev/sd") && same && out > 16 << 10 && back > 0,
        format!(
            "{USED} MB in a guest of {RAM}: {} MB swapped out, {} MB back; unchanged: {same}",
            out >> 10,
            back >> 10
        ),
    );
    record.check(
        "swap: it went through the disk, by the host's count as by the guest's",
        written >= out && read >= back,
        format!("the host wrote {} MB and read {} MB", written >> 10, read >> 10),
    );
}

fn hot_plug(record: &mut Record, stage: &Stage, data: &Path) -> Result<()> {
    let wait = |there: bool| {
        let wanted = if there { "-z" } else { "-n" };
        let script = format!(
            "i=0; while [ {wanted} \"$(disk {DATA_LUN})\" ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i + 1)); done; \
             d=$(disk {DATA_LUN}); [ -n \"$d\" ] && cat /sys/block/$d/size || echo none"
        );
        shell(stage, &script)
    };
    let plug = || -> Result<String> {
        stage.guest().storage().attach(DATA_LUN, Box::new(FileDisk::open(data)?));
        Ok(wait(true))
    };
    let unplug = || -> (String, bool) {
        let from = stage.mark();
        stage.guest().storage().detach(DATA_LUN);
        let seen = wait(false);
        let gone = stage
            .wait(from, OPERATION, |event| event.name() == "storage" && event.word("what") == "detached");
        (seen, gone.is_some())
    };
    let sectors = (64 << 20) / 512;
    let seen = plug()?;
    record.check(
        "hot-plug: a disk that is plugged in is there",
        seen == sectors.to_string(),
        format!("it has {seen} sectors"),
    );
    let sum = shell(
        stage,
        &format!(
            "dd if=/dev/urandom of=/data bs=1M count={DATA_MIB} 2>/dev/null; dd if=/data of=/dev/$(disk {DATA_LUN}) bs=1M conv=fsync 2>/dev/null; \
             sha256sum /data | cut -d ' ' -f 1; rm /data"
        ),
    );
    let (seen, gone) = unplug();
    record.check(
        "hot-plug: a disk that is taken out is gone",
        seen == "none" && gone,
        format!("in the guest: {seen}; let go of by the host: {gone}"),
    );
    let mut bytes = vec![0; (DATA_MIB << 20) as usize];
    files::open(data, Opening::read())?.read(0, &mut bytes)?;
    let found = sha256_hex(&bytes);
    record.check(
        "hot-plug: its file has what the guest wrote",
        found == sum,
        format!("sha256 {found}, by the guest {sum}"),
    );
    let seen = plug()?;
    let again = shell(
        stage,
        &format!(
            "dd if=/dev/$(disk {DATA_LUN}) bs=1M count={DATA_MIB} 2>/dev/null | sha256sum | cut -d ' ' -f 1"
        ),
    );
    let (left, gone) = unplug();
    let runs = record.check(
        "hot-plug: plugged in again it is read again, and taken out again",
        seen == sectors.to_string() && again == sum && left == "none" && gone,
        format!("sha256 {again}; then in the guest: {left}"),
    );
    if !runs {
        why_not(record, stage);
    }
    Ok(())
}
