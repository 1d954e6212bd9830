//! Text for a terminal: escaped, laid out, coloured.
//!
//! **Escaped.** A title in a scenario file, a mark, a line of a guest's console, a message of an error: a terminal obeys what it finds in them. A few
//! bytes clear the screen, write the clipboard, or make a line read differently from what it says. So whatever is shown to a person
//! goes through here, and what is not text is shown as an escape in the form of TOML and JSON: `\u001b`.
//!
//! * [`escape`] is for a piece of a line: a name, a title, a field.
//! * [`escape_lines`] is for text of several lines; line feeds and tabs stay.
//! * [`Escaped`] is a writer for output that has no colours of its own.
//!
//! **Laid out.** A line that is longer than the terminal is wide is broken between words by [`wrap`]; a word is never broken, but what must
//! have one line is [`cut`]. Where no
//! terminal says how wide it is, 80 columns are assumed: [`columns`].
//!
//! **Coloured.** [`wants_colour`] knows the usual rules of the environment, and [`Look`] is what a command lays out and colours by.
//!
//! **Never**: changes what is written to files, or looks inside escape sequences. An escape that is in the text already stays as it is.
//!
//! Facts: ECMA-48 (C0, C1 and DEL are control functions; terminals take C1 as UTF-8, too); Unicode's UAX #9 and its technical report 36
//! (characters that reorder a line).
#![forbid(unsafe_code)]

mod colour;
mod layout;

pub use colour::{Ink, wants_colour};
pub use layout::{Look, USUAL_COLUMNS, columns, cut, cut_name, width, wrap, wrap_after};

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Whether a terminal might do something else than show this character.
fn is_control(c: char) -> bool {
    // C0, DEL and C1; line and paragraph separators; marks, embeddings, overrides and isolates of direction.
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape_if(text: &str, escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if escaped(c) {
            // All of them are below U+10000. Writing to a string does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A piece of a line, with all that is not text escaped.
///
/// ```
/// assert_eq!(terminal_text::escape("two VMs"), "two VMs");
/// assert_eq!(terminal_text::escape("\u{1b}[2J\n"), r"\u001b[2J\u000a");
/// ```
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_if(text, is_control)
}

/// Text of several lines, with all that is not text escaped but line feeds and tabs.
#[must_use]
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_if(text, is_control_in_lines)
}

fn is_control_in_lines(c: char) -> bool {
    !matches!(c, '\n' | '\t') && is_control(c)
}

/// A writer for a person's terminal: what is not text is escaped, but line feeds and tabs. Bytes that are no UTF-8 become `\ufffd`.
///
/// Bytes of a character that is not complete are kept until the rest comes.
#[derive(Debug)]
pub struct Escaped<W> {
    out: W,
    /// The beginning of a character: three bytes at most.
    begun: Vec<u8>,
}

impl<W: Write> Escaped<W> {
    /// Escapes what goes to `out`.
    pub fn new(out: W) -> Self {
        Self { out, begun: Vec::new() }
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        let whole = std::mem::take(&mut self.begun);
        let mut rest = &whole[..];
        while !rest.is_empty() {
            let (text, wrong) = match std::str::from_utf8(rest) {
                Ok(text) => (text, None),
                Err(error) => {
                    let (text, after) = rest.split_at(error.valid_up_to());
                    // Valid up to there, as was just found.
                    (std::str::from_utf8(text).unwrap_or_default(), Some((error.error_len(), after)))
                }
            };
            self.out.write_all(escape_lines(text).as_bytes())?;
            match wrong {
                None => break,
                Some((Some(length), after)) => {
                    self.out.write_all(b"\\ufffd")?;
                    rest = &after[length..];
                }
                Some((None, after)) => {
                    self.begun = after.to_vec();
                    break;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a file's title and mark had: a window title, the clipboard, the screen.
    const HOSTILE: &str = "\u{1b}]0;pwned\u{7}\u{1b}]52;c;ZWNobyBwd25lZA==\u{7}\u{1b}[2J";

    #[test]
    fn sequences_are_shown_as_they_are_written_in_a_file() {
        assert_eq!(escape(HOSTILE), r"\u001b]0;pwned\u0007\u001b]52;c;ZWNobyBwd25lZA==\u0007\u001b[2J");
        // One character that begins a sequence as well, and one that turns a line around.
        assert_eq!(escape("a\u{9b}2Jb\u{7f}\u{202e}c"), r"a\u009b2Jb\u007f\u202ec");
        assert_eq!(escape("one\r\ntwo\tthree"), r"one\u000d\u000atwo\u0009three");
        assert_eq!(escape_lines("one\r\ntwo\tthree"), "one\\u000d\ntwo\tthree");
        assert!(matches!(escape("Größe 12 → 13 µs, 中文"), Cow::Borrowed("Größe 12 → 13 µs, 中文")));
    }

    #[test]
    fn a_string_of_json_stays_one() {
        let json = "{\"title\":\"\u{9b}2J\"}".to_owned();
        assert_eq!(escape_lines(&json), "{\"title\":\"\\u009b2J\"}");
    }

    fn written(pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut escaped = Escaped::new(&mut out);
        for piece in pieces {
            escaped.write_all(piece).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    proptest! {
        /// However the bytes come, and whatever they are: nothing but text, line feeds and tabs comes out.
        #[test]
        fn a_writer_lets_only_text_through(bytes: Vec<u8>, cut in 0usize..64) {
            let cut = cut.min(bytes.len());
            let out = written(&[&bytes[..cut], &bytes[cut..]]);
            prop_assert!(!out.contains(is_control_in_lines));
            prop_assert_eq!(&out, &written(&[&bytes]));
        }

        #[test]
        fn text_is_left_alone_and_a_split_does_not_matter(text in "[ -~\n\täöü→中]{0,80}", cut in 0usize..200) {
            let cut = cut.min(text.len());
            prop_assert_eq!(written(&[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]), text);
        }
    }
}
