//! Pages that need nothing beside themselves: no network, no server, no other file.
//!
//! All pages of this project have one frame, one style sheet (light and dark, print, screens of 390 pixels, keys) and two kinds of charts. Values
//! with their intervals and measures against each other are still: SVG, drawn in Rust ([`dots`](crate::dots), [`plane`](crate::plane)), so that
//! they are there without JavaScript, can be copied as pictures, and each dot says its numbers to pointer and screen reader. Curves over
//! time have thousands of points and are looked into: uPlot draws them in the browser, with zoom and a pointer.
//!
//! [`Page`] puts a page together. A page with parts of its own, such as a run's report, takes the same pieces: [`assemble`], [`STYLE`] and the
//! scripts.

use serde::Serialize;

use crate::escape;

/// The style sheet of all pages, after that of uPlot.
pub const STYLE: [&str; 2] =
    [include_str!("../page/vendor/uPlot.min.css"), include_str!("../page/style.css")];

/// The library that draws curves, with its licence.
pub const PLOT: &str = concat!(
    "/*! uPlot. ",
    include_str!("../page/vendor/uPlot-LICENSE"),
    "*/\n",
    include_str!("../page/vendor/uPlot.iife.min.js")
);
/// What all scripts of a page share: elements, its state, colours.
pub const BASE: &str = include_str!("../page/base.js");
/// Numbers and times as people read them.
pub const NUMBERS: &str = include_str!("../page/numbers.js");
/// Curves over time, after [`PLOT`], [`BASE`] and [`NUMBERS`].
pub const CURVES: &str = include_str!("../page/curves.js");
/// Light and dark, after [`BASE`].
pub const THEME: &str = include_str!("../page/theme.js");

/// The frame of a [`Page`], and what fills its panels.
const FRAME: &str = include_str!("../page/page.html");
const PANELS: &str = include_str!("../page/panels.js");

/// Height of curves in pixels, unless said otherwise.
pub const HEIGHT: u32 = 190;

/// A page of text, still charts and curves over time.
#[derive(Clone, Debug, Default)]
pub struct Page {
    title: String,
    style: String,
    body: String,
    panels: Vec<Panel>,
}

/// Curves over one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// The unit's sign, such as MB.
    pub unit: String,
    /// Times in seconds, ascending.
    pub times: Vec<f64>,
    /// Its curves, those at the back first.
    pub curves: Vec<Curve>,
    /// Panels of the same number show the same part of their time.
    pub time: usize,
    /// Height in pixels.
    pub height: u32,
    /// The axis goes to this at least, so that several can be compared.
    pub most: f64,
    /// Whether its curves are named below it.
    pub legend: bool,
}

impl Panel {
    /// With curves that are named below, [`HEIGHT`] high.
    #[must_use]
    pub fn new(title: &str, unit: &str, times: Vec<f64>, curves: Vec<Curve>) -> Self {
        let (title, unit) = (title.to_owned(), unit.to_owned());
        Self { title, unit, times, curves, time: 0, height: HEIGHT, most: 0.0, legend: true }
    }
}

/// A curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// Which of the page's looks it has: the same number looks the same in every panel.
    pub place: usize,
    /// How it is drawn.
    pub drawn: Drawn,
    /// A value for each time; `None` where there is none.
    pub values: Vec<Option<f64>>,
}

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Drawn {
    /// As a line, with the look of its place.
    #[default]
    Line,
    /// As an area, down to 0.
    Area,
    /// As a limit: a thin line with dashes.
    Limit,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), ..Self::default() }
    }

    /// Adds to the style sheet.
    pub fn style(&mut self, css: &str) {
        self.style.push_str(css);
    }

    /// Adds HTML to the page: what is in it of others has been [escaped](escape).
    pub fn push(&mut self, html: &str) {
        self.body.push_str(html);
    }

    /// Adds a paragraph of plain text.
    pub fn paragraph(&mut self, class: &str, text: &str) {
        self.push(&format!("<p class=\"{class}\">{}</p>\n", escape(text)));
    }

    /// Adds text as a terminal shows it.
    pub fn preformatted(&mut self, text: &str) {
        self.push(&format!("<pre class=\"text\">{}</pre>\n", escape(text)));
    }

    /// Adds curves. They draw themselves when they come into view.
    pub fn curves(&mut self, panel: Panel) {
        self.push(&format!("<figure data-panel=\"{}\"></figure>\n", self.panels.len()));
        self.panels.push(panel);
    }

    /// The page as UTF-8.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let Self { title, style, body, panels } = self;
        let scripts = [PLOT, BASE, NUMBERS, CURVES, THEME, PANELS];
        assemble(FRAME, &[&STYLE[..], &[&style]].concat(), &scripts, |name, out| match name {
            "title" => out.extend_from_slice(escape(&title).as_bytes()),
            "body" => out.extend_from_slice(body.as_bytes()),
            "data" => data("data-panels", out, |out| json(&panels, out)),
            _ => {}
        })
    }
}

/// Fills a frame: at `<!-- styles -->` and `<!-- scripts -->` stand those, and at any other such place what `fill` writes for its name.
pub fn assemble(
    frame: &str,
    styles: &[&str],
    scripts: &[&str],
    mut fill: impl FnMut(&str, &mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 18);
    for (index, piece) in frame.split("<!--").enumerate() {
        let Some((name, rest)) = piece.split_once("-->").filter(|_| index > 0) else {
            out.extend_from_slice(piece.as_bytes());
            continue;
        };
        match name.trim() {
            "styles" => styles.iter().for_each(|style| element("style", style, &mut out)),
            "scripts" => scripts.iter().for_each(|script| element("script", script, &mut out)),
            name => fill(name, &mut out),
        }
        out.extend_from_slice(rest.as_bytes());
    }
    out
}

fn element(name: &str, text: &str, out: &mut Vec<u8>) {
    if text.trim().is_empty() {
        return;
    }
    for part in ["<", name, ">\n", text.trim_end(), "\n</", name, ">\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// A piece of data of a page, for `Report.data(id)`; `write` writes its JSON.
pub fn data(id: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"<script type=\"application/json\" id=\"");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"\">");
    write(out);
    out.extend_from_slice(b"</script>\n");
}

/// Appends a value as JSON in which nothing ends a script: `<` is written as its number.
pub fn json(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    let before = out.len();
    // Writing values like these into memory cannot fail.
    let _: Result<(), serde_json::Error> = serde_json::to_writer(&mut *out, value);
    if out[before..].contains(&b'<') {
        let text = out.split_off(before);
        for piece in text.split_inclusive(|&byte| byte == b'<') {
            match piece.split_last() {
                Some((b'<', rest)) => {
                    out.extend_from_slice(rest);
                    out.extend_from_slice(b"\\u003c");
                }
                _ => out.extend_from_slice(piece),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_says_does_not_become_part_of_it() {
        let values = vec![Some(1.0), None];
        let curve = Curve { name: "</script><b>".to_owned(), place: 0, drawn: Drawn::Line, values };
        let mut page = Page::new("<A>");
        page.paragraph("faint", "a < b");
        page.curves(Panel::new("<!--", "MB", vec![0.0, 1.0], vec![curve]));
        page.preformatted("</script>");
        let page = String::from_utf8(page.finish()).unwrap();
        assert!(page.contains("<title>&lt;A&gt;</title>") && page.contains("<h1>&lt;A&gt;</h1>"));
        assert!(!page.contains("</script><b>") && !page.contains("<!--") && page.contains("a &lt; b"));
        assert!(page.contains("[1.0,null]") && page.contains("uPlot"));
        assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    }

    #[test]
    fn no_script_or_style_ends_the_element_that_it_is_in() {
        for text in STYLE.iter().chain(&[PLOT, BASE, NUMBERS, CURVES, THEME, PANELS]) {
            let text = text.to_ascii_lowercase();
            assert!(!text.contains("</script") && !text.contains("</style") && !text.contains("<!--"));
        }
    }

    #[test]
    fn the_frame_takes_nothing_from_elsewhere() {
        for part in ["<!-- styles -->", "<!-- body -->", "<!-- data -->", "<!-- scripts -->"] {
            assert_eq!(FRAME.matches(part).count(), 1, "{part}");
        }
        assert!(!FRAME.contains("src=") && !FRAME.contains("href=\"http"));
    }
}
