//! `apply`, `delete` and `sync`: operations out, one result for each batch back.

use std::{collections::VecDeque, io::Write, path::PathBuf};

use agent_api::{
    key_of, kind_of, kind_of_key, order,
    v1::{
        Batch, BatchResult, Key, Kind, Operation, SyncClose, SyncClosed, SyncOpen, SyncRequest, SyncResponse,
        operation, sync_request, sync_response,
    },
};
use clap::Args;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, Streaming};

use crate::{
    batch::{Limits, cut},
    connect::Client,
    error::{Error, refusal},
    files,
    kinds::ObjectKind,
};

/// How many batches may wait for their result: enough to hide the round trip, few enough to stop soon.
const WINDOW: usize = 8;

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// YAML or JSON files, directories of them, or `-` for standard input
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// One batch: all objects or none
    #[arg(long)]
    atomic: bool,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// Delete the objects that these files describe: files, directories, or `-`
    #[arg(short, long = "file", value_name = "FILE", conflicts_with_all = ["kind", "keys"])]
    files: Vec<PathBuf>,
    /// The kind of object
    #[arg(
        required_unless_present = "files",
        requires = "keys",
        value_enum,
        ignore_case = true,
        hide_possible_values = true
    )]
    kind: Option<ObjectKind>,
    /// A number, or VRF/PREFIX/LENGTH[/ORIGIN] of a route
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// One batch: all objects or none
    #[arg(long)]
    atomic: bool,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// YAML or JSON files, directories of them, or `-` for standard input: all that is to stay
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Sweep objects of these kinds only
    #[arg(long, value_name = "KIND", value_enum, ignore_case = true, value_delimiter = ',')]
    kinds: Vec<ObjectKind>,
    /// Sweep everything where the files hold no object
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct HowArgs {
    /// Overwrite and delete objects of other owners too
    #[arg(long)]
    takeover: bool,
    /// Print the last line only
    #[arg(short, long)]
    quiet: bool,
}

/// Writes objects.
pub(crate) async fn apply(client: &mut Client, args: &ApplyArgs, out: &mut dyn Write) -> Result<(), Error> {
    let batches = cut(puts(&args.files)?, limits(args.atomic), args.how.takeover);
    let mut report =
        Report::new(out, Words { changed: "applied", unchanged: "unchanged" }, args.how.quiet, true);
    send(client, batches, &mut report).await?;
    report.finish("")
}

/// Deletes objects by file or by key.
pub(crate) async fn delete(client: &mut Client, args: &DeleteArgs, out: &mut dyn Write) -> Result<(), Error> {
    let keys = match args.kind {
        Some(ObjectKind(kind)) => {
            let keys = args.keys.iter().map(|text| Key::parse(kind, text));
            keys.collect::<Result<Vec<_>, _>>().map_err(|error| Error::Usage(error.to_string()))?
        }
        None => {
            let mut objects = files::objects(&args.files)?;
            order::sort_for_delete(&mut objects);
            objects.iter().map(key_of).collect()
        }
    };
    let operations = keys
        .into_iter()
        .map(|key| (kind_of_key(&key), Operation { operation: Some(operation::Operation::Delete(key)) }));
    let batches = cut(operations.collect(), limits(args.atomic), args.how.takeover);
    let mut report =
        Report::new(out, Words { changed: "deleted", unchanged: "not there" }, args.how.quiet, true);
    send(client, batches, &mut report).await?;
    report.finish("")
}

/// Replays objects; what this owner had and did not replay is swept at the end.
pub(crate) async fn sync(client: &mut Client, args: &SyncArgs, out: &mut dyn Write) -> Result<(), Error> {
    let batches = cut(puts(&args.files)?, Limits::USUAL, args.how.takeover);
    if batches.is_empty() && !args.allow_empty {
        let message = "the files hold no object: --allow-empty sweeps everything";
        return Err(Error::Failed(message.into()));
    }
    let words = Words { changed: "applied", unchanged: "unchanged" };
    let mut report = Report::new(out, words, args.how.quiet, false);

    let kinds = args.kinds.iter().map(|kind| kind.0.into()).collect();
    let open = SyncRequest { step: Some(sync_request::Step::Open(SyncOpen { kinds })) };
    let wrap = |batch| SyncRequest { step: Some(sync_request::Step::Batch(batch)) };
    let mut stream = Outgoing::new(batches, wrap, Some(open));
    let mut answers = client.sync(stream.take_requests()?).await?.into_inner();

    while stream.waiting() {
        let result = match next(&mut answers).await? {
            SyncResponse { step: Some(sync_response::Step::Result(result)) } => result,
            _ => return Err(unexpected()),
        };
        stream.answered(&result, &mut report).await?;
    }
    if !report.refused.is_empty() {
        // Leaving without a close sweeps nothing.
        return report.finish("; nothing was swept");
    }
    stream.send(SyncRequest { step: Some(sync_request::Step::Close(SyncClose {})) }).await;
    let SyncClosed { generation, swept, kept } = match next(&mut answers).await? {
        SyncResponse { step: Some(sync_response::Step::Closed(closed)) } => closed,
        SyncResponse { step: Some(sync_response::Step::Result(result)) } => {
            return Err(Error::Failed(format!("nothing was swept: {}", reason(&result))));
        }
        SyncResponse { step: None } => return Err(unexpected()),
    };
    report.generation = generation;
    report.finish(&format!(", {kept} kept, {swept} swept"))
}

const fn limits(atomic: bool) -> Limits {
    if atomic { Limits::NONE } else { Limits::USUAL }
}

fn puts(sources: &[PathBuf]) -> Result<Vec<(Kind, Operation)>, Error> {
    let mut objects = files::objects(sources)?;
    order::sort_for_put(&mut objects);
    let operations = objects
        .into_iter()
        .map(|object| (kind_of(&object), Operation { operation: Some(operation::Operation::Put(object)) }));
    Ok(operations.collect())
}

async fn send(client: &mut Client, batches: Vec<Batch>, report: &mut Report<'_>) -> Result<(), Error> {
    if batches.is_empty() {
        return Ok(());
    }
    let mut stream = Outgoing::new(batches, |batch| batch, None);
    let mut answers = client.apply(stream.take_requests()?).await?.into_inner();
    while stream.waiting() {
        let result = next(&mut answers).await?;
        stream.answered(&result, report).await?;
    }
    Ok(())
}

async fn next<T>(answers: &mut Streaming<T>) -> Result<T, Error> {
    match answers.next().await {
        Some(answer) => Ok(answer?),
        None => Err(Error::Failed("the vRouter ended the stream before it answered every batch".into())),
    }
}

fn unexpected() -> Error {
    Error::Failed("the vRouter answered out of turn".into())
}

/// Batches on their way: at most [`WINDOW`] are sent and not answered, and none is sent after a refusal.
struct Outgoing<Q, W> {
    unsent: VecDeque<Batch>,
    unanswered: VecDeque<(u64, Vec<Key>)>,
    wrap: W,
    sender: mpsc::Sender<Q>,
    requests: Option<mpsc::Receiver<Q>>,
    stopped: bool,
}

impl<Q: Send + 'static, W: Fn(Batch) -> Q> Outgoing<Q, W> {
    /// The first requests are queued before the call: a server may answer the call only when it has read some.
    fn new(batches: Vec<Batch>, wrap: W, first: Option<Q>) -> Self {
        let (sender, requests) = mpsc::channel(WINDOW + 2);
        let mut outgoing = Self {
            unsent: batches.into(),
            unanswered: VecDeque::new(),
            wrap,
            sender,
            requests: Some(requests),
            stopped: false,
        };
        // Neither can fail: the channel has room for the window and for an opening and a closing request.
        if let Some(first) = first {
            let _ = outgoing.sender.try_send(first);
        }
        while outgoing.unanswered.len() < WINDOW
            && let Some(request) = outgoing.pop()
        {
            let _ = outgoing.sender.try_send(request);
        }
        outgoing
    }

    fn take_requests(&mut self) -> Result<ReceiverStream<Q>, Error> {
        self.requests.take().map(ReceiverStream::new).ok_or_else(unexpected)
    }

    fn pop(&mut self) -> Option<Q> {
        let batch = self.unsent.pop_front()?;
        let keys = batch.operations.iter().map(|operation| match &operation.operation {
            Some(operation::Operation::Put(object)) => key_of(object),
            Some(operation::Operation::Delete(key)) => key.clone(),
            None => Key::default(),
        });
        self.unanswered.push_back((batch.id, keys.collect()));
        Some((self.wrap)(batch))
    }

    /// Whether a result is still to come.
    fn waiting(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Takes note of a result and sends the next batch.
    async fn answered(&mut self, result: &BatchResult, report: &mut Report<'_>) -> Result<(), Error> {
        let Some((id, keys)) = self.unanswered.pop_front() else { return Err(unexpected()) };
        if id != result.id {
            return Err(unexpected());
        }
        self.stopped |= !report.result(&keys, result)?;
        if self.stopped {
            report.not_sent = self.unsent.iter().map(|batch| batch.operations.len()).sum();
        } else if let Some(request) = self.pop() {
            self.send(request).await;
        }
        Ok(())
    }

    async fn send(&self, request: Q) {
        // A closed channel means that the call is over: the answers tell why.
        let _ = self.sender.send(request).await;
    }
}

/// How an operation's outcome is called.
struct Words {
    changed: &'static str,
    unchanged: &'static str,
}

/// What is printed of the results.
struct Report<'a> {
    out: &'a mut dyn Write,
    words: Words,
    quiet: bool,
    list_unchanged: bool,
    changed: usize,
    unchanged: usize,
    generation: u64,
    refused: Vec<String>,
    lost: usize,
    not_sent: usize,
}

impl<'a> Report<'a> {
    fn new(out: &'a mut dyn Write, words: Words, quiet: bool, list_unchanged: bool) -> Self {
        Self {
            out,
            words,
            quiet,
            list_unchanged,
            changed: 0,
            unchanged: 0,
            generation: 0,
            refused: Vec::new(),
            lost: 0,
            not_sent: 0,
        }
    }

    /// Prints what became of a batch; whether it was taken.
    fn result(&mut self, keys: &[Key], result: &BatchResult) -> Result<bool, Error> {
        if result.code != Code::Ok as u32 {
            self.refused.push(reason(result));
            self.lost += keys.len();
            return Ok(false);
        }
        let changed = usize::try_from(result.changed).unwrap_or(usize::MAX).min(keys.len());
        self.changed += changed;
        self.unchanged += keys.len() - changed;
        self.generation = self.generation.max(result.generation);
        if self.quiet {
            return Ok(true);
        }
        let mut same = vec![changed == 0; keys.len()];
        for &index in &result.unchanged {
            if let Some(same) = usize::try_from(index).ok().and_then(|index| same.get_mut(index)) {
                *same = true;
            }
        }
        for (key, same) in keys.iter().zip(same) {
            if !same {
                writeln!(self.out, "{key} {}", self.words.changed)?;
            } else if self.list_unchanged {
                writeln!(self.out, "{key} {}", self.words.unchanged)?;
            }
        }
        Ok(true)
    }

    /// The last line, and the refusals as the command's error.
    fn finish(self, more: &str) -> Result<(), Error> {
        let Self { out, words, changed, unchanged, generation, refused, lost, not_sent, .. } = self;
        if refused.is_empty() {
            let (is_changed, is_not) = (words.changed, words.unchanged);
            writeln!(out, "{changed} {is_changed}, {unchanged} {is_not}{more}; generation {generation}")?;
            return Ok(());
        }
        out.flush()?;
        let mut message = refused.join("\n");
        message += &format!("\n{changed} {}, {unchanged} {}, {lost} refused", words.changed, words.unchanged);
        if not_sent > 0 {
            message += &format!(", {not_sent} not tried");
        }
        Err(Error::Failed(message + more))
    }
}

/// Why a batch was refused: the object and the field at fault, and the reason.
fn reason(result: &BatchResult) -> String {
    let code = i32::try_from(result.code).map_or(Code::Unknown, Code::from_i32);
    let message = refusal(&result.message, code);
    match (&result.object, result.field.as_str()) {
        (None, "") => message,
        (None, field) => format!("{field}: {message}"),
        (Some(key), "") => format!("{key}: {message}"),
        (Some(key), field) => format!("{key}: {field}: {message}"),
    }
}
