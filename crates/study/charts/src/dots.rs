//! Values with their intervals, one below the other.

use crate::picture::{Anchor, Picture};
use crate::scale::{axis, short, short_ends};

/// A value with its interval.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is of.
    pub label: String,
    /// Class of the page's style sheet that has its colour.
    pub class: String,
    /// The value.
    pub median: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
    /// As text.
    pub value: String,
}

const ROW: f64 = 20.0;
const LABELS: f64 = 118.0;
const PLOT: f64 = 210.0;
const VALUES: f64 = 112.0;
const TOP: f64 = 24.0;

/// Draws them, for a page. `ends` are the least and the most that there can be.
#[must_use]
pub fn dots(title: &str, unit: &str, ends: (f64, f64), rows: &[Row]) -> String {
    let bottom = TOP + ROW * rows.len() as f64;
    let width = LABELS + PLOT + VALUES;
    let lowest = rows.iter().map(|row| row.low).fold(f64::INFINITY, f64::min);
    let highest = rows.iter().map(|row| row.high).fold(0.0, f64::max);
    let (from, to) = axis(lowest, highest, ends);
    let x = |value: f64| LABELS + PLOT * ((value - from) / (to - from)).clamp(0.0, 1.0);
    let title = if unit.is_empty() { title.to_owned() } else { format!("{title} ({unit})") };
    let mut picture = Picture::inline(width, bottom + 22.0, &title);
    picture.words((0.0, 13.0), Anchor::Start, "title", &title);
    let [first, last] = short_ends(from, to);
    for (at, anchor, label) in [(from, Anchor::Start, first), (to, Anchor::End, last)] {
        picture.line((x(at), TOP), (x(at), bottom), "axis");
        picture.words((x(at), bottom + 14.0), anchor, "tick", &label);
    }
    for (place, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (place as f64 + 0.5);
        picture.words((0.0, y + 4.0), Anchor::Start, "", &row.label);
        picture.line((LABELS, y), (LABELS + PLOT, y), "grid");
        picture.line((x(row.low), y), (x(row.high), y), format!("ci {}", row.class).as_str());
        let says = format!("{}: {} ({} to {})", row.label, row.value, short(row.low), short(row.high));
        picture.telling_dot((x(row.median), y), 4.5, &row.class, &says);
        picture.words((width, y + 4.0), Anchor::End, "value", &row.value);
    }
    picture.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out() {
        let svg = dots("<script>", "", (0.0, 1.0), &[]);
        assert!(!svg.contains("<script>"), "{svg}");
    }

    #[test]
    fn every_row_is_named_and_in_its_place() {
        let row = |label: &str, median: f64| Row {
            label: label.to_owned(),
            class: "p0".to_owned(),
            median,
            low: median,
            high: median,
            value: median.to_string(),
        };
        let svg = dots("unmet", "MB", (0.0, f64::INFINITY), &[row("none", 0.0), row("most", 80.0)]);
        assert!(svg.contains(">none<") && svg.contains(">most<") && svg.contains("unmet (MB)"));
        assert!(svg.contains("cx=\"118\"") && svg.contains("cx=\"328\""), "{svg}");
    }
}
