//! Names of what is named by its content.

use std::fmt;
use std::str::FromStr;

use run_journal::manifest::sha256_hex;
use serde::{Deserialize, Serialize};

/// Digits of a name: 128 bits, so that no two contents of any sweep have one name.
const DIGITS: usize = 32;

/// The name of a content: the first 32 hexadecimal digits of its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash(String);

impl Hash {
    /// The name of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut digits = sha256_hex(bytes);
        digits.truncate(DIGITS);
        Self(digits)
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that names no content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no hash of a point: 32 digits from 0 to f, as `points.json` has them")]
pub struct BadHash(String);

impl FromStr for Hash {
    type Err = BadHash;

    fn from_str(text: &str) -> Result<Self, BadHash> {
        let digits = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if text.len() == DIGITS && text.chars().all(digits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadHash(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for Hash {
    type Error = BadHash;

    fn try_from(text: String) -> Result<Self, BadHash> {
        text.parse()
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_thirty_two_digits_and_nothing_else() {
        // The published digest of "abc" (FIPS 180-2, appendix B.1).
        assert_eq!(Hash::of(b"abc").as_str(), "ba7816bf8f01cfea414140de5dae2223");
        let hash = Hash::of(b"abc");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for wrong in
            ["", "../../etc/passwd", "ba7816bf8f01cfea414140de5dae222", "BA7816BF8F01CFEA414140DE5DAE2223"]
        {
            assert!(wrong.parse::<Hash>().is_err(), "{wrong}");
        }
    }
}
