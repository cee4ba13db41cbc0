//! `Sync`.

use agent_api::v1::{self, Kind, sync_request::Step, sync_response};
use tonic::{Code, Status};

use super::{Client, NODE, Server, puts, routes};

fn step(step: Step) -> v1::SyncRequest {
    v1::SyncRequest { step: Some(step) }
}

fn open(kinds: &[Kind]) -> v1::SyncRequest {
    step(Step::Open(v1::SyncOpen { kinds: kinds.iter().map(|&kind| kind.into()).collect() }))
}

fn close() -> v1::SyncRequest {
    step(Step::Close(v1::SyncClose {}))
}

async fn sync(client: &mut Client, steps: Vec<v1::SyncRequest>) -> Result<Vec<sync_response::Step>, Status> {
    let mut stream = client.0.sync(tokio_stream::iter(steps)).await?.into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await? {
        answers.push(answer.step.unwrap());
    }
    Ok(answers)
}

/// Swept and kept.
fn closed(answers: &[sync_response::Step]) -> (u32, u32) {
    match answers.last() {
        Some(sync_response::Step::Closed(closed)) => (closed.swept, closed.kept),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_objects_exactly_the_37_that_are_not_replayed_go() {
    let (server, mut client) = Server::node().await;
    client.apply(vec![routes(0..9_989)]).await;
    let mut replayed = routes(0..9_989);
    let gone = |n: usize| n % 270 == 3;
    let mut index = 0;
    replayed.operations.retain(|_| {
        index += 1;
        !gone(index - 1)
    });
    let answers = sync(
        &mut client,
        vec![open(&[]), step(Step::Batch(puts(NODE))), step(Step::Batch(replayed)), close()],
    )
    .await;
    let answers = answers.unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(closed(&answers), (37, 10_000 - 37));
    let tables = server.thread.as_ref().unwrap().handle().tables();
    let has = |n: u32| {
        let prefix = format!("20.{}.{}.{}/32", n >> 16 & 255, n >> 8 & 255, n & 255).parse().unwrap();
        tables.vrfs.get_exact(packet::VrfId(2), prefix).is_some()
    };
    assert!((0..9_989).all(|n| has(n) != gone(n as usize)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_close_nothing_is_swept_and_of_unnamed_kinds_neither() {
    let (_server, mut client) = Server::node().await;
    assert!(sync(&mut client, vec![open(&[])]).await.unwrap().is_empty());
    assert_eq!(client.entries(Kind::Vrf).await.len(), 3);
    let kept = puts("- route: {vrf: 1, prefix: '10.1.2.0/24', next_hop: 20}");
    let answers =
        sync(&mut client, vec![open(&[Kind::Route]), step(Step::Batch(kept)), close()]).await.unwrap();
    assert_eq!(closed(&answers), (1, 1));
    assert_eq!(client.entries(Kind::Vrf).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_replays_may_follow_in_one_stream() {
    let (_server, mut client) = Server::node().await;
    let steps = vec![
        open(&[Kind::Route]),
        close(),
        open(&[]),
        step(Step::Batch(puts("- vrf: {id: 0, name: fabric}"))),
        close(),
    ];
    let answers = sync(&mut client, steps).await.unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(closed(&answers[..1]), (2, 0));
    assert_eq!(closed(&answers), (8, 1));
    assert_eq!(client.entries(Kind::Interface).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_out_of_order_and_replays_with_refused_batches_sweep_nothing() {
    let (_server, mut client) = Server::node().await;
    let bad = puts("- vrf: {id: 70000, name: x}");
    for (steps, code) in [
        (vec![step(Step::Batch(puts(NODE)))], Code::FailedPrecondition),
        (vec![close()], Code::FailedPrecondition),
        (vec![open(&[]), open(&[])], Code::FailedPrecondition),
        (vec![v1::SyncRequest { step: None }], Code::InvalidArgument),
        (vec![open(&[Kind::Unspecified])], Code::InvalidArgument),
        (vec![open(&[]), step(Step::Batch(bad)), close()], Code::FailedPrecondition),
    ] {
        assert_eq!(sync(&mut client, steps).await.unwrap_err().code(), code);
    }
    let unknown = step(Step::Open(v1::SyncOpen { kinds: vec![77] }));
    assert_eq!(sync(&mut client, vec![unknown]).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!((client.entries(Kind::Vrf).await.len(), client.entries(Kind::Interface).await.len()), (3, 3));
}
