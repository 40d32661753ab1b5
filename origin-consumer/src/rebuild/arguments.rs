//! What `origin-consumer rebuild-table` is told on the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

/// Move a table of spans to the present layout, beside consumers that run
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct RebuildArgs {
    /// The configuration file
    #[arg(long = "config", value_name = "FILE", env = "SPILLWAY_CONFIG")]
    pub file: Option<PathBuf>,
    /// The database, on the configured server [default: clickhouse.database]
    #[arg(long, value_name = "DATABASE")]
    pub database: Option<String>,
    /// The table [default: clickhouse.table]
    #[arg(long, value_name = "TABLE")]
    pub table: Option<String>,
    /// Show what would be moved and how much disk that needs, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// No consumer writes to the table: needed for a table that is not the configured one, and where there is no ledger
    #[arg(long)]
    pub no_consumers: bool,
    /// Drop the old table at the end, once both were found to hold the same
    #[arg(long, conflicts_with = "dry_run")]
    pub drop_old: bool,
    /// Threads of the server that copy
    #[arg(long, value_name = "N", default_value = "2")]
    pub threads: NonZeroUsize,
}

const HELP: &str = "\
In the first layout, the zone of the server decides on which day a row lies, and the zone of a session what a text means that a
time is compared with. The present layout has UTC in the table itself, and the tenant in the key of the traces' times. A new
database has it; `migrate` and `serve` never move a table.

The new table is TABLE_rebuild. It is made of the old one's own statement (columns, indexes, TTL and settings of your own stay),
filled day by day, brought up to date, and exchanged for the old one. Consumers go on meanwhile. Only at the end are their inserts
paused, for seconds as a rule: objects wait in the queue, and exporters notice nothing. Readers see either the one table or the
other. The old table stays, as TABLE_rebuild, until you drop it: the statement is printed once both were compared.

Disk: as much as the table and its TABLE_trace_id_ts take, and once more its largest partition, for merges; --dry-run says how
much that is, and nothing begins without it.

Interrupted, killed, or failed: call it again. What was done is not done again; the pause ends by itself after 30 s.

Run `origin-consumer migrate` first, with the consumers of this version: those of an older one do not know of the pause. Do not
delete, force a replay (`replay --force`) or alter the table until it has ended.

Examples:
  origin-consumer rebuild-table --dry-run
  origin-consumer rebuild-table
  origin-consumer rebuild-table --table otel_traces_2025 --no-consumers --drop-old

Progress goes to standard error; the totals of --dry-run and the statements for the end go to standard output.

Exit codes: 0 the table has the present layout, and holds all that the old one does; 1 failed (call it again); 2 the command line,
the configuration, the table, the rights or the disk do not allow it; 3 ended, but rows differ (each object is named, and nothing
is dropped); 4 interrupted (as 1).";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        rebuild: RebuildArgs,
    }

    #[test]
    fn a_dry_run_drops_nothing_and_the_help_names_every_exit_code() {
        Cli::try_parse_from(["rebuild-table", "--drop-old", "--threads", "4"]).unwrap();
        for bad in [["--dry-run", "--drop-old"], ["--threads", "0"]] {
            assert!(Cli::try_parse_from(["rebuild-table"].into_iter().chain(bad)).is_err(), "{bad:?}");
        }
        let help = Cli::command().render_long_help().to_string();
        for named in ["--no-consumers", "Exit codes: 0", "1 failed", "2 the", "3 ended", "4 interrupted"] {
            assert!(help.contains(named), "{named}: {help}");
        }
    }
}
