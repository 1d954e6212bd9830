//! Charts over time: panels one below the other, phases marked across all of them, every curve named beside its end.

use crate::picture::{Anchor, BAND, BLACK, GREY, HALO, LIGHT, PALE, Picture, Stroke, shortened};
use crate::scale::{divisions, tick};

/// A curve.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Stands beside its end; empty: the curve is named with another.
    pub label: String,
    /// How it looks.
    pub stroke: Stroke,
    /// Time in minutes and value; NaN is a gap.
    pub points: Vec<(f64, f64)>,
}

/// A value that the source gave: a line, or a band from one value to another.
#[derive(Clone, Debug)]
pub struct Given {
    /// When, in minutes.
    pub from: f64,
    /// Until when, in minutes.
    pub to: f64,
    /// From this value; equal to `high` for a line.
    pub low: f64,
    /// To this value.
    pub high: f64,
    /// Stands beside the curves' names.
    pub label: String,
}

/// A point that the source gave.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Minutes and value.
    pub at: (f64, f64),
    /// Stands beside it.
    pub label: String,
}

/// One panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Stands above it; may be empty.
    pub title: String,
    /// What the vertical axis shows, with its unit.
    pub axis: String,
    /// Its height, points.
    pub height: f64,
    /// Upper end of the vertical axis; `None`: what the curves need.
    pub top: Option<f64>,
    /// What was measured.
    pub curves: Vec<Curve>,
    /// Values of the source.
    pub given: Vec<Given>,
    /// Points of the source.
    pub marks: Vec<Mark>,
}

/// A phase: when, in minutes, and its number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// When it begins.
    pub from: f64,
    /// When it ends.
    pub to: f64,
    /// Its number.
    pub number: usize,
}

/// A figure.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Stands above it.
    pub title: String,
    /// Stands under the title.
    pub note: String,
    /// What the horizontal axis shows, with its unit.
    pub axis: &'static str,
    /// Its ends: minutes, for time.
    pub from: f64,
    /// The right end.
    pub to: f64,
    /// The phases, in order.
    pub phases: Vec<Phase>,
    /// The panels, from above.
    pub panels: Vec<Panel>,
}

const WIDTH: f64 = 720.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 158.0;
const HEAD: f64 = 46.0;
const PHASES: f64 = 24.0;
const BETWEEN: f64 = 30.0;
const FOOT: f64 = 42.0;
/// Characters of the title, of the note below it, and of a line of a label, that fit the picture in any of its fonts.
const TITLE_CHARACTERS: usize = 84;
const NOTE_CHARACTERS: usize = 108;
const LABEL_CHARACTERS: usize = 22;
/// How values of the source look.
const GIVEN: Stroke = Stroke::dashed(BLACK, 0.9, "1.5 2");
/// Labels beside curves are at least so far apart.
const APART: f64 = 13.0;

impl Figure {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> String {
        let panels: f64 = self.panels.iter().map(|panel| panel.height + BETWEEN).sum::<f64>() - BETWEEN;
        let band = if self.phases.is_empty() { 0.0 } else { PHASES };
        let height = HEAD + band + panels + FOOT;
        let mut picture = Picture::new(WIDTH, height, &self.title);
        picture.styled(
            (LEFT, 19.0),
            Anchor::Start,
            " font-size=\"13\" font-weight=\"bold\"",
            &shortened(&self.title, TITLE_CHARACTERS),
        );
        picture.styled(
            (LEFT, 35.0),
            Anchor::Start,
            &format!(" fill=\"{GREY}\""),
            &shortened(&self.note, NOTE_CHARACTERS),
        );
        self.draw_phases(&mut picture, HEAD, HEAD + band + panels);
        let mut top = HEAD + band;
        for (index, panel) in self.panels.iter().enumerate() {
            self.draw_panel(&mut picture, panel, top, index + 1 == self.panels.len());
            top += panel.height + BETWEEN;
        }
        picture.finish()
    }

    fn x(&self, minutes: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (minutes - self.from) / (self.to - self.from).max(1e-9)
    }

    fn draw_phases(&self, picture: &mut Picture, top: f64, bottom: f64) {
        for (index, phase) in self.phases.iter().enumerate() {
            let (from, to) = (self.x(phase.from.max(self.from)), self.x(phase.to.min(self.to)));
            if index % 2 == 1 {
                picture.rectangle((from, top + 4.0), (to - from, bottom - top - 4.0), PALE, None);
            }
        }
        for phase in self.phases.iter().filter(|phase| self.x(phase.from) > LEFT + 3.0) {
            let from = self.x(phase.from);
            picture.line((from, top + 4.0), (from, bottom), Stroke::dashed(GREY, 0.7, "2 2"));
        }
        let mut last = f64::NEG_INFINITY;
        for phase in &self.phases {
            let (from, to) = (self.x(phase.from.max(self.from)), self.x(phase.to.min(self.to)));
            // Short phases: the numbers move apart.
            let x = (0.5 * (from + to)).max(last + 17.0);
            picture.circled((x, top + 13.0), phase.number);
            last = x;
        }
    }

    fn draw_panel(&self, picture: &mut Picture, panel: &Panel, top: f64, last: bool) {
        let bottom = top + panel.height;
        let (left, right) = (LEFT, WIDTH - RIGHT);
        let highest = panel
            .curves
            .iter()
            .flat_map(|curve| &curve.points)
            .filter(|(minutes, value)| (self.from..=self.to).contains(minutes) && value.is_finite())
            .map(|(_, value)| *value)
            .chain(panel.given.iter().map(|given| given.high))
            .fold(0.0, f64::max);
        let (step, axis_top) = divisions(panel.top.unwrap_or(highest * 1.03), (panel.height / 34.0).max(2.0));
        let axis_top = panel.top.unwrap_or(axis_top);
        let y = |value: f64| bottom - panel.height * (value / axis_top).clamp(0.0, 1.0);

        let mut value = 0.0;
        while value <= axis_top * 1.0001 {
            let at = y(value);
            if value > 0.0 {
                picture.line((left, at), (right, at), Stroke::solid(LIGHT, 0.6));
            }
            picture.line((left - 4.0, at), (left, at), Stroke::solid(BLACK, 0.8));
            picture.text((left - 7.0, at + 4.0), Anchor::End, &tick(value, step));
            value += step;
        }
        picture.upright((14.0, 0.5 * (top + bottom)), &panel.axis);
        if !panel.title.is_empty() {
            picture.styled((left + 4.0, top - 5.0), Anchor::Start, " font-style=\"italic\"", &panel.title);
        }
        for given in &panel.given {
            self.draw_given(picture, given, y);
        }
        for curve in &panel.curves {
            picture.path(&self.pieces(curve, y), curve.stroke);
        }
        for mark in &panel.marks {
            let at = (self.x(mark.at.0), y(mark.at.1));
            picture.circle(at, 5.0, "none", Stroke::solid(BLACK, 1.2));
            // To the side where there is more room.
            let (lift, anchor) =
                if at.0 - left < 0.6 * (right - left) { (7.0, Anchor::Start) } else { (11.0, Anchor::End) };
            picture.styled((at.0 + 6.0, at.1 - lift), anchor, HALO, &mark.label);
        }
        self.draw_labels(picture, panel, y, top, bottom);
        picture.line((left, top), (left, bottom), Stroke::solid(BLACK, 0.8));
        picture.line((left, bottom), (right, bottom), Stroke::solid(BLACK, 0.8));
        self.draw_time_axis(picture, bottom, last);
    }

    fn draw_time_axis(&self, picture: &mut Picture, bottom: f64, named: bool) {
        let (step, _) = divisions(self.to - self.from, 8.0);
        // Where all is at whole numbers, there is nothing between them: hosts are counted.
        let mut points = self.panels.iter().flat_map(|panel| &panel.curves).flat_map(|curve| &curve.points);
        let whole = points.all(|point| point.0.fract() == 0.0);
        let step = if step < 1.0 && !whole { step } else { step.round().max(1.0) };
        let mut minutes = (self.from / step).ceil() * step;
        while minutes <= self.to + 1e-9 {
            let at = self.x(minutes);
            picture.line((at, bottom), (at, bottom + 4.0), Stroke::solid(BLACK, 0.8));
            if named {
                picture.text((at, bottom + 16.0), Anchor::Middle, &tick(minutes, step));
            }
            minutes += step;
        }
        if named {
            let middle = 0.5 * (LEFT + WIDTH - RIGHT);
            picture.text((middle, bottom + 33.0), Anchor::Middle, self.axis);
        }
    }

    fn draw_given(&self, picture: &mut Picture, given: &Given, y: impl Fn(f64) -> f64) {
        let (from, to) = (self.x(given.from.max(self.from)), self.x(given.to.min(self.to)));
        let (low, high) = (y(given.low), y(given.high));
        let edge = GIVEN;
        if given.high > given.low {
            picture.rectangle((from, high), (to - from, low - high), BAND, None);
            picture.line((from, high), (to, high), edge);
        }
        picture.line((from, low), (to, low), edge);
    }

    /// The curve's pieces between gaps, without the points that a straight line does not need.
    fn pieces(&self, curve: &Curve, y: impl Fn(f64) -> f64) -> Vec<Vec<(f64, f64)>> {
        let mut pieces: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
        for &(minutes, value) in &curve.points {
            if !(self.from..=self.to).contains(&minutes) {
                continue;
            }
            if !value.is_finite() {
                pieces.push(Vec::new());
                continue;
            }
            let (x, y) = (self.x(minutes), y(value));
            let Some(piece) = pieces.last_mut() else { continue };
            if let [.., (_, before), (last_x, last)] = &mut piece[..]
                && (*before - y).abs() < 0.05
                && (*last - y).abs() < 0.05
            {
                *last_x = x;
                continue;
            }
            piece.push((x, y));
        }
        pieces.retain(|piece| piece.len() > 1);
        pieces
    }

    /// The names of the curves beside their ends, moved apart where they would collide.
    fn draw_labels(
        &self,
        picture: &mut Picture,
        panel: &Panel,
        y: impl Fn(f64) -> f64,
        top: f64,
        bottom: f64,
    ) {
        let ends = panel.curves.iter().filter(|curve| !curve.label.is_empty()).filter_map(|curve| {
            let inside =
                |point: &&(f64, f64)| (self.from..=self.to).contains(&point.0) && point.1.is_finite();
            let end = y(curve.points.iter().rev().find(inside)?.1);
            Some(Label { at: end, end, words: &curve.label, stroke: curve.stroke })
        });
        let given = panel.given.iter().map(|given| {
            let end = 0.5 * (y(given.low) + y(given.high));
            Label { at: end, end, words: &given.label, stroke: GIVEN }
        });
        let mut labels: Vec<Label<'_>> = ends.chain(given).collect();
        labels.sort_by(|a, b| a.end.total_cmp(&b.end));
        let mut free = top + 2.0;
        for label in &mut labels {
            label.at = label.at.max(free);
            free = label.at + APART * label.lines();
        }
        let mut limit = bottom + 6.0;
        for label in labels.iter_mut().rev() {
            label.at = label.at.min(limit - APART * (label.lines() - 1.0));
            limit = label.at - APART;
        }
        let right = WIDTH - RIGHT;
        for label in labels {
            // A thin line leads from the curve's end to a sample of the curve and its name. It cannot be taken for the curve.
            let lead = vec![(right + 2.0, label.end), (right + 9.0, label.at)];
            picture.path(&[lead], Stroke::solid(GREY, 0.5));
            picture.path(&[vec![(right + 9.0, label.at), (right + 27.0, label.at)]], label.stroke);
            for (line, words) in label.words.split('\n').enumerate() {
                let words = shortened(words, LABEL_CHARACTERS);
                picture.text((right + 31.0, label.at + 4.0 + APART * line as f64), Anchor::Start, &words);
            }
        }
    }
}

/// A name beside the end of what it names.
struct Label<'a> {
    at: f64,
    end: f64,
    words: &'a str,
    stroke: Stroke,
}

impl Label<'_> {
    fn lines(&self) -> f64 {
        self.words.split('\n').count() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_needs_two_points() {
        let figure = Figure {
            title: String::new(),
            note: String::new(),
            axis: "",
            from: 0.0,
            to: 10.0,
            phases: Vec::new(),
            panels: Vec::new(),
        };
        let curve = Curve {
            label: String::new(),
            stroke: Stroke::solid(BLACK, 1.0),
            points: (0..10).map(|n| (f64::from(n), 5.0)).chain([(10.0, f64::NAN)]).collect(),
        };
        let pieces = figure.pieces(&curve, |value| value);
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].len(), 2);
    }

    #[test]
    fn what_is_counted_has_no_halves_at_its_axis() {
        let drawn = |middle: f64| {
            let points = vec![(2.0, 1.0), (middle, 0.5), (4.0, 0.0)];
            let curve = Curve { label: String::new(), stroke: Stroke::solid(BLACK, 1.0), points };
            let panel = Panel {
                title: String::new(),
                axis: String::new(),
                height: 100.0,
                top: None,
                curves: vec![curve],
                given: Vec::new(),
                marks: Vec::new(),
            };
            let (title, note) = (String::new(), String::new());
            Figure { title, note, axis: "hosts", from: 2.0, to: 4.0, phases: Vec::new(), panels: vec![panel] }
                .draw()
        };
        assert!(!drawn(3.0).contains(">2.5") && drawn(3.0).contains(">3<"), "{}", drawn(3.0));
        assert!(drawn(2.5).contains(">2.5"));
    }
}
