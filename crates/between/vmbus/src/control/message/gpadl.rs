//! Page lists on the wire: one header message, then as many bodies as it takes.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, IntoBytes};

use super::wire::{Body, GpadlBodyFixed, GpadlHeaderFixed};
use super::{HEADER_SIZE, MAX_PAYLOAD, MessageError, MessageType, Payload, assemble, body};
use crate::control::{GpadlId, Relid};

const PAGE_NUMBER_SIZE: usize = size_of::<U64>();
/// Bytes of a range before its page numbers: byte count and byte offset.
const RANGE_SIZE: usize = 8;
/// Bytes of a page on the wire.
const PAGE_SIZE: u32 = 4096;

/// Page numbers that fit in GPADL_HEADER (documented: 26).
pub const GPADL_HEADER_PAGES: usize = (MAX_PAYLOAD - GpadlHeaderFixed::SIZE) / PAGE_NUMBER_SIZE;
/// Page numbers that fit in GPADL_BODY (documented: 28).
pub const GPADL_BODY_PAGES: usize = (MAX_PAYLOAD - GpadlBodyFixed::SIZE) / PAGE_NUMBER_SIZE;
/// Pages the 16-bit `range_buflen` can announce.
pub const MAX_GPADL_PAGES: usize = (u16::MAX as usize - RANGE_SIZE) / PAGE_NUMBER_SIZE;

const _: () = assert!(GPADL_HEADER_PAGES == 26 && GPADL_BODY_PAGES == 28 && MAX_GPADL_PAGES == 8190);

/// A number of pages that no list can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a GPADL has 1 to 8190 pages, not {0}")]
pub struct GpadlSizeError(pub usize);

fn page_numbers(bytes: &[u8], from: usize, kind: MessageType) -> Result<&[U64], MessageError> {
    let rest = bytes.get(from..).unwrap_or_default();
    <[U64]>::ref_from_bytes(rest).map_err(|_| MessageError::Ragged { kind, got: bytes.len() })
}

/// GPADL_HEADER: its fixed part and the page numbers in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GpadlHeader<'a> {
    fixed: &'a GpadlHeaderFixed,
    page_numbers: &'a [U64],
}

impl<'a> GpadlHeader<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        let kind = MessageType::GPADL_HEADER;
        Ok(Self { fixed: body(bytes)?, page_numbers: page_numbers(bytes, GpadlHeaderFixed::SIZE, kind)? })
    }

    /// Everything before the page numbers.
    pub fn fixed(&self) -> &'a GpadlHeaderFixed {
        self.fixed
    }

    /// The page numbers in this message, at most [`GPADL_HEADER_PAGES`].
    pub fn page_numbers(&self) -> impl ExactSizeIterator<Item = u64> + use<'a> {
        self.page_numbers.iter().map(|number| number.get())
    }

    /// Pages announced for this message and the bodies after it, if the header describes what a host takes: one
    /// range that begins with a page and covers whole pages.
    pub fn announced_pages(&self) -> Option<usize> {
        let numbers = usize::from(self.fixed.range_buflen.get()).checked_sub(RANGE_SIZE)?;
        let pages = numbers / PAGE_NUMBER_SIZE;
        let bytes = u32::try_from(pages).ok()?.checked_mul(PAGE_SIZE)?;
        let one_range = self.fixed.range_count.get() == 1 && self.fixed.byte_offset.get() == 0;
        let whole = numbers % PAGE_NUMBER_SIZE == 0 && self.fixed.byte_count.get() == bytes;
        (one_range && whole && pages > 0 && self.page_numbers.len() <= pages).then_some(pages)
    }

    pub(super) fn to_payload(self) -> Payload {
        assemble(MessageType::GPADL_HEADER, &[self.fixed.as_bytes(), self.page_numbers.as_bytes()])
    }
}

/// GPADL_BODY: its fixed part and the page numbers in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GpadlBody<'a> {
    fixed: &'a GpadlBodyFixed,
    page_numbers: &'a [U64],
}

impl<'a> GpadlBody<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        let kind = MessageType::GPADL_BODY;
        Ok(Self { fixed: body(bytes)?, page_numbers: page_numbers(bytes, GpadlBodyFixed::SIZE, kind)? })
    }

    /// Everything before the page numbers.
    pub fn fixed(&self) -> &'a GpadlBodyFixed {
        self.fixed
    }

    /// The page numbers in this message, at most [`GPADL_BODY_PAGES`].
    pub fn page_numbers(&self) -> impl ExactSizeIterator<Item = u64> + use<'a> {
        self.page_numbers.iter().map(|number| number.get())
    }

    pub(super) fn to_payload(self) -> Payload {
        assemble(MessageType::GPADL_BODY, &[self.fixed.as_bytes(), self.page_numbers.as_bytes()])
    }
}

/// The messages that name a list of pages to the host: the header, then the bodies.
#[derive(Clone, Debug)]
pub struct GpadlMessages<'p> {
    relid: Relid,
    gpadl: GpadlId,
    all: usize,
    rest: &'p [u64],
    header_done: bool,
}

impl<'p> GpadlMessages<'p> {
    /// For these guest page numbers, 1 to [`MAX_GPADL_PAGES`] of them.
    ///
    /// # Errors
    /// There are no pages, or more than a list can have ([`MAX_GPADL_PAGES`]).
    pub fn new(relid: Relid, gpadl: GpadlId, pages: &'p [u64]) -> Result<Self, GpadlSizeError> {
        if pages.is_empty() || pages.len() > MAX_GPADL_PAGES {
            return Err(GpadlSizeError(pages.len()));
        }
        Ok(Self { relid, gpadl, all: pages.len(), rest: pages, header_done: false })
    }

    fn take(&mut self, most: usize) -> Payload {
        let (now, later) = self.rest.split_at(self.rest.len().min(most));
        self.rest = later;
        let mut numbers = [U64::ZERO; GPADL_BODY_PAGES];
        for (number, page) in numbers.iter_mut().zip(now) {
            number.set(*page);
        }
        numbers[..now.len()].as_bytes().try_into().unwrap_or(Payload::EMPTY)
    }
}

impl Iterator for GpadlMessages<'_> {
    type Item = Payload;

    fn next(&mut self) -> Option<Payload> {
        if !self.header_done {
            self.header_done = true;
            // In range: `new` bounds the number of pages.
            let bytes = u32::try_from(self.all).unwrap_or(0) * PAGE_SIZE;
            let buflen = u16::try_from(RANGE_SIZE + PAGE_NUMBER_SIZE * self.all).unwrap_or(u16::MAX);
            let fixed = GpadlHeaderFixed {
                relid: self.relid.get().into(),
                gpadl: self.gpadl.0.into(),
                range_buflen: buflen.into(),
                range_count: 1.into(),
                byte_count: bytes.into(),
                byte_offset: 0.into(),
            };
            let numbers = self.take(GPADL_HEADER_PAGES);
            return Some(assemble(MessageType::GPADL_HEADER, &[fixed.as_bytes(), &numbers]));
        }
        if self.rest.is_empty() {
            return None;
        }
        let fixed = GpadlBodyFixed { message_number: 0.into(), gpadl: self.gpadl.0.into() };
        let numbers = self.take(GPADL_BODY_PAGES);
        Some(assemble(MessageType::GPADL_BODY, &[fixed.as_bytes(), &numbers]))
    }
}

const _: () = assert!(HEADER_SIZE + RANGE_SIZE <= MAX_PAYLOAD);
