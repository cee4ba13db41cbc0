//! A flooder harms itself only.

use super::{drops, node, send, syn, udp, workload};

const REMOTE: &str = r#"
- next_hop: {id: 100, discard: {}}
"#;

#[test]
fn a_syn_flood_over_the_interface_limit_costs_the_flooder_only() {
    let objects = workload(2, "10.1.1.3", ", flow_limit: 1000")
        + &workload(3, "10.1.1.4", "")
        + &workload(4, "10.1.1.5", "")
        + REMOTE;
    let mut node = node(20_000, &objects);
    // Established conversations of the flooder and of its neighbour.
    let pair = |id: u8, from: [u8; 4], n: u16| {
        (udp(id, from, [10, 1, 1, 5], (20_000 + n, 53)), udp(4, [10, 1, 1, 5], from, (53, 20_000 + n)))
    };
    let mut established = Vec::new();
    for n in 0..100 {
        for (id, from) in [(2, [10, 1, 1, 3]), (3, [10, 1, 1, 4])] {
            let (there, back) = pair(id, from, n);
            assert_eq!(send(&mut node, id.into(), std::slice::from_ref(&there)).len(), 1);
            assert_eq!(send(&mut node, 4, std::slice::from_ref(&back)).len(), 1);
            established.push((id, there, back));
        }
    }
    // Ten times the limit, to many addresses of one workload's ports; the neighbour opens flows all the while.
    let mut opened = 0;
    for n in 0..10_000_u32 {
        let ports = (1024 + (n % 50_000) as u16, 80 + (n / 50_000) as u16);
        send(&mut node, 2, &[syn(2, [10, 1, 1, 3], [10, 1, 1, 5], ports)]);
        if n % 10 == 0 {
            let frame = syn(3, [10, 1, 1, 4], [10, 1, 1, 5], (2000 + (n / 10) as u16, 443));
            opened += send(&mut node, 3, &[frame]).len();
        }
        if n % 100 == 0 {
            for (id, there, back) in &established {
                assert_eq!(send(&mut node, (*id).into(), std::slice::from_ref(there)).len(), 1, "at {n}");
                assert_eq!(send(&mut node, 4, std::slice::from_ref(back)).len(), 1, "at {n}");
            }
        }
    }
    assert_eq!(opened, 1000, "the neighbour's new flows all pass");
    assert!(node.flows().sessions_of(packet::InterfaceId(2)) <= 1000);
    let refused = drops(&node, "flow_limit_interface");
    assert!(refused > 0, "new flows beyond the limit are refused by name");
    assert_eq!(node.accounting().dropped, refused, "and nothing else is dropped");
}
