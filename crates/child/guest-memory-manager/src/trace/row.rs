//! One row of a trace file.

use core::time::Duration;
use std::borrow::Cow;

use jiff::{
    Timestamp,
    civil::{self, DateTime},
    tz::Offset,
};
use page_range::{PAGE_SIZE, PageCount};

use super::columns::{Column, Columns, OWN, fields};
use super::{Sample, TraceProblem};

const KILOBYTES_PER_PAGE: f64 = (PAGE_SIZE / 1024) as f64;

/// Times of the archive's raw files are called milliseconds and are seconds since 1970. A first number in this range is
/// taken for that: as milliseconds it would be a day between 1970 and 1973, as seconds it is one after 1973.
const EPOCH_SECONDS: core::ops::Range<f64> = 1e8..1e11;

/// How the times of a file are written; its first good row tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum TimeForm {
    /// Numbers, of which this many make a second.
    Number { per_second: f64 },
    /// Dates with times of day.
    Date,
}

pub(super) type RowError = (Option<&'static str>, TraceProblem);

/// Reads one row: name of its VM, and the sample, of which nothing may be provisioned. `file_vm` is the VM of a file of one VM.
pub(super) fn read<'a>(
    line: &'a str,
    columns: &Columns,
    file_vm: &'a str,
    form: &mut Option<TimeForm>,
) -> Result<(Cow<'a, str>, Sample), RowError> {
    let mut fields = fields(line, columns.separator).ok_or((None, TraceProblem::Quotes))?;
    if fields.len() != columns.count {
        let problem = TraceProblem::Columns { found: fields.len(), expected: columns.count };
        return Err((None, problem));
    }
    let number = |(column, name): Column, expected, allowed: fn(f64) -> bool| match number(
        &fields[column],
        columns.separator,
    ) {
        Some(number) if allowed(number) => Ok(number),
        _ => Err((Some(name), TraceProblem::Number { found: fields[column].to_string(), expected })),
    };
    let name = columns.vm.map_or(file_vm, |column| &*fields[column]);
    if name.is_empty() {
        return Err((Some(OWN[0]), TraceProblem::NoVm));
    }
    let time = time(columns, &fields[columns.time.0], form).ok_or_else(|| {
        let found = fields[columns.time.0].to_string();
        let expected =
            "a time: a number from 0, or a date such as 2013-07-01 00:03:24, as in the rows before";
        (Some(columns.time.1), TraceProblem::Number { found, expected })
    })?;
    // Up to 2^50 KB: no real trace comes near, and the sums of the model stay exact.
    let kilobytes = |n: f64| (0.0..1_125_899_906_842_624.0).contains(&n);
    let provisioned = number(columns.provisioned, "a size: a number from 0, in KB", kilobytes)?;
    let used = number(columns.used, "a size: a number from 0, in KB", kilobytes)?;
    let cpu = number(columns.cpu, "a percentage: a number from 0", |n| (0.0..1e9).contains(&n))?;
    let pages = |kilobytes: f64| PageCount((kilobytes / KILOBYTES_PER_PAGE) as u64);
    let sample = Sample { time, provisioned: pages(provisioned), used: pages(used), cpu };
    let name = columns.vm.map_or(Cow::Borrowed(file_vm), |column| core::mem::take(&mut fields[column]));
    Ok((name, sample))
}

/// A number. Where the comma separates nothing it may stand for the point, as Materna's files have it.
fn number(text: &str, separator: char) -> Option<f64> {
    text.parse().ok().or_else(|| match text.split_once(',') {
        Some((whole, decimals)) if separator != ',' => format!("{whole}.{decimals}").parse().ok(),
        _ => None,
    })
}

fn time(columns: &Columns, text: &str, form: &mut Option<TimeForm>) -> Option<Duration> {
    // Up to 2^40 seconds, as for sizes.
    let number =
        || number(text, columns.separator).filter(|number| (0.0..1_099_511_627_776_000.0).contains(number));
    match *form {
        Some(TimeForm::Number { per_second }) => Duration::try_from_secs_f64(number()? / per_second).ok(),
        Some(TimeForm::Date) => date(text),
        None => {
            let (time, found) = match number() {
                Some(number) => {
                    let milliseconds = columns.milliseconds && !EPOCH_SECONDS.contains(&number);
                    let per_second = if milliseconds { 1000.0 } else { 1.0 };
                    let time = Duration::try_from_secs_f64(number / per_second).ok()?;
                    (time, TimeForm::Number { per_second })
                }
                None => (date(text)?, TimeForm::Date),
            };
            *form = Some(found);
            Some(time)
        }
    }
}

/// Time since 1970 of a date with a time of day: ISO 8601, with or without an offset, or `31.12.2015 23:59:59` as Materna's files
/// have it. Without an offset it is taken as UTC: only differences matter.
fn date(text: &str) -> Option<Duration> {
    let german = || {
        let (date, clock) = text.split_once(' ')?;
        let mut date = date.split('.');
        let (day, month, year) = (date.next()?, date.next()?, date.next()?);
        if date.next().is_some() {
            return None;
        }
        let date = civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
        Some(date.to_datetime(clock.parse().ok()?))
    };
    // A date alone would be read as its midnight.
    let with_clock = || text.contains(':').then(|| text.parse::<DateTime>().ok()).flatten();
    let instant = text.parse::<Timestamp>().ok();
    let instant = instant.or_else(|| Offset::UTC.to_timestamp(with_clock().or_else(german)?).ok())?;
    Duration::try_from(instant.duration_since(Timestamp::UNIX_EPOCH)).ok()
}
