//! What the bucket holds of a minute, and the ledger does not know.

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt};
use spillway_proto::notification::Notification;
use spillway_proto::object_key::SHARDS;
use spillway_proto::{ObjectKey, UnixMillis};

use super::{Sweep, SweepError};
use crate::objects::{self, ObjectError};
use crate::queue::{Enqueued, Listed};
use crate::time::now;

/// Keys of one listing; R2 gives no more.
const PAGE: usize = 1000;
/// Objects that are described side by side.
const DESCRIPTIONS: usize = 8;

/// What a listing has shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) by_tenant: HashMap<String, Listed>,
    /// Objects that were not known.
    pub(super) found: usize,
}

impl Seen {
    fn count(&mut self, tenant: &str, key: &ObjectKey) {
        let listed = self.by_tenant.entry(tenant.to_owned()).or_default();
        listed.objects += 1;
        listed.spans += u64::from(key.spans());
    }

    fn add(&mut self, other: Self) {
        for (tenant, Listed { objects, spans }) in other.by_tenant {
            let listed = self.by_tenant.entry(tenant).or_default();
            listed.objects += objects;
            listed.spans += spans;
        }
        self.found += other.found;
    }
}

impl Sweep {
    /// Lists a minute, and takes in what the ledger does not know of what was received before `due_before`.
    pub(super) async fn list(&self, minute: UnixMillis, due_before: UnixMillis) -> Result<Seen, SweepError> {
        let folder = ObjectKey::folder_of(minute);
        let page = self.objects.list(&folder, "", PAGE).await?;
        if !page.more {
            return self.take_in(page.objects, due_before).await;
        }
        // A minute of more than a page is listed by shards, side by side.
        let mut seen = Seen::default();
        let shards = (0..SHARDS).map(|shard| self.list_shard(format!("{folder}{shard:x}/"), due_before));
        let mut shards = stream::iter(shards).buffer_unordered(self.config.listings);
        while let Some(of_shard) = shards.next().await {
            seen.add(of_shard?);
        }
        Ok(seen)
    }

    async fn list_shard(&self, prefix: String, due_before: UnixMillis) -> Result<Seen, SweepError> {
        let (mut seen, mut last) = (Seen::default(), String::new());
        loop {
            let page = self.objects.list(&prefix, &last, PAGE).await?;
            let more = page.more;
            if let Some(object) = page.objects.last() {
                last.clone_from(&object.key);
            }
            seen.add(self.take_in(page.objects, due_before).await?);
            if !more {
                return Ok(seen);
            }
        }
    }

    async fn take_in(
        &self,
        listed: Vec<objects::Listed>,
        due_before: UnixMillis,
    ) -> Result<Seen, SweepError> {
        let keys = listed.iter().filter_map(|object| object.key.parse::<ObjectKey>().ok());
        let due: Vec<_> = keys.filter(|key| key.received_at() < due_before).collect();
        let tenants = self.queue.tenants_of(due.clone()).await?;
        let mut seen = Seen::default();
        let mut unknown = Vec::new();
        for key in due {
            match tenants.get(&key) {
                Some(tenant) => seen.count(tenant, &key),
                None => unknown.push(key),
            }
        }
        for found in self.describe(unknown, &mut seen).await? {
            seen.count(found.tenant.as_str(), &found.object_key);
        }
        Ok(seen)
    }

    /// Takes the objects in, and returns what they are.
    async fn describe(&self, keys: Vec<ObjectKey>, seen: &mut Seen) -> Result<Vec<Notification>, SweepError> {
        let descriptions = keys.into_iter().map(|key| async move {
            let description = self.objects.describe(&key).await;
            (key, description)
        });
        let mut descriptions = stream::iter(descriptions).buffer_unordered(DESCRIPTIONS);
        let (mut found, mut failed) = (Vec::new(), Ok(()));
        while let Some((key, description)) = descriptions.next().await {
            match description {
                Ok(notification) => found.push(notification),
                Err(ObjectError::Poison(reason)) => {
                    tracing::error!(object = %key, reason, "an object in the bucket is not one of ours");
                    seen.count("", &key);
                }
                // One that cannot be had now must not hold up the others.
                Err(error) => failed = Err(error),
            }
        }
        let enqueued = self.queue.sweep_in(found.clone(), now()).await?;
        if enqueued.contains(&Enqueued::Full) {
            return Err(SweepError::Full);
        }
        let new = enqueued.iter().filter(|enqueued| **enqueued == Enqueued::New).count();
        seen.found += new;
        self.metrics.swept(new);
        failed?;
        Ok(found)
    }
}
