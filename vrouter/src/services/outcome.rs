//! What became of what workloads asked. This table is the only place: names, help, metrics and CLI output come from
//! it.

use sync::Counter;

packet::named_enum! {
    /// How a request of a workload ended, or what was said unasked.
    pub enum Outcome;

    // answered
    DhcpOffer          "dhcp_offer"           "DHCPv4: an address was offered."
    DhcpAck            "dhcp_ack"             "DHCPv4: an address was leased, or its configuration told."
    DhcpNak            "dhcp_nak"             "DHCPv4: another address than the interface's was wanted, and refused."
    Dhcp6Advertise     "dhcp6_advertise"      "DHCPv6: addresses were offered."
    Dhcp6Reply         "dhcp6_reply"          "DHCPv6: addresses were leased, or something was told."
    RouterSolicited    "router_solicited"     "A router solicitation was answered."
    RouterPeriodic     "router_periodic"      "A router advertisement was sent unasked."
    DnsAnswered        "dns_answered"         "An answer of a resolver was handed to the workload."
    DnsTruncated       "dns_truncated"        "Such an answer was longer than the workload's MTU: it was told to be content or use TCP."
    DnsFailed          "dns_failed"           "No resolver answered in time: the workload was told so (SERVFAIL)."
    DnsRefused         "dns_refused"          "There is no resolver to ask: the workload was told so (REFUSED)."
    DnsTcpRefused      "dns_tcp_refused"      "DNS over TCP was refused with a reset."
    // going on
    DnsForwarded       "dns_forwarded"        "A query was sent to a resolver."
    // not answered
    NotServed          "not_served"           "The interface's configuration has nothing of the kind."
    NotSent            "not_sent"             "An answer found no worker or buffer to go out by."
    DhcpMalformed      "dhcp_malformed"       "DHCP: a field or option is cut off, missing or impossible."
    DhcpHardware       "dhcp_hardware"        "DHCP: hardware type, length or address is not the workload's."
    DhcpRelayed        "dhcp_relayed"         "DHCP through a relay: the vRouter leases to its own workloads only."
    DhcpUnexpected     "dhcp_unexpected"      "DHCP: a message that clients do not send, or not to all servers."
    DhcpOtherServer    "dhcp_other_server"    "DHCP: the client has chosen another server."
    DhcpReleased       "dhcp_released"        "DHCPv4: the workload gave its address back; it stays the workload's."
    DhcpDeclined       "dhcp_declined"        "DHCP: the workload says that somebody else uses its address."
    NdMalformed        "nd_malformed"         "A router solicitation that fails a check of RFC 4861 section 6.1.1."
    DnsMalformed       "dns_malformed"        "DNS: not a query with one question."
    DnsRepeated        "dns_repeated"         "A query that is being asked already."
    DnsBusy            "dns_busy"             "More queries than may be on their way, of this workload or of all."
    DnsStray           "dns_stray"            "What came from a resolver answers nothing that was asked."
}

/// How often each outcome was; written by the services thread only.
#[derive(Debug)]
pub struct ServiceCounters([Counter; Outcome::COUNT]);

impl ServiceCounters {
    /// One more.
    pub(super) fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].add(1);
    }

    /// How often this was.
    #[must_use]
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize].get()
    }

    /// Every outcome that was, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        let all = Outcome::ALL.iter().map(|&outcome| (outcome, self.get(outcome)));
        all.filter(|(_, count)| *count > 0)
    }
}

impl Default for ServiceCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}
