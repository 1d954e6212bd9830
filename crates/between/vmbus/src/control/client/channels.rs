//! What drivers ask for, and what the host says of channels and GPADLs.

use alloc::vec::Vec;

use super::{
    Channel, Client, Connection, Gpadl, GpadlState, HostViolation, Offer, OpenParams, Output, Ring, Stage,
};
use crate::control::message::{
    Body, CloseChannel, GpadlMessages, GpadlSizeError, GpadlTeardown, Message, MessageType, ModifyChannel,
    OfferChannel, OpenChannel, Payload, RelidReleased, RescindChannelOffer,
};
use crate::control::{GpadlId, Relid, Status, Version};

/// Why the bus does not do what a driver asks for. Nothing has been sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no contact.
    #[error("the bus is not connected")]
    NotConnected,
    /// The channel is not on offer (any more).
    #[error("channel {0} is not on offer")]
    NoChannel(Relid),
    /// The channel has been rescinded: release it.
    #[error("channel {0} has been rescinded")]
    Rescinded(Relid),
    /// Only rescinded channels are released.
    #[error("channel {0} has not been rescinded")]
    NotRescinded(Relid),
    /// The channel is open, or being opened.
    #[error("channel {0} is open already")]
    AlreadyOpen(Relid),
    /// The channel is not open.
    #[error("channel {0} is not open")]
    NotOpen(Relid),
    /// The list is not there, not of this channel, not yet created, or being torn down.
    #[error("GPADL {0} is not there to be used")]
    NoGpadl(GpadlId),
    /// A channel is open on the list.
    #[error("GPADL {gpadl} holds the rings of channel {relid}")]
    GpadlInUse {
        /// The list.
        gpadl: GpadlId,
        /// The channel.
        relid: Relid,
    },
    /// No list can have so many pages, or none.
    #[error(transparent)]
    GpadlSize(#[from] GpadlSizeError),
    /// The agreed version does not have it.
    #[error("version {0} cannot do that")]
    NotInVersion(Version),
}

impl Client {
    /// Names these guest pages to the host; [`Output::GpadlCreated`] follows, unless the channel is rescinded.
    ///
    /// # Errors
    /// There is no contact, the channel is not on offer or rescinded ([`ClientError`]), or there are no pages, or too
    /// many.
    pub fn establish_gpadl(
        &mut self,
        relid: Relid,
        pages: &[u64],
        out: &mut Vec<Output>,
    ) -> Result<GpadlId, ClientError> {
        let connection_id = self.connected()?.1;
        self.offered(relid)?;
        let gpadl = self.free_gpadl();
        for payload in GpadlMessages::new(relid, gpadl, pages)? {
            self.state.outbox.push(connection_id, payload);
        }
        self.state.next_gpadl = gpadl.0.wrapping_add(1);
        self.state.gpadls.insert(gpadl, Gpadl { relid, state: GpadlState::Creating });
        self.pump(out);
        Ok(gpadl)
    }

    fn free_gpadl(&self) -> GpadlId {
        let mut id = self.state.next_gpadl;
        while self.state.gpadls.contains_key(&GpadlId(id)) {
            id = id.wrapping_add(1);
        }
        GpadlId(id)
    }

    /// Opens the channel; [`Output::Opened`] follows, unless the channel is rescinded.
    ///
    /// # Errors
    /// There is no contact, the channel is not on offer, rescinded or open already, or the list is not there to be
    /// used.
    pub fn open(
        &mut self,
        relid: Relid,
        params: &OpenParams,
        out: &mut Vec<Output>,
    ) -> Result<(), ClientError> {
        let gpadl = params.gpadl;
        let channel = self.offered(relid)?;
        if channel.ring != Ring::Closed {
            return Err(ClientError::AlreadyOpen(relid));
        }
        let usable = Gpadl { relid, state: GpadlState::Created };
        if self.state.gpadls.get(&gpadl) != Some(&usable) {
            return Err(ClientError::NoGpadl(gpadl));
        }
        self.offered(relid)?.ring = Ring::Opening { gpadl };
        let open = OpenChannel {
            relid: relid.get().into(),
            open_id: relid.get().into(),
            ring_gpadl: gpadl.0.into(),
            target_vp: params.target_vp.into(),
            downstream_page_offset: params.downstream_offset.into(),
            user_data: params.user_data,
        };
        self.send(&open.to_payload(), out)
    }

    /// Closes the channel: the caller uses its rings no more. There is no answer. A channel being opened is closed after
    /// [`Output::Opened`]: until then its rings are the host's, and [`ClientError::NotOpen`] is returned.
    ///
    /// # Errors
    /// The channel is not on offer, or not open.
    pub fn close(&mut self, relid: Relid, out: &mut Vec<Output>) -> Result<(), ClientError> {
        let channel = self.state.channels.get_mut(&relid).ok_or(ClientError::NoChannel(relid))?;
        if !matches!(channel.ring, Ring::Open { .. }) {
            return Err(ClientError::NotOpen(relid));
        }
        channel.ring = Ring::Closed;
        self.send(&CloseChannel::new(relid).to_payload(), out)
    }

    /// Asks for the pages of a list back; [`Output::GpadlTorndown`] follows.
    ///
    /// # Errors
    /// There is no such list, the host has not confirmed it, it is being torn down already, or a channel is open on
    /// it.
    pub fn teardown_gpadl(&mut self, gpadl: GpadlId, out: &mut Vec<Output>) -> Result<(), ClientError> {
        let list = self.state.gpadls.get(&gpadl).ok_or(ClientError::NoGpadl(gpadl))?;
        let relid = list.relid;
        if list.state != GpadlState::Created {
            return Err(ClientError::NoGpadl(gpadl));
        }
        let channel = self.state.channels.get(&relid).ok_or(ClientError::NoChannel(relid))?;
        match channel.ring {
            Ring::Opening { gpadl: used } | Ring::Open { gpadl: used } if used == gpadl => {
                return Err(ClientError::GpadlInUse { gpadl, relid });
            }
            _ => {}
        }
        self.state.gpadls.insert(gpadl, Gpadl { relid, state: GpadlState::TearingDown });
        self.send(&GpadlTeardown::new(relid, gpadl).to_payload(), out)
    }

    /// Has the channel interrupt another VP; [`Output::Modified`] follows from 5.3 on.
    ///
    /// # Errors
    /// There is no contact, the agreed version has no such message (before 4.1), or the channel is not open.
    pub fn modify(&mut self, relid: Relid, target_vp: u32, out: &mut Vec<Output>) -> Result<(), ClientError> {
        let (version, _) = self.connected()?;
        if !version.has_modify_channel() {
            return Err(ClientError::NotInVersion(version));
        }
        let channel = self.offered(relid)?;
        if !matches!(channel.ring, Ring::Open { .. }) {
            return Err(ClientError::NotOpen(relid));
        }
        if version.answers_modify_channel() {
            channel.modifying = channel.modifying.saturating_add(1);
        }
        self.send(&ModifyChannel::new(relid, target_vp).to_payload(), out)
    }

    /// The driver of a rescinded channel is done: closes it if it is open and asks for the pages of its lists back;
    /// [`Output::GpadlTorndown`] follows for each. The channel's id is given back when the host has answered everything that
    /// it was asked of the channel: an answer under way must not be taken for one of the next channel with that id. A host
    /// that never answers keeps the id, and the pages, until contact is made anew.
    ///
    /// # Errors
    /// The channel is not on offer, not rescinded, or released already.
    pub fn release(&mut self, relid: Relid, out: &mut Vec<Output>) -> Result<(), ClientError> {
        let channel = self.state.channels.get_mut(&relid).ok_or(ClientError::NoChannel(relid))?;
        match channel.stage {
            Stage::Offered => return Err(ClientError::NotRescinded(relid)),
            Stage::Leaving | Stage::Releasing => return Err(ClientError::NoChannel(relid)),
            Stage::Rescinded => channel.stage = Stage::Leaving,
        }
        let was_open = matches!(channel.ring, Ring::Open { .. });
        channel.ring = Ring::Closed;
        if was_open {
            self.send(&CloseChannel::new(relid).to_payload(), out)?;
        }
        self.leave(relid, out)
    }

    /// One more step of leaving a channel, if it is being left: asks for the lists that the host has confirmed, and gives the
    /// channel's id back when nothing is left to be answered.
    pub(super) fn leave(&mut self, relid: Relid, out: &mut Vec<Output>) -> Result<(), ClientError> {
        let Some(channel) = self.state.channels.get(&relid) else { return Ok(()) };
        if channel.stage != Stage::Leaving {
            return Ok(());
        }
        let modifying = channel.modifying > 0;
        #[cfg(test)]
        if self.impatient_to_release {
            self.state.gpadls.retain(|_, list| list.relid != relid);
        }
        let of_channel = |list: &Gpadl| list.relid == relid;
        let confirmed: Vec<GpadlId> = self
            .state
            .gpadls
            .iter()
            .filter(|(_, list)| of_channel(list) && list.state == GpadlState::Created)
            .map(|(&gpadl, _)| gpadl)
            .collect();
        for gpadl in confirmed {
            self.state.gpadls.insert(gpadl, Gpadl { relid, state: GpadlState::TearingDown });
            self.send(&GpadlTeardown::new(relid, gpadl).to_payload(), out)?;
        }
        #[cfg(test)]
        let modifying = modifying && !self.impatient_to_release;
        if modifying || self.state.gpadls.values().any(of_channel) {
            return Ok(());
        }
        if let Some(channel) = self.state.channels.get_mut(&relid) {
            channel.stage = Stage::Releasing;
        }
        self.send(&RelidReleased::new(relid).to_payload(), out)
    }

    fn connected(&self) -> Result<(Version, u32), ClientError> {
        match self.state.connection {
            Connection::Connected { version, connection_id, .. } => Ok((version, connection_id)),
            _ => Err(ClientError::NotConnected),
        }
    }

    fn offered(&mut self, relid: Relid) -> Result<&mut Channel, ClientError> {
        self.connected()?;
        let channel = self.state.channels.get_mut(&relid).ok_or(ClientError::NoChannel(relid))?;
        match channel.stage {
            Stage::Offered => Ok(channel),
            Stage::Rescinded | Stage::Leaving | Stage::Releasing => Err(ClientError::Rescinded(relid)),
        }
    }

    fn send(&mut self, payload: &Payload, out: &mut Vec<Output>) -> Result<(), ClientError> {
        let (_, connection_id) = self.connected()?;
        self.state.outbox.push(connection_id, *payload);
        self.pump(out);
        Ok(())
    }

    pub(super) fn channel_message(
        &mut self,
        message: &Message<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), HostViolation> {
        let kind = message.kind();
        match message {
            Message::OfferChannel(offer) => self.host_offers(offer, out),
            Message::RescindChannelOffer(rescind) => self.host_rescinds(rescind, out),
            Message::AllOffersDelivered => {
                if let Connection::Connected { offers_delivered, .. } = &mut self.state.connection
                    && core::mem::replace(offers_delivered, true)
                {
                    return Err(HostViolation::NotAsked(kind));
                }
                out.push(Output::AllOffersDelivered);
                Ok(())
            }
            Message::OpenChannelResult(result) => {
                let status = Status(result.status.get());
                let channel = self.known_channel(kind, result.relid.get())?;
                let relid = channel.offer.relid;
                match channel.ring {
                    // An open that crossed the rescission: whether it is answered does not matter.
                    _ if channel.stage != Stage::Offered => Ok(()),
                    Ring::Opening { gpadl } if result.open_id.get() == relid.get() => {
                        channel.ring = if status.is_success() { Ring::Open { gpadl } } else { Ring::Closed };
                        out.push(Output::Opened { relid, status });
                        Ok(())
                    }
                    _ => Err(HostViolation::NotAsked(kind)),
                }
            }
            Message::ModifyChannelResponse(response) => {
                let status = Status(response.status.get());
                let channel = self.known_channel(kind, response.relid.get())?;
                let relid = channel.offer.relid;
                channel.modifying = channel.modifying.checked_sub(1).ok_or(HostViolation::NotAsked(kind))?;
                // An answer that comes after the channel was closed, or rescinded, is of no use to its driver.
                if channel.stage == Stage::Offered && matches!(channel.ring, Ring::Open { .. }) {
                    out.push(Output::Modified { relid, status });
                }
                self.go_on_leaving(relid, out)
            }
            Message::GpadlCreated(created) => {
                let gpadl = GpadlId(created.gpadl.get());
                let status = Status(created.status.get());
                let channel = self.known_channel(kind, created.relid.get())?;
                let (relid, stage) = (channel.offer.relid, channel.stage);
                match self.state.gpadls.get_mut(&gpadl) {
                    Some(list) if list.relid == relid && list.state == GpadlState::Creating => {
                        if status.is_success() {
                            list.state = GpadlState::Created;
                        } else {
                            self.state.gpadls.remove(&gpadl);
                        }
                        if stage == Stage::Offered {
                            out.push(Output::GpadlCreated { relid, gpadl, status });
                        } else if !status.is_success() {
                            out.push(Output::GpadlTorndown(gpadl));
                        }
                        self.go_on_leaving(relid, out)
                    }
                    _ => Err(HostViolation::NotAsked(kind)),
                }
            }
            Message::GpadlTorndown(torndown) => {
                let gpadl = GpadlId(torndown.gpadl.get());
                match self.state.gpadls.get(&gpadl).copied() {
                    Some(Gpadl { relid, state: GpadlState::TearingDown }) => {
                        self.state.gpadls.remove(&gpadl);
                        out.push(Output::GpadlTorndown(gpadl));
                        self.go_on_leaving(relid, out)
                    }
                    _ => Err(HostViolation::NotAsked(kind)),
                }
            }
            Message::TlConnectResult(_) => Err(HostViolation::NotAsked(kind)),
            _ => Err(HostViolation::Unknown(kind)),
        }
    }

    /// The host has answered something of this channel: if the channel is being left, that goes on.
    fn go_on_leaving(&mut self, relid: Relid, out: &mut Vec<Output>) -> Result<(), HostViolation> {
        // Fails only without contact, and a host's answer is heard only while there is contact.
        let left = self.leave(relid, out);
        debug_assert!(left.is_ok(), "{left:?}");
        Ok(())
    }

    /// The channel that the host means.
    fn known_channel(&mut self, kind: MessageType, relid: u32) -> Result<&mut Channel, HostViolation> {
        let unknown = HostViolation::UnknownChannel { kind, relid };
        let relid = Relid::new(relid).ok_or(unknown)?;
        self.state.channels.get_mut(&relid).ok_or(unknown)
    }

    fn host_offers(&mut self, message: &OfferChannel, out: &mut Vec<Output>) -> Result<(), HostViolation> {
        let kind = MessageType::OFFER_CHANNEL;
        let number = message.relid.get();
        let relid = Relid::new(number).ok_or(HostViolation::UnknownChannel { kind, relid: number })?;
        if self.state.channels.contains_key(&relid) {
            return Err(HostViolation::DuplicateOffer(relid));
        }
        let offer = Offer {
            relid,
            class: message.class.get(),
            instance: message.instance.get(),
            subchannel_index: message.subchannel_index.get(),
            flags: message.flags.get(),
            mmio_mib: message.mmio_mib.get(),
            connection_id: message.connection_id.get(),
            dedicated_interrupt: message.dedicated_interrupt.get() & 1 != 0,
            user_defined: message.user_defined,
        };
        let channel = Channel { offer, stage: Stage::Offered, ring: Ring::Closed, modifying: 0 };
        self.state.channels.insert(relid, channel);
        out.push(Output::Offer(offer));
        Ok(())
    }

    fn host_rescinds(
        &mut self,
        message: &RescindChannelOffer,
        out: &mut Vec<Output>,
    ) -> Result<(), HostViolation> {
        let kind = MessageType::RESCIND_CHANNEL_OFFER;
        let number = message.relid.get();
        let channel = self.known_channel(kind, number)?;
        if channel.stage != Stage::Offered {
            return Err(HostViolation::RescindedTwice(channel.offer.relid));
        }
        channel.stage = Stage::Rescinded;
        if matches!(channel.ring, Ring::Opening { .. }) {
            // The host does not open what it has taken back.
            channel.ring = Ring::Closed;
        }
        out.push(Output::Rescinded(channel.offer));
        Ok(())
    }
}
