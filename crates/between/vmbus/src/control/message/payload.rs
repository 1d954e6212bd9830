//! The bytes of one message, and of the 120 bytes a device or a driver may add to an offer or an open.

#[cfg(feature = "serde")]
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

#[cfg(feature = "serde")]
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A SynIC message carries at most this many bytes (documented).
pub const MAX_PAYLOAD: usize = 240;
/// Bytes of user data in OFFERCHANNEL and OPENCHANNEL (documented).
pub const USER_DATA_SIZE: usize = 120;

/// The payload of one SynIC message: at most [`MAX_PAYLOAD`] bytes, by type, without heap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload {
    // Always zero beyond `len`, so that the derived comparisons are those of the bytes.
    bytes: [u8; MAX_PAYLOAD],
    len: u8,
}

/// More bytes than a message carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a message carries at most 240 bytes, not {0}")]
pub struct PayloadTooLong(pub usize);

impl Payload {
    /// No bytes.
    pub const EMPTY: Self = Self { bytes: [0; MAX_PAYLOAD], len: 0 };

    /// A copy of `bytes`, if they fit.
    ///
    /// # Errors
    /// There are more than [`MAX_PAYLOAD`] bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, PayloadTooLong> {
        let mut payload = Self::EMPTY;
        payload.append(bytes)?;
        Ok(payload)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), PayloadTooLong> {
        let start = usize::from(self.len);
        let end = start.saturating_add(bytes.len());
        let too_long = PayloadTooLong(end);
        self.bytes.get_mut(start..end).ok_or(too_long)?.copy_from_slice(bytes);
        self.len = u8::try_from(end).map_err(|_| too_long)?;
        Ok(())
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl TryFrom<&[u8]> for Payload {
    type Error = PayloadTooLong;

    fn try_from(bytes: &[u8]) -> Result<Self, PayloadTooLong> {
        Self::new(bytes)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(self.as_bytes(), f)
    }
}

#[cfg(feature = "serde")]
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.as_bytes())
    }
}

#[cfg(feature = "serde")]
impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&Vec::<u8>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The 120 bytes of an offer or an open that belong to the device and its driver.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(transparent)]
pub struct UserData(pub [u8; USER_DATA_SIZE]);

impl UserData {
    /// All zero: what most devices send.
    pub const ZERO: Self = Self([0; USER_DATA_SIZE]);
}

impl Default for UserData {
    fn default() -> Self {
        Self::ZERO
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ZERO { f.write_str("zeros") } else { write_hex(&self.0, f) }
    }
}

#[cfg(feature = "serde")]
impl Serialize for UserData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Trailing zeros go without saying.
        let used = self.0.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        serializer.collect_seq(&self.0[..used])
    }
}

#[cfg(feature = "serde")]
impl<'de> Deserialize<'de> for UserData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        let mut data = Self::ZERO;
        data.0
            .get_mut(..bytes.len())
            .ok_or_else(|| serde::de::Error::custom("user data is at most 120 bytes"))?
            .copy_from_slice(&bytes);
        Ok(data)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        if at != 0 && at % 8 == 0 {
            f.write_str(" ")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn at_most_240_bytes() {
        assert_eq!(Payload::new(&[7; 240]).unwrap().len(), 240);
        assert_eq!(Payload::new(&[7; 241]), Err(PayloadTooLong(241)));
        assert_eq!(format!("{:?}", Payload::new(&[0xab; 9]).unwrap()), "abababababababab ab");
        assert!(serde_json::from_str::<Payload>(&format!("{:?}", vec![0; 241])).is_err());
        assert!(serde_json::from_str::<UserData>(&format!("{:?}", vec![0; 121])).is_err());
    }

    proptest! {
        #[test]
        fn serde_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..=240)) {
            let payload = Payload::new(&bytes).unwrap();
            prop_assert_eq!(payload.as_bytes(), &bytes[..]);
            let json = serde_json::to_string(&payload).unwrap();
            prop_assert_eq!(serde_json::from_str::<Payload>(&json).unwrap(), payload);
            let mut data = UserData::ZERO;
            let used = bytes.len().min(USER_DATA_SIZE);
            data.0[..used].copy_from_slice(&bytes[..used]);
            let json = serde_json::to_string(&data).unwrap();
            prop_assert_eq!(serde_json::from_str::<UserData>(&json).unwrap(), data);
        }
    }
}
