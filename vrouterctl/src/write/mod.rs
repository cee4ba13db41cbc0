//! `apply`, `delete` and `sync`: operations out, one result for each batch back.

mod outgoing;
mod report;

use std::{io::Write, path::PathBuf};

use agent_api::{
    key_of, kind_of, kind_of_key, order,
    v1::{
        Batch, Key, Kind, Operation, SyncClose, SyncClosed, SyncOpen, SyncRequest, SyncResponse, operation,
        sync_request, sync_response,
    },
};
use clap::Args;

use self::{
    outgoing::{Outgoing, next, unexpected},
    report::{Report, Words, reason},
};
use crate::{
    batch::{Limits, cut},
    connect::Client,
    error::Error,
    files,
    kinds::ObjectKind,
};

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
    if report.is_refused() {
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
    report.finish_at(generation, &format!(", {kept} kept, {swept} swept"))
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
