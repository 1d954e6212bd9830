//! The tables of counters.

use std::collections::BTreeMap;

use perf_counters::{CounterDefinition, Unit};

use super::{Cell, Column, ColumnType, Table};
use crate::{Counters, Scope, Series};

/// A counter's name as a column: small letters, and its unit at the end.
pub fn column_name(counter: &CounterDefinition) -> String {
    let set = match counter.object {
        "Memory" => "os_",
        "Dynamic Memory Model VMBus" => "vmbus_",
        "Dynamic Memory Model Map" => "map_",
        _ => "",
    };
    let name = counter.name.to_lowercase().replace("mbytes", "").replace("/sec", "").replace("bytes", "");
    let words: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let unit = match counter.unit {
        Unit::Megabytes => "_mib",
        Unit::Percent => "_percent",
        Unit::PerSecond => "_per_s",
        Unit::Bytes => "_bytes",
        Unit::Seconds => "_s",
        Unit::Operations | Unit::Count => "",
    };
    format!("{set}{}{unit}", words.join("_"))
}

fn seconds(counters: &Counters, row: usize) -> Cell {
    counters.times.get(row).map_or(Cell::Empty, |time| Cell::Float(time.as_secs_f64()))
}

/// Whether a counter has whole numbers only.
fn is_whole(counter: &CounterDefinition) -> bool {
    match counter.unit {
        Unit::Bytes | Unit::Operations | Unit::Count => true,
        Unit::Megabytes | Unit::Percent | Unit::PerSecond | Unit::Seconds => false,
    }
}

fn column(counter: &CounterDefinition) -> Column {
    let kind = if is_whole(counter) { ColumnType::Signed } else { ColumnType::Float };
    Column::optional(column_name(counter), kind)
}

/// The value of a counter in a row of the file, which has it with six decimals.
fn value(series: &Series, row: usize) -> Cell {
    match series.values.get(row).copied().flatten() {
        None => Cell::Empty,
        // A file that somebody else wrote may have anything.
        Some(value) if is_whole(series.definition) => Cell::Unsigned(value.max(0.0) as u64),
        Some(value) => Cell::Float(value),
    }
}

/// A row for each sample of the host.
pub fn host_counters(counters: &Counters) -> Table {
    let of_host: Vec<_> = counters.series.iter().filter(|series| series.scope == Scope::Host).collect();
    let mut columns = vec![Column::filled("t_s", ColumnType::Float)];
    columns.extend(of_host.iter().map(|series| column(series.definition)));
    let rows = (0..counters.times.len()).map(|row| {
        let values = of_host.iter().map(|series| value(series, row));
        std::iter::once(seconds(counters, row)).chain(values).collect()
    });
    Table { columns, rows: rows.collect() }
}

/// A row for each sample of each VM that has a value in it.
pub fn vm_counters(counters: &Counters) -> Table {
    let mut columns = vec![Column::filled("t_s", ColumnType::Float), Column::filled("vm", ColumnType::Text)];
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    // The series of each VM, with the place of the column.
    let mut of_vm: BTreeMap<&str, Vec<(usize, &Series)>> = BTreeMap::new();
    for series in &counters.series {
        let Scope::Vm(vm) = &series.scope else { continue };
        let place = *places.entry(column_name(series.definition)).or_insert_with(|| {
            columns.push(column(series.definition));
            columns.len() - 1
        });
        of_vm.entry(vm).or_default().push((place, series));
    }
    let mut rows = Vec::new();
    for row in 0..counters.times.len() {
        for vm in &counters.vms {
            let mut cells = vec![Cell::Empty; columns.len()];
            for &(place, series) in of_vm.get(&**vm).into_iter().flatten() {
                cells[place] = value(series, row);
            }
            if cells.iter().any(|cell| *cell != Cell::Empty) {
                cells[0] = seconds(counters, row);
                cells[1] = Cell::Text(vm.to_string());
                rows.push(cells);
            }
        }
    }
    Table { columns, rows }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use perf_counters::schema::{host_sets, vm_sets};

    use super::*;

    #[test]
    fn no_two_counters_of_one_table_have_one_name() {
        let host: Vec<_> = host_sets().into_iter().flat_map(|(_, set)| set).map(column_name).collect();
        let vm: Vec<_> = vm_sets().into_iter().flat_map(|(_, set)| set).map(column_name).collect();
        for names in [host, vm] {
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        }
    }
}
