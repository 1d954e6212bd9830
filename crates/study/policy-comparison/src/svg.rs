//! The figures of the page: small SVG pictures whose colours come from the page's style.

use std::fmt::Write as _;

use super::collector::Series;
use super::table::number;

/// Text that may stand in HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A linear axis from 0 to a round number.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = libm::pow(10.0, libm::floor(libm::log10(value)));
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let fits = steps.into_iter().map(|step| step * power).find(|limit| *limit >= value);
    fits.unwrap_or(10.0 * power)
}

/// A value with its interval.
pub(super) struct Mark {
    pub(super) label: String,
    /// Its place in the list of policies: its colour.
    pub(super) policy: usize,
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// As text.
    pub(super) value: String,
}

const ROW: f64 = 20.0;
const LABELS: f64 = 118.0;
const PLOT: f64 = 210.0;
const VALUES: f64 = 112.0;

/// From where to where an axis goes for values between these, of a measure that can be no less and no more than its ends.
fn axis(lowest: f64, highest: f64, (least, most): (f64, f64)) -> (f64, f64) {
    // Ratios begin at 1, shares may all be near the top: an axis that begins at 0 would hide what differs.
    let span = highest - lowest;
    if lowest > 0.6 * highest && span > 1e-4 * highest {
        let margin = 0.08 * span;
        return ((lowest - margin).max(least.min(lowest)), (highest + margin).min(most.max(highest)));
    }
    let to = if most.is_finite() { most } else { round_up(highest) };
    (least.min(lowest), if to > least { to } else { least + 1.0 })
}

/// A dot with its interval for each policy, one below the other. `ends` are the least and the most that there can be.
pub(super) fn dots(title: &str, unit: &str, ends: (f64, f64), marks: &[Mark]) -> String {
    let top = 24.0;
    let (width, height) = (LABELS + PLOT + VALUES, top + ROW * marks.len() as f64 + 22.0);
    let lowest = marks.iter().map(|mark| mark.low).fold(f64::INFINITY, f64::min);
    let highest = marks.iter().map(|mark| mark.high).fold(0.0, f64::max);
    let (from, to) = axis(lowest, highest, ends);
    let x = |value: f64| LABELS + PLOT * ((value - from) / (to - from)).clamp(0.0, 1.0);
    let mut svg = String::new();
    let _ = write!(
        svg,
        r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{0}"><text x="0" y="13" class="title">{0}</text>"#,
        escape(&if unit.is_empty() { title.to_owned() } else { format!("{title} ({unit})") })
    );
    let bottom = top + ROW * marks.len() as f64;
    for (at, anchor) in [(from, "start"), (to, "end")] {
        let _ = write!(
            svg,
            r#"<line class="axis" x1="{0:.1}" x2="{0:.1}" y1="{top}" y2="{bottom}"/><text class="tick" x="{0:.1}" y="{1}" text-anchor="{anchor}">{2}</text>"#,
            x(at),
            bottom + 14.0,
            escape(&tick(at))
        );
    }
    for (row, mark) in marks.iter().enumerate() {
        let y = top + ROW * (row as f64 + 0.5);
        let _ = write!(
            svg,
            r#"<text x="0" y="{0:.1}">{1}</text><line class="grid" x1="{LABELS}" x2="{2}" y1="{y:.1}" y2="{y:.1}"/>"#,
            y + 4.0,
            escape(&mark.label),
            LABELS + PLOT
        );
        let _ = write!(
            svg,
            r#"<line class="ci p{0}" x1="{1:.1}" x2="{2:.1}" y1="{y:.1}" y2="{y:.1}"/><circle class="p{0}" cx="{3:.1}" cy="{y:.1}" r="4.5"/><text class="value" x="{width}" y="{4:.1}" text-anchor="end">{5}</text>"#,
            mark.policy,
            x(mark.low),
            x(mark.high),
            x(mark.median),
            y + 4.0,
            escape(&mark.value)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn tick(value: f64) -> String {
    let digits = match value.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 1.0 => 2,
        _ => 4,
    };
    let text = number(value, digits);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A policy in the plane of two measures.
pub(super) struct Spot {
    pub(super) label: String,
    pub(super) policy: usize,
    pub(super) x: f64,
    pub(super) y: f64,
}

/// Two measures against each other, on logarithmic axes that hold 0.
pub(super) fn plane(title: &str, (x_title, y_title): (&str, &str), spots: &[Spot]) -> String {
    let (width, height) = (640.0, 400.0);
    let (left, right, top, bottom) = (70.0, 610.0, 34.0, 350.0);
    let scale = |value: f64| libm::log10(1.0 + value.max(0.0));
    let (x_from, x_to) = range(spots.iter().map(|spot| scale(spot.x)));
    let (y_from, y_to) = range(spots.iter().map(|spot| scale(spot.y)));
    let x = |value: f64| left + (right - left) * (scale(value) - x_from) / (x_to - x_from);
    let y = |value: f64| bottom - (bottom - top) * (scale(value) - y_from) / (y_to - y_from);
    let mut svg = String::new();
    let _ = write!(
        svg,
        r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{0}"><text x="0" y="13" class="title">{0}</text>"#,
        escape(title)
    );
    let _ = write!(
        svg,
        r#"<text class="tick" x="{}" y="{}" text-anchor="end">{} →</text><text class="tick" x="0" y="{}">↑ {}</text>"#,
        right,
        height - 8.0,
        escape(x_title),
        top - 5.0,
        escape(y_title)
    );
    for value in ticks(x_from, x_to) {
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{0:.1}" x2="{0:.1}" y1="{top}" y2="{bottom}"/><text class="tick" x="{0:.1}" y="{1}" text-anchor="middle">{2}</text>"#,
            x(value),
            bottom + 16.0,
            tick(value)
        );
    }
    for value in ticks(y_from, y_to) {
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{left}" x2="{right}" y1="{0:.1}" y2="{0:.1}"/><text class="tick" x="{1}" y="{2:.1}" text-anchor="end">{3}</text>"#,
            y(value),
            left - 6.0,
            y(value) + 4.0,
            tick(value)
        );
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
        while labels.iter().any(|(from, to, at)| begin < *to && *from < end && (at - line).abs() < 13.0) {
            line += 13.0;
        }
        labels.push((begin, end, line));
        let (at, anchor) = if to_the_left { (cx - 9.0, "end") } else { (cx + 9.0, "start") };
        let _ = write!(
            svg,
            r#"<circle class="p{}" cx="{cx:.1}" cy="{cy:.1}" r="6"/><text x="{at:.1}" y="{line:.1}" text-anchor="{anchor}">{}</text>"#,
            spot.policy,
            escape(&spot.label)
        );
    }
    svg.push_str("</svg>");
    svg
}

/// With some room around.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let room = (0.08 * (high - low)).max(0.15);
    ((low - room).max(0.0), high + room)
}

/// 0 and 1, 2, 5 of each power of ten within the logarithmic range; powers alone if these are many.
fn ticks(from: f64, to: f64) -> Vec<f64> {
    let within = |value: f64| (from..=to).contains(&libm::log10(1.0 + value));
    let powers = (0..12).map(|power| libm::pow(10.0, f64::from(power)));
    let all: Vec<f64> =
        powers.flat_map(|power| [power, 2.0 * power, 5.0 * power]).filter(|value| within(*value)).collect();
    let few: Vec<f64> = if all.len() > 7 {
        (0..12).map(|power| libm::pow(10.0, f64::from(power))).filter(|value| within(*value)).collect()
    } else {
        all
    };
    if within(0.0) { [0.0].into_iter().chain(few).collect() } else { few }
}

/// What all VMs needed and had, over time.
pub(super) fn time_line(label: &str, series: &Series, most: f64) -> String {
    let (width, height) = (300.0, 150.0);
    let (left, right, top, bottom) = (52.0, 296.0, 22.0, 128.0);
    let last = series.time_s.last().copied().unwrap_or(1.0).max(1.0);
    let limit = 1024.0 * round_up(most / 1024.0);
    let points = |values: &[f64]| {
        let mut line = String::new();
        for (time, value) in series.time_s.iter().zip(values) {
            let x = left + (right - left) * time / last;
            let y = bottom - (bottom - top) * (value / limit).clamp(0.0, 1.0);
            let _ = write!(line, "{x:.0},{y:.1} ");
        }
        line
    };
    let gigabytes = |value: f64| tick(value / 1024.0);
    let need = points(&series.need_mb);
    format!(
        r#"<svg viewBox="0 0 {width} {height}" role="img" aria-label="{label}: needed and assigned over time"><text x="0" y="13" class="title">{label}</text><line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/><text class="tick" x="{0}" y="{1}" text-anchor="end">{2} GB</text><text class="tick" x="{0}" y="{bottom}" text-anchor="end">0</text><text class="tick" x="{right}" y="{3}" text-anchor="end">{4} min</text><polygon class="need" points="{left},{bottom} {need}{right},{bottom}"/><polyline class="capacity" points="{5}"/><polyline class="assigned" points="{6}"/></svg>"#,
        left - 4.0,
        top + 4.0,
        gigabytes(limit),
        bottom + 14.0,
        tick((last / 60.0).round()),
        points(&series.capacity_mb),
        points(&series.assigned_mb),
        label = escape(label),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, limit) in [(0.0, 1.0), (0.97, 1.0), (1.2, 1.5), (23_456.0, 30_000.0), (100.0, 100.0)] {
            assert!((round_up(value) - limit).abs() < 1e-9, "{value}: {}", round_up(value));
        }
        assert_eq!(ticks(0.0, 1.0), [0.0, 1.0, 2.0, 5.0]);
    }

    #[test]
    fn axes_show_what_differs_and_nothing_that_cannot_be() {
        let any = (0.0, f64::INFINITY);
        assert_eq!(axis(0.0, 73.0, any), (0.0, 80.0));
        assert_eq!(axis(1.0, 1.9, (1.0, f64::INFINITY)), (1.0, 2.0));
        assert_eq!(axis(1.0, 1.0, (1.0, f64::INFINITY)), (1.0, 2.0), "all the same");
        assert_eq!(axis(0.5, 0.9, (0.0, 1.0)), (0.0, 1.0));
        let (from, to) = axis(0.95, 0.99, (0.0, 1.0));
        assert!(from > 0.94 && from < 0.95 && to > 0.99 && to < 1.0);
        assert_eq!(axis(0.97, 1.0, (0.0, 1.0)).1, 1.0);
        // More than there can be is shown all the same.
        assert!(axis(0.4, 0.5, (1.0, f64::INFINITY)).0 <= 0.4);
    }

    #[test]
    fn text_cannot_break_out() {
        let svg = dots("<script>", "", (0.0, 1.0), &[]);
        assert!(!svg.contains("<script>"), "{svg}");
    }
}
