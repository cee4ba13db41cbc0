//! Small pieces of text that several tables share.

use std::{net::Ipv6Addr, time::Duration};

const PROTOCOLS: [(u32, &str); 7] =
    [(1, "icmp"), (2, "igmp"), (6, "tcp"), (17, "udp"), (47, "gre"), (58, "icmp6"), (132, "sctp")];

/// An IP protocol by the name operators use, or its number.
pub(crate) fn protocol(number: u32) -> String {
    PROTOCOLS
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(|| number.to_string(), |(_, name)| (*name).into())
}

/// Reads a protocol's name or number, for the command line.
pub(crate) fn parse_protocol(text: &str) -> Result<u32, String> {
    let name = text.to_ascii_lowercase();
    let name = if matches!(name.as_str(), "icmpv6" | "ipv6-icmp") { "icmp6" } else { name.as_str() };
    if let Some((number, _)) = PROTOCOLS.iter().find(|(_, known)| *known == name) {
        return Ok(*number);
    }
    let names: Vec<_> = PROTOCOLS.iter().map(|(_, name)| *name).collect();
    text.parse::<u8>()
        .map(u32::from)
        .map_err(|_| format!("expected a number up to 255 or one of {}", names.join(", ")))
}

/// `10.0.0.1:80`, `[2001:db8::1]:80`.
pub(crate) fn endpoint(address: &str, port: u32) -> String {
    if address.parse::<Ipv6Addr>().is_ok() {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

/// A number, or nothing for 0.
pub(crate) fn nonzero(number: u32) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

/// An age in its two largest units: `1h 4m`, `350ms`.
pub(crate) fn age(milliseconds: u32) -> String {
    let duration = Duration::from_millis(milliseconds.into());
    let duration = if milliseconds < 1_000 { duration } else { Duration::from_secs(duration.as_secs()) };
    let text = humantime::format_duration(duration).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A time since 1970 as `2024-05-01T12:00:00.000001Z`.
pub(crate) fn time(nanoseconds: u64) -> String {
    let time = std::time::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
    humantime::format_rfc3339_micros(time).to_string()
}

/// Numbers in a row: `7,8`.
pub(crate) fn numbers(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_have_names_both_ways() {
        for (number, name) in PROTOCOLS {
            assert_eq!(protocol(number), name);
            assert_eq!(parse_protocol(name), Ok(number));
        }
        assert_eq!(protocol(89), "89");
        assert_eq!(parse_protocol("89"), Ok(89));
        assert_eq!(parse_protocol("ICMPv6"), Ok(58));
        assert!(parse_protocol("256").is_err());
        assert!(parse_protocol("ospf").unwrap_err().contains("tcp"));
    }

    #[test]
    fn ages_are_short() {
        assert_eq!(age(0), "0s");
        assert_eq!(age(350), "350ms");
        assert_eq!(age(1_500), "1s");
        assert_eq!(age(90_500), "1m 30s");
        assert_eq!(age(3_840_000), "1h 4m");
    }

    #[test]
    fn a_time_is_utc_with_microseconds() {
        assert_eq!(time(1_714_564_800_000_001_999), "2024-05-01T12:00:00.000001Z");
        assert_eq!(time(u64::MAX), "2554-07-21T23:34:33.709551Z");
    }

    #[test]
    fn an_endpoint_of_ipv6_has_brackets() {
        assert_eq!(endpoint("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(endpoint("2001:db8::1", 80), "[2001:db8::1]:80");
        assert_eq!((nonzero(0), nonzero(5)), (String::new(), "5".to_owned()));
        assert_eq!(numbers(&[7, 8]), "7,8");
    }
}
