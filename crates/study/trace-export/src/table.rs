//! Tables for pandas, Polars and DuckDB: one row for each thing, one type for each column, units in the columns' names.
//!
//! * `events`: a row for each event; a column for each field that any event has, empty where an event does not have it.
//! * `host_counters`: a row for each sample of the host.
//! * `vm_counters`: a row for each sample of each VM that ran then.
//! * `frames`: a row for each message and packet that crossed between a guest and the host.
//!
//! Columns and rows are defined once; CSV and, with the feature `parquet`, Parquet are two ways to write them.

mod counters;
mod csv;
mod events;
mod frames;
#[cfg(feature = "parquet")]
mod parquet;

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

pub use counters::{column_name, host_counters, vm_counters};
pub use events::events;
pub use frames::frames;

use crate::{ExportError, Run};

/// A value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// There is none.
    Empty,
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// A number with decimals.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Text.
    Text(String),
}

/// What all cells of a column are, if they are not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Whole numbers that a signed integer of 64 bits holds.
    Signed,
    /// Whole numbers that are not negative and may be beyond what a signed integer of 64 bits holds.
    Unsigned,
    /// Numbers with decimals, of double precision.
    Float,
    /// Yes or no.
    Bool,
    /// Text.
    Text,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, with the unit.
    pub name: String,
    /// What its cells are.
    pub kind: ColumnType,
    /// Whether every row has a value in it.
    pub filled: bool,
}

impl Column {
    /// A column of which every row has a value.
    fn filled(name: impl Into<String>, kind: ColumnType) -> Self {
        Self { name: name.into(), kind, filled: true }
    }

    /// A column that may have empty cells.
    fn optional(name: impl Into<String>, kind: ColumnType) -> Self {
        Self { name: name.into(), kind, filled: false }
    }
}

/// A table in memory.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

/// The tables of a run, with their names. What was not recorded has none, and [`Run::remarks`] says so.
///
/// # Errors
/// Nothing was recorded: the error of the first table.
pub fn tables(run: &Run) -> Result<Vec<(&'static str, Table)>, ExportError> {
    let counters = run.counters();
    let mut missing = Vec::new();
    let mut tables = Vec::new();
    match counters {
        Ok(counters) => {
            tables.push(("host_counters", host_counters(&counters)));
            tables.push(("vm_counters", vm_counters(&counters)));
        }
        Err(error) => missing.push(error),
    }
    match run.events() {
        Ok(records) => tables.push(("events", events(&records))),
        Err(error) => missing.push(error),
    }
    match frames(run) {
        Ok(frames) => tables.push(("frames", frames)),
        Err(error) => missing.push(error),
    }
    if tables.is_empty() {
        return missing.into_iter().next().map_or(Ok(tables), Err);
    }
    for error in missing {
        run.left_out(&error);
    }
    Ok(tables)
}

/// Writes the tables of a run as CSV files into a folder, which is made if need be; returns their names.
///
/// # Errors
/// Nothing was recorded, or a file cannot be written.
pub fn write_csv(run: &Run, folder: &Path) -> Result<Vec<String>, ExportError> {
    write_all(run, folder, "csv", |_, table, file| table.write_csv(BufWriter::new(file)))
}

/// Writes the tables of a run as Parquet files into a folder, which is made if need be; returns their names.
///
/// # Errors
/// Nothing was recorded, or a file cannot be written.
#[cfg(feature = "parquet")]
pub fn write_parquet(run: &Run, folder: &Path) -> Result<Vec<String>, ExportError> {
    write_all(run, folder, "parquet", |name, table, file| table.write_parquet(name, BufWriter::new(file)))
}

fn write_all(
    run: &Run,
    folder: &Path,
    ending: &str,
    write: impl Fn(&str, &Table, File) -> Result<(), ExportError>,
) -> Result<Vec<String>, ExportError> {
    let tables = tables(run)?;
    std::fs::create_dir_all(folder)?;
    let mut names = Vec::new();
    for (name, table) in tables {
        let file = format!("{name}.{ending}");
        write(name, &table, File::create(folder.join(&file))?)?;
        names.push(file);
    }
    Ok(names)
}

/// The number of an event; 0 stands for none.
fn number_of_event(seq: u64) -> Cell {
    if seq == 0 { Cell::Empty } else { Cell::Unsigned(seq) }
}
