//! A daemon of its own for each test: started as an operator would, programmed over gRPC, stopped by signal.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use agent_api::v1::agent_client::AgentClient;
use agent_api::v1::{
    Accounting, Batch, BatchResult, InterfaceChange, Key, Kind, ListRequest, Operation, StatsRequest,
    StatsResponse, WatchEvent, WatchRequest, object, operation, watch_event::Event,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

pub(crate) type Client = AgentClient<Channel>;

/// How long anything may take that has no reason to take long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running daemon. Dropped, it is killed.
pub(crate) struct Daemon {
    /// None once it is somebody else's.
    directory: Option<TempDir>,
    process: Child,
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
}

/// The configuration that tests start from, in a directory of their own.
pub(crate) fn config(directory: &Path) -> String {
    let place = directory.display();
    format!(
        "[agent]\nlisten = ['unix://{place}/agent.sock']\n\
         [memory]\nmode = 'no-huge'\nmegabytes = 64\npackets = 8191\n\
         [flows]\nipv4_sessions = 4096\nipv6_sessions = 1024\nentropy_seed = '1'\n\
         [devices]\ndirectories = ['{place}']\n\
         [log]\nlevel = 'info'\n"
    )
}

/// A command that runs vrouterd with the configuration in `directory`.
pub(crate) fn vrouterd(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrouterd"));
    command.arg("--config").arg(directory.join("vrouter.toml"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VROUTER_")) {
        command.env_remove(name);
    }
    command
}

/// Runs vrouterd to its end, which leaves nothing where DPDK keeps what belongs to a process.
pub(crate) fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = command.spawn().expect("vrouterd can be run");
    let id = process.id();
    let output = process.wait_with_output().expect("vrouterd comes to its end");
    assert!(run_directories(id).is_empty(), "{:?}", run_directories(id));
    output
}

/// Has another program (`ip netns exec NAME`) start a command.
pub(crate) fn wrap(command: &mut Command, wrapper: &[&str]) {
    let mut wrapped = Command::new(wrapper[0]);
    wrapped.args(&wrapper[1..]).arg(command.get_program()).args(command.get_args());
    *command = wrapped;
}

/// What a process of this id has in DPDK's run-time directories.
pub(crate) fn run_directories(process: u32) -> Vec<String> {
    let users = std::env::var("XDG_RUNTIME_DIR").unwrap_or_else(|_| "/tmp".to_owned());
    let places = ["/var/run/dpdk".to_owned(), format!("{users}/dpdk")];
    let entries = places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
    let names = entries.map(|entry| entry.path().display().to_string());
    names.filter(|name| name.ends_with(&format!("-{process}"))).collect()
}

impl Daemon {
    /// A daemon with one worker.
    pub(crate) fn start() -> Self {
        Self::start_with("", |_| {})
    }

    /// A daemon with further settings (`[section]` lines are appended to those of [`config`]).
    pub(crate) fn start_with(settings: &str, arrange: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::Builder::new().prefix("vrouter-test-").tempdir().unwrap();
        arrange(directory.path());
        fs::write(directory.path().join("vrouter.toml"), config(directory.path()) + settings).unwrap();
        Self::start_in(directory, |_| {})
    }

    /// A daemon that may open what is in another one's directory.
    pub(crate) fn start_sharing(other: &Self) -> Self {
        let directory = tempfile::Builder::new().prefix("vrouter-test-").tempdir().unwrap();
        fs::write(directory.path().join("vrouter.toml"), config(directory.path())).unwrap();
        let shared = other.path("");
        Self::start_in(directory, |command| {
            command.arg("--devices-directories").arg(shared);
        })
    }

    /// A daemon that another program starts (`ip netns exec NAME`), with objects in its configuration.
    pub(crate) fn start_wrapped(wrapper: &[&str], objects: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("vrouter-test-").tempdir().unwrap();
        let place = directory.path();
        fs::write(place.join("objects.yaml"), objects).unwrap();
        let settings = format!("[objects]\nfiles = ['{}/objects.yaml']\n", place.display());
        fs::write(place.join("vrouter.toml"), config(place) + &settings).unwrap();
        Self::start_in(directory, |command| wrap(command, wrapper))
    }

    /// A daemon in a directory that has its configuration.
    pub(crate) fn start_in(directory: TempDir, adjust: impl FnOnce(&mut Command)) -> Self {
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let mut command = vrouterd(directory.path());
        adjust(&mut command);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let process = process.expect("vrouterd can be run");
        let runtime = Runtime::new().unwrap();
        let socket = directory.path().join("agent.sock");
        let mut daemon = Starting { directory, process };
        wait_for("the agent socket", || daemon.is_ready(&socket));
        let client = runtime.block_on(connect(&socket));
        let Starting { directory, process } = daemon;
        Self { directory: Some(directory), process, runtime, client }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.as_ref().expect("it was not killed").path().join(name)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Sends one batch.
    pub(crate) fn batch(&mut self, operations: Vec<Operation>) -> BatchResult {
        let batch = Batch { operations, ..Batch::default() };
        let answers = self.client.apply(tokio_stream::iter([batch]));
        let answer = self.runtime.block_on(async { answers.await?.into_inner().message().await });
        answer.expect("the call goes through").expect("there is an answer")
    }

    /// Puts objects; `$DIR` is the daemon's directory.
    pub(crate) fn try_apply(&mut self, yaml: &str) -> BatchResult {
        let yaml = yaml.replace("$DIR", self.path("").display().to_string().trim_end_matches('/'));
        let objects = agent_api::yaml::parse(&yaml).expect("good YAML");
        let put = |object| Operation { operation: Some(operation::Operation::Put(object)) };
        self.batch(objects.into_iter().map(put).collect())
    }

    pub(crate) fn apply(&mut self, yaml: &str) -> BatchResult {
        let result = self.try_apply(yaml);
        assert_eq!(result.code, 0, "{}: {}\n{}", result.field, result.message, self.log());
        result
    }

    pub(crate) fn delete(&mut self, keys: impl IntoIterator<Item = Key>) -> BatchResult {
        let delete = |key| Operation { operation: Some(operation::Operation::Delete(key)) };
        let result = self.batch(keys.into_iter().map(delete).collect());
        assert_eq!(result.code, 0, "{}: {}", result.field, result.message);
        result
    }

    pub(crate) fn stats(&mut self) -> StatsResponse {
        let stats = self.client.stats(StatsRequest::default());
        self.runtime.block_on(stats).expect("the call goes through").into_inner()
    }

    /// Whether interface `name` is up.
    pub(crate) fn is_up(&mut self, name: &str) -> bool {
        let request = ListRequest { kind: Kind::Interface.into(), ..ListRequest::default() };
        let entries = self.runtime.block_on(async {
            let mut answers = self.client.list(request).await.expect("the call goes through").into_inner();
            let mut entries = Vec::new();
            while let Some(answer) = answers.message().await.expect("the answer is whole") {
                entries.extend(answer.entries);
            }
            entries
        });
        entries.iter().any(|entry| {
            let object = entry.object.as_ref().and_then(|object| object.object.as_ref());
            let named =
                matches!(object, Some(object::Object::Interface(interface)) if interface.name == name);
            named && entry.interface.as_ref().is_some_and(|state| state.up)
        })
    }

    /// From now on, what is told of interfaces.
    pub(crate) fn watch_links(&mut self) -> Streaming<WatchEvent> {
        let request = WatchRequest { interfaces: true, ..WatchRequest::default() };
        self.runtime.block_on(self.client.watch(request)).expect("the call goes through").into_inner()
    }

    /// Waits for the next thing that is told.
    pub(crate) fn told(&self, events: &mut Streaming<WatchEvent>) -> InterfaceChange {
        let told = async { tokio::time::timeout(PATIENCE, events.message()).await };
        let event = self.runtime.block_on(told).expect("told in time").expect("the call goes on");
        match event.and_then(|event| event.event) {
            Some(Event::Interface(change)) => change,
            other => panic!("{other:?} was told"),
        }
    }

    /// Packets that interface `name` received and sent.
    pub(crate) fn packets(&mut self, name: &str) -> (u64, u64) {
        let stats = self.stats();
        let found = stats.interfaces.iter().find(|interface| interface.name == name);
        found.map_or((0, 0), |interface| (interface.rx_packets, interface.tx_packets))
    }

    /// The sums of the accounting equation, which holds as soon as no packet is on its way.
    pub(crate) fn accounting(&mut self) -> Accounting {
        let mut accounting = Accounting::default();
        wait_for("the accounts to balance", || {
            accounting = self.stats().accounting.unwrap_or_default();
            balanced(&accounting)
        });
        accounting
    }

    /// Asks it to stop and waits.
    pub(crate) fn stop(mut self) -> Stopped {
        self.signal("TERM");
        let status = self.wait();
        let log = self.log();
        Stopped { status, log, directory: self.path(""), _daemon: self }
    }

    /// Kills it; what is left is in its directory.
    pub(crate) fn kill(mut self) -> TempDir {
        self.signal("KILL");
        self.wait();
        self.directory.take().expect("it was not killed")
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.process_id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("vrouterd to end", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() && self.directory.is_some() {
            eprintln!("--- log of vrouterd\n{}", self.log());
        }
    }
}

/// A daemon that has ended.
pub(crate) struct Stopped {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
    pub(crate) directory: PathBuf,
    // Its directory is looked at.
    _daemon: Daemon,
}

struct Starting {
    directory: TempDir,
    process: Child,
}

impl Starting {
    fn is_ready(&mut self, socket: &Path) -> bool {
        if let Some(status) = self.process.try_wait().unwrap() {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            panic!("vrouterd ended with {status}:\n{log}");
        }
        // A killed daemon's socket is there too, but nobody answers.
        UnixStream::connect(socket).is_ok()
    }
}

async fn connect(socket: &Path) -> Client {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).expect("an address");
    AgentClient::new(endpoint.connect().await.expect("vrouterd accepts connections"))
}

pub(crate) fn balanced(a: &Accounting) -> bool {
    a.received + a.originated + a.copied == a.sent + a.consumed + a.punted + a.held + a.dropped
}

/// Waits until something is so.
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether this test may do what needs root; says so if not.
pub(crate) fn is_root(test: &str) -> bool {
    let output = Command::new("id").arg("-u").output().expect("id can be run");
    let root = output.stdout.starts_with(b"0\n");
    if !root {
        eprintln!("SKIPPED {test}: needs root");
    }
    root
}
