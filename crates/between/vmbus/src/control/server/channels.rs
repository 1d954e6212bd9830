//! Channels: offer, rescind, open, close, modify, release.

use alloc::vec::Vec;

use zerocopy::little_endian::U64;

#[cfg(test)]
use super::Sabotage;
use super::{
    Channel, ChannelState, ChannelStatus, GpadlState, Offer, Output, RequestId, Rings, Server, Violation,
};
use crate::control::message::{
    CloseChannel, MessageType, ModifyChannel, ModifyChannelResponse, OfferChannel, OpenChannel,
    OpenChannelResult, RelidReleased, RescindChannelOffer,
};
use crate::control::{GpadlId, NO_INTERRUPT_VP, Relid, Status, Version};

/// Why a channel cannot be offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Every channel id is taken.
    #[error("all 2047 channel ids are in use")]
    NoRelid,
    /// Class, instance and subchannel name a channel once.
    #[error("this device is offered already, as {0:?}")]
    Duplicate(Relid),
}

/// Pages a ring has at least: one of control, one of data (documented).
const MIN_RING_PAGES: usize = 2;

impl Server {
    /// Offers a channel: at once if the guest has asked for offers, else when it does. Contacts come and go, the
    /// offer stays, until [`Self::rescind`].
    ///
    /// # Errors
    /// The device is offered already, or every channel id is taken.
    pub fn offer(&mut self, offer: Offer, out: &mut Vec<Output>) -> Result<Relid, OfferError> {
        let same = |channel: &Channel| {
            channel.state != ChannelState::Rescinded
                && (channel.offer.class, channel.offer.instance, channel.offer.subchannel_index)
                    == (offer.class, offer.instance, offer.subchannel_index)
        };
        if let Some((&relid, _)) = self.state.channels.iter().find(|(_, channel)| same(channel)) {
            return Err(OfferError::Duplicate(relid));
        }
        let relid =
            Relid::all().find(|relid| !self.state.channels.contains_key(relid)).ok_or(OfferError::NoRelid)?;
        self.state.channels.insert(relid, Channel { offer, state: ChannelState::Unannounced });
        if self.state.contact.as_ref().is_some_and(|contact| contact.offers_requested) {
            self.announce(relid, out);
        }
        Ok(relid)
    }

    /// Takes a channel away: closes it at once and tells the guest. False if there is no such channel, or it is rescinded
    /// already.
    ///
    /// The channel's id and its GPADLs are kept until the guest releases them or makes contact anew. Until then the guest's
    /// requests that crossed the rescission are answered: GPADL_HEADER and GPADL_TEARDOWN with success, MODIFYCHANNEL with a
    /// failure; only OPENCHANNEL is not (documented: microsoft/openvmm #1100, #3959, which say that Hyper-V does so; the failure of
    /// MODIFYCHANNEL is what OpenVMM's `handle_modify_channel` answers for any channel that is not open).
    pub fn rescind(&mut self, relid: Relid, out: &mut Vec<Output>) -> bool {
        match self.state.channels.get(&relid).map(|channel| &channel.state) {
            None | Some(ChannelState::Rescinded) => return false,
            Some(ChannelState::Unannounced) => {
                self.state.channels.remove(&relid);
                out.push(Output::Released { relid });
                return true;
            }
            Some(ChannelState::Closed | ChannelState::Opening { .. } | ChannelState::Open { .. }) => {}
        }
        self.close_ring(relid, ChannelState::Rescinded, out);
        self.post(&RescindChannelOffer::new(relid), out);
        #[cfg(test)]
        if self.is_sabotaged(Sabotage::FreeRelidAtRescind) {
            self.state.channels.remove(&relid);
        }
        true
    }

    /// The owner's answer to [`Output::Open`]: [`Status::SUCCESS`] if the channel is in use now. An answer to a
    /// question that has been overtaken, or was never asked, is ignored.
    pub fn open_result(&mut self, answered: RequestId, status: Status, out: &mut Vec<Output>) {
        #[cfg(test)]
        let answered = {
            let opening = self.channels().filter_map(|channel| match channel.2 {
                ChannelStatus::Opening(request, _) => Some(request),
                _ => None,
            });
            self.believed(answered, opening.collect())
        };
        let found = self.state.channels.iter().find_map(|(&relid, channel)| match channel.state {
            ChannelState::Opening { request, open_id, rings } if request == answered => {
                Some((relid, open_id, rings))
            }
            _ => None,
        });
        let Some((relid, open_id, rings)) = found else { return };
        let state = if status.is_success() { ChannelState::Open { rings } } else { ChannelState::Closed };
        self.set_channel(relid, state);
        self.post(&OpenChannelResult::new(relid.get(), open_id, status), out);
    }

    /// The offer with this id.
    pub fn offered(&self, relid: Relid) -> Option<&Offer> {
        self.state.channels.get(&relid).map(|channel| &channel.offer)
    }

    /// All channels and what they are doing, by id.
    pub fn channels(&self) -> impl Iterator<Item = (Relid, &Offer, ChannelStatus)> {
        self.state.channels.iter().map(|(&relid, channel)| {
            let status = match channel.state {
                ChannelState::Unannounced => ChannelStatus::Unannounced,
                ChannelState::Closed => ChannelStatus::Closed,
                ChannelState::Opening { request, rings, .. } => ChannelStatus::Opening(request, rings),
                ChannelState::Open { rings } => ChannelStatus::Open(rings),
                ChannelState::Rescinded => ChannelStatus::Rescinded,
            };
            (relid, &channel.offer, status)
        })
    }

    /// What this channel is doing.
    pub fn channel_status(&self, relid: Relid) -> Option<ChannelStatus> {
        self.channels().find(|&(other, ..)| other == relid).map(|(.., status)| status)
    }

    /// The connection id with which the guest signals this channel.
    pub fn event_connection_id(&self, relid: Relid) -> u32 {
        self.config.connection_ids.for_channel(relid)
    }

    pub(super) fn announce(&mut self, relid: Relid, out: &mut Vec<Output>) {
        let Some(channel) = self.state.channels.get_mut(&relid) else { return };
        channel.state = ChannelState::Closed;
        let offer = &channel.offer;
        let message = OfferChannel {
            class: offer.class.into(),
            instance: offer.instance.into(),
            reserved: [U64::ZERO; 2],
            flags: offer.flags.into(),
            mmio_mib: offer.mmio_mib.into(),
            user_defined: offer.user_defined,
            subchannel_index: offer.subchannel_index.into(),
            reserved2: 0.into(),
            relid: relid.get().into(),
            monitor_id: 0,
            monitor_allocated: 0,
            dedicated_interrupt: 1.into(),
            connection_id: self.event_connection_id(relid).into(),
        };
        self.post(&message, out);
    }

    /// The channel the guest means, if it is one the guest has been offered; rescinded ones included.
    pub(super) fn known_channel(
        &self,
        kind: MessageType,
        relid: u32,
    ) -> Result<(Relid, &ChannelState), Violation> {
        Relid::new(relid)
            .and_then(|relid| self.state.channels.get(&relid).map(|channel| (relid, &channel.state)))
            .filter(|(_, state)| **state != ChannelState::Unannounced)
            .ok_or(Violation::UnknownChannel { kind, relid })
    }

    pub(super) fn open_channel(
        &mut self,
        open: &OpenChannel,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let (relid, open_id) = (open.relid.get(), open.open_id.get());
        let gpadl = GpadlId(open.ring_gpadl.get());
        let relid = match self.check_open(open, gpadl) {
            Ok(Some(relid)) => relid,
            Ok(None) => return Ok(()),
            Err(violation) => {
                // Refused, not ignored, so that no driver waits for ever.
                self.post(&OpenChannelResult::new(relid, open_id, Status::UNSUCCESSFUL), out);
                return Err(violation);
            }
        };
        let request = self.next_request();
        let rings = Rings {
            gpadl,
            downstream_offset: open.downstream_page_offset.get(),
            target_vp: open.target_vp.get(),
            user_data: open.user_data,
        };
        self.set_channel(relid, ChannelState::Opening { request, open_id, rings });
        out.push(Output::Open { request, relid, rings });
        Ok(())
    }

    /// The channel if it can be opened like this, nothing if it was rescinded, which the guest may not have known.
    fn check_open(&self, open: &OpenChannel, gpadl: GpadlId) -> Result<Option<Relid>, Violation> {
        let kind = MessageType::OPEN_CHANNEL;
        let (relid, state) = self.known_channel(kind, open.relid.get())?;
        match state {
            ChannelState::Rescinded => return Ok(None),
            ChannelState::Opening { .. } | ChannelState::Open { .. } => {
                return Err(Violation::AlreadyOpen(relid));
            }
            ChannelState::Unannounced | ChannelState::Closed => {}
        }
        let list = self.state.gpadls.get(&gpadl).ok_or(Violation::UnknownGpadl { kind, gpadl })?;
        if list.relid != relid {
            return Err(Violation::GpadlOfOtherChannel { gpadl, relid: relid.get() });
        }
        if list.state != GpadlState::Ready {
            return Err(Violation::GpadlNotReady(gpadl));
        }
        let downstream_offset = open.downstream_page_offset.get();
        let pages = list.pages.len();
        let split = usize::try_from(downstream_offset).unwrap_or(usize::MAX);
        if split < MIN_RING_PAGES || pages.saturating_sub(split) < MIN_RING_PAGES {
            return Err(Violation::BadRingSplit { pages, downstream_offset });
        }
        Ok(Some(relid))
    }

    pub(super) fn close_channel(
        &mut self,
        close: &CloseChannel,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let kind = MessageType::CLOSE_CHANNEL;
        let (relid, state) = self.known_channel(kind, close.relid.get())?;
        match state {
            ChannelState::Opening { .. } | ChannelState::Open { .. } => {
                self.close_ring(relid, ChannelState::Closed, out);
                Ok(())
            }
            // Closed when it was rescinded.
            ChannelState::Rescinded => Ok(()),
            ChannelState::Unannounced | ChannelState::Closed => Err(Violation::NotOpen { kind, relid }),
        }
    }

    pub(super) fn relid_released(
        &mut self,
        released: &RelidReleased,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let (relid, state) = self.known_channel(MessageType::RELID_RELEASED, released.relid.get())?;
        let rescinded = match state {
            ChannelState::Rescinded => true,
            // The guest cannot use the device: Linux releases a channel whose offer it could not handle (documented).
            ChannelState::Closed | ChannelState::Unannounced => false,
            ChannelState::Opening { .. } | ChannelState::Open { .. } => {
                return Err(Violation::ReleasedInUse(relid));
            }
        };
        self.release_gpadls_of(relid, out);
        if rescinded {
            self.state.channels.remove(&relid);
            out.push(Output::Released { relid });
        } else {
            self.set_channel(relid, ChannelState::Unannounced);
        }
        Ok(())
    }

    pub(super) fn modify_channel(
        &mut self,
        version: Version,
        modify: &ModifyChannel,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let kind = MessageType::MODIFY_CHANNEL;
        if !version.has_modify_channel() {
            return Err(Violation::NotInVersion { kind, version });
        }
        let (modified, violation) = match self.retarget(modify, out) {
            Ok(modified) => (modified, Ok(())),
            Err(violation) => (false, Err(violation)),
        };
        if version.answers_modify_channel() {
            self.post(&ModifyChannelResponse::new(modify.relid.get(), Status::from_ok(modified)), out);
        }
        violation
    }

    /// Whether another VP is interrupted now. Not if the channel was rescinded, which the guest may not have known.
    fn retarget(&mut self, modify: &ModifyChannel, out: &mut Vec<Output>) -> Result<bool, Violation> {
        let kind = MessageType::MODIFY_CHANNEL;
        let target_vp = modify.target_vp.get();
        let (relid, state) = self.known_channel(kind, modify.relid.get())?;
        let rings = match *state {
            ChannelState::Open { rings } => rings,
            ChannelState::Rescinded => return Ok(false),
            _ => return Err(Violation::NotOpen { kind, relid }),
        };
        // As OpenVMM has it: interrupts are neither switched on nor off by moving them.
        if rings.target_vp == NO_INTERRUPT_VP {
            return Err(Violation::InterruptsOff(relid));
        }
        if !self.config.has_processor(target_vp) {
            return Err(Violation::UnknownProcessor { relid, vp: target_vp });
        }
        self.set_channel(relid, ChannelState::Open { rings: Rings { target_vp, ..rings } });
        out.push(Output::Retarget { relid, target_vp });
        Ok(true)
    }

    /// Ends the use of a channel's rings, if it was open or about to be, and puts it in this state.
    fn close_ring(&mut self, relid: Relid, state: ChannelState, out: &mut Vec<Output>) {
        let Some(channel) = self.state.channels.get_mut(&relid) else { return };
        match core::mem::replace(&mut channel.state, state) {
            ChannelState::Opening { open_id, .. } => {
                out.push(Output::Close { relid });
                #[cfg(test)]
                if self.is_sabotaged(Sabotage::ForgetToAnswerClosedOpen) {
                    return;
                }
                self.post(&OpenChannelResult::new(relid.get(), open_id, Status::UNSUCCESSFUL), out);
            }
            ChannelState::Open { .. } => out.push(Output::Close { relid }),
            ChannelState::Unannounced | ChannelState::Closed | ChannelState::Rescinded => {}
        }
    }

    fn set_channel(&mut self, relid: Relid, state: ChannelState) {
        if let Some(channel) = self.state.channels.get_mut(&relid) {
            channel.state = state;
        }
    }
}
