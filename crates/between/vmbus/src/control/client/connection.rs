//! Contact: which version, and leaving again.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Client, Connection, Failure, Output, Wish};
use crate::control::message::{Body, InitiateContact, Message, VersionResponse};
use crate::control::{CONTACT_CONNECTION_ID, CONTACT_CONNECTION_ID_V5, Version};

impl Client {
    /// Makes contact, from the first configured version on. At any moment: what was agreed before is forgotten, here
    /// at once and by the host when it hears of it. If a contact or UNLOAD is unanswered, its answer is awaited first.
    pub fn connect(&mut self, now: Duration, out: &mut Vec<Output>) {
        let busy = matches!(self.state.connection, Connection::Contacting { .. } | Connection::Unloading);
        #[cfg(test)]
        let busy = busy && !self.impatient;
        if busy {
            self.state.wish = Some(Wish::Connect);
        } else {
            self.disconnect();
            self.try_version(now, 0, out);
        }
        self.pump(out);
    }

    /// Takes leave; [`Output::Unloaded`] follows. Everything that was agreed is forgotten here at once; the pages of
    /// rings may be used for something else when `Unloaded` has come. If a contact is unanswered, its answer is awaited
    /// first.
    pub fn unload(&mut self, now: Duration, out: &mut Vec<Output>) {
        match self.state.connection {
            Connection::Disconnected => out.push(Output::Unloaded),
            Connection::Unloading => self.state.wish = None,
            Connection::Contacting { .. } => self.state.wish = Some(Wish::Unload),
            Connection::Connected { version, connection_id, .. } => {
                self.start_unload(now, version, connection_id, out);
            }
        }
        self.pump(out);
    }

    fn start_unload(&mut self, now: Duration, version: Version, connection_id: u32, out: &mut Vec<Output>) {
        self.disconnect();
        if version.has_unload() {
            self.state.connection = Connection::Unloading;
            self.state.reply_by = self.config.reply_timeout.map(|timeout| now.saturating_add(timeout));
            self.state.outbox.push(connection_id, Message::Unload.to_payload());
        } else {
            // There is no such message before 3.0.
            out.push(Output::Unloaded);
        }
    }

    pub(super) fn unloaded(&mut self, now: Duration, out: &mut Vec<Output>) {
        let wish = self.state.wish;
        self.disconnect();
        out.push(Output::Unloaded);
        if wish == Some(Wish::Connect) {
            self.try_version(now, 0, out);
        }
    }

    /// The version at this place was refused: the next, unless something else is wanted by now.
    pub(super) fn contact_refused(&mut self, now: Duration, attempt: usize, out: &mut Vec<Output>) {
        match self.state.wish.take() {
            None => self.try_version(now, attempt.saturating_add(1), out),
            Some(Wish::Connect) => self.try_version(now, 0, out),
            Some(Wish::Unload) => {
                self.disconnect();
                out.push(Output::Unloaded);
            }
        }
    }

    pub(super) fn try_version(&mut self, now: Duration, attempt: usize, out: &mut Vec<Output>) {
        let Some(&version) = self.config.versions.get(attempt) else {
            self.fail(Failure::NoVersion, out);
            return;
        };
        let config = &self.config;
        let contact = if version.names_its_connection() {
            InitiateContact::with_sint(version, config.target_vp, config.sint, config.monitor_pages)
        } else {
            let page = config.interrupt_page;
            InitiateContact::with_interrupt_page(version, config.target_vp, page, config.monitor_pages)
        };
        self.state.connection = Connection::Contacting { attempt };
        self.state.reply_by = self.config.reply_timeout.map(|timeout| now.saturating_add(timeout));
        self.state.outbox.push(contact_connection(version), contact.to_payload());
    }

    pub(super) fn version_response(
        &mut self,
        now: Duration,
        attempt: usize,
        response: &VersionResponse,
        out: &mut Vec<Output>,
    ) {
        let Some(&version) = self.config.versions.get(attempt) else {
            self.fail(Failure::NoVersion, out);
            return;
        };
        if response.supported == 0 || response.state != 0 || !version.is_spoken() {
            self.contact_refused(now, attempt, out);
            return;
        }
        let connection_id = if version.names_its_connection() {
            response.connection_id_or_version.get()
        } else {
            CONTACT_CONNECTION_ID
        };
        match self.state.wish.take() {
            None => {}
            Some(Wish::Connect) => return self.try_version(now, 0, out),
            Some(Wish::Unload) => return self.start_unload(now, version, connection_id, out),
        }
        self.state.connection = Connection::Connected { version, connection_id, offers_delivered: false };
        self.state.reply_by = None;
        out.push(Output::Connected(version));
        self.state.outbox.push(connection_id, Message::RequestOffers.to_payload());
    }

    pub(super) fn disconnect(&mut self) {
        self.state.connection = Connection::Disconnected;
        self.state.wish = None;
        self.state.reply_by = None;
        self.state.channels.clear();
        self.state.gpadls.clear();
        self.state.outbox.clear();
    }

    pub(super) fn fail(&mut self, failure: Failure, out: &mut Vec<Output>) {
        let wish = self.state.wish;
        self.disconnect();
        out.push(Output::Failed(failure));
        if wish == Some(Wish::Unload) {
            out.push(Output::Unloaded);
        }
    }
}

fn contact_connection(version: Version) -> u32 {
    if version.names_its_connection() { CONTACT_CONNECTION_ID_V5 } else { CONTACT_CONNECTION_ID }
}
