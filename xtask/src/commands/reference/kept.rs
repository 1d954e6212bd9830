//! Numbers that take minutes: kept in a file of the book beside what they were made from, and made again when that has changed.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::output::note;

/// The committed hashes of a short run: what a run shows has changed if they have.
pub(super) const SAME_BITS: &str = include_str!("../../../../tests/tests/same_bits.sha256");

/// The numbers with what they were made from.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<T> {
    made_from: String,
    result: T,
}

/// What this program has made already, by the file.
static MADE: Mutex<BTreeMap<&'static str, String>> = Mutex::new(BTreeMap::new());

/// The text of the file `page` below `docs/src`, made again if what it has was made from something else. `what` tells what takes minutes.
pub(super) fn text<T: Serialize + DeserializeOwned>(
    page: &'static str,
    made_from: String,
    what: &str,
    make: impl FnOnce() -> Result<T>,
) -> Result<String> {
    if let Ok(text) = std::fs::read_to_string(super::path(page))
        && serde_json::from_str::<Kept<T>>(&text).is_ok_and(|kept| kept.made_from == made_from)
    {
        return Ok(text);
    }
    let made = || MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(text) = made().get(page) {
        return Ok(text.clone());
    }
    note!("{what}: this takes minutes");
    let mut text = serde_json::to_string_pretty(&Kept { made_from, result: make()? })?;
    text.push('\n');
    made().insert(page, text.clone());
    Ok(text)
}

/// The numbers in such a text.
pub(super) fn result<T: DeserializeOwned>(page: &str, text: &str) -> Result<T> {
    let kept: Kept<T> = serde_json::from_str(text).with_context(|| format!("the numbers of {page}"))?;
    Ok(kept.result)
}
