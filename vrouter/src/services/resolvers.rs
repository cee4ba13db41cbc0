//! Resolvers: how they are written, and which ones the node itself has.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

const DNS_PORT: u16 = 53;
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// More are not used by the node's own resolver library either (MAXNS, resolv.conf(5)).
const MOST: usize = 3;

/// Reads `192.0.2.53`, `192.0.2.53:5353` or `[2001:db8::53]:5353`. Loopback will do: it is the node's own.
///
/// # Errors
/// What is wrong with the text, in one sentence.
pub fn resolver(text: &str) -> Result<SocketAddr, String> {
    let plain = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
    let address = plain.or_else(|_| text.parse::<SocketAddr>());
    let address = address.map_err(|_| format!("{text:?} is no address or address:port of a resolver"))?;
    if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
        return Err(format!("{text} is not the address of one resolver"));
    }
    Ok(address)
}

/// The resolvers that the node itself uses; none if it does not say.
#[must_use]
pub fn of_this_node() -> Vec<SocketAddr> {
    read(Path::new(RESOLV_CONF))
}

fn read(path: &Path) -> Vec<SocketAddr> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            tracing::info!(path = %path.display(), %error, "the node names no resolvers");
            return Vec::new();
        }
    };
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    });
    named.filter_map(|text| resolver(text).ok()).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_is_an_address_with_or_without_a_port() {
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("127.0.0.53:5353", "127.0.0.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(resolver(text).unwrap().to_string(), expected);
        }
        for bad in ["", "localhost", "0.0.0.0", "224.0.0.251", "192.0.2.53:0", "192.0.2.53:x", "::"] {
            assert!(resolver(bad).unwrap_err().contains("resolver"), "{bad}");
        }
    }

    #[test]
    fn the_nodes_own_resolvers_are_those_of_resolv_conf() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "# nameserver 1.1.1.1\nsearch example.com\nnameserver 192.0.2.1\n\
                    nameserver fe80::1%eth0\nnameserver\t192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n";
        std::fs::write(file.path(), text).unwrap();
        let found: Vec<String> = read(file.path()).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]);
        assert_eq!(read(Path::new("/nonexistent")), []);
    }
}
