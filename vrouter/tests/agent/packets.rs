//! `PacketIn` and `PacketOut`.

use agent_api::v1;
use packet::InterfaceId;
use tonic::Code;
use vrouter::control::WorkerEvent;

use super::Server;

#[tokio::test(flavor = "multi_thread")]
async fn punted_packets_reach_those_who_listen_to_their_class() {
    let (server, mut client) = Server::node().await;
    let request = v1::PacketInRequest { classes: vec!["workload".into()] };
    let mut listener = client.0.packet_in(request).await.unwrap().into_inner();
    let punt = |class, interface, byte| WorkerEvent::Punt {
        class,
        interface: InterfaceId(interface),
        frame: vec![byte; 60],
    };
    server.wire.events.lock().unwrap().extend([punt("host", 1, 1), punt("workload", 2, 2)]);
    let message = listener.message().await.unwrap().unwrap();
    assert_eq!((message.class.as_str(), message.interface, message.packet), ("workload", 2, vec![2; 60]));
    let unknown = v1::PacketInRequest { classes: vec!["workload".into(), "nonsense".into()] };
    let status = client.0.packet_in(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("classes[1]"), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_go_out_or_in_by_an_interface_that_exists() {
    let (server, mut client) = Server::node().await;
    server.wire.sent.lock().unwrap().clear();
    let message =
        |interface, ingress, length| v1::PacketOutMessage { interface, packet: vec![9; length], ingress };
    let messages = [
        message(2, false, 60),
        message(2, true, 61),
        message(77, false, 60),
        message(70_000, false, 60),
        message(2, false, 13),
        message(2, false, 10_000),
    ];
    let summary = client.0.packet_out(tokio_stream::iter(messages)).await.unwrap().into_inner();
    assert_eq!((summary.accepted, summary.refused), (2, 4));
    let sent = server.wire.sent.lock().unwrap().clone();
    assert!(sent.contains(&(InterfaceId(2), vec![9; 60])));
    assert_eq!(*server.wire.received.lock().unwrap(), [(InterfaceId(2), vec![9; 61])]);
}
