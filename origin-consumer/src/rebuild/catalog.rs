//! The tables as they are: which of them are there, and in which layout.

use super::command::RebuildError;
use super::ddl::{self, NotMovable};
use super::server::Server;

/// What the tables are called. Only the first exists where nothing was begun.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) table: String,
    /// The new table until it is exchanged; the old one afterwards.
    pub(super) other: String,
    pub(super) times: String,
    pub(super) other_times: String,
    pub(super) view: String,
    /// Fills the times of the new table until it is exchanged.
    pub(super) other_view: String,
}

impl Names {
    pub(super) fn of(table: &str) -> Self {
        let times = format!("{table}_trace_id_ts");
        Self {
            table: table.to_owned(),
            other: format!("{table}_rebuild"),
            other_times: format!("{times}_rebuild"),
            view: format!("{times}_mv"),
            other_view: format!("{times}_rebuild_mv"),
            times,
        }
    }
}

/// A table, or a view.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) uuid: String,
    /// The statement that makes it.
    pub(super) create: String,
    /// Of a view.
    pub(super) query: String,
}

impl Table {
    /// Whether its times have their zone.
    pub(super) fn is_new(&self) -> bool {
        self.create.contains("`Timestamp` DateTime64(9, 'UTC')") || self.create.contains(", DateTime('UTC'))")
    }
}

impl Table {
    /// A number among its settings.
    pub(super) fn setting(&self, name: &str) -> Option<u64> {
        let (_, value) = self.create.split_once(&format!("{name} = "))?;
        value.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
    }
}

/// What is there.
#[derive(Debug, Clone)]
pub(super) struct Catalog {
    pub(super) live: Table,
    pub(super) other: Option<Table>,
    pub(super) times: Option<Table>,
    pub(super) other_times: Option<Table>,
    pub(super) view: Option<Table>,
}

impl Catalog {
    pub(super) async fn read(server: &Server, names: &Names) -> Result<Self, RebuildError> {
        let sql = "SELECT name, toString(uuid), create_table_query, as_select FROM system.tables WHERE database = ? AND name IN ?";
        let Names { table, other, times, other_times, view, .. } = names;
        let all = [table, other, times, other_times, view];
        let rows = server.ask(sql).bind(&server.database).bind(&all[..]).fetch_all().await?;
        let rows: Vec<(String, String, String, String)> = rows;
        let of = |name: &str| {
            let (_, uuid, create, query) = rows.iter().find(|row| row.0 == name)?.clone();
            Some(Table { uuid, create, query })
        };
        let live = of(table).ok_or_else(|| RebuildError::NoTable(format!("{}.{table}", server.database)))?;
        Ok(Self { live, other: of(other), times: of(times), other_times: of(other_times), view: of(view) })
    }

    /// The times of the old table, where they are to be moved as well.
    pub(super) fn old_times(&self) -> Option<&Table> {
        self.times.as_ref().filter(|times| !times.is_new())
    }

    /// An error unless the view has a query that is known: another one is an operator's own.
    pub(super) fn check_view(&self, server: &Server, names: &Names) -> Result<(), NotMovable> {
        let Some(view) = &self.view else { return Ok(()) };
        let known =
            [ddl::first_view_query, ddl::view_query].map(|query| query(&server.database, &names.table));
        if known.contains(&view.query) {
            return Ok(());
        }
        let reason =
            format!("its query is another one than `{}`; drop it, and make it again afterwards", known[0]);
        Err(NotMovable { table: names.view.clone(), reason })
    }
}

/// The columns of a table that can be written, as a list in a statement.
pub(super) async fn columns(server: &Server, table: &str) -> Result<String, RebuildError> {
    let sql =
        "SELECT name FROM system.columns WHERE database = ? AND table = ? AND default_kind IN ('', 'DEFAULT')
               ORDER BY position";
    let names: Vec<String> = server.ask(sql).bind(&server.database).bind(table).fetch_all().await?;
    let names: Vec<_> = names.iter().map(|name| format!("`{}`", name.replace('`', "\\`"))).collect();
    Ok(names.join(", "))
}

/// The last block, or mutation, of a table that is visible. What becomes visible later has a higher number, but for what was being
/// renamed.
pub(super) async fn last_block(server: &Server, table: &str) -> Result<u64, RebuildError> {
    let sql = "SELECT toUInt64(greatest(toInt64(max(max_block_number)), toInt64(max(data_version)), toInt64(0))) FROM system.parts
               WHERE database = ? AND table = ? AND active";
    Ok(server.ask(sql).bind(&server.database).bind(table).fetch_one().await?)
}

/// The mutations of a table that have not ended.
pub(super) async fn mutations(server: &Server, table: &str) -> Result<u64, RebuildError> {
    let sql = "SELECT count() FROM system.mutations WHERE database = ? AND table = ? AND NOT is_done AND NOT is_killed";
    Ok(server.ask(sql).bind(&server.database).bind(table).fetch_one().await?)
}

/// The rows of a table.
pub(super) async fn rows(server: &Server, table: &str) -> Result<u64, RebuildError> {
    let sql = format!("SELECT count() FROM {}.{table}", server.database);
    Ok(server.ask(&sql).fetch_one().await?)
}
