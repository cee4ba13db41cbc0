//! The network header of a packet that this node makes out of one that it received.

use crate::buf::{L4Checksum, PacketBuf};
use crate::bytes;
use crate::checksum;
use crate::drop::DropReason;
use crate::header;
use crate::meta::{Address, Meta};
use crate::parse;

/// See the module.
pub(crate) struct Answer<'a> {
    /// IP protocol.
    pub(crate) protocol: u8,
    pub(crate) from: &'a Address,
    pub(crate) to: &'a Address,
    /// Type of service or traffic class.
    pub(crate) class: u8,
    /// IPv4: of a packet that may be fragmented; `None` forbids it.
    pub(crate) identification: Option<u16>,
}

impl Answer<'_> {
    /// Completes the transport message that `buf` begins with.
    pub(crate) fn send<B: PacketBuf>(&self, buf: &mut B, ipv4: bool) -> Result<Meta, DropReason> {
        self.network_header(buf, ipv4)?;
        let meta = parse::ip(buf.data(), 0)?;
        checksum::fill(buf.data_mut(), &meta);
        buf.set_l4_checksum(L4Checksum::Verified);
        Ok(meta)
    }

    /// Puts the network header in front of it.
    pub(crate) fn network_header<B: PacketBuf>(&self, buf: &mut B, ipv4: bool) -> Result<(), DropReason> {
        let length = buf.len();
        if !buf.grow_front(if ipv4 { 20 } else { 40 }) {
            return Err(DropReason::Headroom);
        }
        if ipv4 {
            let octets = |address: &Address| [address[0], address[1], address[2], address[3]];
            let mut header = header::ipv4(
                self.protocol,
                self.identification.is_none(),
                octets(self.from),
                octets(self.to),
            );
            header[1] = self.class;
            header[2..4].copy_from_slice(&((length + 20) as u16).to_be_bytes());
            header[4..6].copy_from_slice(&self.identification.unwrap_or(0).to_be_bytes());
            let checksum = checksum::internet(&header);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            bytes::put(buf.data_mut(), 0, header);
        } else {
            let mut header = header::ipv6(self.protocol, *self.from, *self.to);
            header[0] |= self.class >> 4;
            header[1] = self.class << 4;
            header[4..6].copy_from_slice(&(length as u16).to_be_bytes());
            bytes::put(buf.data_mut(), 0, header);
        }
        Ok(())
    }
}
