//! What "effective" means (SEMANTICS 18): once the answer is read, no packet meets the old tables, on a worker
//! that polls and on one that sleeps, and a cached decision of the old policy is taken again before it is used.

use std::{sync::mpsc, thread::JoinHandle};

use flow::policy::{Direction, Query};
use packet::InterfaceId;
use sync::Reader;
use vrouter::tables::Tables;

use super::{Server, puts};

/// A packet of one flow; the answer is whether it passed.
pub(super) type Packet = mpsc::SyncSender<bool>;

/// A worker with one session, whose decision it keeps for as long as its interface's epoch lets it.
struct Worker {
    reader: Reader<Tables>,
    cached: Option<(u32, bool)>,
}

impl Worker {
    fn handle(&mut self, packet: &Packet) {
        let tables = self.reader.refresh();
        let row = tables.interface(InterfaceId(2)).unwrap();
        let held = self.cached.filter(|(validated_at, _)| *validated_at >= row.epoch);
        let (_, passes) = *self.cached.insert(held.unwrap_or_else(|| {
            let query = Query {
                direction: Direction::Ingress,
                v6: false,
                remote: [9; 16],
                remote_groups: &[],
                protocol: 6,
                dst_port: 80,
                icmp_type: 0,
                icmp_code: 0,
            };
            (tables.epoch, row.security.decide(&query).allowed)
        }));
        packet.send(passes).unwrap();
    }
}

/// Looks for packets all the time, and passes a boundary in each round.
pub(super) fn busy(reader: Reader<Tables>) -> (mpsc::Sender<Packet>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel::<Packet>();
    let mut worker = Worker { reader, cached: None };
    let thread = std::thread::spawn(move || {
        loop {
            worker.reader.refresh();
            match receiver.try_recv() {
                Ok(packet) => worker.handle(&packet),
                Err(mpsc::TryRecvError::Empty) => std::thread::yield_now(),
                Err(mpsc::TryRecvError::Disconnected) => return,
            }
        }
    });
    (sender, thread)
}

/// Sleeps until a packet comes.
pub(super) fn asleep(reader: Reader<Tables>) -> (mpsc::Sender<Packet>, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel::<Packet>();
    let mut worker = Worker { reader, cached: None };
    let thread = std::thread::spawn(move || {
        loop {
            worker.reader.offline();
            let Ok(packet) = receiver.recv() else { return };
            worker.reader.online();
            worker.handle(&packet);
        }
    });
    (sender, thread)
}

fn passes(worker: &mpsc::Sender<Packet>) -> bool {
    let (sender, receiver) = mpsc::sync_channel(1);
    worker.send(sender).unwrap();
    receiver.recv().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_is_toggled_a_thousand_times_is_never_seen_as_it_was_before() {
    let (server, mut client) = Server::node().await;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = client.0.apply(stream).await.unwrap().into_inner();
    let port = |port: u32| {
        puts(&format!(
            "- security_group: {{id: 7, name: web, rules: [{{id: 1, direction: INGRESS, protocol: 6, ports: {{first: {port}, last: {port}}}}}]}}"
        ))
    };
    let (open, shut) = (port(80), port(81));
    let workers = server.workers();
    assert!(workers.iter().all(passes));
    for round in 0..1_000 {
        let opens = round % 2 == 1;
        sender.send(if opens { open.clone() } else { shut.clone() }).await.unwrap();
        let result = answers.message().await.unwrap().unwrap();
        assert_eq!((result.code, result.changed), (0, 1));
        let seen: Vec<bool> = workers.iter().map(passes).collect();
        assert_eq!(seen, [opens, opens], "round {round}");
    }
}
