//! What is remembered after the acknowledgement: audited, expired, and at last forgotten.

use std::time::Duration;

use anyhow::{Context, Result};
use origin_consumer::queue::{Enqueued, Finding, MinuteCounts};
use spillway_proto::notification::Notification;
use spillway_proto::{ObjectKey, UnixMillis};
use tokio::time::{sleep, timeout};

use crate::objects::{LEASE, LIMITS, NOW, at, body, object};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    what_was_stored_before_is_due_the_oldest_first,
    what_the_audit_has_found_whole_is_audited,
    what_the_audit_has_found_short_is_stored_again_after_a_look,
    what_the_audit_has_found_short_again_and_again_is_dead,
    what_the_audit_has_found_doubled_is_looked_at_again_later,
    what_was_stored_again_meanwhile_stays_as_it_is,
    only_audited_objects_and_their_resends_expire,
    what_is_forgotten_looks_first_when_it_comes_back,
    another_process_hears_since_when_the_ledger_is_whole,
);

const AGAIN: Duration = Duration::from_secs(100);

async fn store(ledger: &Ledger, object: &Notification, now: UnixMillis) -> Result<()> {
    ledger.take(object).await?;
    let batch = ledger.claim(LIMITS, NOW).await?.batch().context("a batch")?;
    Ok(ledger.ack(&batch, now).await?)
}

async fn due(ledger: &Ledger, until: UnixMillis) -> Result<Vec<ObjectKey>> {
    let due = ledger.due_for_audit(until, 10).await?;
    Ok(due.into_iter().map(|audited| audited.object_key).collect())
}

async fn note(ledger: &Ledger, object: &Notification, finding: Finding, until: UnixMillis) -> Result<()> {
    let found = vec![(object.object_key.clone(), finding)];
    Ok(ledger.note_audit(found, until, AGAIN, until).await?)
}

async fn counts(ledger: &Ledger) -> Result<MinuteCounts> {
    let mut all = MinuteCounts::default();
    for counts in ledger.minutes(UnixMillis(0), at(1_000_000_000)).await?.values() {
        all.add(counts);
    }
    Ok(all)
}

async fn what_was_stored_before_is_due_the_oldest_first(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let [first, second, third] = ["a", "b", "c"].map(object);
    store(&ledger, &second, at(20)).await?;
    store(&ledger, &first, at(10)).await?;
    store(&ledger, &third, at(30)).await?;
    ledger.take(&object("pending")).await?;
    assert_eq!(due(&ledger, at(20)).await?, [first.object_key.clone(), second.object_key]);
    let due = ledger.due_for_audit(at(30), 1).await?;
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].object_key, first.object_key);
    assert_eq!(due[0].batch_id.len(), 26, "a ULID: {}", due[0].batch_id);
    Ok(())
}

async fn what_the_audit_has_found_whole_is_audited(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let whole = body("a").spans(3).object();
    store(&ledger, &whole, NOW).await?;
    note(&ledger, &whole, Finding::Whole, NOW).await?;
    let expected = MinuteCounts { in_ledger: 3, stored: 3, audited: 3, ..MinuteCounts::default() };
    assert_eq!(counts(&ledger).await?, expected);
    assert!(due(&ledger, at(1_000_000)).await?.is_empty());
    assert_eq!(ledger.take(&whole).await?, Enqueued::Known);
    Ok(())
}

async fn what_the_audit_has_found_short_is_stored_again_after_a_look(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let short = object("a");
    store(&ledger, &short, NOW).await?;
    note(&ledger, &short, Finding::Short, at(50)).await?;
    let batch = ledger.claim_at(at(50)).await?;
    assert_eq!((batch.objects[0].notification.clone(), batch.look_first), (short.clone(), true));
    ledger.ack(&batch, at(60)).await?;
    assert_eq!(due(&ledger, at(60)).await?, [short.object_key]);
    Ok(())
}

async fn what_the_audit_has_found_short_again_and_again_is_dead(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let short = object("a");
    store(&ledger, &short, NOW).await?;
    for round in 1..4 {
        note(&ledger, &short, Finding::Short, at(round * 100)).await?;
        ledger.ack(&ledger.claim_at(at(round * 100)).await?, at(round * 100)).await?;
    }
    note(&ledger, &short, Finding::Short, at(400)).await?;
    assert!(!ledger.has_work_at(at(1_000_000)).await?);
    let dead = ledger.dead_object(&short.object_key).await?.context("it is dead")?;
    assert!(dead.reason.contains("missing 4 times"), "{}", dead.reason);
    assert_eq!(dead.notification, short);
    Ok(())
}

async fn what_the_audit_has_found_doubled_is_looked_at_again_later(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let doubled = object("a");
    store(&ledger, &doubled, NOW).await?;
    note(&ledger, &doubled, Finding::Doubled, NOW).await?;
    assert!(!ledger.has_work_at(at(1_000_000)).await?);
    assert!(due(&ledger, at(99_999)).await?.is_empty());
    assert_eq!(due(&ledger, at(100_000)).await?, [doubled.object_key]);
    assert_eq!(counts(&ledger).await?.audited, 0);
    Ok(())
}

async fn what_was_stored_again_meanwhile_stays_as_it_is(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (adopted, acknowledged) = (object("a"), object("b"));
    for object in [&adopted, &acknowledged] {
        store(&ledger, object, NOW).await?;
    }
    let batch = ledger.adopt(vec![acknowledged.clone()], LEASE, at(5)).await?.batch.context("a batch")?;
    ledger.ack(&batch, at(10)).await?;
    let in_hand = ledger.adopt(vec![adopted.clone()], LEASE, at(5)).await?.batch.context("a batch")?;
    // It had looked before that.
    let found = [&adopted, &acknowledged].map(|object| (object.object_key.clone(), Finding::Short)).to_vec();
    ledger.note_audit(found, at(9), AGAIN, at(20)).await?;
    assert!(!ledger.has_work_at(at(20)).await?);
    ledger.ack(&in_hand, at(20)).await?;
    assert_eq!(due(&ledger, at(20)).await?, [acknowledged.object_key, adopted.object_key]);
    Ok(())
}

async fn only_audited_objects_and_their_resends_expire(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let [audited, stored] = ["audited", "stored"].map(object);
    let (resend, late) = (object("audited"), body("late").received(at(10)).object());
    for object in [&audited, &stored, &late] {
        store(&ledger, object, NOW).await?;
    }
    ledger.take(&resend).await?;
    ledger.take(&object("stored")).await?;
    assert!(ledger.due_for_expiry(at(10), 10).await?.is_empty());
    for object in [&audited, &late] {
        note(&ledger, object, Finding::Whole, NOW).await?;
    }
    let due = ledger.due_for_expiry(at(10), 10).await?;
    assert_eq!(due, [audited.object_key, resend.object_key]);
    ledger.expired(due.into_iter().chain([stored.object_key.clone()]).collect(), at(20)).await?;
    assert!(ledger.due_for_expiry(at(10), 10).await?.is_empty());
    assert_eq!(self::due(&ledger, at(20)).await?, [stored.object_key], "it was not audited");
    Ok(())
}

async fn what_is_forgotten_looks_first_when_it_comes_back(kind: Kind) -> Result<()> {
    const HOUR: u64 = 3_600_000;
    let ledger = Ledger::open(kind).await?;
    let [audited, stored, dead, pending] = ["audited", "stored", "dead", "pending"].map(object);
    let young = body("young").received(at(5)).object();
    for object in [&audited, &stored, &young] {
        store(&ledger, object, NOW).await?;
    }
    for object in [&audited, &young] {
        note(&ledger, object, Finding::Whole, NOW).await?;
    }
    ledger.take(&dead).await?;
    let batch = ledger.claim_at(NOW).await?;
    let setback = origin_consumer::queue::Setback {
        object_key: dead.object_key.clone(),
        fault: origin_consumer::queue::Fault::Fatal,
        reason: "broken".to_owned(),
    };
    ledger.set_back(&batch, vec![setback], 5, NOW).await?;
    ledger.take(&pending).await?;
    // It says so first, and deletes what it has said so of an hour ago.
    assert_eq!(ledger.forget(at(HOUR + 5), 10).await?, 0);
    assert_eq!(ledger.forget(at(HOUR + 5), 10).await?, 1);
    assert_eq!(ledger.forget(at(HOUR + 5), 10).await?, 0);
    assert_eq!(counts(&ledger).await?.in_ledger, 4);
    let batch = ledger.claim_at(NOW).await?;
    assert_eq!(batch.objects[0].notification, pending);
    assert_eq!(ledger.take(&audited).await?, Enqueued::New);
    let batch = ledger.claim_at(NOW).await?;
    assert_eq!((batch.objects[0].notification.clone(), batch.look_first), (audited, true));
    let ledger = ledger.restarted().await?;
    ledger.take(&object("late")).await?;
    assert!(ledger.claim_at(NOW).await?.look_first, "a restart remembers");
    ledger.take(&body("new").received(at(HOUR + 5)).object()).await?;
    assert!(!ledger.claim_at(NOW).await?.look_first, "this one was received after it");
    Ok(())
}

async fn another_process_hears_since_when_the_ledger_is_whole(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let other = ledger.another().await?;
    ledger.forget(at(1_000), 10).await?;
    let heard = timeout(Duration::from_secs(30), async {
        loop {
            other.enqueue(object(&ulid::Ulid::generate().to_string()), NOW).await?;
            if ledger.claim_at(NOW).await?.look_first {
                return anyhow::Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
    });
    heard.await.context("it does not hear of it")?
}
