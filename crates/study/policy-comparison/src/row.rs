//! What one run comes to: the row of a point.
//!
//! A row is what its text says. A comparison on one machine reads its rows from their texts as well, so that there is nothing that a file
//! on another machine could lose.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalogue::{COUNT, MEASURES, Values};
use super::collector::{Progress, Series};

/// What one run comes to. It depends on load, policy, seed and version, and on nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// By the key of the measure: all that are of this run alone.
    values: BTreeMap<String, Option<f64>>,
    /// How far each VM's application got: the share of its running time in which it did not wait.
    pub(crate) progress: Progress,
    /// How often each VM was served.
    pub(crate) served: Vec<u32>,
    /// Rounds that the policy lost because it panicked.
    pub(crate) lost_rounds: u64,
    /// What all VMs together needed and had.
    pub(crate) series: Series,
}

impl Row {
    pub(crate) fn new(
        values: &Values,
        progress: Progress,
        served: Vec<u32>,
        lost_rounds: u64,
        series: Series,
    ) -> Self {
        let values = MEASURES.iter().zip(values).map(|(measure, value)| (measure.key.to_owned(), *value));
        // What is held against another run is not of this one.
        let values = values.filter(|(_, value)| value.is_some()).collect();
        Self { values, progress, served, lost_rounds, series }
    }

    /// The values by their places.
    pub(crate) fn values(&self) -> Values {
        let mut values: Values = [None; COUNT];
        for (measure, value) in MEASURES.iter().zip(&mut values) {
            *value = self.values.get(measure.key).copied().flatten();
        }
        values
    }

    /// Its text: one line of JSON.
    pub(crate) fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// A row of its text.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let row: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match row.values.keys().find(|key| !MEASURES.iter().any(|measure| measure.key == **key)) {
            Some(unknown) => Err(format!("there is no measure {unknown:?}")),
            None => Ok(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_what_its_text_says() {
        let mut values: Values = [None; COUNT];
        values[3] = Some(0.1 + 0.2);
        let row = Row::new(&values, vec![Some(1.0), None], vec![1, 0], 2, Series::default());
        let text = row.text().unwrap();
        let read = Row::read(&text).unwrap();
        assert_eq!(read.values()[3].map(|value| (value * 1e9).round()), Some(3e8));
        // Whoever reads it once has what everybody has.
        assert_eq!(Row::read(&read.text().unwrap()).unwrap(), read);
        assert_eq!((read.served, read.lost_rounds, read.progress.len()), (vec![1, 0], 2, 2));
        assert!(Row::read(&text.replace("time_above_100", "time_above_101")).is_err());
        assert!(Row::read("{}").is_err() && Row::read(&text.replace("\"served\"", "\"served2\"")).is_err());
    }
}
