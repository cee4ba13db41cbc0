//! `Apply` and `List`.

use agent_api::v1::{self, Kind};
use tonic::Code;

use super::{NODE, Server, operation, puts, routes};

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_answered_in_order_and_a_refused_one_does_not_end_the_stream() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut batches = vec![
        puts(NODE),
        puts("- vrf: {id: 9, name: red}"),
        puts("- route: {vrf: 1, prefix: '10.9.0.0/16', next_hop: 99}"),
        puts("- vrf: {id: 9, name: green}"),
        puts("- vrf: {id: 9, name: green}"),
    ];
    for (id, batch) in (100..).zip(&mut batches) {
        batch.id = id;
    }
    let results = client.apply(batches).await;
    let seen: Vec<_> = results.iter().map(|result| (result.id, result.code, result.changed)).collect();
    assert_eq!(seen, [(100, 0, 11), (101, 9, 0), (102, 9, 0), (103, 0, 1), (104, 0, 0)]);
    assert_eq!((results[1].field.as_str(), results[2].field.as_str()), ("name", "next_hop"));
    assert_eq!(
        results[2].object.as_ref().unwrap().to_string(),
        "route 1/10.9.0.0/16/uid:0".replace("uid:0", &me())
    );
    let accepted = results.iter().filter(|result| result.code == 0);
    let generations: Vec<_> = accepted.map(|result| result.generation).collect();
    assert!(generations.is_sorted() && generations[0] > 0, "{generations:?}");
    assert!(
        server.thread.as_ref().unwrap().handle().tables().generation >= generations[2],
        "it is in effect"
    );
}

/// The owner that this process is.
fn me() -> String {
    let metadata = std::fs::metadata("/proc/self").unwrap();
    format!("uid:{}", std::os::unix::fs::MetadataExt::uid(&metadata))
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_back_as_they_were_written_with_their_owner_and_state() {
    let (_server, mut client) = Server::node().await;
    let mut written: Vec<v1::Object> = agent_api::yaml::parse(NODE).unwrap();
    let mut listed = Vec::new();
    for kind in Kind::ALL {
        for entry in client.entries(kind).await {
            if entry.owner == "vrouter" {
                continue;
            }
            assert_eq!((entry.owner.as_str(), entry.generation), (me().as_str(), 1));
            listed.push(entry.object.unwrap());
        }
    }
    for object in &mut written {
        // Defaults are filled in.
        if let Some(v1::object::Object::Route(route)) = &mut object.object {
            (route.origin, route.preference) = (me(), 100);
        }
    }
    let sort =
        |objects: &mut Vec<v1::Object>| objects.sort_by_key(|object| agent_api::key_of(object).to_string());
    sort(&mut written);
    sort(&mut listed);
    assert_eq!(listed, written);

    let vrfs = client.entries(Kind::Vrf).await;
    let state = vrfs[1].vrf.unwrap();
    assert_eq!((state.ipv4_prefixes, state.ipv6_prefixes, state.interfaces), (2, 0, 1));
    let interfaces = client.entries(Kind::Interface).await;
    let state = interfaces[0].interface.as_ref().unwrap();
    assert_eq!((state.up, state.mac.as_str(), state.driver.as_str()), (true, "02:00:0a:01:00:42", "memory"));
    let next_hops = client.entries(Kind::NextHop).await;
    let tunnel = next_hops.iter().find_map(|entry| match entry.object.as_ref()?.object.as_ref()? {
        v1::object::Object::NextHop(next_hop) if next_hop.id == 20 => entry.next_hop.clone(),
        _ => None,
    });
    let tunnel = tunnel.unwrap();
    assert_eq!((tunnel.resolved, tunnel.interface, tunnel.routes), (false, 1, 1));
    let internal: Vec<_> = next_hops.iter().filter(|entry| entry.owner == "vrouter").collect();
    assert_eq!(internal.len(), 2, "receive, and resolve on the fabric");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered() {
    let (_server, mut client) = Server::node().await;
    client.put("- route: {vrf: 1, prefix: '10.1.2.0/24', origin: z, next_hop: 10}").await;
    let count = async |client: &mut super::Client, request: v1::ListRequest| -> usize {
        client.list(request).await.iter().map(|response| response.entries.len()).sum()
    };
    let of = |kind: Kind| v1::ListRequest { kind: kind.into(), ..v1::ListRequest::default() };
    assert_eq!(count(&mut client, v1::ListRequest { vrf: Some(1), ..of(Kind::Route) }).await, 3);
    assert_eq!(count(&mut client, v1::ListRequest { vrf: Some(70_000), ..of(Kind::Route) }).await, 0);
    assert_eq!(count(&mut client, v1::ListRequest { vrf: Some(2), ..of(Kind::Interface) }).await, 1);
    assert_eq!(count(&mut client, v1::ListRequest { id: Some(20), ..of(Kind::NextHop) }).await, 1);
    assert_eq!(count(&mut client, v1::ListRequest { owner: "vrouter".into(), ..of(Kind::Route) }).await, 2);
    assert_eq!(count(&mut client, v1::ListRequest { owner: "nobody".into(), ..of(Kind::Route) }).await, 0);
    let paths =
        client.list(v1::ListRequest { vrf: Some(1), prefix: "10.1.2.0/24".into(), ..of(Kind::Route) }).await;
    let active: Vec<bool> = paths[0].entries.iter().map(|entry| entry.route.unwrap().active).collect();
    assert_eq!(active.len(), 2);
    assert_eq!(active.iter().filter(|active| **active).count(), 1, "one of the paths forwards");
    for (request, field) in [
        (v1::ListRequest::default(), "kind"),
        (v1::ListRequest { prefix: "10.0.0.1/8".into(), ..of(Kind::Route) }, "prefix"),
        (v1::ListRequest { prefix: "10.0.0.0/8".into(), ..of(Kind::Vrf) }, "prefix"),
        (v1::ListRequest { id: Some(1), ..of(Kind::Route) }, "id"),
    ] {
        let status = client.0.list(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{}", status.message());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_comes_in_chunks_of_one_generation_while_others_write() {
    let (server, mut client) = Server::node().await;
    client.apply(vec![routes(0..2_500)]).await;
    let request = v1::ListRequest { kind: Kind::Route.into(), vrf: Some(2), ..v1::ListRequest::default() };
    let mut stream = client.0.list(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap();
    let mut other = server.client().await;
    other.apply(vec![routes(2_500..3_000)]).await;
    let mut sizes = vec![first.entries.len()];
    while let Some(response) = stream.message().await.unwrap() {
        assert_eq!(response.generation, first.generation);
        sizes.push(response.entries.len());
    }
    assert_eq!(sizes, [1000, 1000, 500]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_refused_by_the_name_of_the_limit() {
    let (_server, mut client) = Server::node().await;
    let mut batch = routes(0..10);
    batch.operations[0] = operation(v1::operation::Operation::Put(
        v1::Vrf { id: 5, name: "x".repeat(5 << 20), ..v1::Vrf::default() }.into(),
    ));
    let mut answers = client.0.apply(tokio_stream::iter([batch])).await.unwrap().into_inner();
    let status = answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status.message().contains("limit message bytes") && status.message().contains("4194304"),
        "{status}"
    );
    let list = v1::ListRequest { kind: Kind::Route.into(), vrf: Some(2), ..v1::ListRequest::default() };
    assert!(client.list(list).await.is_empty(), "nothing of it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_routes_go_through_one_call() {
    let (server, mut client) = Server::node().await;
    let results = client.apply((0..5).map(|n| routes(n * 10_000..(n + 1) * 10_000)).collect()).await;
    assert!(results.iter().all(|result| (result.code, result.changed) == (0, 10_000)));
    let tables = server.thread.as_ref().unwrap().handle().tables();
    assert_eq!(tables.vrfs.routes(packet::VrfId(2)), 50_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_cut_off_leaves_whole_batches_only() {
    let (server, mut client) = Server::node().await;
    // Each batch writes 100 routes; the client goes while they are on their way.
    for round in 0..10_u32 {
        let mut victim = server.client().await;
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let answers = victim.0.apply(stream).await.unwrap();
        for n in 0..20 {
            let first = round * 10_000 + n * 100;
            sender.send(routes(first..first + 100)).await.unwrap();
        }
        drop((answers, sender, victim));
    }
    // A call behind them all: whatever was taken is complete.
    client.put("- vrf: {id: 9, name: after}").await;
    let entries =
        client.list(v1::ListRequest { kind: Kind::Route.into(), vrf: Some(2), ..Default::default() }).await;
    let mut batches = std::collections::BTreeMap::<u32, usize>::new();
    for entry in entries.into_iter().flat_map(|response| response.entries) {
        let Some(v1::object::Object::Route(route)) = entry.object.unwrap().object else {
            panic!("another kind")
        };
        let address: std::net::Ipv4Addr = route.prefix.trim_end_matches("/32").parse().unwrap();
        *batches.entry((address.to_bits() & 0xff_ffff) / 100).or_default() += 1;
    }
    assert!(batches.values().all(|&routes| routes == 100), "{batches:?}");
}
