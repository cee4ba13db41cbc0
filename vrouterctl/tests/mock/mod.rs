//! A vRouter without a data path: it keeps objects, answers questions from canned values, and remembers what
//! it was asked. The tests run the real `vrouterctl` against it.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod canned;
pub mod state;

use std::{
    collections::HashSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    pin::Pin,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, MutexGuard},
};

use agent_api::v1::{
    Batch, BatchResult, DropSample, ExplainRequest, ExplainResponse, GetVersionRequest, GetVersionResponse,
    ListDropsRequest, ListFlowsRequest, ListFlowsResponse, ListNeighboursRequest, ListNeighboursResponse,
    ListRequest, ListResponse, PacketInMessage, PacketInRequest, PacketOutMessage, PacketOutSummary,
    StatsRequest, StatsResponse, SyncClosed, SyncRequest, SyncResponse, WatchEvent, WatchRequest,
    agent_server::{Agent, AgentServer},
    sync_request, sync_response,
};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::mpsc,
};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream},
};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, ServerTlsConfig},
};

use self::state::State;

/// A running mock, gone when dropped.
pub struct Mock {
    pub directory: tempfile::TempDir,
    pub agent: String,
    state: Arc<Mutex<State>>,
    _runtime: tokio::runtime::Runtime,
}

impl Mock {
    /// One that has nothing, on a UNIX socket.
    pub fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("agent.sock");
        Self::serve(directory, move |service, runtime| {
            let _guard = runtime.enter();
            let listener = UnixListener::bind(&socket).unwrap();
            let server = Server::builder().add_service(service);
            runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
            format!("unix://{}", socket.display())
        })
    }

    /// One that holds the objects of `tests/fixture.yaml`.
    pub fn with_fixture() -> Self {
        let mock = Self::empty();
        let fixture = mock.path_of_fixture();
        let output = mock.run(&["apply", "-f", fixture.to_str().unwrap()]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        mock.state().requests.clear();
        mock.state().batches.clear();
        mock
    }

    /// An empty one on a TCP port of this machine, with TLS or without.
    pub fn on_tcp(tls: Option<ServerTlsConfig>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::serve(directory, move |service, runtime| {
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let port = listener.local_addr().unwrap().port();
            let scheme = if tls.is_some() { "https" } else { "http" };
            let mut server = Server::builder();
            if let Some(tls) = tls {
                server = server.tls_config(tls).unwrap();
            }
            let server = server.add_service(service);
            runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
            format!("{scheme}://localhost:{port}")
        })
    }

    fn serve(
        directory: tempfile::TempDir,
        listen: impl FnOnce(AgentServer<Service>, &tokio::runtime::Runtime) -> String,
    ) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let agent = listen(AgentServer::new(Service { state: state.clone() }), &runtime);
        Self { directory, agent, state, _runtime: runtime }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The command that is not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = vrouterctl(arguments);
        command.env("VROUTER_AGENT", &self.agent);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs and gives the standard output; the exit code must be 0 and standard error empty.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
        text(&output.stdout)
    }

    /// Runs and gives the exit code and standard error; standard output must be empty.
    pub fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        (output.status.code().unwrap(), text(&output.stderr))
    }

    /// Runs with a text as standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.command(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Writes a file that lives as long as the mock.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn path_of_fixture(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture.yaml")
    }
}

/// The command as built, without an agent to talk to.
pub fn vrouterctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrouterctl"));
    command.args(arguments).env_remove("VROUTER_AGENT").stdin(Stdio::null());
    command
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Compares with `tests/golden/NAME.txt`; `BLESS=1` in the environment rewrites the file.
pub fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs: BLESS=1 rewrites it", path.display());
}

struct Service {
    state: Arc<Mutex<State>>,
}

impl Service {
    fn note(&self, request: &impl std::fmt::Debug) {
        self.state.lock().unwrap().requests.push(format!("{request:?}"));
    }
}

type Answer<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn stream<T: Send + 'static>(items: impl IntoIterator<Item = T>) -> Response<Answer<T>> {
    let items: Vec<_> = items.into_iter().map(Ok).collect();
    Response::new(Box::pin(tokio_stream::iter(items)))
}

#[tonic::async_trait]
impl Agent for Service {
    type ApplyStream = Answer<BatchResult>;
    type SyncStream = Answer<SyncResponse>;
    type ListStream = Answer<ListResponse>;
    type WatchStream = Answer<WatchEvent>;
    type ListFlowsStream = Answer<ListFlowsResponse>;
    type ListNeighboursStream = Answer<ListNeighboursResponse>;
    type ListDropsStream = Answer<DropSample>;
    type PacketInStream = Answer<PacketInMessage>;

    async fn apply(
        &self,
        request: Request<Streaming<Batch>>,
    ) -> Result<Response<Answer<BatchResult>>, Status> {
        let state = self.state.clone();
        let results = request.into_inner().map(move |batch| Ok(state.lock().unwrap().apply(&batch?, None)));
        Ok(Response::new(Box::pin(results)))
    }

    async fn sync(
        &self,
        request: Request<Streaming<SyncRequest>>,
    ) -> Result<Response<Answer<SyncResponse>>, Status> {
        let state = self.state.clone();
        let mut steps = request.into_inner();
        let (sender, answers) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut kinds = Vec::new();
            let mut replayed = HashSet::new();
            while let Some(Ok(SyncRequest { step: Some(step) })) = steps.next().await {
                let step = match step {
                    sync_request::Step::Open(open) => {
                        kinds = open.kinds;
                        continue;
                    }
                    sync_request::Step::Batch(batch) => {
                        sync_response::Step::Result(state.lock().unwrap().apply(&batch, Some(&mut replayed)))
                    }
                    sync_request::Step::Close(_) => {
                        let mut state = state.lock().unwrap();
                        let (swept, kept) = state.sweep(&kinds, &replayed);
                        sync_response::Step::Closed(SyncClosed { generation: state.generation, swept, kept })
                    }
                };
                let _ = sender.send(Ok(SyncResponse { step: Some(step) })).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<Answer<ListResponse>>, Status> {
        self.note(request.get_ref());
        let (generation, entries) = {
            let state = self.state.lock().unwrap();
            (state.generation, state.list(request.get_ref()))
        };
        // In small pieces, as a vRouter with many objects would.
        let pieces = entries.chunks(2).map(|entries| ListResponse { generation, entries: entries.to_vec() });
        Ok(stream(pieces.collect::<Vec<_>>()))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Answer<WatchEvent>>, Status> {
        self.note(request.get_ref());
        Ok(stream(canned::events()))
    }

    async fn stats(&self, _: Request<StatsRequest>) -> Result<Response<StatsResponse>, Status> {
        Ok(Response::new(canned::stats()))
    }

    async fn list_flows(
        &self,
        request: Request<ListFlowsRequest>,
    ) -> Result<Response<Answer<ListFlowsResponse>>, Status> {
        self.note(request.get_ref());
        Ok(stream(canned::flows().into_iter().map(|flow| ListFlowsResponse { flows: vec![flow] })))
    }

    async fn list_neighbours(
        &self,
        request: Request<ListNeighboursRequest>,
    ) -> Result<Response<Answer<ListNeighboursResponse>>, Status> {
        self.note(request.get_ref());
        Ok(stream([ListNeighboursResponse { neighbours: canned::neighbours() }]))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        self.note(request.get_ref());
        match request.get_ref().interface {
            2 => Ok(Response::new(canned::explanation())),
            3 => Ok(Response::new(canned::refusal())),
            id => Err(Status::not_found(format!("there is no interface {id}"))),
        }
    }

    async fn list_drops(
        &self,
        request: Request<ListDropsRequest>,
    ) -> Result<Response<Answer<DropSample>>, Status> {
        self.note(request.get_ref());
        Ok(stream(canned::drops()))
    }

    async fn packet_in(
        &self,
        request: Request<PacketInRequest>,
    ) -> Result<Response<Answer<PacketInMessage>>, Status> {
        self.note(request.get_ref());
        Ok(stream(canned::punts()))
    }

    async fn packet_out(
        &self,
        request: Request<Streaming<PacketOutMessage>>,
    ) -> Result<Response<PacketOutSummary>, Status> {
        let mut summary = PacketOutSummary::default();
        let mut packets = request.into_inner();
        while let Some(packet) = packets.next().await {
            let packet = packet?;
            self.note(&packet);
            if packet.interface == 2 { summary.accepted += 1 } else { summary.refused += 1 }
        }
        Ok(Response::new(summary))
    }

    async fn get_version(
        &self,
        _: Request<GetVersionRequest>,
    ) -> Result<Response<GetVersionResponse>, Status> {
        Ok(Response::new(GetVersionResponse {
            version: "0.1.0".into(),
            dpdk: "DPDK 22.11.11".into(),
            api: "vrouter.v1".into(),
            generation: 17,
        }))
    }
}
