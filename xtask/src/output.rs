//! Standard output and standard error.
//!
//! A reader that has seen enough (`| head`) is no failure: what would still be printed is left out. Anything else that keeps results
//! from standard output, such as a full disk, is an error. What goes to standard error tells and does not count: a note that cannot
//! be written is left out.
//!
//! Titles, marks, names and what guests print come from others. Whatever reaches a terminal goes through here, where all that is
//! not
//! text is escaped.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};

use anyhow::{Error, Result};
use terminal_size::Width;
use terminal_text::{Escaped, Look};

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

/// How text on standard output looks: as wide as its terminal, or 80 columns; in colour by the usual rules.
pub(crate) fn look() -> Look {
    let out = io::stdout();
    let colours = terminal_text::wants_colour(|name| std::env::var_os(name), out.is_terminal());
    Look { columns: columns(terminal_size::terminal_size_of(&out)), colours }
}

/// Columns of a line on standard error.
pub(crate) fn note_columns() -> usize {
    columns(terminal_size::terminal_size_of(io::stderr()))
}

fn columns(terminal: Option<(Width, terminal_size::Height)>) -> usize {
    let variable = std::env::var("COLUMNS").ok();
    terminal_text::columns(terminal.map(|(Width(columns), _)| columns), variable.as_deref())
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

/// Prints lines to standard output, broken between words where they are wider than the terminal; an error if they cannot be written.
macro_rules! tell {
    ($($text:tt)*) => {
        $crate::output::print(format_args!(
            "{}\n",
            terminal_text::wrap(&format!($($text)*), $crate::output::look().columns)
        ))?
    };
}
pub(crate) use tell;

#[cfg(feature = "study")]
/// Lines broken between words where they are wider than the terminal. A command to copy is a line of its own, and stays whole.
pub(crate) fn laid_out(text: &str) -> String {
    let columns = look().columns;
    let line = |line: &str| match line.trim_start().starts_with("cargo ") {
        true => line.to_owned(),
        false => terminal_text::wrap(line, columns),
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// Prints lines to standard error, broken between words where they are wider than the terminal.
macro_rules! note {
    ($($text:tt)*) => {
        $crate::output::print_note(&format!($($text)*))
    };
}
pub(crate) use note;

/// Prints lines to standard error, or leaves them out where they cannot be written. Excerpts of files and commands to copy stay as they are.
pub(crate) fn print_note(text: &str) {
    let columns = note_columns();
    let mut out = Escaped::new(io::stderr().lock());
    for line in text.split('\n') {
        let excerpt = line
            .split_once('|')
            .is_some_and(|(gutter, _)| gutter.chars().all(|c| c == ' ' || c.is_ascii_digit()));
        let line = if excerpt { line.into() } else { terminal_text::wrap(line, columns) };
        let _lost = writeln!(out, "{line}");
    }
}

/// Standard output for many lines.
#[derive(Debug)]
pub(crate) struct Lines(BufWriter<StdoutLock<'static>>);

impl Lines {
    pub(crate) fn new() -> Self {
        Self(BufWriter::with_capacity(1 << 16, io::stdout().lock()))
    }

    /// Prints a line, with what is not text escaped.
    ///
    /// # Errors
    /// As for [`print()`].
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) -> Result<Reader> {
        self.coloured(&terminal_text::escape_lines(&text.to_string()))
    }

    /// Prints a line with colours in it, whose other parts have been escaped already.
    ///
    /// # Errors
    /// As for [`print()`].
    pub(crate) fn coloured(&mut self, text: &str) -> Result<Reader> {
        judge(self.0.write_all(text.as_bytes()).and_then(|()| self.0.write_all(b"\n")))
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
