//! What files say, by VM.

use std::collections::BTreeMap;

use perf_counters::instance_name;

use crate::kind::Kind;
use crate::part::VmPart;

/// What a file says of a VM: which file, of which kind, and what.
pub(crate) type Entry = (String, Kind, VmPart);
/// What files say of VMs, by the key of their names.
pub(crate) type Groups = BTreeMap<String, Vec<Entry>>;

/// What a VM is found by: names are compared as counters compare them, without regard to case and with the signs that
/// counters replace.
pub(crate) fn key(name: &str) -> String {
    instance_name(name.trim()).to_lowercase()
}
