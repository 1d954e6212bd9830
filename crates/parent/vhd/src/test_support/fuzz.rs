//! Any bytes as a file.

use super::MemoryStorage;
use crate::format::{FOOTER_BYTES, Footer, Header};
use crate::{Disk, DiskType, FooterRule, Identity, Image, TableAccess, VhdTime};

/// How far a run got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FuzzReach {
    /// The file was opened.
    pub opened: bool,
    /// Footers were mended.
    pub mended: bool,
    /// Requests that were carried out.
    pub requests: u32,
}

/// A small file of any bytes, given a footer and a header with good checksums as often as not, opened, read, written, and opened again.
///
/// Checked: no panic, no memory beyond the table's limit; what is open is read and written as a plain vector of bytes would be; and
/// what was flushed is there when the file is opened again.
///
/// # Panics
/// If one of these does not hold: that is a bug of this crate.
pub fn fuzz_file(bytes: &[u8]) -> FuzzReach {
    let mut choices = bytes.iter().copied();
    let mut byte = move || choices.next().unwrap_or(0);
    let shape = byte();
    let mut file: Vec<u8> = (0..byte()).flat_map(|_| [byte(); 128]).collect();
    if shape & 3 != 0 {
        describe(&mut file, shape, &mut byte);
    }
    let (mut reach, storage) = (FuzzReach::default(), MemoryStorage::of(file));
    let rule = if shape & 4 == 0 { FooterRule::Refuse } else { FooterRule::Repair };
    let access = if shape & 8 == 0 { TableAccess::InMemory } else { TableAccess::PerAccess };
    let Ok((image, mended)) = Image::open_with(storage.clone(), "fuzz", access, true, rule) else {
        return reach;
    };
    reach.mended = mended.is_some();
    let Ok(mut disk) = Disk::new(image, Vec::new()) else { return reach };
    reach.opened = true;
    let seen = disk.sectors().min(64);
    let mut model = vec![0; (seen * 512) as usize];
    if disk.read(0, &mut model).is_err() {
        return reach;
    }
    for _ in 0..24 {
        let (action, fill) = (byte(), byte());
        let (from, count) = (u64::from(byte()) % (seen + 2), u64::from(byte()) % 20);
        let fits = from + count <= disk.sectors();
        let inside = (from.min(seen) * 512) as usize..((from + count).min(seen) * 512) as usize;
        let done = match action % 4 {
            0 => disk.discard(from, count).is_ok().then_some(0),
            1 => disk.flush().is_ok().then_some(fill).filter(|_| false),
            _ => disk.write(from, &vec![fill; (count * 512) as usize]).is_ok().then_some(fill),
        };
        if let Some(fill) = done {
            assert!(fits, "sectors beyond the disk were written");
            model[inside].fill(fill);
            reach.requests += 1;
        }
        let mut now = vec![0; model.len()];
        assert!(disk.read(0, &mut now).is_ok());
        assert_eq!(now, model);
    }
    assert!(disk.flush().is_ok());
    drop(disk.into_images());
    let again = Image::open(storage, "fuzz", TableAccess::InMemory, false);
    let mut again =
        Disk::new(again.expect("what is open can be opened again"), Vec::new()).expect("no parents");
    let mut now = vec![0; model.len()];
    assert!(again.read(0, &mut now).is_ok());
    assert_eq!(now, model);
    reach
}

/// Footers and a header over the bytes, nearly good.
fn describe(file: &mut Vec<u8>, shape: u8, byte: &mut impl FnMut() -> u8) {
    let disk_type = if shape & 3 == 1 { DiskType::Fixed } else { DiskType::Dynamic };
    let identity = Identity { uuid: uuid::Uuid::from_u128(7), time: VhdTime(1) };
    let whole = file.len() / 512 * 512;
    let bytes = if disk_type == DiskType::Fixed { whole as u64 } else { u64::from(byte()) * 512 + 512 };
    let Ok(footer) = Footer::new(disk_type, bytes.max(512), identity) else { return };
    if disk_type == DiskType::Dynamic {
        let Ok(mut header) = Header::new(footer.bytes, 4096 << (byte() % 4)) else { return };
        if byte() < 8 {
            header.table_offset = u64::from(byte()) * 512;
        }
        file.resize(file.len().max(2048), 0);
        file[..FOOTER_BYTES].copy_from_slice(&footer.to_bytes());
        file[512..1536].copy_from_slice(&header.to_bytes());
        for entry in file[1536..2048].chunks_exact_mut(4) {
            let place = byte();
            let place = if place < 40 { u32::from(place) } else { u32::MAX };
            entry.copy_from_slice(&place.to_be_bytes());
        }
    }
    file.truncate(file.len() / 512 * 512);
    if shape & 16 == 0 {
        file.extend_from_slice(&footer.to_bytes());
    }
}
