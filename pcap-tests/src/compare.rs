//! Do the frames that came out equal the frames that were expected? Byte for byte, but for what no author can
//! know: the entropy source port of a tunnel packet, and the identification of an outer packet without DF.

use std::collections::BTreeMap;

use crate::decode;

/// What an expected frame writes where a tunnel's entropy source port stands.
pub const ENTROPY: u16 = 49152;

const TUNNEL_PORTS: [u16; 2] = [6635, 4789];
const ETHERNET: usize = 14;
const UDP: u8 = 17;

/// Compares the frames of one interface, in order. `entropy`: a name per expected frame, or none; frames of one
/// name must share their source port, frames of two names must not. Returns one text per difference.
#[must_use]
pub fn frames(
    interface: &str,
    expected: &[Vec<u8>],
    actual: &[Vec<u8>],
    entropy: &[Option<String>],
) -> Vec<String> {
    let mut differences = Vec::new();
    let mut ports: Vec<Option<u16>> = Vec::new();
    let mut identification = None;
    for (index, wanted) in expected.iter().enumerate() {
        let Some(got) = actual.get(index) else {
            differences.push(format!("{interface} frame {index} is missing: {}", decode::summary(wanted)));
            continue;
        };
        let mut got = got.clone();
        let free = settle_freedoms(wanted, &mut got);
        ports.push(free.port);
        if free.later_fragment && free.identification != identification {
            differences
                .push(format!("{interface} frame {index}: not the identification of the fragment before it"));
        }
        identification = free.identification;
        if *wanted != got {
            let lines = fields(wanted, &got).join("\n    ");
            differences.push(format!("{interface} frame {index}: {}\n    {lines}", decode::summary(wanted)));
        }
    }
    for (index, extra) in actual.iter().enumerate().skip(expected.len()) {
        differences.push(format!("{interface} frame {index} is unexpected: {}", decode::summary(extra)));
    }
    differences.extend(entropy_differences(interface, entropy, &ports));
    differences
}

fn entropy_differences(interface: &str, names: &[Option<String>], ports: &[Option<u16>]) -> Vec<String> {
    let mut differences = Vec::new();
    let mut port_of = BTreeMap::new();
    for (index, (name, port)) in names.iter().zip(ports).enumerate() {
        let (Some(name), Some(port)) = (name, port) else { continue };
        let first = *port_of.entry(name).or_insert(*port);
        if first != *port {
            differences.push(format!(
                "{interface} frame {index}: source port {port}, but its flow ({name}) had {first}"
            ));
        }
    }
    let mut used = BTreeMap::new();
    for (name, port) in port_of {
        if let Some(other) = used.insert(port, name) {
            differences.push(format!("{interface}: flows {other} and {name} share source port {port}"));
        }
    }
    differences
}

/// What was free in a frame, as found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Freedom {
    port: Option<u16>,
    identification: Option<u16>,
    later_fragment: bool,
}

/// Where the outer headers of an expected frame lie.
struct Outer {
    ipv4: bool,
    udp: Option<usize>,
}

/// Puts the expected values where `expected` leaves `actual` free, checksums included, so that what remains can
/// be compared byte for byte.
fn settle_freedoms(expected: &[u8], actual: &mut [u8]) -> Freedom {
    let mut free = Freedom::default();
    let Some(outer) = outer(expected) else { return free };
    if outer.ipv4 && without_df_and_identification(expected) && actual.len() >= ETHERNET + 20 {
        let found = replace(actual, ETHERNET + 4, 0, ETHERNET + 10);
        free.identification = found;
        free.later_fragment = word(expected, ETHERNET + 6).is_some_and(|flags| flags & 0x1fff != 0);
    }
    let Some(udp) = outer.udp else { return free };
    let tunnel = word(expected, udp + 2).is_some_and(|port| TUNNEL_PORTS.contains(&port));
    if tunnel && word(expected, udp) == Some(ENTROPY) && word(actual, udp).is_some_and(|port| port >= ENTROPY)
    {
        free.port = if word(actual, udp + 6) == Some(0) {
            let found = word(actual, udp);
            put(actual, udp, ENTROPY);
            found
        } else {
            replace(actual, udp, ENTROPY, udp + 6)
        };
    }
    free
}

fn outer(frame: &[u8]) -> Option<Outer> {
    match word(frame, 12)? {
        0x0800 => {
            let header = usize::from(frame.get(ETHERNET)? & 15) * 4;
            let first = word(frame, ETHERNET + 6)? & 0x1fff == 0;
            let udp = (*frame.get(ETHERNET + 9)? == UDP && first).then_some(ETHERNET + header);
            Some(Outer { ipv4: true, udp })
        }
        0x86dd => {
            let udp = (*frame.get(ETHERNET + 6)? == UDP).then_some(ETHERNET + 40);
            Some(Outer { ipv4: false, udp })
        }
        _ => None,
    }
}

fn without_df_and_identification(frame: &[u8]) -> bool {
    word(frame, ETHERNET + 4) == Some(0) && word(frame, ETHERNET + 6).is_some_and(|flags| flags & 0x4000 == 0)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// Replaces a word and carries the change into the checksum at `checksum` (RFC 1624); returns the old word.
fn replace(bytes: &mut [u8], at: usize, new: u16, checksum: usize) -> Option<u16> {
    let (old, sum) = (word(bytes, at)?, word(bytes, checksum)?);
    let mut total = u32::from(!sum) + u32::from(!old) + u32::from(new);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    put(bytes, at, new);
    #[allow(clippy::cast_possible_truncation, reason = "folded to 16 bits above")]
    put(bytes, checksum, !(total as u16));
    Some(old)
}

/// One line per field in which two frames differ.
#[must_use]
pub fn fields(expected: &[u8], actual: &[u8]) -> Vec<String> {
    let wanted = decode::decode(expected);
    let got: BTreeMap<_, _> = decode::decode(actual).into_iter().collect();
    let named: BTreeMap<_, _> = wanted.iter().cloned().collect();
    let mut lines: Vec<_> = wanted
        .iter()
        .filter_map(|(path, value)| match got.get(path) {
            None => Some(format!("{path}: expected {value}, but there is none")),
            Some(other) if path.ends_with(".bytes") && other != value => Some(bytes_line(path, value, other)),
            Some(other) if other != value => Some(format!("{path}: expected {value}, got {other}")),
            Some(_) => None,
        })
        .collect();
    lines.extend(
        got.iter()
            .filter(|(path, _)| !named.contains_key(*path))
            .map(|(path, value)| format!("{path}: not expected, got {value}")),
    );
    if lines.is_empty() && expected != actual {
        let at = expected.iter().zip(actual).take_while(|(a, b)| a == b).count();
        lines.push(format!("byte {at}: expected {:?}, got {:?}", expected.get(at), actual.get(at)));
    }
    lines
}

/// Where two payloads (in hex) part.
fn bytes_line(path: &str, expected: &str, actual: &str) -> String {
    let at = expected.bytes().zip(actual.bytes()).take_while(|(a, b)| a == b).count() / 2;
    let part = |hex: &str| hex.get(at * 2..).unwrap_or_default().chars().take(16).collect::<String>();
    format!("{path}: from byte {at} on expected {}…, got {}…", part(expected), part(actual))
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const MPLS: [u8; 4] = [0x00, 0x02, 0x81, 0x3f]; // label 40, last, TTL 63

    /// A workload's packet, by default one that looks like a tunnel's itself.
    fn inner(port: u16) -> Vec<u8> {
        let mut packet = Vec::new();
        let builder = PacketBuilder::ipv4([10, 1, 1, 3], [10, 1, 2, 7], 63).udp(49152, port);
        builder.write(&mut packet, b"workload").unwrap();
        packet
    }

    /// A tunnel packet; IPv6 with a checksum.
    fn tunnel(port: u16, ipv6: bool) -> Vec<u8> {
        tunnel_of(port, ipv6, &inner(6635))
    }

    fn tunnel_of(port: u16, ipv6: bool, inner: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let payload = [&MPLS[..], inner].concat();
        let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
        if ipv6 {
            ethernet.ipv6([1; 16], [2; 16], 64).udp(port, 6635).write(&mut frame, &payload).unwrap();
        } else {
            ethernet
                .ipv4([10, 1, 0, 66], [10, 1, 0, 194], 64)
                .udp(port, 6635)
                .write(&mut frame, &payload)
                .unwrap();
            put(&mut frame, ETHERNET + 20 + 6, 0);
        }
        frame
    }

    fn names(list: &[&str]) -> Vec<Option<String>> {
        list.iter().map(|name| (!name.is_empty()).then(|| (*name).to_owned())).collect()
    }

    #[test]
    fn equal_frames_have_no_difference() {
        let frame = tunnel(ENTROPY, false);
        assert!(frames("fabric", std::slice::from_ref(&frame), std::slice::from_ref(&frame), &[]).is_empty());
    }

    #[test]
    fn any_entropy_port_will_do_with_and_without_checksum() {
        for ipv6 in [false, true] {
            for port in [49152, 49153, 55555, 65535] {
                let (expected, actual) = (tunnel(ENTROPY, ipv6), tunnel(port, ipv6));
                assert_eq!(frames("fabric", &[expected], &[actual], &[]), [""; 0], "port {port} ipv6 {ipv6}");
            }
        }
    }

    #[test]
    fn a_port_below_the_dynamic_range_is_a_difference() {
        let differences = frames("fabric", &[tunnel(ENTROPY, false)], &[tunnel(49151, false)], &[]);
        assert!(differences[0].contains("udp.source_port: expected 49152, got 49151"), "{differences:?}");
    }

    #[test]
    fn a_wrong_outer_checksum_is_not_settled_away() {
        let mut actual = tunnel(50000, true);
        let at = ETHERNET + 40 + 6;
        let sum = word(&actual, at).unwrap();
        put(&mut actual, at, sum ^ 0x0100);
        let differences = frames("fabric", &[tunnel(ENTROPY, true)], &[actual], &[]);
        assert!(differences[0].contains("udp.checksum"), "{differences:?}");
    }

    #[test]
    fn a_checksum_where_none_is_expected_is_a_difference() {
        let mut actual = tunnel(50000, false);
        put(&mut actual, ETHERNET + 20 + 6, 0x1234);
        let differences = frames("fabric", &[tunnel(ENTROPY, false)], &[actual], &[]);
        assert!(differences[0].contains("udp.checksum: expected 0x0000"), "{differences:?}");
    }

    #[test]
    fn only_the_outer_port_is_free() {
        let mut actual = tunnel(ENTROPY, false);
        let inner_port = ETHERNET + 20 + 8 + 4 + 20;
        assert_eq!(word(&actual, inner_port), Some(49152));
        put(&mut actual, inner_port, 50000);
        let differences = frames("fabric", &[tunnel(ENTROPY, false)], &[actual], &[]);
        assert!(differences[0].contains("udp#2.source_port: expected 49152, got 50000"), "{differences:?}");
    }

    #[test]
    fn a_workloads_own_port_is_not_free() {
        let frame = |port| {
            let mut frame = Vec::new();
            let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([1; 4], [2; 4], 64).udp(port, 53);
            builder.write(&mut frame, b"x").unwrap();
            frame
        };
        assert_eq!(frames("vm1", &[frame(49152)], &[frame(50000)], &[]).len(), 1);
    }

    #[test]
    fn frames_of_one_flow_share_a_port_and_two_flows_do_not() {
        let expected = vec![tunnel(ENTROPY, false); 3];
        let actual = |a, b, c| [tunnel(a, false), tunnel(b, false), tunnel(c, false)];
        let names = names(&["a", "", "a"]);
        assert!(frames("fabric", &expected, &actual(50001, 50002, 50001), &names).is_empty());
        assert_eq!(
            frames("fabric", &expected, &actual(50001, 50001, 50003), &names),
            ["fabric frame 2: source port 50003, but its flow (a) had 50001"]
        );
        let names = self::names(&["a", "b", "a"]);
        assert!(frames("fabric", &expected, &actual(50001, 50002, 50001), &names).is_empty());
        assert_eq!(
            frames("fabric", &expected, &actual(50001, 50001, 50001), &names),
            ["fabric: flows a and b share source port 50001"]
        );
    }

    #[test]
    fn the_identification_is_free_only_without_df() {
        let with = |identification, df: bool| {
            let mut frame = tunnel(ENTROPY, false);
            put(&mut frame, ETHERNET + 6, if df { 0x4000 } else { 0 });
            put(&mut frame, ETHERNET + 10, 0);
            put(&mut frame, ETHERNET + 4, identification);
            let sum = etherparse::Ipv4HeaderSlice::from_slice(&frame[ETHERNET..])
                .unwrap()
                .to_header()
                .calc_header_checksum();
            put(&mut frame, ETHERNET + 10, sum);
            frame
        };
        assert!(frames("fabric", &[with(0, false)], &[with(77, false)], &[]).is_empty());
        assert_eq!(frames("fabric", &[with(0, true)], &[with(77, true)], &[]).len(), 1);
        assert_eq!(frames("fabric", &[with(5, false)], &[with(77, false)], &[]).len(), 1);
    }

    #[test]
    fn outer_fragments_share_their_identification() {
        let fragment = |identification: u16, offset: u16| {
            let mut frame = tunnel(ENTROPY, false);
            put(&mut frame, ETHERNET + 6, offset | if offset == 0 { 0x2000 } else { 0 });
            replace(&mut frame, ETHERNET + 4, identification, ETHERNET + 10);
            frame
        };
        let expected = [fragment(0, 0), fragment(0, 5)];
        assert!(frames("fabric", &expected, &[fragment(9, 0), fragment(9, 5)], &[]).is_empty());
        assert_eq!(
            frames("fabric", &expected, &[fragment(9, 0), fragment(8, 5)], &[]),
            ["fabric frame 1: not the identification of the fragment before it"]
        );
    }

    #[test]
    fn missing_and_unexpected_frames_are_named_with_their_content() {
        let frame = tunnel(ENTROPY, false);
        let missing = frames("fabric", std::slice::from_ref(&frame), &[], &[]);
        assert!(
            missing[0].starts_with("fabric frame 0 is missing: ") && missing[0].contains("mpls 40"),
            "{missing:?}"
        );
        let extra = frames("fabric", &[], &[frame], &[]);
        assert!(extra[0].starts_with("fabric frame 0 is unexpected: "), "{extra:?}");
    }

    #[test]
    fn each_differing_field_has_its_line() {
        let expected = tunnel_of(ENTROPY, false, &inner(53));
        let mut actual = expected.clone();
        actual[ETHERNET + 20 + 8 + 3] = 62; // the label's TTL
        let end = actual.len() - 1;
        actual[end] = b'X';
        let lines = fields(&expected, &actual);
        assert_eq!(
            lines,
            ["mpls.ttl: expected 63, got 62", "payload.bytes: from byte 7 on expected 64…, got 58…"]
        );
    }

    #[test]
    fn a_difference_outside_all_fields_is_found_too() {
        let mut padded = tunnel(ENTROPY, false);
        padded.push(0);
        assert_eq!(fields(&tunnel(ENTROPY, false), &padded), ["frame.length: expected 82, got 83"]);
        let mut other = padded.clone();
        *other.last_mut().unwrap() = 1;
        assert_eq!(fields(&padded, &other), ["byte 82: expected Some(0), got Some(1)"]);
    }

    #[test]
    fn rubbish_is_compared_too() {
        assert_eq!(frames("vm1", &[vec![1, 2, 3]], &[vec![1, 2, 4]], &[]).len(), 1);
        assert!(frames("vm1", &[vec![1, 2, 3]], &[vec![1, 2, 3]], &[]).is_empty());
        assert_eq!(frames("vm1", &[tunnel(ENTROPY, false)], &[vec![]], &[]).len(), 1);
    }
}
