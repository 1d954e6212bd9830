//! What the files of a run directory are called that this crate writes.

/// Name of the events file in a run directory.
pub const EVENTS_FILE: &str = "events.jsonl";
/// Name of the journal in a run directory.
pub const JOURNAL_FILE: &str = "journal.bin";
/// Name of the manifest in a run directory.
pub const MANIFEST_FILE: &str = "manifest.json";
