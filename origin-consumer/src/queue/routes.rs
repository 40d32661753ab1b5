//! Which ways notifications have come, and when the way has changed; so that a restart does not forget.

use serde::Serialize;
use spillway_proto::UnixMillis;

use super::session::{Session, values};
use super::store::{mark, set_mark};
use super::{Queue, QueueError};

const CHANGED_AT: &str = "route_changed_at_ms";
const CANARY_SENT_AT: &str = "canary_sent_at_ms";
const CANARY_STORED_AT: &str = "canary_stored_at_ms";
/// Routes that nobody has come by for so long are forgotten.
const FORGOTTEN_AFTER_MS: u64 = 90 * 86_400_000;

/// What came by a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCount {
    /// `notification` or `canary`.
    pub carried: &'static str,
    /// The route's name.
    pub route: String,
    /// What its headers tell, in JSON.
    pub headers: String,
    /// When the last one came.
    pub last_at: UnixMillis,
    /// How many.
    pub notifications: u64,
}

/// A route that the ledger knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownRoute {
    /// `notification` or `canary`.
    pub carried: String,
    /// The route's name.
    pub route: String,
    /// What its headers tell, in JSON.
    pub headers: String,
    /// When the first one came.
    pub first_at: UnixMillis,
    /// When the last one came.
    pub last_at: UnixMillis,
    /// How many came.
    pub notifications: u64,
}

/// From one route to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteStep {
    /// `notification` or `canary`.
    pub carried: &'static str,
    /// The one of before.
    pub from: String,
    /// The one that differs from it.
    pub to: String,
}

impl Queue {
    /// Notes what came by which route. Returns where that differs from the last route of the same kind before.
    pub async fn note_routes(
        &self,
        seen: Vec<RouteCount>,
        now: UnixMillis,
    ) -> Result<Vec<RouteStep>, QueueError> {
        let write = move |session: &mut dyn Session| {
            let mut steps = Vec::new();
            for count in &seen {
                let sql = "SELECT route FROM notification_routes WHERE carried = $1 ORDER BY last_at_ms DESC LIMIT 1";
                if let Some(row) = session.query_one(sql, values![count.carried])?
                    && row.text(0)? != count.route
                {
                    let (from, to) = (row.text(0)?.to_owned(), count.route.clone());
                    steps.push(RouteStep { carried: count.carried, from, to });
                }
            }
            for RouteCount { carried, route, headers, last_at, notifications } in &seen {
                session.execute(
                    "INSERT INTO notification_routes (carried, route, headers, first_at_ms, last_at_ms, notifications)
                     VALUES ($1, $2, $3, $4, $4, $5)
                     ON CONFLICT (carried, route) DO UPDATE SET last_at_ms = excluded.last_at_ms,
                         notifications = notification_routes.notifications + excluded.notifications",
                    values![*carried, route.as_str(), headers.as_str(), last_at.0, *notifications],
                )?;
            }
            let forgotten = now.0.saturating_sub(FORGOTTEN_AFTER_MS);
            session.execute("DELETE FROM notification_routes WHERE last_at_ms < $1", values![forgotten])?;
            if !steps.is_empty() {
                set_mark(session, CHANGED_AT, now.0)?;
            }
            Ok(steps)
        };
        self.store.writer.run(write).await
    }

    /// The routes that are known, the last ones first.
    pub async fn routes(&self) -> Result<Vec<KnownRoute>, QueueError> {
        let read = |session: &mut dyn Session| {
            let sql = "SELECT carried, route, headers, first_at_ms, last_at_ms, notifications
                       FROM notification_routes ORDER BY last_at_ms DESC, carried, route";
            let rows = session.query(sql, &[])?;
            let known = |row: &super::session::Row| {
                Ok(KnownRoute {
                    carried: row.text(0)?.to_owned(),
                    route: row.text(1)?.to_owned(),
                    headers: row.text(2)?.to_owned(),
                    first_at: UnixMillis(row.number(3)?),
                    last_at: UnixMillis(row.number(4)?),
                    notifications: row.number(5)?,
                })
            };
            rows.iter().map(known).collect()
        };
        self.store.reader.run(read).await
    }

    /// When a route was last seen to differ from the one before.
    pub async fn route_changed_at(&self) -> Result<Option<UnixMillis>, QueueError> {
        let at = self.store.reader.run(|session| mark(session, CHANGED_AT)).await?;
        Ok(at.map(UnixMillis))
    }

    /// Notes when the newest canary was sent, and when the newest one that is stored was received.
    pub async fn note_canary(
        &self,
        sent_at: Option<UnixMillis>,
        stored_at: Option<UnixMillis>,
    ) -> Result<(), QueueError> {
        let write = move |session: &mut dyn Session| {
            for (name, at) in [(CANARY_SENT_AT, sent_at), (CANARY_STORED_AT, stored_at)] {
                if let Some(at) = at {
                    let before = mark(session, name)?.unwrap_or_default();
                    set_mark(session, name, before.max(at.0))?;
                }
            }
            Ok(())
        };
        self.store.writer.run(write).await
    }

    /// The times of the newest canary that was sent, and of the newest one that is stored.
    pub async fn canary(&self) -> Result<(Option<UnixMillis>, Option<UnixMillis>), QueueError> {
        let read = |session: &mut dyn Session| {
            Ok((mark(session, CANARY_SENT_AT)?, mark(session, CANARY_STORED_AT)?))
        };
        let (sent, stored) = self.store.reader.run(read).await?;
        Ok((sent.map(UnixMillis), stored.map(UnixMillis)))
    }

    /// The object whose notification holds this trace's id, if it was received from `from` on.
    pub async fn object_of_trace(
        &self,
        trace_id: &str,
        from: UnixMillis,
    ) -> Result<Option<TracedObject>, QueueError> {
        let wanted = format!("%{trace_id}%");
        let read = move |session: &mut dyn Session| {
            let sql = "SELECT object_key, state, source, notified_at_ms FROM objects
                       WHERE received_minute_ms >= $1 AND notification LIKE $2";
            let minute = crate::time::minute_of(from).0;
            let row = session.query_one(sql, values![minute, wanted.as_str()])?;
            row.map(|row| {
                Ok(TracedObject {
                    object_key: row.text(0)?.to_owned(),
                    state: row.text(1)?.to_owned(),
                    is_notified: row.text(2)? == "notified" || row.optional_number(3)?.is_some(),
                })
            })
            .transpose()
        };
        self.store.reader.run(read).await
    }
}

/// An object that was looked for by its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedObject {
    /// Its key.
    pub object_key: String,
    /// Its state, as the schema names it.
    pub state: String,
    /// Whether its notification came.
    pub is_notified: bool,
}
