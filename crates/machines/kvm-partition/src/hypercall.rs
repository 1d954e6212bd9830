//! The two hypercalls that VMBus uses, as the guest's registers and memory hold them (documented, TLFS).

use partition::HvStatus;

use crate::ram::Ram;

const POST_MESSAGE: u16 = 0x5c;
const SIGNAL_EVENT: u16 = 0x5d;
/// The input is in registers.
const FAST: u64 = 1 << 16;
/// Connection ids have 24 bits; the rest of the field is reserved.
const CONNECTION_ID: u32 = 0x00ff_ffff;
const VMBUS_MESSAGE: u32 = 1;
/// Status codes that have no place in [`HvStatus`].
const INVALID_HYPERCALL_CODE: u64 = 2;
const INVALID_HYPERCALL_INPUT: u64 = 3;

/// What a guest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hypercall {
    PostMessage { connection_id: u32, payload: Vec<u8> },
    SignalEvent { connection_id: u32, flag: u16 },
}

/// Reads a hypercall; an error is the result that the guest gets.
pub(crate) fn decode(ram: &Ram, control: u64, parameters: [u64; 2]) -> Result<Hypercall, u64> {
    let fast = control & FAST != 0;
    match control as u16 {
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
        assert_eq!(decode(&ram, 0x5c, [0x1000, 0]), Ok(expected));
        ram.write(0x100c, &[241]).unwrap();
        assert_eq!(decode(&ram, 0x5c, [0x1000, 0]), Err(5), "more than 240 bytes");
        ram.write(0x1008, &[2, 0, 0, 0, 8]).unwrap();
        assert_eq!(decode(&ram, 0x5c, [0x1000, 0]), Err(5), "not a VMBus message");
        for gpa in [0x1004, 0x4000, 0x3f08, u64::MAX - 7] {
            assert_eq!(decode(&ram, 0x5c, [gpa, 0]), Err(3), "{gpa:#x}");
        }
        assert_eq!(decode(&ram, 0x1_005c, [0x1000, 0]), Err(3), "256 bytes do not fit in registers");
        assert_eq!(decode(&ram, 0x8001, [0, 0]), Err(2));
    }

    #[test]
    fn a_signal_comes_in_a_register_or_in_memory() {
        let ram = ram();
        let expected = Hypercall::SignalEvent { connection_id: 17, flag: 2 };
        assert_eq!(decode(&ram, 0x1_005d, [2 << 32 | 17, 0]), Ok(expected.clone()));
        ram.write(0x10, &(2u64 << 32 | 17).to_le_bytes()).unwrap();
        assert_eq!(decode(&ram, 0x5d, [0x10, 0]), Ok(expected));
    }

    proptest! {
        #[test]
        fn no_register_content_can_do_harm(control: u64, a: u64, b: u64, bytes: [u8; 32]) {
            let ram = ram();
            ram.write(0, &bytes).unwrap();
            let _ = decode(&ram, control, [a, b]);
            let _ = decode(&ram, 0x5c, [a % 0x5000, b]);
        }
    }
}
