use spillway_proto::trace_context::TraceContext;
use spillway_proto::{ObjectId, Sha256Digest, TenantId};
use tempfile::TempDir;

use super::*;

const NOW: UnixMillis = UnixMillis(1_795_230_245_678);
const LIMITS: ClaimLimits =
    ClaimLimits { objects: 10, spans: 100, bytes: 1_000, lease: Duration::from_secs(30) };

struct Bench {
    queue: Queue,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { queue: open(&folder), folder }
    }

    /// As after `kill -9`: another process opens what is on disk.
    fn restarted(self) -> Self {
        Self { queue: open(&self.folder), folder: self.folder }
    }

    async fn enqueue(&self, body: &str) -> Enqueued {
        self.queue.enqueue(object(body, 1), NOW).await.unwrap()
    }

    async fn claim(&self, now: UnixMillis) -> Option<Batch> {
        self.queue.claim(LIMITS, now).await.unwrap()
    }
}

fn open(folder: &TempDir) -> Queue {
    Queue::open_at(&folder.path().join("queue.sqlite"), 1_000).unwrap()
}

fn object(body: &str, spans: u32) -> Notification {
    static UNIQUE: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let unique = UNIQUE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let tenant: TenantId = "acme".parse().unwrap();
    Notification {
        object_key: ObjectKey::new(
            NOW,
            unique.into(),
            ObjectId::of(&tenant, &Sha256Digest::of(body.as_bytes())),
            spans,
        ),
        tenant,
        bytes: 100,
        payload_bytes: 100,
        sha256: Sha256Digest::of(body.as_bytes()),
        received_at_unix_ms: NOW,
        stored_at_unix_ms: NOW,
        trace_context: TraceContext::root([1; 16], [2; 8]),
        parent_span_id: None,
        edge_reports_span: false,
    }
}

fn after(millis: u64) -> UnixMillis {
    UnixMillis(NOW.0 + millis)
}

#[tokio::test]
async fn an_object_goes_in_once_and_out_once() {
    let bench = Bench::new();
    let notification = object("a", 3);
    assert_eq!(bench.queue.enqueue(notification.clone(), NOW).await.unwrap(), Enqueued::New);
    assert_eq!(bench.queue.enqueue(notification.clone(), NOW).await.unwrap(), Enqueued::Known);
    let batch = bench.claim(NOW).await.unwrap();
    assert_eq!(batch.objects, [(notification.clone(), NOW)]);
    assert!(bench.claim(NOW).await.is_none());
    bench.queue.ack(&batch, NOW).await.unwrap();
    assert!(bench.claim(after(1_000_000)).await.is_none());
    assert_eq!(bench.queue.enqueue(notification, NOW).await.unwrap(), Enqueued::Known);
    assert_eq!(bench.queue.depth().await.unwrap(), Depth::default());
}

#[tokio::test]
async fn a_resend_counts_once_within_the_window_and_not_after_it() {
    let bench = Bench::new();
    assert_eq!(bench.enqueue("a").await, Enqueued::New);
    assert_eq!(bench.enqueue("a").await, Enqueued::Resend);
    assert_eq!(bench.queue.enqueue(object("a", 1), after(1_001)).await.unwrap(), Enqueued::New);
    let bench =
        Bench { queue: Queue::open_at(&bench.folder.path().join("other.sqlite"), 0).unwrap(), ..bench };
    assert_eq!((bench.enqueue("a").await, bench.enqueue("a").await), (Enqueued::New, Enqueued::New));
}

#[tokio::test]
async fn what_was_enqueued_and_claimed_survives_a_kill() {
    let bench = Bench::new();
    bench.enqueue("a").await;
    let claimed = bench.claim(NOW).await.unwrap();
    bench.enqueue("b").await;
    let bench = bench.restarted();
    let other = bench.claim(NOW).await.unwrap();
    assert_ne!(other.id, claimed.id, "the lease has not run out");
    let again = bench.claim(after(30_000)).await.unwrap();
    assert_eq!((again.id, again.objects), (claimed.id, claimed.objects), "the manifest is what it was");
}

#[tokio::test]
async fn whoever_lost_the_lease_may_not_write() {
    let bench = Bench::new();
    bench.enqueue("a").await;
    let first = bench.claim(NOW).await.unwrap();
    let second = bench.claim(after(30_000)).await.unwrap();
    let queue = &bench.queue;
    for lost in [
        queue.ack(&first, NOW).await,
        queue.renew(&first, NOW).await,
        queue.begin_insert(&first).await,
        queue.release(&first, NOW, String::new()).await,
        queue.set_aside(&first, vec![], NOW).await,
    ] {
        assert!(matches!(lost, Err(QueueError::LeaseLost(id)) if id == first.id), "{lost:?}");
    }
    queue.ack(&second, NOW).await.unwrap();
}

#[tokio::test]
async fn a_renewed_lease_holds() {
    let bench = Bench::new();
    bench.enqueue("a").await;
    let batch = bench.claim(NOW).await.unwrap();
    bench.queue.renew(&batch, after(60_000)).await.unwrap();
    assert!(bench.claim(after(59_999)).await.is_none());
    assert!(bench.claim(after(60_000)).await.is_some());
}

#[tokio::test]
async fn a_released_batch_comes_back_when_it_is_time_and_remembers() {
    let bench = Bench::new();
    bench.enqueue("a").await;
    let batch = bench.claim(NOW).await.unwrap();
    bench.queue.begin_insert(&batch).await.unwrap();
    bench.queue.release(&batch, after(500), "down".to_owned()).await.unwrap();
    assert!(bench.claim(after(499)).await.is_none());
    let again = bench.claim(after(500)).await.unwrap();
    assert_eq!((again.id, again.inserts, again.failures), (batch.id, 1, 1));
}

#[tokio::test]
async fn poison_is_set_aside_and_the_others_wait_again() {
    let bench = Bench::new();
    for body in ["a", "b", "c"] {
        bench.enqueue(body).await;
    }
    let batch = bench.claim(NOW).await.unwrap();
    let poison = batch.objects[1].0.object_key.clone();
    bench.queue.set_aside(&batch, vec![(poison.clone(), "digest".to_owned())], NOW).await.unwrap();
    assert_eq!(bench.queue.depth().await.unwrap(), Depth { pending: 2, batched: 0, dead: 1 });
    let next = bench.claim(NOW).await.unwrap();
    assert_ne!(next.id, batch.id);
    assert!(next.objects.iter().all(|(object, _)| object.object_key != poison));
}

#[tokio::test]
async fn a_resend_takes_the_place_of_an_object_that_is_set_aside() {
    let bench = Bench::new();
    bench.enqueue("a").await;
    let resend = object("a", 1);
    assert_eq!(bench.queue.enqueue(resend.clone(), NOW).await.unwrap(), Enqueued::Resend);
    let batch = bench.claim(NOW).await.unwrap();
    let poison = batch.objects[0].0.object_key.clone();
    bench.queue.set_aside(&batch, vec![(poison, "gone".to_owned())], NOW).await.unwrap();
    assert_eq!(bench.claim(NOW).await.unwrap().objects[0].0.object_key, resend.object_key);
}

#[tokio::test]
async fn a_batch_keeps_to_its_limits_and_takes_at_least_one_object() {
    let bench = Bench::new();
    for (body, spans) in [("a", 500), ("b", 60), ("c", 40), ("d", 1)] {
        bench.queue.enqueue(object(body, spans), NOW).await.unwrap();
    }
    let mut spans = Vec::new();
    while let Some(batch) = bench.claim(NOW).await {
        spans.push((batch.objects.len(), batch.spans()));
    }
    assert_eq!(spans, [(1, 500), (2, 100), (1, 1)]);
}

#[tokio::test]
async fn the_sweep_is_told_what_the_ledger_does_not_know() {
    let bench = Bench::new();
    let (known, unknown) = (object("a", 1), object("b", 1));
    bench.queue.enqueue(known.clone(), NOW).await.unwrap();
    let keys = vec![known.object_key, unknown.object_key.clone()];
    assert_eq!(bench.queue.unknown(keys).await.unwrap(), [unknown.object_key]);
}

#[tokio::test]
async fn the_watermark_survives_a_restart() {
    let bench = Bench::new();
    assert_eq!(bench.queue.watermark().await.unwrap(), None);
    bench.queue.set_watermark(NOW).await.unwrap();
    bench.queue.set_watermark(after(5)).await.unwrap();
    assert_eq!(bench.restarted().queue.watermark().await.unwrap(), Some(after(5)));
}

#[tokio::test]
async fn a_file_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.sqlite");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE objects (object_key TEXT)").unwrap();
    assert!(matches!(Queue::open_at(&path, 0), Err(QueueError::Version { found: 0 })));
}

#[tokio::test]
async fn many_at_once_are_all_durable() {
    let bench = Bench::new();
    let waiting = (0..500).map(|n| bench.queue.enqueue(object(&n.to_string(), 1), NOW));
    for enqueued in futures_util::future::join_all(waiting).await {
        assert_eq!(enqueued.unwrap(), Enqueued::New);
    }
    let bench = bench.restarted();
    assert_eq!(bench.queue.depth().await.unwrap().pending, 500);
}

#[tokio::test]
async fn a_failed_write_undoes_itself_and_harms_no_other() {
    let bench = Bench::new();
    let failing = bench.queue.writer.write(|db| {
        db.execute("INSERT INTO batches VALUES ('x', 'open', 'y', 0, 0, 0, NULL)", [])?;
        db.execute("no sql", [])?;
        Ok(())
    });
    let (failed, enqueued) = tokio::join!(failing, bench.enqueue("a"));
    assert!(matches!(failed, Err(QueueError::Sqlite(_))));
    assert_eq!(enqueued, Enqueued::New);
    assert_eq!(bench.claim(NOW).await.unwrap().objects.len(), 1, "no batch `x` came back");
}
