//! GPADLs: putting page lists together, within limits, and giving them back.

use alloc::vec::Vec;

#[cfg(test)]
use super::Sabotage;
use super::{ChannelState, Gpadl, GpadlState, Output, RequestId, Server, Violation};
use crate::control::message::{
    GpadlBody, GpadlCreated, GpadlHeader, GpadlTeardown, GpadlTorndown, MessageType,
};
use crate::control::{GpadlId, Relid, Status};

impl Gpadl {
    /// Whether the owner has been asked for the pages and not been told to let go.
    pub(super) fn is_with_owner(&self) -> bool {
        matches!(self.state, GpadlState::Establishing { .. } | GpadlState::Ready)
    }

    pub(super) fn announced(&self) -> usize {
        match self.state {
            GpadlState::Assembling { announced } => announced,
            GpadlState::Establishing { .. } | GpadlState::Ready => self.pages.len(),
            GpadlState::Refusing { .. } | GpadlState::Acknowledged => 0,
        }
    }
}

impl Server {
    /// The owner's answer to [`Output::EstablishGpadl`]: whether it has the pages. An answer to a question that has
    /// been overtaken, or was never asked, is ignored.
    pub fn gpadl_result(&mut self, answered: RequestId, ok: bool, out: &mut Vec<Output>) {
        #[cfg(test)]
        let answered = self.believed(answered, self.gpadls().filter_map(|list| list.3).collect());
        let asked = |list: &Gpadl| list.state == GpadlState::Establishing { request: answered };
        let Some((&gpadl, list)) = self.state.gpadls.iter().find(|(_, list)| asked(list)) else { return };
        let relid = list.relid;
        if !ok {
            self.state.gpadls.remove(&gpadl);
        } else if let Some(list) = self.state.gpadls.get_mut(&gpadl) {
            list.state = GpadlState::Ready;
        }
        self.gpadl_created(relid, gpadl, ok, out);
    }

    /// The lists the owner has, or has been asked to get: id, channel, page numbers, and the question if it is open.
    pub fn gpadls(&self) -> impl Iterator<Item = (GpadlId, Relid, &[u64], Option<RequestId>)> {
        self.state.gpadls.iter().filter(|(_, list)| list.is_with_owner()).map(|(&gpadl, list)| {
            let request = match list.state {
                GpadlState::Establishing { request } => Some(request),
                _ => None,
            };
            (gpadl, list.relid, &list.pages[..], request)
        })
    }

    pub(super) fn gpadl_header(
        &mut self,
        header: &GpadlHeader<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let relid = header.fixed().relid.get();
        let gpadl = GpadlId(header.fixed().gpadl.get());
        if self.state.gpadls.contains_key(&gpadl) {
            // Refused as OpenVMM does, so that no driver waits for ever; the first list is left as it is.
            self.post(&GpadlCreated::new(relid, gpadl, Status::UNSUCCESSFUL), out);
            return Err(Violation::DuplicateGpadl(gpadl));
        }
        let (relid, announced) = match self.check_header(header, gpadl) {
            Ok(described) => described,
            Err(violation) => {
                self.post(&GpadlCreated::new(relid, gpadl, Status::UNSUCCESSFUL), out);
                return Err(violation);
            }
        };
        let limits = self.config.limits;
        if self.state.gpadls.len() >= limits.gpadls {
            self.gpadl_created(relid, gpadl, false, out);
            return Err(Violation::TooManyGpadls { gpadl, limit: limits.gpadls });
        }
        let used: usize = self.state.gpadls.values().map(Gpadl::announced).sum();
        if announced > limits.gpadl_pages.saturating_sub(used) {
            let missing = announced.saturating_sub(header.page_numbers().len());
            if missing > 0 {
                // The bodies are under way: they are swallowed, then the list is refused.
                let state = GpadlState::Refusing { missing };
                self.state.gpadls.insert(gpadl, Gpadl { relid, pages: Vec::new(), state });
            } else {
                self.gpadl_created(relid, gpadl, false, out);
            }
            return Err(Violation::TooManyGpadlPages { gpadl, pages: announced, limit: limits.gpadl_pages });
        }
        let mut pages = Vec::with_capacity(announced);
        pages.extend(header.page_numbers());
        self.state.gpadls.insert(gpadl, Gpadl { relid, pages, state: GpadlState::Assembling { announced } });
        self.finish_gpadl(gpadl, out);
        Ok(())
    }

    fn check_header(&self, header: &GpadlHeader<'_>, gpadl: GpadlId) -> Result<(Relid, usize), Violation> {
        let (relid, _) = self.known_channel(MessageType::GPADL_HEADER, header.fixed().relid.get())?;
        let announced = header.announced_pages().ok_or(Violation::GpadlShape(gpadl))?;
        Ok((relid, announced))
    }

    pub(super) fn gpadl_body(
        &mut self,
        body: &GpadlBody<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let kind = MessageType::GPADL_BODY;
        let gpadl = GpadlId(body.fixed().gpadl.get());
        let list = self.state.gpadls.get_mut(&gpadl).ok_or(Violation::UnknownGpadl { kind, gpadl })?;
        let came = body.page_numbers().len();
        let missing = match &list.state {
            GpadlState::Assembling { announced } => announced.saturating_sub(list.pages.len()),
            GpadlState::Refusing { missing } => *missing,
            GpadlState::Establishing { .. } | GpadlState::Ready | GpadlState::Acknowledged => 0,
        };
        if missing == 0 || came == 0 {
            return Err(Violation::NeedlessBody(gpadl));
        }
        let relid = list.relid;
        if came > missing {
            self.state.gpadls.remove(&gpadl);
            self.gpadl_created(relid, gpadl, false, out);
            return Err(Violation::GpadlOverrun(gpadl));
        }
        match &mut list.state {
            GpadlState::Refusing { missing } => *missing -= came,
            _ => list.pages.extend(body.page_numbers()),
        }
        self.finish_gpadl(gpadl, out);
        Ok(())
    }

    /// Goes on with a list if all its pages have come.
    fn finish_gpadl(&mut self, gpadl: GpadlId, out: &mut Vec<Output>) {
        let Some(list) = self.state.gpadls.get(&gpadl) else { return };
        let relid = list.relid;
        let rescinded = self.is_rescinded(relid);
        match list.state {
            GpadlState::Assembling { announced } if list.pages.len() == announced && !rescinded => {
                let request = self.next_request();
                let Some(list) = self.state.gpadls.get_mut(&gpadl) else { return };
                list.state = GpadlState::Establishing { request };
                out.push(Output::EstablishGpadl { request, relid, gpadl, pages: list.pages.clone() });
            }
            GpadlState::Assembling { announced } if list.pages.len() < announced => {}
            GpadlState::Refusing { missing } if missing > 0 => {}
            GpadlState::Assembling { .. } => {
                // The channel was rescinded, which the guest may not have known: the pages are not needed any more.
                if let Some(list) = self.state.gpadls.get_mut(&gpadl) {
                    list.state = GpadlState::Acknowledged;
                    list.pages = Vec::new();
                }
                self.gpadl_created(relid, gpadl, true, out);
            }
            GpadlState::Refusing { .. } => {
                self.state.gpadls.remove(&gpadl);
                self.gpadl_created(relid, gpadl, false, out);
            }
            GpadlState::Establishing { .. } | GpadlState::Ready | GpadlState::Acknowledged => {}
        }
    }

    pub(super) fn gpadl_teardown(
        &mut self,
        teardown: &GpadlTeardown,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let kind = MessageType::GPADL_TEARDOWN;
        let gpadl = GpadlId(teardown.gpadl.get());
        let list = self.state.gpadls.get(&gpadl).ok_or(Violation::UnknownGpadl { kind, gpadl })?;
        let relid = list.relid;
        if relid.get() != teardown.relid.get() {
            return Err(Violation::GpadlOfOtherChannel { gpadl, relid: teardown.relid.get() });
        }
        if let Some(relid) = self.user_of(gpadl) {
            return Err(Violation::GpadlInUse { gpadl, relid });
        }
        if list.is_with_owner() {
            out.push(Output::ReleaseGpadl { relid, gpadl });
        }
        self.state.gpadls.remove(&gpadl);
        #[cfg(test)]
        if self.is_sabotaged(Sabotage::SilentWhenRescinded) && self.is_rescinded(relid) {
            return Ok(());
        }
        self.post(&GpadlTorndown::new(gpadl), out);
        Ok(())
    }

    /// Answers a GPADL_HEADER, also for a rescinded channel until the guest has released it.
    fn gpadl_created(&self, relid: Relid, gpadl: GpadlId, ok: bool, out: &mut Vec<Output>) {
        #[cfg(test)]
        if self.is_sabotaged(Sabotage::SilentWhenRescinded) && self.is_rescinded(relid) {
            return;
        }
        self.post(&GpadlCreated::new(relid.get(), gpadl, Status::from_ok(ok)), out);
    }

    fn is_rescinded(&self, relid: Relid) -> bool {
        self.state.channels.get(&relid).is_some_and(|channel| channel.state == ChannelState::Rescinded)
    }

    /// The channel that is open on this list, or about to be.
    fn user_of(&self, gpadl: GpadlId) -> Option<Relid> {
        #[cfg(test)]
        if self.is_sabotaged(Sabotage::ReleaseGpadlInUse) {
            return None;
        }
        self.state.channels.iter().find_map(|(&relid, channel)| match channel.state {
            ChannelState::Opening { rings, .. } | ChannelState::Open { rings } if rings.gpadl == gpadl => {
                Some(relid)
            }
            _ => None,
        })
    }

    pub(super) fn release_gpadls_of(&mut self, relid: Relid, out: &mut Vec<Output>) {
        self.state.gpadls.retain(|&gpadl, list| {
            if list.relid == relid && list.is_with_owner() {
                out.push(Output::ReleaseGpadl { relid, gpadl });
            }
            list.relid != relid
        });
    }
}
