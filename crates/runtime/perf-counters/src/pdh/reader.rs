//! Reading PDH-CSV.

use core::time::Duration;
use std::io::{self, BufRead, BufReader, Read};

use jiff::civil::{Date, DateTime, Time};

use super::CounterPath;
use crate::Epoch;

/// A counter file in memory, column by column.
#[derive(Clone, Debug, PartialEq)]
pub struct CounterLog {
    paths: Vec<CounterPath>,
    times: Vec<DateTime>,
    /// One per path; NaN where a value is missing.
    columns: Vec<Vec<f64>>,
}

/// Why a counter file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file itself.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The first line is not the one of a PDH-CSV file.
    #[error("line 1: not a PDH-CSV 4.0 file: it must begin with \"(PDH-CSV 4.0) (time zone)(minutes)\"")]
    NotPdhCsv,
    /// A column's name is not a counter path.
    #[error(
        "line 1, column {column}: {text:?} is not a counter path such as \\\\HOST\\Memory\\Available MBytes"
    )]
    Path {
        /// Column, from 1.
        column: usize,
        /// What stands there.
        text: String,
    },
    /// A field that is neither quoted nor plain, or whose quote never ends.
    #[error("line {line}, column {column}: a field's quotes do not match (is the file cut off?)")]
    Quotes {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A row with more or fewer fields than the first line.
    #[error("line {line}: {found} fields where the first line has {expected} (is the file cut off?)")]
    Fields {
        /// Line, from 1.
        line: usize,
        /// Fields of the first line.
        expected: usize,
        /// Fields of this line.
        found: usize,
    },
    /// A row that does not begin with a date and time.
    #[error("line {line}: {text:?} is not a date and time such as 09/22/2026 21:42:32.824")]
    Time {
        /// Line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A value that is no number.
    #[error("line {line}, column {column}: {text:?} is not a number")]
    Value {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What stands there.
        text: String,
    },
}

impl CounterLog {
    /// Reads a whole file. Values may also be empty, lines may also end in LF, and any time zone is accepted
    /// (its minutes are added, so that times are UTC), so that files of a real host can be read too.
    ///
    /// # Errors
    /// See [`ReadError`]; each names its line.
    pub fn read(input: impl Read) -> Result<Self, ReadError> {
        let mut lines = Lines { input: BufReader::new(input), text: String::new(), number: 0 };
        if !lines.next()? {
            return Err(ReadError::NotPdhCsv);
        }
        let mut fields = Fields::new(&lines);
        let first = fields.next().ok_or(ReadError::NotPdhCsv)??;
        let to_utc = minutes_to_utc(&first).ok_or(ReadError::NotPdhCsv)?;
        let mut paths = Vec::new();
        for (index, text) in fields.enumerate() {
            let text = text?;
            paths.push(
                text.parse()
                    .map_err(|_bad| ReadError::Path { column: index + 2, text: text.into_owned() })?,
            );
        }
        let mut log = Self { columns: vec![Vec::new(); paths.len()], paths, times: Vec::new() };
        while lines.next()? {
            if !lines.text.is_empty() {
                log.row(&lines, to_utc)?;
            }
        }
        Ok(log)
    }

    fn row(&mut self, lines: &Lines<impl BufRead>, to_utc: i64) -> Result<(), ReadError> {
        let line = lines.number;
        let expected = self.paths.len() + 1;
        let mut found = 0;
        for text in Fields::new(lines) {
            let text = text?;
            found += 1;
            if found == 1 {
                let time = parse_time(&text)
                    .and_then(|time| time.checked_add(jiff::Span::new().minutes(to_utc)).ok());
                self.times.push(time.ok_or_else(|| ReadError::Time { line, text: text.into_owned() })?);
                continue;
            }
            let Some(column) = self.columns.get_mut(found - 2) else { continue };
            let trimmed = text.trim();
            let value = match trimmed {
                "" => f64::NAN,
                number => match number.parse::<f64>() {
                    Ok(value) if value.is_finite() => value,
                    _ => return Err(ReadError::Value { line, column: found, text: text.into_owned() }),
                },
            };
            column.push(value);
        }
        if found == expected { Ok(()) } else { Err(ReadError::Fields { line, expected, found }) }
    }

    /// The columns' counters, in the file's order.
    pub fn paths(&self) -> &[CounterPath] {
        &self.paths
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Virtual time of each row for a run that began at `epoch`; a row before it has time zero.
    pub fn times_since(&self, epoch: Epoch) -> Vec<Duration> {
        self.times.iter().map(|&time| epoch.elapsed_at(time).unwrap_or_default()).collect()
    }

    /// A column by its path, compared as Windows does: without regard to case. `None` for a value = missing in that row.
    pub fn column(&self, path: &str) -> Option<Vec<Option<f64>>> {
        let index = self.paths.iter().position(|p| p.to_string().eq_ignore_ascii_case(path))?;
        Some(self.values(index).collect())
    }

    /// A column by its index in [`Self::paths`]; nothing if there is no such column.
    pub fn values(&self, index: usize) -> impl Iterator<Item = Option<f64>> {
        let column = self.columns.get(index).map_or(&[][..], Vec::as_slice);
        column.iter().map(|value| (!value.is_nan()).then_some(*value))
    }

    /// The instances of a counter set in the file's order: the VMs, for `Hyper-V Dynamic Memory VM`.
    pub fn instances(&self, object: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for path in self.paths.iter().filter(|path| path.object.eq_ignore_ascii_case(object)) {
            if let Some(instance) = path.instance.as_deref()
                && !found.contains(&instance)
            {
                found.push(instance);
            }
        }
        found
    }
}

/// The lines of a file, numbered, without their ends.
struct Lines<R> {
    input: R,
    text: String,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<bool, ReadError> {
        self.text.clear();
        if self.input.read_line(&mut self.text)? == 0 {
            return Ok(false);
        }
        self.number += 1;
        if self.number == 1 && self.text.starts_with('\u{feff}') {
            self.text.drain(..'\u{feff}'.len_utf8());
        }
        if self.text.ends_with('\n') {
            self.text.pop();
            if self.text.ends_with('\r') {
                self.text.pop();
            }
        }
        Ok(true)
    }
}

/// The fields of one line, without their quotes. PDH never breaks a line inside a field.
struct Fields<'a> {
    rest: Option<&'a str>,
    line: usize,
    column: usize,
}

impl<'a> Fields<'a> {
    fn new(lines: &'a Lines<impl BufRead>) -> Self {
        Self { rest: Some(&lines.text), line: lines.number, column: 0 }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<std::borrow::Cow<'a, str>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        self.column += 1;
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, rest) =
                rest.split_once(',').map_or((rest, None), |(field, rest)| (field, Some(rest)));
            self.rest = rest;
            return Some(Ok(field.into()));
        };
        let mut from = 0;
        loop {
            let Some(end) = quoted[from..].find('"').map(|at| from + at) else {
                return Some(Err(ReadError::Quotes { line: self.line, column: self.column }));
            };
            let after = &quoted[end + 1..];
            if after.starts_with('"') {
                from = end + 2;
                continue;
            }
            self.rest = match after.strip_prefix(',') {
                Some(rest) => Some(rest),
                None if after.is_empty() => None,
                None => return Some(Err(ReadError::Quotes { line: self.line, column: self.column })),
            };
            let field = &quoted[..end];
            return Some(Ok(if from == 0 { field.into() } else { field.replace("\"\"", "\"").into() }));
        }
    }
}

/// The number in the last parentheses of `(PDH-CSV 4.0) (zone)(minutes)`.
fn minutes_to_utc(header: &str) -> Option<i64> {
    let rest = header.strip_prefix("(PDH-CSV 4.0)")?;
    let minutes = rest.strip_suffix(')')?.rsplit_once('(')?.1;
    // No time zone is more than a day away from UTC.
    minutes.parse().ok().filter(|minutes: &i64| minutes.abs() <= 24 * 60)
}

/// `MM/DD/YYYY HH:MM:SS.mmm`; the fraction may be missing.
fn parse_time(text: &str) -> Option<DateTime> {
    let (date, time) = text.split_once(' ')?;
    let mut date = date.split('/');
    let (month, day, year) = (date.next()?, date.next()?, date.next()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.split(':');
    let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next()?);
    if date.next().is_some() || clock.next().is_some() || fraction.len() > 9 {
        return None;
    }
    let nanos = fraction.parse::<u32>().ok()? * 10_u32.pow(9 - fraction.len() as u32);
    let date = Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
    let time =
        Time::new(hour.parse().ok()?, minute.parse().ok()?, second.parse().ok()?, i32::try_from(nanos).ok()?)
            .ok()?;
    Some(date.to_datetime(time))
}

#[cfg(test)]
mod tests;
