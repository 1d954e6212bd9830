//! Files that users give.
//!
//! A scenario, a trace, a counter file, a journal: each is a path that a user typed. Every reader of such a file begins here,
//! so that a folder, a pipe or a device is refused with its name instead of being waited for or read without end, and so that a
//! file is never read beyond a [limit](open). [`TextLines`] takes text apart into lines in the encodings that Windows' tools
//! write: UTF-8, UTF-16, and code pages.
//!
//! ```
//! use input_file::TextLines;
//!
//! // PowerShell's redirection writes UTF-16.
//! let file: Vec<u8> = "\u{feff}vm,t\r\nBüro,0\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
//! let mut lines = TextLines::new(&file[..]);
//! assert_eq!(lines.next_line()?, Some("vm,t"));
//! assert_eq!(lines.next_line()?, Some("Büro,0"));
//! assert_eq!(lines.next_line()?, None);
//! # Ok::<(), input_file::LineError>(())
//! ```
#![forbid(unsafe_code)]

mod regular;
mod text;

pub use regular::{LimitedFile, open, read};
pub use text::{
    CodePage, CodePageName, LONGEST_LINE, LineError, NotText, TextLines, UnknownCodePage, decode,
};
