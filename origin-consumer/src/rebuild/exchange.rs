//! Step 5: the new tables in the place of the old ones.
//!
//! Two tables cannot be exchanged in one step, so each step leaves something that works, should this end there:
//!
//! | done | spans go to | their times go to |
//! | --- | --- | --- |
//! | nothing | the old table | the old times, by the old view |
//! | the view has its new query | the old table | the old times: what they have no column for is left out |
//! | the times are exchanged | the old table | the new times, which have those of all spans of before |
//! | the spans are exchanged | the new table | the new times |

use super::catalog::{Catalog, last_block};
use super::command::{Rebuild, RebuildError};
use super::ddl;
use super::pause::Pause;
use super::reconcile::{Scope, Way};
use super::record::{Records, Step};
use crate::failpoints;

/// What the table that is shipped has: tokens that are remembered.
const DEDUPLICATION_WINDOW: u64 = 10_000;

impl Rebuild {
    /// Pauses the inserts, makes the tables the same, exchanges them, and lets the inserts go on.
    pub(super) async fn exchange(&self, records: &Records, since: u64) -> Result<(), RebuildError> {
        let pause = Pause::begin(self.queue.as_ref()).await?;
        let exchanged = self.exchange_in(&pause, records, since).await;
        self.after_pause(pause, exchanged).await
    }

    /// An error does not keep the pause from being ended.
    async fn after_pause(&self, pause: Pause, done: Result<(), RebuildError>) -> Result<(), RebuildError> {
        let ended = pause.end().await;
        done.and(ended)
    }

    async fn exchange_in(&self, pause: &Pause, records: &Records, since: u64) -> Result<(), RebuildError> {
        failpoints::pass("rebuild::paused");
        self.await_quiet().await?;
        failpoints::pass("rebuild::quiet");
        let (server, names) = (&self.server, &self.names);
        let database = &server.database;
        let block = last_block(server, &names.table).await?;
        self.catch_up_at_last(records, since).await?;
        failpoints::pass("rebuild::same");
        let catalog = Catalog::read(server, names).await?;
        self.remember_tokens(&catalog).await?;
        self.set_view_query(&catalog).await?;
        failpoints::pass("rebuild::view_changed");
        self.execute(&format!("DROP VIEW IF EXISTS {database}.{}", names.other_view)).await?;
        records.note(Step::Exchanging, &block.to_string()).await?;
        pause.hold().await?;
        if catalog.old_times().is_some() && catalog.other_times.is_some() {
            let (times, other) = (&names.times, &names.other_times);
            self.execute(&format!("EXCHANGE TABLES {database}.{times} AND {database}.{other}")).await?;
        }
        failpoints::pass("rebuild::times_exchanged");
        pause.hold().await?;
        self.execute(&format!("EXCHANGE TABLES {database}.{} AND {database}.{}", names.table, names.other))
            .await?;
        failpoints::pass("rebuild::exchanged");
        pause.hold().await?;
        self.settle_in(records).await
    }

    /// Step 5 of a run that ended between the exchange and its end, or whose pause was over: what came into the old table after the
    /// last comparison is brought into the new one, while consumers insert nothing.
    pub(super) async fn settle(&self, records: &Records) -> Result<(), RebuildError> {
        let pause = Pause::begin(self.queue.as_ref()).await?;
        let settled = async {
            self.await_quiet().await?;
            self.settle_in(records).await
        };
        let settled = settled.await;
        self.after_pause(pause, settled).await
    }

    async fn settle_in(&self, records: &Records) -> Result<(), RebuildError> {
        // Nobody but this command exchanges tables: there is such a note.
        if let Some(after) = records.block(Step::Exchanging).await? {
            let way = Way { from: &self.names.other, to: &self.names.table, after, deletes: false };
            let copied = self.reconcile(way, Scope::Since(after), false).await?;
            if copied > 0 {
                self.progress
                    .say(&format!("{copied} objects had come into the old table, and are in the new one"));
            }
        }
        // Once more: the types of its columns are those of the new table now.
        self.set_view_query(&Catalog::read(&self.server, &self.names).await?).await?;
        records.note(Step::Settled, "").await?;
        failpoints::pass("rebuild::settled");
        Ok(())
    }

    /// The tokens of inserts are remembered from now on, as many as in the old table, and no fewer than are shipped.
    async fn remember_tokens(&self, catalog: &Catalog) -> Result<(), RebuildError> {
        let window = catalog.live.setting("non_replicated_deduplication_window").unwrap_or_default();
        let sql = format!(
            "ALTER TABLE {}.{} MODIFY SETTING non_replicated_deduplication_window = {}",
            self.server.database,
            self.names.other,
            window.max(DEDUPLICATION_WINDOW)
        );
        self.execute(&sql).await
    }

    async fn set_view_query(&self, catalog: &Catalog) -> Result<(), RebuildError> {
        if catalog.view.is_none() {
            return Ok(());
        }
        let (database, view) = (&self.server.database, &self.names.view);
        let query = ddl::view_query(database, &self.names.table);
        self.execute(&format!("ALTER TABLE {database}.{view} MODIFY QUERY {query}")).await
    }
}
