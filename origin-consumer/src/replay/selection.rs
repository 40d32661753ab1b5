//! Which objects: by time of receipt, prefix, tenant, or one by one.

use std::collections::BTreeSet;

use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use spillway_proto::notification::Notification;
use spillway_proto::object_key::ROOT;
use spillway_proto::{ObjectKey, TenantId, UnixMillis};

use super::range::TimeRange;
use crate::objects::{Folder, FolderError, ObjectError, Objects, PassedOver};
use crate::time::{MINUTE_MS, backoff};

/// How many keys are asked for at once; S3 gives out no more.
const PAGE_KEYS: usize = 1_000;
/// How often a call is tried again, after what the S3 client itself has tried: for a minute and a half.
const RETRIES: u32 = 8;

/// What a replay is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Which objects, by their keys.
    pub which: Which,
    /// Of these tenants only; of all if there are none.
    pub tenants: BTreeSet<TenantId>,
}

/// Which objects, by their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Those that were received in this time, and whose keys begin so.
    Received {
        /// When.
        range: TimeRange,
        /// What their keys begin with; nothing asks for all.
        prefix: String,
    },
    /// These, in order, and each once.
    These(Vec<ObjectKey>),
}

impl Which {
    /// These, however they were given.
    pub fn these(mut keys: Vec<ObjectKey>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self::These(keys)
    }
}

/// An object of a selection.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It is to be replayed.
    Wanted(Notification),
    /// It is of a tenant that was not asked for.
    OfAnother(ObjectKey),
    /// It cannot be read, for this reason.
    Unreadable(ObjectKey, String),
}

impl Found {
    /// Its key.
    pub fn key(&self) -> &ObjectKey {
        match self {
            Self::Wanted(notification) => &notification.object_key,
            Self::OfAnother(key) | Self::Unreadable(key, _) => key,
        }
    }
}

/// So many, as their keys alone tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listing {
    /// Objects.
    pub objects: u64,
    /// Their spans.
    pub spans: u64,
}

impl Selection {
    /// The objects behind `done`, in the order of their keys, each with what is kept of it: as many as `concurrency` are
    /// asked for side by side. Ends with the first error that does not pass.
    pub fn find(
        &self,
        objects: &Objects,
        done: Option<&ObjectKey>,
        concurrency: usize,
    ) -> impl Stream<Item = Result<Found, ObjectError>> + Send + use<> {
        let (objects, tenants) = (objects.clone(), self.tenants.clone());
        let keys = self.keys(&objects, done);
        let describe = move |key: ObjectKey| {
            let (objects, tenants) = (objects.clone(), tenants.clone());
            async move { found(&objects, &tenants, key).await }
        };
        keys.map_ok(describe).try_buffered(concurrency)
    }

    /// How many there are behind `done`, of whatever tenant: one listing, which asks for no object.
    pub async fn count(&self, objects: &Objects, done: Option<&ObjectKey>) -> Result<Listing, ObjectError> {
        let add = |sum: Listing, key: ObjectKey| async move {
            Ok(Listing { objects: sum.objects + 1, spans: sum.spans + u64::from(key.spans()) })
        };
        self.keys(objects, done).try_fold(Listing::default(), add).await
    }

    /// What is not read of a folder, though it lies where objects are asked for. Objects that are asked for one by one are named
    /// where they are not there.
    pub fn passed_over(&self, folder: &Folder) -> Result<PassedOver, FolderError> {
        let Which::Received { range, prefix } = &self.which else { return Ok(PassedOver::default()) };
        match Walk::new(*range, prefix, None) {
            Some(Walk { prefix, after, end }) => folder.passed_over(&prefix, &after, &end),
            None => Ok(PassedOver::default()),
        }
    }

    fn keys(
        &self,
        objects: &Objects,
        done: Option<&ObjectKey>,
    ) -> impl Stream<Item = Result<ObjectKey, ObjectError>> + Send + use<> {
        match &self.which {
            Which::These(keys) => {
                let left = keys.iter().filter(|key| done < Some(key)).cloned();
                stream::iter(left.map(Ok).collect::<Vec<_>>()).left_stream()
            }
            Which::Received { range, prefix } => {
                let listed = listed(objects.clone(), *range, Walk::new(*range, prefix, done));
                listed.right_stream()
            }
        }
    }
}

/// A listing that goes straight from the first key of the range to its last, whatever minutes between are empty.
#[derive(Debug, PartialEq, Eq)]
struct Walk {
    prefix: String,
    after: String,
    /// Every key of the range is before it.
    end: String,
}

impl Walk {
    /// Nothing if there can be no such key.
    fn new(range: TimeRange, prefix: &str, done: Option<&ObjectKey>) -> Option<Self> {
        if range.is_empty() {
            return None;
        }
        // Within a minute the order is that of the shards, so whole minutes are listed.
        let (first, last) =
            (ObjectKey::folder_of(range.from), ObjectKey::folder_of(UnixMillis(range.until.0 - 1)));
        let end = ObjectKey::folder_of(UnixMillis((range.until.0 - 1).saturating_add(MINUTE_MS)));
        let common = common_prefix(&first, &last);
        let prefix = match () {
            () if prefix.starts_with(common) => prefix,
            () if common.starts_with(prefix) => common,
            () => return None,
        };
        let after = done.map_or_else(|| first.clone(), |done| first.clone().max(done.to_string()));
        Some(Self { prefix: prefix.to_owned(), after, end })
    }
}

fn common_prefix<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    one.get(..same).unwrap_or(ROOT)
}

fn listed(
    objects: Objects,
    range: TimeRange,
    walk: Option<Walk>,
) -> impl Stream<Item = Result<ObjectKey, ObjectError>> + Send + use<> {
    let pages = stream::try_unfold(walk, move |walk| {
        let objects = objects.clone();
        async move {
            let Some(Walk { prefix, after, end }) = walk else { return Ok(None) };
            let page = persistently(|| objects.list(&prefix, &after, PAGE_KEYS)).await?;
            let last = page.objects.last().map(|object| object.key.clone());
            let next = last.filter(|last| page.more && *last < end);
            let next = next.map(|after| Walk { prefix, after, end });
            Ok::<_, ObjectError>(Some((page.objects, next)))
        }
    });
    let of_range = move |object: crate::objects::Listed| match object.key.parse::<ObjectKey>() {
        Ok(key) => range.contains(key.received_at()).then_some(key),
        Err(error) => {
            tracing::debug!(key = object.key, %error, "passed over");
            None
        }
    };
    pages
        .map_ok(move |page| stream::iter(page.into_iter().filter_map(of_range).map(Ok).collect::<Vec<_>>()))
        .try_flatten()
}

async fn found(
    objects: &Objects,
    tenants: &BTreeSet<TenantId>,
    key: ObjectKey,
) -> Result<Found, ObjectError> {
    match persistently(|| objects.describe(&key)).await {
        Ok(notification) if tenants.is_empty() || tenants.contains(&notification.tenant) => {
            Ok(Found::Wanted(notification))
        }
        Ok(_) => Ok(Found::OfAnother(key)),
        Err(ObjectError::Poison(reason)) => Ok(Found::Unreadable(key, reason)),
        Err(error @ ObjectError::Transient(_)) => Err(error),
    }
}

async fn persistently<T, F: Future<Output = Result<T, ObjectError>>>(
    call: impl Fn() -> F,
) -> Result<T, ObjectError> {
    for failures in 0..RETRIES {
        match call().await {
            Err(ObjectError::Transient(error)) => {
                tracing::warn!(error, "the objects cannot be had; trying again");
                tokio::time::sleep(backoff(failures)).await;
            }
            outcome => return outcome,
        }
    }
    call().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Folder;
    use crate::objects::samples::{DAY, object};
    use proptest::prelude::*;
    use std::fs;

    fn range(from: u64, until: u64) -> TimeRange {
        TimeRange { from: UnixMillis(DAY.0 + from), until: UnixMillis(DAY.0 + until) }
    }

    fn received(from: u64, until: u64, prefix: &str, tenants: &[&str]) -> Selection {
        let tenants = tenants.iter().map(|tenant| tenant.parse().unwrap()).collect();
        Selection { which: Which::Received { range: range(from, until), prefix: prefix.to_owned() }, tenants }
    }

    #[test]
    fn a_walk_is_as_narrow_as_its_range_and_prefix() {
        const HOUR: u64 = 60 * MINUTE_MS;
        let walk = |range, prefix: &str| Walk::new(range, prefix, None);
        let is = |prefix: &str, after: &str, end: &str| {
            Some(Walk { prefix: prefix.to_owned(), after: after.to_owned(), end: end.to_owned() })
        };
        let hours = range(HOUR, 3 * HOUR);
        let (first, end) = ("v1/2026/11/20/01/00/", "v1/2026/11/20/03/00/");
        assert_eq!(walk(hours, ""), is("v1/2026/11/20/0", first, end));
        assert_eq!(walk(hours, "v1/2026/"), is("v1/2026/11/20/0", first, end));
        assert_eq!(walk(hours, "v1/2026/11/20/01/"), is("v1/2026/11/20/01/", first, end));
        assert_eq!(walk(hours, "v1/2026/11/21/"), None);
        assert_eq!(walk(range(HOUR, HOUR), ""), None);
        let done = object("acme", 2 * HOUR, 1).0;
        assert_eq!(Walk::new(hours, "", Some(&done)), is("v1/2026/11/20/0", &done.to_string(), end));
        let within_a_minute = range(HOUR, HOUR + 1);
        assert_eq!(walk(within_a_minute, ""), is(first, first, "v1/2026/11/20/01/01/"));
    }

    struct Stored {
        objects: Objects,
        keys: Vec<(ObjectKey, &'static str)>,
        _folder: tempfile::TempDir,
    }

    /// Objects of two tenants, one that cannot be read, and a file that is none.
    fn stored(times: impl IntoIterator<Item = u64>) -> Stored {
        let folder = tempfile::tempdir().unwrap();
        let mut keys = Vec::new();
        let write = |key: &ObjectKey, bytes: &[u8]| {
            let path = folder.path().join(key.to_string());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        for (n, at) in times.into_iter().enumerate() {
            let tenant = ["acme", "other"][n % 2];
            let (key, bytes) = object(tenant, at, 3);
            write(&key, &bytes);
            keys.push((key, tenant));
        }
        keys.sort();
        fs::create_dir_all(folder.path().join("v1/2026/11/20/00/00/")).unwrap();
        fs::write(folder.path().join("v1/2026/11/20/00/00/notes.txt"), b"by hand").unwrap();
        let objects = Objects::in_folder(Folder::open(folder.path()).unwrap(), 1 << 20);
        Stored { objects, keys, _folder: folder }
    }

    async fn all(selection: &Selection, objects: &Objects, done: Option<&ObjectKey>) -> Vec<Found> {
        selection.find(objects, done, 4).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn others_and_unreadable_ones_are_told_in_their_place() {
        let stored = stored([0, 1, 70_000, 80_000, 3_600_000]);
        let bad = &stored.keys[2].0;
        fs::write(stored._folder.path().join(bad.to_string()), b"no record").unwrap();
        let selection = received(0, 3_600_000, "", &["acme"]);
        let found = all(&selection, &stored.objects, None).await;
        let expected: Vec<_> = stored.keys[..4].iter().collect();
        assert_eq!(found.len(), expected.len());
        for (found, (key, tenant)) in found.iter().zip(expected) {
            assert_eq!(found.key(), key);
            match found {
                Found::Unreadable(key, _) => assert_eq!(key, bad),
                Found::Wanted(_) => assert_eq!(*tenant, "acme"),
                Found::OfAnother(_) => assert_eq!(*tenant, "other"),
            }
        }
        let listing = selection.count(&stored.objects, None).await.unwrap();
        assert_eq!(listing, Listing { objects: 4, spans: 12 });
        assert_eq!(all(&selection, &stored.objects, Some(&stored.keys[1].0)).await, found[2..]);
    }

    #[tokio::test]
    async fn objects_one_by_one_come_in_order_and_once() {
        let stored = stored([0, 60_000, 120_000]);
        let missing = object("acme", 90_000, 3).0;
        let keys = |n: usize| stored.keys[n].0.clone();
        let which = Which::these(vec![keys(2), missing.clone(), keys(0), keys(2)]);
        let selection = Selection { which, tenants: BTreeSet::new() };
        let found = all(&selection, &stored.objects, None).await;
        let order: Vec<_> = found.iter().map(Found::key).cloned().collect();
        assert_eq!(order, [keys(0), missing.clone(), keys(2)]);
        assert!(matches!(&found[1], Found::Unreadable(_, reason) if reason.contains("not in the folder")));
        assert_eq!(all(&selection, &stored.objects, Some(&missing)).await.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_key_of_the_range_behind_the_mark_is_found_once(
            times in proptest::collection::btree_set(0u64..20 * MINUTE_MS, 1..40),
            bounds in (0u64..20 * MINUTE_MS, 0u64..20 * MINUTE_MS),
            minute in proptest::option::of(0u64..20), done in proptest::option::of(0usize..40),
        ) {
            let stored = stored(times);
            let (from, until) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
            let prefix = minute.map_or(String::new(), |minute| {
                ObjectKey::folder_of(UnixMillis(DAY.0 + minute * MINUTE_MS))
            });
            let done = done.and_then(|at| stored.keys.get(at)).map(|(key, _)| key);
            let selection = received(from, until, &prefix, &[]);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let found = runtime.block_on(all(&selection, &stored.objects, done));
            let found: Vec<_> = found.iter().map(Found::key).collect();
            let expected = stored.keys.iter().map(|(key, _)| key).filter(|key| {
                range(from, until).contains(key.received_at())
                    && key.to_string().starts_with(&prefix)
                    && done < Some(key)
            });
            prop_assert_eq!(found, expected.collect::<Vec<_>>());
        }
    }
}
