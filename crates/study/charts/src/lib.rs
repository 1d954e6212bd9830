//! Charts as SVG text, and the pages that they stand in.
//!
//! * [`Figure`]: panels over time, one below the other, with phases, values of a source, and every curve named beside its end.
//!   A figure stands alone: it has its own paper, light or dark as its reader prefers (`prefers-color-scheme`), and is printed in black
//!   and white as well.
//! * [`dots`], [`plane`] and [`small`]: values with intervals, two measures against each other, and amounts over time, for a page
//!   whose style sheet has the colours, in light and in dark.
//!
//! * [`page`]: the frame and the style sheet of all pages, and curves over time in them that are zoomed into.
//!
//! What is the same everywhere: the same numbers give the same bytes on any machine (`libm` in place of the platform's).
#![forbid(unsafe_code)]

mod dots;
mod over_time;
pub mod page;
mod picture;
mod plane;
mod scale;
mod small;

pub use dots::{Row, dots};
pub use over_time::{Curve, Figure, Given, Mark, Panel, Phase};
pub use picture::{
    Anchor, BAND, BAR, BENEATH, BLACK, BLUE, FITS, GREY, HALO, HIGH, LIGHT, LIGHT_BAR, LOW, Look, ORANGE,
    OVER, PALE, PAPER, Picture, STROKES, Stroke, escape, shortened,
};
pub use plane::{Spot, plane, plane_with_front};
pub use scale::{divisions, number, tick};
pub use small::{Amounts, small};
