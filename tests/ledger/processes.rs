//! Several processes on one store, one that dies, and a store that is not ours.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use futures_util::future::{join_all, try_join_all};
use local_stack::postgres::Postgres;
use origin_consumer::queue::{Enqueued, Queue, QueueConfig, QueueError};
use secrecy::ExposeSecret;
use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, UnixMillis};
use spillway_tests::first_version::{LEDGER, objects};

use crate::objects::{LIMITS, NOW, at, body, object};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    processes_that_start_at_once_make_one_store,
    of_concurrent_enqueues_of_one_request_one_is_new,
    a_failing_transaction_spoils_no_other_of_its_group,
    a_cancelled_caller_has_its_object_taken_or_not_and_the_queue_goes_on,
    a_store_that_was_not_in_use_for_a_while_may_be_an_older_copy,
    a_store_that_was_in_use_just_now_is_relied_on,
    a_store_of_another_version_is_refused,
    a_store_of_before_the_versions_is_refused,
    a_store_of_the_version_before_is_brought_to_this_one_by_the_first_process,
);

async fn processes_that_start_at_once_make_one_store(kind: Kind) -> Result<()> {
    let made = Ledger::open(kind).await?;
    made.take(&object("made")).await?;
    for round in 0..5 {
        let config = empty(kind, &made, round).await?;
        let queues = try_join_all((0..6).map(|_| Queue::open(&config))).await?;
        let enqueued = join_all(queues.iter().map(|queue| queue.enqueue(object("a"), NOW))).await;
        let mut new = 0;
        for enqueued in enqueued {
            new += usize::from(enqueued? == Enqueued::New);
        }
        assert_eq!(new, 1);
    }
    Ok(())
}

/// An empty store beside another one.
async fn empty(kind: Kind, beside: &Ledger, number: u32) -> Result<QueueConfig> {
    let url = match kind {
        Kind::Sqlite => format!("{}-{number}", url(beside)),
        Kind::Postgres => {
            let name = format!("{}_{number}", database(beside));
            let client = Postgres::connect(&url(beside)).await?;
            client.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await?;
            url(beside).replace(&database(beside), &name)
        }
    };
    Ok(QueueConfig { url: url.into(), ..beside.config.clone() })
}

fn url(ledger: &Ledger) -> String {
    ledger.config.url.expose_secret().to_owned()
}

fn database(ledger: &Ledger) -> String {
    url(ledger).rsplit('/').next().unwrap_or_default().to_owned()
}

async fn of_concurrent_enqueues_of_one_request_one_is_new(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let other = ledger.another().await?;
    for round in 0..20 {
        let (a, b) = (object(&format!("a{round}")), object(&format!("b{round}")));
        let (resend_of_a, resend_of_b) = (object(&format!("a{round}")), object(&format!("b{round}")));
        // The other way round in the other process, and the sweep comes upon them too.
        let (one, two, swept) = tokio::join!(
            join_all([&a, &b, &resend_of_a].map(|object| ledger.enqueue(object.clone(), NOW))),
            join_all([&resend_of_b, &b, &a].map(|object| other.enqueue(object.clone(), NOW))),
            ledger.sweep_in(vec![b.clone(), resend_of_a.clone(), a.clone()], NOW),
        );
        let mut enqueued = swept?;
        for one in one.into_iter().chain(two) {
            enqueued.push(one?);
        }
        let count = |what| enqueued.iter().filter(|enqueued| **enqueued == what).count();
        assert_eq!((count(Enqueued::New), count(Enqueued::Resend)), (2, 2), "{enqueued:?}");
        assert_eq!(ledger.depth().await?.pending, 2);
        let mut requests = HashSet::new();
        while let Some(batch) = ledger.claim(LIMITS, NOW).await?.batch() {
            for object in &batch.objects {
                assert!(requests.insert(object.notification.object_key.object_id()));
            }
            ledger.ack(&batch, NOW).await?;
        }
        assert_eq!(requests.len(), 2);
    }
    Ok(())
}

async fn a_failing_transaction_spoils_no_other_of_its_group(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    let lost = ledger.claim_at(NOW).await?;
    let held = ledger.claim_at(at(30_000)).await?;
    let chores: Vec<_> = (0..200).map(|_| ulid::Ulid::generate()).collect();
    let others = join_all(chores.iter().map(|id| ledger.hold_chore("chore", *id, at(1_000), NOW)));
    let failing = join_all((0..20).map(|_| ledger.ack(&lost, NOW)));
    let objects: Vec<_> = (0..50).map(|n| object(&format!("other {n}"))).collect();
    let enqueued = join_all(objects.iter().map(|object| ledger.take(object)));
    let (failed, held_chore, enqueued, acknowledged) =
        tokio::join!(failing, others, enqueued, ledger.ack(&held, NOW));
    assert!(failed.iter().all(|failed| matches!(failed, Err(QueueError::LeaseLost(_)))));
    let mut holders = 0;
    for held in held_chore {
        holders += usize::from(held?);
    }
    assert_eq!(holders, 1, "none of them was run twice");
    for enqueued in enqueued {
        assert_eq!(enqueued?, Enqueued::New);
    }
    acknowledged?;
    Ok(())
}

async fn a_cancelled_caller_has_its_object_taken_or_not_and_the_queue_goes_on(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    for n in 0..50 {
        let object = object(&n.to_string());
        tokio::select! {
            biased;
            taken = ledger.take(&object) => drop(taken?),
            () = tokio::task::yield_now() => {}
        }
        assert!(matches!(ledger.take(&object).await?, Enqueued::New | Enqueued::Known));
    }
    assert_eq!(ledger.depth().await?.pending, 50);
    Ok(())
}

fn machine_clock() -> Result<UnixMillis> {
    Ok(UnixMillis(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?))
}

/// With an object that waits, and a batch that nobody has inserted.
async fn reopened(kind: Kind, last_used: UnixMillis) -> Result<Ledger> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("batched")).await?;
    ledger.claim_at(NOW).await?;
    ledger.take(&object("waiting")).await?;
    ledger.note_use(last_used).await?;
    ledger.restarted().await
}

async fn a_store_that_was_not_in_use_for_a_while_may_be_an_older_copy(kind: Kind) -> Result<()> {
    let now = machine_clock()?;
    let ledger = reopened(kind, UnixMillis(now.0 - 60_000)).await?;
    for _ in ["batched", "waiting"] {
        assert!(ledger.claim_at(at(40_000)).await?.look_first);
    }
    ledger.take(&body("received before").received(now).object()).await?;
    assert!(ledger.claim_at(NOW).await?.look_first);
    ledger.take(&object("received after")).await?;
    assert!(!ledger.claim_at(NOW).await?.look_first);
    Ok(())
}

async fn a_store_that_was_in_use_just_now_is_relied_on(kind: Kind) -> Result<()> {
    let now = machine_clock()?;
    let ledger = reopened(kind, now).await?;
    for _ in ["batched", "waiting"] {
        assert!(!ledger.claim_at(at(40_000)).await?.look_first);
    }
    Ok(())
}

async fn a_store_of_another_version_is_refused(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    execute(kind, &url(&ledger), "UPDATE marks SET value = 999 WHERE mark = 'schema_version'").await?;
    assert!(matches!(ledger.another().await, Err(QueueError::Version { found: 999 })));
    Ok(())
}

async fn a_store_of_before_the_versions_is_refused(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    execute(kind, &url(&ledger), "DROP TABLE marks").await?;
    assert!(matches!(ledger.another().await, Err(QueueError::Version { found: 1 })));
    Ok(())
}

async fn a_store_of_the_version_before_is_brought_to_this_one_by_the_first_process(kind: Kind) -> Result<()> {
    let fresh = Ledger::open(kind).await?;
    let config = empty(kind, &fresh, 0).await?;
    let place = config.url.expose_secret().to_owned();
    execute(kind, &place, LEDGER).await?;
    let of_the_corpus = objects()?;
    let (stored, resend) =
        (&of_the_corpus[0], of_the_corpus.iter().find(|object| object.state == "duplicate"));
    let resend = resend.context("a resend")?;
    let queues = try_join_all((0..4).map(|_| Queue::open(&config))).await?;
    for (number, queue) in queues.iter().enumerate() {
        let keys = [stored.key.clone(), resend.key.clone()];
        let states = queue.standings(&keys).await?;
        let state = |key: &ObjectKey| states.get(key).map(|standing| standing.state.clone());
        assert_eq!(state(&stored.key).as_deref(), Some("stored"), "process {number}");
        assert_eq!(state(&resend.key).as_deref(), Some("duplicate"), "process {number}");
    }
    assert_eq!(queues[0].enqueue(stored.notification.clone(), NOW).await?, Enqueued::Known);
    // The same request, named by an edge of this version: nothing tells whether the first one holds all of it.
    let again = Notification {
        object_key: ObjectKey::new(
            stored.key.received_at(),
            7,
            object("the id of this version").object_key.object_id(),
            5,
        ),
        previous_id: Some(stored.key.object_id()),
        rejected_spans: Some(0),
        ..stored.notification.clone()
    };
    assert_eq!(queues[0].enqueue(again.clone(), NOW).await?, Enqueued::Resend);
    let batch = queues[1].claim(LIMITS, NOW).await?.batch().context("a batch")?;
    assert_eq!(batch.objects[0].notification, again);
    assert_eq!(batch.objects[0].predecessors, std::slice::from_ref(&stored.key));
    if kind == Kind::Sqlite {
        let schema = |url: &str| -> Result<Vec<String>> {
            let file = rusqlite::Connection::open(url.trim_start_matches("sqlite:"))?;
            let mut statement =
                file.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")?;
            let schema = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(schema)
        };
        assert_eq!(schema(&place)?, schema(&url(&fresh))?);
        assert_eq!(schema(&format!("{place}.version-3"))?.len(), 20);
    }
    Ok(())
}

async fn execute(kind: Kind, url: &str, sql: &str) -> Result<()> {
    match kind {
        Kind::Sqlite => {
            let path = url.strip_prefix("sqlite:").unwrap_or(url);
            rusqlite::Connection::open(path)?.execute_batch(sql)?;
        }
        Kind::Postgres => Postgres::connect(url).await?.batch_execute(sql).await?,
    }
    Ok(())
}
