//! A small chart over time: what was needed, what was had, what there could be.

use crate::picture::{Anchor, Picture};
use crate::scale::{round_up, short};

/// What it shows, MB at each time.
#[derive(Clone, Copy, Debug)]
pub struct Amounts<'a> {
    /// Times, seconds.
    pub time_s: &'a [f64],
    /// What was needed: filled, of class `need`.
    pub need_mb: &'a [f64],
    /// What was had: a line, of class `assigned`.
    pub assigned_mb: &'a [f64],
    /// What there could be: a line, of class `capacity`.
    pub capacity_mb: &'a [f64],
}

/// Draws it, for a page; the axis goes to `most` MB at least, so that several can be compared.
#[must_use]
pub fn small(label: &str, amounts: Amounts<'_>, most: f64) -> String {
    let (width, height) = (300.0, 150.0);
    let (left, right, top, bottom) = (52.0, 296.0, 22.0, 128.0);
    let last = amounts.time_s.last().copied().unwrap_or(1.0).max(1.0);
    let limit = 1024.0 * round_up(most / 1024.0);
    let points = |values: &[f64]| -> Vec<(f64, f64)> {
        let times = amounts.time_s.iter().zip(values);
        times
            .map(|(time, value)| {
                let x = left + (right - left) * time / last;
                (x, bottom - (bottom - top) * (value / limit).clamp(0.0, 1.0))
            })
            .collect()
    };
    let mut picture = Picture::inline(width, height, &format!("{label}: needed and assigned over time"));
    picture.words((0.0, 13.0), Anchor::Start, "title", label);
    picture.line((left, bottom), (right, bottom), "axis");
    picture.words((left - 4.0, top + 4.0), Anchor::End, "tick", &format!("{} GB", short(limit / 1024.0)));
    picture.words((left - 4.0, bottom), Anchor::End, "tick", "0");
    let minutes = format!("{} min", short((last / 60.0).round()));
    picture.words((right, bottom + 14.0), Anchor::End, "tick", &minutes);
    let corners = [vec![(left, bottom)], points(amounts.need_mb), vec![(right, bottom)]].concat();
    picture.area(&corners, "need");
    picture.path(&[points(amounts.capacity_mb)], "capacity");
    picture.path(&[points(amounts.assigned_mb)], "assigned");
    picture.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_reach_from_the_axis_to_its_end() {
        let amounts = Amounts {
            time_s: &[0.0, 60.0],
            need_mb: &[0.0, 1024.0],
            assigned_mb: &[1024.0, 1024.0],
            capacity_mb: &[512.0, 512.0],
        };
        let svg = small("hyperv", amounts, 1024.0);
        assert!(svg.contains("52,128 52,128 296,22 296,128"), "{svg}");
        assert!(svg.contains("1 GB") && svg.contains("1 min"), "{svg}");
    }
}
