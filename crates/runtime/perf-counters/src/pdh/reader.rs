//! Reading PDH-CSV and PDH-TSV.

use core::{fmt, time::Duration};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use input_file::{CodePage, LineError, TextLines};
use jiff::{
    SignedDuration,
    civil::{Date, DateTime, Time},
};

use super::{CounterPath, path::same};
use crate::CounterDefinition;

/// A counter file in memory, column by column.
#[derive(Clone, Debug, PartialEq)]
pub struct CounterLog {
    paths: Vec<CounterPath>,
    /// UTC; each after the one before.
    times: Vec<DateTime>,
    /// One value for each path; NaN where a value is missing.
    columns: Vec<Vec<f64>>,
    /// Place of each path, by its [key](CounterPath::key); of paths that differ only in case, the first.
    places: BTreeMap<String, usize>,
    remarks: Vec<Remark>,
}

/// Something about a file that was read, of which its user should be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Letters may be wrong.
    CodePage(CodePage),
    /// The local clock was set back by an hour at the end of daylight saving: this row and those after it are taken as one hour
    /// later than they say.
    RepeatedHour {
        /// Line, from 1.
        line: u64,
    },
    /// The file ends within this row, which is left out.
    CutOff {
        /// Line, from 1.
        line: u64,
    },
    /// What `typeperf` says after its last row.
    ClosingWords {
        /// Line, from 1.
        line: u64,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CodePage(page) => page.fmt(f),
            Self::RepeatedHour { line } => write!(
                f,
                "line {line}: the clock was set back by an hour (end of daylight saving): from here on rows are taken as one hour \
                 later than they say"
            ),
            Self::CutOff { line } => {
                write!(f, "line {line}: the file is cut off within this row; what is before it is used")
            }
            Self::ClosingWords { line } => {
                write!(f, "line {line}: this is no row; what follows the last row is left out")
            }
        }
    }
}

/// Why a counter file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file itself.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The first line is not the one of a PDH file.
    #[error(
        "line {line}: not a PDH-CSV 4.0 file: it must begin with \"(PDH-CSV 4.0) (time zone)(minutes)\", or PDH-TSV in place of \
         PDH-CSV (relog FILE -f csv -o OUT.csv makes one of any log)"
    )]
    NotPdh {
        /// Line, from 1.
        line: u64,
    },
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
        line: u64,
        /// Column, from 1.
        column: usize,
    },
    /// A row with more or fewer fields than the first line.
    #[error("line {line}: {found} fields where the first line has {expected} (is the file cut off?)")]
    Fields {
        /// Line, from 1.
        line: u64,
        /// Fields of the first line.
        expected: usize,
        /// Fields of this line.
        found: usize,
    },
    /// A row that does not begin with a date and time.
    #[error(
        "line {line}: {text:?} is not a date and time such as 09/22/2026 21:42:32.824, which PDH writes in every country; if another \
         program has written the log again, take it as it was (relog FILE -f csv -o OUT.csv)"
    )]
    Time {
        /// Line, from 1.
        line: u64,
        /// What stands there.
        text: String,
    },
    /// A row that is not later than the row before.
    #[error(
        "line {line}: {time} is not after the row before ({before}): the clock was set back, or files were put together (relog -a) in \
         the wrong order; cut the file here (relog -b, -e) and read the parts by themselves"
    )]
    NotAfter {
        /// Line, from 1.
        line: u64,
        /// What stands there.
        time: DateTime,
        /// What stands in the row before.
        before: DateTime,
    },
    /// A comma before three digits, in a file that has not shown what its commas are.
    #[error(
        "line {line}, column {column}: {text:?} may have a decimal comma or one of thousands, and no value before it shows which; \
         take the log as PDH wrote it (relog FILE -f csv -o OUT.csv), or separate its fields by semicolons or tabs"
    )]
    Comma {
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: usize,
        /// What stands there.
        text: String,
    },
    /// A value that is no number.
    #[error("line {line}, column {column}: {text:?} is not a number")]
    Value {
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: usize,
        /// What stands there.
        text: String,
    },
}

impl CounterLog {
    /// Reads a whole file. Values may also be empty, lines may also end in LF, fields may be separated by tabs, and text may be in
    /// any [encoding that is told apart](TextLines), so that files of a real host can be read too. What a spreadsheet or a script has
    /// written again in another country may have semicolons between fields and decimal commas.
    ///
    /// Any time zone is accepted: its minutes are added, so that times are UTC. PDH writes the minutes once for the whole file,
    /// so the end of daylight saving shows as an hour that comes twice. A row that is less than an hour behind the row
    /// before, and would follow that row as rows did until then if it were one hour later, is taken so, with all after it,
    /// and [told](Remark::RepeatedHour). Any other row that is not after the row before is an error.
    ///
    /// # Errors
    /// See [`ReadError`]; each names its line.
    pub fn read(input: impl Read) -> Result<Self, ReadError> {
        Self::read_lines(TextLines::new(input))
    }

    /// As [`read`](Self::read), of lines whose code page may have been named.
    ///
    /// # Errors
    /// See [`ReadError`]; each names its line.
    pub fn read_lines<R: Read>(mut lines: TextLines<R>) -> Result<Self, ReadError> {
        // typeperf writes an empty line before the first.
        while lines.next_line()?.is_some_and(|line| line.trim().is_empty()) {}
        let line = lines.number().max(1);
        let not_pdh = || ReadError::NotPdh { line };
        let separator = separator(lines.line()).ok_or_else(not_pdh)?;
        let mut fields = Fields::new(lines.line(), line, separator);
        let first = fields.next().ok_or_else(not_pdh)??;
        let minutes = minutes_to_utc(&first).ok_or_else(not_pdh)?;
        let mut paths: Vec<CounterPath> = Vec::new();
        for (index, text) in fields.enumerate() {
            let text = text?;
            paths.push(
                text.parse()
                    .map_err(|_bad| ReadError::Path { column: index + 2, text: text.into_owned() })?,
            );
        }
        let columns = vec![Vec::new(); paths.len()];
        let mut places = BTreeMap::new();
        for (place, path) in paths.iter().enumerate() {
            places.entry(path.key()).or_insert(place);
        }
        let mut log = Self { columns, places, paths, times: Vec::new(), remarks: Vec::new() };
        let mut clock = Clock { minutes_to_utc: minutes, ..Clock::default() };
        let mut numbers = Numbers { separator, decimal: None };
        // A line that is no row, and may be what typeperf says at the end.
        let mut closing: Option<(u64, String)> = None;
        while lines.next_line()?.is_some() {
            let (text, line) = (lines.line(), lines.number());
            let is_row = text.starts_with(|first: char| first == '"' || first.is_ascii_digit());
            if is_row && let Some((line, text)) = closing.take() {
                return Err(ReadError::Time { line, text });
            } else if is_row {
                let (rows, remarks) = (log.times.len(), log.remarks.len());
                if let Err(error) = log.row(Fields::new(text, line, separator), &mut clock, &mut numbers) {
                    let of_a_part = matches!(
                        error,
                        ReadError::Quotes { .. }
                            | ReadError::Fields { .. }
                            | ReadError::Time { .. }
                            | ReadError::Comma { .. }
                            | ReadError::Value { .. }
                    );
                    if rows == 0 || !lines.is_unended() || !of_a_part {
                        return Err(error);
                    }
                    log.times.truncate(rows);
                    log.columns.iter_mut().for_each(|column| column.truncate(rows));
                    log.remarks.truncate(remarks);
                    log.remarks.push(Remark::CutOff { line });
                }
            } else if closing.is_none() && !text.trim().is_empty() {
                closing = Some((line, text.to_owned()));
            }
        }
        log.remarks.extend(lines.code_page().map(Remark::CodePage));
        log.remarks.extend(closing.map(|(line, _)| Remark::ClosingWords { line }));
        Ok(log)
    }

    fn row(&mut self, fields: Fields<'_>, clock: &mut Clock, numbers: &mut Numbers) -> Result<(), ReadError> {
        let line = fields.line;
        let expected = self.paths.len() + 1;
        let mut found = 0;
        for text in fields {
            let text = text?;
            found += 1;
            if found == 1 {
                let Some(time) = parse_time(&text) else {
                    return Err(ReadError::Time { line, text: text.into_owned() });
                };
                let (time, set_back) = clock.utc(time, line)?;
                self.times.push(time);
                self.remarks.extend(set_back.then_some(Remark::RepeatedHour { line }));
                continue;
            }
            let Some(column) = self.columns.get_mut(found - 2) else { continue };
            let trimmed = text.trim();
            let value = match trimmed {
                "" => f64::NAN,
                number => match numbers.read(number) {
                    Some(value) => value,
                    None => {
                        let (column, both_ways) = (found, numbers.may_be_read_both_ways(number));
                        let text = text.into_owned();
                        return Err(if both_ways {
                            ReadError::Comma { line, column, text }
                        } else {
                            ReadError::Value { line, column, text }
                        });
                    }
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

    /// Time of each row since the first row, which has time zero: no zone and no date can put rows out of reach. Each is after
    /// the one before.
    pub fn times(&self) -> Vec<Duration> {
        let since = |time: &DateTime| self.times.first().map(|first| time.duration_since(*first));
        // Rows are in order of time, so no difference is negative.
        self.times.iter().filter_map(|time| Duration::try_from(since(time)?).ok()).collect()
    }

    /// Time of the first row, UTC.
    pub fn begins(&self) -> Option<DateTime> {
        self.times.first().copied()
    }

    /// What the user of the file should be told.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// A counter whose name is not English, if there is one: Windows writes the names of its own language.
    ///
    /// Told by a letter beyond ASCII in the name of an object or counter, or by an object that is `Memory` in another language.
    pub fn localised(&self) -> Option<&CounterPath> {
        // German (later and earlier), Spanish and Italian, Dutch, Swedish.
        const MEMORY: [&str; 5] = ["Arbeitsspeicher", "Speicher", "Memoria", "Geheugen", "Minne"];
        self.paths.iter().find(|path| {
            !path.object.is_ascii()
                || !path.counter.is_ascii()
                || MEMORY.iter().any(|memory| same(&path.object, memory))
        })
    }

    /// A column by its path, compared as Windows does: without regard to case. `None` for a value = missing in that row.
    pub fn column(&self, path: &str) -> Option<Vec<Option<f64>>> {
        let path: CounterPath = path.parse().ok()?;
        let index = *self.places.get(&path.key())?;
        Some(self.values(index).collect())
    }

    /// Index in [`Self::paths`] of a counter of a set, compared as [`CounterPath::is`] compares.
    pub fn find(&self, machine: &str, counter: &CounterDefinition, instance: Option<&str>) -> Option<usize> {
        self.places.get(&CounterPath::key_of(machine, counter, instance)).copied()
    }

    /// A column by its index in [`Self::paths`]; nothing if there is no such column.
    pub fn values(&self, index: usize) -> impl Iterator<Item = Option<f64>> {
        let column = self.columns.get(index).map_or(&[][..], Vec::as_slice);
        column.iter().map(|value| (!value.is_nan()).then_some(*value))
    }

    /// The instances of a counter set in the file's order: the VMs, for `Hyper-V Dynamic Memory VM`.
    pub fn instances(&self, object: &str) -> Vec<&str> {
        let mut known = BTreeSet::new();
        let of_set = self.paths.iter().filter(|path| same(&path.object, object));
        of_set
            .filter_map(|path| path.instance.as_deref())
            .filter(|instance| known.insert(instance.to_lowercase()))
            .collect()
    }
}

/// Makes UTC of the times of a file.
#[derive(Debug, Default)]
struct Clock {
    minutes_to_utc: i64,
    hours_set_back: i64,
    /// The row before: as written, and in UTC.
    before: Option<(DateTime, DateTime)>,
    /// Time between the two rows before.
    step: Option<SignedDuration>,
}

impl Clock {
    /// The time of a row in UTC, and whether the clock was set back just before it.
    fn utc(&mut self, written: DateTime, line: u64) -> Result<(DateTime, bool), ReadError> {
        let out_of_range = || ReadError::Time { line, text: written.to_string() };
        // A span has one sign for all of its units, so there is one unit.
        let minutes = |hours: i64| SignedDuration::from_mins(self.minutes_to_utc + 60 * hours);
        let utc = |hours| written.checked_add(minutes(hours)).map_err(|_range| out_of_range());
        let mut time = utc(self.hours_set_back)?;
        let mut set_back = false;
        if let Some((before_written, before)) = self.before {
            let not_after = ReadError::NotAfter { line, time: written, before: before_written };
            if time <= before {
                // A zone without minutes is UTC or London, and London sets its clock back too.
                let later = utc(self.hours_set_back + 1)?;
                let step = later.duration_since(before);
                let Some(usual) = self.step.filter(|usual| step.is_positive() && step <= *usual * 2) else {
                    return Err(not_after);
                };
                self.step = Some(usual);
                self.hours_set_back += 1;
                (time, set_back) = (later, true);
            } else {
                self.step = Some(time.duration_since(before));
            }
        }
        self.before = Some((written, time));
        Ok((time, set_back))
    }
}

/// Reads the numbers of a file, which has one decimal separator.
#[derive(Debug)]
struct Numbers {
    /// What separates fields.
    separator: char,
    /// The decimal separator, once a number has shown it.
    decimal: Option<char>,
}

impl Numbers {
    fn read(&mut self, number: &str) -> Option<f64> {
        let value = match number.find(['.', ',']).map(|at| (number.as_bytes()[at], at)) {
            None => number.parse(),
            Some((b'.', _)) if self.decimal != Some(',') => {
                self.decimal = Some('.');
                number.parse()
            }
            Some((b',', at)) if self.decimal != Some('.') && !self.is_of_thousands(&number[at + 1..]) => {
                self.decimal = Some(',');
                number.replacen(',', ".", 1).parse()
            }
            Some(_) => return None,
        };
        value.ok().filter(|value: &f64| value.is_finite())
    }

    /// Whether a number that could not be read is one of thousands, or one with decimals.
    fn may_be_read_both_ways(&self, number: &str) -> bool {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
        let parts = number.trim_start_matches('-').split_once(',');
        parts.is_some_and(|(whole, broken)| digits(whole) && digits(broken) && self.is_of_thousands(broken))
            && self.decimal.is_none()
    }

    /// Whether a comma before these digits may separate thousands: where fields are separated by commas, no decimals need to be.
    fn is_of_thousands(&self, digits: &str) -> bool {
        self.separator == ',' && digits.len() == 3
    }
}

/// The fields of one line, without their quotes. PDH never breaks a line inside a field.
struct Fields<'a> {
    rest: Option<&'a str>,
    line: u64,
    column: usize,
    separator: char,
}

impl<'a> Fields<'a> {
    fn new(text: &'a str, line: u64, separator: char) -> Self {
        Self { rest: Some(text), line, column: 0, separator }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<std::borrow::Cow<'a, str>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        self.column += 1;
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, rest) =
                rest.split_once(self.separator).map_or((rest, None), |(field, rest)| (field, Some(rest)));
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
            self.rest = match after.strip_prefix(self.separator) {
                Some(rest) => Some(rest),
                None if after.is_empty() => None,
                None => return Some(Err(ReadError::Quotes { line: self.line, column: self.column })),
            };
            let field = &quoted[..end];
            return Some(Ok(if from == 0 { field.into() } else { field.replace("\"\"", "\"").into() }));
        }
    }
}

/// What begins a file, without regard to case, and what separates its fields.
const FORMATS: [(&str, char); 2] = [("(PDH-CSV 4.0)", ','), ("(PDH-TSV 4.0)", '\t')];

/// The format of a header, and the rest of it.
fn format(header: &str) -> Option<(char, &str)> {
    FORMATS.iter().find_map(|(mark, separator)| {
        let (found, rest) = header.split_at_checked(mark.len())?;
        found.eq_ignore_ascii_case(mark).then_some((*separator, rest))
    })
}

/// What separates the fields of a file with this first line: what stands before its first counter path, else what its format says.
fn separator(line: &str) -> Option<char> {
    let (usual, rest) = format(line.trim_start_matches('"'))?;
    let before = rest.split_once(r"\\").map_or("", |(before, _)| before.trim_end_matches('"'));
    Some(before.chars().next_back().filter(|last| matches!(last, ',' | ';' | '\t')).unwrap_or(usual))
}

/// The number in the last parentheses of `(PDH-CSV 4.0) (zone)(minutes)`.
fn minutes_to_utc(header: &str) -> Option<i64> {
    let (_, rest) = format(header)?;
    let minutes = rest.trim_end().strip_suffix(')')?.rsplit_once('(')?.1;
    // No time zone is more than a day away from UTC.
    minutes.trim().parse().ok().filter(|minutes: &i64| minutes.abs() <= 24 * 60)
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
