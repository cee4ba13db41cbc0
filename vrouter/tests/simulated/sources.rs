//! What a workload may not send is not sent for it, in packet mode as little as with sessions (SEMANTICS 9).

use super::{drops, node, put, send, udp, workload};

#[test]
fn nothing_is_sent_from_no_address_for_a_workload_without_addresses_of_the_family() {
    let silent = workload(2, "10.1.1.3", "")
        .replace("addresses: [\"10.1.1.3\"]", "addresses: [\"2001:db8:1::3\"]")
        .replace("policy: true", "policy: false");
    let mut node = node(10, &silent);
    put(&mut node, &workload(3, "10.1.1.4", "").replace("policy: true", "policy: false"));
    let out = send(&mut node, 2, &[udp(2, [0; 4], [10, 1, 1, 4], (4000, 5000))]);
    assert!(out.is_empty(), "{out:?}");
    assert_eq!(drops(&node, "invalid_address"), 1);
}
