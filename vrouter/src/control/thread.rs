//! The control thread: one owner of [`Control`], fed by a queue. Batches that wait while a generation is
//! built go into the next one together; each is answered when every worker uses it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use agent_api::v1::{self, Kind};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use packet::{Address, InterfaceId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{Code, Control, Fault, Owner, Ports, Replay, Shown, Snapshot, Swept, Watchers};
use crate::tables::Tables;

/// Batches (of up to 4 MiB each) that may wait: more, and their senders wait instead.
const WAITING: usize = 64;
/// How long batches are gathered into one generation at most.
const GATHER: Duration = Duration::from_micros(500);
/// How often workers' events are looked at when nothing else happens.
const EVENTS: Duration = Duration::from_millis(1);
/// How often links are looked at: whoever watches is told within a second that a peer went.
const LINKS: Duration = Duration::from_millis(200);
/// A worker that has not passed a burst boundary for so long is stuck.
const STUCK: Duration = Duration::from_millis(100);

/// Something that a worker wants the control side to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// A packet waits for this neighbour.
    NeighbourNeeded {
        /// Where it is to be asked for.
        interface: InterfaceId,
        /// Whether the address is IPv6.
        v6: bool,
        /// Who is wanted.
        address: Address,
    },
    /// A packet that was handed up.
    Punt {
        /// The name of its class.
        class: &'static str,
        /// Where it came in.
        interface: InterfaceId,
        /// The whole frame.
        frame: Vec<u8>,
    },
}

/// The workers, as the control thread talks to them.
pub trait Workers: Send {
    /// Takes what workers have to say.
    fn drain(&mut self, events: &mut Vec<WorkerEvent>);
    /// Sends a frame out of an interface; `false` if no worker can take it.
    fn transmit(&mut self, interface: InterfaceId, frame: Vec<u8>) -> bool;
    /// Treats a frame as received on an interface; `false` if no worker can take it.
    fn receive(&mut self, interface: InterfaceId, frame: Vec<u8>) -> bool;
}

/// No workers: frames go nowhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWorkers;

impl Workers for NoWorkers {
    fn drain(&mut self, _: &mut Vec<WorkerEvent>) {}

    fn transmit(&mut self, _: InterfaceId, _: Vec<u8>) -> bool {
        false
    }

    fn receive(&mut self, _: InterfaceId, _: Vec<u8>) -> bool {
        false
    }
}

enum Command {
    Apply(Owner, v1::Batch, oneshot::Sender<v1::BatchResult>),
    Open(Owner, Vec<Kind>, oneshot::Sender<Result<Replay, Fault>>),
    Close(Replay, oneshot::Sender<Result<Swept, Fault>>),
    Snapshot(Kind, oneshot::Sender<Snapshot>),
    Neighbours(Option<InterfaceId>, oneshot::Sender<Vec<v1::Neighbour>>),
    PacketOut(v1::PacketOutMessage, oneshot::Sender<bool>),
    TableStats(oneshot::Sender<Vec<v1::TableStats>>),
}

/// An answer that is ready when the generation is effective.
enum Answer {
    Batch(v1::BatchResult, oneshot::Sender<v1::BatchResult>),
    Swept(Result<Swept, Fault>, oneshot::Sender<Result<Swept, Fault>>),
}

/// The way to the control thread. Cloned freely.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Sender<Command>,
    room: Arc<Semaphore>,
    watchers: Arc<Watchers>,
    punts: Arc<super::Punts>,
    shown: Arc<Shown>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Command")
    }
}

fn gone() -> Fault {
    Fault::general(Code::Unavailable, "the vRouter is shutting down")
}

impl Handle {
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Fault> {
        let (sender, receiver) = oneshot::channel();
        self.commands.send(command(sender)).map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())
    }

    /// Applies a batch; the answer comes when every worker uses it.
    pub async fn apply(&self, owner: &Owner, batch: v1::Batch) -> v1::BatchResult {
        self.submit(owner, batch).await.result().await
    }

    /// Queues a batch, when there is room. Batches are taken in the order in which they are submitted, so that
    /// several of one client can go into one generation.
    pub async fn submit(&self, owner: &Owner, batch: v1::Batch) -> Pending {
        let id = batch.id;
        let (answer, receiver) = oneshot::channel();
        let room = Arc::clone(&self.room).acquire_owned().await.ok();
        // If nobody is there, the answer says so.
        let _ = self.commands.send(Command::Apply(owner.clone(), batch, answer));
        Pending { id, receiver, result: None, _room: room }
    }

    /// The tables as they were last published.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        self.shown.get()
    }

    /// Entries and capacity of every table.
    ///
    /// # Errors
    /// The control thread is gone.
    pub async fn table_stats(&self) -> Result<Vec<v1::TableStats>, Fault> {
        self.ask(Command::TableStats).await
    }

    /// Opens a replay.
    ///
    /// # Errors
    /// The control thread is gone, or has no room for another owner.
    pub async fn open_replay(&self, owner: &Owner, kinds: Vec<Kind>) -> Result<Replay, Fault> {
        self.ask(|answer| Command::Open(owner.clone(), kinds, answer)).await?
    }

    /// Closes a replay; the answer comes when no worker uses what was swept.
    ///
    /// # Errors
    /// The control thread is gone, or the sweep was refused and nothing was deleted.
    pub async fn close_replay(&self, replay: Replay) -> Result<Swept, Fault> {
        self.ask(|answer| Command::Close(replay, answer)).await?
    }

    /// The objects as they are now.
    ///
    /// # Errors
    /// The control thread is gone.
    pub async fn snapshot(&self, kind: Kind) -> Result<Snapshot, Fault> {
        self.ask(|answer| Command::Snapshot(kind, answer)).await
    }

    /// All neighbours, of one interface or of all.
    ///
    /// # Errors
    /// The control thread is gone.
    pub async fn neighbours(&self, interface: Option<InterfaceId>) -> Result<Vec<v1::Neighbour>, Fault> {
        self.ask(|answer| Command::Neighbours(interface, answer)).await
    }

    /// Hands a packet to a worker; whether one took it.
    ///
    /// # Errors
    /// The control thread is gone.
    pub async fn packet_out(&self, message: v1::PacketOutMessage) -> Result<bool, Fault> {
        self.ask(|answer| Command::PacketOut(message, answer)).await
    }

    /// Who watches.
    #[must_use]
    pub fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Who takes punted packets.
    #[must_use]
    pub fn punts(&self) -> &super::Punts {
        &self.punts
    }
}

/// A batch on its way.
#[derive(Debug)]
pub struct Pending {
    id: u64,
    receiver: oneshot::Receiver<v1::BatchResult>,
    result: Option<v1::BatchResult>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Pending {
    /// Waits until the result is there. May be given up and called again.
    pub async fn ready(&mut self) {
        if self.result.is_none() {
            let result = (&mut self.receiver).await;
            self.result = Some(result.unwrap_or_else(|_| gone().into_result(self.id, 0)));
        }
    }

    /// The result, when every worker uses what the batch changed.
    pub async fn result(mut self) -> v1::BatchResult {
        self.ready().await;
        self.result.unwrap_or_default()
    }
}

/// The running thread; ends when it is dropped.
#[derive(Debug)]
pub struct ControlThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    handle: Handle,
}

impl ControlThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start<P, W>(control: Control<P>, workers: W) -> io::Result<Self>
    where
        P: Ports + 'static,
        W: Workers + 'static,
    {
        let (commands, queue) = unbounded();
        let (stop, punts) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let handle = Handle {
            commands,
            room: Arc::new(Semaphore::new(WAITING)),
            watchers: Arc::clone(control.watchers()),
            punts: Arc::clone(&punts),
            shown: Arc::clone(control.shown()),
        };
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            Loop {
                control,
                workers,
                queue,
                punts,
                stop: seen,
                start: Instant::now(),
                links: Instant::now(),
                answers: Vec::new(),
                events: Vec::new(),
            }
            .run();
        })?;
        Ok(Self { stop, thread: Some(thread), handle })
    }

    /// The way to the thread.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for ControlThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the control thread has panicked");
        }
    }
}

struct Loop<P, W> {
    control: Control<P>,
    workers: W,
    queue: Receiver<Command>,
    punts: Arc<super::Punts>,
    stop: Arc<AtomicBool>,
    start: Instant,
    /// When links were last looked at.
    links: Instant,
    answers: Vec<Answer>,
    events: Vec<WorkerEvent>,
}

impl<P: Ports, W: Workers> Loop<P, W> {
    fn run(&mut self) {
        while !self.stop.load(Ordering::Acquire) {
            match self.queue.recv_timeout(EVENTS) {
                Ok(command) => self.gather(command),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.control.advance(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX));
            self.hear_workers();
            if self.links.elapsed() >= LINKS {
                self.links = Instant::now();
                self.control.poll_links();
            }
            self.bring_into_effect();
            for (interface, frame) in self.control.take_frames() {
                self.workers.transmit(interface, frame);
            }
        }
    }

    /// Takes what is queued, for a moment.
    fn gather(&mut self, first: Command) {
        let until = Instant::now() + GATHER;
        self.obey(first);
        while Instant::now() < until
            && let Ok(command) = self.queue.try_recv()
        {
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        // Whoever has asked may have gone: then nobody wants the answer.
        match command {
            Command::Apply(owner, batch, answer) => {
                let id = batch.id;
                let result = match self.control.execute(&owner, batch) {
                    Ok(outcome) => outcome.into_result(id),
                    Err(fault) => fault.into_result(id, self.control.generation()),
                };
                self.answers.push(Answer::Batch(result, answer));
            }
            Command::Open(owner, kinds, answer) => {
                let _ = answer.send(self.control.open_replay(&owner, &kinds));
            }
            Command::Close(replay, answer) => {
                self.answers.push(Answer::Swept(self.control.close_replay(&replay), answer));
            }
            Command::Snapshot(kind, answer) => {
                // What is shown has been answered, and what was answered is in effect.
                self.bring_into_effect();
                let _ = answer.send(self.control.snapshot(kind));
            }
            Command::Neighbours(interface, answer) => {
                let _ = answer.send(self.control.neighbours(interface));
            }
            Command::TableStats(answer) => {
                let _ = answer.send(self.control.table_stats());
            }
            Command::PacketOut(message, answer) => {
                let interface = u16::try_from(message.interface).ok().map(InterfaceId);
                let known = interface.filter(|&id| self.control.tables().interface(id).is_some());
                let taken = known.is_some_and(|id| {
                    if message.ingress {
                        self.workers.receive(id, message.packet)
                    } else {
                        self.workers.transmit(id, message.packet)
                    }
                });
                let _ = answer.send(taken);
            }
        }
    }

    fn hear_workers(&mut self) {
        self.workers.drain(&mut self.events);
        for event in std::mem::take(&mut self.events) {
            match event {
                WorkerEvent::NeighbourNeeded { interface, v6, address } => {
                    self.control.neighbour_needed(interface, v6, address);
                }
                WorkerEvent::Punt { class, interface, frame } => {
                    self.control.hear(interface, &frame);
                    self.punts.tell(class, interface, &frame);
                }
            }
        }
    }

    /// Publishes what is new, waits until every worker uses it, and answers.
    fn bring_into_effect(&mut self) {
        self.control.publish();
        let since = Instant::now();
        let mut alarm = STUCK;
        while !self.control.is_effective() {
            let waited = since.elapsed();
            if waited > alarm {
                let workers: Vec<usize> = self.control.laggards().collect();
                tracing::warn!(?workers, ?waited, "workers have not passed a burst boundary");
                alarm *= 2;
            }
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            // A polling worker passes within a burst; one that shares our core needs the core.
            if waited < Duration::from_micros(20) {
                std::hint::spin_loop();
            } else if waited < Duration::from_millis(1) {
                std::thread::yield_now();
            } else {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        self.control.settle();
        for answer in self.answers.drain(..) {
            match answer {
                Answer::Batch(result, answer) => drop(answer.send(result)),
                Answer::Swept(result, answer) => drop(answer.send(result)),
            }
        }
    }
}
