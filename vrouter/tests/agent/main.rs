//! The agent API from a client's side: a whole server in this process, over a UNIX socket or TLS, with devices of
//! plain memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is missing")]

mod batches;
mod effective;
mod introspection;
mod packets;
mod replays;
mod transport;
mod watching;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

use agent_api::v1::{self, agent_client::AgentClient, operation};
use flow::FlowTable;
use packet::{InterfaceId, WorkerId};
use tokio::{sync::watch, task::JoinHandle};
use tonic::transport::Channel;
use vrouter::{
    agent::{Agent, Dataplane, Endpoint, Listeners, WorkerReport},
    control::{Control, ControlThread, MemoryPorts, Settings, WorkerEvent, Workers},
    datapath::{Context, DropSample, Explanation, Now, WorkerCounters},
    tables::Tables,
};

/// The fabric, two tenants, and a workload in each.
const NODE: &str = r#"
- vrf: {id: 0, name: fabric}
- vrf: {id: 1, name: red}
- vrf: {id: 2, name: blue}
- security_group: {id: 7, name: web, rules: [{id: 1, direction: INGRESS, protocol: 6, ports: {first: 80, last: 80}}]}
- interface: {id: 1, name: fabric, role: FABRIC, mac: "02:00:0a:01:00:42", addresses: ["10.1.0.66/24"], device: {ring: {name: fabric}}}
- interface: {id: 2, name: vm1, role: VIRTUAL, vrf: 1, mac: "02:00:00:00:01:02", addresses: ["10.1.1.3"], gateways: ["10.1.1.1"], policy: true, security_groups: [7], device: {ring: {name: vm1}}}
- interface: {id: 3, name: vm2, role: VIRTUAL, vrf: 2, mac: "02:00:00:00:01:03", addresses: ["10.1.1.3"], device: {ring: {name: vm2}}}
- next_hop: {id: 10, interface: {interface: 2}}
- next_hop: {id: 20, tunnel: {encapsulation: MPLS_OVER_UDP, destination: "10.1.0.194", label: 32}}
- route: {vrf: 1, prefix: "10.1.1.3/32", next_hop: 10, security_groups: [7]}
- route: {vrf: 1, prefix: "10.1.2.0/24", next_hop: 20}
"#;

type Frames = Arc<Mutex<Vec<(InterfaceId, Vec<u8>)>>>;

/// Frames that were handed to workers, and events that they will have.
#[derive(Clone, Default)]
struct Wire {
    sent: Frames,
    received: Frames,
    events: Arc<Mutex<Vec<WorkerEvent>>>,
}

impl Workers for Wire {
    fn drain(&mut self, events: &mut Vec<WorkerEvent>) {
        events.append(&mut self.events.lock().unwrap());
    }
    fn transmit(&mut self, interface: InterfaceId, frame: Vec<u8>) -> bool {
        self.sent.lock().unwrap().push((interface, frame));
        true
    }
    fn receive(&mut self, interface: InterfaceId, frame: Vec<u8>) -> bool {
        self.received.lock().unwrap().push((interface, frame));
        true
    }
}

/// A data path with one worker that only counts, and explains for real.
struct Bench {
    counters: Arc<WorkerCounters>,
    flows: Arc<FlowTable>,
    samples: Mutex<Vec<DropSample>>,
    /// Milliseconds; moved by hand.
    clock: AtomicU64,
}

impl Dataplane for Bench {
    fn workers(&self) -> Vec<WorkerReport> {
        let counters = Arc::clone(&self.counters);
        vec![WorkerReport {
            core: Some(3),
            poll: "adaptive",
            counters,
            queues: vec![(InterfaceId(1), 0)],
            generation: 1,
        }]
    }
    fn flows(&self) -> Option<Arc<FlowTable>> {
        Some(Arc::clone(&self.flows))
    }
    fn explain(&self, tables: &Tables, interface: InterfaceId, frame: &[u8]) -> Option<Explanation> {
        let cx = Context { tables, flows: &self.flows, now: Now::default() };
        vrouter::datapath::explain(&cx, 1, |_| None, interface, frame)
    }
    fn take_samples(&self, sample: &mut dyn FnMut(WorkerId, DropSample)) {
        for taken in self.samples.lock().unwrap().drain(..) {
            sample(WorkerId(0), taken);
        }
    }
    fn milliseconds(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }
    fn dpdk(&self) -> String {
        "DPDK of the test".to_owned()
    }
}

/// A running server and what stands behind it.
struct Server {
    directory: tempfile::TempDir,
    thread: Option<ControlThread>,
    wire: Wire,
    bench: Arc<Bench>,
    addresses: Vec<std::net::SocketAddr>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    /// One worker that polls and one that sleeps.
    workers: Vec<(mpsc::Sender<effective::Packet>, std::thread::JoinHandle<()>)>,
}

impl Server {
    async fn start() -> Self {
        Self::with(|path| vec![Endpoint::Unix(path)]).await
    }

    async fn with(endpoints: impl FnOnce(PathBuf) -> Vec<Endpoint>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings { workers: 2, ..Settings::default() };
        let (control, mut readers) = Control::new(settings, MemoryPorts::default());
        let workers = vec![effective::busy(readers.remove(0)), effective::asleep(readers.remove(0))];
        let wire = Wire::default();
        let thread = ControlThread::start(control, wire.clone()).unwrap();
        let config =
            flow::Config { sessions_v4: 64, sessions_v6: 64, seed: 1, interfaces: 65_536, workers: 1 };
        let bench = Arc::new(Bench {
            counters: Arc::default(),
            flows: Arc::new(FlowTable::new(&config).unwrap()),
            samples: Mutex::default(),
            clock: AtomicU64::new(60_000),
        });
        let listeners = Listeners::bind(&endpoints(directory.path().join("agent.sock"))).unwrap();
        let addresses = listeners.tcp_addresses();
        let dataplane: Arc<dyn Dataplane> = Arc::clone(&bench) as Arc<dyn Dataplane>;
        let agent = Agent::new(thread.handle().clone(), dataplane);
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(async move { listeners.serve(agent, stopped).await.unwrap() });
        Self { directory, thread: Some(thread), wire, bench, addresses, stop, serving, workers }
    }

    async fn node() -> (Self, Client) {
        let server = Self::start().await;
        let mut client = server.client().await;
        client.put(NODE).await;
        (server, client)
    }

    /// The ways to the workers.
    fn workers(&self) -> Vec<mpsc::Sender<effective::Packet>> {
        self.workers.iter().map(|(packets, _)| packets.clone()).collect()
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("agent.sock")
    }

    async fn channel(&self) -> Channel {
        let address = format!("unix://{}", self.socket().display());
        tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap()
    }

    async fn client(&self) -> Client {
        Client(AgentClient::new(self.channel().await).max_encoding_message_size(64 << 20))
    }

    /// Ends serving, in order, and returns when the socket has gone.
    async fn end(mut self) {
        self.stop.send_replace(true);
        (&mut self.serving).await.unwrap();
        assert!(!self.socket().exists(), "the socket is removed");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
        self.thread.take();
        for (packets, worker) in self.workers.drain(..) {
            drop(packets);
            worker.join().unwrap();
        }
    }
}

/// A client with the API's text as its language.
#[derive(Clone)]
struct Client(AgentClient<Channel>);

impl Client {
    async fn apply(&mut self, batches: Vec<v1::Batch>) -> Vec<v1::BatchResult> {
        let mut answers = self.0.apply(tokio_stream::iter(batches)).await.unwrap().into_inner();
        let mut results = Vec::new();
        while let Some(result) = answers.message().await.unwrap() {
            results.push(result);
        }
        results
    }

    async fn try_put(&mut self, text: &str) -> v1::BatchResult {
        self.apply(vec![puts(text)]).await.remove(0)
    }

    async fn put(&mut self, text: &str) -> v1::BatchResult {
        let result = self.try_put(text).await;
        assert_eq!((result.code, result.message.as_str()), (0, ""), "{text}");
        result
    }

    async fn list(&mut self, request: v1::ListRequest) -> Vec<v1::ListResponse> {
        let mut stream = self.0.list(request).await.unwrap().into_inner();
        let mut responses = Vec::new();
        while let Some(response) = stream.message().await.unwrap() {
            responses.push(response);
        }
        responses
    }

    async fn entries(&mut self, kind: v1::Kind) -> Vec<v1::Entry> {
        let request = v1::ListRequest { kind: kind.into(), ..v1::ListRequest::default() };
        self.list(request).await.into_iter().flat_map(|response| response.entries).collect()
    }
}

fn puts(text: &str) -> v1::Batch {
    let objects = agent_api::yaml::parse(text).unwrap();
    let operations = objects.into_iter().map(|object| operation(operation::Operation::Put(object)));
    v1::Batch { operations: operations.collect(), ..v1::Batch::default() }
}

fn operation(operation: operation::Operation) -> v1::Operation {
    v1::Operation { operation: Some(operation) }
}

/// `count` routes of VRF 2.
fn routes(range: std::ops::Range<u32>) -> v1::Batch {
    let route = |n: u32| {
        let [_, b, c, d] = n.to_be_bytes();
        let prefix = format!("20.{b}.{c}.{d}/32");
        let route = v1::Route { vrf: 2, prefix, next_hop: 20, ..v1::Route::default() };
        operation(operation::Operation::Put(route.into()))
    };
    v1::Batch { operations: range.map(route).collect(), ..v1::Batch::default() }
}
