//! Channel messages as events, under the names that Linux' `hv_trace.h` gives them.

use vmbus::control::message::Message;

/// Records a message that the guest posts.
pub(super) fn posted(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else { return };
    match message {
        Message::InitiateContact(contact) => tracing::debug!(
            event = "vmbus_negotiate_version",
            ver = %contact.version(),
            target_vcpu = contact.target_vp.get()
        ),
        Message::RequestOffers => tracing::debug!(event = "vmbus_request_offers"),
        Message::GpadlHeader(header) => tracing::debug!(
            event = "vmbus_establish_gpadl_header",
            child_relid = header.fixed().relid.get(),
            gpadl = header.fixed().gpadl.get(),
            range_buflen = header.fixed().range_buflen.get(),
            rangecount = header.fixed().range_count.get()
        ),
        Message::GpadlBody(body) => tracing::debug!(
            event = "vmbus_establish_gpadl_body",
            msgnumber = body.fixed().message_number.get(),
            gpadl = body.fixed().gpadl.get()
        ),
        Message::OpenChannel(open) => tracing::debug!(
            event = "vmbus_open",
            child_relid = open.relid.get(),
            openid = open.open_id.get(),
            gpadlhandle = open.ring_gpadl.get(),
            target_vp = open.target_vp.get(),
            offset = open.downstream_page_offset.get()
        ),
        Message::CloseChannel(close) => {
            tracing::debug!(event = "vmbus_close_internal", child_relid = close.relid.get());
        }
        Message::GpadlTeardown(teardown) => tracing::debug!(
            event = "vmbus_teardown_gpadl",
            child_relid = teardown.relid.get(),
            gpadl = teardown.gpadl.get()
        ),
        Message::RelidReleased(released) => {
            tracing::debug!(event = "vmbus_release_relid", child_relid = released.relid.get());
        }
        Message::Unload => tracing::debug!(event = "vmbus_unload"),
        _ => {}
    }
}

/// Records a message that the guest has taken out of its slot.
pub(super) fn taken(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else { return };
    match message {
        Message::VersionResponse(response) => {
            tracing::debug!(event = "vmbus_onversion_response", version_supported = response.supported != 0);
        }
        Message::OfferChannel(offer) => tracing::debug!(
            event = "vmbus_onoffer",
            child_relid = offer.relid.get(),
            is_ddc_int = offer.dedicated_interrupt.get(),
            connection_id = offer.connection_id.get(),
            if_type = %offer.class.get(),
            if_instance = %offer.instance.get()
        ),
        Message::RescindChannelOffer(rescind) => {
            tracing::debug!(event = "vmbus_onoffer_rescind", child_relid = rescind.relid.get());
        }
        Message::GpadlCreated(created) => tracing::debug!(
            event = "vmbus_ongpadl_created",
            child_relid = created.relid.get(),
            gpadl = created.gpadl.get(),
            status = created.status.get()
        ),
        Message::GpadlTorndown(torndown) => {
            tracing::debug!(event = "vmbus_ongpadl_torndown", gpadl = torndown.gpadl.get());
        }
        Message::OpenChannelResult(result) => tracing::debug!(
            event = "vmbus_onopen_result",
            child_relid = result.relid.get(),
            openid = result.open_id.get(),
            status = result.status.get()
        ),
        _ => {}
    }
}
