//! Recording of a run, reading it back, replaying a component.
//!
//! The source documents know no such component; recording makes a run of the others something to study. Whatever
//! happens in a run is instrumented once, with [`tracing`]; this crate turns those events into what a run leaves behind
//! and what a person reads meanwhile.
//!
//! The crate owns the formats of a run directory's [`events.jsonl`](events), [journal] and [manifest], the
//! [recorder](Recorder) that writes the first two while a run goes on, the [human-readable log](HumanLog), the
//! [questions](query) one can ask of recorded events, and the [replay](replay()) of a recorded state machine.
//!
//! Times are the run's virtual times, which the runtime keeps for each thread. The crate decides nothing in a run, so a run
//! with and without recording goes the same way.
//!
//! # What becomes a record
//! A tracing event that has a field named `event`, of level DEBUG or higher. The fields `vm`, `component` and `cause`
//! replace what the runtime knows of the context (a balancer's decision about `VM8` is found under `VM8`); every other
//! field is kept in its order. Numbers are per run and without gaps; a record's cause is the event that led to it, and
//! it becomes the cause of what its component does next.
//!
//! ```
//! use run_journal::{EventsLevel, Recorder, events};
//!
//! let (file, buffer) = run_journal::buffer();
//! let recorder = Recorder::to_writers(Some(file), None, EventsLevel::All)?;
//! tracing::dispatcher::with_default(&run_journal::dispatch(Some(&recorder), None), || {
//!     tracing::info!(event = "balloon_request", vm = "VM8", pages = 512);
//! });
//! recorder.finish()?;
//! let records: Vec<_> = events::Reader::new(&buffer.contents()[..]).collect::<Result<_, _>>()?;
//! assert_eq!(&*records[0].event, "balloon_request");
//! assert_eq!(records[0].field("pages").unwrap().to_string(), "512");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod codec;
mod context;
pub mod events;
mod files;
mod filter;
mod human;
pub mod journal;
mod json_text;
mod layer;
pub mod manifest;
mod names;
mod output;
mod packed;
pub mod pages;
pub mod query;
mod record;
mod recorder;
mod replay;

pub use files::{EVENTS_FILE, JOURNAL_FILE, MANIFEST_FILE};
pub use filter::LogFilterError;
pub use human::HumanLog;
pub use layer::{RecordFilter, RecordLayer, RecordSubscriber, dispatch};
pub use manifest::{Manifest, ManifestPart};
pub use packed::{Form, RecordedFile, bytes_recorded, file_in};
pub use record::{ALSO_BECAUSE_OF, FieldValue, Record, Severity};
pub use recorder::{Buffer, EventsLevel, Recorded, Recorder, UnknownEventsLevel, buffer};
pub use replay::{Difference, Replay, ReplayError, replay};
