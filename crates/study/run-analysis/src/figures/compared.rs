//! Several views of the same thing over time, one panel for each thing.

use charts::{BLACK, BLUE, Curve, Figure, GREY, ORANGE, Panel, Stroke};

/// A panel: what its axis says, and its curves. A curve is its name, and points of time (seconds) and value; NaN makes a gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Views {
    /// Name of the panel.
    pub title: String,
    /// What is shown, with its unit.
    pub axis: String,
    /// At most six, or two look alike.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
}

/// The curves can be told apart without colour, too.
fn stroke(place: usize) -> Stroke {
    match place % 6 {
        0 => Stroke::solid(BLUE, 2.4),
        1 => Stroke::dashed(BLACK, 1.4, "7 3"),
        2 => Stroke::solid(ORANGE, 1.4),
        3 => Stroke::dashed(BLACK, 1.2, "2 2"),
        4 => Stroke::solid(GREY, 1.0),
        _ => Stroke::dashed(BLUE, 1.4, "8 2 2 2"),
    }
}

/// Draws them; `None` without a point.
pub(super) fn draw(title: &str, note: &str, panels: &[Views]) -> Option<String> {
    let times =
        || panels.iter().flat_map(|panel| &panel.curves).flat_map(|(_, points)| points).map(|point| point.0);
    let to = times().reduce(f64::max).filter(|to| *to > 0.0)? / 60.0;
    let panels = panels
        .iter()
        .map(|views| Panel {
            title: views.title.clone(),
            axis: views.axis.clone(),
            height: 170.0,
            top: None,
            curves: views
                .curves
                .iter()
                .enumerate()
                .map(|(place, (label, points))| Curve {
                    label: label.clone(),
                    stroke: stroke(place),
                    points: points.iter().map(|&(seconds, value)| (seconds / 60.0, value)).collect(),
                })
                .collect(),
            given: Vec::new(),
            marks: Vec::new(),
        })
        .collect();
    let figure = Figure {
        title: title.to_owned(),
        note: note.to_owned(),
        axis: "time (min)",
        from: 0.0,
        to,
        phases: Vec::new(),
        panels,
    };
    Some(figure.draw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_is_named_and_nothing_makes_no_figure() {
        let views = Views {
            title: "VM1".to_owned(),
            axis: "MB".to_owned(),
            curves: vec![
                ("assigned".to_owned(), vec![(0.0, 512.0), (60.0, 768.0)]),
                ("MemTotal".to_owned(), vec![(0.0, f64::NAN), (60.0, 726.0)]),
            ],
        };
        let figure = draw("Three views", "a note", &[views]).unwrap();
        for text in ["Three views", "a note", "VM1", "assigned", "MemTotal"] {
            assert!(figure.contains(text), "{text}");
        }
        assert!(!figure.contains("NaN"));
        assert_eq!(draw("Nothing", "", &[Views::default()]), None);
    }
}
