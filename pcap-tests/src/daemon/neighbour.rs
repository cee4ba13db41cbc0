//! The neighbours of a case: they answer who asks for them, as real ones would.

use std::net::IpAddr;

use anyhow::{Result, bail, ensure};
use packet::{Address, MemoryBuf, PacketBuf, arp, nd, parse};

use crate::case;

/// A neighbour on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    /// The interface's name.
    pub(super) interface: String,
    /// As `ListNeighbours` writes it.
    pub(super) address: IpAddr,
    mac: [u8; 6],
}

impl Neighbour {
    pub(super) fn new(neighbour: &case::Neighbour) -> Result<Self> {
        Ok(Self {
            interface: neighbour.interface.clone(),
            address: neighbour.address.parse()?,
            mac: mac(&neighbour.mac)?,
        })
    }

    /// The answer to a frame that asks for this neighbour.
    pub(super) fn answer(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let meta = parse::ethernet(frame).ok()?;
        let mut answer = MemoryBuf::with_tailroom(frame, 128);
        match self.address {
            IpAddr::V4(address) => {
                let request = arp::parse(frame, &meta).ok()?;
                let wanted = request.operation == arp::Operation::Request && request.target == address;
                wanted.then(|| arp::answer(&mut answer, &meta, &request.reply(self.mac)))?.ok()?;
            }
            IpAddr::V6(address) => {
                let address: Address = address.octets();
                let wanted = matches!(nd::parse(frame, &meta).ok()?,
                    nd::Message::Solicitation { target, .. } if target == address);
                let advertise = nd::Advertise {
                    target: address,
                    source: address,
                    mac: self.mac,
                    router: false,
                    overrides: true,
                };
                wanted.then(|| nd::answer(&mut answer, &meta, &advertise))?.ok()?;
            }
        }
        Some(answer.data().to_vec())
    }
}

/// "02:00:0a:01:00:c2" as bytes.
pub(crate) fn mac(text: &str) -> Result<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let Some(part) = parts.next() else { bail!("{text} is no MAC") };
        *byte = u8::from_str_radix(part, 16)?;
    }
    ensure!(parts.next().is_none(), "{text} is no MAC");
    Ok(mac)
}
