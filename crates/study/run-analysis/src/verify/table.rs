//! Tables for a terminal in which no word is broken.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width};

/// Rows, the head first, as a table of so many columns of characters; `None` if a word would have to be broken for it.
pub(super) fn unbroken<const N: usize>(rows: Vec<[String; N]>, columns: usize) -> Option<Table> {
    let longest = |column: usize| {
        let words = rows.iter().flat_map(|row| row[column].split(' '));
        words.map(terminal_text::width).max().unwrap_or(0)
    };
    let least: Vec<usize> = (0..N).map(longest).collect();
    // Between two columns, and at both sides, stand a line and two spaces.
    if least.iter().sum::<usize>() + 3 * N + 1 > columns {
        return None;
    }
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
    let mut rows = rows.into_iter();
    table.set_header(rows.next()?);
    table.add_rows(rows);
    for (column, least) in table.column_iter_mut().zip(least) {
        // A column's width counts the spaces at its sides.
        let least = Width::Fixed(u16::try_from(least + 2).unwrap_or(u16::MAX));
        column.set_constraint(ColumnConstraint::LowerBoundary(least));
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_table_where_every_word_has_room() {
        let rows = || {
            let row = |cells: [&str; 3]| cells.map(str::to_owned);
            vec![
                row(["check", "says", "seen"]),
                row(["available_single_digits", "a bound of this project", "0.019"]),
            ]
        };
        // 23, 7 and 5 characters, four lines and six spaces.
        assert!(unbroken(rows(), 44).is_none());
        for columns in [45, 50, 60, 100] {
            let text = unbroken(rows(), columns).unwrap().to_string();
            assert!(text.lines().all(|line| terminal_text::width(line) <= columns), "{text}");
            for word in ["available_single_digits", "bound", "project", "0.019"] {
                assert!(text.contains(word), "{columns}: {text}");
            }
        }
    }
}
