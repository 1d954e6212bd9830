//! `[[host.disk]]` and `[[vm.disk]]`: storage devices, and the virtual hard disks on them.

use std::collections::BTreeSet;

use page_range::PageCount;
use storage_device::DeviceConfig;

use super::{
    diagnostic::Span,
    reader::{Located, Table},
    schema,
};

/// A storage device of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// What disks call it.
    pub name: String,
    /// What it is.
    pub config: DeviceConfig,
}

/// What kind of file a virtual hard disk is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskKind {
    /// All of its space is there.
    Fixed,
    /// It grows as it is written.
    Dynamic,
    /// It has what differs from this golden image.
    Differencing {
        /// The image's name.
        parent: String,
    },
}

/// A virtual hard disk of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The device that it lies on: its place in the host's list.
    pub device: usize,
    /// Its size.
    pub size: PageCount,
    /// What kind of file it is.
    pub kind: DiskKind,
}

/// Disks that a VM may have: one for files and page file, or one for each.
const MOST: usize = 2;
/// Invented: enough for an operating system and its page file.
const DEFAULT_SIZE: PageCount = PageCount::from_mib(40 << 10);
/// Documented: Microsoft; [D] says 2 TB.
const LARGEST: PageCount = PageCount::from_mib(2040 << 10);
/// Invented: files and a page file need some room.
const SMALLEST: PageCount = PageCount::from_mib(1024);

fn value<T>(located: Option<Located<T>>) -> Option<T> {
    located.map(|located| located.value)
}

/// Reads all `[[host.disk]]`.
pub(super) fn read_devices(host: &Table<'_, '_>) -> Vec<Device> {
    let mut devices = Vec::new();
    let mut names = BTreeSet::new();
    for (entries, span) in host.tables("disk") {
        let table = Table::new(host.reader, &schema::HOST_DISK, entries, &span);
        let usual = DeviceConfig::default();
        let config = DeviceConfig {
            spindles: value(table.integer("spindles", 1, 4096))
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(usual.spindles),
            iops: value(table.number("iops", 1.0, 1e7)).unwrap_or(usual.iops),
            bytes_per_second: throughput(&table).unwrap_or(usual.bytes_per_second),
            cache_bytes: value(table.size("cache")).map_or(usual.cache_bytes, PageCount::bytes),
            latency: value(table.duration("latency")).unwrap_or(usual.latency),
            accesses_per_second: usual.accesses_per_second,
        };
        let name = table.text("name");
        let Some(name) = table.required("name", name) else { continue };
        if !names.insert(name.value.clone()) {
            let why = format!("two devices are named {:?}", name.value);
            table.reader.add(table.bad_value("name", &name.span, why).allowed("names that differ"));
        }
        devices.push(Device { name: name.value, config });
    }
    devices
}

fn throughput(table: &Table<'_, '_>) -> Option<f64> {
    let size = table.size("throughput")?;
    if size.value.is_zero() {
        table.reader.add(
            table
                .bad_value("throughput", &size.span, "a device that transfers nothing")
                .allowed("more than 0MB, in a second"),
        );
        return None;
    }
    Some(size.value.bytes() as f64)
}

/// Reads all `[[vm.disk]]` of a VM; `None` if it has none, or settings of a variant do not name any.
pub(super) fn read_disks(table: &Table<'_, '_>, devices: Option<&[Device]>) -> Option<Located<Vec<Disk>>> {
    if !table.has("disk") {
        return None;
    }
    let tables = table.tables("disk");
    let place: Span = table.span_of("disk");
    if tables.len() > MOST {
        let why = format!(
            "{} disks: a simulated guest uses its first for files, and a second for its page file",
            tables.len()
        );
        table.reader.add(table.bad_value("disk", &place, why).allowed("one or two [[vm.disk]]"));
    }
    let disks = tables.into_iter().take(MOST).filter_map(|(entries, span)| {
        read_disk(&Table::new(table.reader, &schema::VM_DISK, entries, &span), devices)
    });
    let disks = disks.collect();
    Some(Located { value: disks, span: place })
}

fn read_disk(table: &Table<'_, '_>, devices: Option<&[Device]>) -> Option<Disk> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Fixed,
        Dynamic,
        Differencing,
    }
    let device = read_device(table, devices);
    let size = table.size("size");
    let mut good = true;
    if let Some(size) = &size
        && !(SMALLEST..=LARGEST).contains(&size.value)
    {
        good = false;
        let why = format!("no disk here has {}", quantities::format_size(size.value));
        table.reader.add(table.bad_value("size", &size.span, why).allowed("1GB to 2040GB"));
    }
    let kind = table.word(
        "kind",
        &[("fixed", Kind::Fixed), ("dynamic", Kind::Dynamic), ("differencing", Kind::Differencing)],
    );
    let parent = table.text("parent");
    let kind = match (value(kind).unwrap_or(Kind::Dynamic), parent) {
        (Kind::Differencing, Some(parent)) => DiskKind::Differencing { parent: parent.value },
        (Kind::Differencing, None) => {
            let missing: Option<Located<String>> = None;
            table.required("parent", missing);
            return None;
        }
        (_, Some(parent)) => {
            let why = "only a differencing disk has a parent";
            let help = "write kind = \"differencing\", or leave `parent` out";
            table.reader.add(table.bad_value("parent", &parent.span, why).help(help));
            return None;
        }
        (Kind::Fixed, None) => DiskKind::Fixed,
        (Kind::Dynamic, None) => DiskKind::Dynamic,
    };
    good.then_some(Disk { device: device?, size: value(size).unwrap_or(DEFAULT_SIZE), kind })
}

fn read_device(table: &Table<'_, '_>, devices: Option<&[Device]>) -> Option<usize> {
    let named = table.text("device");
    // Of a host that is not there something is said already.
    let devices = devices?;
    let names = || devices.iter().map(|device| device.name.as_str());
    match (named, devices) {
        (Some(named), _) => {
            let found = devices.iter().position(|device| device.name == named.value);
            if found.is_none() {
                let why = format!("the host has no device {:?}", named.value);
                let all = schema::quoted(&names().collect::<Vec<_>>());
                let complaint = table.bad_value("device", &named.span, why).nearest(&named.value, names());
                table.reader.add(if devices.is_empty() {
                    complaint.help("add a [[host.disk]] of this name")
                } else {
                    complaint.allowed(all)
                });
            }
            found
        }
        (None, [_]) => Some(0),
        (None, []) => {
            let start = table.start();
            table.reader.add(
                table
                    .reader
                    .complain(&start, "a disk needs a device to lie on, and the host has none")
                    .key("disk")
                    .help("add a [[host.disk]] with a `name`"),
            );
            None
        }
        (None, _) => {
            let missing: Option<Located<String>> = None;
            table.required("device", missing);
            None
        }
    }
}
