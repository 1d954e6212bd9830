//! The table of what crossed.

use vmms_host::bus::RecordedFrame;

use super::{Cell, Column, ColumnType, Table, number_of_event};
use crate::{ExportError, Run, pcapng};

/// A row for each message and packet.
///
/// # Errors
/// None were recorded.
pub fn frames(run: &Run) -> Result<Table, ExportError> {
    let columns = vec![
        // As in the pcapng file of the same run: Wireshark's frame.number.
        Column::filled("frame", ColumnType::Signed),
        Column::filled("t_ns", ColumnType::Signed),
        Column::filled("vm", ColumnType::Text),
        Column::filled("direction", ColumnType::Text),
        Column::filled("layer", ColumnType::Text),
        Column::optional("child_relid", ColumnType::Signed),
        Column::filled("kind", ColumnType::Text),
        // Whatever the sender chose: any 64 bits.
        Column::optional("transaction_id", ColumnType::Unsigned),
        Column::optional("ring_offset_bytes", ColumnType::Signed),
        Column::filled("bytes", ColumnType::Signed),
        Column::optional("cause_seq", ColumnType::Signed),
        Column::filled("payload_hex", ColumnType::Text),
    ];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let frames = run.frames()?;
    let crossed = frames.iter().filter(|crossed| !matches!(crossed.frame, RecordedFrame::LeftOut { .. }));
    let rows = (1..).zip(crossed).filter_map(|(number, crossed)| {
        let direction = if crossed.from_guest { "guest_to_host" } else { "host_to_guest" };
        let (layer, relid, kind, transaction, offset, payload) = match &crossed.frame {
            RecordedFrame::Message { bytes, .. } => {
                ("control", Cell::Empty, pcapng::message_name(&bytes.0), Cell::Empty, Cell::Empty, &bytes.0)
            }
            RecordedFrame::Packet { child_relid, kind, transaction_id, offset, payload, .. } => (
                "ring",
                Cell::Unsigned((*child_relid).into()),
                format!("{kind}"),
                Cell::Unsigned(*transaction_id),
                Cell::Unsigned((*offset).into()),
                &payload.0,
            ),
            RecordedFrame::LeftOut { .. } => return None,
        };
        Some(vec![
            Cell::Unsigned(number),
            Cell::Unsigned(crossed.t_ns),
            Cell::Text(crossed.vm.to_string()),
            Cell::Text(direction.to_owned()),
            Cell::Text(layer.to_owned()),
            relid,
            Cell::Text(kind),
            transaction,
            offset,
            Cell::Unsigned(payload.len() as u64),
            number_of_event(crossed.cause),
            Cell::Text(hex(payload)),
        ])
    });
    Ok(Table { columns, rows: rows.collect() })
}
