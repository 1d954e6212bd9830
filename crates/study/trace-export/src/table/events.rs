//! The table of events.

use std::collections::{BTreeMap, BTreeSet};

use run_journal::{FieldValue, Record, pages};

use super::{Cell, Column, ColumnType, Table, number_of_event};

/// Fields that are bytes and do not say so.
const BYTES: [&str; 6] =
    ["used", "size", "upstream_high_water", "downstream_high_water", "upstream_size", "downstream_size"];

/// What a field is in one event. A field that is a number here and a text there (`accepted` is pages of a hot-add, and yes or no of a
/// version) has a column for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Number,
    Bool,
    Text,
}

impl Class {
    fn of(value: &FieldValue) -> Self {
        match value {
            FieldValue::Unsigned(_) | FieldValue::Negative(_) | FieldValue::Float(_) => Self::Number,
            FieldValue::Bool(_) => Self::Bool,
            FieldValue::Text(_) => Self::Text,
        }
    }

    /// What tells the column from another of the same name.
    fn suffix(self) -> &'static str {
        match self {
            Self::Number => "_number",
            Self::Bool => "_flag",
            Self::Text => "_text",
        }
    }
}

/// Which numbers a column has.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    decimals: bool,
    negative: bool,
    beyond_signed: bool,
}

impl Numbers {
    fn add(&mut self, value: &FieldValue) {
        match value {
            FieldValue::Unsigned(number) => self.beyond_signed |= i64::try_from(*number).is_err(),
            FieldValue::Negative(_) => self.negative = true,
            FieldValue::Float(_) => self.decimals = true,
            FieldValue::Bool(_) | FieldValue::Text(_) => {}
        }
    }

    fn kind(self) -> ColumnType {
        match (self.decimals, self.negative, self.beyond_signed) {
            (false, _, false) => ColumnType::Signed,
            (false, false, true) => ColumnType::Unsigned,
            _ => ColumnType::Float,
        }
    }
}

/// A field's name with its unit.
fn with_unit(name: &str, class: Class) -> String {
    match name {
        "also_because_of" => "also_because_of_seq".to_owned(),
        name if class == Class::Number && pages::is_pages(name) && !name.starts_with("pages") => {
            format!("{name}_pages")
        }
        name if class == Class::Number && BYTES.contains(&name) => format!("{name}_bytes"),
        name => name.to_owned(),
    }
}

/// A row for each event.
pub fn events(records: &[Record]) -> Table {
    let mut columns = vec![
        Column::filled("t_ns", ColumnType::Signed),
        Column::filled("seq", ColumnType::Signed),
        Column::filled("component", ColumnType::Text),
        Column::optional("vm", ColumnType::Text),
        Column::filled("event", ColumnType::Text),
        Column::optional("cause_seq", ColumnType::Signed),
        Column::filled("severity", ColumnType::Text),
    ];
    let mut fields: BTreeMap<(&str, Class), (Numbers, usize)> = BTreeMap::new();
    for (name, value) in records.iter().flat_map(|record| &record.fields) {
        fields.entry((name, Class::of(value))).or_default().0.add(value);
    }
    let mut taken: BTreeSet<String> = columns.iter().map(|column| column.name.clone()).collect();
    for ((field, class), (numbers, place)) in &mut fields {
        let mut name = with_unit(field, *class);
        while !taken.insert(name.clone()) {
            name.push_str(class.suffix());
        }
        let kind = match class {
            Class::Number => numbers.kind(),
            Class::Bool => ColumnType::Bool,
            Class::Text => ColumnType::Text,
        };
        *place = columns.len();
        columns.push(Column::optional(name, kind));
    }
    let text = |text: &str| Cell::Text(text.to_owned());
    let rows = records.iter().map(|record| {
        let mut row = vec![Cell::Empty; columns.len()];
        row[0] = Cell::Unsigned(record.t.as_nanos());
        row[1] = Cell::Unsigned(record.seq);
        row[2] = text(&record.component);
        row[3] = record.vm.as_deref().map_or(Cell::Empty, text);
        row[4] = text(&record.event);
        row[5] = number_of_event(record.cause);
        row[6] = text(record.severity.name());
        for (name, value) in &record.fields {
            if let Some(&(_, place)) = fields.get(&(&**name, Class::of(value))) {
                row[place] = match value {
                    FieldValue::Unsigned(number) => Cell::Unsigned(*number),
                    FieldValue::Negative(number) => Cell::Negative(*number),
                    FieldValue::Float(number) => Cell::Float(*number),
                    FieldValue::Bool(value) => Cell::Bool(*value),
                    FieldValue::Text(text) => Cell::Text(text.clone()),
                };
            }
        }
        row
    });
    let rows = rows.collect();
    Table { columns, rows }
}

#[cfg(test)]
mod tests {
    use component_runtime::SimTime;
    use run_journal::Severity;

    use super::*;

    fn record(seq: u64, fields: &[(&str, FieldValue)]) -> Record {
        Record {
            t: SimTime(seq),
            seq,
            cause: 0,
            component: "c".into(),
            vm: None,
            event: "e".into(),
            severity: Severity::Normal,
            fields: fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
        }
    }

    #[test]
    fn a_field_of_two_types_has_two_columns_and_every_column_has_one_type() {
        use FieldValue::{Bool, Float, Negative, Text, Unsigned};
        let table = events(&[
            record(1, &[("accepted", Unsigned(256)), ("x", Unsigned(1)), ("big", Unsigned(u64::MAX))]),
            record(2, &[("accepted", Bool(true)), ("x", Text("a".to_owned())), ("d", Unsigned(1))]),
            record(3, &[("x", Negative(-1)), ("d", Float(0.5)), ("vm_", Unsigned(7))]),
        ]);
        let columns: Vec<_> = table.columns[7..].iter().map(|column| (&*column.name, column.kind)).collect();
        assert_eq!(
            columns,
            [
                ("accepted_pages", ColumnType::Signed),
                ("accepted", ColumnType::Bool),
                ("big", ColumnType::Unsigned),
                ("d", ColumnType::Float),
                ("vm_", ColumnType::Signed),
                ("x", ColumnType::Signed),
                ("x_text", ColumnType::Text),
            ]
        );
        assert_eq!(table.rows[0][7..9], [Cell::Unsigned(256), Cell::Empty]);
        assert_eq!(table.rows[1][7..9], [Cell::Empty, Cell::Bool(true)]);
    }
}
