//! Standard output and standard error.
//!
//! A reader that has seen enough (`| head`) is no failure: what would still be printed is left out. Anything else that keeps results
//! from standard output, such as a full disk, is an error. What goes to standard error tells and does not count: a note that cannot
//! be written is left out.
//!
//! Titles, marks, names and what guests print come from somebody else. Whatever reaches a terminal goes through here, where all that is not
//! text is escaped.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write as _};

use anyhow::{Error, Result};
use terminal_text::Escaped;

/// Whether whoever reads standard output still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Reader {
    Listens,
    Gone,
}

/// What became of a write: a reader that is gone, or an error that says what could not be done.
fn judge(written: io::Result<()>) -> Result<Reader> {
    match written {
        Ok(()) => Ok(Reader::Listens),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Error::new(error).context("standard output cannot be written")),
    }
}

/// Characters in a line of the terminal that standard output is, if it is one.
#[cfg(feature = "study")]
pub(crate) fn terminal_width() -> Option<u16> {
    terminal_size::terminal_size_of(io::stdout()).map(|(terminal_size::Width(width), _)| width)
}

/// Prints to standard output, and sees that it has arrived.
///
/// # Errors
/// Standard output takes nothing more, for another reason than that its reader is gone.
pub(crate) fn print(text: fmt::Arguments<'_>) -> Result<()> {
    let mut out = Escaped::new(io::stdout().lock());
    let (Reader::Listens | Reader::Gone) = judge(out.write_fmt(text).and_then(|()| out.flush()))?;
    Ok(())
}

/// Prints text with colours in it, whose other parts have been [escaped](terminal_text::escape) already.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_coloured(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let (Reader::Listens | Reader::Gone) = judge(out.write_all(text.as_bytes()).and_then(|()| out.flush()))?;
    Ok(())
}

/// Prints a line to standard output; an error if it cannot be written.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::output::print(format_args!("{}\n", format_args!($($text)*)))?
    };
}
pub(crate) use say;

/// Prints a line to standard error.
macro_rules! note {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _lost = writeln!(terminal_text::Escaped::new(std::io::stderr().lock()), $($text)*);
    }};
}
pub(crate) use note;

/// Standard output for many lines.
#[derive(Debug)]
pub(crate) struct Lines(Escaped<BufWriter<StdoutLock<'static>>>);

impl Lines {
    pub(crate) fn new() -> Self {
        Self(Escaped::new(BufWriter::with_capacity(1 << 16, io::stdout().lock())))
    }

    /// Prints a line.
    ///
    /// # Errors
    /// As for [`print()`].
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) -> Result<Reader> {
        judge(self.0.write_fmt(text).and_then(|()| self.0.write_all(b"\n")))
    }

    /// Sees that all lines have arrived.
    ///
    /// # Errors
    /// As for [`print()`].
    pub(crate) fn finish(mut self) -> Result<()> {
        let (Reader::Listens | Reader::Gone) = judge(self.0.flush())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure_and_a_full_disk_is_one() {
        assert_eq!(judge(Ok(())).unwrap(), Reader::Listens);
        assert_eq!(judge(Err(io::ErrorKind::BrokenPipe.into())).unwrap(), Reader::Gone);
        let error = judge(Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert!(format!("{error:#}").starts_with("standard output cannot be written: "), "{error:#}");
    }

    /// Titles, marks and names come from files: nothing bypasses this file.
    #[test]
    fn nothing_is_written_to_a_terminal_but_here() {
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs")
                    && !path.ends_with("output.rs")
                {
                    let text = std::fs::read_to_string(&path).unwrap();
                    for raw in
                        ["println!(", " print!(", "stdout().lock()", "(std::io::std", "stderr().lock()"]
                    {
                        assert!(!text.contains(raw), "{}: {raw} bypasses `output`", path.display());
                    }
                    seen += 1;
                }
            }
        }
        assert!(seen > 10, "{seen} files");
    }
}
