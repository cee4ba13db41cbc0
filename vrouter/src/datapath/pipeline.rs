//! A packet's way, from top to bottom.

use arrayvec::ArrayVec;
use packet::{DropReason, InterfaceId, PacketBuf};

use super::burst::{BURST, Slot, Verdict};
use super::{Context, Datapath, Ports, host};
use crate::tables::Role;

impl<B: PacketBuf> Datapath<B> {
    /// One burst from one interface, start to finish. Afterwards `frames` is empty: every packet has
    /// ended in exactly one way. All of them are whole; others go through [`Self::run_super_frames`].
    pub fn run<P: Ports<B>>(
        &mut self,
        cx: &Context<'_>,
        arrival: InterfaceId,
        frames: &mut ArrayVec<B, BURST>,
        ports: &mut P,
    ) {
        self.admit(cx, arrival, frames);
        self.run_admitted(cx, arrival, ports);
    }

    /// What is in the burst, start to finish.
    #[inline(always)]
    pub(super) fn run_admitted<P: Ports<B>>(
        &mut self,
        cx: &Context<'_>,
        arrival: InterfaceId,
        ports: &mut P,
    ) {
        if let (Some(variant), Some(interface)) = (self.express.variant, cx.tables.interface(arrival)) {
            self.express_on(variant, cx, interface);
        }

        // Whatever is left: packets without a session, or about which something has to be found out.
        self.stages(cx, arrival, ports);
        self.go_on(cx, ports);
    }

    /// The stages of all packets that the express way leaves, and the end of the burst.
    pub(super) fn stages<P: Ports<B>>(&mut self, cx: &Context<'_>, arrival: InterfaceId, ports: &mut P) {
        self.parse(cx, arrival);
        self.classify(cx, arrival);
        self.local(cx, ports);
        self.find_flows(cx);
        self.miss(cx);
        self.forward(cx, ports);

        self.settle(cx);
        self.flush(cx, ports);
        self.follow_firsts(cx, ports);
    }

    /// A burst that nobody can treat: it is counted, and dropped. Afterwards `frames` is empty.
    pub fn turn_away(
        &mut self,
        cx: &Context<'_>,
        arrival: InterfaceId,
        frames: &mut ArrayVec<B, BURST>,
        reason: DropReason,
    ) {
        self.admit(cx, arrival, frames);
        for i in self.burst.live() {
            self.burst.slot[i] = Slot { arrival, ..Slot::default() };
            self.burst.end(i, Verdict::Dropped(reason));
        }
        self.settle(cx);
    }

    /// Takes the frames in and counts them.
    pub(super) fn admit(&mut self, cx: &Context<'_>, arrival: InterfaceId, frames: &mut ArrayVec<B, BURST>) {
        let (count, bytes) = self.take_in(frames);
        self.count_in(cx, arrival, count, bytes);
    }

    /// Takes the frames in: how many, and their bytes.
    #[inline(always)]
    pub(super) fn take_in(&mut self, frames: &mut ArrayVec<B, BURST>) -> (usize, u64) {
        let count = frames.len();
        let mut bytes = 0;
        for (i, frame) in frames.drain(..).enumerate() {
            frame.prefetch();
            bytes += frame.len() as u64;
            self.burst.bufs[i] = Some(frame);
        }
        self.burst.count = count;
        self.burst.live = self.burst.all();
        (count, bytes)
    }

    /// Counts what was received.
    #[inline(always)]
    pub(super) fn count_in(&self, cx: &Context<'_>, arrival: InterfaceId, count: usize, bytes: u64) {
        self.counters.received.add(count as u64);
        self.counters.bursts.add(u64::from(count > 0));
        if let Some(interface) = cx.tables.interface(arrival) {
            let counters = interface.counters.worker(self.worker);
            counters.rx_packets.add(count as u64);
            counters.rx_bytes.add(bytes);
        }
    }

    /// Bytes become facts. What the node's own IP stack says or is to hear is not looked at (SEMANTICS 22).
    pub(super) fn parse(&mut self, cx: &Context<'_>, arrival: InterfaceId) {
        let row = cx.tables.interface(arrival);
        let twin = row.and_then(|row| row.twin);
        for i in self.burst.live() {
            self.burst.slot[i] = Slot { arrival, ..Slot::default() };
            self.burst.verdict[i] = Verdict::Live;
        }
        if let Some(row) = row.filter(|row| row.role == Role::Host) {
            for i in self.burst.live() {
                if !self.burst.bufs[i].as_ref().is_some_and(|buf| host::is_for_vrouter(row, buf.data())) {
                    self.hand_over(cx, i, row.twin.unwrap_or_default());
                }
            }
        }
        for i in self.burst.live() {
            let Some(buf) = &self.burst.bufs[i] else { continue };
            match packet::parse::ethernet(buf.data()) {
                Ok(meta) => self.burst.meta[i] = meta,
                // Groups may be spoken to by who has no address yet: IGMP queries, MLD reports (RFC 3590).
                Err(reason)
                    if reason == DropReason::UnsupportedEtherType
                        || reason == DropReason::InvalidAddress && is_for_a_group(buf.data()) =>
                {
                    match twin {
                        Some(twin) => self.hand_over(cx, i, twin),
                        None => self.burst.end(i, Verdict::Dropped(reason)),
                    }
                }
                Err(reason) => self.burst.end(i, Verdict::Dropped(reason)),
            }
        }
    }
}

/// Whether a frame's destination is a group, everybody included.
fn is_for_a_group(frame: &[u8]) -> bool {
    frame.first().is_some_and(|first| first & 1 != 0)
}
