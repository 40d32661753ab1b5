//! Resends: objects of one request, of which each span is to be stored once.
//!
//! An exporter sends a request again when its first answer was lost. The first object of a request holds it. A resend of one
//! whose spans were all accepted holds nothing else, and is a `duplicate`. Where spans were rejected, a later try may have been
//! judged more generously: by a limit that was raised, by a key's record that was stale in one isolate, by a clock. Such a
//! resend is `held` until the objects before it have ended, and then adds what they do not hold.
//!
//! Spillway 0.1 knew requests by another id. For one version, requests are held under that id as well, with a `~` before it. It does
//! not tell projects apart, so that a resend that is known by it alone is held, and the consumer compares the records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use spillway_proto::ObjectKey;
use spillway_proto::notification::Notification;

use super::QueueError;
use super::intake::Arrival;
use super::session::{Row, Session, Value, in_powers, rows_of_placeholders, values};

/// How an object stands to those of the same request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Precedence {
    /// None is known: it holds the request.
    First,
    /// It holds nothing that `of` does not.
    Duplicate { of: String },
    /// It may hold spans that the objects before it do not; `root` is the first of those.
    Held { root: String },
}

impl Precedence {
    pub(super) fn resend_of(&self) -> Option<&str> {
        match self {
            Self::First => None,
            Self::Duplicate { of: object } | Self::Held { root: object } => Some(object),
        }
    }
}

/// The request of an object, by the ids that it is held under.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Request {
    id: String,
    /// The id of Spillway 0.1, with a `~` before it.
    previous: String,
    received_at: u64,
    /// Spillway 0.1 has named the object.
    is_of_previous_version: bool,
}

impl Request {
    fn of(notification: &Notification) -> Self {
        let key = &notification.object_key;
        let previous = notification.previous_id.unwrap_or(key.object_id());
        Self {
            id: key.object_id().to_string(),
            previous: format!("~{previous}"),
            received_at: key.received_at().0,
            is_of_previous_version: notification.previous_id.is_none(),
        }
    }
}

/// How new objects stand to those of the same requests. From here on the first ones hold their requests.
pub(super) fn precedences<'k>(
    session: &mut dyn Session,
    objects: &BTreeMap<&'k str, &Arrival>,
    window_ms: u64,
) -> Result<HashMap<&'k str, Precedence>, QueueError> {
    if window_ms == 0 {
        return Ok(objects.keys().map(|key| (*key, Precedence::First)).collect());
    }
    let requests = objects.iter().map(|(key, arrival)| (*key, Request::of(&arrival.notification)));
    let mut requests: Vec<(&str, Request)> = requests.collect();
    requests.sort_unstable_by(|(key, one), (other_key, other)| {
        (one.received_at, key).cmp(&(other.received_at, other_key))
    });
    let mut holds = lock(session, &requests)?;
    let (mut precedences, mut taken) = (HashMap::<&str, Precedence>::new(), BTreeSet::new());
    for (key, request) in &requests {
        let mut take = |id: &String| {
            let hold = holds.get_mut(id)?;
            if hold.key != *key && hold.received_at.saturating_add(window_ms) >= request.received_at {
                return Some(hold.key.clone());
            }
            if hold.key != *key {
                *hold = Hold { key: (*key).to_owned(), received_at: request.received_at };
                taken.insert(id.clone());
            }
            None
        };
        let held_by = [take(&request.id), take(&request.previous)];
        precedences.insert(key, precedence(session, request, held_by, objects, &precedences)?);
    }
    for id in &taken {
        let sql = "UPDATE requests SET object_key = $1, received_at_ms = $2 WHERE object_id = $3";
        if let Some(hold) = holds.get(id) {
            session.execute(sql, values![hold.key.as_str(), hold.received_at, id.as_str()])?;
        }
    }
    Ok(precedences)
}

/// How an object stands to those that hold its request, by its own id and by that of Spillway 0.1.
fn precedence(
    session: &mut dyn Session,
    request: &Request,
    held_by: [Option<String>; 2],
    arrivals: &BTreeMap<&str, &Arrival>,
    precedences: &HashMap<&str, Precedence>,
) -> Result<Precedence, QueueError> {
    let [by_id, by_previous] = held_by;
    if let Some(key) = by_id {
        return Ok(Holder::find(session, key, arrivals, precedences)?.before_resend());
    }
    let Some(key) = by_previous else { return Ok(Precedence::First) };
    let holder = Holder::find(session, key, arrivals, precedences)?;
    // Where both have an id of their own, and another one, it is the same body, of another project.
    let may_be_the_same = request.is_of_previous_version || holder.is_of_previous_version;
    Ok(if may_be_the_same { holder.held() } else { Precedence::First })
}

/// Who holds a request.
struct Hold {
    key: String,
    received_at: u64,
}

/// Who holds these requests, by each of their ids: where nobody did, the first of them. Until the transaction ends, nobody else
/// takes them.
fn lock(
    session: &mut dyn Session,
    requests: &[(&str, Request)],
) -> Result<HashMap<String, Hold>, QueueError> {
    // In the order of the ids, so that two transactions do not wait for each other.
    let mut first = BTreeMap::new();
    for (key, request) in requests {
        for id in [&request.id, &request.previous] {
            first.entry(id.as_str()).or_insert((*key, request.received_at));
        }
    }
    let mut holds = HashMap::new();
    for rows in in_powers(&first.into_iter().collect::<Vec<_>>()) {
        let sql = format!(
            "INSERT INTO requests (object_id, object_key, received_at_ms) VALUES {}
             ON CONFLICT (object_id) DO UPDATE SET object_key = requests.object_key
             RETURNING object_id, object_key, received_at_ms",
            rows_of_placeholders(rows.len(), 3)
        );
        let values =
            rows.iter().flat_map(|(id, (key, received))| [(*id).into(), (*key).into(), (*received).into()]);
        for row in session.query(&sql, &values.collect::<Vec<Value>>())? {
            let hold = Hold { key: row.text(1)?.to_owned(), received_at: row.number(2)? };
            holds.insert(row.text(0)?.to_owned(), hold);
        }
    }
    Ok(holds)
}

/// Another object that holds a request.
struct Holder {
    key: String,
    /// The first object of its request, where it is a resend.
    root: Option<String>,
    /// No span of its request was rejected.
    is_complete: bool,
    /// Spillway 0.1 has named it, as far as is known.
    is_of_previous_version: bool,
}

impl Holder {
    /// Looks it up, also among `arrivals`, which the ledger does not have yet.
    fn find(
        session: &mut dyn Session,
        key: String,
        arrivals: &BTreeMap<&str, &Arrival>,
        precedences: &HashMap<&str, Precedence>,
    ) -> Result<Self, QueueError> {
        if let Some(Arrival { notification, .. }) = arrivals.get(key.as_str()) {
            let root = precedences.get(key.as_str()).and_then(Precedence::resend_of).map(str::to_owned);
            let is_complete = notification.rejected_spans == Some(0);
            return Ok(Self {
                key,
                root,
                is_complete,
                is_of_previous_version: notification.previous_id.is_none(),
            });
        }
        let sql = "SELECT complete, resend_of, previous_id FROM objects WHERE object_key = $1";
        Ok(match session.query_one(sql, values![key.as_str()])? {
            Some(row) => Self {
                key,
                is_complete: row.number(0)? == 1,
                root: row.optional_text(1)?.map(str::to_owned),
                is_of_previous_version: row.optional_text(2)?.is_none(),
            },
            None => Self { key, root: None, is_complete: false, is_of_previous_version: true },
        })
    }

    fn held(self) -> Precedence {
        Precedence::Held { root: self.root.unwrap_or(self.key) }
    }

    /// How a resend stands to the one that holds its request by the request's own id.
    fn before_resend(self) -> Precedence {
        if self.is_complete { Precedence::Duplicate { of: self.key } } else { self.held() }
    }
}

/// The place of the next resend of `root` that may add spans.
pub(super) fn next_place(session: &mut dyn Session, root: &str) -> Result<u64, QueueError> {
    let sql = "SELECT coalesce(max(resend_no), 0) + 1 FROM objects WHERE resend_of = $1";
    session.query_one(sql, values![root])?.map_or(Ok(1), |row| row.number(0))
}

/// The objects that may hold spans of the request before the resend of `root` that has this place: those that were stored or
/// will be.
pub(super) fn predecessors(
    session: &mut dyn Session,
    root: &str,
    place: u64,
) -> Result<Vec<ObjectKey>, QueueError> {
    let sql =
        "SELECT object_key, state FROM objects WHERE object_key = $1 OR resend_of = $1 AND resend_no < $2
               ORDER BY object_key";
    let (mut found, mut knows_root) = (Vec::new(), false);
    for row in session.query(sql, values![root, place])? {
        knows_root |= row.text(0)? == root;
        if !matches!(row.text(1)?, "held" | "duplicate" | "dead" | "discarded") {
            found.push(row.parsed(0)?);
        }
    }
    if !knows_root {
        // The ledger has forgotten it, or never knew it; the table does.
        found.push(super::session::parsed(root)?);
    }
    Ok(found)
}

/// The objects of a batch have ended: the resends that waited for them come next.
pub(super) fn release_of_batch(session: &mut dyn Session, batch: &str) -> Result<(), QueueError> {
    if session.query_one("SELECT 1 FROM objects WHERE state = 'held' LIMIT 1", &[])?.is_none() {
        return Ok(());
    }
    let sql = "SELECT DISTINCT coalesce(resend_of, object_key) FROM objects WHERE batch_id = $1";
    let roots = session.query(sql, values![batch])?;
    roots.iter().try_for_each(|row| release(session, row.text(0)?))
}

/// Lets the next resend of `root` wait for a batch, if none is under way.
pub(super) fn release(session: &mut dyn Session, root: &str) -> Result<(), QueueError> {
    let sql = "UPDATE objects SET state = 'pending',
                   resend_no = (SELECT coalesce(max(resend_no), 0) + 1 FROM objects WHERE resend_of = $1)
               WHERE object_key = (SELECT min(object_key) FROM objects WHERE resend_of = $1 AND state = 'held')
               AND NOT EXISTS (SELECT 1 FROM objects WHERE (object_key = $1 OR resend_of = $1)
                               AND state IN ('pending', 'batched'))";
    session.execute(sql, values![root]).map(drop)
}

/// Lets resends wait for a batch that are held for nothing: of two transactions at once, one has held a resend, and the other
/// has seen the last object before it end.
pub(super) fn release_forgotten(session: &mut dyn Session) -> Result<(), QueueError> {
    let roots = session.query("SELECT DISTINCT resend_of FROM objects WHERE state = 'held'", &[])?;
    roots.iter().try_for_each(|row| release(session, row.text(0)?))
}

/// The first object of the request that `key` is a resend of, if it is one.
pub(super) fn root_of(session: &mut dyn Session, key: &str) -> Result<Option<String>, QueueError> {
    let row = session.query_one("SELECT resend_of FROM objects WHERE object_key = $1", values![key])?;
    Ok(row.map(|row| row.optional_text(0).map(|root| root.map(str::to_owned))).transpose()?.flatten())
}

/// The object is a resend of `holder`, which ClickHouse has and the ledger may not know yet, and holds nothing else.
pub(super) fn leave_to(
    session: &mut dyn Session,
    resend: &ObjectKey,
    holder: &ObjectKey,
) -> Result<(), QueueError> {
    let (key, of) = (resend.to_string(), holder.to_string());
    // A resend of this one may have come to hold all of it.
    let root = root_of(session, &of)?.filter(|root| *root != key).unwrap_or_else(|| of.clone());
    let sql = "UPDATE objects SET state = 'duplicate', batch_id = NULL WHERE object_key = $1";
    session.execute(sql, values![key.as_str()])?;
    let sql = "UPDATE objects SET resend_of = $1 WHERE object_key = $2 OR resend_of = $2";
    session.execute(sql, values![root.as_str(), key.as_str()])?;
    // The table has it, whatever the ledger said of it.
    let sql = "UPDATE objects SET resend_of = NULL, resend_no = NULL,
                   look_first = CASE WHEN state = 'duplicate' THEN 1 ELSE look_first END,
                   state = CASE WHEN state = 'duplicate' THEN 'pending' ELSE state END WHERE object_key = $1";
    session.execute(sql, values![root.as_str()])?;
    let sql = "UPDATE requests SET object_key = $1, received_at_ms = $2 WHERE object_key = $3";
    session.execute(sql, values![root.as_str(), holder.received_at().0, key.as_str()])?;
    if holder.object_id() == resend.object_id() {
        let sql = "INSERT INTO requests (object_id, object_key, received_at_ms) VALUES ($1, $2, $3)
                   ON CONFLICT (object_id) DO NOTHING";
        let values = values![holder.object_id().to_string(), root.as_str(), holder.received_at().0];
        session.execute(sql, values)?;
    }
    release(session, &root)
}

/// An object of the same request as one that is dead.
struct Relative {
    key: String,
    state: String,
    is_complete: bool,
}

impl Relative {
    fn of(row: &Row) -> Result<Self, QueueError> {
        let (key, state) = (row.text(0)?.to_owned(), row.text(1)?.to_owned());
        Ok(Self { key, state, is_complete: row.number(2)? == 1 })
    }

    /// Those that are under way already come first, then those that are stored, then those that hold all of the request.
    fn order(&self) -> (u8, bool) {
        match self.state.as_str() {
            "pending" | "batched" => (0, false),
            "stored" => (1, false),
            _ => (2, !self.is_complete),
        }
    }
}

/// What an object that is dead now held of its request, others take over: they may be whole where it is not.
pub(super) fn take_over(session: &mut dyn Session, dead: &str) -> Result<(), QueueError> {
    let sql = "DELETE FROM requests WHERE object_key = $1 RETURNING object_id, received_at_ms";
    let held = session.query(sql, values![dead])?;
    let own_root = root_of(session, dead)?;
    let sql = "SELECT object_key, state, complete FROM objects WHERE resend_of = $1
               AND state NOT IN ('dead', 'discarded', 'audited', 'expired') ORDER BY object_key";
    let resends = session.query(sql, values![dead])?;
    let mut resends = resends.iter().map(Relative::of).collect::<Result<Vec<_>, _>>()?;
    let (new_root, is_complete) = match own_root {
        // One that is complete has no resends that are held.
        Some(root) => (root, false),
        None => {
            resends.sort_by_key(Relative::order);
            if resends.is_empty() {
                return Ok(());
            }
            let first = resends.remove(0);
            let sql = "UPDATE objects SET resend_of = NULL, resend_no = NULL WHERE object_key = $1";
            session.execute(sql, values![first.key.as_str()])?;
            wait_again(session, &first)?;
            (first.key, first.is_complete)
        }
    };
    for resend in &resends {
        let sql = "UPDATE objects SET resend_of = $1 WHERE object_key = $2";
        session.execute(sql, values![new_root.as_str(), resend.key.as_str()])?;
    }
    // What they have left to the dead one, they look for once more, one after the other.
    let sql = "UPDATE objects SET state = 'held', batch_id = NULL, resend_no = NULL, look_first = 1
               WHERE resend_of = $1 AND (state = 'stored' OR state = 'duplicate' AND CAST($2 AS BIGINT) = 0)";
    session.execute(sql, values![new_root.as_str(), is_complete])?;
    if is_complete {
        let sql = "UPDATE objects SET state = 'duplicate' WHERE resend_of = $1 AND state = 'held'";
        session.execute(sql, values![new_root.as_str()])?;
    }
    for row in held {
        let sql = "INSERT INTO requests (object_id, object_key, received_at_ms) VALUES ($1, $2, $3)
                   ON CONFLICT (object_id) DO NOTHING";
        session.execute(sql, values![row.text(0)?, new_root.as_str(), row.number(1)?])?;
    }
    release(session, &new_root)
}

fn wait_again(session: &mut dyn Session, relative: &Relative) -> Result<(), QueueError> {
    let sql = match relative.state.as_str() {
        "pending" | "batched" => return Ok(()),
        "stored" => {
            "UPDATE objects SET state = 'pending', batch_id = NULL, look_first = 1 WHERE object_key = $1"
        }
        _ => "UPDATE objects SET state = 'pending' WHERE object_key = $1",
    };
    session.execute(sql, values![relative.key.as_str()]).map(drop)
}

/// How an object that had ended stands to the others of its request, now that it is wanted again. It holds the request where
/// none does.
pub(super) fn precedence_again(
    session: &mut dyn Session,
    notification: &Notification,
) -> Result<Precedence, QueueError> {
    let (key, request) = (notification.object_key.to_string(), Request::of(notification));
    let holds = lock(session, &[(key.as_str(), request.clone())])?;
    let held_by = [&request.id, &request.previous]
        .map(|id| holds.get(id).map(|hold| hold.key.clone()).filter(|holder| *holder != key));
    precedence(session, &request, held_by, &BTreeMap::new(), &HashMap::new())
}

/// Says so of an object that is in a batch.
pub(super) fn note(session: &mut dyn Session, key: &str, precedence: &Precedence) -> Result<(), QueueError> {
    let place = match precedence {
        Precedence::Held { root } => Some(next_place(session, root)?),
        Precedence::First | Precedence::Duplicate { .. } => None,
    };
    let sql = "UPDATE objects SET resend_of = $1, resend_no = $2 WHERE object_key = $3";
    session.execute(sql, values![precedence.resend_of(), place, key]).map(drop)
}
