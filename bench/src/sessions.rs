//! Sessions for the flow table alone.

use flow::policy::RuleSlot;
use flow::{FlowKey, NewHalf, NewSession, RULES, Scope, Translation, Verdict};
use packet::InterfaceId;
use packet::meta::v4;

pub use crate::node::Unheard;

/// The session of a number, from a workload to the fabric; pinned, so that it does not make room for others.
#[must_use]
pub fn session(n: u32, six: bool) -> NewSession {
    let [a, b, c, d] = n.to_be_bytes();
    let (src, dst) = (v4([10, 1, b, a]), v4([172, 16, c, d]));
    let key =
        |src, dst, scope| FlowKey { src, dst, src_port: 5000, dst_port: 80, protocol: 17, v6: six, scope };
    let half = |key| NewHalf {
        key,
        translation: Translation::default(),
        verdict: Verdict::Forward,
        tcp: flow::tcp::HalfState::NONE,
        tcp_ack: 0,
        entropy_or_peer: 0,
        validated_at: 1,
        route: 1,
    };
    let mut back = key(dst, src, Scope::to_workload(InterfaceId(2)));
    (back.src_port, back.dst_port) = (80, 5000);
    NewSession {
        forward: half(key(src, dst, Scope::from_workload(InterfaceId(2)))),
        reverse: Some(half(back)),
        rules: [RuleSlot::NONE; RULES],
        binding: 0,
        limits: [0; 2],
        pinned: true,
    }
}
