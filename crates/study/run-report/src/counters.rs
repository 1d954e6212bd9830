//! The counters of a run, packed.
//!
//! A page need not hold more samples than a screen has points: of a long run every second, third … row is taken, while the file is
//! read, so that a day of a hundred VMs fits in memory.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use perf_counters::pdh::{CounterLog, ReadError, Remark};
use perf_counters::schema;

use crate::columns::{integer, pack_whole};
use charts::page::json;

/// Bytes that are read of a counter file: about those of a thousand VMs for a day, once a second. Invented.
const MOST_COUNTERS: u64 = 1 << 34;

/// What of the counters is shown.
#[derive(Debug)]
pub struct Counters {
    log: CounterLog,
    /// Every how-manieth sample was taken.
    pub every: usize,
    /// From which row on, to before which, by time in nanoseconds.
    rows: core::ops::Range<usize>,
}

/// Why there are no counters.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// The file.
    #[error(transparent)]
    File(#[from] io::Error),
    /// Its text.
    #[error(transparent)]
    Text(#[from] ReadError),
}

impl Counters {
    /// Reads the counters at `path`, at most about `most` values, between two times in nanoseconds.
    ///
    /// # Errors
    /// [`CountersError`].
    pub fn read(
        path: &Path,
        most: usize,
        window: core::ops::RangeInclusive<u64>,
    ) -> Result<Self, CountersError> {
        let length = std::fs::metadata(path)?.len();
        let rows = Rows::new(input_file::open(path, MOST_COUNTERS)?, length, most, || lines_of(path))?;
        let every = rows.every;
        let log = CounterLog::read(rows)?;
        let inside = log.times().iter().map(|time| window.contains(&nanos(*time))).collect::<Vec<_>>();
        let from = inside.iter().position(|inside| *inside).unwrap_or(0);
        let to = inside.iter().rposition(|inside| *inside).map_or(from, |last| last + 1);
        Ok(Self { log, every, rows: from..to })
    }

    /// How many samples there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Time of the last sample in the file, shown or not.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.log.times().last().copied().unwrap_or_default()
    }

    /// What whoever gave the file should be told.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        self.log.remarks()
    }

    /// The least of a counter of the host between two times in seconds.
    #[must_use]
    pub fn least(&self, object: &str, counter: &str, from_s: f64, to_s: f64) -> Option<f64> {
        let index =
            self.log.paths().iter().position(|path| path.object == object && path.counter == counter)?;
        let times = self.log.times();
        let between = times.iter().zip(self.log.values(index));
        between
            .filter(|(time, _)| (from_s..=to_s).contains(&time.as_secs_f64()))
            .filter_map(|(_, value)| value)
            .reduce(f64::min)
    }

    /// Appends the counters as JSON: `{"n":…,"t":column of milliseconds,"columns":[{"machine":…,"object":…,"instance":…,"counter":…,
    /// "unit":…,"scale":…,"gaps":[[from,to]…],"values":column}…]}`. A value is the packed number times `scale`; within a gap there is none.
    pub fn pack(&self, out: &mut Vec<u8>) {
        let rows = self.rows.clone();
        let times: Vec<i64> = self.log.times()[rows.clone()]
            .iter()
            .map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
            .collect();
        out.extend_from_slice(b"{\"n\":");
        integer(times.len(), out);
        out.extend_from_slice(b",\"t\":");
        pack_whole(&times, out);
        out.extend_from_slice(b",\"columns\":[");
        for (index, path) in self.log.paths().iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"\n{\"machine\":");
            json(&path.machine, out);
            out.extend_from_slice(b",\"object\":");
            json(&path.object, out);
            if let Some(instance) = &path.instance {
                out.extend_from_slice(b",\"instance\":");
                json(instance, out);
            }
            out.extend_from_slice(b",\"counter\":");
            json(&path.counter, out);
            if let Some(known) =
                schema::all().find(|known| known.object == path.object && known.name == path.counter)
            {
                out.extend_from_slice(b",\"unit\":");
                json(known.unit.symbol(), out);
            }
            let values: Vec<Option<f64>> = self.log.values(index).skip(rows.start).take(rows.len()).collect();
            pack_values(&values, out);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
    }
}

/// Nanoseconds of a time.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Packs values as whole numbers: memory in pages of 4 KiB is exact in MB/256, anything else to a thousandth, as it is shown; what is
/// always less than 1 (times in seconds) to a millionth, as it is in the file.
fn pack_values(values: &[Option<f64>], out: &mut Vec<u8>) {
    const SCALES: [f64; 3] = [1.0, 256.0, 1000.0];
    let whole = |scale: f64| {
        let is_whole = |value: &f64| ((value * scale) - (value * scale).round()).abs() < 1e-3;
        values.iter().flatten().all(is_whole)
    };
    let small = values.iter().flatten().all(|value| value.abs() < 1.0);
    let scale = SCALES.into_iter().find(|scale| whole(*scale)).unwrap_or(if small { 1e6 } else { 1000.0 });
    let mut numbers = Vec::with_capacity(values.len());
    let mut gaps: Vec<[usize; 2]> = Vec::new();
    let mut before = 0;
    for (index, value) in values.iter().enumerate() {
        match value {
            // What is too large for JavaScript to be exact is no counter of a run.
            Some(value) => before = ((value * scale).round() as i64).clamp(-(1 << 53) + 1, (1 << 53) - 1),
            None => match gaps.last_mut() {
                Some(gap) if gap[1] == index => gap[1] += 1,
                _ => gaps.push([index, index + 1]),
            },
        }
        numbers.push(before);
    }
    out.extend_from_slice(b",\"scale\":");
    json(&(1.0 / scale), out);
    if !gaps.is_empty() {
        out.extend_from_slice(b",\"gaps\":");
        json(&gaps, out);
    }
    out.extend_from_slice(b",\"values\":");
    pack_whole(&numbers, out);
}

/// How many lines a file has.
fn lines_of(path: &Path) -> io::Result<usize> {
    let mut input = input_file::open(path, MOST_COUNTERS)?;
    let mut piece = vec![0; 1 << 16];
    let mut lines = 0;
    loop {
        match input.read(&mut piece)? {
            0 => return Ok(lines),
            read => lines += piece[..read].iter().filter(|&&byte| byte == b'\n').count(),
        }
    }
}

/// A counter file of which only every `every`-th row is read, beginning with the first.
struct Rows<R> {
    input: R,
    every: usize,
    /// The line that is being read, from 0; line 0 has the names.
    line: usize,
    /// What was read ahead to see how long lines are.
    ahead: io::Cursor<Vec<u8>>,
}

impl<R: Read> Rows<R> {
    /// Looks at the beginning of a file of `length` bytes to see how many values it may have; if they may be too many, `count` says how many
    /// lines there are.
    fn new(
        mut input: R,
        length: u64,
        most: usize,
        count: impl FnOnce() -> io::Result<usize>,
    ) -> io::Result<Self> {
        const AHEAD: u64 = 1 << 20;
        let mut ahead = Vec::new();
        input.by_ref().take(AHEAD).read_to_end(&mut ahead)?;
        let mut lines = ahead.split(|&byte| byte == b'\n');
        let columns = lines.next().map_or(0, |line| line.iter().filter(|&&byte| byte == b',').count());
        // The last piece may be a part of a line.
        let mut rows: Vec<usize> = lines.map(<[u8]>::len).collect();
        rows.pop();
        let shortest = rows.into_iter().min().unwrap_or(usize::MAX);
        let at_most = usize::try_from(length).unwrap_or(usize::MAX) / shortest.max(1) + 1;
        let many = at_most.saturating_mul(columns) > most;
        // Lines of another encoding cannot be told by their bytes: all are taken.
        let other = ahead.starts_with(&[0xff, 0xfe]) || ahead.starts_with(&[0xfe, 0xff]);
        let rows = if many && !other { count()?.saturating_sub(1) } else { 0 };
        let every = rows.saturating_mul(columns).div_ceil(most.max(1)).max(1);
        Ok(Self { input, every, line: 0, ahead: io::Cursor::new(ahead) })
    }

    fn taken(&self) -> bool {
        self.line == 0 || (self.line - 1).is_multiple_of(self.every)
    }
}

impl<R: Read> Read for Rows<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self.ahead.read(out)? {
                0 => self.input.read(out)?,
                read => read,
            };
            if read == 0 || self.every == 1 {
                return Ok(read);
            }
            // Keeps, in place, the bytes of the rows that are taken.
            let mut kept = 0;
            for index in 0..read {
                let byte = out[index];
                if self.taken() {
                    out[kept] = byte;
                    kept += 1;
                }
                self.line += usize::from(byte == b'\n');
            }
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows: usize) -> String {
        let mut text = String::from("names,a,b\r\n");
        for row in 0..rows {
            text.push_str(&format!("{row:04},1,2\r\n"));
        }
        text
    }

    fn thinned(text: &str, most: usize) -> (usize, Vec<String>) {
        let mut rows =
            Rows::new(text.as_bytes(), text.len() as u64, most, || Ok(text.lines().count())).unwrap();
        let mut read = String::new();
        rows.read_to_string(&mut read).unwrap();
        (rows.every, read.lines().map(str::to_owned).collect())
    }

    #[test]
    fn every_row_of_a_short_file_and_some_of_a_long_one_are_taken() {
        let text = file(100);
        assert_eq!(thinned(&text, 1_000_000).1.join("\r\n") + "\r\n", text);
        let (every, lines) = thinned(&text, 100);
        assert_eq!(every, 2, "200 values");
        assert_eq!(lines[..3], ["names,a,b", "0000,1,2", "0002,1,2"]);
        assert_eq!(lines.len(), 51);
    }

    #[test]
    fn values_are_whole_in_pages_or_thousandths_and_gaps_are_told() {
        let packed = |values: &[Option<f64>]| {
            let mut out = Vec::new();
            pack_values(values, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            packed(&[Some(4096.0), None, None, Some(4095.0)]),
            r#","scale":1.0,"gaps":[[1,3]],"values":{"d":[4096,0,0,-1]}"#
        );
        assert_eq!(packed(&[Some(0.003906)]), r#","scale":0.00390625,"values":{"c":1}"#);
        assert_eq!(packed(&[Some(0.123456), Some(1.5)]), r#","scale":0.001,"values":{"v":[123,1500]}"#);
        assert_eq!(packed(&[Some(0.123456), Some(0.5)]), r#","scale":1e-6,"values":{"v":[123456,500000]}"#);
    }
}
