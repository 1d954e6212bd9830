//! The bodies of heartbeat, shutdown and time synchronization.

use alloc::string::String;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use crate::Version;
use crate::message::{DecodeError, layout};
use crate::wire;

/// How the guest says that it feels. A driver that says nothing of it leaves [`UNKNOWN`](Self::UNKNOWN).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ApplicationState(pub u32);

impl ApplicationState {
    /// Nothing is said.
    pub const UNKNOWN: Self = Self(0);
    /// All is well.
    pub const OK: Self = Self(1);
    /// The guest has met a critical error.
    pub const CRITICAL: Self = Self(2);
    /// The guest no longer works.
    pub const STOPPED: Self = Self(3);
}

/// A heartbeat: the host's question, and with the next number the guest's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// The number of the beat.
    pub sequence: u64,
    /// How the guest feels; of no meaning in a question.
    pub state: ApplicationState,
}

impl Heartbeat {
    /// Reads a body.
    ///
    /// # Errors
    /// It is too short.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (beat, _) = layout::<wire::Heartbeat>(body)?;
        Ok(Self { sequence: beat.sequence.get(), state: ApplicationState(beat.state.get()) })
    }

    /// Its body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let beat =
            wire::Heartbeat { sequence: self.sequence.into(), state: self.state.0.into(), reserved: [0; 4] };
        beat.as_bytes().to_vec()
    }
}

/// What a guest is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShutdownKind {
    /// Shut down and switch off.
    PowerOff,
    /// Shut down and start again.
    Restart,
    /// Write its memory to disk and switch off.
    Hibernate,
}

/// Bytes that the text of a shutdown request has room for, its terminating zero included.
pub const MAX_SHUTDOWN_TEXT: usize = 2048;

/// Planned: a flag of the reason (documented: the Windows SDK, `SHTDN_REASON_FLAG_PLANNED`).
const REASON_PLANNED: u32 = 0x8000_0000;

/// A request to shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// What to do.
    pub kind: ShutdownKind,
    /// Do so even if programs object.
    pub force: bool,
    /// Seconds that the guest may take.
    pub timeout: u32,
    /// For whoever sits before the guest; what has no room is cut off.
    pub text: String,
}

impl Shutdown {
    const FORCE: u32 = 1;
    const RESTART: u32 = 2;
    const HIBERNATE: u32 = 4;

    /// Reads a body.
    ///
    /// # Errors
    /// It is too short, or asks for what no version knows.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (shutdown, _) = layout::<wire::Shutdown>(body)?;
        let flags = shutdown.flags.get();
        let kind = match flags & !Self::FORCE {
            0 => ShutdownKind::PowerOff,
            Self::RESTART => ShutdownKind::Restart,
            Self::HIBERNATE => ShutdownKind::Hibernate,
            _ => return Err(DecodeError::Unknown(flags)),
        };
        let text = shutdown.text.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Self {
            kind,
            force: flags & Self::FORCE != 0,
            timeout: shutdown.timeout.get(),
            text: String::from_utf8_lossy(text).into_owned(),
        })
    }

    /// Its body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self.kind {
            ShutdownKind::PowerOff => 0,
            ShutdownKind::Restart => Self::RESTART,
            ShutdownKind::Hibernate => Self::HIBERNATE,
        };
        let mut text = [0; MAX_SHUTDOWN_TEXT];
        let length = self.text.floor_char_boundary(MAX_SHUTDOWN_TEXT - 1);
        text[..length].copy_from_slice(&self.text.as_bytes()[..length]);
        let shutdown = wire::Shutdown {
            reason: REASON_PLANNED.into(),
            timeout: self.timeout.into(),
            flags: (kind | u32::from(self.force)).into(),
            text,
        };
        shutdown.as_bytes().to_vec()
    }
}

/// What the guest is to do with the time that it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeSyncFlags(pub u8);

impl TimeSyncFlags {
    /// Nothing: the host only shows that it is there.
    pub const PROBE: Self = Self(0);
    /// Set the clock.
    pub const SYNC: Self = Self(1);
    /// Discipline the clock; a sample among many.
    pub const SAMPLE: Self = Self(2);
}

/// The time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSync {
    /// The host's time, in units of 100 ns since 1601.
    pub host_time: u64,
    /// The partition's reference time at that moment, in units of 100 ns; told since version 4.0.
    pub reference_time: Option<u64>,
    /// What to do with it.
    pub flags: TimeSyncFlags,
}

impl TimeSync {
    /// Since this version the reference time is told.
    const WITH_REFERENCE: Version = Version::new(4, 0);

    /// Reads a body of this version.
    ///
    /// # Errors
    /// It is too short.
    pub fn decode(body: &[u8], version: Version) -> Result<Self, DecodeError> {
        if version < Self::WITH_REFERENCE {
            let (time, _) = layout::<wire::TimeSync>(body)?;
            let flags = TimeSyncFlags(time.flags);
            return Ok(Self { host_time: time.host_time.get(), reference_time: None, flags });
        }
        let (time, _) = layout::<wire::TimeSyncReference>(body)?;
        Ok(Self {
            host_time: time.host_time.get(),
            reference_time: Some(time.reference_time.get()),
            flags: TimeSyncFlags(time.flags),
        })
    }

    /// Its body in this version. Version 4.0 without a reference time tells 0.
    #[must_use]
    pub fn encode(&self, version: Version) -> Vec<u8> {
        if version < Self::WITH_REFERENCE {
            let time = wire::TimeSync {
                host_time: self.host_time.into(),
                guest_time: 0.into(),
                round_trip: 0.into(),
                flags: self.flags.0,
            };
            return time.as_bytes().to_vec();
        }
        let time = wire::TimeSyncReference {
            host_time: self.host_time.into(),
            reference_time: self.reference_time.unwrap_or_default().into(),
            flags: self.flags.0,
            leap: 0,
            stratum: 0,
            reserved: [0; 5],
        };
        time.as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back() {
        let beat = Heartbeat { sequence: u64::MAX, state: ApplicationState::CRITICAL };
        assert_eq!(Heartbeat::decode(&beat.encode()), Ok(beat));
        for (kind, force, flags) in [
            (ShutdownKind::PowerOff, false, 0),
            (ShutdownKind::PowerOff, true, 1),
            (ShutdownKind::Restart, true, 3),
            (ShutdownKind::Hibernate, false, 4),
        ] {
            let shutdown = Shutdown { kind, force, timeout: 30, text: "maintenance".into() };
            let bytes = shutdown.encode();
            assert_eq!((bytes.len(), bytes[8]), (2060, flags));
            assert_eq!(Shutdown::decode(&bytes), Ok(shutdown));
        }
        for (version, size) in [(Version::new(1, 0), 25), (Version::new(3, 0), 25), (Version::new(4, 0), 24)]
        {
            let reference_time = (size == 24).then_some(77);
            let time = TimeSync { host_time: 5, reference_time, flags: TimeSyncFlags::SAMPLE };
            let bytes = time.encode(version);
            assert_eq!(bytes.len(), size);
            assert_eq!(TimeSync::decode(&bytes, version), Ok(time));
        }
    }

    #[test]
    fn what_is_too_short_or_unknown_is_an_error() {
        assert_eq!(Heartbeat::decode(&[0; 8]), Err(DecodeError::TooShort { length: 8, minimum: 16 }));
        assert!(Shutdown::decode(&[0; 2059]).is_err());
        let mut both = [0; 2060];
        both[8] = 6;
        assert_eq!(Shutdown::decode(&both), Err(DecodeError::Unknown(6)));
    }

    #[test]
    fn a_text_without_room_is_cut_between_characters() {
        let shutdown =
            Shutdown { kind: ShutdownKind::PowerOff, force: false, timeout: 0, text: "ä".repeat(2000) };
        let back = Shutdown::decode(&shutdown.encode()).unwrap();
        assert_eq!(back.text, "ä".repeat(1023));
    }
}
