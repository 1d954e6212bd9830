//! The few statistics that are made of a run's samples.

/// The mean; `None` of nothing.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The median; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(0.5 * (sorted[middle - 1] + sorted[middle])),
    }
}

/// Slope of the straight line that fits best (least squares), in units of `values` per unit of `times`.
#[must_use]
pub fn slope(times: &[f64], values: &[f64]) -> Option<f64> {
    let (time, value) = (mean(times)?, mean(values)?);
    let (mut up, mut down) = (0.0, 0.0);
    for (t, v) in times.iter().zip(values) {
        up += (t - time) * (v - value);
        down += (t - time) * (t - time);
    }
    (down > 0.0).then(|| up / down)
}

/// Means over consecutive pieces of `window` seconds. A last piece of less than half a window is left out, unless it is all
/// there is.
#[must_use]
pub fn averages(times: &[f64], values: &[f64], window: f64) -> Vec<f64> {
    let Some(&start) = times.first() else { return Vec::new() };
    let mut averages = Vec::new();
    let mut piece: Vec<f64> = Vec::new();
    let mut began = start;
    for (&time, &value) in times.iter().zip(values) {
        if time - began >= window {
            averages.extend(mean(&piece));
            piece.clear();
            began = time;
        }
        piece.push(value);
    }
    let last = times.last().copied().unwrap_or(start) - began;
    if last >= 0.5 * window || averages.is_empty() {
        averages.extend(mean(&piece));
    }
    averages
}

/// How often the values turn, counting only moves of more than `least`.
#[must_use]
pub fn turns(values: &[f64], least: f64) -> usize {
    let Some(&first) = values.first() else { return 0 };
    let (mut turns, mut rising, mut extreme) = (0, None, first);
    for &value in values {
        match rising {
            Some(true) if value > extreme => extreme = value,
            Some(false) if value < extreme => extreme = value,
            _ if (value - extreme).abs() > least => {
                let up = value > extreme;
                if rising.is_some_and(|rising| rising != up) {
                    turns += 1;
                }
                (rising, extreme) = (Some(up), value);
            }
            _ => {}
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middles() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
        assert_eq!(median(&[6.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[6.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!((mean(&[]), median(&[])), (None, None));
    }

    #[test]
    fn the_slope_of_a_line_is_its_slope() {
        let times: Vec<f64> = (0..10).map(f64::from).collect();
        let values: Vec<f64> = times.iter().map(|t| 3.0 - 0.5 * t).collect();
        assert!((slope(&times, &values).unwrap() + 0.5).abs() < 1e-12);
        assert_eq!(slope(&[1.0], &[2.0]), None);
    }

    #[test]
    fn averages_over_pieces() {
        let times: Vec<f64> = (0..35).map(f64::from).collect();
        let values: Vec<f64> = times.iter().map(|t| if *t < 15.0 { 1.0 } else { 4.0 }).collect();
        // The last five seconds are too short a piece.
        assert_eq!(averages(&times, &values, 15.0), [1.0, 4.0]);
        assert_eq!(averages(&times[..3], &values, 15.0), [1.0]);
        assert_eq!(averages(&[], &[], 15.0), [0.0; 0]);
    }

    #[test]
    fn only_real_turns_count() {
        assert_eq!(turns(&[0.0, 10.0, 9.5, 12.0, 3.0, 8.0], 1.0), 2);
        assert_eq!(turns(&[0.0, 1.0, 2.0, 3.0], 0.5), 0);
        assert_eq!(turns(&[5.0; 9], 0.0), 0);
        assert_eq!(turns(&[], 0.0), 0);
    }
}
