//! What is to be moved, and whether that can be done: asked before anything is changed.

use super::catalog::{Catalog, Names, mutations};
use super::command::RebuildError;
use super::ddl::{self, NotMovable};
use super::server::Server;
use crate::output;

/// The rights that the command needs on the database.
const RIGHTS: [&str; 11] = [
    "SELECT",
    "INSERT",
    "CREATE TABLE",
    "CREATE VIEW",
    "DROP TABLE",
    "DROP VIEW",
    "ALTER DELETE",
    "ALTER SETTINGS",
    "ALTER TTL",
    "ALTER MATERIALIZE TTL",
    "ALTER VIEW MODIFY QUERY",
];
/// Tables of the server that it reads, and that not every user may.
const SYSTEM: [&str; 5] = ["parts", "mutations", "processes", "disks", "storage_policies"];
/// Columns that `migrate` adds to tables of the first layout.
const ADDED: [&str; 7] = [
    "Events.DroppedAttributesCount",
    "Links.DroppedAttributesCount",
    "Links.Flags",
    "ResourceDroppedAttributesCount",
    "ScopeDroppedAttributesCount",
    "ResourceEntityRefs",
    "Repairs",
];

/// How much there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    rows: u64,
    parts: u64,
    partitions: u64,
    /// Of both tables.
    bytes: u64,
    largest_partition: u64,
    days: Vec<(String, u64)>,
    /// What an earlier run has copied.
    copied_bytes: u64,
    free_bytes: u64,
}

impl Plan {
    pub(super) async fn read(server: &Server, names: &Names) -> Result<Self, RebuildError> {
        let of_parts =
            "SELECT sum(rows), count(), uniqExact(partition_id), sum(bytes_on_disk) FROM system.parts
                        WHERE database = ? AND table = ? AND active";
        let parts = |table: String| async move {
            let query = server.ask(of_parts).bind(&server.database).bind(table);
            Ok::<_, RebuildError>(query.fetch_one::<(u64, u64, u64, u64)>().await?)
        };
        let (rows, count, partitions, bytes) = parts(names.table.clone()).await?;
        let (.., times_bytes) = parts(names.times.clone()).await?;
        let (.., copied) = parts(names.other.clone()).await?;
        let (.., copied_times) = parts(names.other_times.clone()).await?;
        let largest = "SELECT max(bytes) FROM (SELECT sum(bytes_on_disk) AS bytes FROM system.parts
                       WHERE database = ? AND table = ? AND active GROUP BY partition_id)";
        let largest_partition =
            server.ask(largest).bind(&server.database).bind(&names.table).fetch_one().await?;
        let free = "SELECT sum(unreserved_space) FROM system.disks WHERE name IN (
                        SELECT arrayJoin(disks) FROM system.storage_policies WHERE policy_name =
                            (SELECT storage_policy FROM system.tables WHERE database = ? AND name = ?))";
        let free_bytes = server.ask(free).bind(&server.database).bind(&names.table).fetch_one().await?;
        Ok(Self {
            rows,
            parts: count,
            partitions,
            bytes: bytes + times_bytes,
            largest_partition,
            days: days(server, &names.table).await?,
            copied_bytes: copied + copied_times,
            free_bytes,
        })
    }

    /// The days that spans begin on, in UTC, and how many do.
    pub(super) fn days(&self) -> &[(String, u64)] {
        &self.days
    }

    /// Bytes that have to be free: what is not copied yet, and room for a merge of the largest partition.
    fn needs(&self) -> u64 {
        self.bytes.saturating_sub(self.copied_bytes) + self.largest_partition
    }

    pub(super) fn check_disk(&self) -> Result<(), RebuildError> {
        let (needs, free) = (self.needs(), self.free_bytes);
        if needs <= free { Ok(()) } else { Err(RebuildError::Disk { needs, free }) }
    }

    /// For people.
    pub(super) fn text(&self, names: &Names) -> String {
        let row = |what: &str, value: String| [what.to_owned(), value];
        let days = match (self.days.first(), self.days.last()) {
            (Some((first, _)), Some((last, _))) => format!("{} ({first} to {last})", self.days.len()),
            _ => "0".to_owned(),
        };
        let rows = [
            row("rows", self.rows.to_string()),
            row("parts", self.parts.to_string()),
            row("partitions", self.partitions.to_string()),
            row("days in UTC", days),
            row("bytes", format!("{} (with {})", self.bytes, names.times)),
            row("bytes copied already", self.copied_bytes.to_string()),
            row("bytes needed", self.needs().to_string()),
            row("bytes free", self.free_bytes.to_string()),
        ];
        output::table([names.table.as_str(), ""], &rows)
    }
}

/// The days in UTC, whatever zones the table's partitions are of.
pub(super) async fn days(server: &Server, table: &str) -> Result<Vec<(String, u64)>, RebuildError> {
    let sql = format!(
        "SELECT toString(toDate(Timestamp, 'UTC')) AS day, count() FROM {}.{table} GROUP BY day ORDER BY day",
        server.database
    );
    Ok(server.ask(&sql).fetch_all().await?)
}

/// An error unless the table can be moved, and this user may do so.
pub(super) async fn check(server: &Server, names: &Names, catalog: &Catalog) -> Result<(), RebuildError> {
    let reason = |reason: String| NotMovable { table: names.table.clone(), reason };
    let engine = "SELECT engine FROM system.databases WHERE name = ?";
    let engine: String = server.ask(engine).bind(&server.database).fetch_one().await?;
    if engine != "Atomic" {
        return Err(
            reason(format!("its database is {engine}, and tables of Atomic alone can be exchanged")).into()
        );
    }
    ddl::spans(&catalog.live.create, &names.table, &server.database, &names.other)?;
    if let Some(times) = catalog.old_times() {
        ddl::trace_times(&times.create, &names.times, &server.database, &names.other_times)?;
    }
    catalog.check_view(server, names)?;
    if let Some(column) = ADDED.iter().find(|column| !catalog.live.create.contains(&format!("`{column}` "))) {
        let how = "`origin-consumer migrate` adds it to otel_traces (migrations/0002_what_otlp_has.sql)";
        return Err(reason(format!("it has no column {column}: {how}")).into());
    }
    if !catalog.live.create.contains("PROJECTION by_object ") {
        return Err(
            reason("it has no projection by_object, by which both tables are compared".to_owned()).into()
        );
    }
    check_rights(server).await?;
    check_quiet(server, names).await
}

/// Neither mutations nor patches are to change rows while they are copied.
async fn check_quiet(server: &Server, names: &Names) -> Result<(), RebuildError> {
    let reason = |reason: String| NotMovable { table: names.table.clone(), reason };
    let mutations = mutations(server, &names.table).await?;
    if mutations > 0 {
        return Err(reason(format!("{mutations} of its mutations have not ended (system.mutations)")).into());
    }
    let sql = "SELECT count() FROM system.parts
               WHERE database = ? AND table = ? AND active AND startsWith(name, 'patch-')";
    let patches: u64 = server.ask(sql).bind(&server.database).bind(&names.table).fetch_one().await?;
    if patches > 0 {
        let how = "ALTER TABLE ... APPLY PATCHES, and wait until they are gone from system.parts";
        return Err(reason(format!("{patches} parts of lightweight updates are not applied: {how}")).into());
    }
    Ok(())
}

async fn check_rights(server: &Server) -> Result<(), RebuildError> {
    let of_database = RIGHTS.iter().map(|right| format!("{right} ON {}.*", server.database));
    let of_server = SYSTEM.iter().map(|table| format!("SELECT ON system.{table}"));
    let mut missing = Vec::new();
    for right in of_database.chain(of_server) {
        if server.ask(&format!("CHECK GRANT {right}")).fetch_one::<u8>().await? == 0 {
            missing.push(format!("GRANT {right}"));
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(RebuildError::Rights(missing.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            rows: 1_000,
            parts: 4,
            partitions: 2,
            bytes: 5_000,
            largest_partition: 3_000,
            days: vec![("2026-11-20".to_owned(), 400), ("2026-11-21".to_owned(), 600)],
            copied_bytes: 1_000,
            free_bytes: 7_000,
        }
    }

    #[test]
    fn what_is_copied_needs_no_disk_any_more() {
        plan().check_disk().unwrap();
        let begins = Plan { copied_bytes: 0, ..plan() };
        assert!(matches!(begins.check_disk(), Err(RebuildError::Disk { needs: 8_000, free: 7_000 })));
        insta::assert_snapshot!(plan().text(&Names::of("t")), @r"
        t
        rows                  1000
        parts                 4
        partitions            2
        days in UTC           2 (2026-11-20 to 2026-11-21)
        bytes                 5000 (with t_trace_id_ts)
        bytes copied already  1000
        bytes needed          7000
        bytes free            7000
        ");
    }
}
