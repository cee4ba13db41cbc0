//! Addresses, prefixes and MACs: from the API's text to bytes and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nexthop::Prefix;
use packet::Address;

use crate::tables::v4_number;

/// An address of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ip {
    pub(crate) v6: bool,
    pub(crate) address: Address,
}

impl Ip {
    /// Not above any address.
    pub(crate) const LOWEST: Self = Self { v6: false, address: [0; 16] };

    /// Reads `10.1.0.66` or `2001:db8::1`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.parse::<IpAddr>().map(Self::from).map_err(|_| format!("{text:?} is no IPv4 or IPv6 address"))
    }

    /// Reads the address of one station: not unspecified, multicast, broadcast or loopback.
    pub(crate) fn parse_unicast(text: &str) -> Result<Self, String> {
        let ip = Self::parse(text)?;
        let std = ip.std();
        if std.is_unspecified()
            || std.is_multicast()
            || std.is_loopback()
            || std == IpAddr::V4(Ipv4Addr::BROADCAST)
        {
            return Err(format!("{text} is not the address of one station"));
        }
        Ok(ip)
    }

    /// The host prefix of this address.
    pub(crate) fn host(self) -> Prefix {
        Prefix::host(self.std())
    }

    /// The prefix of `length` bits around this address.
    pub(crate) fn network(self, length: u8) -> Prefix {
        let masked = |bits: u128| bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let bits = masked(u128::from_be_bytes(self.address));
        let prefix = if self.v6 {
            Prefix::v6(bits, length)
        } else {
            Prefix::v4(v4_number(&bits.to_be_bytes()), length)
        };
        // Only a length beyond the family's fails, and lengths are checked where they are read.
        prefix.unwrap_or(self.host())
    }

    /// Whether it is valid on its own link only (fe80::/10). IPv4's 169.254/16 is routed like any other.
    pub(crate) const fn is_v6_link_local(self) -> bool {
        self.v6 && self.address[0] == 0xfe && self.address[1] & 0xc0 == 0x80
    }

    /// As the standard library's type.
    pub(crate) fn std(self) -> IpAddr {
        let [a, b, c, d, ..] = self.address;
        if self.v6 { Ipv6Addr::from(self.address).into() } else { Ipv4Addr::new(a, b, c, d).into() }
    }
}

impl From<IpAddr> for Ip {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self { v6: false, address: packet::meta::v4(v4.octets()) },
            IpAddr::V6(v6) => Self { v6: true, address: v6.octets() },
        }
    }
}

impl std::fmt::Display for Ip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.std().fmt(f)
    }
}

/// Reads `10.1.0.0/24`; the bits behind the length must be zero.
pub(crate) fn parse_prefix(text: &str) -> Result<Prefix, String> {
    let Some((address, length)) = text.split_once('/') else {
        return Err(format!("{text:?} is no prefix: write ADDRESS/LENGTH"));
    };
    let ip = Ip::parse(address)?;
    let prefix = ip.network(parse_length(ip.v6, length)?);
    if prefix.address() != ip.address {
        return Err(format!("{text} has bits set behind its length: {prefix} is meant"));
    }
    Ok(prefix)
}

/// Reads a prefix, or an address as its host prefix.
pub(crate) fn parse_prefix_or_host(text: &str) -> Result<Prefix, String> {
    if text.contains('/') { parse_prefix(text) } else { Ip::parse(text).map(Ip::host) }
}

/// Reads a station's address with the length of its subnet: `10.1.0.66/24`; without length, the host's.
pub(crate) fn parse_station(text: &str) -> Result<(Ip, u8), String> {
    match text.split_once('/') {
        None => Ip::parse_unicast(text).map(|ip| (ip, ip.host().length())),
        Some((address, length)) => {
            let ip = Ip::parse_unicast(address)?;
            let length = parse_length(ip.v6, length)?;
            if length == 0 {
                return Err(format!("{text} has no subnet: a length of 1 or more is needed"));
            }
            Ok((ip, length))
        }
    }
}

fn parse_length(v6: bool, text: &str) -> Result<u8, String> {
    let most = if v6 { 128 } else { 32 };
    match text.parse::<u8>() {
        Ok(length) if length <= most && !text.starts_with('+') => Ok(length),
        _ => Err(format!("{text:?} is no prefix length: 0 to {most} are")),
    }
}

/// Reads the MAC of one station: six bytes in hexadecimal, not a group address, not zero.
pub(crate) fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = parts
            .next()
            .filter(|part| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|part| u8::from_str_radix(part, 16).ok())
            .ok_or_else(|| format!("{text:?} is no MAC address: write 02:00:00:00:00:01"))?;
    }
    if parts.next().is_some() {
        return Err(format!("{text:?} is no MAC address: write 02:00:00:00:00:01"));
    }
    if mac[0] & 1 != 0 || mac == [0; 6] {
        return Err(format!("{text} is not the MAC address of one station"));
    }
    Ok(mac)
}

/// A MAC as text.
pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_read_back_as_they_are_printed() {
        for text in ["0.0.0.0/0", "10.1.2.0/23", "10.1.2.3/32", "::/0", "2001:db8::/33", "2001:db8::1/128"] {
            assert_eq!(parse_prefix(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn bits_behind_the_length_are_refused_with_the_prefix_that_is_meant() {
        assert!(parse_prefix("10.1.2.3/24").unwrap_err().contains("10.1.2.0/24 is meant"));
        assert!(parse_prefix("2001:db8:8000::/32").unwrap_err().contains("2001:db8::/32 is meant"));
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", ""] {
            assert!(parse_prefix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_station_has_a_unicast_address() {
        for text in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1", "::", "::1", "ff02::1", "x"] {
            assert!(Ip::parse_unicast(text).is_err(), "{text}");
        }
        assert_eq!(parse_station("10.1.0.66/24").unwrap().1, 24);
        assert_eq!(parse_station("2001:db8::1").unwrap().1, 128);
        assert!(parse_station("10.1.0.66/0").is_err());
    }

    #[test]
    fn a_mac_is_six_bytes_of_one_station() {
        assert_eq!(parse_mac("02:00:0a:FF:00:01").unwrap(), [2, 0, 10, 255, 0, 1]);
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "2:0:0:0:0:1",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "+2:00:00:00:00:01",
        ] {
            assert!(parse_mac(text).is_err(), "{text}");
        }
        assert_eq!(mac_text([2, 0, 10, 255, 0, 1]), "02:00:0a:ff:00:01");
    }
}
