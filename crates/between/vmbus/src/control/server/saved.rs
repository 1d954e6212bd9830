//! Saving and restoring the host's side.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{ChannelState, GpadlState, Output, RequestId, Server, ServerConfig, State};
use crate::control::message::MAX_GPADL_PAGES;
use crate::control::{GpadlId, Relid, Version};

/// The format [`Server::save`] writes.
pub const SAVED_FORMAT: u32 = 2;

/// A server's state, to be stored as it is. Messages that wait for the guest's slot are the adapter's.
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
    /// The agreed version is not one this configuration agrees to.
    #[error("saved VMBus state speaks version {0}, which is not configured")]
    Version(Version),
    /// The state contradicts itself.
    #[error("saved VMBus state contradicts itself: {0}")]
    Inconsistent(&'static str),
}

impl Server {
    /// The state, for [`Self::restore`].
    pub fn save(&self) -> SavedState {
        SavedState { format: SAVED_FORMAT, state: self.state.clone() }
    }

    /// A server that goes on where the saved one was.
    ///
    /// Its owner gets hold of [`Server::gpadls`] again, resumes what [`Server::channels`] calls open, and is asked
    /// again, under the same [`RequestId`]s, what it had not answered.
    ///
    /// # Errors
    /// The state was written in another format, speaks a version that is not configured, or contradicts itself.
    pub fn restore(
        config: ServerConfig,
        saved: SavedState,
        out: &mut Vec<Output>,
    ) -> Result<Self, RestoreError> {
        if saved.format != SAVED_FORMAT {
            return Err(RestoreError::Format(saved.format));
        }
        let mut server = Self::new(config);
        server.state = saved.state;
        server.check()?;
        server.ask_again(out);
        Ok(server)
    }

    fn check(&self) -> Result<(), RestoreError> {
        let State { contact, before: _, channels, gpadls, next_request } = &self.state;
        if let Some(contact) = contact
            && !(contact.version.is_spoken() && contact.version <= self.config.max_version)
        {
            return Err(RestoreError::Version(contact.version));
        }
        let mut requests = BTreeSet::new();
        let mut fresh = |request: RequestId| request.0 < *next_request && requests.insert(request);
        let mut pages = 0usize;
        for list in gpadls.values() {
            let Some(channel) = channels.get(&list.relid) else {
                return Err(RestoreError::Inconsistent("a GPADL of no channel"));
            };
            if channel.state == ChannelState::Unannounced {
                return Err(RestoreError::Inconsistent("a GPADL of a channel the guest does not know"));
            }
            let (valid, size) = match list.state {
                GpadlState::Assembling { announced } => (announced > list.pages.len(), announced),
                GpadlState::Establishing { request } => {
                    (fresh(request) && !list.pages.is_empty(), list.pages.len())
                }
                GpadlState::Acknowledged => {
                    (channel.state == ChannelState::Rescinded && list.pages.is_empty(), 0)
                }
                GpadlState::Ready => (!list.pages.is_empty(), list.pages.len()),
                GpadlState::Refusing { missing } => (list.pages.is_empty() && missing > 0, missing),
            };
            if !valid || size > MAX_GPADL_PAGES {
                return Err(RestoreError::Inconsistent("a GPADL of an impossible state"));
            }
            pages = pages.saturating_add(list.announced());
        }
        if gpadls.len() > self.config.limits.gpadls || pages > self.config.limits.gpadl_pages {
            return Err(RestoreError::Inconsistent("more GPADLs than the limits allow"));
        }
        for (relid, channel) in channels {
            let gpadl = match channel.state {
                ChannelState::Unannounced => continue,
                ChannelState::Closed | ChannelState::Rescinded => None,
                ChannelState::Opening { request, rings, .. } if fresh(request) => Some(rings.gpadl),
                ChannelState::Opening { .. } => {
                    return Err(RestoreError::Inconsistent("a request asked twice"));
                }
                ChannelState::Open { rings } => Some(rings.gpadl),
            };
            if !contact.as_ref().is_some_and(|contact| contact.offers_requested) {
                return Err(RestoreError::Inconsistent("a channel in use without contact"));
            }
            let ready = |gpadl: GpadlId, relid: Relid| {
                gpadls.get(&gpadl).is_some_and(|list| list.relid == relid && list.state == GpadlState::Ready)
            };
            if gpadl.is_some_and(|gpadl| !ready(gpadl, *relid)) {
                return Err(RestoreError::Inconsistent("a channel open on no GPADL of its own"));
            }
        }
        Ok(())
    }

    fn ask_again(&self, out: &mut Vec<Output>) {
        for (gpadl, list) in &self.state.gpadls {
            if let GpadlState::Establishing { request } = list.state {
                let pages = list.pages.clone();
                out.push(Output::EstablishGpadl { request, relid: list.relid, gpadl: *gpadl, pages });
            }
        }
        for (&relid, channel) in &self.state.channels {
            if let ChannelState::Opening { request, rings, .. } = channel.state {
                out.push(Output::Open { request, relid, rings });
            }
        }
    }
}
