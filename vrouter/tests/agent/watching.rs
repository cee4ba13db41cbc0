//! `Watch`.

use agent_api::v1::{self, watch_event::Event};
use flow::policy::RuleSlot;
use flow::{FlowKey, NewHalf, NewSession, RULES, Scope};
use packet::InterfaceId;
use vrouter::control::WorkerEvent;

use super::{Server, operation, puts};

async fn next(stream: &mut tonic::Streaming<v1::WatchEvent>) -> Event {
    let event = stream.message().await.unwrap().unwrap();
    assert!(event.time_ns > 0);
    event.event.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_objects_are_told_with_key_owner_and_generation() {
    let (_server, mut client) = Server::node().await;
    let request = v1::WatchRequest { objects: true, ..v1::WatchRequest::default() };
    let mut events = client.0.watch(request).await.unwrap().into_inner();
    let mut batch = puts("- vrf: {id: 9, name: new}\n- vrf: {id: 1, name: red}");
    let gone = v1::Key {
        key: Some(v1::key::Key::Route(v1::RouteKey {
            vrf: 1,
            prefix: "10.1.2.0/24".into(),
            origin: String::new(),
        })),
    };
    batch.operations.push(operation(v1::operation::Operation::Delete(gone)));
    let result = client.apply(vec![batch]).await.remove(0);
    let (Event::Object(first), Event::Object(second)) = (next(&mut events).await, next(&mut events).await)
    else {
        panic!("other events")
    };
    assert_eq!(
        (first.key.unwrap().to_string(), first.deleted, first.generation),
        ("vrf 9".into(), false, result.generation)
    );
    let route = second.key.unwrap().to_string();
    assert!(
        route.starts_with("route 1/10.1.2.0/24/uid:") && second.deleted && second.owner.starts_with("uid:")
    );
    // What did not change is not told: the next event is the next change.
    client.put("- vrf: {id: 1, name: red}\n- vrf: {id: 10, name: newer}").await;
    assert!(
        matches!(next(&mut events).await, Event::Object(change) if change.key.clone().unwrap().to_string() == "vrf 10")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn neighbours_are_told_when_they_answer() {
    let (server, mut client) = Server::node().await;
    let request = v1::WatchRequest { neighbours: true, ..v1::WatchRequest::default() };
    let mut events = client.0.watch(request).await.unwrap().into_inner();
    let mac = [2, 0, 10, 1, 0, 0xc2];
    let asked =
        packet::arp::Arp::request([2, 0, 10, 1, 0, 0x42], [10, 1, 0, 66].into(), [10, 1, 0, 194].into());
    let frame = [&[2, 0, 10, 1, 0, 0x42][..], &mac, &[8, 6], &asked.reply(mac).to_bytes()].concat();
    server.wire.events.lock().unwrap().push(WorkerEvent::Punt {
        class: "neighbour",
        interface: InterfaceId(1),
        frame,
    });
    loop {
        let Event::Neighbour(neighbour) = next(&mut events).await else { panic!("another event") };
        if neighbour.state() == v1::NeighbourState::Reachable {
            assert_eq!(
                (neighbour.address.as_str(), neighbour.mac.as_str()),
                ("10.1.0.194", "02:00:0a:01:00:c2")
            );
            break;
        }
    }
    // The tunnel that stands on it is resolved now.
    let entries = client.entries(v1::Kind::NextHop).await;
    let tunnel = entries.iter().find_map(|entry| {
        entry.next_hop.clone().filter(|state| !state.mac.is_empty() && state.interface == 1)
    });
    assert!(tunnel.unwrap().resolved);
}

/// A session of workload 2 from this port, and the rules that decided it.
fn session(port: u16, rules: [RuleSlot; RULES]) -> NewSession {
    let key =
        |scope, src_port, dst_port| FlowKey { scope, src_port, dst_port, protocol: 17, ..FlowKey::default() };
    NewSession {
        forward: NewHalf::untranslated(key(Scope::from_workload(InterfaceId(2)), port, 53)),
        reverse: Some(NewHalf::untranslated(key(Scope::to_workload(InterfaceId(2)), 53, port))),
        rules,
        binding: 0,
        limits: [0; 2],
        pinned: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_are_told_when_they_begin_and_end() {
    use flow::{EndReason, SessionSink, timeouts::Ticks};
    use packet::WorkerId;

    let (server, mut client) = Server::node().await;
    let table = std::sync::Arc::clone(&server.bench.flows);
    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
    let mut insert = |port: u16, created: Ticks| {
        table.insert(&mut slots, &session(port, [RuleSlot::NONE; RULES]), created).unwrap()
    };
    insert(1, Ticks(0));
    let request = v1::WatchRequest { flows: true, ..v1::WatchRequest::default() };
    let mut events = client.0.watch(request).await.unwrap().into_inner();
    // The test's clock starts at 60 s and is moved by hand.
    let now = vrouter::datapath::Now { milliseconds: 60_500 }.tick();
    let session = insert(2, now);
    server.bench.clock.store(61_000, std::sync::atomic::Ordering::Relaxed);
    let Event::Flow(begun) = next(&mut events).await else { panic!("another event") };
    assert!(!begun.ended);
    assert_eq!(begun.flow.unwrap().forward.unwrap().source_port, 2, "the old one is no news");
    let view = table.view(session.session).unwrap();
    vrouter::agent::FlowLog::new(server.thread.as_ref().unwrap().handle().clone())
        .ended(&view, EndReason::Expired);
    let Event::Flow(ended) = next(&mut events).await else { panic!("another event") };
    assert!(ended.ended);
    assert_eq!(ended.flow.unwrap().forward.unwrap().scope, "from vm1");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_log_tells_of_flows_that_a_rule_wants_logged_and_of_no_others() {
    use flow::policy::RuleSet;
    use packet::WorkerId;

    let (server, mut client) = Server::node().await;
    client
        .put("- network_policy: {id: 5, rules: [{id: 1, action: PASS}, {id: 2, action: PASS, log: true}]}")
        .await;
    let tables = server.thread.as_ref().unwrap().handle().tables();
    let slot = |rule| {
        let mut rows = tables.rules.iter().map(|(_, row)| row.name);
        rows.find(|name| (name.set, name.rule) == (RuleSet::NetworkPolicy(5), rule)).unwrap().slot
    };
    let request = v1::WatchRequest { policy_log: true, ..v1::WatchRequest::default() };
    let mut events = client.0.watch(request).await.unwrap().into_inner();
    let table = std::sync::Arc::clone(&server.bench.flows);
    let mut slots = table.worker::<()>(WorkerId(0)).unwrap();
    let now = vrouter::datapath::Now { milliseconds: 60_500 }.tick();
    for (port, rule) in [(1, slot(1)), (2, slot(2))] {
        let rules = [RuleSlot::NONE, rule, RuleSlot::NONE, rule];
        table.insert(&mut slots, &session(port, rules), now).unwrap();
    }
    server.bench.clock.store(61_000, std::sync::atomic::Ordering::Relaxed);
    let Event::Flow(told) = next(&mut events).await else { panic!("another event") };
    let flow = told.flow.unwrap();
    assert!(told.logged && !told.ended);
    assert_eq!(flow.rule, "network_policy 5 rule 2", "both ends have asked it");
    assert_eq!(flow.forward.unwrap().source_port, 2);
}
