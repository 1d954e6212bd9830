//! A sequence diagram as a picture.

use charts::{Anchor, BLACK, BLUE, GREY, HALO, Picture, Stroke};

use super::Sequence;

/// Points from one line to the next, from one step to the next, and of the column of times.
const APART: f64 = 250.0;
const STEP: f64 = 40.0;
const TIMES: f64 = 120.0;
const HEAD: f64 = 56.0;
/// Points between the times and the first line, and beside the last line, where a text has as much room as between two.
const FIRST: f64 = 50.0;
const LAST: f64 = 250.0;
/// Characters of a text that fit between two lines.
const FIT: usize = 38;

impl Sequence {
    /// The diagram as SVG.
    #[must_use]
    pub fn picture(&self) -> String {
        let width = TIMES + FIRST + APART * self.lanes.len().saturating_sub(1) as f64 + LAST;
        let height = HEAD + STEP * (self.steps.len() as f64 + 0.5);
        let mut picture = Picture::new(width, height, "Sequence of events");
        let x = |lane: usize| TIMES + FIRST + APART * lane as f64;
        for (number, lane) in self.lanes.iter().enumerate() {
            picture.text((x(number), 24.0), Anchor::Middle, lane);
            picture.line((x(number), 34.0), (x(number), height - 8.0), Stroke::solid(GREY, 0.8));
        }
        for (number, step) in self.steps.iter().enumerate() {
            let y = HEAD + STEP * number as f64;
            picture.text((TIMES - 12.0, y + 4.0), Anchor::End, &step.at.to_string());
            let to = x(step.lane);
            if let Some((from, carried)) = &step.from {
                let from = x(*from);
                let towards = if from < to { -1.0 } else { 1.0 };
                let stroke = Stroke::solid(BLUE, 1.3);
                picture.line((from, y), (to, y), stroke);
                picture.path(
                    &[vec![(to + 7.0 * towards, y - 3.5), (to, y), (to + 7.0 * towards, y + 3.5)]],
                    stroke,
                );
                picture.styled((0.5 * (from + to), y - 5.0), Anchor::Middle, HALO, &shortened(carried));
            }
            let radius = if step.asked_for { 4.5 } else { 3.0 };
            picture.circle(
                (to, y),
                radius,
                if step.asked_for { BLUE } else { BLACK },
                Stroke::solid(BLACK, 0.8),
            );
            picture.styled((to + 8.0, y + 15.0), Anchor::Start, HALO, &shortened(&step.what));
        }
        picture.finish()
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= FIT {
        return text.to_owned();
    }
    text.chars().take(FIT - 1).chain(['…']).collect()
}
