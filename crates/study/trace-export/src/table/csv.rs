//! Tables as CSV (RFC 4180).

use std::io::Write;

use super::{Cell, Table};
use crate::ExportError;

impl Table {
    /// Writes it as CSV (RFC 4180): a line of names, then the rows; what is empty is nothing between two commas.
    ///
    /// # Errors
    /// What the output says.
    pub fn write_csv(&self, mut out: impl Write) -> Result<(), ExportError> {
        let names = self.columns.iter().map(|column| quoted(&column.name));
        writeln!(out, "{}", names.collect::<Vec<_>>().join(","))?;
        for row in &self.rows {
            for (index, cell) in row.iter().enumerate() {
                if index > 0 {
                    out.write_all(b",")?;
                }
                match cell {
                    Cell::Empty => {}
                    Cell::Unsigned(number) => write!(out, "{number}")?,
                    Cell::Negative(number) => write!(out, "{number}")?,
                    Cell::Float(number) => write!(out, "{number}")?,
                    Cell::Bool(value) => write!(out, "{value}")?,
                    Cell::Text(text) => out.write_all(quoted(text).as_bytes())?,
                }
            }
            out.write_all(b"\n")?;
        }
        out.flush()?;
        Ok(())
    }
}

/// Text as a field of CSV.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, ColumnType};
    use super::*;

    #[test]
    fn fields_with_commas_and_quotes_are_one_field() {
        let table = Table {
            columns: vec![
                Column::optional("a", ColumnType::Text),
                Column::optional("b,c", ColumnType::Bool),
                Column::optional("d", ColumnType::Float),
            ],
            rows: vec![
                vec![Cell::Text("x,\"y\"".to_owned()), Cell::Empty, Cell::Float(0.5)],
                vec![Cell::Empty, Cell::Bool(true), Cell::Empty],
            ],
        };
        let mut out = Vec::new();
        table.write_csv(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,\"b,c\",d\n\"x,\"\"y\"\"\",,0.5\n,true,\n");
    }
}
