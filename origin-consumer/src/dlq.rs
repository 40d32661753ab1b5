//! `origin-consumer dlq`: what operators do with objects that were set aside.

use std::io;

use clap::{Args, Subcommand};
use spillway_proto::ObjectKey;

use crate::dead_letters::{as_json, copy_of};
use crate::objects::{Bucket, ObjectError};
use crate::output;
use crate::queue::{DeadFilter, DeadObject, Queue, QueueError};
use crate::time::now;

/// Dead objects of one question to the ledger.
const PAGE: u32 = 1000;

/// List, show, retry or discard objects that could not be stored
///
/// An object is dead after it has failed by its own fault as often as consumer.poison_tries says. Nothing of it is lost: it
/// lies where the edge has put it, and a copy under dlq/ in the bucket, with its reason beside it.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 the ledger or the bucket failed, 2 the command line or the configuration is wrong, 3 no such dead object.";

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// List dead objects, in the order of their keys
    List {
        /// Of this tenant only
        #[arg(long)]
        tenant: Option<String>,
        /// Those that were discarded, instead of those that wait for somebody
        #[arg(long)]
        discarded: bool,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = PAGE, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// As JSON: an array of objects
        #[arg(long)]
        json: bool,
    },
    /// Show all that is known of one, as JSON
    Show {
        /// Its key
        object: ObjectKey,
    },
    /// Let dead objects wait for the consumer again; what is stored of them is not stored again
    Retry(Chosen),
    /// Say that nobody wants dead objects any more; they stay in the bucket
    Discard {
        #[command(flatten)]
        chosen: Chosen,
        /// Why; it is kept
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Chosen {
    /// Their keys
    #[arg(conflicts_with_all = ["all", "tenant"])]
    objects: Vec<ObjectKey>,
    /// All of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// All
    #[arg(long)]
    all: bool,
}

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum DlqError {
    /// The ledger failed.
    #[error("the ledger: {0}")]
    Queue(#[from] QueueError),
    /// The bucket failed.
    #[error("the bucket: {0}")]
    Bucket(#[from] ObjectError),
    /// Nobody reads what it prints.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// None of the objects is dead.
    #[error("{0}")]
    NotDead(String),
}

impl DlqError {
    /// As documented in the help.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Queue(_) | Self::Bucket(_) | Self::Output(_) => 1,
            Self::NotDead(_) => 3,
        }
    }
}

impl DlqArgs {
    /// Whether the bucket is needed.
    pub fn wants_bucket(&self) -> bool {
        matches!(self.command, DlqCommand::Retry(_))
    }
}

/// Runs a command.
pub async fn run(arguments: DlqArgs, queue: &Queue, bucket: &Bucket) -> Result<(), DlqError> {
    match arguments.command {
        DlqCommand::List { tenant, discarded, limit, json } => {
            let dead = queue.dead(DeadFilter { tenant, discarded, after: None, limit }).await?;
            list(&dead, json)?;
        }
        DlqCommand::Show { object } => {
            let dead = queue.dead_object(&object).await?.ok_or_else(|| not_dead(&object))?;
            output::text(&(output::json(&as_json(&dead))? + "\n"))?;
            let copy = if dead.copied { copy_of(&object) } else { "not copied yet".to_owned() };
            output::note(&format!("its copy in the bucket: {copy}"));
        }
        DlqCommand::Retry(chosen) => {
            let mut retried = 0;
            for object in chosen.read(queue).await? {
                restore(bucket, &object).await?;
                if queue.retry_dead(&object, now()).await? {
                    retried += 1;
                } else {
                    output::note(&format!("{object} is not dead, or a resend of it has taken its place"));
                }
            }
            done(retried, "wait for the consumer")?;
        }
        DlqCommand::Discard { chosen, reason } => {
            let mut discarded = 0;
            for object in chosen.read(queue).await? {
                if queue.discard(&object, format!("discarded: {reason}"), now()).await? {
                    discarded += 1;
                } else {
                    output::note(&format!("{object} is not dead"));
                }
            }
            done(discarded, "are discarded")?;
        }
    }
    Ok(())
}

impl Chosen {
    async fn read(self, queue: &Queue) -> Result<Vec<ObjectKey>, QueueError> {
        if !self.objects.is_empty() {
            return Ok(self.objects);
        }
        let mut keys: Vec<ObjectKey> = Vec::new();
        loop {
            let filter = DeadFilter {
                tenant: self.tenant.clone(),
                discarded: false,
                after: keys.last().cloned(),
                limit: PAGE,
            };
            let page = queue.dead(filter).await?;
            let is_last = page.len() < PAGE as usize;
            keys.extend(page.into_iter().map(|dead| dead.notification.object_key));
            if is_last {
                return Ok(keys);
            }
        }
    }
}

/// Where the object itself has gone, as by a lifecycle rule, its copy takes its place.
async fn restore(bucket: &Bucket, object: &ObjectKey) -> Result<(), ObjectError> {
    let key = object.to_string();
    if bucket.has(&key).await? {
        return Ok(());
    }
    let copy = copy_of(object);
    if bucket.has(&copy).await? {
        bucket.copy(&copy, &key).await?;
        output::note(&format!("{key} was gone, and is there again from its copy"));
    }
    Ok(())
}

fn list(dead: &[DeadObject], json: bool) -> io::Result<()> {
    if json {
        let dead: Vec<_> = dead.iter().map(as_json).collect();
        return output::text(&(output::json(&dead)? + "\n"));
    }
    if dead.is_empty() {
        output::note("there are none");
        return Ok(());
    }
    let rows: Vec<_> = dead
        .iter()
        .map(|dead| {
            let key = &dead.notification.object_key;
            [
                key.to_string(),
                dead.notification.tenant.to_string(),
                key.spans().to_string(),
                dead.failures.to_string(),
                dead.dead_at.date().format("%Y-%m-%d %H:%M:%S").to_string(),
                dead.reason.clone(),
            ]
        })
        .collect();
    output::text(&output::table(["OBJECT", "TENANT", "SPANS", "TRIES", "DEAD SINCE", "REASON"], &rows))
}

fn done(objects: usize, what: &str) -> Result<(), DlqError> {
    if objects == 0 {
        return Err(DlqError::NotDead("there are no such dead objects".to_owned()));
    }
    output::note(&format!("{objects} objects {what}"));
    Ok(())
}

fn not_dead(object: &ObjectKey) -> DlqError {
    DlqError::NotDead(format!("{object} is not dead"))
}
