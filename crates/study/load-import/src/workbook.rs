//! Spreadsheets (`.xlsx`): RVTools' vMemory and vInfo.

use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};

use crate::error::ImportError;
use crate::input::Input;
use crate::kind::Kind;
use crate::number::Decimal;
use crate::options::Options;
use crate::part::Part;
use crate::sheet::Sheet;
use crate::vm_list;

/// Reads every sheet that is a list of VMs.
pub(crate) fn read(input: &Input, options: &Options) -> Result<Vec<Part>, ImportError> {
    let bad = |what: String| ImportError::bad(&input.name, None, what);
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(&input.bytes))
        .map_err(|error| bad(format!("it begins as a zip archive, and is no workbook: {error}")))?;
    let names = book.sheet_names();
    let mut parts = Vec::new();
    let mut against = Vec::new();
    for name in &names {
        let range = book.worksheet_range(name).map_err(|error| bad(format!("sheet {name:?}: {error}")))?;
        let first = range.start().map_or(0, |(row, _)| u64::from(row));
        let mut rows = (first + 1..)
            .zip(range.rows())
            .map(|(line, row)| (Some(line), row.iter().map(text).collect::<Vec<_>>()));
        let Some((_, header)) = rows.next() else { continue };
        match vm_list::recognise(&header) {
            Ok(kind) => {
                let file = format!("{} (sheet {name})", input.name);
                let rows = rows.filter(|(_, cells)| cells.iter().any(|cell| !cell.is_empty())).collect();
                let sheet = Sheet::new(&file, header, rows, Decimal::Point, Vec::new())?;
                parts.push(vm_list::read(&file, kind, &sheet, options)?);
            }
            Err((_, why)) => against.push(format!("sheet {name:?}: {why}")),
        }
    }
    if parts.is_empty() {
        let kind = Kind::RvTools;
        return Err(bad(format!(
            "a workbook, but none of its sheets is {}: {}",
            kind.what(),
            against.join("; ")
        )));
    }
    Ok(parts)
}

/// A cell as text; numbers with a point.
fn text(cell: &Data) -> String {
    match cell {
        Data::Empty => String::new(),
        Data::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}
