//! Step 4: what the one table has of an object, and the other has not.

use super::catalog::{columns, last_block, rows};
use super::command::{Rebuild, RebuildError};
use super::plan;
use super::record::{Records, Step};
use super::server::quoted;
use crate::failpoints;

/// Objects that one statement names: the server reads 256 KiB of it by default, and a key has about a hundred bytes.
const KEYS: usize = 1_000;
/// What the keys of a day begin with: `v1/2026/11/20`.
const DAY_CHARACTERS: usize = 13;
/// Comparisons beside consumers, at most, before their inserts are paused.
const ROUNDS: usize = 10;
/// So few objects that differ are left to the pause.
const FEW: u64 = 5_000;
/// Comparisons of a day during the pause.
const TRIES: usize = 5;

/// Which objects are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All.
    All,
    /// Those received on a day of which something has come into the old table, or was changed in it, after this block.
    Since(u64),
}

/// From one table into another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'t> {
    pub(super) from: &'t str,
    pub(super) to: &'t str,
    /// What is missing lies in parts with blocks after this one, unless something was lost.
    pub(super) after: u64,
    /// Whether what only `to` has is deleted there.
    pub(super) deletes: bool,
}

impl Rebuild {
    /// Compares the tables beside consumers until little is left. Returns a block: what has come after it is to be compared once
    /// more.
    pub(super) async fn catch_up(&self, records: &Records) -> Result<u64, RebuildError> {
        let begun = records.block(Step::Begun).await?.unwrap_or_default();
        let way = self.way(begun, true);
        self.drop_days_that_are_gone().await?;
        let (mut scope, mut previous, mut last) = (Scope::All, begun, begun);
        for _ in 0..ROUNDS {
            let block = last_block(&self.server, &self.names.table).await?;
            let copied = self.reconcile(way, scope, false).await?;
            self.progress.say(&format!("caught up with {copied} objects"));
            failpoints::pass("rebuild::caught_up");
            // One round back: a part may become visible a moment later than one with a higher number.
            (previous, last) = (last, block);
            scope = Scope::Since(previous);
            if copied <= FEW {
                break;
            }
        }
        Ok(previous)
    }

    /// Makes both tables the same while nobody else writes to either.
    pub(super) async fn catch_up_at_last(&self, records: &Records, since: u64) -> Result<(), RebuildError> {
        let begun = records.block(Step::Begun).await?.unwrap_or_default();
        let way = self.way(begun, true);
        self.reconcile(way, Scope::Since(since), true).await?;
        if self.have_as_many_rows().await? {
            return Ok(());
        }
        // A whole partition of the old table has gone meanwhile, for example.
        self.progress.say("the tables do not have as many rows; all objects are compared");
        self.drop_days_that_are_gone().await?;
        self.reconcile(way, Scope::All, true).await?;
        match self.have_as_many_rows().await? {
            true => Ok(()),
            false => Err(RebuildError::Unsettled("the tables do not have as many rows".to_owned())),
        }
    }

    fn way(&self, after: u64, deletes: bool) -> Way<'_> {
        Way { from: &self.names.table, to: &self.names.other, after, deletes }
    }

    async fn have_as_many_rows(&self) -> Result<bool, RebuildError> {
        let (server, names) = (&self.server, &self.names);
        Ok(rows(server, &names.table).await? == rows(server, &names.other).await?)
    }

    /// A TTL, or somebody, has dropped them.
    async fn drop_days_that_are_gone(&self) -> Result<(), RebuildError> {
        let (server, names) = (&self.server, &self.names);
        let there = plan::days(server, &names.table).await?;
        for (day, _) in plan::days(server, &names.other).await? {
            if !there.iter().any(|(other, _)| *other == day) {
                let partition = day.replace('-', "");
                let table = &names.other;
                let sql = format!("ALTER TABLE {}.{table} DROP PARTITION ID '{partition}'", server.database);
                self.execute(&sql).await?;
            }
        }
        Ok(())
    }

    /// Copies what `way.to` lacks of the objects in `scope`. Returns how many objects differed. `until_same` is for a time in which
    /// nobody else writes: then an object that still differs in the end is an error.
    pub(super) async fn reconcile(
        &self,
        way: Way<'_>,
        scope: Scope,
        until_same: bool,
    ) -> Result<u64, RebuildError> {
        let mut copied = 0;
        for day in self.days_of_receipt(way, scope).await? {
            let mut tries = 0;
            loop {
                let (absent, partial) = self.count_differing(way, &day).await?;
                if absent + partial == 0 {
                    break;
                }
                if tries == TRIES {
                    return Err(RebuildError::Unsettled(format!("{} objects of {day}", absent + partial)));
                }
                // What is still absent lies elsewhere: an earlier statement has lost it, perhaps.
                self.copy_absent(way, &day, absent, tries > 0).await?;
                self.copy_partial(way, &day, partial).await?;
                copied += if tries == 0 { absent + partial } else { 0 };
                tries += 1;
                if !until_same && (scope != Scope::All || tries == 2) {
                    break;
                }
            }
        }
        Ok(copied)
    }

    /// The days of receipt, as keys begin with them.
    async fn days_of_receipt(&self, way: Way<'_>, scope: Scope) -> Result<Vec<String>, RebuildError> {
        let database = &self.server.database;
        let days = |table: &str, condition: &str| {
            format!(
                "SELECT DISTINCT substring(ObjectKey, 1, {DAY_CHARACTERS}) AS day FROM {database}.{table} {condition}"
            )
        };
        let sql = match scope {
            Scope::All => format!("{} UNION DISTINCT {}", days(way.from, ""), days(way.to, "")),
            Scope::Since(block) => days(way.from, &format!("WHERE {}", self.parts_after(way.from, block))),
        };
        let sql = format!("SELECT day FROM ({sql}) ORDER BY day");
        Ok(self.server.ask(&sql).fetch_all().await?)
    }

    /// Rows of parts that hold, or were changed by, something after the block. Merges bring older rows into them.
    fn parts_after(&self, table: &str, block: u64) -> String {
        let database = &self.server.database;
        format!(
            "_part IN (SELECT name FROM system.parts WHERE database = '{database}' AND table = '{table}' AND active
                       AND (max_block_number > {block} OR data_version > {block}))"
        )
    }

    /// The objects of a day that differ, with how many rows each of the tables has of them.
    pub(super) fn differing(&self, way: Way<'_>, day: &str) -> String {
        let (database, day) = (&self.server.database, quoted(day));
        // The first condition is what the projection is in the order of, the second is for keys of another form.
        let of_day =
            format!("startsWith(ObjectKey, {day}) AND substring(ObjectKey, 1, {DAY_CHARACTERS}) = {day}");
        let Way { from, to, .. } = way;
        format!(
            "SELECT ObjectKey, sum(ours) AS in_from, sum(theirs) AS in_to FROM (
                 SELECT ObjectKey, toInt64(count()) AS ours, toInt64(0) AS theirs, toInt64(sum(cityHash64(RowNo))) AS hash
                 FROM {database}.{from} WHERE {of_day} GROUP BY ObjectKey
                 UNION ALL
                 SELECT ObjectKey, toInt64(0), toInt64(count()), -toInt64(sum(cityHash64(RowNo)))
                 FROM {database}.{to} WHERE {of_day} GROUP BY ObjectKey)
             GROUP BY ObjectKey HAVING sum(ours) != sum(theirs) OR sum(hash) != 0"
        )
    }

    /// How many objects `to` has nothing of, and how many it has otherwise.
    async fn count_differing(&self, way: Way<'_>, day: &str) -> Result<(u64, u64), RebuildError> {
        let ours = if way.deletes { "in_to > 0" } else { "in_to > 0 AND in_from > 0" };
        let sql = format!("SELECT countIf(in_to = 0), countIf({ours}) FROM ({})", self.differing(way, day));
        let (absent, partial) = self.server.ask(&sql).fetch_one().await?;
        // What only `to` has, or has more of, is left to it: it lives on its own by now.
        Ok(if way.deletes { (absent, partial) } else { (absent, self.partial(way, day).await?.len() as u64) })
    }

    async fn copy_absent(
        &self,
        way: Way<'_>,
        day: &str,
        objects: u64,
        may_be_elsewhere: bool,
    ) -> Result<(), RebuildError> {
        if objects == 0 {
            return Ok(());
        }
        let Way { from, to, after, .. } = way;
        let (database, columns) = (&self.server.database, columns(&self.server, from).await?);
        let parts = if may_be_elsewhere { "1".to_owned() } else { self.parts_after(from, after) };
        let copy = format!(
            "INSERT INTO {database}.{to} ({columns}) SELECT {columns} FROM {database}.{from}
             WHERE {parts} AND ObjectKey IN (SELECT ObjectKey FROM ({}) WHERE in_to = 0)",
            self.differing(way, day)
        );
        self.long(&copy, 0).await
    }

    /// Objects of which both have something.
    async fn partial(&self, way: Way<'_>, day: &str) -> Result<Vec<String>, RebuildError> {
        let condition = if way.deletes { "in_to > 0" } else { "in_to > 0 AND in_from > in_to" };
        let sql = format!("SELECT ObjectKey FROM ({}) WHERE {condition}", self.differing(way, day));
        Ok(self.server.ask(&sql).fetch_all().await?)
    }

    async fn copy_partial(&self, way: Way<'_>, day: &str, objects: u64) -> Result<(), RebuildError> {
        if objects == 0 {
            return Ok(());
        }
        let Way { from, to, deletes, .. } = way;
        let (database, columns) = (&self.server.database, columns(&self.server, from).await?);
        for keys in self.partial(way, day).await?.chunks(KEYS) {
            let keys = list(keys);
            let copy = format!(
                "INSERT INTO {database}.{to} ({columns}) SELECT {columns} FROM {database}.{from} WHERE ObjectKey IN {keys}
                 AND (ObjectKey, RowNo) NOT IN (SELECT ObjectKey, RowNo FROM {database}.{to} WHERE ObjectKey IN {keys})"
            );
            self.long(&copy, 0).await?;
        }
        if !deletes {
            return Ok(());
        }
        // Those that differ still have rows there that are gone from here, or are there twice.
        for keys in self.partial(way, day).await?.chunks(KEYS) {
            let keys = list(keys);
            let delete = format!("ALTER TABLE {database}.{to} DELETE WHERE ObjectKey IN {keys}");
            self.long(&delete, 0).await?;
            let copy = format!(
                "INSERT INTO {database}.{to} ({columns}) SELECT {columns} FROM {database}.{from} WHERE ObjectKey IN {keys}"
            );
            self.long(&copy, 0).await?;
        }
        Ok(())
    }
}

pub(super) fn list(keys: &[String]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| quoted(key)).collect();
    format!("({})", keys.join(", "))
}
