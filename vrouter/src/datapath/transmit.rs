//! Out: frames gathered per interface, one transmit call each, and the end of the burst.

use arrayvec::ArrayVec;
use packet::{DropReason, InterfaceId, PacketBuf, PortId};

use super::burst::{BURST, Bits, Verdict};
use super::event::{DropSample, SAMPLE_BYTES};
use super::{Context, Datapath, Ports};
use crate::tables::Interface;

/// Frames on their way out of one interface.
#[derive(Debug)]
struct Output<B> {
    interface: InterfaceId,
    port: Option<PortId>,
    frames: ArrayVec<B, BURST>,
}

/// Frames on their way out. The slots are kept between bursts, so nothing is allocated per burst.
#[derive(Debug)]
pub(super) struct Outputs<B> {
    slots: Vec<Output<B>>,
    used: usize,
    /// Frames that found no slot: dropped as `tx_full`.
    overflow: u64,
}

impl<B: PacketBuf> Outputs<B> {
    /// Room for a burst that leaves by as many interfaces as it has packets, copies and answers included.
    const SLOTS: usize = 3 * BURST;

    pub(super) fn new() -> Self {
        let slot = || Output { interface: InterfaceId(0), port: None, frames: ArrayVec::new() };
        Self { slots: (0..Self::SLOTS).map(|_| slot()).collect(), used: 0, overflow: 0 }
    }

    /// Whether only few more interfaces find a slot.
    pub(super) fn is_nearly_full(&self) -> bool {
        self.used > Self::SLOTS / 2
    }

    /// The output of an interface; `None` without room for another.
    pub(super) fn reserve(&mut self, interface: &Interface) -> Option<u8> {
        let known = self.slots[..self.used].iter().rposition(|slot| slot.interface == interface.id);
        known.or_else(|| self.open(interface.id, interface.port)).and_then(|at| u8::try_from(at).ok())
    }

    fn open(&mut self, interface: InterfaceId, port: Option<PortId>) -> Option<usize> {
        let slot = self.slots.get_mut(self.used)?;
        (slot.interface, slot.port) = (interface, port);
        self.used += 1;
        Some(self.used - 1)
    }

    /// Puts a frame into its interface's output.
    #[inline]
    pub(super) fn push(&mut self, interface: &Interface, frame: B) {
        self.place(interface.id, interface.port, frame);
    }

    /// Puts a frame into a reserved output, or behind it if that is full.
    #[inline(always)]
    pub(super) fn push_to(&mut self, output: u8, frame: B) {
        let Some(slot) = self.slots.get_mut(usize::from(output)) else { return };
        if let Err(full) = slot.frames.try_push(frame) {
            let (interface, port) = (slot.interface, slot.port);
            self.place(interface, port, full.element());
        }
    }

    #[inline]
    fn place(&mut self, interface: InterfaceId, port: Option<PortId>, frame: B) {
        let slots = &mut self.slots[..self.used];
        let found = slots.iter_mut().rev().find(|slot| slot.interface == interface && !slot.frames.is_full());
        if let Some(slot) = found {
            slot.frames.push(frame);
        } else if let Some(at) = self.open(interface, port) {
            self.slots[at].frames.push(frame);
        } else {
            // Only a burst of packets that are each cut into many pieces gets here.
            self.overflow += 1;
        }
    }
}

impl<B: PacketBuf> Datapath<B> {
    /// Counts how every packet ended, frees the dropped ones, samples them. Packets of the express way have left.
    pub(super) fn settle(&mut self, cx: &Context<'_>) {
        let mut consumed = 0;
        let mut punted = 0;
        for i in Bits(self.burst.all() & !self.express.done) {
            match self.burst.verdict[i] {
                Verdict::Queued => {}
                Verdict::Consumed => consumed += 1,
                Verdict::Punted => punted += 1,
                Verdict::Held => self.counters.held_total.add(1),
                Verdict::Dropped(reason) => self.drop_one(cx, i, reason),
                Verdict::Live => {
                    debug_assert!(false, "packet {i} left the pipeline without a verdict");
                    self.drop_one(cx, i, DropReason::NextHopUnknown);
                }
            }
            self.burst.bufs[i] = None;
        }
        self.counters.consumed.add(consumed);
        self.counters.punted.add(punted);
        self.burst.count = 0;
        self.express.done = 0;
    }

    fn drop_one(&mut self, cx: &Context<'_>, i: usize, reason: DropReason) {
        let arrival = self.burst.slot[i].arrival;
        let head = self.burst.bufs[i].as_ref().map_or(&[][..], PacketBuf::data);
        self.count_drop(cx, arrival, reason);
        if self.limiter.sample(cx.now) {
            let kept = head.len().min(SAMPLE_BYTES);
            let mut sample = DropSample {
                milliseconds: cx.now.milliseconds,
                reason,
                interface: arrival,
                length: head.len() as u16,
                kept: kept as u8,
                head: [0; SAMPLE_BYTES],
            };
            sample.head[..kept].copy_from_slice(&head[..kept]);
            self.events.sample(sample);
        }
    }

    /// Counts a drop against its reason and the interface the packet came from.
    pub(super) fn count_drop(&self, cx: &Context<'_>, arrival: InterfaceId, reason: DropReason) {
        self.counters.drops[reason as usize].add(1);
        if let Some(interface) = cx.tables.interface(arrival) {
            interface.counters.worker(self.worker).drops[reason as usize].add(1);
        }
    }

    /// Hands every output to its device.
    pub(super) fn flush<P: Ports<B>>(&mut self, cx: &Context<'_>, ports: &mut P) {
        self.counters.drops[DropReason::TxFull as usize].add(std::mem::take(&mut self.outputs.overflow));
        for at in 0..std::mem::take(&mut self.outputs.used) {
            let Output { interface, port, frames } = &mut self.outputs.slots[at];
            let (interface, port) = (*interface, *port);
            let offered = frames.len();
            let mut bytes: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
            if let Some(port) = port {
                ports.send(port, frames);
            }
            let left = frames.len();
            if left > 0 {
                bytes -= frames.drain(..).map(|frame| frame.len() as u64).sum::<u64>();
                let reason = if port.is_some() { DropReason::TxFull } else { DropReason::TxDown };
                for _ in 0..left {
                    self.count_drop(cx, interface, reason);
                }
            }
            let sent = (offered - left) as u64;
            self.counters.sent.add(sent);
            if let Some(row) = cx.tables.interface(interface) {
                let counters = row.counters.worker(self.worker);
                counters.tx_packets.add(sent);
                counters.tx_bytes.add(bytes);
            }
        }
    }
}
