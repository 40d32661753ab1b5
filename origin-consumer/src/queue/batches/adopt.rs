//! Objects that somebody has asked for, whatever became of them before.

use std::collections::BTreeMap;
use std::time::Duration;

use spillway_proto::UnixMillis;

use super::Adopted;
use super::forming::{NewBatch, open};
use crate::queue::QueueError;
use crate::queue::intake::{Arrival, Rules, Source, as_json, enqueue};
use crate::queue::resends::{Precedence, note, precedence_again};
use crate::queue::session::{Session, rows_of, values};

/// Makes a batch of them, but for those that are in one, and those that are resends.
pub(super) fn adopt(
    session: &mut dyn Session,
    arrivals: &[Arrival],
    rules: Rules,
    lease: Duration,
    now: UnixMillis,
) -> Result<Adopted, QueueError> {
    enqueue(session, arrivals, rules)?;
    let by_key: BTreeMap<String, &Arrival> =
        arrivals.iter().map(|arrival| (arrival.notification.object_key.to_string(), arrival)).collect();
    // Of those that nobody else is changing.
    let unlocked = session.skip_locked();
    let states = rows_of(session, "state", by_key.keys(), unlocked)?;
    let (mut adopted, mut keys) = (Adopted::default(), Vec::new());
    for (key, arrival) in by_key {
        let object_key = &arrival.notification.object_key;
        match states.get(&key).map(|row| row.text(0)).transpose()? {
            // Locked by somebody, or in a batch of somebody.
            None | Some("batched" | "held") => adopted.in_hand.push(object_key.clone()),
            Some("duplicate") => adopted.duplicates.push(object_key.clone()),
            Some(state) => {
                if matches!(state, "dead" | "discarded" | "expired") {
                    let precedence = precedence_again(session, &arrival.notification)?;
                    if matches!(precedence, Precedence::Duplicate { .. }) {
                        adopted.duplicates.push(object_key.clone());
                        continue;
                    }
                    note(session, &key, &precedence)?;
                }
                // A ledger keeps less of what has long been stored; and should it be set back, whoever takes it next must
                // look as well.
                let sql =
                    "UPDATE objects SET notification = $1, failures = 0, reason = NULL, ended_at_ms = NULL,
                           look_first = 1 WHERE object_key = $2";
                session.execute(sql, values![as_json(&arrival.notification)?, key.as_str()])?;
                keys.push(key);
            }
        }
    }
    if !keys.is_empty() {
        let priority = Source::Replayed.priority();
        let new = NewBatch { priority, look_first: true, abandoned: 0, lease: Some(lease) };
        adopted.batch = Some(open(session, &keys, new, now)?);
    }
    Ok(adopted)
}
