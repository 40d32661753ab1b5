//! Step 6: does the new table hold what the old one does?

use super::catalog::{Catalog, rows};
use super::command::{Rebuild, RebuildError};
use super::ddl;
use super::reconcile::{Way, list};
use super::record::RECORDS;
use crate::failpoints;
use crate::output;

/// Objects that one statement names.
const KEYS: usize = 1_000;
/// Objects that are named one by one.
const SHOWN: usize = 20;

impl Rebuild {
    /// Compares all objects of the old table with the new one. Returns those of which the new one lacks a row, or has one more
    /// often.
    pub(super) async fn verify(&self) -> Result<Vec<String>, RebuildError> {
        let (server, names) = (&self.server, &self.names);
        let all = rows(server, &names.other).await?;
        self.progress.say(&format!("comparing the {all} rows of the old table with the new one, by objects"));
        let way = Way { from: &names.other, to: &names.table, after: 0, deletes: false };
        let days = format!(
            "SELECT DISTINCT substring(ObjectKey, 1, 13) AS day FROM {}.{} ORDER BY day",
            server.database, names.other
        );
        let days: Vec<String> = server.ask(&days).fetch_all().await?;
        let mut wrong = Vec::new();
        for day in days {
            server.go_on()?;
            // The new table lives on: it may have more by now.
            let differing =
                format!("SELECT ObjectKey FROM ({}) WHERE in_from > 0", self.differing(way, &day));
            let differing: Vec<String> = server.ask(&differing).fetch_all().await?;
            for keys in differing.chunks(KEYS) {
                wrong.extend(self.lacking(keys).await?);
            }
        }
        failpoints::pass("rebuild::verified");
        Ok(wrong)
    }

    /// Those of the objects of which the new table lacks a row of the old one, or has one more often.
    async fn lacking(&self, keys: &[String]) -> Result<Vec<String>, RebuildError> {
        let (database, keys) = (&self.server.database, list(keys));
        let sql = format!(
            "SELECT ObjectKey FROM (
                 SELECT ObjectKey, RowNo, sum(ours) AS in_old, sum(theirs) AS in_new FROM (
                     SELECT ObjectKey, RowNo, 1 AS ours, 0 AS theirs FROM {database}.{} WHERE ObjectKey IN {keys}
                     UNION ALL
                     SELECT ObjectKey, RowNo, 0, 1 FROM {database}.{} WHERE ObjectKey IN {keys})
                 GROUP BY ObjectKey, RowNo)
             GROUP BY ObjectKey HAVING countIf(in_new < in_old OR in_new > greatest(in_old, 1)) > 0 ORDER BY ObjectKey",
            self.names.other, self.names.table
        );
        Ok(self.server.ask(&sql).fetch_all().await?)
    }

    /// Names what is wrong.
    pub(super) fn report(&self, wrong: &[String]) {
        for key in wrong.iter().take(SHOWN) {
            self.progress.say(&format!("rows differ: {key}"));
        }
        let more = wrong.len().saturating_sub(SHOWN);
        if more > 0 {
            self.progress.say(&format!("and those of {more} further objects"));
        }
        self.progress.say(
            "rows of the old table are missing in the new one, or are there twice: somebody has deleted or written them \
             meanwhile; `origin-consumer replay --object KEY` stores an object again; then call this again. Nothing is dropped.",
        );
    }

    /// The TTL of the old table, which the new one did not have until both were compared.
    pub(super) async fn set_ttl(&self, catalog: &Catalog) -> Result<(), RebuildError> {
        // The parts are told when they end; they are not rewritten.
        const RECALCULATE: &str = "materialize_ttl_recalculate_only";
        let Some(old) = &catalog.other else { return Ok(()) };
        let (server, names) = (&self.server, &self.names);
        let Some(ttl) = ddl::ttl(&old.create, &names.other)? else { return Ok(()) };
        let table = format!("{}.{}", server.database, names.table);
        if old.setting(RECALCULATE).is_none() {
            self.execute(&format!("ALTER TABLE {table} MODIFY SETTING {RECALCULATE} = 1")).await?;
        }
        // Also where an earlier run ended before the parts were told.
        let modify = match ddl::ttl(&catalog.live.create, &names.table)? {
            None => format!("MODIFY TTL {ttl}"),
            Some(_) => "MATERIALIZE TTL".to_owned(),
        };
        self.long(&format!("ALTER TABLE {table} {modify}"), 0).await?;
        failpoints::pass("rebuild::ttl_set");
        if old.setting(RECALCULATE).is_none() {
            self.execute(&format!("ALTER TABLE {table} RESET SETTING {RECALCULATE}")).await?;
        }
        Ok(())
    }

    /// Drops what is not needed any more, or says how.
    pub(super) async fn clear(&self, catalog: &Catalog) -> Result<(), RebuildError> {
        let database = &self.server.database;
        let records = RECORDS.to_owned();
        let times = catalog.other_times.as_ref().map(|_| &self.names.other_times);
        // The old table last: it is what tells that there is something left to do.
        let old = times.into_iter().chain([&records, &self.names.other]);
        let statements = old.map(|table| {
            format!("DROP TABLE IF EXISTS {database}.{table} SYNC SETTINGS max_table_size_to_drop = 0")
        });
        if self.drop_old {
            for statement in statements {
                self.server.execute(&statement).await?;
            }
            self.progress.say("the old table is dropped");
            return Ok(());
        }
        self.progress.say(&format!("the old table is {database}.{}; these drop it:", self.names.other));
        Ok(output::text(&statements.map(|statement| statement + ";\n").collect::<String>())?)
    }
}
