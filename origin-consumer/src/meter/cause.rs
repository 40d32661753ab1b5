//! Why notifications are missing, as far as the origin can tell.

use serde::{Serialize, Serializer};

use crate::queue::{IntakeCount, Missing};

/// The likely cause of missing notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Not one has reached the origin.
    NoneArrives,
    /// Some arrive, others do not.
    DroppedOnTheWay,
    /// They arrive, and are not signed with a key of ours.
    SigningKey,
    /// They arrive, and their signatures are too old or of the future.
    Clocks,
    /// They arrive, and cannot be read.
    Unreadable,
    /// They arrive, and the queue does not take them.
    QueueRefuses,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NoneArrives,
        Self::DroppedOnTheWay,
        Self::SigningKey,
        Self::Clocks,
        Self::Unreadable,
        Self::QueueRefuses,
    ];

    /// Its stable name, as in JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoneArrives => "none_arrives",
            Self::DroppedOnTheWay => "dropped_on_the_way",
            Self::SigningKey => "signing_key",
            Self::Clocks => "clocks",
            Self::Unreadable => "unreadable",
            Self::QueueRefuses => "queue_refuses",
        }
    }

    /// From what has arrived in the same minutes.
    pub(super) fn of(missing: Missing, arrived: &[IntakeCount]) -> Self {
        let count = |names: &[&str]| -> u64 {
            let counts = arrived.iter().filter(|count| names.contains(&count.outcome.as_str()));
            counts.map(|count| count.notifications).sum()
        };
        let refusals = [
            (count(&["bad_signature"]), Self::SigningKey),
            (count(&["expired"]), Self::Clocks),
            (count(&["malformed", "too_large", "unreadable", "not_a_notification"]), Self::Unreadable),
            (count(&["queue_unavailable", "queue_full"]), Self::QueueRefuses),
        ];
        let most = refusals.into_iter().max_by_key(|(refused, _)| *refused);
        // Each is tried several times, so as many refusals as missing ones explain them.
        match most {
            Some((refused, cause)) if refused > 0 && refused >= missing.not_notified => cause,
            _ if count(&["enqueued", "known", "resend"]) == 0 => Self::NoneArrives,
            _ => Self::DroppedOnTheWay,
        }
    }

    /// In words, with what to do.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NoneArrives => {
                "no notification reaches the origin: is NOTIFY_URL right, does the origin answer there, and does a \
                 firewall rule of the zone block the Worker's requests? The sweep stores the spans meanwhile"
            }
            Self::DroppedOnTheWay => {
                "some notifications reach the origin and others do not: most likely a rate limit or a firewall rule of \
                 the zone drops the Worker's same-zone requests; check the zone's security events, and that a skip rule \
                 on cf.worker.upstream_zone comes first. The sweep stores the spans meanwhile"
            }
            Self::SigningKey => {
                "notifications are refused for their signature: the edge's NOTIFY_SIGNING_KEY is none of \
                 notify.signing_keys. The sweep stores the spans meanwhile"
            }
            Self::Clocks => {
                "notifications are refused for the age of their signature: is the origin's clock right \
                 (notify.max_age_seconds)? The sweep stores the spans meanwhile"
            }
            Self::Unreadable => {
                "what reaches the origin cannot be read as a notification: is the edge of another version, or does \
                 something on the way change requests? The sweep stores the spans meanwhile"
            }
            Self::QueueRefuses => {
                "the queue does not take notifications: it is full (queue.max_pending) or its database fails; the \
                 origin's log says which. What was accepted waits in the bucket"
            }
        }
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(counts: &[(&str, u64)]) -> Vec<IntakeCount> {
        let count = |(outcome, notifications): &(&str, u64)| IntakeCount {
            outcome: (*outcome).to_owned(),
            notifications: *notifications,
        };
        counts.iter().map(count).collect()
    }

    #[test]
    fn what_arrives_tells_what_is_wrong() {
        let missing = Missing { objects: 20, not_notified: 10, since: None };
        for (counts, cause) in [
            (&[][..], Cause::NoneArrives),
            (&[("enqueued", 10)], Cause::DroppedOnTheWay),
            (&[("enqueued", 10), ("bad_signature", 3)], Cause::DroppedOnTheWay),
            (&[("bad_signature", 30)], Cause::SigningKey),
            (&[("expired", 30), ("enqueued", 1)], Cause::Clocks),
            (&[("malformed", 6), ("unreadable", 6)], Cause::Unreadable),
            (&[("queue_full", 30), ("enqueued", 90)], Cause::QueueRefuses),
        ] {
            assert_eq!(Cause::of(missing, &arrived(counts)), cause, "{counts:?}");
        }
    }
}
