//! Taking values out of a TOML table: the right type or a complaint, and never a key that the file format does not
//! know.

use core::{
    cell::{Cell, RefCell},
    time::Duration,
};

use balancing_policy::MemorySettings;
use page_range::PageCount;
use std::collections::BTreeSet;

use quantities::{BadSize, SIZE_FORM, parse_duration, parse_size};
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{
    diagnostic::{BadScenario, Diagnostic, SourceText, Span},
    draw::Draw,
    schema::{Form, TableDoc, quoted},
};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands in the file.
    pub span: Span,
}

impl<T> Located<T> {
    /// The same place with what `convert` makes of the value.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Located<U> {
        Located { value: convert(self.value), span: self.span }
    }
}

/// How many things that are wrong with a file are told. Invented.
const MOST_TOLD: usize = 100;

/// Line and column.
type Place = (usize, usize);

/// Collects what is wrong while a file is read.
#[derive(Debug)]
pub struct Reader<'t> {
    pub(super) source: &'t SourceText,
    diagnostics: RefCell<Vec<Diagnostic>>,
    /// Place and message of what has been told.
    told: RefCell<BTreeSet<(Option<Place>, String)>>,
    /// How much is wrong beyond what is told.
    hidden: Cell<usize>,
    /// Whether anything in the file plays recorded loads.
    pub(super) plays_trace: Cell<bool>,
    /// Whether recorded loads were named and cannot be used: that there are none is then no further mistake.
    pub(super) trace_failed: Cell<bool>,
    #[cfg(test)]
    pub(super) asked: RefCell<BTreeSet<(&'static str, &'static str)>>,
}

impl<'t> Reader<'t> {
    /// Of this text.
    pub fn new(source: &'t SourceText) -> Self {
        Self {
            source,
            diagnostics: RefCell::default(),
            told: RefCell::default(),
            hidden: Cell::new(0),
            plays_trace: Cell::new(false),
            trace_failed: Cell::new(false),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// Adds a complaint that there are no recorded loads, unless it has been said why.
    pub(super) fn add_unless_trace_failed(&self, diagnostic: Diagnostic) {
        if !self.trace_failed.get() {
            self.add(diagnostic);
        }
    }

    /// Adds a complaint, unless the same was said of the same place: what a group of VMs has wrong is read for several of them.
    pub fn add(&self, diagnostic: Diagnostic) {
        let place = diagnostic.place.as_ref().map(|place| (place.line, place.column));
        let mut told = self.told.borrow_mut();
        if told.contains(&(place, diagnostic.message.clone())) {
            return;
        }
        if self.is_full() {
            self.hidden.set(self.hidden.get() + 1);
            return;
        }
        told.insert((place, diagnostic.message.clone()));
        self.diagnostics.borrow_mut().push(diagnostic);
    }

    /// Whether as much is told as anybody reads; more is only counted.
    fn is_full(&self) -> bool {
        self.diagnostics.borrow().len() >= MOST_TOLD
    }

    /// A complaint about a place, to be completed and [added](Self::add).
    pub fn complain(&self, span: &Span, message: impl Into<String>) -> Diagnostic {
        self.source.complain(span.clone(), message)
    }

    /// The text of a place, for messages.
    pub fn text(&self, span: &Span) -> &'t str {
        self.source.text().get(span.clone()).unwrap_or("")
    }

    /// The line of a place.
    pub fn line(&self, span: &Span) -> usize {
        self.source.position(span.start).0
    }

    /// Whether anything is wrong so far.
    pub fn has_complaints(&self) -> bool {
        !self.diagnostics.borrow().is_empty()
    }

    /// Everything that is wrong.
    pub fn into_bad(self) -> BadScenario {
        BadScenario::new(self.diagnostics.into_inner()).and_more(self.hidden.get())
    }
}

/// A table of the file with what may stand in it.
#[derive(Clone, Copy, Debug)]
pub struct Table<'r, 't> {
    /// Where complaints go.
    pub reader: &'r Reader<'t>,
    pub(super) doc: &'static TableDoc,
    entries: &'r DeTable<'t>,
    /// Where it begins: its header, or its braces.
    start: usize,
}

impl<'r, 't> Table<'r, 't> {
    /// A table; complains about keys that it does not have.
    pub fn new(
        reader: &'r Reader<'t>,
        doc: &'static TableDoc,
        entries: &'r DeTable<'t>,
        span: &Span,
    ) -> Self {
        let table = Self { reader, doc, entries, start: span.start };
        for (key, _) in entries {
            let name: &str = key.get_ref();
            if doc.key(name).is_some() {
                continue;
            }
            if reader.is_full() {
                // Not even the nearest right word is looked for: there may be a million of them.
                reader.hidden.set(reader.hidden.get() + 1);
            } else {
                reader.add(table.unknown_key(name, &key.span()));
            }
        }
        table
    }

    fn unknown_key(&self, name: &str, span: &Span) -> Diagnostic {
        let names: Vec<_> = self.doc.keys().map(|key| key.name).collect();
        let diagnostic = self
            .reader
            .complain(span, format!("`{name}` is not a key of {}", self.doc.name))
            .key(name)
            .allowed(names.join(", "));
        match self.doc.renamed(name) {
            Some(help) => diagnostic.help(help),
            None => diagnostic.nearest(name, names),
        }
    }

    /// Where the table begins, for complaints about what is missing in it.
    pub fn start(&self) -> Span {
        let rest = &self.reader.source.text()[self.start..];
        let header = rest.split('\n').next().unwrap_or("").trim_end();
        // A header is shown whole, an inline table by its brace.
        let width = if header.starts_with('[') { header.find('#').unwrap_or(header.len()) } else { 1 };
        self.start..self.start + header.get(..width).map_or(1, |text| text.trim_end().len())
    }

    fn raw(&self, name: &'static str) -> Option<(&'r DeValue<'t>, Span)> {
        debug_assert!(
            self.doc.key(name).is_some(),
            "`{name}` is missing in the reference of {}",
            self.doc.name
        );
        #[cfg(test)]
        self.reader.asked.borrow_mut().insert((self.doc.name, name));
        let value = self.entries.get(name)?;
        Some((value.get_ref(), value.span()))
    }

    /// Whether the key is there.
    pub fn has(&self, name: &'static str) -> bool {
        self.raw(name).is_some()
    }

    /// Where the key's value stands; where the table begins if there is none.
    pub fn span_of(&self, name: &'static str) -> Span {
        self.raw(name).map_or_else(|| self.start(), |(_, span)| span)
    }

    fn wrong_type(&self, name: &str, span: &Span, found: &DeValue<'_>, wanted: &str) {
        let value = self.reader.text(span);
        self.reader.add(
            self.reader
                .complain(span, format!("`{name}` must be {wanted}"))
                .key(name)
                .value(value)
                .label(format!("this is {}", type_name(found)))
                .allowed(wanted),
        );
    }

    /// Takes a value with `take`; complains that it is not `wanted` if that gives nothing.
    fn take<T>(
        &self,
        name: &'static str,
        wanted: &str,
        take: impl FnOnce(&'r DeValue<'t>) -> Option<T>,
    ) -> Option<Located<T>> {
        let (value, span) = self.raw(name)?;
        match take(value) {
            Some(value) => Some(Located { value, span }),
            None => {
                self.wrong_type(name, &span, value, wanted);
                None
            }
        }
    }

    /// Complains that a value is wrong.
    pub fn bad_value(&self, name: &str, span: &Span, why: impl Into<String>) -> Diagnostic {
        self.reader.complain(span, why).key(name).value(self.reader.text(span))
    }

    /// The value of a key that must be there.
    pub fn required<T>(&self, name: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() && !self.has(name) {
            let doc = self.doc.key(name);
            let form = match doc.map(|doc| doc.form) {
                Some(Form::Table) => format!("a table: [{name}]"),
                Some(Form::Tables) => format!("tables: [[{name}]]"),
                Some(form) => form.describe(),
                None => String::new(),
            };
            let meaning = doc.map_or("", |doc| doc.meaning);
            self.reader.add(
                self.reader
                    .complain(&self.start(), format!("`{name}` is missing in {}", self.doc.name))
                    .key(name)
                    .label(format!("needs `{name}`: {meaning}"))
                    .allowed(form),
            );
        }
        value
    }

    /// A text.
    pub fn text(&self, name: &'static str) -> Option<Located<String>> {
        self.take(name, "a text in quotes", |value| value.as_str().map(str::to_owned))
    }

    /// `true` or `false`.
    pub fn boolean(&self, name: &'static str) -> Option<Located<bool>> {
        self.take(name, "true or false", DeValue::as_bool)
    }

    /// A whole number from `low` to `high`.
    pub fn integer(&self, name: &'static str, low: u64, high: u64) -> Option<Located<u64>> {
        let wanted = if high == u64::MAX {
            format!("a whole number, at least {low}")
        } else {
            format!("a whole number from {low} to {high}")
        };
        let found = self.take(name, &wanted, |value| {
            value
                .as_integer()
                .map(|integer| u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok())
        })?;
        match found.value.filter(|number| (low..=high).contains(number)) {
            Some(value) => Some(Located { value, span: found.span }),
            None => {
                let written = self.reader.text(&found.span);
                self.reader.add(
                    self.bad_value(name, &found.span, format!("`{name}` cannot be {written}"))
                        .allowed(wanted),
                );
                None
            }
        }
    }

    /// A memory buffer, percent.
    pub fn buffer(&self, name: &'static str) -> Option<Located<u64>> {
        let range = MemorySettings::BUFFER_RANGE;
        self.integer(name, (*range.start()).into(), (*range.end()).into())
    }

    /// A number, with or without decimals, from `low` to `high`.
    pub fn number(&self, name: &'static str, low: f64, high: f64) -> Option<Located<f64>> {
        let wanted = if high == f64::MAX {
            format!("a number, at least {low}")
        } else {
            format!("a number from {low} to {high}")
        };
        let found = self.take(name, &wanted, number)?;
        if (low..=high).contains(&found.value) {
            return Some(found);
        }
        let written = self.reader.text(&found.span);
        self.reader
            .add(self.bad_value(name, &found.span, format!("`{name}` cannot be {written}")).allowed(wanted));
        None
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, name: &'static str, words: &[(&'static str, T)]) -> Option<Located<T>> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let found = self.take(name, &format!("one of {}", quoted(&names)), DeValue::as_str)?;
        match words.iter().find(|(word, _)| *word == found.value) {
            Some((_, value)) => Some(Located { value: *value, span: found.span }),
            None => {
                self.reader.add(
                    self.bad_value(name, &found.span, format!("`{name}` cannot be {:?}", found.value))
                        .allowed(quoted(&names))
                        .nearest(found.value, names),
                );
                None
            }
        }
    }

    /// A size.
    pub fn size(&self, name: &'static str) -> Option<Located<PageCount>> {
        let (value, span) = self.raw(name)?;
        self.one_size(name, value, &span).map(|value| Located { value, span })
    }

    fn one_size(&self, name: &str, value: &DeValue<'_>, span: &Span) -> Option<PageCount> {
        let Some(text) = value.as_str() else {
            let number = value.is_integer() || value.is_float();
            let label = if number { "a size needs a unit" } else { "this is no size" };
            let mut diagnostic = self
                .bad_value(name, span, format!("`{name}` must be a size"))
                .label(label)
                .allowed(SIZE_FORM);
            if number {
                diagnostic =
                    diagnostic.help(format!("write \"{}MB\" if MB are meant", self.reader.text(span)));
            }
            self.reader.add(diagnostic);
            return None;
        };
        let (label, help) = match parse_size(text) {
            Ok(size) => return Some(size),
            Err(BadSize::NoNumber) => ("this does not begin with a number".to_owned(), None),
            Err(BadSize::NoUnit) => (
                "a size needs a unit".to_owned(),
                Some(format!("write \"{}MB\" if MB are meant", text.trim())),
            ),
            Err(BadSize::Unit(unit)) => {
                let near = match unit.to_uppercase().chars().next() {
                    Some('K') => Some("KB"),
                    Some('M') => Some("MB"),
                    Some('G') => Some("GB"),
                    Some('T') => Some("TB"),
                    _ => None,
                };
                (
                    format!("`{unit}` is not a unit of memory"),
                    near.map(|near| format!("did you mean `{near}`?")),
                )
            }
            Err(BadSize::NotPages) => ("memory comes in pages of 4 KB".to_owned(), None),
            Err(BadSize::TooLarge) => ("this is more than can be counted".to_owned(), None),
        };
        let diagnostic = self
            .bad_value(name, span, format!("`{name}` cannot be {text:?}"))
            .label(label)
            .allowed(SIZE_FORM);
        self.reader.add(match help {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        });
        None
    }

    /// A span of time.
    pub fn duration(&self, name: &'static str) -> Option<Located<Duration>> {
        let (value, span) = self.raw(name)?;
        self.one_duration(name, value, &span).map(|value| Located { value, span })
    }

    fn one_duration(&self, name: &str, value: &DeValue<'_>, span: &Span) -> Option<Duration> {
        const FORM: &str = "a time with units, such as \"90s\", \"12m30s\" or \"1h\"";
        let Some(text) = value.as_str() else {
            let mut diagnostic = self
                .bad_value(name, span, format!("`{name}` must be a time"))
                .label("this has no unit")
                .allowed(FORM);
            if value.is_integer() || value.is_float() {
                diagnostic =
                    diagnostic.help(format!("write \"{}s\" if seconds are meant", self.reader.text(span)));
            }
            self.reader.add(diagnostic);
            return None;
        };
        match parse_duration(text) {
            Ok(time) => Some(time),
            Err(error) => {
                self.reader.add(
                    self.bad_value(name, span, format!("`{name}` cannot be {text:?}"))
                        .label(error.to_string())
                        .allowed(FORM),
                );
                None
            }
        }
    }

    /// One amount, or `[from, to]`.
    fn draw<T: Copy + PartialOrd>(
        &self,
        name: &'static str,
        one: impl Fn(&DeValue<'_>, &Span) -> Option<T>,
    ) -> Option<Located<Draw<T>>> {
        let (value, span) = self.raw(name)?;
        let Some(array) = value.as_array() else {
            return one(value, &span).map(|value| Located { value: Draw::Fixed(value), span });
        };
        let [low, high] = pair(array).or_else(|| {
            self.reader.add(
                self.bad_value(name, &span, format!("`{name}` must be one amount or two"))
                    .label(format!("these are {}", array.len()))
                    .allowed("an amount, or [least, most] to draw from"),
            );
            None
        })?;
        let (low_value, high_value) = (one(low.get_ref(), &low.span()), one(high.get_ref(), &high.span()));
        let (low_value, high_value) = (low_value?, high_value?);
        if low_value > high_value {
            self.reader.add(
                self.bad_value(name, &span, format!("the range of `{name}` begins above its end"))
                    .allowed("[least, most]"),
            );
            return None;
        }
        Some(Located { value: Draw::Between(low_value, high_value), span })
    }

    /// A size, or two to draw one between.
    pub(super) fn draw_size(&self, name: &'static str) -> Option<Located<Draw<PageCount>>> {
        self.draw(name, |value, span| self.one_size(name, value, span))
    }

    /// A span of time, or two to draw one between.
    pub(super) fn draw_duration(&self, name: &'static str) -> Option<Located<Draw<Duration>>> {
        self.draw(name, |value, span| self.one_duration(name, value, span))
    }

    /// A table within this one.
    pub fn table(&self, name: &'static str, doc: &'static TableDoc) -> Option<Table<'r, 't>> {
        let (entries, span) = self.raw_table(name)?;
        Some(Table::new(self.reader, doc, entries, &span))
    }

    /// The entries of a table within this one, whatever they are.
    pub fn raw_table(&self, name: &'static str) -> Option<(&'r DeTable<'t>, Span)> {
        let found = self.take(name, &format!("a table: [{name}]"), DeValue::as_table)?;
        Some((found.value, found.span))
    }

    /// Tables of one kind within this one: `[[name]]`.
    pub fn tables(&self, name: &'static str) -> Vec<(&'r DeTable<'t>, Span)> {
        let Some(found) = self.take(name, &format!("a list of tables: [[{name}]]"), DeValue::as_array) else {
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in found.value {
            match element.get_ref().as_table() {
                Some(entries) => tables.push((entries, element.span())),
                None => {
                    self.wrong_type(
                        name,
                        &element.span(),
                        element.get_ref(),
                        &format!("a list of tables: [[{name}]]"),
                    );
                }
            }
        }
        tables
    }

    /// A text, or a list of texts.
    pub fn texts(&self, name: &'static str) -> Option<Located<Vec<Located<String>>>> {
        let (value, span) = self.raw(name)?;
        let elements: Vec<_> = match value.as_array() {
            Some(array) => array.iter().map(|element| (element.get_ref().as_str(), element.span())).collect(),
            None => vec![(value.as_str(), span.clone())],
        };
        let mut texts = Vec::new();
        for (text, text_span) in elements {
            match text {
                Some(text) => texts.push(Located { value: text.to_owned(), span: text_span }),
                None => {
                    self.reader.add(self.bad_value(
                        name,
                        &text_span,
                        format!("`{name}` must be a text or a list of texts"),
                    ));
                    return None;
                }
            }
        }
        Some(Located { value: texts, span })
    }

    /// Any value, with its place, to be understood by another module.
    pub fn value(&self, name: &'static str) -> Option<(&'r DeValue<'t>, Span)> {
        self.raw(name)
    }
}

fn pair<'a, 't>(array: &'a DeArray<'t>) -> Option<[&'a Spanned<DeValue<'t>>; 2]> {
    let mut elements = array.iter();
    match (elements.next(), elements.next(), elements.next()) {
        (Some(low), Some(high), None) => Some([low, high]),
        _ => None,
    }
}

/// A number with or without decimals; finite.
pub(super) fn number(value: &DeValue<'_>) -> Option<f64> {
    let text = match value {
        DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
        DeValue::Float(float) => float.as_str(),
        _ => return None,
    };
    text.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite())
}

pub(super) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
