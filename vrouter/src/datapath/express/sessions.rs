//! Common packets of established sessions.

use flow::{Probe, Wire, WireKey};
use packet::{L4Checksum, PacketBuf};

use super::super::burst::{BURST, Bits, Leaf};
use super::super::{Context, Datapath};
use super::Lane;
use super::arrive::{Receive, is_plain};
use super::leave::{Departure, leave};
use super::ways::{Found, Way, Ways};
use crate::tables::Interface;

impl<B: PacketBuf> Datapath<B> {
    /// The packets of one family; how many of them are finished. The other's are passed over at their ethertype, or at
    /// the first byte behind the tunnel's headers.
    #[inline(always)]
    pub(super) fn express_sessions<F: Wire, R: Receive>(
        &mut self,
        cx: &Context<'_>,
        receive: &mut R,
        sender: Option<&Interface>,
    ) -> u32 {
        if self.burst.live == 0 {
            return 0;
        }
        let mut lanes = [Lane::default(); BURST];
        let mut keys = [WireKey::<F::Addresses>::default(); BURST];
        let mut probes = [Probe::default(); BURST];
        let mut numbers = [0_u32; BURST];

        let mut found = 0_u64;
        for i in self.burst.live() {
            let Some(buf) = self.burst.bufs[i].as_ref().filter(|buf| is_plain(*buf)) else { continue };
            let Some((lane, key)) = receive.receive::<F, B>(buf) else { continue };
            keys[i] = key;
            lanes[i] = lane;
            probes[i] = cx.flows.probe::<F>(&keys[i]);
            found |= 1 << i;
        }
        for i in Bits(found) {
            numbers[i] = cx.flows.candidate::<F>(probes[i]);
        }
        let (mut ways, now) = (Ways::with_sessions(sender), cx.now.tick());
        let mut done = 0_u64;
        // Halves about which a packet of this burst is not at one with the session, by their last bits.
        let mut contested = 0_u64;
        for i in Bits(found) {
            let lane = lanes[i];
            let Some((id, half)) = cx.flows.confirm::<F>(&keys[i], probes[i], numbers[i]) else { continue };
            let route = half.route();
            let Some(&Found { ref way, since }) = ways.find(cx.tables, &mut self.outputs, route, F::V6)
            else {
                continue;
            };
            let Some(mark) = half.passes(since, lane.tcp) else { continue };
            if R::TUNNEL && mark != lane.peer {
                // It may take the session along to its tunnel: those behind it wait for the answer.
                contested |= 1 << (id.number() % 64);
                continue;
            }
            if contested >> (id.number() % 64) & 1 == 1 {
                continue;
            }
            let Some(buf) = &mut self.burst.bufs[i] else { continue };
            // This vRouter is a hop unless it only delivers what a tunnel brought. Out of one tunnel and into another:
            // no workload's session has an entropy port for that.
            let hop = !R::TUNNEL || !matches!(way, Way::Workload { .. });
            let entropy = (!R::TUNNEL).then_some(mark);
            let departure = Departure { way, leaf: Leaf::cached(route), entropy, hop, v6: F::V6 };
            let rewrite = |data: &mut [u8], l3| F::translate(data, l3, lane.tcp, &F::translation(&half), hop);
            let Some(output) = leave(buf, &lane, departure, &mut self.identification, rewrite) else {
                continue;
            };
            if R::TUNNEL {
                // What the device said about checksums spoke of the outer packet (SEMANTICS 13).
                buf.set_l4_checksum(L4Checksum::Unknown);
            }
            half.account_common(now, u32::from(lane.length), lane.tcp.then_some(lane.acknowledgement));
            self.express.output[i] = output;
            done |= 1 << i;
        }
        self.express.done |= done;
        self.burst.live &= !done;
        done.count_ones()
    }
}
