//! What was counted.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use spillway_proto::notification::Notification;
use spillway_proto::object_key::ROOT;
use spillway_proto::{ObjectKey, TenantId};

use crate::output::table;

/// So many objects, with all that they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Objects.
    pub objects: u64,
    /// Spans, as the objects' names have them.
    pub spans: u64,
    /// Bytes, as they are stored.
    pub bytes: u64,
}

impl Tally {
    /// Of one object.
    pub fn of(notification: &Notification) -> Self {
        Self { objects: 1, spans: notification.object_key.spans().into(), bytes: notification.bytes }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.spans = self.spans.saturating_add(other.spans);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// By tenant and day, for `--dry-run`.
#[derive(Debug, Default)]
pub struct Totals(BTreeMap<(TenantId, String), Tally>);

impl Totals {
    /// Takes in an object.
    pub fn add(&mut self, notification: &Notification) {
        let place = (notification.tenant.clone(), day(&notification.object_key));
        *self.0.entry(place).or_default() += Tally::of(notification);
    }

    /// Of all tenants and days.
    pub fn sum(&self) -> Tally {
        let mut sum = Tally::default();
        self.0.values().for_each(|tally| sum += *tally);
        sum
    }

    /// As a table, with the sum in its last line.
    pub fn table(&self) -> String {
        let row = |tenant: &str, day: &str, tally: &Tally| {
            let Tally { objects, spans, bytes } = tally;
            [tenant.to_owned(), day.to_owned(), objects.to_string(), spans.to_string(), bytes.to_string()]
        };
        let mut rows: Vec<_> =
            self.0.iter().map(|((tenant, day), tally)| row(tenant.as_str(), day, tally)).collect();
        rows.push(row("total", "", &self.sum()));
        table(["TENANT", "DAY", "OBJECTS", "SPANS", "BYTES"], &rows)
    }
}

/// The UTC day on which it was received, as `YYYY-MM-DD`.
fn day(key: &ObjectKey) -> String {
    let folder = ObjectKey::folder_of(key.received_at());
    let parts: Vec<_> = folder.trim_start_matches(ROOT).split('/').take(3).collect();
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::samples::notification;

    #[test]
    fn counts_by_tenant_and_day() {
        let mut totals = Totals::default();
        const DAY: u64 = 86_400_000;
        for (tenant, at, spans) in
            [("other", 0, 1), ("acme", 0, 10), ("acme", 1, 20), ("acme", DAY, 5), ("acme", DAY - 1, 3)]
        {
            totals.add(&notification(tenant, at, spans));
        }
        insta::assert_snapshot!(totals.table(), @"
        TENANT  DAY         OBJECTS  SPANS  BYTES
        acme    2026-11-20  3        33     417
        acme    2026-11-21  1        5      139
        other   2026-11-20  1        1      140
        total               5        39     696
        ");
    }
}
