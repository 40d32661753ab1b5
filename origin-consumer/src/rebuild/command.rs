//! `origin-consumer rebuild-table`, from its arguments to its exit code.

use std::io;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::arguments::RebuildArgs;
use super::catalog::{Catalog, Names, Table};
use super::ddl::NotMovable;
use super::plan::{self, Plan};
use super::progress::Progress;
use super::record::{Records, Step};
use super::server::Server;
use crate::config::{Config, ConfigError};
use crate::output;
use crate::queue::{Queue, QueueError};
use crate::serve::{ServeError, open_queue_of_service};

/// Ended; rows differ.
const ROWS_DIFFER: u8 = 3;
const FAILED: u8 = 1;
const NOT_ALLOWED: u8 = 2;
const INTERRUPTED: u8 = 4;

/// The table is not, or not yet, in the present layout. Whatever was done stands, and is not done again.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The configuration, or a name on the command line.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// The table is not there.
    #[error("there is no table {0}, or the user may not see it")]
    NoTable(String),
    /// The table is another one.
    #[error(transparent)]
    NotMovable(#[from] NotMovable),
    /// Which ledger the consumers of a table have that is not the configured one is not known.
    #[error(
        "{0} is not the table of this configuration: give --no-consumers if nobody writes to it, or its own configuration"
    )]
    OtherTable(String),
    /// The disk is too small.
    #[error("{needs} bytes of disk are needed, and {free} are free (rebuild-table --dry-run says for what)")]
    Disk {
        /// For the copy and its merges.
        needs: u64,
        /// On the disks of the table.
        free: u64,
    },
    /// The user may not do it.
    #[error("the ClickHouse user lacks rights: {0}")]
    Rights(String),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] ServeError),
    /// The ledger failed meanwhile.
    #[error("the ledger: {0}")]
    Queue(#[from] QueueError),
    /// The server refused, or is away.
    #[error("clickhouse: {0}")]
    Server(#[from] clickhouse::error::Error),
    /// The tables could not be made the same.
    #[error("{0}; call it again")]
    Unsettled(String),
    /// Another run has begun.
    #[error("another rebuild-table has begun meanwhile; this one ends")]
    Superseded,
    /// It was asked to end.
    #[error("interrupted; call it again to go on")]
    Interrupted,
    /// Nobody reads what it prints.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl RebuildError {
    /// As documented in the help.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::NoTable(_)
            | Self::NotMovable(_)
            | Self::OtherTable(_)
            | Self::Disk { .. }
            | Self::Rights(_) => NOT_ALLOWED,
            Self::Ledger(error) => error.exit_code(),
            Self::Interrupted => INTERRUPTED,
            Self::Queue(_) | Self::Server(_) | Self::Unsettled(_) | Self::Superseded | Self::Output(_) => {
                FAILED
            }
        }
    }
}

/// A run of the command.
pub(super) struct Rebuild {
    pub(super) server: Server,
    pub(super) names: Names,
    pub(super) progress: Progress,
    /// The consumers' ledger, where there are any.
    pub(super) queue: Option<Arc<Queue>>,
    pub(super) drop_old: bool,
}

/// Moves the table, until all is done or `stop`. Returns the exit code.
pub async fn rebuild(
    arguments: &RebuildArgs,
    config: &Config,
    stop: CancellationToken,
) -> Result<u8, RebuildError> {
    let mut clickhouse = config.clickhouse.clone();
    clickhouse.database.clone_from(arguments.database.as_ref().unwrap_or(&config.clickhouse.database));
    clickhouse.table.clone_from(arguments.table.as_ref().unwrap_or(&config.clickhouse.table));
    clickhouse.check()?;
    let is_configured =
        clickhouse.database == config.clickhouse.database && clickhouse.table == config.clickhouse.table;
    let names = Names::of(&clickhouse.table);
    let (database, threads) = (&clickhouse.database, arguments.threads.get());
    let server = Server::new(&clickhouse.client(), database, &names.table, threads, stop);
    let catalog = Catalog::read(&server, &names).await?;
    if arguments.dry_run {
        return dry_run(&server, &names, &catalog).await;
    }
    let queue = match (arguments.no_consumers, is_configured) {
        (true, _) => None,
        (false, true) => Some(Arc::new(open_queue_of_service(&config.queue).await?)),
        (false, false) => return Err(RebuildError::OtherTable(format!("{database}.{}", names.table))),
    };
    let progress = Progress::on_stderr();
    Rebuild { server, names, progress, queue, drop_old: arguments.drop_old }.run(catalog).await
}

async fn dry_run(server: &Server, names: &Names, catalog: &Catalog) -> Result<u8, RebuildError> {
    if catalog.live.is_new() {
        let left = match catalog.other.as_ref().is_some_and(|other| !other.is_new()) {
            true => format!("; the old one is {}, and is to be compared and dropped", names.other),
            false => String::new(),
        };
        output::note(&format!("rebuild-table: {} has the present layout{left}", names.table));
        return Ok(0);
    }
    let plan = Plan::read(server, names).await?;
    output::text(&plan.text(names))?;
    plan::check(server, names, catalog).await?;
    plan.check_disk()?;
    Ok(0)
}

impl Rebuild {
    async fn run(&self, catalog: Catalog) -> Result<u8, RebuildError> {
        if catalog.live.is_new() && catalog.other.as_ref().is_none_or(Table::is_new) {
            self.progress.say("the table has the present layout; there is nothing to do");
            return Ok(0);
        }
        let catalog = match catalog.live.is_new() {
            true => {
                self.begin_run().await?;
                catalog
            }
            false => self.move_rows(&catalog).await?,
        };
        // The new table has its name by now, and its notes go by its UUID.
        let records = Records::of(&self.server, &catalog.live.uuid);
        if records.details(Step::Settled).await?.is_empty() {
            self.settle(&records).await?;
        }
        let wrong = self.verify().await?;
        if !wrong.is_empty() {
            self.report(&wrong);
            return Ok(ROWS_DIFFER);
        }
        self.progress.say("the new table holds every row of the old one, once");
        self.set_ttl(&catalog).await?;
        self.clear(&catalog).await?;
        Ok(0)
    }

    /// Steps 1 to 5. Returns what is there then.
    async fn move_rows(&self, catalog: &Catalog) -> Result<Catalog, RebuildError> {
        plan::check(&self.server, &self.names, catalog).await?;
        let plan = Plan::read(&self.server, &self.names).await?;
        plan.check_disk()?;
        self.begin_run().await?;
        let records = self.make_tables(catalog).await?;
        self.fill(&records, plan.days()).await?;
        let since = self.catch_up(&records).await?;
        self.exchange(&records, since).await?;
        Catalog::read(&self.server, &self.names).await
    }

    /// Ends what earlier runs have left running, and makes this one the only one that goes on.
    async fn begin_run(&self) -> Result<(), RebuildError> {
        self.server.end_earlier().await?;
        Records::make(&self.server).await?;
        self.runs().note(Step::Run, &self.server.run.to_string()).await
    }

    /// A statement that changes something, and is quick.
    pub(super) async fn execute(&self, sql: &str) -> Result<(), RebuildError> {
        self.check_is_last_run().await?;
        self.server.execute(sql).await
    }

    /// A statement that lasts, and writes `rows`, or nothing worth showing.
    pub(super) async fn long(&self, sql: &str, rows: u64) -> Result<(), RebuildError> {
        self.check_is_last_run().await?;
        self.server.long(sql, rows, &self.progress).await
    }

    /// An error where another run has begun.
    async fn check_is_last_run(&self) -> Result<(), RebuildError> {
        let runs = self.runs().details(Step::Run).await?;
        if runs.first() == Some(&self.server.run.to_string()) {
            Ok(())
        } else {
            Err(RebuildError::Superseded)
        }
    }

    fn runs(&self) -> Records {
        Records::of(&self.server, &self.names.table)
    }
}
