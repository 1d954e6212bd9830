//! Saving and restoring the guest's side.

use super::{Client, ClientConfig, Connection, GpadlState, Ring, State};

/// The format [`Client::save`] writes.
pub const SAVED_FORMAT: u32 = 2;

/// A client's state, to be stored as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SavedState {
    format: u32,
    state: State,
}

/// Why a saved state is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Written by another version of this crate.
    #[error("saved VMBus state has format {0}; this version reads format {SAVED_FORMAT}")]
    Format(u32),
    /// The state contradicts itself, or the configuration.
    #[error("saved VMBus state contradicts itself: {0}")]
    Inconsistent(&'static str),
}

impl Client {
    /// The state, for [`Self::restore`]. The status of a post under way is still to be reported to the client that goes on.
    pub fn save(&self) -> SavedState {
        SavedState { format: SAVED_FORMAT, state: self.state.clone() }
    }

    /// A client that goes on where the saved one was.
    ///
    /// # Errors
    /// The state was written in another format, or contradicts itself or the configuration.
    pub fn restore(config: ClientConfig, saved: SavedState) -> Result<Self, RestoreError> {
        if saved.format != SAVED_FORMAT {
            return Err(RestoreError::Format(saved.format));
        }
        let client = Self::with_state(config, saved.state);
        client.check().map_err(RestoreError::Inconsistent)?;
        Ok(client)
    }

    fn check(&self) -> Result<(), &'static str> {
        let State { connection, wish, reply_by, channels, gpadls, outbox, .. } = &self.state;
        match connection {
            Connection::Contacting { attempt } if *attempt >= self.config.versions.len() => {
                return Err("a contact for a version that is not configured");
            }
            Connection::Connected { version, .. } if !version.is_spoken() => {
                return Err("contact in a version nobody speaks");
            }
            _ => {}
        }
        let connected = matches!(connection, Connection::Connected { .. });
        let any = !channels.is_empty() || !gpadls.is_empty();
        if any && !connected {
            return Err("channels without contact");
        }
        if wish.is_some() && !matches!(connection, Connection::Contacting { .. } | Connection::Unloading) {
            return Err("a wish that waits for nothing");
        }
        if connected && reply_by.is_some() {
            return Err("a wait for contact that has been made");
        }
        if channels.iter().any(|(relid, channel)| *relid != channel.offer.relid) {
            return Err("a channel under another's id");
        }
        if gpadls.values().any(|list| !channels.contains_key(&list.relid)) {
            return Err("a GPADL of no channel");
        }
        for (relid, channel) in channels {
            if let Ring::Opening { gpadl } | Ring::Open { gpadl } = channel.ring {
                let own = |list: &super::Gpadl| list.relid == *relid && list.state == GpadlState::Created;
                if !gpadls.get(&gpadl).is_some_and(own) {
                    return Err("a channel open on no GPADL of its own");
                }
            }
        }
        outbox.check().map_err(|_| "a message that is none")
    }
}
