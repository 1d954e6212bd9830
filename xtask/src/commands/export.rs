//! `cargo xtask export`: a run for other people's tools.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use trace_export::{ExportError, Run, chrome, openmetrics, pcapng, perfetto, table};

use super::bad_input;
use crate::output::{note, say};

/// Which run, and for which tool.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    dir: PathBuf,
    /// For which tool
    #[arg(long, value_enum)]
    format: Format,
    /// The file to write; for csv and parquet a folder, which gets a file for each table
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Overwrite the file
    #[arg(long)]
    force: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A trace for <https://ui.perfetto.dev>: tracks, operations, causes as arrows, counters
    Perfetto,
    /// Every message and packet for Wireshark, with crates/study/trace-export/wireshark/vmbus.lua
    Pcapng,
    /// The same as perfetto in Chrome's JSON format
    Chrome,
    /// Tables of events, counters and frames for pandas, Polars and DuckDB
    Csv,
    /// The tables of csv as Parquet files, with typed columns
    Parquet,
    /// Counters with timestamps for Prometheus
    Openmetrics,
}

/// Writes it, and says what is missing of the run.
pub(crate) fn run(args: &Args) -> Result<()> {
    let run = Run::open(&args.dir).map_err(bad_input)?;
    if args.out.exists() && !args.force {
        return Err(bad_input(format!("{} exists; --force overwrites it", args.out.display())));
    }
    let written = match args.format {
        Format::Csv => table::write_csv(&run, &args.out),
        #[cfg(feature = "parquet")]
        Format::Parquet => table::write_parquet(&run, &args.out),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => anyhow::bail!("this build cannot write Parquet"),
        Format::Perfetto => to_file(&args.out, |out| perfetto::write(&run, out)),
        Format::Pcapng => to_file(&args.out, |out| pcapng::write(&run, out)),
        Format::Chrome => to_file(&args.out, |out| chrome::write(&run, out)),
        Format::Openmetrics => to_file(&args.out, |out| openmetrics::write(&run, out)),
    };
    for remark in run.remarks() {
        note!("{remark}");
    }
    match written {
        Ok(names) if names.is_empty() => say!("{}", args.out.display()),
        Ok(names) => {
            for name in names {
                say!("{}", args.out.join(name).display());
            }
        }
        // The output: the run is as good as it was.
        Err(error @ ExportError::Write(_)) => {
            return Err(anyhow::Error::new(error).context(args.out.display().to_string()));
        }
        Err(error) => return Err(bad_input(error)),
    }
    Ok(())
}

/// Writes a file, or none: what is half written is removed.
fn to_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), ExportError>,
) -> Result<Vec<String>, ExportError> {
    let mut out = BufWriter::new(File::create(path)?);
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    if written.is_err() {
        drop(out);
        let _gone_or_not_ours = std::fs::remove_file(path);
    }
    written.map(|()| Vec::new())
}
