//! Contact, offers on request, and taking leave.

use alloc::vec::Vec;

use super::{
    ChannelState, Contact, ContactOrigin, HostMessage, MessageTarget, Output, Server, Violation,
    contact_connection,
};
use crate::control::message::{Body, InitiateContact, Message, VersionResponse};
use crate::control::{CONTACT_CONNECTION_ID_V5, VMBUS_SINT};

impl Server {
    pub(super) fn initiate_contact(
        &mut self,
        connection_id: u32,
        contact: &InitiateContact,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        // A contact at any moment means that the guest has begun anew (firmware, another kernel), agreed to or not.
        self.forget_agreed(out);
        let version = contact.version();
        let wanted = contact.target();
        // A guest that cannot be answered where it wants is refused where every guest listens.
        let mut target = MessageTarget { vp: 0, sint: VMBUS_SINT };
        let mut checked = Ok(());
        if wanted.sint == VMBUS_SINT && wanted.vtl == 0 && self.config.has_processor(wanted.vp) {
            target.vp = wanted.vp;
        } else {
            checked = Err(Violation::BadContactTarget { vp: wanted.vp, sint: wanted.sint, vtl: wanted.vtl });
        }
        if connection_id != contact_connection(version) {
            checked = Err(Violation::ContactOnWrongConnection { version, connection_id });
        }
        let accepted = checked.is_ok() && version.is_spoken() && version <= self.config.max_version;
        let response = if accepted {
            self.state.contact = Some(Contact { version, target, offers_requested: false });
            let origin = core::mem::replace(&mut self.state.before, ContactOrigin::Renewed);
            out.push(Output::Contact { version, target, origin });
            VersionResponse::accepted(version, CONTACT_CONNECTION_ID_V5)
        } else {
            VersionResponse::refused()
        };
        out.push(Output::Post(HostMessage { target, payload: response.to_payload() }));
        checked
    }

    pub(super) fn unload(&mut self, out: &mut Vec<Output>) {
        // Answered without contact as well: the guest waits for it, perhaps while it crashes.
        let target = self.message_target().unwrap_or(MessageTarget { vp: 0, sint: VMBUS_SINT });
        self.forget_agreed(out);
        // A guest that never made contact leaves nothing behind.
        if self.state.before != ContactOrigin::First {
            self.state.before = ContactOrigin::AfterUnload;
        }
        out.push(Output::Unloaded);
        out.push(Output::Post(HostMessage { target, payload: Message::UnloadResponse.to_payload() }));
    }

    pub(super) fn request_offers(&mut self, out: &mut Vec<Output>) -> Result<(), Violation> {
        if let Some(contact) = &mut self.state.contact
            && core::mem::replace(&mut contact.offers_requested, true)
        {
            return Err(Violation::OffersRequestedTwice);
        }
        let unannounced: Vec<_> = self
            .state
            .channels
            .iter()
            .filter(|(_, channel)| channel.state == ChannelState::Unannounced)
            .map(|(&relid, _)| relid)
            .collect();
        for relid in unannounced {
            self.announce(relid, out);
        }
        self.post_payload(Message::AllOffersDelivered.to_payload(), out);
        Ok(())
    }
}
