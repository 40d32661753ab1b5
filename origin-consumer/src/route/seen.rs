//! The routes that this process has seen, until the ledger has noted them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use spillway_proto::UnixMillis;
use spillway_proto::probe::Route;

use crate::queue::{Queue, QueueError, RouteCount};
use crate::time::before;

/// A change is news for so long.
const NEWS: Duration = Duration::from_secs(3600);
/// Routes that are told apart, of each kind; there are two or three. Only what was signed counts, so nobody else can make up more.
const MOST_ROUTES: usize = 16;
/// What all further ones are called.
const OTHERS: &str = "others";

/// What came by a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Carried {
    /// A notification.
    Notification,
    /// The canary's probe: it comes without a client, so its headers may differ from those of notifications.
    Canary,
}

impl Carried {
    /// Its name, in metrics and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::Canary => "canary",
        }
    }
}

/// The way has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteChange {
    /// Its name, as in the alert rules.
    pub name: &'static str,
    /// When it was last noticed, in RFC 3339.
    pub at: String,
    /// What to make of it.
    pub meaning: &'static str,
}

/// What people are told of a change.
const MEANING: &str = "notifications come by another way than before: Cloudflare may have begun to send the Worker's same-zone \
    requests through the zone's firewall, or the deployment has changed; check the skip rule with `origin-consumer doctor`";

/// The last change, while it is news.
pub async fn latest_change(queue: &Queue, now: UnixMillis) -> Result<Option<RouteChange>, QueueError> {
    let changed = queue.route_changed_at().await?.filter(|at| *at >= before(now, NEWS));
    let name = "spillway_route_changed";
    Ok(changed.map(|at| RouteChange { name, at: at.date().to_rfc3339(), meaning: MEANING }))
}

/// Routes by what they have carried; cheap to share behind an `Arc`.
#[derive(Debug, Default)]
pub struct Routes {
    seen: Mutex<BTreeMap<(Carried, String), RouteCount>>,
    known: Mutex<BTreeMap<Carried, Vec<String>>>,
}

impl Routes {
    /// Notes that something came by a route; returns the name that it counts under.
    pub(crate) fn note(&self, carried: Carried, route: &Route, now: UnixMillis) -> String {
        let name = self.name(carried, route);
        let mut seen = lock(&self.seen);
        let count = seen.entry((carried, name.clone())).or_insert_with(|| RouteCount {
            carried: carried.name(),
            route: name.clone(),
            headers: serde_json::to_string(&route.headers).unwrap_or_default(),
            last_at: now,
            notifications: 0,
        });
        count.last_at = count.last_at.max(now);
        count.notifications += 1;
        name
    }

    fn name(&self, carried: Carried, route: &Route) -> String {
        let mut known = lock(&self.known);
        let known = known.entry(carried).or_default();
        if !known.contains(&route.name) {
            if known.len() >= MOST_ROUTES {
                return OTHERS.to_owned();
            }
            known.push(route.name.clone());
        }
        route.name.clone()
    }

    /// What was seen since this was last asked.
    pub(crate) fn take(&self) -> Vec<RouteCount> {
        std::mem::take(&mut *lock(&self.seen)).into_values().collect()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
