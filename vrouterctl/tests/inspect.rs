//! `explain`, `watch`, `drops`, `packet-in`, `packet-out`, `version` and `completion`.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod mock;

use std::{fs::File, time::Duration};

use mock::{Mock, golden, vrouterctl};
use pcap_file::pcap::{PcapPacket, PcapWriter};

const SKETCH: [&str; 5] = ["explain", "--src", "10.1.1.3", "--dst", "10.1.2.4"];

#[test]
fn an_explanation_is_told_stage_by_stage() {
    let mock = Mock::with_fixture();
    let ask = |more: &[&str]| mock.ok(&[&SKETCH[..], more].concat());
    golden("explain", &ask(&["--interface", "vm1", "--dport", "25"]));
    golden("explain-wide", &ask(&["--interface", "vm1", "-o", "wide"]));
    golden("explain-json", &ask(&["--interface", "vm1", "-o", "json"]));
    golden("explain-dropped", &ask(&["--interface", "3", "--proto", "udp"]));
}

#[test]
fn a_packet_is_sketched_given_in_hex_or_taken_from_a_file() {
    let mock = Mock::with_fixture();
    let request = |arguments: &[&str]| {
        mock.ok(&[&["explain", "-i", "2", "-o", "json"], arguments].concat());
        mock.state().requests.pop().unwrap()
    };
    assert_eq!(
        request(&[
            "--src",
            "10.1.1.3",
            "--dst",
            "10.1.2.4",
            "--sport",
            "4000",
            "--dport",
            "25",
            "--tcp-flags",
            "16"
        ]),
        "ExplainRequest { interface: 2, packet: [], sketch: Some(PacketSketch { source: \"10.1.1.3\", \
         destination: \"10.1.2.4\", protocol: 6, source_port: 4000, destination_port: 25, tcp_flags: 16, \
         icmp_type: 0, icmp_code: 0 }) }"
    );
    assert!(
        request(&["--src", "10.1.1.3", "--dst", "10.1.2.4", "--proto", "icmp"]).contains("icmp_type: 8,")
    );
    assert!(
        request(&["--src", "2001:db8::1", "--dst", "2001:db8::2", "--proto", "icmp6"])
            .contains("icmp_type: 128,")
    );
    let unreachable =
        ["--src", "10.1.1.3", "--dst", "10.1.2.4", "--proto", "icmp", "--icmp-type", "3", "--icmp-code", "4"];
    assert!(request(&unreachable).contains("icmp_type: 3, icmp_code: 4"));
    assert_eq!(
        request(&["--hex", "02:00 0a"]),
        "ExplainRequest { interface: 2, packet: [2, 0, 10], sketch: None }"
    );

    let path = mock.directory.path().join("in.pcap");
    let mut writer = PcapWriter::new(File::create(&path).unwrap()).unwrap();
    for byte in [1, 2] {
        writer.write_packet(&PcapPacket::new(Duration::ZERO, 2, &[byte; 2])).unwrap();
    }
    drop(writer);
    let frame = format!("{}#2", path.display());
    assert_eq!(request(&["--pcap", &frame]), "ExplainRequest { interface: 2, packet: [2, 2], sketch: None }");
}

#[test]
fn an_explanation_that_cannot_be_asked_for_is_refused() {
    let mock = Mock::with_fixture();
    for arguments in [
        &["explain", "-i", "2"][..],
        &["explain", "-i", "2", "--src", "10.0.0.1"],
        &["explain", "-i", "2", "--src", "10.0.0.1", "--dst", "::1"],
        &["explain", "-i", "2", "--src", "10.0.0.1", "--dst", "10.0.0.2", "--hex", "00"],
        &["explain", "-i", "2", "--src", "10.0.0.1", "--dst", "10.0.0.2", "--proto", "ospf"],
        &["explain", "-i", "2", "--hex", "0"],
        &["explain", "-i", "2", "--pcap", "a#0"],
        &["explain", "--hex", "00"],
    ] {
        assert_eq!(mock.refused(arguments).0, 2, "{arguments:?}");
    }
    assert_eq!(
        mock.refused(&["explain", "-i", "77", "--hex", "00"]),
        (1, "vrouterctl: there is no interface 77 (NOT_FOUND)\n".into())
    );
    assert_eq!(mock.refused(&["explain", "-i", "vm9", "--hex", "00"]).0, 1);
    assert_eq!(mock.refused(&["explain", "-i", "2", "--pcap", "/nonexistent#1"]).0, 1);
}

#[test]
fn events_are_told_one_in_a_line() {
    let mock = Mock::with_fixture();
    golden("watch", &mock.ok(&["watch", "-n", "9"]));
    assert_eq!(
        mock.state().requests.pop().unwrap(),
        "WatchRequest { objects: false, interfaces: false, neighbours: false, flows: false, policy_log: false }"
    );
    golden("watch-json", &mock.ok(&["watch", "objects", "flows", "--count", "9", "-o", "json"]));
    assert_eq!(
        mock.state().requests.pop().unwrap(),
        "WatchRequest { objects: true, interfaces: false, neighbours: false, flows: true, policy_log: false }"
    );
    assert!(
        mock.ok(&["watch", "interfaces", "neighbours", "-n", "1", "-o", "yaml"])
            .starts_with("---\ntime_ns: ")
    );
    assert_eq!(mock.refused(&["watch", "routes"]).0, 2);
}

#[test]
fn a_stream_that_the_vrouter_ends_is_no_success() {
    let mock = Mock::with_fixture();
    for arguments in [&["watch"][..], &["watch", "-n", "10"], &["packet-in"], &["packet-in", "-n", "3"]] {
        let output = mock.run(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert_eq!(mock::text(&output.stderr), "vrouterctl: the vRouter ended the stream\n");
    }
}

#[test]
fn dropped_packets_are_told_with_their_reason() {
    let mock = Mock::with_fixture();
    golden("drops", &mock.ok(&["drops"]));
    golden("drops-wide", &mock.ok(&["drops", "-o", "wide"]));
    golden(
        "drops-json",
        &mock.ok(&["drops", "-o", "json", "--reason", "security_group", "--interface", "vm1"]),
    );
    assert_eq!(
        mock.state().requests.pop().unwrap(),
        r#"ListDropsRequest { reason: "security_group", interface: Some(2) }"#
    );
}

#[test]
fn punted_packets_are_printed() {
    let mock = Mock::with_fixture();
    golden("packet-in", &mock.ok(&["packet-in", "-n", "2"]));
    golden(
        "packet-in-wide",
        &mock.ok(&["packet-in", "-n", "1", "-o", "wide", "--class", "dhcp", "--class", "arp"]),
    );
    assert_eq!(mock.state().requests.pop().unwrap(), r#"PacketInRequest { classes: ["dhcp", "arp"] }"#);
    assert_eq!(mock.ok(&["packet-in", "-n", "2", "-o", "json"]).lines().count(), 2);
}

#[test]
fn a_packet_is_sent() {
    let mock = Mock::with_fixture();
    let hex = "00005e000100 020000000001 88b5 0102";
    assert_eq!(
        mock.ok(&["packet-out", "-i", "vm1", "--hex", hex]),
        "sent on interface vm1: ethertype 0x88b5\n"
    );
    let sent = mock.state().requests.pop().unwrap();
    assert!(
        sent.starts_with("PacketOutMessage { interface: 2,") && sent.ends_with("ingress: false }"),
        "{sent}"
    );
    assert_eq!(
        mock.ok(&["packet-out", "-i", "2", "--ingress", "--hex", hex]),
        "taken as received on interface 2: ethertype 0x88b5\n"
    );
    assert!(mock.state().requests.pop().unwrap().ends_with("ingress: true }"));
    assert_eq!(
        mock.refused(&["packet-out", "-i", "9", "--hex", hex]),
        (1, "vrouterctl: the vRouter refused the packet: ethertype 0x88b5\n".into())
    );
    assert_eq!(mock.refused(&["packet-out", "-i", "2"]).0, 2);
    assert_eq!(mock.refused(&["packet-out", "-i", "2", "--hex", "zz"]).0, 2);
}

#[test]
fn both_versions_are_told() {
    let mock = Mock::empty();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        mock.ok(&["version"]),
        format!(
            "vrouterctl {version} (vrouter.v1)\nvrouterd 0.1.0 (vrouter.v1), DPDK 22.11.11, generation 17\n"
        )
    );
}

#[test]
fn completion_needs_no_vrouter() {
    for shell in ["bash", "zsh", "fish"] {
        let output = vrouterctl(&["completion", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let script = mock::text(&output.stdout);
        assert!(script.contains("vrouterctl") && script.contains("next-hop"), "{shell}");
    }
    assert_eq!(vrouterctl(&["completion", "cmd"]).output().unwrap().status.code(), Some(2));
}
