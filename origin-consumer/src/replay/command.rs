//! `origin-consumer replay`, from its arguments to its exit code.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::arguments::{EmptyRange, ReplayArgs};
use super::bring::{Bring, PutBack};
use super::checkpoint::{Checkpoint, CheckpointError};
use super::in_flight::{Counts, Done};
use super::progress::Progress;
use super::rate::Throttle;
use super::run::{Ended, Run, Why};
use super::selection::{Found, Selection};
use super::target::{Target, TargetError};
use super::totals::Totals;
use crate::config::{Config, ConfigError};
use crate::consume::{Consumer, ConsumerConfig};
use crate::insert::SpanTable;
use crate::metrics::Metrics;
use crate::objects::{Bucket, Folder, FolderError, ObjectError, Objects, PassedOver};
use crate::output;
use crate::queue::{Queue, QueueError};
use crate::serve::{ServeError, open_queue_of_service};
use crate::telemetry::Telemetry;
use crate::time::now;

/// Objects that a dry run asks for side by side.
const DESCRIPTIONS: usize = 16;

/// Ended; some objects cannot be read.
const SOME_UNREADABLE: u8 = 3;
const FAILED: u8 = 1;
const INTERRUPTED: u8 = 4;

/// A replay could not begin, or could not note how far it came.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The configuration, or a name on the command line.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// No time lies within the arguments.
    #[error(transparent)]
    Range(#[from] EmptyRange),
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The table.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] ServeError),
    /// The ledger in memory.
    #[error("no ledger can be made in memory: {0}")]
    Memory(#[from] QueueError),
    /// The objects cannot be looked through.
    #[error("cannot look through the objects: {0}")]
    Objects(#[from] ObjectError),
    /// Nobody reads what it prints.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl ReplayError {
    /// As documented in the help.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Target(TargetError::Server(_)) | Self::Memory(_) | Self::Objects(_) | Self::Output(_) => {
                FAILED
            }
            Self::Ledger(error) => error.exit_code(),
            Self::Config(_)
            | Self::Range(_)
            | Self::Folder(_)
            | Self::Checkpoint(_)
            | Self::Target(TargetError::NoTable(_) | TargetError::Schema { .. }) => 2,
        }
    }
}

/// Replays until all is stored, or until `stop`. Returns the exit code.
pub async fn replay(
    arguments: &ReplayArgs,
    config: &Config,
    stop: CancellationToken,
) -> Result<u8, ReplayError> {
    config.consumer.check()?;
    let selection = arguments.selection(now())?;
    let (source, passed_over) = source(arguments, config, &selection)?;
    if arguments.dry_run {
        return Ok(stop
            .run_until_cancelled(dry_run(&selection, &source, &passed_over))
            .await
            .transpose()?
            .unwrap_or(INTERRUPTED));
    }
    let target = Target::of(&config.clickhouse, arguments)?;
    if target.is_live {
        config.check_consumer()?;
    }
    let table = SpanTable::new(&target.clickhouse, config.consumer.insert_timeout());
    target.check(&table).await?;
    table.warn_of_layout().await.map_err(TargetError::Server)?;
    let mut checkpoint = match &arguments.checkpoint {
        Some(path) => {
            let identity = arguments.identity(place_of(arguments, config)?, target.place());
            Some(tokio::task::block_in_place(|| Checkpoint::open(path, &identity, &selection))?)
        }
        None => None,
    };
    // Relative times are those of its start.
    let selection = checkpoint.as_ref().map_or(selection, Checkpoint::selection);
    let done = checkpoint.as_ref().map_or_else(Done::default, |checkpoint| checkpoint.done().clone());
    let bring = bring(arguments, config, &target, table, &source, &stop).await?;

    let progress = Progress::on_stderr();
    progress.say(&beginning(&target, config, &done));
    let run = Run {
        selection,
        source,
        limits: bring.limits,
        bring: Arc::new(bring),
        throttle: Throttle::new(arguments.rate),
        concurrency: arguments.concurrency.get(),
        drain: config.consumer.drain(),
        stop,
    };
    let ended = run.run(done, &mut checkpoint, &progress).await;
    progress.end();
    let ended = ended?;
    passed_over.lines().for_each(|line| progress.say(&line));
    progress.say(&ending(&ended, &passed_over, arguments.checkpoint.as_deref()));
    if let (Why::Complete, Some(checkpoint)) = (&ended.why, checkpoint) {
        tokio::task::block_in_place(|| checkpoint.remove())?;
    }
    Ok(exit_code(&ended, &passed_over))
}

/// Where the objects are read from, and what of a folder is not read though it lies where they were asked for.
fn source(
    arguments: &ReplayArgs,
    config: &Config,
    selection: &Selection,
) -> Result<(Objects, PassedOver), ReplayError> {
    let (objects, passed_over) = match &arguments.folder {
        Some(path) => tokio::task::block_in_place(|| {
            let folder = Folder::open(path)?;
            let passed_over = selection.passed_over(&folder)?;
            Ok::<_, FolderError>((Objects::in_folder(folder, config.s3.max_object_bytes), passed_over))
        })?,
        None => {
            config.s3.check()?;
            (Objects::new(&config.s3), PassedOver::default())
        }
    };
    Ok((objects.decompressing_to(config.consumer.max_decompressed_bytes), passed_over))
}

/// The name of the source; whoever reads the checkpoint may see it.
fn place_of(arguments: &ReplayArgs, config: &Config) -> Result<String, ReplayError> {
    Ok(match &arguments.folder {
        Some(path) => std::path::absolute(path)?.display().to_string(),
        None => format!("{}/{}", config.s3.endpoint.trim_end_matches('/'), config.s3.bucket),
    })
}

async fn dry_run(
    selection: &Selection,
    source: &Objects,
    passed_over: &PassedOver,
) -> Result<u8, ReplayError> {
    let (mut totals, mut unreadable) = (Totals::default(), 0);
    let objects = selection.find(source, None, DESCRIPTIONS);
    let mut objects = std::pin::pin!(objects);
    while let Some(found) = objects.try_next().await? {
        match found {
            Found::Wanted(notification) => totals.add(&notification),
            Found::OfAnother(_) => {}
            Found::Unreadable(key, reason) => {
                output::note(&format!("cannot be read: {key}: {reason}"));
                unreadable += 1;
            }
        }
    }
    passed_over.lines().for_each(|line| output::note(&line));
    output::text(&totals.table())?;
    Ok(if unreadable + passed_over.misses() > 0 { SOME_UNREADABLE } else { 0 })
}

async fn bring(
    arguments: &ReplayArgs,
    config: &Config,
    target: &Target,
    table: SpanTable,
    source: &Objects,
    stop: &CancellationToken,
) -> Result<Bring, ReplayError> {
    let queue = if target.is_live {
        open_queue_of_service(&config.queue).await?
    } else {
        Queue::in_memory(config.queue.resend_window_seconds).await?
    };
    let queue = Arc::new(queue);
    // Nobody reads these counts; what is shown is counted by the replay itself.
    let metrics = Arc::new(Metrics::default());
    // As many inserts side by side as it was told batches.
    let inserts = arguments.concurrency.get();
    let consumer = |objects: Objects| {
        let config = ConsumerConfig { inserts, ..config.consumer.clone() };
        let (queue, metrics) = (Arc::clone(&queue), Arc::clone(&metrics));
        let telemetry = Telemetry::default();
        Consumer::new(config, queue, objects, table.clone(), metrics, telemetry)
    };
    let bucket = || Objects::new(&config.s3).decompressing_to(config.consumer.max_decompressed_bytes);
    let successor = consumer(if target.is_live { bucket() } else { source.clone() });
    let ours = consumer(source.clone());
    let is_from_folder = arguments.folder.is_some();
    Ok(Bring {
        consumer: if arguments.force { ours.replacing() } else { ours },
        successor,
        limits: config.consumer.claim_limits(),
        force: arguments.force,
        put_back: (is_from_folder && target.is_live)
            .then(|| PutBack { folder: source.clone(), bucket: Bucket::new(&config.s3) }),
        stop: stop.clone(),
        queue,
    })
}

fn beginning(target: &Target, config: &Config, done: &Done) -> String {
    let ledger = if target.is_live { config.queue.shown() } else { "none, the table tells".to_owned() };
    let from = done.through.as_ref().map_or_else(String::new, |key| format!(", after {key}"));
    format!("replay: into {} (ledger: {ledger}){from}", target.name())
}

fn ending(ended: &Ended, passed_over: &PassedOver, checkpoint: Option<&Path>) -> String {
    let Counts { unreadable, in_hand, .. } = ended.done.counts;
    let go_on = match checkpoint {
        Some(path) => format!("call it again with the same arguments to go on from {}", path.display()),
        None => "call it again with the same arguments: what is stored is found, and not stored twice; \
                 with --checkpoint it would go on where it was"
            .to_owned(),
    };
    let (all, others, not_read) = match passed_over.count() {
        0 => ("all is stored", "all others", String::new()),
        count => (
            "all objects that were found are stored",
            "all others that were found",
            format!("; {count} entries of the folder were passed over, see above"),
        ),
    };
    match &ended.why {
        Why::Complete if unreadable > 0 => {
            format!("replay: ended; {unreadable} objects cannot be read, {others} are stored{not_read}")
        }
        Why::Complete if in_hand > 0 => {
            format!("replay: ended; {all}, but for {in_hand} objects that a consumer has in hand{not_read}")
        }
        Why::Complete if ended.done.counts == Counts::default() => {
            format!("replay: ended; there are no such objects{not_read}")
        }
        Why::Complete => format!("replay: ended; {all}{not_read}"),
        Why::Interrupted => format!("replay: interrupted; {go_on}"),
        Why::Failed(reason) => format!("replay: failed: {reason}; {go_on}"),
    }
}

fn exit_code(ended: &Ended, passed_over: &PassedOver) -> u8 {
    match &ended.why {
        Why::Complete if ended.done.counts.unreadable + passed_over.misses() > 0 => SOME_UNREADABLE,
        Why::Complete => 0,
        Why::Interrupted => INTERRUPTED,
        Why::Failed(_) => FAILED,
    }
}
