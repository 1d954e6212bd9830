//! Requests carried out: sectors between a virtual hard disk and a guest's buffer.

use vhd::{Disk, Storage, VhdError};
use vmbus::ring::GuestBuffer;

use crate::{DiskOperation, Fault};

/// Bytes that are copied at once.
const PIECE: usize = 64 << 10;
const SECTOR: usize = 512;

/// Does what [`Output::Start`](crate::Output::Start) asks for. What went wrong comes in words, too: for the host's log, not for the guest.
///
/// # Errors
/// The disk could not do it, or the buffer's pages are the guest's no more.
pub fn carry_out<S: Storage>(
    operation: &DiskOperation,
    disk: &mut Disk<S>,
    buffer: Option<&GuestBuffer>,
) -> Result<(), (Fault, String)> {
    let gone = |fault| (fault, "the request's buffer ends before its data".to_owned());
    match operation {
        DiskOperation::Read { sector, count } => {
            let mut bytes = vec![0; PIECE];
            each_piece(*sector, *count, |sector, offset, len| {
                let bytes = &mut bytes[..len];
                disk.read(sector, bytes).map_err(|error| fault(Fault::Read, &error))?;
                let written = buffer.map_or(0, |buffer| buffer.write(offset, bytes));
                if written == len { Ok(()) } else { Err(gone(Fault::Read)) }
            })
        }
        DiskOperation::Write { sector, count, force } => {
            let mut bytes = vec![0; PIECE];
            each_piece(*sector, *count, |sector, offset, len| {
                let bytes = &mut bytes[..len];
                if buffer.map_or(0, |buffer| buffer.read(offset, bytes)) < len {
                    return Err(gone(Fault::Write));
                }
                disk.write(sector, bytes).map_err(|error| fault(Fault::Write, &error))
            })?;
            if *force { flush(disk) } else { Ok(()) }
        }
        DiskOperation::Flush => flush(disk),
        DiskOperation::Discard { ranges } => ranges.iter().try_for_each(|&(sector, count)| {
            disk.discard(sector, u64::from(count)).map_err(|error| fault(Fault::Write, &error))
        }),
    }
}

fn flush<S: Storage>(disk: &mut Disk<S>) -> Result<(), (Fault, String)> {
    disk.flush().map_err(|error| fault(Fault::Write, &error))
}

fn fault(fault: Fault, error: &VhdError) -> (Fault, String) {
    let fault = if matches!(error, VhdError::ReadOnly { .. }) { Fault::WriteProtected } else { fault };
    (fault, error.to_string())
}

fn each_piece(
    sector: u64,
    count: u32,
    mut act: impl FnMut(u64, u64, usize) -> Result<(), (Fault, String)>,
) -> Result<(), (Fault, String)> {
    let (mut done, bytes) = (0, u64::from(count) * SECTOR as u64);
    while done < bytes {
        let len = (bytes - done).min(PIECE as u64);
        act(sector + done / SECTOR as u64, done, len as usize)?;
        done += len;
    }
    Ok(())
}
