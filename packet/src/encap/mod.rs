//! Tunnels: headers built once by the control side and copied in front of packets, and the way back.
//!
//! A [`Template`] is right-aligned: every header that lies behind the link layer has a constant distance from
//! the end, whether there is a VLAN tag or not. [`push`] copies a fixed 64 bytes (96 for the deep ones) over the
//! headroom, patches what differs per packet at those constant places, and gives back what was too much.

mod inner_flow;
mod mpls_over_gre;
mod mpls_over_udp;
mod open;
mod path_mtu;
mod pop;
mod push;
mod template;
mod vxlan;

pub use inner_flow::{inner_flow, is_mpls_over_gre};
pub use open::{Opened, marks_congestion, open};
pub use path_mtu::TunnelTooBig;
pub use pop::{Tunnel, begins_tunnel, ecn_decapsulate, pop};
pub use push::{EthernetHeader, Fields, WIDEST, push, push_ethernet, push_over};
pub use template::{Encapsulation, MAX_OUTER_LABELS, Template, TunnelSpec};

/// A MAC address.
pub type Mac = [u8; 6];
