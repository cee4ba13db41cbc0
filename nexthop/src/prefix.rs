//! An IPv4 or IPv6 prefix: an address whose bits behind the length are zero.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use packet::Address;

/// Why something is not a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not `address/length`.
    #[error("not of the form address/length")]
    Syntax,
    /// More than 32 or 128.
    #[error("length is more than {0}")]
    Length(u8),
    /// Bits behind the length are set.
    #[error("host bits are not zero")]
    HostBits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Family {
    V4,
    V6,
}

/// An IPv4 or IPv6 prefix. Sorted by family (IPv4 first), address, length: a covering prefix comes before what it covers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    family: Family,
    address: Address,
    length: u8,
}

impl Prefix {
    /// 0.0.0.0/0, before all others.
    pub const DEFAULT_V4: Self = Self { family: Family::V4, address: [0; 16], length: 0 };
    /// ::/0, before all other IPv6 prefixes.
    pub const DEFAULT_V6: Self = Self { family: Family::V6, address: [0; 16], length: 0 };

    /// An IPv4 prefix, address in host order.
    ///
    /// # Errors
    /// `length` is more than 32, or host bits are set.
    pub const fn v4(address: u32, length: u8) -> Result<Self, PrefixError> {
        if length > 32 {
            return Err(PrefixError::Length(32));
        }
        if length < 32 && address << length != 0 {
            return Err(PrefixError::HostBits);
        }
        Ok(Self { family: Family::V4, address: packet::meta::v4(address.to_be_bytes()), length })
    }

    /// An IPv6 prefix, address in host order.
    ///
    /// # Errors
    /// `length` is more than 128, or host bits are set.
    pub const fn v6(address: u128, length: u8) -> Result<Self, PrefixError> {
        if length > 128 {
            return Err(PrefixError::Length(128));
        }
        if length < 128 && address << length != 0 {
            return Err(PrefixError::HostBits);
        }
        Ok(Self { family: Family::V6, address: address.to_be_bytes(), length })
    }

    /// The prefix of one address: /32 or /128.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self { family: Family::V4, address: packet::meta::v4(v4.octets()), length: 32 },
            IpAddr::V6(v6) => Self { family: Family::V6, address: v6.octets(), length: 128 },
        }
    }

    /// Whether it is an IPv6 prefix.
    #[must_use]
    pub const fn is_v6(&self) -> bool {
        matches!(self.family, Family::V6)
    }

    /// The network address, IPv4 in the first four bytes.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The length: 0..=32 or 0..=128.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether it is a single address.
    #[must_use]
    pub const fn is_host(&self) -> bool {
        self.length == if self.is_v6() { 128 } else { 32 }
    }

    /// The network address as a number if it is IPv4.
    #[must_use]
    pub const fn bits4(&self) -> u32 {
        let [a, b, c, d, ..] = self.address;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The network address as a number if it is IPv6.
    #[must_use]
    pub const fn bits6(&self) -> u128 {
        u128::from_be_bytes(self.address)
    }

    /// The network address.
    #[must_use]
    pub const fn ip(&self) -> IpAddr {
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(self.bits4())),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(self.bits6())),
        }
    }

    /// Whether `address`, of the family of this prefix, is in it.
    #[must_use]
    pub const fn contains(&self, address: Address) -> bool {
        // An IPv4 address is left-aligned, so both families compare alike.
        let difference = u128::from_be_bytes(address) ^ self.bits6();
        self.length == 0 || difference >> (128 - self.length as u32) == 0
    }
}

impl TryFrom<IpNet> for Prefix {
    type Error = PrefixError;

    fn try_from(net: IpNet) -> Result<Self, PrefixError> {
        match net {
            IpNet::V4(net) => Self::v4(net.addr().to_bits(), net.prefix_len()),
            IpNet::V6(net) => Self::v6(net.addr().to_bits(), net.prefix_len()),
        }
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        text.parse::<IpNet>().map_err(|_| PrefixError::Syntax)?.try_into()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip(), self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Prefix, PrefixError};

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_are_parsed_and_shown() {
        for text in ["0.0.0.0/0", "10.1.2.0/24", "10.1.2.3/32", "::/0", "2001:db8::/32", "2001:db8::1/128"] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(format!("{:?}", prefix("10.0.0.0/8")), "10.0.0.0/8");
    }

    #[test]
    fn what_is_no_prefix_is_refused_by_name() {
        assert_eq!("10.1.2.3/24".parse::<Prefix>(), Err(PrefixError::HostBits));
        assert_eq!("2001:db8::1/127".parse::<Prefix>(), Err(PrefixError::HostBits));
        assert_eq!("1.2.3.4".parse::<Prefix>(), Err(PrefixError::Syntax));
        assert_eq!(Prefix::v4(0, 33), Err(PrefixError::Length(32)));
        assert_eq!(Prefix::v6(0, 129), Err(PrefixError::Length(128)));
        assert_eq!(Prefix::v4(1, 0), Err(PrefixError::HostBits));
        assert!(Prefix::v4(u32::MAX, 32).is_ok() && Prefix::v6(u128::MAX, 128).is_ok());
    }

    #[test]
    fn a_prefix_knows_its_parts() {
        let v4 = prefix("10.1.2.0/24");
        assert_eq!((v4.bits4(), v4.length(), v4.is_v6(), v4.is_host()), (0x0a01_0200, 24, false, false));
        assert_eq!(v4.address(), packet::meta::v4([10, 1, 2, 0]));
        let v6 = prefix("2001:db8::/32");
        assert_eq!((v6.bits6(), v6.length(), v6.is_v6()), (0x2001_0db8 << 96, 32, true));
        assert!(prefix("10.1.2.3/32").is_host() && prefix("::1/128").is_host() && !prefix("::/32").is_host());
        assert_eq!((Prefix::DEFAULT_V4, Prefix::DEFAULT_V6), (prefix("0.0.0.0/0"), prefix("::/0")));
        assert_eq!(Prefix::host("10.1.2.3".parse().unwrap()), prefix("10.1.2.3/32"));
        assert_eq!(Prefix::host("::1".parse().unwrap()), prefix("::1/128"));
    }

    #[test]
    fn a_prefix_contains_the_addresses_that_share_its_bits() {
        let in_it = |text: &str, ip: [u8; 4]| prefix(text).contains(packet::meta::v4(ip));
        assert!(in_it("10.1.2.0/23", [10, 1, 3, 255]) && !in_it("10.1.2.0/23", [10, 1, 4, 0]));
        assert!(in_it("0.0.0.0/0", [255; 4]));
        assert!(in_it("1.2.3.4/32", [1, 2, 3, 4]) && !in_it("1.2.3.4/32", [1, 2, 3, 5]));
        assert!(prefix("2001:db8::/32").contains(prefix("2001:db8:1::/48").address()));
    }

    #[test]
    fn a_covering_prefix_sorts_before_what_it_covers() {
        let mut prefixes = ["10.1.0.0/16", "::/0", "10.0.0.0/8", "10.0.0.0/16", "9.0.0.0/8"].map(prefix);
        prefixes.sort_unstable();
        assert_eq!(prefixes, ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "::/0"].map(prefix));
    }
}
