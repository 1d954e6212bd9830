//! Amounts that a scenario file gives, or leaves to be drawn at random.

use component_runtime::random;
use page_range::PageCount;

/// An amount that is either given or drawn evenly from a range, once for each VM and seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw<T> {
    /// This amount.
    Fixed(T),
    /// Anything from the first to the second, both included.
    Between(T, T),
}

impl<T: Copy> Draw<T> {
    /// The smallest possible.
    pub fn low(self) -> T {
        match self {
            Self::Fixed(amount) | Self::Between(amount, _) => amount,
        }
    }

    /// The largest possible.
    pub fn high(self) -> T {
        match self {
            Self::Fixed(amount) | Self::Between(_, amount) => amount,
        }
    }

    /// The same of other amounts.
    pub fn map<U>(self, convert: impl Fn(T) -> U) -> Draw<U> {
        match self {
            Self::Fixed(amount) => Draw::Fixed(convert(amount)),
            Self::Between(low, high) => Draw::Between(convert(low), convert(high)),
        }
    }
}

impl Draw<u64> {
    /// Draws it.
    pub fn pick(self, rng: &mut random::Pcg64) -> u64 {
        match self {
            Self::Fixed(amount) => amount,
            Self::Between(low, high) => match high.saturating_sub(low).checked_add(1) {
                Some(choices) => low + random::below(rng, choices),
                None => random::below(rng, u64::MAX),
            },
        }
    }
}

impl Draw<PageCount> {
    /// Draws it, to the page.
    pub fn pick(self, rng: &mut random::Pcg64) -> PageCount {
        PageCount(self.map(PageCount::get).pick(rng))
    }
}

impl Draw<core::time::Duration> {
    /// Draws it, to the millisecond.
    pub fn pick(self, rng: &mut random::Pcg64) -> core::time::Duration {
        match self {
            Self::Fixed(time) => time,
            Self::Between(low, high) => {
                let span = u64::try_from(high.saturating_sub(low).as_millis()).unwrap_or(u64::MAX);
                low + core::time::Duration::from_millis(Draw::Between(0, span).pick(rng))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_their_range() {
        let mut rng = random::stream(1, "draw");
        for _ in 0..1000 {
            let size = Draw::Between(PageCount(10), PageCount(12)).pick(&mut rng);
            assert!((10..=12).contains(&size.get()));
        }
        assert_eq!(Draw::Fixed(PageCount(7)).pick(&mut rng), PageCount(7));
        let second = core::time::Duration::from_secs(1);
        assert_eq!(Draw::Between(second, second).pick(&mut rng), second);
        Draw::Between(0, u64::MAX).pick(&mut rng);
    }
}
