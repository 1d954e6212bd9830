//! How the DM device is recognised on VMBus.

/// Class (interface type) GUID of the DM device, 525074dc-8985-46e2-8057-a307dc18a502, in wire byte order (documented:
/// Linux `HV_DM_GUID`).
pub const CLASS_GUID: [u8; 16] =
    [0xdc, 0x74, 0x50, 0x52, 0x85, 0x89, 0xe2, 0x46, 0x80, 0x57, 0xa3, 0x07, 0xdc, 0x18, 0xa5, 0x02];

/// Instance GUID that the DM device has on real Hyper-V, 1eccfd72-4b41-45ef-b73a-4a6e44c12924, in wire byte order
/// (documented: seen alike in every published `lsvmbus` listing). Other hosts are free to choose another.
pub const INSTANCE_GUID: [u8; 16] =
    [0x72, 0xfd, 0xcc, 0x1e, 0x41, 0x4b, 0xef, 0x45, 0xb7, 0x3a, 0x4a, 0x6e, 0x44, 0xc1, 0x29, 0x24];
