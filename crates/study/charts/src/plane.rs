//! Two measures against each other.

use crate::picture::{Anchor, Picture};
use crate::scale::{range, short, ticks};

/// A dot in the plane of two measures.
#[derive(Clone, Debug)]
pub struct Spot {
    /// Stands beside it.
    pub label: String,
    /// Class of the page's style sheet that has its colour.
    pub class: String,
    /// The measure from left to right; not negative.
    pub x: f64,
    /// The measure from below to above; not negative.
    pub y: f64,
}

/// Labels are at least so far apart.
const APART: f64 = 13.0;

/// Draws them on logarithmic axes that hold 0, for a page.
#[must_use]
pub fn plane(title: &str, (x_title, y_title): (&str, &str), spots: &[Spot]) -> String {
    let (width, height) = (640.0, 400.0);
    let (left, right, top, bottom) = (70.0, 610.0, 34.0, 350.0);
    let scale = |value: f64| libm::log10(1.0 + value.max(0.0));
    let (x_from, x_to) = range(spots.iter().map(|spot| scale(spot.x)));
    let (y_from, y_to) = range(spots.iter().map(|spot| scale(spot.y)));
    let x = |value: f64| left + (right - left) * (scale(value) - x_from) / (x_to - x_from);
    let y = |value: f64| bottom - (bottom - top) * (scale(value) - y_from) / (y_to - y_from);
    let mut picture = Picture::inline(width, height, title);
    picture.words((0.0, 13.0), Anchor::Start, "title", title);
    picture.words((right, height - 8.0), Anchor::End, "tick", &format!("{x_title} →"));
    picture.words((0.0, top - 5.0), Anchor::Start, "tick", &format!("↑ {y_title}"));
    picture.words((0.0, height - 8.0), Anchor::Start, "tick", "Both axes are logarithmic.");
    for value in ticks(x_from, x_to) {
        picture.line((x(value), top), (x(value), bottom), "grid");
        picture.words((x(value), bottom + 16.0), Anchor::Middle, "tick", &short(value));
    }
    for value in ticks(y_from, y_to) {
        picture.line((left, y(value)), (right, y(value)), "grid");
        picture.words((left - 6.0, y(value) + 4.0), Anchor::End, "tick", &short(value));
    }
    // Labels from the top down, each at its dot unless it would lie on one above it.
    let mut order: Vec<&Spot> = spots.iter().collect();
    order.sort_by(|a, b| b.y.total_cmp(&a.y).then(a.x.total_cmp(&b.x)));
    let mut labels: Vec<(f64, f64, f64)> = Vec::new();
    for spot in order {
        let (cx, cy) = (x(spot.x), y(spot.y));
        let width = 7.0 * spot.label.chars().count() as f64 + 12.0;
        let to_the_left = cx + 9.0 + width > right + 40.0;
        let (begin, end) = if to_the_left { (cx - 9.0 - width, cx) } else { (cx, cx + 9.0 + width) };
        let mut line = cy + 4.0;
        while labels.iter().any(|(from, to, at)| begin < *to && *from < end && (at - line).abs() < APART) {
            line += APART;
        }
        labels.push((begin, end, line));
        let (at, anchor) = if to_the_left { (cx - 9.0, Anchor::End) } else { (cx + 9.0, Anchor::Start) };
        let says = format!("{}: {} {x_title}, {} {y_title}", spot.label, short(spot.x), short(spot.y));
        picture.telling_dot((cx, cy), 6.0, &spot.class, &says);
        picture.words((at, line), anchor, "", &spot.label);
    }
    picture.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_say_what_they_are_and_labels_of_dots_in_one_place_do_not_lie_on_each_other() {
        let spot = |label: &str| Spot { label: label.to_owned(), class: "p0".to_owned(), x: 10.0, y: 10.0 };
        let svg = plane("both", ("x", "y"), &[spot("one"), spot("two")]);
        assert!(svg.contains("Both axes are logarithmic."), "{svg}");
        let line = |label: &str| {
            let element = svg.lines().find(|line| line.contains(&format!(">{label}<"))).unwrap().to_owned();
            element.split("y=\"").nth(1).and_then(|rest| rest.split('"').next()?.parse::<f64>().ok()).unwrap()
        };
        assert!((line("one") - line("two")).abs() >= APART, "{svg}");
    }
}
