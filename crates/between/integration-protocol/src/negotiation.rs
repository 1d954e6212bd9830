//! Which versions both sides speak.

use alloc::vec::Vec;

use zerocopy::{FromBytes, IntoBytes};

use crate::Version;
use crate::message::{DecodeError, layout};
use crate::wire::{Negotiate, WireVersion};

/// The versions that one side speaks: the host's offer names all, newest last as Hyper-V has them; the guest's answer names one of each, or
/// none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Negotiation {
    /// Versions of the frame.
    pub frameworks: Vec<Version>,
    /// Versions of the service's messages.
    pub versions: Vec<Version>,
}

impl Negotiation {
    /// Reads a body.
    ///
    /// # Errors
    /// It names more versions than it has room for.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (head, rest) = layout::<Negotiate>(body)?;
        let (frameworks, versions) = (usize::from(head.frameworks.get()), usize::from(head.versions.get()));
        let minimum = size_of::<Negotiate>() + (frameworks + versions) * size_of::<WireVersion>();
        let short = || DecodeError::TooShort { length: body.len(), minimum };
        let (list, _) =
            <[WireVersion]>::ref_from_prefix_with_elems(rest, frameworks + versions).map_err(|_| short())?;
        let list: Vec<Version> = list.iter().map(|&version| version.into()).collect();
        let (frameworks, versions) = list.split_at(frameworks);
        Ok(Self { frameworks: frameworks.to_vec(), versions: versions.to_vec() })
    }

    /// Its body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = Negotiate {
            frameworks: (self.frameworks.len() as u16).into(),
            versions: (self.versions.len() as u16).into(),
            reserved: 0.into(),
        };
        let list: Vec<WireVersion> =
            self.frameworks.iter().chain(&self.versions).map(|&version| version.into()).collect();
        [head.as_bytes(), list.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn versions_come_back() {
        let offer = Negotiation {
            frameworks: vec![Version::new(1, 0), Version::new(3, 0)],
            versions: vec![Version::new(3, 2)],
        };
        let bytes = offer.encode();
        assert_eq!(bytes, [2, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 3, 0, 2, 0]);
        assert_eq!(Negotiation::decode(&bytes), Ok(offer));
        assert_eq!(Negotiation::decode(&bytes[..16]), Err(DecodeError::TooShort { length: 16, minimum: 20 }));
        let none = Negotiation { frameworks: vec![], versions: vec![] };
        assert_eq!(Negotiation::decode(&[0; 16]), Ok(none));
    }
}
