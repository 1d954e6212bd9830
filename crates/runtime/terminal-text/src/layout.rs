//! Lines that fit a terminal.

use std::borrow::Cow;

use textwrap::core::{Word, display_width};
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

use crate::colour::Ink;

/// Columns of a line where no terminal says otherwise: those of the terminals that all others imitate (DEC's VT100).
pub const USUAL_COLUMNS: usize = 80;

/// Columns below which nothing is laid out for a terminal: a row of a table would no longer be one. Invented.
const NARROWEST: usize = 40;

/// How a command's text looks where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns of a line.
    pub columns: usize,
    /// Whether there are colours.
    pub colours: bool,
}

impl Default for Look {
    /// As for a file: 80 columns, no colours.
    fn default() -> Self {
        Self { columns: USUAL_COLUMNS, colours: false }
    }
}

impl Look {
    /// The text in this colour, if there are colours.
    #[must_use]
    pub fn paint(self, ink: Ink, text: &str) -> String {
        if self.colours { ink.paint(text) } else { text.to_owned() }
    }
}

/// Columns of a line: those of the terminal, if there is one; else those that the variable `COLUMNS` says, else 80; at least 40.
#[must_use]
pub fn columns(terminal: Option<u16>, variable: Option<&str>) -> usize {
    let said = || variable.and_then(|text| text.trim().parse::<u16>().ok());
    terminal.or_else(said).filter(|columns| *columns > 0).map_or(USUAL_COLUMNS, usize::from).max(NARROWEST)
}

/// Columns that text takes on a terminal. East Asian characters take two.
#[must_use]
pub fn width(text: &str) -> usize {
    display_width(text)
}

/// A piece of text in at most so many columns: what is longer ends in an ellipsis.
///
/// ```
/// assert_eq!(terminal_text::cut("balloon_status", 8), "balloon…");
/// ```
#[must_use]
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return text.into();
    }
    let kept = places_that_fit(text.char_indices().map(|(place, c)| (place + c.len_utf8(), c)), columns);
    format!("{}…", &text[..kept.unwrap_or(0)]).into()
}

/// A name in at most so many columns: of one that is longer the end is kept, in which the names of like things differ.
///
/// ```
/// assert_eq!(terminal_text::cut_name("Frontend-02", 8), "…tend-02");
/// ```
#[must_use]
pub fn cut_name(name: &str, columns: usize) -> Cow<'_, str> {
    if width(name) <= columns {
        return name.into();
    }
    let kept = places_that_fit(name.char_indices().rev(), columns);
    format!("…{}", &name[kept.unwrap_or(name.len())..]).into()
}

/// The place of the last character up to which all fit, with an ellipsis, into so many columns.
fn places_that_fit(characters: impl Iterator<Item = (usize, char)>, columns: usize) -> Option<usize> {
    let mut taken = 1;
    let fits = |(place, character): (usize, char)| {
        taken += width(character.encode_utf8(&mut [0; 4]));
        (taken <= columns).then_some(place)
    };
    characters.map_while(fits).last()
}

/// Text whose lines are broken between words to `columns`. What follows of a line is indented as its beginning is. A word that is longer
/// than a line stays whole; a list of words between commas is broken after a comma.
///
/// ```
/// assert_eq!(terminal_text::wrap("  one two three", 10), "  one two\n  three");
/// ```
#[must_use]
pub fn wrap(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let rest = line.trim_start_matches(' ');
        let begin = &line[..line.len() - rest.len()];
        // A mark of a list, or rustc's `= help:`, stands before what follows.
        let mark = if rest.starts_with("= ") || rest.starts_with("- ") { 2 } else { 0 };
        out.push_str(&broken(rest, columns, begin, begin.len() + mark));
    }
    out
}

/// `head`, which stays as it is, and `text` after it, broken between words; what follows is indented by `indent` columns.
///
/// ```
/// assert_eq!(terminal_text::wrap_after("12m  ", "one two three", 12, 5), "12m  one two\n     three");
/// ```
#[must_use]
pub fn wrap_after(head: &str, text: &str, columns: usize, indent: usize) -> String {
    broken(text, columns, head, indent)
}

fn broken(text: &str, columns: usize, first: &str, indent: usize) -> String {
    if display_width(first) + display_width(text) <= columns {
        return format!("{first}{text}");
    }
    // An indent that leaves no room for words is none.
    let rest = " ".repeat(indent.min(columns / 2));
    let options = Options::new(columns)
        .initial_indent(first)
        .subsequent_indent(&rest)
        .break_words(false)
        .word_separator(WordSeparator::Custom(words))
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options).join("\n")
}

/// What stands behind a number and belongs to it.
const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "%"];

/// Whether a number ends before the break, and its unit begins behind it.
fn is_a_number_s_unit(before: &str, behind: &str) -> bool {
    let unit = UNITS.iter().find_map(|unit| behind.strip_prefix(unit));
    before.trim_end_matches(' ').ends_with(|c: char| c.is_ascii_digit())
        && unit.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
}

/// Words between spaces, a number with its unit; in a word the parts of a list, each with its comma.
fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    let mut rest = line;
    Box::new(std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len();
        let mut characters = rest.char_indices().peekable();
        while let Some((_, character)) = characters.next() {
            let Some(&(next, following)) = characters.peek() else { break };
            let ends = match character {
                ' ' => following != ' ' && !is_a_number_s_unit(&rest[..next], &rest[next..]),
                ',' => following != ' ' && !following.is_ascii_digit(),
                _ => false,
            };
            if ends {
                end = next;
                break;
            }
        }
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(Word::from(word))
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_after_commas() {
        assert_eq!(wrap("one two\nthree", 40), "one two\nthree");
        assert_eq!(
            wrap("  = help: one two three four five six seven", 40),
            "  = help: one two three four five six\n    seven"
        );
        assert_eq!(
            wrap_after("#1 ", "inputs=demand_mib=1.000,expected_mib=2.000,other=3", 34, 4),
            "#1 inputs=demand_mib=1.000,\n    expected_mib=2.000,other=3"
        );
        // A word that fits nowhere is not broken, and numbers keep their thousands.
        assert_eq!(
            wrap("a 0123456789012345678901234567890123456789012345 b", 40),
            "a\n0123456789012345678901234567890123456789012345\nb"
        );
        assert_eq!(wrap("1,000,000,000", 5), "1,000,000,000");
        assert_eq!(wrap_after("", "it had 87.6 % of 512 MB", 12, 0), "it had\n87.6 % of\n512 MB");
    }

    #[test]
    fn a_terminal_says_how_wide_it_is() {
        assert_eq!(columns(Some(132), Some("100")), 132);
        assert_eq!(columns(None, Some("100")), 100);
        assert_eq!(columns(None, Some("wide")), 80);
        assert_eq!(columns(None, None), 80);
        assert_eq!(columns(Some(0), None), 80);
        assert_eq!(columns(Some(3), None), 40);
    }

    #[test]
    fn characters_have_their_width() {
        assert_eq!(width("Größe"), 5);
        assert_eq!(width("中文"), 4);
    }

    proptest! {
        /// However long, whatever its characters: what is cut fits, and is whole where there was room.
        #[test]
        fn what_is_cut_fits(text in "[a-z0-9é中 ]{0,30}", columns in 1usize..40) {
            for (short, is_part) in [
                (cut(&text, columns), text.starts_with(cut(&text, columns).trim_end_matches('…'))),
                (cut_name(&text, columns), text.ends_with(cut_name(&text, columns).trim_start_matches('…'))),
            ] {
                prop_assert!(width(&short) <= columns && is_part, "{}", short);
                prop_assert_eq!(short == text, width(&text) <= columns);
                // No more is cut than must be: one character more, of two columns at most, has no room.
                prop_assert!(short == text || width(&short) + 2 > columns, "{}", short);
            }
        }

        /// Nothing is lost, no word is broken, and a line is too long only by a word that is.
        #[test]
        fn every_word_arrives_whole(text in "([a-z0-9é中]{1,30}[ ,]{0,2}){0,20}", columns in 40usize..90, indent in 0usize..20) {
            let out = wrap_after("", &text, columns, indent);
            let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(plain(&out), plain(&text));
            let known: Vec<&str> = text.split([' ', ',']).collect();
            for line in out.lines() {
                prop_assert!(width(line) <= columns || !line.trim().contains(' '), "{}", line);
                for word in line.split([' ', ',']).filter(|word| !word.is_empty()) {
                    prop_assert!(known.contains(&word), "{word}");
                }
            }
        }
    }
}
