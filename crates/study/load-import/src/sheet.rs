//! A table of text with a header: CSV of any separator, or a sheet of a workbook.

use input_file::CodePageName;

use crate::error::ImportError;
use crate::input::{self, Input};
use crate::number::{self, Decimal, Unit};
use crate::options::Options;

/// A table of text.
#[derive(Clone, Debug)]
pub(crate) struct Sheet {
    pub(crate) header: Vec<String>,
    /// Each with its line, where lines are known.
    pub(crate) rows: Vec<(Option<u64>, Vec<String>)>,
    pub(crate) decimal: Decimal,
    /// Whether `decimal` was seen in the numbers, and not only taken from the separator of columns.
    pub(crate) decimal_seen: bool,
    pub(crate) remarks: Vec<String>,
}

/// The line that separates columns' names, and by what.
pub(crate) struct Header {
    pub(crate) separator: u8,
    pub(crate) names: Vec<String>,
    /// Lines before it.
    skip: u64,
}

/// Finds the header of a CSV file: its first line but for those that say how it was made (`#TYPE …`, `sep=;`) and empty ones.
pub(crate) fn header(input: &Input, code_page: Option<CodePageName>) -> Result<Option<Header>, ImportError> {
    let mut lines = input.lines(code_page);
    loop {
        let line = match lines.next_line() {
            Ok(Some(line)) => line.trim().to_owned(),
            Ok(None) => return Ok(None),
            Err(error) => {
                let line = error.line();
                return Err(ImportError::bad(&input.name, Some(line), error.to_string()));
            }
        };
        let made = line.trim_matches('"').to_lowercase();
        if line.is_empty() || made.starts_with("#type") || made.starts_with("sep=") {
            continue;
        }
        let separator = separator(&line);
        let names = split_line(&line, separator);
        return Ok(Some(Header { separator, names, skip: lines.number() - 1 }));
    }
}

/// The sign among those that separate columns that stands most often outside of quotes.
fn separator(line: &str) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        if let Some((_, count)) = counts.iter_mut().find(|(sign, _)| *sign == byte && !quoted) {
            *count += 1;
        }
    }
    // Of equals the first.
    counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(sign, _)| sign)
}

fn split_line(line: &str, separator: u8) -> Vec<String> {
    let mut reader = reader(separator).from_reader(line.as_bytes());
    let record = reader.records().next().and_then(Result::ok);
    record.map_or_else(Vec::new, |record| record.iter().map(|name| name.trim().to_owned()).collect())
}

fn reader(separator: u8) -> csv::ReaderBuilder {
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(separator).has_headers(false).flexible(true);
    builder
}

/// Reads the rows below a header.
pub(crate) fn rows(input: &Input, header: Header, options: &Options) -> Result<Sheet, ImportError> {
    // All of the text as UTF-8: a field may hold line breaks, so lines alone are not enough.
    let mut lines = input.lines(options.code_page);
    let mut text = String::new();
    loop {
        match lines.next_line() {
            Ok(Some(line)) => {
                text.push_str(line);
                text.push('\n');
            }
            Ok(None) => break,
            Err(error) => {
                let line = error.line();
                return Err(ImportError::bad(&input.name, Some(line), error.to_string()));
            }
        }
    }
    let start = text.match_indices('\n').nth(header.skip as usize).map_or(0, |(at, _)| at + 1);
    let below = text.get(start..).unwrap_or("");
    let mut remarks = Vec::new();
    remarks.extend(lines.code_page().map(|page| input::code_page(&page)));
    let mut rows = Vec::new();
    for record in reader(header.separator).from_reader(below.as_bytes()).records() {
        let record = record.map_err(|error| ImportError::bad(&input.name, None, error.to_string()))?;
        let line = record.position().map(|position| position.line() + header.skip + 1);
        let cells: Vec<String> = record.iter().map(|cell| cell.trim().to_owned()).collect();
        if cells.iter().all(String::is_empty) {
            continue;
        }
        if cells.len() != header.names.len() {
            return Err(ImportError::bad(
                &input.name,
                line,
                format!(
                    "{} fields where the first line has {} (is the file cut off, or is a field with the separator in it not in quotes?)",
                    cells.len(),
                    header.names.len()
                ),
            ));
        }
        rows.push((line, cells));
    }
    let usual = if header.separator == b';' { Decimal::Comma } else { Decimal::Point };
    Sheet::new(&input.name, header.names, rows, usual, remarks)
}

impl Sheet {
    /// A table, whose numbers tell its decimal separator; where they do not, it is the usual one.
    pub(crate) fn new(
        file: &str,
        header: Vec<String>,
        rows: Vec<(Option<u64>, Vec<String>)>,
        usual: Decimal,
        remarks: Vec<String>,
    ) -> Result<Self, ImportError> {
        let mut seen: Option<(Decimal, &str)> = None;
        for (line, cells) in &rows {
            for (column, cell) in cells.iter().enumerate() {
                // Only of what is memory: versions and addresses have points as well.
                let memory = header.get(column).is_some_and(|name| crate::names::is_memory(name));
                let (number, _) = number::split(cell);
                let Some(found) = memory.then(|| number::evidence(number)).flatten() else { continue };
                match seen {
                    Some((before, example)) if before != found => {
                        return Err(ImportError::bad(
                            file,
                            *line,
                            format!(
                                "{cell:?} and {example:?} do not have the same decimal separator: export the file again in one country's format"
                            ),
                        ));
                    }
                    _ => seen = Some((found, cell)),
                }
            }
        }
        let (decimal, decimal_seen) = seen.map_or((usual, false), |(decimal, _)| (decimal, true));
        Ok(Self { header, rows, decimal, decimal_seen, remarks })
    }

    /// Reads a cell as memory. `column` is its column, `known` the unit that the column has by its kind.
    pub(crate) fn memory(&self, cell: &str, unit: Option<Unit>) -> Option<Result<(f64, Option<Unit>), ()>> {
        let (number, word) = number::split(cell);
        if number.is_empty() {
            return None;
        }
        let own = if word.is_empty() { unit } else { Unit::of_word(word) };
        if own.is_none() && !word.is_empty() {
            return Some(Err(()));
        }
        Some(number::parse(number, self.decimal).map(|number| (number, own)).ok_or(()))
    }
}
