//! An open channel: its rings, and the packets that wait for room in one of them.

use std::collections::VecDeque;

use component_runtime::lanes::{CauseLanes, Lane};
use machine_contract::HostPartition;
use vmbus::control::{Relid, VMBUS_SINT};
use vmbus::ring::{ChannelRings, Corruption, OutgoingPacket, PacketBuffer, ReadError, Wait, WriteError};

use super::{ReceivedPacket, SendError, WAITING_PACKETS};

/// A packet to be sent.
pub(super) struct Packet {
    /// The transaction of the guest's that it completes; none if it begins one.
    pub(super) completes: Option<u64>,
    pub(super) payload: Vec<u8>,
}

pub(super) struct Channel {
    relid: Relid,
    rings: ChannelRings,
    /// The VP to interrupt, as the guest named it: the partition may have no such VP.
    pub(super) target_vp: u32,
    waiting: VecDeque<Packet>,
    /// Those of `waiting` that are completions.
    waiting_completions: usize,
    next_transaction: u64,
    /// The owner has been told of the guest's trailers.
    told_trailers: bool,
}

impl Channel {
    pub(super) fn new(relid: Relid, rings: ChannelRings, target_vp: u32) -> Self {
        Self {
            relid,
            rings,
            target_vp,
            waiting: VecDeque::new(),
            waiting_completions: 0,
            next_transaction: 0,
            told_trailers: false,
        }
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Completions that wait for room.
    pub(super) fn waiting_completions(&self) -> usize {
        self.waiting_completions
    }

    /// Whether the guest's driver leaves the trailers of its packets stale, when that is asked for the first time.
    pub(super) fn has_new_stale_trailers(&mut self) -> bool {
        let stale = self.rings.incoming_offsets.stale_trailers() > 0;
        stale && !std::mem::replace(&mut self.told_trailers, true)
    }

    /// The next packet. When none is left the ring has been asked to signal. What led to the packet becomes the current cause.
    pub(super) fn read(
        &mut self,
        partition: &dyn HostPartition,
        lanes: &CauseLanes,
        buffer: &mut PacketBuffer,
    ) -> Result<Option<ReceivedPacket>, Corruption> {
        loop {
            match self.rings.read(buffer) {
                Ok(packet) => {
                    lanes.follow(Lane::Upstream, self.relid.get(), packet.offset);
                    return Ok(Some(ReceivedPacket {
                        kind: packet.kind,
                        transaction_id: packet.transaction_id,
                        completion_requested: packet.completion_requested,
                        payload: packet.payload.to_vec(),
                    }));
                }
                Err(ReadError::Empty) => {
                    let done = self.rings.wait_for_packet()?;
                    if done.signal.is_needed() {
                        self.signal(partition);
                    }
                    if done.wait == Wait::Armed {
                        return Ok(None);
                    }
                }
                Err(ReadError::Corrupt(corruption)) => return Err(corruption),
            }
        }
    }

    /// Gives the space of the packets read so far back to the guest.
    pub(super) fn commit_read(&mut self, partition: &dyn HostPartition) -> Result<(), Corruption> {
        if self.rings.commit_read()?.is_needed() {
            self.signal(partition);
        }
        Ok(())
    }

    /// Puts a packet behind those that wait. To be followed by [`flush`](Self::flush).
    pub(super) fn queue(&mut self, packet: Packet) -> Result<(), SendError> {
        let alike = match packet.completes {
            Some(_) => self.waiting_completions,
            None => self.waiting.len() - self.waiting_completions,
        };
        if alike >= WAITING_PACKETS {
            return Err(SendError::Stuck);
        }
        // A packet that no ring of this size could take is not kept: what comes after would wait for ever.
        if !fits(&self.rings, &packet.payload) {
            return Err(SendError::TooLarge);
        }
        self.waiting_completions += usize::from(packet.completes.is_some());
        self.waiting.push_back(packet);
        Ok(())
    }

    /// Writes what waits, as far as the ring has room.
    pub(super) fn flush(
        &mut self,
        partition: &dyn HostPartition,
        lanes: &CauseLanes,
    ) -> Result<(), Corruption> {
        self.write_waiting(partition, lanes)?;
        if self.rings.commit_write()?.is_needed() {
            self.signal(partition);
        }
        Ok(())
    }

    fn write_waiting(&mut self, partition: &dyn HostPartition, lanes: &CauseLanes) -> Result<(), Corruption> {
        while let Some(packet) = self.waiting.front() {
            let outgoing = match packet.completes {
                Some(transaction_id) => OutgoingPacket::completion(transaction_id, &packet.payload),
                None => OutgoingPacket::in_band(self.next_transaction, &packet.payload),
            };
            match self.rings.write(&outgoing) {
                Ok(offset) => {
                    lanes.note(Lane::Downstream, self.relid.get(), offset);
                    self.next_transaction += u64::from(packet.completes.is_none());
                    self.drop_first();
                }
                Err(WriteError::Full { needed }) => {
                    let done = self.rings.wait_for_space(needed)?;
                    if done.signal.is_needed() {
                        self.signal(partition);
                    }
                    if done.wait == Wait::Armed {
                        break;
                    }
                }
                Err(WriteError::Corrupt(corruption)) => return Err(corruption),
                // Larger than the ring can ever take, which `queue` refuses.
                Err(_) => self.drop_first(),
            }
        }
        Ok(())
    }

    fn drop_first(&mut self) {
        if let Some(first) = self.waiting.pop_front() {
            self.waiting_completions -= usize::from(first.completes.is_some());
        }
    }

    /// Sets the channel's event flag, unless the guest wants no interrupts (VP 0xffffffff) or named one that it does not have.
    fn signal(&self, partition: &dyn HostPartition) {
        if let Ok(flag) = u16::try_from(self.relid.get()) {
            let _no_such_vp = partition.set_event(self.target_vp, VMBUS_SINT, flag);
        }
    }
}

/// Whether a ring of this size could ever take the packet: descriptor, trailer and the 8 bytes that stay free.
fn fits(rings: &ChannelRings, payload: &[u8]) -> bool {
    payload.len().next_multiple_of(8) + 16 + 8 + 8 <= rings.outgoing.size() as usize
}
