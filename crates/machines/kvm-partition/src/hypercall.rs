//! The hypercalls that are answered here, as the guest's registers and memory hold them (documented, TLFS): the two of VMBus, and those of
//! free page reporting where it is offered.

use page_range::GuestRange;
use partition::HvStatus;

use crate::page_reporting::{self, MEMORY_HEAT_HINT, QUERY_CAPABILITIES};
use crate::ram::Ram;

const POST_MESSAGE: u16 = 0x5c;
const SIGNAL_EVENT: u16 = 0x5d;
/// The input is in registers.
const FAST: u64 = 1 << 16;
/// Of a hypercall that does its work again and again: how often in all, and how often it has been done (12 bits each).
const REPETITIONS: u32 = 32;
const DONE: u32 = 48;
const REPETITION_BITS: u64 = 0xfff;
/// Connection ids have 24 bits; the rest of the field is reserved.
const CONNECTION_ID: u32 = 0x00ff_ffff;
const VMBUS_MESSAGE: u32 = 1;
/// Status codes that have no place in [`HvStatus`].
const INVALID_HYPERCALL_CODE: u64 = 2;
const INVALID_HYPERCALL_INPUT: u64 = 3;

/// What a guest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hypercall {
    PostMessage {
        connection_id: u32,
        payload: Vec<u8>,
    },
    SignalEvent {
        connection_id: u32,
        flag: u16,
    },
    /// Which extended hypercalls there are; the answer goes to guest memory at this address.
    QueryCapabilities {
        output: u64,
    },
    /// Memory that the guest does not use.
    ReportFree {
        ranges: Vec<GuestRange>,
    },
}

/// Reads a hypercall; an error is the result that the guest gets. Extended ones exist if free page reporting is offered.
pub(crate) fn decode(
    ram: &Ram,
    page_reporting: bool,
    control: u64,
    parameters: [u64; 2],
) -> Result<Hypercall, u64> {
    let fast = control & FAST != 0;
    match control as u16 {
        QUERY_CAPABILITIES if page_reporting && !fast => {
            let output = parameters[1];
            if !output.is_multiple_of(8) {
                return Err(INVALID_HYPERCALL_INPUT);
            }
            Ok(Hypercall::QueryCapabilities { output })
        }
        MEMORY_HEAT_HINT if page_reporting && !fast => report(ram, control, parameters[0]),
        QUERY_CAPABILITIES | MEMORY_HEAT_HINT if page_reporting => Err(INVALID_HYPERCALL_INPUT),
        POST_MESSAGE if !fast => {
            let mut input = [0; 256];
            let gpa = parameters[0];
            if !gpa.is_multiple_of(8) {
                return Err(INVALID_HYPERCALL_INPUT);
            }
            ram.read(gpa, &mut input).map_err(|_| INVALID_HYPERCALL_INPUT)?;
            let word =
                |at: usize| u32::from_le_bytes([input[at], input[at + 1], input[at + 2], input[at + 3]]);
            let (connection_id, kind, size) = (word(0) & CONNECTION_ID, word(8), word(12));
            let payload = usize::try_from(size).ok().and_then(|size| input[16..].get(..size));
            match payload {
                Some(payload) if kind == VMBUS_MESSAGE => {
                    Ok(Hypercall::PostMessage { connection_id, payload: payload.to_vec() })
                }
                _ => Err(status(HvStatus::InvalidParameter)),
            }
        }
        SIGNAL_EVENT => {
            let input = if fast {
                parameters[0]
            } else {
                let mut bytes = [0; 8];
                ram.read(parameters[0], &mut bytes).map_err(|_| INVALID_HYPERCALL_INPUT)?;
                u64::from_le_bytes(bytes)
            };
            Ok(Hypercall::SignalEvent {
                connection_id: input as u32 & CONNECTION_ID,
                flag: (input >> 32) as u16,
            })
        }
        POST_MESSAGE => Err(INVALID_HYPERCALL_INPUT),
        _ => Err(INVALID_HYPERCALL_CODE),
    }
}

/// All ranges are taken or none, so a hint that continues another one is none of ours.
fn report(ram: &Ram, control: u64, gpa: u64) -> Result<Hypercall, u64> {
    let count = (control >> REPETITIONS & REPETITION_BITS) as u16;
    let bytes = page_reporting::input_bytes(count).ok_or(INVALID_HYPERCALL_INPUT)?;
    let in_one_page = gpa % 4096 + bytes as u64 <= 4096;
    if !gpa.is_multiple_of(8) || !in_one_page || control >> DONE & REPETITION_BITS != 0 {
        return Err(INVALID_HYPERCALL_INPUT);
    }
    let mut input = vec![0; bytes];
    ram.read(gpa, &mut input).map_err(|_| INVALID_HYPERCALL_INPUT)?;
    let ranges = page_reporting::decode(&input).ok_or_else(|| status(HvStatus::InvalidParameter))?;
    Ok(Hypercall::ReportFree { ranges })
}

/// The result of a hypercall that has done its work so many times.
pub(crate) fn done(repetitions: usize) -> u64 {
    status(HvStatus::Success) | (repetitions as u64 & REPETITION_BITS) << REPETITIONS
}

/// A status as the guest's result register has it.
pub(crate) fn status(status: HvStatus) -> u64 {
    status as u64
}

#[cfg(test)]
mod tests {
    use page_range::{GuestPage, GuestRange, PageCount};
    use proptest::prelude::*;

    use super::*;
    use crate::ram::Backing;

    fn ram() -> Ram {
        let ram = Ram::new(Backing::Mock);
        ram.add(GuestRange::new(GuestPage(0), PageCount(4)).unwrap(), None).unwrap();
        ram
    }

    #[test]
    fn a_posted_message_is_read_from_memory() {
        let ram = ram();
        // REQUEST_OFFERS on connection 1.
        let input = [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0];
        ram.write(0x1000, &input).unwrap();
        let expected = Hypercall::PostMessage { connection_id: 1, payload: vec![3, 0, 0, 0, 0, 0, 0, 0] };
        assert_eq!(decode(&ram, false, 0x5c, [0x1000, 0]), Ok(expected));
        ram.write(0x100c, &[241]).unwrap();
        assert_eq!(decode(&ram, false, 0x5c, [0x1000, 0]), Err(5), "more than 240 bytes");
        ram.write(0x1008, &[2, 0, 0, 0, 8]).unwrap();
        assert_eq!(decode(&ram, false, 0x5c, [0x1000, 0]), Err(5), "not a VMBus message");
        for gpa in [0x1004, 0x4000, 0x3f08, u64::MAX - 7] {
            assert_eq!(decode(&ram, false, 0x5c, [gpa, 0]), Err(3), "{gpa:#x}");
        }
        assert_eq!(decode(&ram, false, 0x1_005c, [0x1000, 0]), Err(3), "256 bytes do not fit in registers");
        assert_eq!(decode(&ram, false, 0x8001, [0, 0]), Err(2));
    }

    #[test]
    fn a_signal_comes_in_a_register_or_in_memory() {
        let ram = ram();
        let expected = Hypercall::SignalEvent { connection_id: 17, flag: 2 };
        assert_eq!(decode(&ram, false, 0x1_005d, [2 << 32 | 17, 0]), Ok(expected.clone()));
        ram.write(0x10, &(2u64 << 32 | 17).to_le_bytes()).unwrap();
        assert_eq!(decode(&ram, false, 0x5d, [0x10, 0]), Ok(expected));
    }

    /// As Linux calls it: the rep count in the control word, the input page in the first parameter; the answer to the query goes to the
    /// second.
    #[test]
    fn free_pages_are_reported_by_an_extended_hypercall_where_it_is_offered() {
        let ram = ram();
        let words = [2u64, 0x40_0800, 0x80_0803];
        ram.write(0x1000, &words.map(u64::to_le_bytes).concat()).unwrap();
        let hint = |count: u64| count << 32 | 0x8003;
        let ranges = [(1024, 512), (2048, 2048)]
            .map(|(first, pages)| GuestRange::new(GuestPage(first), PageCount(pages)).unwrap());
        let expected = Hypercall::ReportFree { ranges: ranges.to_vec() };
        assert_eq!(decode(&ram, true, hint(2), [0x1000, 0]), Ok(expected));
        assert_eq!(
            decode(&ram, true, 0x8001, [0, 0x2008]),
            Ok(Hypercall::QueryCapabilities { output: 0x2008 })
        );
        for control in [hint(2), 0x8001] {
            assert_eq!(decode(&ram, false, control, [0x1000, 0x2008]), Err(2), "not offered");
            assert_eq!(decode(&ram, true, control | 1 << 16, [0x1000, 0x2008]), Err(3), "in registers");
            assert_eq!(decode(&ram, true, control, [0x1004, 0x2004]), Err(3), "not aligned");
        }
        assert_eq!(decode(&ram, true, hint(2) | 1 << 48, [0x1000, 0]), Err(3), "continued");
        assert_eq!(decode(&ram, true, hint(0), [0x1000, 0]), Err(3), "no range");
        assert_eq!(decode(&ram, true, hint(512), [0x1000, 0]), Err(3), "more than a page");
        assert_eq!(decode(&ram, true, hint(2), [0x1ff0, 0]), Err(3), "over the end of a page");
        assert_eq!(decode(&ram, true, hint(2), [0x4000, 0]), Err(3), "no memory");
        assert_eq!(
            decode(&ram, true, hint(3), [0x1000, 0]),
            Ok(Hypercall::ReportFree {
                ranges: [&ranges[..], &[GuestRange::new(GuestPage(0), PageCount(1)).unwrap()]].concat()
            }),
            "a word of zeros is page 0"
        );
        assert_eq!(decode(&ram, true, hint(2), [0x1008, 0]), Err(5), "no hint");
        assert_eq!(done(2), 2 << 32);
    }

    proptest! {
        #[test]
        fn no_register_content_can_do_harm(control: u64, a: u64, b: u64, bytes: [u8; 32]) {
            let ram = ram();
            ram.write(0, &bytes).unwrap();
            for page_reporting in [false, true] {
                let _ = decode(&ram, page_reporting, control, [a, b]);
            }
            let _ = decode(&ram, false, 0x5c, [a % 0x5000, b]);
            let _ = decode(&ram, true, control & !0x1_ffff | 0x8003, [a % 0x5000, b]);
        }
    }
}
