//! What `origin-consumer replay` is told on the command line.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use spillway_proto::object_key::ROOT;
use spillway_proto::{ObjectKey, Sha256Digest, TenantId, UnixMillis};

use super::checkpoint::Identity;
use super::range::{TimeRange, When};
use super::rate::Rate;
use super::selection::{Selection, Which};

/// Bring objects that are stored in R2, or were copied from there, into ClickHouse again
#[derive(Debug, Args)]
#[command(after_help = REPLAY_HELP, group = ArgGroup::new("which").required(true).multiple(true))]
pub struct ReplayArgs {
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", env = "SPILLWAY_CONFIG")]
    pub file: Option<PathBuf>,
    /// Objects received from then on: a time, or how long ago, such as 2h or 1d [default: from the first]
    #[arg(long, value_name = "TIME|DURATION", group = "which")]
    pub from: Option<When>,
    /// Objects received before then: a time, or how long ago [default: now]
    #[arg(long, value_name = "TIME|DURATION")]
    pub to: Option<When>,
    /// Of this tenant only; may be repeated [default: of all]
    #[arg(long = "tenant", value_name = "TENANT")]
    pub tenants: Vec<TenantId>,
    /// Objects whose keys begin so, such as v1/2026/11/20/
    #[arg(long, group = "which", value_parser = prefix)]
    pub prefix: Option<String>,
    /// This object; may be repeated
    #[arg(long = "object", value_name = "KEY", group = "which", conflicts_with_all = ["from", "to", "prefix"])]
    pub objects: Vec<ObjectKey>,
    /// Read objects from this folder instead of R2: a copy of the bucket, or files with the names of objects
    #[arg(long, value_name = "DIR", group = "which")]
    pub folder: Option<PathBuf>,
    /// Store them in this database, on the configured server [default: clickhouse.database]
    #[arg(long, value_name = "DATABASE")]
    pub database: Option<String>,
    /// Store them in this table, which must be there [default: clickhouse.table]
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Delete what is stored of each object, and store it anew: see below
    #[arg(long, conflicts_with = "dry_run")]
    pub force: bool,
    /// Show what would be replayed, by tenant and day, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// No faster than this: 5000spans/s or 20objects/s [default: as fast as it goes]
    #[arg(long, value_name = "RATE")]
    pub rate: Option<Rate>,
    /// Batches that are stored side by side
    #[arg(long, value_name = "N", default_value = "2")]
    pub concurrency: NonZeroUsize,
    /// Note here how far it has come, and go on from there if the file is there; it is removed at the end [default: none,
    /// and a replay that is called again looks for everything in the table once more]
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub checkpoint: Option<PathBuf>,
}

const REPLAY_HELP: &str = "\
What is stored already is found in the table, and is not stored twice; what was deleted from it by ALTER TABLE ... DELETE is
stored again. Times are those of receipt at the edge, as the object's key has them. The tenant is not in the key, so --tenant
asks R2 for every object of the time range (one class B operation each).

Into the configured table, the replay shares the ledger (queue.url) with the consumers that run: what one of them has in hand
is left to it, and should the replay be killed, they end what it had in hand. With --folder, objects that the bucket has no
more are put into it first, so that they can; the token must be allowed to write. Links in the folder are followed; what is
passed over (other names, files in the wrong place, links that lead nowhere) is named at the end. Into another --database or
--table no ledger is used, and one replay at a time may go there. The table is to be made first, best by CREATE TABLE new AS
otel_traces.

--force is for a fix in the decoding, or columns that were changed: rows that are there are right for the default, which counts
them and looks no further. It reads each batch from R2, deletes its objects from the table (ALTER TABLE ... DELETE, a mutation a
batch, which rewrites every part that holds a row of them), and then stores them. Readers miss the rows for that long. The
ClickHouse user needs ALTER DELETE. For more than some hours of data, a new table is faster (docs/replay.md).

Examples:
  origin-consumer replay --from 2h --dry-run
  origin-consumer replay --from 2026-11-20T08:00:00Z --to 2026-11-20T12:00:00Z --tenant acme --rate 5000spans/s
  origin-consumer replay --prefix v1/2026/11/20/ --checkpoint replay.json
  origin-consumer replay --folder /backup/spillway --checkpoint replay.json
  origin-consumer replay --from 30d --table otel_traces_new --checkpoint replay.json --concurrency 4
  origin-consumer replay --from 2h --tenant acme --force
  origin-consumer replay --object v1/2026/11/21/03/04/6/01M7Y0Z8SE0000000000000007-d60c108ffaa80ca0a4899a8583e9400e-12.otlp

A replay that was interrupted goes on where it was if it is called again with the same arguments: a relative time, and now,
are then what they were at its start. Its checkpoint is good for no other replay. Besides FILE there is FILE.lock, by which
two processes do not share one.

Progress goes to standard error, as a bar where that is a terminal, else as a line every 5 s; the totals of --dry-run go to
standard output.

SIGINT and SIGTERM end it after the batches in hand, which may take consumer.drain_seconds. While ClickHouse, R2 or the ledger
is away, it tries again for one to four minutes.

Exit codes: 0 all is stored, 1 failed (call it again with the same --checkpoint), 2 the command line, the configuration, the
target table or the checkpoint is wrong, 3 ended, but some objects cannot be read, or a folder has something that may be an
object and is passed over, 4 interrupted (as 1).";

impl ReplayArgs {
    /// What is asked for, at `now`.
    pub fn selection(&self, now: UnixMillis) -> Result<Selection, EmptyRange> {
        let which = if self.objects.is_empty() {
            let prefix = self.prefix.clone().unwrap_or_default();
            Which::Received { range: self.range(now)?, prefix }
        } else {
            Which::these(self.objects.clone())
        };
        Ok(Selection { which, tenants: self.tenants.iter().cloned().collect() })
    }

    /// What makes it this replay and no other; `source` and `target` hold no secret.
    pub fn identity(&self, source: String, target: String) -> Identity {
        let shown = |when: Option<When>| when.map(|when| when.to_string());
        let objects: BTreeSet<_> = self.objects.iter().map(ToString::to_string).collect();
        let digest =
            || Sha256Digest::of(objects.iter().map(String::as_str).collect::<Vec<_>>().join("\n").as_bytes());
        Identity {
            source,
            target,
            from: shown(self.from),
            to: shown(self.to),
            tenants: self.tenants.iter().cloned().collect(),
            prefix: self.prefix.clone(),
            objects: (!objects.is_empty()).then(digest),
            force: self.force,
        }
    }

    fn range(&self, now: UnixMillis) -> Result<TimeRange, EmptyRange> {
        let moment = |when: Option<When>| when.map(|when| when.moment(now));
        let from = moment(self.from).unwrap_or(UnixMillis(0));
        let range = TimeRange { from, until: moment(self.to).unwrap_or(now) };
        if range.is_empty() { Err(EmptyRange) } else { Ok(range) }
    }
}

/// Nothing can have been received in the time that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("--from must be before --to, which is now if it is not given")]
pub struct EmptyRange;

fn prefix(text: &str) -> Result<String, String> {
    if text.starts_with(ROOT) || ROOT.starts_with(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("keys begin with {ROOT}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        replay: ReplayArgs,
    }

    fn parsed(arguments: &str) -> Result<ReplayArgs, clap::Error> {
        let arguments = arguments.split_whitespace();
        Cli::try_parse_from(["replay"].into_iter().chain(arguments)).map(|cli| cli.replay)
    }

    const KEY: &str =
        "v1/2026/11/21/03/04/6/01M7Y0Z8SE0000000000000007-d60c108ffaa80ca0a4899a8583e9400e-12.otlp";

    #[test]
    fn one_must_say_which_objects() {
        for good in [
            "--from 2h",
            "--from 1d --to 2026-11-21T00:00:00Z --tenant acme --tenant other --dry-run",
            "--prefix v1/2026/ --rate 20objects/s --checkpoint replay.json",
            "--folder /backup",
            &format!("--object {KEY} --folder /backup"),
        ] {
            parsed(good).unwrap();
        }
        for bad in [
            "",
            "--to 2h",
            "--tenant acme",
            "--prefix dlq/",
            "--object v1/x",
            &format!("--object {KEY} --from 2h"),
            "--from 2h --concurrency 0",
            "--from 2h --rate 0spans/s",
            "--from 2h --dry-run --checkpoint replay.json",
            "--from 2h --dry-run --force",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_counted_from_now_and_must_not_be_the_wrong_way_round() {
        let now = UnixMillis(1_795_230_245_678);
        let which =
            |arguments: &str| parsed(arguments).unwrap().selection(now).map(|selection| selection.which);
        let received = |from: u64, until: u64| {
            let range = TimeRange { from: UnixMillis(from), until: UnixMillis(until) };
            Ok(Which::Received { range, prefix: String::new() })
        };
        assert_eq!(which("--from 2h"), received(now.0 - 7_200_000, now.0));
        assert_eq!(which("--from 2h --to 1h"), received(now.0 - 7_200_000, now.0 - 3_600_000));
        assert_eq!(which("--folder x --to 1h"), received(0, now.0 - 3_600_000));
        assert_eq!(which("--from 1h --to 2h"), Err(EmptyRange));
        assert_eq!(which("--from 2999-01-01T00:00:00Z"), Err(EmptyRange));
        assert_eq!(
            which(&format!("--object {KEY} --object {KEY}")),
            Ok(Which::These(vec![KEY.parse().unwrap()]))
        );
    }

    #[test]
    fn the_same_arguments_are_the_same_replay_whenever_they_are_given() {
        let identity =
            |arguments: &str| parsed(arguments).unwrap().identity("r2".to_owned(), "ch".to_owned());
        let one = identity("--from 2h --tenant b --tenant a");
        assert_eq!(one, identity("--tenant a --from 120m --tenant b --rate 5spans/s"));
        for other in [
            "--from 3h --tenant a --tenant b",
            "--from 2h --tenant a",
            "--from 2h --to 1h",
            "--prefix v1/",
            "--from 2h --tenant a --tenant b --force",
        ] {
            assert_ne!(one, identity(other), "{other}");
        }
        assert_ne!(identity("--folder x"), identity(&format!("--folder x --object {KEY}")));
    }

    #[test]
    fn the_help_names_every_option_and_exit_code() {
        use clap::CommandFactory;
        let help = Cli::command().render_long_help().to_string();
        for named in
            ["--from", "--tenant", "--object", "--folder", "--checkpoint", "Exit codes: 0", "3 ended"]
        {
            assert!(help.contains(named), "{named}: {help}");
        }
    }
}
