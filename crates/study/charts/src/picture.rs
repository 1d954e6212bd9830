//! Pictures as SVG text: lines, boxes, circles, words.
//!
//! A picture stands [alone](Picture::new), with its colours in it, or [inside a page](Picture::inline), whose style sheet gives
//! elements their colours by class, in light and in dark.

use std::fmt::Write as _;

/// Fonts that are nearly everywhere; numbers of one width.
const FONTS: &str = "'DejaVu Sans', 'Liberation Sans', Arial, Helvetica, sans-serif";

/// Where words stand to their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// They begin there.
    Start,
    /// Their middle is there.
    Middle,
    /// They end there.
    End,
}

impl Anchor {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// How a line looks. Every line differs from its neighbours in more than its colour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stroke {
    /// Its colour.
    pub colour: &'static str,
    /// Its width, points.
    pub width: f64,
    /// Lengths of dashes and gaps; empty: a whole line.
    pub dashes: &'static str,
}

/// How an element looks: with colours of its own, or as the page's style sheet says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look<'a> {
    /// Drawn as this line.
    Line(Stroke),
    /// Classes of the page's style sheet; empty: none.
    Class(&'a str),
}

impl From<Stroke> for Look<'_> {
    fn from(stroke: Stroke) -> Self {
        Self::Line(stroke)
    }
}

impl<'a> From<&'a str> for Look<'a> {
    fn from(classes: &'a str) -> Self {
        Self::Class(classes)
    }
}

impl Look<'_> {
    fn attributes(self) -> String {
        match self {
            Self::Line(stroke) => {
                let dashes = if stroke.dashes.is_empty() {
                    String::new()
                } else {
                    format!(" stroke-dasharray=\"{}\"", stroke.dashes)
                };
                format!(" stroke=\"{}\" stroke-width=\"{}\"{dashes}", stroke.colour, stroke.width)
            }
            Self::Class("") => String::new(),
            Self::Class(classes) => format!(" class=\"{classes}\""),
        }
    }
}

/// Black. This and the next three differ for colour-blind readers and in brightness too (Okabe and Ito).
pub const BLACK: &str = "#000000";
/// Blue.
pub const BLUE: &str = "#0072B2";
/// Orange.
pub const ORANGE: &str = "#D55E00";
/// Grey.
pub const GREY: &str = "#808080";
/// Grey for lines behind others.
pub const LIGHT: &str = "#D9D9D9";
/// Grey for areas.
pub const PALE: &str = "#F0F0F0";

/// Grey for a broad line beneath another.
pub const BENEATH: &str = "#B8B8B8";
/// Grey for a band of values.
pub const BAND: &str = "#E3E3E3";
/// The paper.
pub const PAPER: &str = "#ffffff";
/// Dark grey for a filled bar, on which words are white.
pub const BAR: &str = "#4D4D4D";
/// Light grey for a filled bar.
pub const LIGHT_BAR: &str = "#BFBFBF";

/// A VM whose memory is more than its load needs. This and the next three are the report's, of one order of brightness on either paper.
pub const LOW: &str = "#7fb4dc";
/// A VM whose memory fits its load.
pub const FITS: &str = "#3f8f74";
/// A VM whose buffer is nearly used up; memory on its way.
pub const HIGH: &str = "#e0a100";
/// A VM that lacks memory.
pub const OVER: &str = "#c8321f";

/// What each colour of a picture that stands alone is where its reader prefers dark: the same order of brightness from the paper on, and
/// colours that differ for colour-blind readers (Okabe and Ito's sky blue, a lighter vermilion). White words stay white.
const DARK: [(&str, &str); 15] = [
    (PAPER, "#1d1f21"),
    (BLACK, "#e8e8e8"),
    (BLUE, "#56B4E9"),
    (ORANGE, "#F0883E"),
    (GREY, "#9a9a9a"),
    (LIGHT, "#3d4043"),
    (PALE, "#292c2f"),
    (BENEATH, "#64686b"),
    (BAND, "#363a3d"),
    (BAR, "#5f6265"),
    (LIGHT_BAR, "#3a3d40"),
    (LOW, "#4d88b5"),
    (FITS, "#4fae8c"),
    (HIGH, "#f0c040"),
    (OVER, "#ff7a66"),
];

/// The style sheet of a picture that stands alone: the colours in its elements are those of light paper, which every program shows; one
/// that knows what its reader prefers shows these in their place.
fn dark() -> String {
    let rule = |(light, dark): &(&str, &str)| {
        format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
    };
    let rules: String = DARK.iter().map(rule).collect();
    format!("<style>@media (prefers-color-scheme:dark){{text{{fill:#e8e8e8}}{rules}}}</style>")
}

/// Words among lines: the lines keep a little distance.
pub const HALO: &str =
    " paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"3.5\" stroke-linejoin=\"round\"";

impl Stroke {
    /// A whole line.
    #[must_use]
    pub const fn solid(colour: &'static str, width: f64) -> Self {
        Self { colour, width, dashes: "" }
    }

    /// A dashed line.
    #[must_use]
    pub const fn dashed(colour: &'static str, width: f64, dashes: &'static str) -> Self {
        Self { colour, width, dashes }
    }
}

/// Eight curves that can be told apart, without colour, too.
pub const STROKES: [Stroke; 8] = [
    Stroke::solid(BLUE, 2.0),
    Stroke::dashed(ORANGE, 1.6, "6 3"),
    Stroke::solid(BLACK, 1.0),
    Stroke::dashed(BLACK, 1.2, "2 2"),
    Stroke::solid(GREY, 1.6),
    Stroke::dashed(BLUE, 1.4, "8 2 2 2"),
    Stroke::solid(ORANGE, 1.0),
    Stroke::dashed(GREY, 1.2, "4 2"),
];

/// A picture being drawn.
#[derive(Debug)]
pub struct Picture {
    text: String,
}

/// Text that may stand in SVG and HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text of so many characters at most: of a longer one the middle is left out, since names differ at their ends.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(1);
    let (head, tail) = (kept - kept / 2, kept / 2);
    let head: String = characters.iter().take(head).collect();
    let tail: String = characters.iter().skip(characters.len() - tail).collect();
    format!("{head}…{tail}")
}

/// Tenths of a point are finer than any printer; so files are small and the same everywhere.
fn place(value: f64) -> Place {
    Place((value * 10.0).round() as i64)
}

/// A number of tenths. Whole numbers are written in a fraction of the time that floating point takes, and a figure has thousands of them.
struct Place(i64);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        std::fmt::Display::fmt(&(tenths / 10), f)?;
        if tenths.is_multiple_of(10) {
            return Ok(());
        }
        f.write_str(".")?;
        std::fmt::Display::fmt(&(tenths % 10), f)
    }
}

impl Picture {
    /// A picture that stands alone, of this size in points.
    #[must_use]
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut text = String::new();
        let _: std::fmt::Result = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" \
             font-family=\"{FONTS}\" font-size=\"11\">\n<title>{2}</title>\n{3}\n<rect width=\"{0}\" height=\"{1}\" fill=\"{PAPER}\"/>\n",
            place(width),
            place(height),
            escape(title),
            dark()
        );
        Self { text }
    }

    /// A picture inside a page, of this size in the page's units, which is read to whoever does not see it as `label`.
    #[must_use]
    pub fn inline(width: f64, height: f64, label: &str) -> Self {
        let text = format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
            place(width),
            place(height),
            escape(label)
        );
        Self { text }
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _: std::fmt::Result = self.text.write_fmt(element);
        self.text.push('\n');
    }

    /// A straight line.
    pub fn line<'a>(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), look: impl Into<Look<'a>>) {
        self.add(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"{}/>",
            place(x1),
            place(y1),
            place(x2),
            place(y2),
            look.into().attributes()
        ));
    }

    /// A line through points; a gap is a new piece.
    pub fn path<'a>(&mut self, pieces: &[Vec<(f64, f64)>], look: impl Into<Look<'a>>) {
        let mut way = String::new();
        for piece in pieces {
            for (index, (x, y)) in piece.iter().enumerate() {
                let command = if index == 0 { 'M' } else { 'L' };
                let _: std::fmt::Result = write!(way, "{command}{} {}", place(*x), place(*y));
            }
        }
        if !way.is_empty() {
            self.add(format_args!(
                "<path d=\"{way}\" fill=\"none\" stroke-linejoin=\"round\"{}/>",
                look.into().attributes()
            ));
        }
    }

    /// An area with these corners.
    pub fn area(&mut self, corners: &[(f64, f64)], class: &str) {
        let corners: Vec<String> =
            corners.iter().map(|(x, y)| format!("{},{}", place(*x), place(*y))).collect();
        self.add(format_args!(
            "<polygon points=\"{}\"{}/>",
            corners.join(" "),
            Look::Class(class).attributes()
        ));
    }

    /// A box: its upper left corner, and its width and height.
    pub fn rectangle(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        fill: &str,
        stroke: Option<Stroke>,
    ) {
        let edge = stroke.map(|stroke| Look::Line(stroke).attributes()).unwrap_or_default();
        self.add(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"{edge}/>",
            place(x),
            place(y),
            place(width.max(0.0)),
            place(height.max(0.0))
        ));
    }

    /// A circle.
    pub fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, stroke: Stroke) {
        self.add(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{fill}\"{}/>",
            place(x),
            place(y),
            place(radius),
            Look::Line(stroke).attributes()
        ));
    }

    /// A dot that looks as the page says.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str) {
        self.add(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"{}/>",
            place(x),
            place(y),
            place(radius),
            Look::Class(class).attributes()
        ));
    }

    /// A dot that looks as the page says, and says something to the pointer and to whoever does not see it.
    pub fn telling_dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str, says: &str) {
        self.add(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"{}><title>{}</title></circle>",
            place(x),
            place(y),
            place(radius),
            Look::Class(class).attributes(),
            escape(says)
        ));
    }

    /// Words that look as the page says.
    pub fn words(&mut self, at: (f64, f64), anchor: Anchor, class: &str, words: &str) {
        self.styled(at, anchor, &Look::Class(class).attributes(), words);
    }

    /// Words.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, words: &str) {
        self.styled((x, y), anchor, "", words);
    }

    /// Words with attributes of their own.
    pub fn styled(&mut self, (x, y): (f64, f64), anchor: Anchor, style: &str, words: &str) {
        self.add(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{}\"{style}>{}</text>",
            place(x),
            place(y),
            anchor.word(),
            escape(words)
        ));
    }

    /// Words that read from below to above.
    pub fn upright(&mut self, (x, y): (f64, f64), words: &str) {
        self.add(format_args!(
            "<text transform=\"translate({} {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            place(x),
            place(y),
            escape(words)
        ));
    }

    /// A number in a circle, as phases are named. Drawn, since not every font has these signs.
    pub fn circled(&mut self, (x, y): (f64, f64), number: usize) {
        self.circle((x, y), 7.5, PAPER, Stroke::solid(BLACK, 0.9));
        self.styled((x, y + 3.8), Anchor::Middle, " font-size=\"10.5\"", &number.to_string());
    }

    /// The picture's text.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_names_the_middle_is_left_out() {
        assert_eq!(shortened("VM8", 8), "VM8");
        assert_eq!(shortened("fleet-host-0001", 9), "flee…0001");
        assert_eq!(shortened("fleet", 1), "…");
    }

    /// A colour without its dark one would be lost on dark paper.
    #[test]
    fn every_colour_of_light_paper_has_one_of_dark_paper() {
        let text = Picture::new(1.0, 1.0, "").finish();
        for colour in [
            PAPER, BLACK, BLUE, ORANGE, GREY, LIGHT, PALE, BENEATH, BAND, BAR, LIGHT_BAR, LOW, FITS, HIGH,
            OVER,
        ] {
            assert!(text.contains(&format!("[fill=\"{colour}\"]")), "{colour}");
        }
        assert!(HALO.contains(&format!("stroke=\"{PAPER}\"")));
        let mut darks: Vec<&str> = DARK.iter().map(|(_, dark)| *dark).collect();
        darks.sort_unstable();
        darks.dedup();
        assert_eq!(darks.len(), DARK.len(), "two would look alike");
    }

    #[test]
    fn places_are_short() {
        let values = [12.0, 12.34, -0.01, -0.5, -12.04];
        assert_eq!(values.map(|value| place(value).to_string()), ["12", "12.3", "0", "-0.5", "-12"]);
    }

    #[test]
    fn words_cannot_break_the_picture() {
        let mut picture = Picture::new(10.0, 10.0, "<&>");
        picture.text((0.0, 0.0), Anchor::Start, "a < b & c");
        let text = picture.finish();
        assert!(text.contains("<title>&lt;&amp;&gt;</title>") && text.contains("a &lt; b &amp; c"));
        assert!(text.ends_with("</svg>\n"));
    }
}
