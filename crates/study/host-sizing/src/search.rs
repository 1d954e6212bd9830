//! Searching the smallest that suffices.

/// Finds the smallest number of steps in `low + 1 ..= high` that suffices, if more never suffices less: `high` does and `low` does
/// not. `probe` says of several numbers at once whether they suffice, as many as there are threads.
///
/// # Errors
/// What `probe` says.
pub(crate) fn smallest<E>(
    mut low: u64,
    mut high: u64,
    at_once: usize,
    mut probe: impl FnMut(&[u64]) -> Result<Vec<bool>, E>,
) -> Result<u64, E> {
    while high - low > 1 {
        let between = high - low - 1;
        let count = (at_once.max(1) as u64).min(between);
        let mut points: Vec<u64> = (1..=count).map(|part| low + (high - low) * part / (count + 1)).collect();
        points.retain(|point| *point > low && *point < high);
        points.dedup();
        if points.is_empty() {
            points.push(low + (high - low) / 2);
        }
        let suffices = probe(&points)?;
        for (point, good) in points.iter().zip(&suffices) {
            if *good {
                high = high.min(*point);
                break;
            }
            low = low.max(*point);
        }
    }
    Ok(high)
}

/// As [`smallest`], where the answer is likely above `from` and at most `to`: these are asked first, and bounds moved where they do not hold.
/// `high` is known to suffice.
///
/// # Errors
/// What `probe` says.
pub(crate) fn near<E>(
    (from, to): (u64, u64),
    high: u64,
    at_once: usize,
    mut probe: impl FnMut(&[u64]) -> Result<Vec<bool>, E>,
) -> Result<u64, E> {
    let (mut low, mut top) = (0, high);
    let mut ask = |points: &[u64], low: &mut u64, top: &mut u64| -> Result<(), E> {
        let points: Vec<u64> =
            points.iter().copied().filter(|point| *point > *low && *point < *top).collect();
        if points.is_empty() {
            return Ok(());
        }
        for (point, good) in points.iter().zip(probe(&points)?) {
            if good {
                *top = (*top).min(*point);
            } else if *point < *top {
                *low = (*low).max(*point);
            }
        }
        Ok(())
    };
    let mut bounds = [from, to];
    bounds.sort_unstable();
    ask(&bounds, &mut low, &mut top)?;
    // Too high or too low by half: once more before all the rest is searched.
    if low == 0 {
        ask(&[bounds[0] / 2], &mut low, &mut top)?;
    } else if top == high {
        ask(&[bounds[1] + bounds[1] / 4 + 1], &mut low, &mut top)?;
    }
    smallest(low, top, at_once, probe)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_smallest_is_found(answer in 1_u64..1000, above in 0_u64..1000, at_once in 0_usize..6) {
            let mut asked = 0;
            let found = smallest(0, answer + above, at_once, |points| {
                asked += 1;
                assert!(points.len() <= at_once.max(1));
                Ok::<_, ()>(points.iter().map(|point| *point >= answer).collect())
            });
            prop_assert_eq!(found, Ok(answer));
            prop_assert!(asked <= 11, "{}", asked);
        }

        #[test]
        fn a_wrong_hint_costs_little_and_changes_nothing(answer in 1_u64..500, above in 0_u64..500, from in 0_u64..1200, to in 0_u64..1200) {
            let mut asked = 0;
            let found = near((from, to), answer + above, 2, |points| {
                asked += 1;
                Ok::<_, ()>(points.iter().map(|point| *point >= answer).collect())
            });
            prop_assert_eq!(found, Ok(answer));
            prop_assert!(asked <= 13, "{}", asked);
        }
    }
}
