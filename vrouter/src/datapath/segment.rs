//! Super-frames: TCP that a guest has left to its device to be cut (SEMANTICS 13). They become the packets that their
//! sender means before anything else looks at them, so that policy, translation, path MTU and accounting know packets
//! only.

use arrayvec::ArrayVec;
use packet::segment::segments;
use packet::{DropReason, InterfaceId, PacketBuf};

use super::burst::BURST;
use super::{Context, Datapath, Ports};

impl<B: PacketBuf> Datapath<B> {
    /// As [`Self::run`], for a burst that is not all of whole frames. The order in which they came is kept.
    #[cold]
    pub fn run_super_frames<P: Ports<B>>(
        &mut self,
        cx: &Context<'_>,
        arrival: InterfaceId,
        frames: &mut ArrayVec<B, BURST>,
        ports: &mut P,
    ) {
        let bytes = frames.iter().flat_map(PacketBuf::parts).map(|part| part.len() as u64).sum();
        self.count_in(cx, arrival, frames.len(), bytes);
        let mut packets = ArrayVec::new();
        for frame in frames.drain(..) {
            if frame.is_whole() {
                self.add(cx, arrival, &mut packets, frame, ports);
            } else {
                self.cut_super_frame(cx, arrival, &frame, &mut packets, ports);
            }
        }
        self.run_packets(cx, arrival, &mut packets, ports);
    }

    /// Adds the segments of a frame to the packets, or counts its end.
    fn cut_super_frame<P: Ports<B>>(
        &mut self,
        cx: &Context<'_>,
        arrival: InterfaceId,
        frame: &B,
        packets: &mut ArrayVec<B, BURST>,
        ports: &mut P,
    ) {
        let mut segments = match segments(frame) {
            Ok(segments) => segments,
            Err(reason) => return self.count_drop(cx, arrival, reason),
        };
        // The segments stand for the frame: one of them is the frame itself, the others are copies.
        let mut copies = 0;
        while segments.remaining() > 0 {
            let packet = ports.allocate().ok_or(DropReason::NoBuffer).and_then(|mut packet| {
                if segments.next_into(&mut packet) { Ok(packet) } else { Err(DropReason::MultiSegment) }
            });
            match packet {
                Ok(packet) => self.add(cx, arrival, packets, packet, ports),
                // What is left of the frame ends here.
                Err(reason) => {
                    self.count_drop(cx, arrival, reason);
                    break;
                }
            }
            copies += u64::from(segments.remaining() > 0);
        }
        self.counters.copied.add(copies);
    }

    /// Adds a packet; a full burst runs.
    fn add<P: Ports<B>>(
        &mut self,
        cx: &Context<'_>,
        arrival: InterfaceId,
        packets: &mut ArrayVec<B, BURST>,
        packet: B,
        ports: &mut P,
    ) {
        packets.push(packet);
        if packets.is_full() {
            self.run_packets(cx, arrival, packets, ports);
        }
    }

    /// Sees packets to their ends that have been counted.
    fn run_packets<P: Ports<B>>(
        &mut self,
        cx: &Context<'_>,
        arrival: InterfaceId,
        packets: &mut ArrayVec<B, BURST>,
        ports: &mut P,
    ) {
        self.take_in(packets);
        self.run_admitted(cx, arrival, ports);
    }
}
