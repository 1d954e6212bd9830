//! Parquet files, read back by the library's reader and held against the CSV of the same run.

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use trace_export::table;

use crate::fixture;

/// A line of CSV (RFC 4180) as fields. None of the fields of a run has a line's end in it.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                fields.last_mut().unwrap().push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields
}

/// A value as CSV has it.
fn text(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Bool(value) => value.to_string(),
        Field::Long(number) => number.to_string(),
        Field::ULong(number) => number.to_string(),
        Field::Double(number) => number.to_string(),
        Field::Str(text) => text.clone(),
        other => panic!("no column has {other:?}"),
    }
}

fn open(folder: &Path, table: &str) -> SerializedFileReader<File> {
    SerializedFileReader::new(File::open(folder.join(format!("{table}.parquet"))).unwrap()).unwrap()
}

#[test]
fn parquet_has_what_csv_has() {
    let folder = tempfile::tempdir().unwrap();
    let run = fixture::run();
    let csv = table::write_csv(&run, folder.path()).unwrap();
    let names = table::write_parquet(&run, folder.path()).unwrap();
    let tables = ["host_counters", "vm_counters", "events", "frames"];
    assert_eq!(csv, tables.map(|table| format!("{table}.csv")));
    assert_eq!(names, tables.map(|table| format!("{table}.parquet")));
    for table in tables {
        let csv = std::fs::read_to_string(folder.path().join(format!("{table}.csv"))).unwrap();
        let mut lines = csv.lines().map(fields);
        let reader = open(folder.path(), table);
        let schema = reader.metadata().file_metadata().schema();
        assert_eq!(schema.name(), table);
        let columns: Vec<_> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
        assert_eq!(lines.next().unwrap(), columns, "{table}");
        let mut rows = 0;
        for (row, line) in reader.get_row_iter(None).unwrap().zip(lines.by_ref()) {
            let row: Vec<_> = row.unwrap().get_column_iter().map(|(_, field)| text(field)).collect();
            assert_eq!(row, line, "{table}, row {rows}");
            rows += 1;
        }
        assert_eq!(lines.next(), None, "{table}: CSV has rows that Parquet has not");
        assert_eq!(reader.metadata().file_metadata().num_rows(), rows, "{table}");
        assert!(rows > 100, "{table}");
    }
}

#[test]
fn columns_are_typed() {
    use parquet::basic::{LogicalType, Type as Physical};
    let folder = tempfile::tempdir().unwrap();
    table::write_parquet(&fixture::run(), folder.path()).unwrap();
    for (table, column, physical, logical, required) in [
        ("events", "t_ns", Physical::INT64, None, true),
        ("events", "vm", Physical::BYTE_ARRAY, Some(LogicalType::String), false),
        ("events", "committed_pages", Physical::INT64, None, false),
        ("frames", "transaction_id", Physical::INT64, Some(LogicalType::integer(64, false)), false),
        ("host_counters", "t_s", Physical::DOUBLE, None, true),
        ("vm_counters", "current_pressure_percent", Physical::DOUBLE, None, false),
        ("vm_counters", "vmbus_upstream_ring_high_water_bytes", Physical::INT64, None, false),
    ] {
        let reader = open(folder.path(), table);
        let schema = reader.metadata().file_metadata().schema_descr();
        let found = schema.columns().iter().find(|found| found.name() == column);
        let found = found.unwrap_or_else(|| panic!("{table} has no {column}"));
        assert_eq!(found.physical_type(), physical, "{table}.{column}");
        assert_eq!(found.logical_type_ref(), logical.as_ref(), "{table}.{column}");
        assert_eq!(!found.self_type().is_optional(), required, "{table}.{column}");
    }
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let run = fixture::run();
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = folders.each_ref().map(|folder| {
        let names = table::write_parquet(&run, folder.path()).unwrap();
        names.iter().map(|name| std::fs::read(folder.path().join(name)).unwrap()).collect::<Vec<_>>()
    });
    assert!(first == second);
}
