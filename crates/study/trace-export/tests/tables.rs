use std::collections::{BTreeMap, BTreeSet};

use trace_export::table::{self, Cell, ColumnType};

use crate::fixture;

fn place(table: &table::Table, name: &str) -> usize {
    table
        .columns
        .iter()
        .position(|column| column.name == name)
        .unwrap_or_else(|| panic!("{name}: {:?}", table.columns))
}

#[test]
fn tables_have_unique_columns_and_full_rows() {
    let run = fixture::run();
    let counters = run.counters().unwrap();
    let tables = [
        table::events(&run.events().unwrap()),
        table::host_counters(&counters),
        table::vm_counters(&counters),
        table::frames(&run).unwrap(),
    ];
    for table in tables {
        assert!(table.rows.len() > 100);
        assert_eq!(
            table.columns.iter().map(|column| &column.name).collect::<BTreeSet<_>>().len(),
            table.columns.len()
        );
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
        for (index, column) in table.columns.iter().enumerate() {
            for cell in table.rows.iter().map(|row| &row[index]) {
                let fits = match cell {
                    Cell::Empty => !column.filled,
                    Cell::Unsigned(number) => match column.kind {
                        ColumnType::Signed => i64::try_from(*number).is_ok(),
                        kind => matches!(kind, ColumnType::Unsigned | ColumnType::Float),
                    },
                    Cell::Negative(_) => matches!(column.kind, ColumnType::Signed | ColumnType::Float),
                    Cell::Float(_) => column.kind == ColumnType::Float,
                    Cell::Bool(_) => column.kind == ColumnType::Bool,
                    Cell::Text(_) => column.kind == ColumnType::Text,
                };
                assert!(fits, "{column:?} has {cell:?}");
            }
        }
    }
}

/// What memory moved to a VM is what it was given at its start and since, and what left it is what others got of it.
#[test]
fn who_paid_whom_adds_up() {
    let run = fixture::run();
    let counters = table::vm_counters(&run.counters().unwrap());
    let (vm, added) = (place(&counters, "vm"), place(&counters, "added_memory_mib"));
    let mut last = BTreeMap::new();
    for row in &counters.rows {
        if let (Cell::Text(vm), Cell::Float(added)) = (&row[vm], &row[added]) {
            last.insert(vm.clone(), *added);
        }
    }
    let events = table::events(&run.events().unwrap());
    let at = |name| place(&events, name);
    let (event, to, pages, operation, donor) =
        (at("event"), at("vm"), at("pages"), at("operation"), at("donor"));
    let mut moved: BTreeMap<String, u64> = BTreeMap::new();
    let mut donors = BTreeSet::new();
    for row in events.rows.iter().filter(|row| row[event] == Cell::Text("memory_moved".to_owned())) {
        let (Cell::Text(to), Cell::Unsigned(pages)) = (&row[to], &row[pages]) else { panic!("{row:?}") };
        if row[operation] != Cell::Empty {
            *moved.entry(to.clone()).or_default() += pages;
        }
        if let Cell::Text(donor) = &row[donor] {
            donors.insert(donor.clone());
        }
    }
    for (vm, mib) in last {
        assert_eq!(moved.get(&vm).copied().unwrap_or(0) as f64 / 256.0, mib, "{vm}");
    }
    assert!(!donors.is_empty(), "the host has too little for both: somebody gave memory up");
}

#[test]
fn openmetrics_has_each_family_once_and_an_end() {
    let mut text = Vec::new();
    trace_export::openmetrics::write(&fixture::run(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.ends_with("\n# EOF\n"));
    let mut family = ("", "");
    let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# HELP")) {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            family = described.split_once(' ').unwrap();
            assert!(seen.insert(family.0), "{} twice", family.0);
            continue;
        }
        let [series, value, time]: [&str; 3] = line
            .rsplitn(3, ' ')
            .collect::<Vec<_>>()
            .try_into()
            .map(|[t, v, s]: [&str; 3]| [s, v, t])
            .unwrap();
        let name = series.split('{').next().unwrap();
        let expected =
            if family.1 == "counter" { format!("{}_total", family.0) } else { family.0.to_owned() };
        assert_eq!(name, expected);
        let (value, time): (f64, f64) = (value.parse().unwrap(), time.parse().unwrap());
        let before = last.insert(series.to_owned(), (time, value));
        assert!(before.is_none_or(|(before, _)| before < time), "{line}: time goes on");
    }
    assert!(
        last.keys().any(|series| series == "windows_hyperv_dynamic_memory_vm_physical_bytes{vm=\"VM1\"}")
    );
}
