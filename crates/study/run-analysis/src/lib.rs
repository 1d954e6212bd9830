//! What a run shows: whether it shows what the sources say ([`verify`]), drawn ([`figures`]), and why the balancer decided as it
//! did ([`explain`]), who said what to whom ([`sequence`]), how its counters went ([`counters`]), and what its components did at a moment
//! ([`stills`]); and what many runs show over a range of hosts and settings ([`sweep`]).
//!
//! In the source documents this is chapter 4 of the verification guideline \[A\]: what was observed.
//!
//! Everything here reads a run: its counters, its summary, its events. Nothing here changes one.
#![forbid(unsafe_code)]

pub mod counters;
pub mod explain;
pub mod figures;
pub mod growth;
pub mod parallel;
pub mod sequence;
pub mod stills;
pub mod sweep;
pub mod verify;
