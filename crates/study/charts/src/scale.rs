//! Round numbers for axes, and numbers as text.

/// A round number of divisions for an axis up to `top`: their distance, and the axis's end.
#[must_use]
pub fn divisions(top: f64, wanted: f64) -> (f64, f64) {
    let top = if top > 0.0 { top } else { 1.0 };
    let rough = top / wanted;
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= rough);
    let step = step.unwrap_or(10.0 * power);
    // Sizes in MB are read in powers of two, but an axis of 0, 1000, 2000 is read faster.
    (step, step * (top / step).ceil())
}

/// A number of an axis whose numbers are `step` apart, with as many decimals as the steps have.
#[must_use]
pub fn tick(value: f64, step: f64) -> String {
    let is_whole = |decimals: &usize| {
        let scaled = step * [1.0, 10.0, 100.0][*decimals];
        (scaled - scaled.round()).abs() < 1e-9
    };
    let decimals = (0..3).find(is_whole).unwrap_or(3);
    let text = format!("{value:.decimals$}");
    if text.len() > 4 && decimals == 0 {
        // 4 096 is easier than 4096 only from five digits on.
        let (head, tail) = text.split_at(text.len() - 3);
        return if head.len() > 1 { format!("{head}\u{202f}{tail}") } else { text };
    }
    text
}

/// The end of a linear axis from 0: a round number.
pub(crate) fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = libm::pow(10.0, libm::floor(libm::log10(value)));
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    let fits = steps.into_iter().map(|step| step * power).find(|limit| *limit >= value);
    fits.unwrap_or(10.0 * power)
}

/// From where to where an axis goes for values between these, of a measure that can be no less and no more than its ends.
pub(crate) fn axis(lowest: f64, highest: f64, (least, most): (f64, f64)) -> (f64, f64) {
    // Ratios begin at 1, shares may all be near the top: an axis that begins at 0 would hide what differs.
    let span = highest - lowest;
    if lowest > 0.6 * highest && span > 1e-4 * highest {
        let margin = 0.08 * span;
        return ((lowest - margin).max(least.min(lowest)), (highest + margin).min(most.max(highest)));
    }
    let to = if most.is_finite() { most } else { round_up(highest) };
    (least.min(lowest), if to > least { to } else { least + 1.0 })
}

/// The ends of an axis for these values, with some room around.
pub(crate) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let room = (0.08 * (high - low)).max(0.15);
    ((low - room).max(0.0), high + room)
}

/// 0 and 1, 2, 5 of each power of ten within the logarithmic range; powers alone if these are many.
pub(crate) fn ticks(from: f64, to: f64) -> Vec<f64> {
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

/// A number of an axis as short as it can be.
pub(crate) fn short(value: f64) -> String {
    trimmed(number(value, digits(value)))
}

/// Digits after the point that say enough of a number of an axis.
fn digits(value: f64) -> usize {
    match value.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 1.0 => 2,
        _ => 4,
    }
}

/// Digits beyond which two numbers count as one. Invented.
const MOST_DIGITS: usize = 9;

/// Both ends of an axis, as short as they can be and still be told apart.
pub(crate) fn short_ends(from: f64, to: f64) -> [String; 2] {
    let with = |more: usize| [from, to].map(|end| trimmed(number(end, digits(end) + more)));
    let apart = (0..=MOST_DIGITS).map(with).find(|[from, to]| from != to);
    apart.unwrap_or_else(|| with(0))
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number with so many digits after the point, and thin spaces between thousands.
#[must_use]
pub fn number(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let nothing = text.chars().all(|c| matches!(c, '0' | '.'));
    let mut out = String::from(if value < 0.0 && !nothing { "−" } else { "" });
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && whole.len() > 4 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisions_are_round() {
        assert_eq!(divisions(4096.0, 5.0), (1000.0, 5000.0));
        assert_eq!(divisions(64.0, 4.0), (20.0, 80.0));
        assert_eq!(divisions(0.0, 4.0).1, 1.0);
        assert_eq!((tick(5000.0, 1000.0), tick(0.5, 0.5)), ("5000".to_owned(), "0.5".to_owned()));
    }

    #[test]
    fn what_stands_at_an_axis_is_where_it_stands() {
        for step in [0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 2.5, 5.0, 250.0] {
            for place in 0..5 {
                let value = f64::from(place) * step;
                let read: f64 = tick(value, step).parse().unwrap();
                assert!((read - value).abs() < 1e-9, "{value} reads {read}");
            }
        }
        assert_eq!((tick(2.0, 0.25), tick(0.2, 0.1)), ("2.00".to_owned(), "0.2".to_owned()));
    }

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
    fn the_ends_of_a_short_axis_are_told_apart() {
        assert_eq!(short_ends(0.0, 200_000.0), ["0", "200\u{202f}000"]);
        assert_eq!(short_ends(1.0, 1.0013), ["1", "1.001"]);
        assert_eq!(short_ends(100.2, 100.4), ["100.2", "100.4"]);
        assert_eq!(short_ends(3.0, 3.0), ["3", "3"]);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(number(1_234_567.0, 0), "1\u{202f}234\u{202f}567");
        assert_eq!(number(1234.5, 1), "1234.5");
        assert_eq!(number(-0.04, 1), "0.0");
        assert_eq!(number(-12.34, 1), "−12.3");
    }
}
