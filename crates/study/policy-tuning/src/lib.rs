//! Parameters of a policy, searched on some loads and judged on others.
//!
//! A [`Space`] says which parameters are varied, and between what. [`tune`] runs parameter sets from it on training loads and
//! seeds, keeps those that no other set beats in both unmet demand and memory moved (the front), chooses one, and then runs
//! the front once on loads and seeds that had no part in the search. The two sets are kept apart here: what is in both is refused.
//!
//! Nobody can win by serving less: a set with which a VM is served less often than with the published parameters is no candidate.
#![forbid(unsafe_code)]

mod outcome;
mod page;
mod search;
mod space;

pub use outcome::{Chosen, Outcome, Preference, Score, Sets, Trial};
pub use search::{Advance, Settings, TuneError, tune};
pub use space::{BadSpace, Parameter, Search, Space};
