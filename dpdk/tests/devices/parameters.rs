//! Parameters that are refused: by the name of the field, before DPDK sees anything.

use dpdk::{Device, DeviceError, DeviceKind};
use proptest::prelude::*;

use crate::common::eal;

fn pcap(rx_file: Option<&str>, tx_file: Option<&str>) -> DeviceKind {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let (rx_file, tx_file) = (text(rx_file), text(tx_file));
    DeviceKind::Pcap { rx_file, tx_file, infinite_rx: false, rx_interface: None, tx_interface: None }
}

fn memif(socket: &str, secret: &str) -> DeviceKind {
    DeviceKind::Memif { id: 0, server: true, socket: socket.to_owned(), secret: secret.to_owned() }
}

/// Each text parameter, made from one text.
fn all_kinds(text: &str) -> Vec<(&'static str, DeviceKind)> {
    let own = || text.to_owned();
    let interfaces = |rx: Option<String>, tx: Option<String>| DeviceKind::Pcap {
        rx_file: None,
        tx_file: None,
        infinite_rx: false,
        rx_interface: rx,
        tx_interface: tx,
    };
    vec![
        ("pcap.rx_file", pcap(Some(text), None)),
        ("pcap.tx_file", pcap(None, Some(text))),
        ("pcap.rx_interface", interfaces(Some(own()), None)),
        ("pcap.tx_interface", interfaces(None, Some(own()))),
        ("tap.name", DeviceKind::Tap { name: own(), persist: false }),
        ("af_packet.interface", DeviceKind::AfPacket { interface: own() }),
        ("af_xdp.interface", DeviceKind::AfXdp { interface: own(), force_copy: false }),
        ("memif.socket", memif(text, "")),
        ("vhost_user.socket", DeviceKind::VhostUser { socket: own(), server: false }),
        ("virtio_user.socket", DeviceKind::VirtioUser { socket: own(), server: false }),
        ("ring.name", DeviceKind::Ring { name: own() }),
    ]
}

fn refused(device: &Device) -> Option<&'static str> {
    match eal().attach(device) {
        Err(DeviceError::Invalid { field, .. }) => Some(field),
        _ => None,
    }
}

#[test]
fn text_that_means_something_to_dpdk_is_refused_by_field() {
    for text in [
        "",
        "a,b",
        "/a,queues=9",
        "/a=b",
        "/a[0-3]",
        "a(b)",
        "/a\0b",
        "/a b",
        "/a\nb",
        "/ä",
        "/a;b",
        "/a\\b",
        "/a\"b",
        "/a'b",
    ] {
        for (field, kind) in all_kinds(text) {
            assert_eq!(refused(&Device::new(kind)), Some(field), "{text:?}");
        }
    }
    for (field, kind) in all_kinds(&"x".repeat(2000)) {
        assert_eq!(refused(&Device::new(kind)), Some(field), "too long");
    }
    for secret in ["a,role=client", "a=b", &"s".repeat(24), "a b"] {
        assert_eq!(refused(&Device::new(memif("/tmp/m", secret))), Some("memif.secret"), "{secret}");
    }
}

#[test]
fn paths_are_absolute_and_do_not_climb() {
    for path in ["relative", "./here", "/tmp/../etc/passwd", "/tmp/", "/"] {
        for (field, kind) in [("pcap.rx_file", pcap(Some(path), None)), ("memif.socket", memif(path, ""))] {
            assert_eq!(refused(&Device::new(kind)), Some(field), "{path}");
        }
    }
    let longest = format!("/{}", "s".repeat(107));
    assert_eq!(refused(&Device::new(memif(&longest, ""))), Some("memif.socket"), "sun_path has room for 107");
}

#[test]
fn interface_names_fit_into_the_kernel() {
    for name in ["sixteen-bytes-00", ".", "..", "a/b"] {
        let kind = DeviceKind::Tap { name: name.to_owned(), persist: false };
        assert_eq!(refused(&Device::new(kind)), Some("tap.name"), "{name}");
    }
}

#[test]
fn combinations_that_cannot_be_are_refused() {
    let both =
        |rx_file: Option<&str>, rx: Option<&str>, tx_file: Option<&str>, tx: Option<&str>, infinite_rx| {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let (rx_file, tx_file) = (own(rx_file), own(tx_file));
            let (rx_interface, tx_interface) = (own(rx), own(tx));
            Device::new(DeviceKind::Pcap { rx_file, tx_file, infinite_rx, rx_interface, tx_interface })
        };
    assert_eq!(refused(&both(Some("/a"), Some("b"), None, None, false)), Some("pcap.rx_interface"));
    assert_eq!(refused(&both(None, None, Some("/a"), Some("b"), false)), Some("pcap.tx_interface"));
    assert_eq!(refused(&both(None, None, Some("/a"), None, true)), Some("pcap.infinite_rx"));
    for (kind, most) in [
        (pcap(None, None), 1),
        (DeviceKind::Ring { name: "r".to_owned() }, 16),
        (DeviceKind::Null { generate: false }, 64),
    ] {
        for queues in [0, most + 1, u16::MAX] {
            assert_eq!(refused(&Device { kind: kind.clone(), queues }), Some("queues"), "{kind:?} {queues}");
        }
        assert!(Device { kind, queues: most }.validate().is_ok());
    }
}

#[test]
fn what_is_missing_is_named() {
    for (device, expected) in [
        (pcap(Some("/nowhere/in.pcap"), None), "pcap.rx_file: /nowhere/in.pcap: No such file or directory"),
        (pcap(Some("/tmp"), None), "pcap.rx_file: /tmp: is not a file"),
        (pcap(None, Some("/nowhere/out.pcap")), "pcap.tx_file: there is no directory /nowhere"),
    ] {
        let error = eal().attach(&Device::new(device)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("garbage");
    std::fs::write(&garbage, "this is not a capture file").unwrap();
    let error = eal().attach(&Device::new(pcap(garbage.to_str(), None))).unwrap_err();
    assert!(matches!(error, DeviceError::Attach { .. }), "{error}");
    assert!(error.to_string().contains("garbage"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn accepted_text_has_nothing_that_dpdk_would_split_at(text in "[ -~]{0,30}|/[a-z,=\\[\\]()./]{1,20}") {
        for (_, kind) in all_kinds(&text) {
            if Device::new(kind).validate().is_ok() {
                prop_assert!(!text.contains([',', '=', '[', ']', '(', ')', ' ', '"', '\'', '\\', ';', ':']), "{}", text);
            }
        }
    }
}
