//! Pictures as SVG text: lines, boxes, words, with sizes in points of a 720-point page.

use std::fmt::Write as _;

/// Fonts that are nearly everywhere; numbers of one width.
const FONTS: &str = "'DejaVu Sans', 'Liberation Sans', Arial, Helvetica, sans-serif";

/// Where words stand to their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
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
pub(crate) struct Stroke {
    pub(crate) colour: &'static str,
    pub(crate) width: f64,
    /// Lengths of dashes and gaps; empty: a whole line.
    pub(crate) dashes: &'static str,
}

/// Colours that differ for colour-blind readers and in brightness too (Okabe and Ito).
pub(crate) const BLACK: &str = "#000000";
pub(crate) const BLUE: &str = "#0072B2";
pub(crate) const ORANGE: &str = "#D55E00";
pub(crate) const GREY: &str = "#808080";
pub(crate) const LIGHT: &str = "#D9D9D9";
pub(crate) const PALE: &str = "#F0F0F0";

/// Words among lines: the lines keep a little distance.
pub(crate) const HALO: &str =
    " paint-order=\"stroke\" stroke=\"#ffffff\" stroke-width=\"3.5\" stroke-linejoin=\"round\"";

impl Stroke {
    pub(crate) const fn solid(colour: &'static str, width: f64) -> Self {
        Self { colour, width, dashes: "" }
    }

    pub(crate) const fn dashed(colour: &'static str, width: f64, dashes: &'static str) -> Self {
        Self { colour, width, dashes }
    }
}

/// A picture being drawn.
#[derive(Debug)]
pub(crate) struct Picture {
    text: String,
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Tenths of a point are finer than any printer; so files are small and the same everywhere.
fn place(value: f64) -> String {
    let text = format!("{:.1}", (value * 10.0).round() / 10.0);
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

impl Picture {
    pub(crate) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut text = String::new();
        let _: std::fmt::Result = write!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" \
             font-family=\"{FONTS}\" font-size=\"11\">\n<title>{2}</title>\n<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
            place(width),
            place(height),
            escape(title)
        );
        Self { text }
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _: std::fmt::Result = self.text.write_fmt(element);
        self.text.push('\n');
    }

    pub(crate) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: Stroke) {
        self.add(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"{}/>",
            place(x1),
            place(y1),
            place(x2),
            place(y2),
            look(stroke)
        ));
    }

    /// A line through points; a gap is a new piece.
    pub(crate) fn path(&mut self, pieces: &[Vec<(f64, f64)>], stroke: Stroke) {
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
                look(stroke)
            ));
        }
    }

    pub(crate) fn rectangle(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        fill: &str,
        stroke: Option<Stroke>,
    ) {
        let edge = stroke.map(look).unwrap_or_default();
        self.add(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fill}\"{edge}/>",
            place(x),
            place(y),
            place(width.max(0.0)),
            place(height.max(0.0))
        ));
    }

    pub(crate) fn circle(&mut self, (x, y): (f64, f64), radius: f64, fill: &str, stroke: Stroke) {
        self.add(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{fill}\"{}/>",
            place(x),
            place(y),
            place(radius),
            look(stroke)
        ));
    }

    pub(crate) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, words: &str) {
        self.styled((x, y), anchor, "", words);
    }

    pub(crate) fn styled(&mut self, (x, y): (f64, f64), anchor: Anchor, style: &str, words: &str) {
        self.add(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"{}\"{style}>{}</text>",
            place(x),
            place(y),
            anchor.word(),
            escape(words)
        ));
    }

    /// Words that read from below to above.
    pub(crate) fn upright(&mut self, (x, y): (f64, f64), words: &str) {
        self.add(format_args!(
            "<text transform=\"translate({} {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            place(x),
            place(y),
            escape(words)
        ));
    }

    /// A number in a circle, as phases are named. Drawn, since not every font has these signs.
    pub(crate) fn circled(&mut self, (x, y): (f64, f64), number: usize) {
        self.circle((x, y), 7.5, "#ffffff", Stroke::solid(BLACK, 0.9));
        self.styled((x, y + 3.8), Anchor::Middle, " font-size=\"10.5\"", &number.to_string());
    }

    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

fn look(stroke: Stroke) -> String {
    let dashes = if stroke.dashes.is_empty() {
        String::new()
    } else {
        format!(" stroke-dasharray=\"{}\"", stroke.dashes)
    };
    format!(" stroke=\"{}\" stroke-width=\"{}\"{dashes}", stroke.colour, stroke.width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_short() {
        assert_eq!(place(12.0), "12");
        assert_eq!(place(12.34), "12.3");
        assert_eq!(place(-0.01), "0");
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
