//! `Stats`, `Explain`, `ListFlows`, `ListNeighbours`, `ListDrops`, `GetVersion`.

use agent_api::v1;
use flow::{FlowKey, NewHalf, NewSession, Scope, timeouts::Ticks};
use packet::{DropReason, InterfaceId, WorkerId};
use tonic::Code;
use vrouter::{control::WorkerEvent, datapath::DropSample};

use super::Server;

#[tokio::test(flavor = "multi_thread")]
async fn the_version_says_what_runs() {
    let (server, mut client) = Server::node().await;
    let version = client.0.get_version(v1::GetVersionRequest {}).await.unwrap().into_inner();
    assert_eq!((version.version.as_str(), version.api.as_str()), (env!("CARGO_PKG_VERSION"), "vrouter.v1"));
    assert_eq!(version.dpdk, "DPDK of the test");
    assert_eq!(version.generation, server.thread.as_ref().unwrap().handle().tables().generation);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_add_up_what_workers_count() {
    let (server, mut client) = Server::node().await;
    let tables = server.thread.as_ref().unwrap().handle().tables();
    let vm1 = tables.interface(InterfaceId(2)).unwrap().counters.worker(WorkerId(0));
    vm1.rx_packets.add(5);
    vm1.rx_bytes.add(500);
    vm1.drops[DropReason::NoRoute as usize].add(2);
    let counters = &server.bench.counters;
    counters.received.add(5);
    counters.sent.add(2);
    counters.drops[DropReason::NoRoute as usize].add(3);
    let stats = client.0.stats(v1::StatsRequest::default()).await.unwrap().into_inner();
    let accounting = stats.accounting.unwrap();
    assert_eq!((accounting.received, accounting.sent, accounting.dropped), (5, 2, 3));
    let row = stats.interfaces.iter().find(|row| row.interface == 2).unwrap();
    assert_eq!((row.name.as_str(), row.rx_packets, row.rx_bytes, row.dropped), ("vm1", 5, 500, 2));
    let drops: Vec<_> =
        stats.drops.iter().map(|drop| (drop.reason.as_str(), drop.interface, drop.packets)).collect();
    assert_eq!(drops, [("no_route", 2, 2), ("no_route", 0, 1)]);
    let worker = &stats.workers[0];
    assert_eq!((worker.core, worker.poll.as_str(), worker.queues.len()), (3, "adaptive", 1));
    let table = |name: &str| stats.tables.iter().find(|table| table.table == name).unwrap();
    assert_eq!((table("routes").entries, table("interfaces").entries), (4, 3));
    assert_eq!((table("sessions").capacity, table("neighbours").entries), (128, 1));

    let only = v1::StatsRequest { tables: true, ..v1::StatsRequest::default() };
    let stats = client.0.stats(only).await.unwrap().into_inner();
    assert!(stats.interfaces.is_empty() && stats.drops.is_empty() && !stats.tables.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_with_their_rule_and_filtered() {
    let (server, mut client) = Server::node().await;
    let ip = |d: u8| packet::meta::v4([10, 1, 2, d]);
    let slots = &mut server.bench.flows.worker::<()>(WorkerId(0)).unwrap();
    for n in 0..3_u8 {
        let key = |src, dst, from| FlowKey {
            src,
            dst,
            src_port: 4000 + u16::from(n),
            dst_port: 80,
            scope: if from {
                Scope::from_workload(InterfaceId(2))
            } else {
                Scope::to_workload(InterfaceId(2))
            },
            protocol: if n == 2 { 17 } else { 6 },
            v6: false,
        };
        let here = packet::meta::v4([10, 1, 1, 3]);
        let mut forward = NewHalf::untranslated(key(ip(n), here, false));
        forward.validated_at = 1;
        let reverse = FlowKey { src_port: 80, dst_port: 4000 + u16::from(n), ..key(here, ip(n), true) };
        let session = NewSession {
            forward,
            reverse: Some(NewHalf::untranslated(reverse)),
            rules: [0, 0xff_ffff, 0xff_ffff, 0xff_ffff].map(flow::policy::RuleSlot::new),
            binding: 0,
            limits: [0; 2],
            pinned: false,
        };
        server.bench.flows.insert(slots, &session, Ticks(10)).unwrap();
    }
    let list = async |client: &mut super::Client, request: v1::ListFlowsRequest| -> Vec<v1::FlowEntry> {
        let mut stream = client.0.list_flows(request).await.unwrap().into_inner();
        let mut flows = Vec::new();
        while let Some(response) = stream.message().await.unwrap() {
            flows.extend(response.flows);
        }
        flows
    };
    let all = list(&mut client, v1::ListFlowsRequest::default()).await;
    assert_eq!(all.len(), 3);
    let flow = all.iter().find(|flow| flow.forward.as_ref().unwrap().source == "10.1.2.1").unwrap();
    let forward = flow.forward.as_ref().unwrap();
    assert_eq!((forward.scope.as_str(), forward.interface, forward.vrf), ("to vm1", 2, 1));
    assert_eq!(
        (forward.destination.as_str(), forward.source_port, forward.destination_port),
        ("10.1.1.3", 4001, 80)
    );
    assert_eq!((flow.action.as_str(), flow.rule.as_str()), ("forward", "security_group 7 rule 1"));
    // What the rule has decided is counted when it is asked for.
    let half = server.bench.flows.sessions(None).next().unwrap().session.session.forward();
    server.bench.flows.half(half).account(Ticks(11), 100);
    let rules = client.entries(v1::Kind::SecurityGroup).await.remove(0).rules;
    assert_eq!(rules, [v1::RuleStats { rule: 1, flows: 1, packets: 1, bytes: 100 }]);
    for (request, expected) in [
        (v1::ListFlowsRequest { interface: Some(2), ..Default::default() }, 3),
        (v1::ListFlowsRequest { interface: Some(3), ..Default::default() }, 0),
        (v1::ListFlowsRequest { vrf: Some(1), ..Default::default() }, 3),
        (v1::ListFlowsRequest { vrf: Some(2), ..Default::default() }, 0),
        (v1::ListFlowsRequest { address: "10.1.2.2".into(), ..Default::default() }, 1),
        (v1::ListFlowsRequest { address: "2001:db8::1".into(), ..Default::default() }, 0),
        (v1::ListFlowsRequest { protocol: 17, ..Default::default() }, 1),
        (v1::ListFlowsRequest { port: Some(4001), ..Default::default() }, 1),
        (v1::ListFlowsRequest { limit: 2, ..Default::default() }, 2),
    ] {
        assert_eq!(list(&mut client, request.clone()).await.len(), expected, "{request:?}");
    }
    for request in [
        v1::ListFlowsRequest { interface: Some(70_000), ..Default::default() },
        v1::ListFlowsRequest { address: "x".into(), ..Default::default() },
        v1::ListFlowsRequest { protocol: 256, ..Default::default() },
    ] {
        assert_eq!(client.0.list_flows(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sketch_is_explained_as_the_packet_that_it_sketches() {
    let (_server, mut client) = Server::node().await;
    let sketch = v1::PacketSketch {
        source: "10.1.1.3".into(),
        destination: "10.9.9.9".into(),
        protocol: 17,
        source_port: 5000,
        destination_port: 53,
        ..v1::PacketSketch::default()
    };
    let request = v1::ExplainRequest { interface: 3, sketch: Some(sketch.clone()), ..Default::default() };
    let story = client.0.explain(request).await.unwrap().into_inner();
    assert_eq!((story.verdict.as_str(), story.reason.as_str()), ("dropped", "no_route"));
    assert!(!story.steps.is_empty());

    let bad = |field: &'static str, change: fn(&mut v1::PacketSketch)| {
        let mut sketch = sketch.clone();
        change(&mut sketch);
        (field, v1::ExplainRequest { interface: 3, sketch: Some(sketch), ..Default::default() })
    };
    for (field, request) in [
        bad("sketch.source", |sketch| sketch.source = "x".into()),
        bad("sketch.destination", |sketch| sketch.destination = "::1".into()),
        bad("sketch.protocol", |sketch| sketch.protocol = 256),
        bad("sketch.source_port", |sketch| sketch.source_port = 65_536),
        ("packet", v1::ExplainRequest { interface: 3, ..Default::default() }),
        ("interface", v1::ExplainRequest { interface: 77, packet: vec![0; 60], ..Default::default() }),
    ] {
        let status = client.0.explain(request).await.unwrap_err();
        assert!(status.message().starts_with(field), "{}", status.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sketch_is_a_packet_that_parses() {
    let (_server, mut client) = Server::node().await;
    for (protocol, v6) in
        [(6, false), (17, false), (1, false), (132, false), (47, false), (6, true), (17, true), (58, true)]
    {
        let (source, destination) =
            if v6 { ("2001:db8::3", "2001:db8::9") } else { ("10.1.1.3", "10.9.9.9") };
        let sketch = v1::PacketSketch {
            source: source.into(),
            destination: destination.into(),
            protocol,
            source_port: 5000,
            destination_port: 53,
            ..v1::PacketSketch::default()
        };
        let request = v1::ExplainRequest { interface: 3, sketch: Some(sketch), ..Default::default() };
        let story = client.0.explain(request).await.unwrap().into_inner();
        // IPv6 is not the workload's: that is seen behind the parser.
        let expected = if v6 { "invalid_source" } else { "no_route" };
        assert_eq!(
            (story.verdict.as_str(), story.reason.as_str()),
            ("dropped", expected),
            "protocol {protocol}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_are_listed_with_their_state() {
    let (server, mut client) = Server::node().await;
    let needed = packet::meta::v4([10, 1, 0, 77]);
    server.wire.events.lock().unwrap().push(WorkerEvent::NeighbourNeeded {
        interface: InterfaceId(1),
        v6: false,
        address: needed,
    });
    let found = loop {
        let mut stream =
            client.0.list_neighbours(v1::ListNeighboursRequest::default()).await.unwrap().into_inner();
        let found = stream.message().await.unwrap().unwrap().neighbours;
        if found.len() == 2 {
            break found;
        }
        tokio::task::yield_now().await;
    };
    let seen: Vec<_> = found.iter().map(|n| (n.interface, n.address.as_str(), n.state())).collect();
    assert_eq!(
        seen,
        [(1, "10.1.0.77", v1::NeighbourState::Incomplete), (1, "10.1.0.194", v1::NeighbourState::Incomplete)]
    );
    let sent = loop {
        let sent = server.wire.sent.lock().unwrap().clone();
        if sent.len() >= 2 {
            break sent;
        }
        tokio::task::yield_now().await;
    };
    assert!(sent.iter().all(|(interface, frame)| *interface == InterfaceId(1) && frame[12..14] == [8, 6]));
    let other = v1::ListNeighboursRequest { interface: Some(2) };
    assert!(client.0.list_neighbours(other).await.unwrap().into_inner().message().await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn sampled_drops_stay_in_the_ring_and_are_filtered() {
    let (server, mut client) = Server::node().await;
    let sample = |milliseconds, reason, interface| DropSample {
        milliseconds,
        reason,
        interface: InterfaceId(interface),
        length: 1500,
        kept: 60,
        head: [7; vrouter::datapath::SAMPLE_BYTES],
    };
    server
        .bench
        .samples
        .lock()
        .unwrap()
        .extend([sample(59_000, DropReason::NoRoute, 2), sample(58_000, DropReason::InvalidSource, 3)]);
    let list = async |client: &mut super::Client, request: v1::ListDropsRequest| -> Vec<v1::DropSample> {
        let mut stream = client.0.list_drops(request).await.unwrap().into_inner();
        let mut drops = Vec::new();
        while let Some(drop) = stream.message().await.unwrap() {
            drops.push(drop);
        }
        drops
    };
    for _ in 0..2 {
        let all = list(&mut client, v1::ListDropsRequest::default()).await;
        let seen: Vec<_> =
            all.iter().map(|d| (d.reason.as_str(), d.interface, d.length, d.head.len())).collect();
        assert_eq!(seen, [("invalid_source", 3, 1500, 60), ("no_route", 2, 1500, 60)], "oldest first");
        assert_eq!(all[1].time_ns - all[0].time_ns, 1_000_000_000);
    }
    let by_reason = v1::ListDropsRequest { reason: "no_route".into(), ..Default::default() };
    assert_eq!(list(&mut client, by_reason).await.len(), 1);
    let by_interface = v1::ListDropsRequest { interface: Some(3), ..Default::default() };
    assert_eq!(list(&mut client, by_interface).await[0].reason, "invalid_source");
    let unknown = v1::ListDropsRequest { reason: "bad_luck".into(), ..Default::default() };
    assert_eq!(client.0.list_drops(unknown).await.unwrap_err().code(), Code::InvalidArgument);
}
