//! Every way a packet can end without going on. This table is the only place: names, help, metrics and
//! CLI output come from it. Names are stable; numbers are not.

crate::named_enum! {
    /// Why a packet was dropped.
    pub enum DropReason;

    // parse
    Truncated            "truncated"              "A header or the length it announces is longer than the frame."
    InvalidIpVersion     "invalid_ip_version"     "The version field is neither 4 nor 6, or not the one the link layer announced."
    InvalidIpHeader      "invalid_ip_header"      "IPv4 header length, total length or IPv6 extension header chain is impossible."
    InvalidIpChecksum    "invalid_ip_checksum"    "The IPv4 header checksum is wrong (RFC 791)."
    InvalidAddress       "invalid_address"        "The source is multicast, broadcast or unspecified, or an address is a loopback address."
    InvalidL4            "invalid_l4"             "The transport header is impossible (TCP data offset, UDP length)."
    UnsupportedEtherType "unsupported_ethertype"  "The frame carries neither IPv4, IPv6 nor ARP."
    UnsupportedVlan      "unsupported_vlan"       "A VLAN tag that no interface takes."
    MultiSegment         "multi_segment"          "The frame is longer than one buffer of the mempool (memory.frame)."
    SuperFrame           "super_frame"            "A frame for the device to cut into segments that cannot be cut: no TCP, no sensible segment size, or a header that is not all there."
    // spread
    SpreadFull           "spread_full"            "The worker that owns its flow while a hot queue is spread has no room for more."
    // classify
    InterfaceUnknown     "interface_unknown"      "No interface stands behind the port."
    InterfaceDown        "interface_down"         "The interface is administratively down or being removed."
    WrongMac             "wrong_mac"              "The destination MAC is neither the interface's nor a group address."
    InvalidLabel         "invalid_label"          "No MPLS label object with this value."
    InvalidVni           "invalid_vni"            "No VNI object with this value."
    InvalidTunnel        "invalid_tunnel"         "The tunnel header is malformed (GRE version, VXLAN flags, label stack)."
    TunnelChecksum       "tunnel_checksum"        "The checksum of the outer UDP or GRE header is wrong."
    MplsTtl              "mpls_ttl"               "The label's TTL is 0."
    EcnDecap             "ecn_decap"              "Outer CE on an inner packet that is not ECN-capable (RFC 6040)."
    OuterFragment        "outer_fragment"         "A piece of a fragmented tunnel packet whose other pieces did not come within a second."
    // local
    InvalidArp           "invalid_arp"            "A malformed ARP packet, or one whose sender is not the interface's."
    InvalidNd            "invalid_nd"             "A malformed neighbour discovery message (RFC 4861 §7.1)."
    ArpNotOurs           "arp_not_ours"           "An ARP or neighbour request for an address nobody answers for here."
    PuntLimit            "punt_limit"             "The rate limit of the punt class is exceeded."
    PuntQueue            "punt_queue"             "The queue to the control thread is full."
    // flow
    InvalidSource        "invalid_source"         "The source address or MAC is not the interface's, or RPF failed."
    SecurityGroup        "security_group"         "No security group rule allows it."
    PolicyDenied         "policy_denied"          "A network policy denies it, or none of its rules is about these two networks."
    PolicyRejected       "policy_rejected"        "A network policy rejects it; the sender is told."
    FlowDenied           "flow_denied"            "A flow pinned by a controller denies it."
    FlowTableFull        "flow_table_full"        "The flow table has no room."
    FlowLimitInterface   "flow_limit_interface"   "The interface has as many sessions as it may."
    FlowLimitDenied      "flow_limit_denied"      "The share of the table for refused flows is used up."
    FlowCollision        "flow_collision"         "Its replies would belong to another session already there."
    TcpNoSyn             "tcp_no_syn"             "A TCP packet of no known flow, and the interface picks none up in mid-stream."
    TcpInvalid           "tcp_invalid"            "TCP flags that no packet may have, or a reset outside the window (RFC 5961)."
    NoLocalMember        "no_local_member"        "A service packet from the fabric, and no backend lives here."
    NatDirection         "nat_direction"          "The floating IP does not allow sessions in this direction."
    NatPort              "nat_port"               "The floating IP maps other ports only."
    SnatExhausted        "snat_exhausted"         "Every port of the source NAT pool is taken."
    SnatMidstream        "snat_midstream"         "A TCP packet of no known flow would need a port of a source NAT pool, which the far end does not know."
    SnatUnsolicited      "snat_unsolicited"       "An address of a source NAT pool, and no workload has opened this session."
    IcmpErrorNoFlow      "icmp_error_no_flow"     "An ICMP error that quotes no known flow."
    FragmentNoFirst      "fragment_no_first"      "A fragment whose first fragment was not seen in time."
    FragmentTiny         "fragment_tiny"          "A first fragment without the whole transport header."
    FragmentOverlap      "fragment_overlap"       "Overlapping fragments (RFC 5722)."
    FragmentLimit        "fragment_limit"         "Too many fragments or datagrams are held."
    // route
    NoRoute              "no_route"               "No prefix covers the destination."
    Discard              "discard"                "The route's next hop is discard."
    Reject               "reject"                 "The route's next hop is reject."
    NextHopUnknown       "next_hop_unknown"       "The next hop does not exist (any more)."
    NextHopUnresolved    "next_hop_unresolved"    "The tunnel's destination cannot be resolved in its transport VRF."
    EcmpEmpty            "ecmp_empty"             "The ECMP group has no member with weight."
    LookupLoop           "lookup_loop"            "Too many VRF translations."
    TtlExceeded          "ttl_exceeded"           "TTL or hop limit ended here."
    TooBig               "too_big"                "Larger than the path's MTU, and may not be fragmented."
    MulticastNoRoute     "multicast_no_route"     "Multicast or broadcast without a replication next hop."
    NeighbourQueue       "neighbour_queue"        "More packets than may wait for an unresolved neighbour."
    NeighbourFailed      "neighbour_failed"       "The neighbour does not answer."
    NoSourceAddress      "no_source_address"      "The tunnel has no source address of the outer family."
    NoLabel              "no_label"               "Neither the route nor the tunnel names a label or VNI."
    // transmit
    Headroom             "headroom"               "No room in front of the frame for the encapsulation."
    TxFull               "tx_full"                "The transmit ring is full."
    TxDown               "tx_down"                "The out interface is down or gone."
    NoBuffer             "no_buffer"              "The mempool is empty."
}

#[cfg(test)]
mod tests {
    use super::DropReason;

    #[test]
    fn a_reason_is_shown_by_its_name() {
        assert_eq!(DropReason::NoRoute.to_string(), "no_route");
    }

    #[test]
    fn names_are_unique_and_fit_an_operators_grep() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|r| r.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::COUNT);
        assert!(
            names
                .iter()
                .all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'))
        );
    }
}
