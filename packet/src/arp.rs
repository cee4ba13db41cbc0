//! ARP for IPv4 over Ethernet (RFC 826), with probes and announcements (RFC 5227).

use std::net::Ipv4Addr;

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress};

use crate::buf::PacketBuf;
use crate::bytes;
use crate::drop::DropReason;
use crate::encap::Mac;
use crate::meta::Meta;

/// Length of an ARP packet, without its Ethernet header.
pub const LENGTH: usize = 28;

/// Request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// Request or reply.
    pub operation: Operation,
    /// Who speaks.
    pub sender_mac: Mac,
    /// The speaker's address; unspecified in a probe.
    pub sender: Ipv4Addr,
    /// Whom it is for; zero in a request.
    pub target_mac: Mac,
    /// The address that is asked for, or the one of the asker.
    pub target: Ipv4Addr,
}

impl Arp {
    /// "Who has `target`? Tell `sender`."
    #[must_use]
    pub const fn request(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self { operation: Operation::Request, sender_mac, sender, target_mac: [0; 6], target }
    }

    /// Tells everybody that `address` is at `mac` (RFC 5227 §2.3: an announcement is a request).
    #[must_use]
    pub const fn announcement(mac: Mac, address: Ipv4Addr) -> Self {
        Self::request(mac, address, address)
    }

    /// The answer to this request: its target is at `mac`.
    #[must_use]
    pub const fn reply(&self, mac: Mac) -> Self {
        Self {
            operation: Operation::Reply,
            sender_mac: mac,
            sender: self.target,
            target_mac: self.sender_mac,
            target: self.sender,
        }
    }

    /// Asks whether an address is free, by a node that does not have it yet (RFC 5227 §2.1.1).
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.sender.is_unspecified()
    }

    /// Says, unasked, where its sender is: an announcement or a gratuitous reply.
    #[must_use]
    pub const fn is_gratuitous(&self) -> bool {
        self.sender.to_bits() == self.target.to_bits() && !self.is_probe()
    }

    /// The bytes that follow an Ethernet header with ethertype 0x0806.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        let repr = ArpRepr::EthernetIpv4 {
            operation: match self.operation {
                Operation::Request => ArpOperation::Request,
                Operation::Reply => ArpOperation::Reply,
            },
            source_hardware_addr: EthernetAddress(self.sender_mac),
            source_protocol_addr: self.sender,
            target_hardware_addr: EthernetAddress(self.target_mac),
            target_protocol_addr: self.target,
        };
        repr.emit(&mut ArpPacket::new_unchecked(&mut bytes));
        bytes
    }
}

/// Reads the ARP packet that `meta` describes.
///
/// # Errors
/// `InvalidArp` if it is not IPv4 over Ethernet, neither request nor reply, or its sender cannot be one node.
pub fn parse(data: &[u8], meta: &Meta) -> Result<Arp, DropReason> {
    let packet = data.get(usize::from(meta.l3)..).filter(|packet| packet.len() >= LENGTH);
    let packet = packet.ok_or(DropReason::Truncated)?;
    let packet = ArpPacket::new_checked(packet).map_err(|_| DropReason::InvalidArp)?;
    let ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(sender_mac),
        source_protocol_addr: sender,
        target_hardware_addr: EthernetAddress(target_mac),
        target_protocol_addr: target,
    } = ArpRepr::parse(&packet).map_err(|_| DropReason::InvalidArp)?
    else {
        return Err(DropReason::InvalidArp);
    };
    let operation = match operation {
        ArpOperation::Request => Operation::Request,
        ArpOperation::Reply => Operation::Reply,
        ArpOperation::Unknown(_) => return Err(DropReason::InvalidArp),
    };
    let group = sender_mac[0] & 1 == 1 || sender_mac == [0; 6];
    if group || sender.is_multicast() || sender.is_broadcast() || sender.is_loopback() {
        return Err(DropReason::InvalidArp);
    }
    Ok(Arp { operation, sender_mac, sender, target_mac, target })
}

/// Turns the received frame into one that carries `answer` to its target, keeping a VLAN tag.
///
/// # Errors
/// `InvalidArp` if the frame is too short to have been an ARP packet.
pub fn answer<B: PacketBuf>(buf: &mut B, meta: &Meta, answer: &Arp) -> Result<(), DropReason> {
    if !buf.replace_from(usize::from(meta.l3), &answer.to_bytes()) {
        return Err(DropReason::InvalidArp);
    }
    bytes::put(buf.data_mut(), 0, answer.target_mac);
    bytes::put(buf.data_mut(), 6, answer.sender_mac);
    Ok(())
}
