//! An open channel: its rings, and the packets that wait for room in one of them.

use std::collections::VecDeque;
use std::sync::Arc;

use component_runtime::lanes::{CauseLanes, Lane};
use machine_contract::HostPartition;
use vmbus::control::{Relid, VMBUS_SINT};
use vmbus::ring::{
    ChannelRings, Corruption, OutgoingPacket, PacketBuffer, ReadError, Signal, Wait, WriteError,
};

use super::frame::{Bytes, Capture, RecordedFrame};
use super::rung::Rung;
use super::{BusEvent, ReceivedPacket, SendError, WAITING_PACKETS};
use crate::statistics::{ChannelStatistics, RingStatistics};

/// A packet to be sent.
pub(super) struct Packet {
    pub(super) kind: Sent,
    pub(super) payload: Vec<u8>,
}

/// What a packet is to the guest's driver.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// A message, with a transaction number of its own.
    Message,
    /// A message with transaction number 0: Linux' storage driver takes any other for the completion of one of its requests (documented).
    Notice,
    /// The completion of a transaction of the guest's.
    Completion(u64),
}

impl Sent {
    fn is_completion(self) -> bool {
        matches!(self, Self::Completion(_))
    }
}

pub(super) struct Channel {
    relid: Relid,
    /// What crosses is captured.
    is_kept: bool,
    rings: ChannelRings,
    /// The VP to interrupt, as the guest named it: the partition may have no such VP.
    pub(super) target_vp: u32,
    waiting: VecDeque<Packet>,
    /// Those of `waiting` that are completions.
    waiting_completions: usize,
    next_transaction: u64,
    /// The owner has been told of the guest's trailers.
    told_trailers: bool,
    /// The guest's signals for the channel.
    pub(super) rung: Arc<Rung>,
    counted: ChannelStatistics,
    /// What the owner was told of how full the rings were: upstream, downstream.
    told_high_water: (u32, u32),
}

impl Channel {
    pub(super) fn new(
        relid: Relid,
        rings: ChannelRings,
        target_vp: u32,
        rung: Arc<Rung>,
        is_kept: bool,
    ) -> Self {
        let ring = |size| RingStatistics { size, ..RingStatistics::default() };
        let counted = ChannelStatistics {
            upstream: ring(rings.incoming.size()),
            downstream: ring(rings.outgoing.size()),
        };
        Self {
            rung,
            counted,
            told_high_water: (0, 0),
            relid,
            is_kept,
            rings,
            target_vp,
            waiting: VecDeque::new(),
            waiting_completions: 0,
            next_transaction: 0,
            told_trailers: false,
        }
    }

    /// What was counted since the channel was opened.
    pub(super) fn statistics(&self) -> ChannelStatistics {
        let mut counted = self.counted;
        counted.upstream.signals = self.rung.times();
        counted.upstream.suppressed = counted.upstream.packets.saturating_sub(counted.upstream.signals);
        counted
    }

    /// Whether a ring has been fuller than the owner knows, by a sixteenth of the ring or more.
    pub(super) fn new_high_water(&mut self, lane: Lane) -> Option<BusEvent> {
        let (ring, told) = match lane {
            Lane::Upstream => (&self.counted.upstream, &mut self.told_high_water.0),
            Lane::Downstream => (&self.counted.downstream, &mut self.told_high_water.1),
        };
        if ring.high_water < told.saturating_add(ring.size / 16) {
            return None;
        }
        *told = ring.high_water;
        Some(BusEvent::HighWater { relid: self.relid, ring: lane, used: ring.high_water, size: ring.size })
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
        capture: &mut Capture,
    ) -> Result<Option<ReceivedPacket>, Corruption> {
        loop {
            match self.rings.read(buffer) {
                Ok(packet) => {
                    self.counted.upstream.packets += 1;
                    self.counted.upstream.look(self.rings.incoming.used_bytes(&self.rings.incoming_offsets));
                    capture.add_if(self.is_kept, true, || RecordedFrame::Packet {
                        child_relid: self.relid.get(),
                        kind: packet.kind.0,
                        completion_requested: packet.completion_requested,
                        transaction_id: packet.transaction_id,
                        offset: packet.offset,
                        extra: Bytes(packet.extra.to_vec()),
                        payload: Bytes(packet.payload.to_vec()),
                    });
                    lanes.follow(Lane::Upstream, self.relid.get(), packet.offset);
                    return Ok(Some(ReceivedPacket {
                        kind: packet.kind,
                        transaction_id: packet.transaction_id,
                        completion_requested: packet.completion_requested,
                        extra: packet.extra.to_vec(),
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
        let alike = match packet.kind {
            Sent::Completion(_) => self.waiting_completions,
            Sent::Message | Sent::Notice => self.waiting.len() - self.waiting_completions,
        };
        if alike >= WAITING_PACKETS {
            return Err(SendError::Stuck);
        }
        // A packet that no ring of this size could take is not kept: what comes after would wait for ever.
        if !fits(&self.rings, &packet.payload) {
            return Err(SendError::TooLarge);
        }
        self.waiting_completions += usize::from(packet.kind.is_completion());
        self.waiting.push_back(packet);
        Ok(())
    }

    /// Writes what waits, as far as the ring has room.
    pub(super) fn flush(
        &mut self,
        partition: &dyn HostPartition,
        lanes: &CauseLanes,
        capture: &mut Capture,
    ) -> Result<(), Corruption> {
        self.write_waiting(partition, lanes, capture)?;
        let wrote = self.rings.outgoing_offsets.has_uncommitted();
        let signal = self.rings.commit_write()?;
        if wrote {
            self.wrote(partition, signal);
        }
        Ok(())
    }

    /// Packets have been published: the guest is signalled if it is to be.
    fn wrote(&mut self, partition: &dyn HostPartition, signal: Signal) {
        let used = self.rings.outgoing.used_bytes(&self.rings.outgoing_offsets);
        self.counted.downstream.look(used);
        if signal.is_needed() {
            self.signal(partition);
        } else {
            self.counted.downstream.suppressed += 1;
        }
    }

    fn write_waiting(
        &mut self,
        partition: &dyn HostPartition,
        lanes: &CauseLanes,
        capture: &mut Capture,
    ) -> Result<(), Corruption> {
        while let Some(packet) = self.waiting.front() {
            let outgoing = match packet.kind {
                Sent::Completion(transaction_id) => {
                    OutgoingPacket::completion(transaction_id, &packet.payload)
                }
                Sent::Message => OutgoingPacket::in_band(self.next_transaction, &packet.payload),
                Sent::Notice => OutgoingPacket::in_band(0, &packet.payload),
            };
            match self.rings.write(&outgoing) {
                Ok(offset) => {
                    self.counted.downstream.packets += 1;
                    capture.add_if(self.is_kept, false, || RecordedFrame::Packet {
                        child_relid: self.relid.get(),
                        kind: outgoing.kind.0,
                        completion_requested: outgoing.completion_requested,
                        transaction_id: outgoing.transaction_id,
                        offset,
                        extra: Bytes::default(),
                        payload: Bytes(packet.payload.clone()),
                    });
                    lanes.note(Lane::Downstream, self.relid.get(), offset);
                    self.next_transaction += u64::from(packet.kind == Sent::Message);
                    self.drop_first();
                }
                Err(WriteError::Full { needed }) => {
                    let wrote = self.rings.outgoing_offsets.has_uncommitted();
                    let done = self.rings.wait_for_space(needed)?;
                    if wrote {
                        self.wrote(partition, done.signal);
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
            self.waiting_completions -= usize::from(first.kind.is_completion());
        }
    }

    /// Sets the channel's event flag, unless the guest wants no interrupts (VP 0xffffffff) or named one that it does not have.
    fn signal(&mut self, partition: &dyn HostPartition) {
        if let Ok(flag) = u16::try_from(self.relid.get()) {
            let set = partition.set_event(self.target_vp, VMBUS_SINT, flag);
            self.counted.downstream.signals += u64::from(set.is_ok());
        }
    }
}

/// Whether a ring of this size could ever take the packet: descriptor, trailer and the 8 bytes that stay free.
fn fits(rings: &ChannelRings, payload: &[u8]) -> bool {
    payload.len().next_multiple_of(8) + 16 + 8 + 8 <= rings.outgoing.size() as usize
}
