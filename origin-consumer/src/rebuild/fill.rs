//! Steps 2 and 3: the new tables, and the days of the old one in them.

use std::collections::BTreeSet;

use super::catalog::{Catalog, columns, last_block};
use super::command::{Rebuild, RebuildError};
use super::ddl;
use super::record::{Records, Step};
use crate::failpoints;

impl Rebuild {
    /// Makes what is not there yet. Returns the notes of the new table.
    pub(super) async fn make_tables(&self, catalog: &Catalog) -> Result<Records, RebuildError> {
        let (server, names) = (&self.server, &self.names);
        let database = &server.database;
        let new = ddl::spans(&catalog.live.create, &names.table, database, &names.other)?;
        if catalog.other.is_none() {
            self.execute(&new.create).await?;
        }
        if let Some(times) = catalog.old_times() {
            if catalog.other_times.is_none() {
                let create = ddl::trace_times(&times.create, &names.times, database, &names.other_times)?;
                self.execute(&create).await?;
            }
            let view = format!(
                "CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.{} TO {database}.{} AS {}",
                names.other_view,
                names.other_times,
                ddl::view_query(database, &names.other)
            );
            self.execute(&view).await?;
        }
        // A day that is begun anew has the same blocks again, which are not to be taken for those that are there.
        let settings = format!(
            "ALTER TABLE {database}.{} MODIFY SETTING non_replicated_deduplication_window = 0",
            names.other
        );
        self.execute(&settings).await?;
        failpoints::pass("rebuild::made");
        let made = Catalog::read(server, names).await?.other;
        let made = made.ok_or_else(|| RebuildError::NoTable(format!("{database}.{}", names.other)))?;
        Ok(Records::of(server, &made.uuid))
    }

    /// Copies the days that are not there. What comes into one later is left to the comparison.
    pub(super) async fn fill(&self, records: &Records, days: &[(String, u64)]) -> Result<(), RebuildError> {
        let (server, names) = (&self.server, &self.names);
        let database = &server.database;
        if records.block(Step::Begun).await?.is_none() {
            let block = last_block(server, &names.table).await?;
            records.note(Step::Begun, &block.to_string()).await?;
        }
        let filled: BTreeSet<_> = records.details(Step::Filled).await?.into_iter().collect();
        let columns = columns(server, &names.table).await?;
        self.progress.of(days.iter().map(|(_, rows)| rows).sum());
        for (day, rows) in days {
            if !filled.contains(day) {
                let partition = day.replace('-', "");
                self.execute(&format!(
                    "ALTER TABLE {database}.{} DROP PARTITION ID '{partition}'",
                    names.other
                ))
                .await?;
                failpoints::pass("rebuild::day_begun");
                // Not a comparison of `Timestamp`: partitions are passed over by the days that they were given when they were
                // written, and after a change of the server's zone those are not the days that the question is about.
                let copy = format!(
                    "INSERT INTO {database}.{} ({columns}) SELECT {columns} FROM {database}.{}
                     WHERE toDate(Timestamp, 'UTC') = toDate('{day}')",
                    names.other, names.table
                );
                self.long(&copy, *rows).await?;
                failpoints::pass("rebuild::day_copied");
                records.note(Step::Filled, day).await?;
            }
            self.progress.add(*rows);
        }
        self.progress.end();
        failpoints::pass("rebuild::filled");
        Ok(())
    }
}
