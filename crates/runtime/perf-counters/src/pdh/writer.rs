//! Writing PDH-CSV.

use std::io::{self, Write};

use jiff::civil::DateTime;

use super::UTC_HEADER;
use crate::value::LONGEST;
use crate::{Epoch, Layout, Sample, Value};

/// Writes samples as rows of a PDH-CSV file, one `write_all` for each. No allocation once the first two rows are written.
///
/// Every row has every counter, but most counters are what they were in the row before: only what has changed is formatted, and what lies
/// between is taken over from the row before as one piece.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    epoch: Epoch,
    vms: usize,
    /// The row as text, and the row before.
    line: Vec<u8>,
    before: Vec<u8>,
    values: Vec<Option<Value>>,
    cells: Vec<Cell>,
    /// Whether no row has been written.
    first: bool,
}

/// A value of the row before.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    /// What it counts, in the unit of its counter, which is the same in every row.
    number: Option<u64>,
    /// Where in the row its text ends. That begins with what separates it from the value before.
    end: usize,
}

impl<W: Write> Writer<W> {
    /// Writes the header line for `layout` to `out`.
    ///
    /// # Errors
    /// What `out` says.
    pub fn new(mut out: W, layout: &Layout) -> io::Result<Self> {
        let mut line = Vec::with_capacity(4096);
        field(&mut line, UTC_HEADER);
        for path in layout.paths() {
            line.push(b',');
            field(&mut line, &path);
        }
        line.extend_from_slice(b"\r\n");
        out.write_all(&line)?;
        let cells = vec![Cell::default(); layout.paths().len()];
        let (epoch, vms) = (layout.epoch(), layout.vms().len());
        Ok(Self { out, epoch, vms, line, before: Vec::new(), values: Vec::new(), cells, first: true })
    }

    /// Writes one row.
    ///
    /// # Errors
    /// What the output says; [`io::ErrorKind::InvalidInput`] if `sample` was made for another layout.
    pub fn write(&mut self, sample: &Sample) -> io::Result<()> {
        if sample.vms.len() != self.vms {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a sample of {} VMs in a counter file of {} VMs", sample.vms.len(), self.vms),
            ));
        }
        std::mem::swap(&mut self.line, &mut self.before);
        self.line.clear();
        self.line.push(b'"');
        timestamp(&mut self.line, self.epoch.civil(sample.time));
        self.values(sample);
        self.line.extend_from_slice(b"\"\r\n");
        self.out.write_all(&self.line)
    }

    /// Appends all values.
    fn values(&mut self, sample: &Sample) {
        let Self { line, before, values, cells, .. } = self;
        let first = std::mem::take(&mut self.first);
        values.clear();
        sample.append_values(values);
        // The text of the row before that is still to be taken over, and where in it the value at hand begins.
        let (mut kept, mut start) = (0..0, TIME_BYTES);
        for (&value, cell) in values.iter().zip(cells) {
            let number = value.map(Value::number);
            let end = cell.end;
            if number == cell.number && !first {
                if kept.is_empty() {
                    kept.start = start;
                }
                kept.end = end;
            } else {
                line.extend_from_slice(&before[kept.clone()]);
                kept = 0..0;
                text(line, value);
            }
            start = end;
            *cell = Cell { number, end: line.len() + kept.len() };
        }
        line.extend_from_slice(&before[kept]);
    }

    /// Has the output write out what it holds back.
    ///
    /// # Errors
    /// What the output says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Flushes and gives back the output.
    ///
    /// # Errors
    /// What the output says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Appends a value, with what separates it from the one before.
fn text(line: &mut Vec<u8>, value: Option<Value>) {
    let Some(value) = value else { return line.extend_from_slice(b"\",\" ") };
    line.extend_from_slice(b"\",\"");
    line.extend_from_slice(value.fixed(&mut [0; LONGEST]));
}

fn field(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    line.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    line.push(b'"');
}

/// Length of what a row begins with: a quotation mark and the time.
const TIME_BYTES: usize = 24;

/// `MM/DD/YYYY HH:MM:SS.mmm`.
fn timestamp(line: &mut Vec<u8>, time: DateTime) {
    digits::<2>(line, time.month().unsigned_abs().into());
    line.push(b'/');
    digits::<2>(line, time.day().unsigned_abs().into());
    line.push(b'/');
    digits::<4>(line, time.year().unsigned_abs());
    line.push(b' ');
    digits::<2>(line, time.hour().unsigned_abs().into());
    line.push(b':');
    digits::<2>(line, time.minute().unsigned_abs().into());
    line.push(b':');
    digits::<2>(line, time.second().unsigned_abs().into());
    line.push(b'.');
    digits::<3>(line, time.millisecond().unsigned_abs());
}

/// The last `N` digits of a number.
fn digits<const N: usize>(line: &mut Vec<u8>, mut number: u16) {
    let mut text = [b'0'; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    line.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{Memory, Percent};

    #[test]
    fn the_file_is_byte_exact() {
        let layout = Layout::new("HOST", "2026-09-22T21:42:32.824Z".parse().unwrap(), ["VM1"]).unwrap();
        let mut sample = Sample::new(&layout);
        sample.vms[0].vm.physical_memory = Some(Memory::from_mib(512));
        sample.vms[0].vm.current_pressure = Percent::from_ratio(414, 512);
        let mut writer = Writer::new(Vec::new(), &layout).unwrap();
        writer.write(&sample).unwrap();
        sample.reset(Duration::from_nanos(1_200_999_999));
        sample.parent.available = Some(Memory::from_pages(115_329));
        writer.write(&sample).unwrap();
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        let mut lines = text.split("\r\n");
        assert_eq!(
            lines.next().unwrap(),
            concat!(
                r#""(PDH-CSV 4.0) (UTC)(0)","\\HOST\Memory\Available MBytes","\\HOST\Memory\Page Reads/sec","#,
                r#""\\HOST\Hyper-V Dynamic Memory Balancer(System Balancer)\Added Memory","#,
                r#""\\HOST\Hyper-V Dynamic Memory Balancer(System Balancer)\Available Memory","#,
                r#""\\HOST\Hyper-V Dynamic Memory Balancer(System Balancer)\Average Pressure","#,
                r#""\\HOST\Hyper-V Dynamic Memory Balancer(System Balancer)\Memory Add Operations","#,
                r#""\\HOST\Hyper-V Dynamic Memory Balancer(System Balancer)\Memory Remove Operations","#,
                r#""\\HOST\Hyper-V Dynamic Memory Balancer(System Balancer)\Removed Memory","#,
                r#""\\HOST\Dynamic Memory Model\Host Memory","\\HOST\Dynamic Memory Model\Memory In Transit","#,
                r#""\\HOST\Dynamic Memory Model\Granted Memory","\\HOST\Dynamic Memory Model\Memory Set Aside","#,
                r#""\\HOST\Dynamic Memory Model\Memory Coming Home","#,
                r#""\\HOST\Dynamic Memory Model\Overhead Memory","\\HOST\Dynamic Memory Model\Reserve Memory","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Added Memory","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Average Pressure","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Current Pressure","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Guest Visible Physical Memory","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Maximum Pressure","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Memory Add Operations","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Memory Remove Operations","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Minimum Pressure","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Physical Memory","#,
                r#""\\HOST\Hyper-V Dynamic Memory VM(VM1)\Removed Memory","#,
                r#""\\HOST\Dynamic Memory Model VM(VM1)\Startup Memory","#,
                r#""\\HOST\Dynamic Memory Model VM(VM1)\Maximum Memory","#,
                r#""\\HOST\Dynamic Memory Model VM(VM1)\Demand","#,
                r#""\\HOST\Dynamic Memory Model VM(VM1)\Refused Commit","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Packets From Guest","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Packets To Guest","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Signals From Guest","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Signals Suppressed From Guest","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Signals To Guest","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Signals Suppressed To Guest","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Upstream Ring Used","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Upstream Ring High Water","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Downstream Ring Used","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Downstream Ring High Water","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Control Messages From Guest","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Control Messages To Guest","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Doorbell Wait","#,
                r#""\\HOST\Dynamic Memory Model VMBus(VM1)\Doorbell Longest Wait","#,
                r#""\\HOST\Dynamic Memory Model Map(VM1)\2M Pages","#,
                r#""\\HOST\Dynamic Memory Model Map(VM1)\4K Pages","#,
                r#""\\HOST\Dynamic Memory Model Map(VM1)\Page Splits","#,
                r#""\\HOST\Dynamic Memory Model Map(VM1)\Page Merges","#,
                r#""\\VM1\Memory\Available MBytes","\\VM1\Memory\Committed Bytes","#,
                r#""\\VM1\Memory\Page Reads/sec","\\VM1\Memory\Page Writes/sec","#,
                r#""\\VM1\Dynamic Memory Model Guest\Driver Locked""#,
            )
        );
        assert_eq!(
            lines.next().unwrap(),
            format!(
                r#""09/22/2026 21:42:32.824"{}"80.859375"{}"512.000000"{}," ""#,
                r#"," ""#.repeat(17) + ",",
                r#"," ""#.repeat(5) + ",",
                r#"," ""#.repeat(27)
            )
        );
        assert!(lines.next().unwrap().starts_with(r#""09/22/2026 21:42:34.024","450.503906"," ","#));
        assert_eq!(lines.next(), Some(""));
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn a_sample_of_another_layout_is_refused() {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1"]).unwrap();
        let other = Layout::new("HOST", Epoch::DEFAULT, ["VM1", "VM2"]).unwrap();
        let mut writer = Writer::new(Vec::new(), &layout).unwrap();
        let error = writer.write(&Sample::new(&other)).unwrap_err();
        assert_eq!(error.to_string(), "a sample of 2 VMs in a counter file of 1 VMs");
    }

    #[test]
    fn an_output_that_fails_is_reported() {
        #[derive(Debug)]
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1"]).unwrap();
        assert_eq!(Writer::new(Full, &layout).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    proptest! {
        /// A row that takes over text of the row before is the row that a writer writes which has nothing to take over.
        #[test]
        fn a_row_does_not_depend_on_the_row_before(
            rows in prop::collection::vec(
                (any::<Option<u16>>(), any::<Option<bool>>(), prop::option::of(0..3_u64), any::<Option<u64>>()),
                1..12,
            )
        ) {
            let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1", "VM2"]).unwrap();
            let mut writer = Writer::new(Vec::new(), &layout).unwrap();
            let mut alone = Writer::new(Vec::new(), &layout).unwrap().finish().unwrap();
            let mut sample = Sample::new(&layout);
            for (second, (pages, pressure, operations, count)) in (0..).zip(rows) {
                sample.reset(Duration::from_secs(second));
                sample.parent.available = pages.map(|pages| Memory::from_pages(pages.into()));
                sample.vms[0].vm.current_pressure =
                    pressure.and_then(|high| Percent::from_ratio(if high { 3 } else { 1 }, 2));
                sample.vms[1].vm.memory_add_operations = operations;
                sample.vms[1].guest.committed_bytes = count;
                writer.write(&sample).unwrap();
                let mut fresh = Writer::new(Vec::new(), &layout).unwrap();
                let header = fresh.out.len();
                fresh.write(&sample).unwrap();
                alone.extend_from_slice(&fresh.finish().unwrap()[header..]);
            }
            prop_assert_eq!(writer.finish().unwrap(), alone);
        }
    }
}
