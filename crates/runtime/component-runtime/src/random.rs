//! Random numbers that are the same on every platform and in every version: one stream per purpose.
//!
//! The generator is PCG XSL RR 128/64 (`rand_pcg::Pcg64`), named and portable. A stream is derived from `(seed, name)`:
//! FNV-1a (64 bits) of the name's UTF-8 bytes, xored with the SplitMix64 finaliser of the seed, is the start of a SplitMix64
//! sequence; its first four values are the state (high, low) and the stream number (high, low) of the generator.
//! So what one purpose draws never shifts what another sees.
use rand_core::RngCore;
pub use rand_pcg::Pcg64;

/// The random numbers for one purpose of a run, for example `stream(seed, "workload/VM3")`.
#[must_use]
pub fn stream(seed: u64, name: &str) -> Pcg64 {
    let mut state = finalise(seed.wrapping_add(GOLDEN)) ^ stable_hash(name.as_bytes());
    let mut next = || {
        state = state.wrapping_add(GOLDEN);
        u128::from(finalise(state))
    };
    let (s1, s0, i1, i0) = (next(), next(), next(), next());
    Pcg64::new(s1 << 64 | s0, i1 << 64 | i0)
}

/// A number in `0..bound`, every one equally likely; 0 if `bound` is 0.
pub fn below(rng: &mut impl RngCore, bound: u64) -> u64 {
    // Lemire's multiply-shift with rejection of the biased part.
    let threshold = if bound == 0 { 0 } else { bound.wrapping_neg() % bound };
    loop {
        let product = u128::from(rng.next_u64()) * u128::from(bound);
        #[expect(clippy::cast_possible_truncation, reason = "the low and the high half are meant")]
        let (high, low) = ((product >> 64) as u64, product as u64);
        if low >= threshold {
            return high;
        }
    }
}

/// A number in `[0, 1)`, a multiple of 2⁻⁵³.
pub fn unit(rng: &mut impl RngCore) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    let bits = (rng.next_u64() >> 11) as f64;
    bits / (1u64 << 53) as f64
}

/// FNV-1a with 64 bits (offset basis and prime as published by its authors): stable, for names and not for security.
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// 2⁶⁴ divided by the golden ratio: SplitMix64's increment.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser, a bijection on 64 bits.
pub(crate) const fn finalise(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_fnv_1a() {
        // From the test vectors published with FNV.
        assert_eq!(stable_hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(stable_hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(stable_hash(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn splitmix_is_the_published_one() {
        // First value of SplitMix64 seeded with 0, as in the reference implementation's known outputs.
        assert_eq!(finalise(GOLDEN), 0xe220_a839_7b1d_cdaf);
    }

    /// Computed by an independent implementation of what the module's documentation says. Never to be changed: every
    /// recorded run depends on them.
    #[test]
    fn streams_are_what_they_have_always_been() {
        let three = |seed, name| {
            let mut rng = stream(seed, name);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(three(0, ""), [0x67ac_ea8a_eb9b_d2ed, 0x899c_9f77_2d8f_8f43, 0xf350_d79d_2574_bba2]);
        assert_eq!(
            three(1, "workload/VM1"),
            [0x536b_031b_cb87_2cd0, 0x2ede_f1a6_5a65_5fa7, 0x6eb5_cb35_4b9a_c333]
        );
        assert_eq!(
            three(u64::MAX, "schedule"),
            [0xe184_05ae_102e_3302, 0x706b_f361_df04_f442, 0x83e3_7dd4_416d_caa7]
        );
    }

    #[test]
    fn streams_differ_by_seed_and_by_name() {
        let first = |seed, name| stream(seed, name).next_u64();
        assert_ne!(first(1, "a"), first(2, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
        assert_eq!(first(1, "a"), first(1, "a"));
    }

    #[test]
    fn below_covers_its_range_and_nothing_else() {
        let mut rng = stream(7, "below");
        let mut seen = [0u32; 7];
        for _ in 0..7_000 {
            seen[usize::try_from(below(&mut rng, 7)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|n| (800..1_200).contains(n)), "{seen:?}");
        assert_eq!(below(&mut rng, 0), 0);
        assert_eq!(below(&mut rng, 1), 0);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&unit(&mut rng))));
    }
}
