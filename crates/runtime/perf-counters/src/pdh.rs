//! PDH-CSV 4.0, the text log of Windows' Performance Data Helper, as `perfmon` and `relog` write and read it.
//!
//! Every field is in double quotes, lines end in CR LF, the first line names the time zone and every counter's
//! path, a row starts with date and time, a value has six decimals, and a missing value is one space. Files of other
//! computers come with tabs (PDH-TSV 4.0), in UTF-16 or a code page, in local time, and in any order of columns: the
//! [reader](CounterLog) takes them all.

mod path;
mod reader;
mod writer;

pub use path::CounterPath;
pub use reader::{CounterLog, ReadError, Remark};
pub use writer::Writer;

/// The first field of the first line: format, time zone, and the minutes to add to the times to get UTC.
pub const UTC_HEADER: &str = "(PDH-CSV 4.0) (UTC)(0)";
