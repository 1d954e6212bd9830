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
pub fn plane(title: &str, titles: (&str, &str), spots: &[Spot]) -> String {
    plane_with_front(title, titles, spots, &[])
}

/// The same with a front: points (measure from left to right, measure from below to above) that no dot can be below. Classes `front` and
/// `below` of the page's style sheet have the colours of the line and of what is under it.
#[must_use]
pub fn plane_with_front(
    title: &str,
    (x_title, y_title): (&str, &str),
    spots: &[Spot],
    front: &[(f64, f64)],
) -> String {
    let (width, height) = (640.0, 400.0);
    let (right, top, bottom) = (610.0, 34.0, 350.0);
    let scale = |value: f64| libm::log10(1.0 + value.max(0.0));
    let (x_from, x_to) =
        range(spots.iter().map(|spot| spot.x).chain(front.iter().map(|point| point.0)).map(scale));
    let (y_from, y_to) =
        range(spots.iter().map(|spot| spot.y).chain(front.iter().map(|point| point.1)).map(scale));
    // Room for the longest number beside the axis, at the width of a digit in the page's type.
    let longest = ticks(y_from, y_to).into_iter().map(|value| short(value).chars().count()).max();
    let left = f64::max(70.0, 6.2 * longest.unwrap_or(0) as f64 + 8.0);
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
    draw_front(&mut picture, front, (&x, &y), (left, right, top, bottom));
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

/// Straight lines between the points, in the measures themselves (so curves here), up to the left end and on to the right one.
fn draw_front(
    picture: &mut Picture,
    front: &[(f64, f64)],
    (x, y): (impl Fn(f64) -> f64, impl Fn(f64) -> f64),
    (left, right, top, bottom): (f64, f64, f64, f64),
) {
    let mut points = front.to_vec();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    points.dedup_by(|a, b| a.0 == b.0);
    let (Some(&first), Some(&last)) = (points.first(), points.last()) else { return };
    /// Pieces of each line: enough for a curve.
    const PIECES: usize = 12;
    let mut line = vec![(x(first.0), top), (x(first.0), y(first.1))];
    for pair in points.windows(2) {
        for piece in 1..=PIECES {
            let part = piece as f64 / PIECES as f64;
            let at = |from: f64, to: f64| from + (to - from) * part;
            line.push((x(at(pair[0].0, pair[1].0)), y(at(pair[0].1, pair[1].1))));
        }
    }
    line.push((right, y(last.1)));
    let mut below = line.clone();
    below.extend([(right, bottom), (left, bottom), (left, top)]);
    picture.area(&below, "below");
    picture.path(&[line], "front");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_is_drawn_from_the_left_to_the_right_end() {
        let spot = Spot { label: "one".to_owned(), class: "p0".to_owned(), x: 50.0, y: 900.0 };
        let svg = plane_with_front(
            "both",
            ("x", "y"),
            std::slice::from_ref(&spot),
            &[(100.0, 10.0), (10.0, 500.0)],
        );
        let line = svg.lines().find(|line| line.contains("class=\"front\"")).unwrap();
        assert!(line.contains("610") && svg.contains("class=\"below\""), "{svg}");
        assert!(!plane("both", ("x", "y"), &[spot]).contains("front"));
    }

    #[test]
    fn the_longest_number_has_room_beside_its_axis() {
        let at = |y: f64| {
            let spot = |y: f64| Spot { label: "one".to_owned(), class: "p0".to_owned(), x: 10.0, y };
            let svg = plane("both", ("x", "y"), &[spot(y / 4.0), spot(y)]);
            let number =
                svg.lines().find(|line| line.contains(&format!(">{}<", short(y)))).unwrap().to_owned();
            number.split("x=\"").nth(1).and_then(|rest| rest.split('"').next()?.parse::<f64>().ok()).unwrap()
        };
        assert_eq!((at(100.0), at(1e7)), (64.0, 64.0));
        assert!(at(1e8) > 70.0 && at(1e9) > at(1e8));
    }

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
