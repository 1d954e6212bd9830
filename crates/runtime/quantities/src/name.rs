//! The nearest name to one that nothing has.

/// Longest name that is compared with others, in bytes: comparing takes time in the product of both lengths.
const LONGEST: usize = 100;

/// The name among `possible` that `word` was most probably meant to be; `None` if `word` is like none of them.
///
/// Case and separators weigh nothing: people get those wrong most easily. Beyond that, up to a third of the letters may be
/// wrong, missing, too many or exchanged with a neighbour, and a long part of a name stands for the name.
///
/// ```
/// assert_eq!(quantities::nearest("MaximumBites", ["minimum_bytes", "maximum_bytes"]), Some("maximum_bytes"));
/// assert_eq!(quantities::nearest("foo", ["mom", "esx"]), None);
/// ```
pub fn nearest<'a>(word: &str, possible: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let wanted = plain(word);
    possible
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .filter_map(|candidate| Some((distance(&wanted, &plain(candidate))?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The letters and digits of `text`, in lower case.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Number of letters in which two names differ; `None` if the two have little in common.
fn distance(one: &str, other: &str) -> Option<usize> {
    let apart = strsim::damerau_levenshtein(one, other);
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    // `maximum` for `maximum_bytes` is near, though many letters are missing.
    if short.len() >= 4 && long.contains(short) {
        return Some(apart.min(2));
    }
    (apart <= (long.chars().count() / 3).max(1) && apart < long.chars().count()).then_some(apart)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_nearest_word_is_near_or_none() {
        let keys = ["startup_bytes", "minimum_bytes", "maximum_bytes", "buffer", "priority", "at"];
        assert_eq!(nearest("maximun_bytes", keys), Some("maximum_bytes"));
        assert_eq!(nearest("MaximumBytes", keys), Some("maximum_bytes"));
        assert_eq!(nearest("maximum", keys), Some("maximum_bytes"));
        assert_eq!(nearest("bufer", keys), Some("buffer"));
        assert_eq!(nearest("a", keys), Some("at"));
        assert_eq!(nearest("colour", keys), None);
    }

    #[test]
    fn a_short_word_is_not_near_to_any_other_short_word() {
        let policies = ["hyperv", "esx", "mom", "proxmox", "senpai", "squeezed", "static"];
        assert_eq!(nearest("foo", policies), None);
        assert_eq!(nearest("", policies), None);
        assert_eq!(nearest("", ["x"]), None);
        assert_eq!(nearest("mmo", policies), Some("mom"));
        assert_eq!(nearest("hyperw", policies), Some("hyperv"));
        assert_eq!(nearest("sqeezd", policies), Some("squeezed"));
    }

    #[test]
    fn a_word_without_end_is_near_to_nothing() {
        assert_eq!(nearest(&"x".repeat(1 << 20), ["x"]), None);
    }

    proptest! {
        #[test]
        fn a_name_is_nearest_to_itself(names in proptest::collection::vec("[a-z][a-z0-9_-]{0,20}", 1..8), which in 0..8_usize) {
            let asked = &names[which % names.len()];
            let found = nearest(asked, names.iter().map(String::as_str));
            prop_assert_eq!(found.map(plain), Some(plain(asked)));
        }
    }
}
