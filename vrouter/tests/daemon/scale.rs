//! A million routes come and go through the agent API while a pair forwards.

use std::fs;
use std::net::Ipv4Addr;
use std::time::Instant;

use agent_api::v1::{
    Batch, Key, Kind, ListRequest, Object, Operation, Route, RouteKey, key, object, operation,
};

use crate::harness::Daemon;
use crate::objects::NETWORK;
use crate::traffic::Traffic;

const ROUTES: u32 = 1 << 20;
const BATCH: u32 = 4096;
/// Packets per second that the pair is offered meanwhile: modest, for this is not about the rate.
const OFFERED: u64 = 50_000;

/// The prefixes are all /24 from 1.0.0.0 on, among them the pair's network, in an order that jumps about.
fn prefix(number: u32) -> String {
    let shuffled = number.wrapping_mul(0x9e37_79b1) % ROUTES;
    format!("{}/24", Ipv4Addr::from((1 << 24) + (shuffled << 8)))
}

fn put(number: u32) -> Operation {
    let route = Route { vrf: 1, prefix: prefix(number), next_hop: 100, ..Route::default() };
    Operation {
        operation: Some(operation::Operation::Put(Object { object: Some(object::Object::Route(route)) })),
    }
}

fn delete(number: u32) -> Operation {
    let route = RouteKey { vrf: 1, prefix: prefix(number), ..RouteKey::default() };
    Operation { operation: Some(operation::Operation::Delete(Key { key: Some(key::Key::Route(route)) })) }
}

/// Does the same to every route, in one call; the answers are awaited.
fn change(daemon: &mut Daemon, operation: fn(u32) -> Operation) {
    let batches = (0..ROUTES / BATCH).map(move |batch| Batch {
        id: batch.into(),
        operations: (batch * BATCH..(batch + 1) * BATCH).map(operation).collect(),
        ..Batch::default()
    });
    let call = daemon.client.apply(tokio_stream::iter(batches));
    daemon.runtime.block_on(async {
        let mut answers = call.await.expect("the call goes through").into_inner();
        for batch in 0..ROUTES / BATCH {
            let answer = answers.message().await.expect("the call goes on").expect("there is an answer");
            assert_eq!((answer.id, answer.code), (batch.into(), 0), "{}: {}", answer.field, answer.message);
        }
    });
}

/// How many prefixes of the pair's VRF forward.
fn prefixes(daemon: &mut Daemon) -> u32 {
    let request = ListRequest { kind: Kind::Vrf.into(), id: Some(1), ..ListRequest::default() };
    let answer = daemon.runtime.block_on(async {
        daemon.client.list(request).await.expect("the call goes through").into_inner().message().await
    });
    let answer = answer.expect("the answer is whole").expect("there is one");
    answer.entries[0].vrf.expect("a VRF has a state").ipv4_prefixes
}

/// What the daemon has of the machine's memory, in megabytes.
fn resident(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.process_id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn a_million_routes_come_and_go_without_a_lost_packet_and_without_memory() {
    let mut daemon = Daemon::start();
    daemon.apply(&format!("{NETWORK}- next_hop: {{id: 100, reject: {{}}}}\n"));
    let traffic = Traffic::start(&mut daemon, OFFERED);
    let (own, empty) = (prefixes(&mut daemon), resident(&daemon));
    let mut after = [0; 2];
    for after in &mut after {
        let start = Instant::now();
        change(&mut daemon, put);
        let (loading, full) = (start.elapsed(), resident(&daemon));
        assert_eq!(prefixes(&mut daemon), own + ROUTES);
        let start = Instant::now();
        change(&mut daemon, delete);
        assert_eq!(prefixes(&mut daemon), own);
        *after = resident(&daemon);
        println!(
            "{ROUTES} routes: put in {loading:.2?}, deleted in {:.2?}; {empty} MB before, {full} MB, {after} MB after",
            start.elapsed()
        );
    }
    let report = traffic.stop();
    println!("meanwhile: {report}");
    assert_eq!(report.lost, 0, "{report}");
    let accounting = daemon.accounting();
    assert_eq!((accounting.received, accounting.sent, accounting.dropped), (report.sent, report.sent, 0));
    assert!(after[1] <= after[0] + after[0] / 10, "each time some memory stays: {after:?} MB");
    assert_eq!(daemon.stop().status.code(), Some(0));
}
