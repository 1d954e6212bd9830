//! What is wrong with a scenario file, told as a good compiler tells it.

use core::{fmt, ops::Range};
use std::{path::PathBuf, sync::Arc};

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

/// A scenario file's text, with what is needed to find lines in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    file: PathBuf,
    /// The file as complaints name it.
    named: PathBuf,
    text: Arc<str>,
    /// Where each line begins.
    lines: Arc<[usize]>,
}

/// Where something stands in a file: bytes from and up to.
pub type Span = Range<usize>;

impl SourceText {
    /// The text of `file`.
    pub fn new(file: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Self {
        let text = text.into();
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let file = file.into();
        Self { named: file.clone(), file, text, lines }
    }

    /// Another text of the same file; complaints say `how` the text came to be.
    #[must_use]
    pub(super) fn changed(&self, text: String, how: &str) -> Self {
        Self {
            named: format!("{} ({how})", self.file.display()).into(),
            ..Self::new(self.file.clone(), text)
        }
    }

    /// The file, as it was given.
    pub fn file(&self) -> &std::path::Path {
        &self.file
    }

    /// All of its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.boundary(offset);
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|line| self.lines.get(line)).copied().unwrap_or_default();
        (line, self.text[start..offset].chars().count() + 1)
    }

    /// Where a line stands, without its end. Lines count from 1.
    fn line(&self, line: usize) -> Span {
        let start = self.lines.get(line - 1).copied().unwrap_or(self.text.len());
        let end = self.lines.get(line).map_or(self.text.len(), |next| next - 1);
        start..start + self.text[start..end].trim_end_matches('\r').len()
    }

    fn boundary(&self, offset: usize) -> usize {
        (0..=offset.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at)).unwrap_or(0)
    }

    /// A complaint about what stands at `span`.
    pub fn complain(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        let (line, column) = self.position(span.start);
        let marked = self.text.get(span).unwrap_or("").split('\n').next().unwrap_or("").trim_end();
        // Wider than any terminal: a mark is for the eye.
        let width = marked.chars().take(WIDEST_MARK).count().max(1);
        let place = Place { line, column, width, text: self.text.clone(), excerpt: self.line(line) };
        Diagnostic {
            file: self.named.clone(),
            place: Some(place),
            key: None,
            value: None,
            message: shortened(message.into()),
            label: String::new(),
            allowed: None,
            help: None,
        }
    }
}

/// One thing that is wrong with a scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was given.
    pub file: PathBuf,
    /// Where in the file; `None` if the file could not be read.
    pub place: Option<Place>,
    /// The key that it is about.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
    /// What is wrong, in one sentence.
    pub message: String,
    /// A few words that stand beside the marked place.
    pub label: String,
    /// What is allowed.
    pub allowed: Option<String>,
    /// How to mend it, or the nearest right word.
    pub help: Option<String>,
}

/// Where something stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// How many characters are meant.
    pub width: usize,
    /// All of the file's text. Shared: a line may be as long as the file.
    text: Arc<str>,
    excerpt: Span,
}

impl Place {
    /// The line's text.
    #[must_use]
    pub fn excerpt(&self) -> &str {
        self.text.get(self.excerpt.clone()).unwrap_or("")
    }

    /// The marked bytes of `excerpt`, which has the same characters, or signs in their place.
    fn marked(&self, excerpt: &str) -> Range<usize> {
        let mut starts = excerpt.char_indices().map(|(at, _)| at).skip(self.column - 1);
        let start = starts.next().unwrap_or(excerpt.len());
        let end = starts.nth(self.width - 1).unwrap_or(excerpt.len());
        start..end
    }
}

impl Diagnostic {
    /// A complaint about a file that has no text.
    pub fn of_file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            place: None,
            key: None,
            value: None,
            message: shortened(message.into()),
            label: String::new(),
            allowed: None,
            help: None,
        }
    }

    /// Names the key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Names the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(shortened(value.into()));
        self
    }

    /// Writes beside the marked place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = shortened(label.into());
        self
    }

    /// Says what is allowed.
    #[must_use]
    pub fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(shortened(allowed.into()));
        self
    }

    /// Says how to mend it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into()));
        self
    }

    /// Names the nearest of the words that are possible, if one is near.
    #[must_use]
    pub fn nearest<'a>(self, word: &str, possible: impl IntoIterator<Item = &'a str>) -> Self {
        match quantities::nearest(word, possible) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

/// The widest mark below an excerpt, characters. Invented.
const WIDEST_MARK: usize = 80;

/// The longest part of a diagnostic, bytes: what a file or a user wrote may be of any length. Invented.
const LONGEST: usize = 2000;

/// The text, with a sign in place of what is too much to be read.
fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The text with a sign in place of each control character: what a file or a user wrote must not steer the terminal.
fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

impl fmt::Display for Diagnostic {
    /// Shown as rustc shows an error. What is no text is shown as a sign for it, and of long lines the part that matters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = printable(&self.file.display().to_string());
        let title = Level::ERROR.primary_title(printable(&self.message));
        let mut group = match &self.place {
            None => title.element(Origin::path(file)),
            Some(place) => {
                let excerpt = printable(place.excerpt());
                let label = (!self.label.is_empty()).then(|| printable(&self.label));
                let span = place.marked(&excerpt);
                // The renderer leaves out of a long line what comes long before the mark, not what comes after it.
                let behind = excerpt[span.end..].char_indices().nth(WIDEST_MARK);
                let excerpt = excerpt[..behind.map_or(excerpt.len(), |(at, _)| span.end + at)].to_owned();
                let marked = AnnotationKind::Primary.span(span).label(label);
                let excerpt = Snippet::source(excerpt).line_start(place.line).path(file);
                title.element(excerpt.annotation(marked))
            }
        };
        if let Some(allowed) = &self.allowed {
            group = group.element(Level::NOTE.with_name("allowed").message(printable(allowed)));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(printable(help)));
        }
        f.write_str(&Renderer::plain().render(&[group]))
    }
}

/// A scenario file that is refused, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadScenario {
    /// What is wrong, in the order of the file; at least one.
    pub diagnostics: Vec<Diagnostic>,
    /// How much more is wrong that is not told.
    pub hidden: usize,
}

impl BadScenario {
    /// A file that is refused for these reasons.
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics
            .sort_by_key(|diagnostic| diagnostic.place.as_ref().map(|place| (place.line, place.column)));
        Self { diagnostics, hidden: 0 }
    }

    /// The same file, of which more is wrong than is told.
    #[must_use]
    pub(super) fn and_more(mut self, hidden: usize) -> Self {
        self.hidden = hidden;
        self
    }
}

impl fmt::Display for BadScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            write!(f, "{diagnostic}\n\n")?;
        }
        let files: std::collections::BTreeSet<_> =
            self.diagnostics.iter().map(|d| d.file.display().to_string()).collect();
        let files: Vec<_> = files.into_iter().collect();
        let errors = match (self.diagnostics.len() + self.hidden, self.hidden) {
            (1, _) => "1 error".to_owned(),
            (many, 0) => format!("{many} errors"),
            (many, _) => format!("{many} errors, of which {} are shown,", self.diagnostics.len()),
        };
        write!(f, "{errors} in {}; nothing was started", files.join(", "))
    }
}

impl core::error::Error for BadScenario {}

impl From<Diagnostic> for BadScenario {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::new(vec![diagnostic])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_excerpt_marks_what_is_meant() {
        let source = SourceText::new("a.toml", "x = 1\n\tnäme = \"vale\" # ü\r\nz = 2");
        let span = source.text().find("\"vale\"").map(|at| at..at + 6).unwrap();
        let shown = source
            .complain(span, "`vale` is no value")
            .label("here")
            .allowed("`value`")
            .nearest("vale", ["value", "key"])
            .to_string();
        assert_eq!(
            shown,
            "error: `vale` is no value\n \
             --> a.toml:2:9\n  \
             |\n\
             2 |     näme = \"vale\" # ü\n  \
             |            ^^^^^^ here\n  \
             |\n  \
             = allowed: `value`\n  \
             = help: did you mean `value`?"
        );
    }

    #[test]
    fn what_is_no_text_does_not_reach_the_terminal() {
        let source = SourceText::new("a.toml", "x = \"\u{1b}[2J\"");
        let shown =
            source.complain(4..9, "\u{7} is no value").label("\u{1b}[31m").help("\u{9b}1m").to_string();
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }

    #[test]
    fn of_a_long_line_the_part_that_matters_is_shown() {
        let text = format!("{}wrong{}", "a".repeat(100_000), "z".repeat(100_000));
        let shown = SourceText::new("a.toml", text).complain(100_000..100_005, "x").to_string();
        assert!(shown.contains("awrongz") && shown.len() < 1000, "{} bytes", shown.len());
    }

    proptest! {
        #[test]
        fn any_place_of_any_text_can_be_shown(text in "[a-z\\t\\n\\r é=\"]{0,40}", start in 0..50_usize, length in 0..50_usize) {
            let source = SourceText::new("a.toml", text);
            let shown = source.complain(start..start + length, "x").to_string();
            prop_assert!(shown.contains('^'));
        }
    }
}
