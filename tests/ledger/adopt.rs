//! Objects that somebody asks for, whatever became of them before.

use std::time::Duration;

use anyhow::{Context, Result};
use origin_consumer::queue::{Adopted, Fault, Finding, Setback};
use spillway_proto::notification::Notification;

use crate::objects::{LEASE, NOW, at, object};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    an_unknown_object_is_taken_in,
    an_object_is_adopted_from_every_state_but_from_a_batch,
    a_resend_is_not_adopted_while_another_object_holds_its_request,
    a_dead_object_is_not_adopted_once_its_resend_has_its_place,
    what_was_adopted_is_tried_again_like_any_other,
);

async fn adopt(ledger: &Ledger, objects: &[&Notification]) -> Result<Adopted> {
    let objects = objects.iter().map(|object| (*object).clone()).collect();
    Ok(ledger.adopt(objects, LEASE, NOW).await?)
}

async fn an_unknown_object_is_taken_in(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (a, b) = (object("a"), object("b"));
    let adopted = adopt(&ledger, &[&a, &b, &a]).await?;
    let batch = adopted.batch.context("a batch")?;
    assert_eq!((batch.objects.len(), batch.look_first, batch.inserts), (2, true, 0));
    assert!(adopted.in_hand.is_empty() && adopted.duplicates.is_empty());
    assert!(!ledger.has_work_at(NOW).await?, "it is the caller's");
    ledger.begin_insert(&batch, at(30_000)).await?;
    ledger.ack(&batch, NOW).await?;
    assert!(!ledger.has_work_at(at(1_000_000)).await?);
    assert_eq!(ledger.missing(NOW, at(1)).await?.objects, 0, "it was not accepted by the edge now");
    Ok(())
}

async fn an_object_is_adopted_from_every_state_but_from_a_batch(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let store = async |object: &Notification| {
        ledger.take(object).await?;
        let batch = ledger.claim_at(NOW).await?;
        ledger.ack(&batch, NOW).await?;
        anyhow::Ok(())
    };
    let kill = async |object: &Notification| {
        ledger.take(object).await?;
        let batch = ledger.claim_at(NOW).await?;
        let object_key = object.object_key.clone();
        let setback = Setback { object_key, fault: Fault::Fatal, reason: "broken".to_owned() };
        ledger.set_back(&batch, vec![setback], 5, NOW).await?;
        anyhow::Ok(())
    };
    let audit = async |object: &Notification| {
        store(object).await?;
        let found = vec![(object.object_key.clone(), Finding::Whole)];
        ledger.note_audit(found, NOW, Duration::ZERO, NOW).await?;
        anyhow::Ok(())
    };
    let [stored, audited, expired, dead, discarded, batched, pending] =
        ["stored", "audited", "expired", "dead", "discarded", "batched", "pending"].map(object);
    store(&stored).await?;
    audit(&audited).await?;
    audit(&expired).await?;
    ledger.expired(vec![expired.object_key.clone()], NOW).await?;
    kill(&dead).await?;
    kill(&discarded).await?;
    assert!(ledger.discard(&discarded.object_key, "nobody wants it".to_owned(), NOW).await?);
    ledger.take(&batched).await?;
    let theirs = ledger.claim_at(NOW).await?;
    ledger.take(&pending).await?;

    let all = [&stored, &audited, &expired, &dead, &discarded, &batched, &pending];
    let adopted = adopt(&ledger, &all).await?;
    assert_eq!(adopted.in_hand, [batched.object_key]);
    assert!(adopted.duplicates.is_empty());
    let mut expected: Vec<_> = [&stored, &audited, &expired, &dead, &discarded, &pending].to_vec();
    expected.sort_by_key(|object| object.object_key.to_string());
    let batch = adopted.batch.context("a batch")?;
    let objects: Vec<_> = batch.objects.iter().map(|object| &object.notification).collect();
    assert_eq!(objects, expected, "with all that is needed to fetch them");
    assert!(batch.look_first && batch.objects.iter().all(|object| object.failures == 0));
    assert_eq!(ledger.depth().await?.dead, 0);

    assert_eq!(adopt(&ledger, &[&stored]).await?.in_hand, [stored.object_key], "it is in the batch now");
    ledger.ack(&batch, NOW).await?;
    ledger.ack(&theirs, NOW).await?;
    Ok(())
}

async fn a_resend_is_not_adopted_while_another_object_holds_its_request(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (original, resend, unknown_resend) = (object("a"), object("a"), object("a"));
    ledger.take(&original).await?;
    ledger.take(&resend).await?;
    let adopted = adopt(&ledger, &[&resend, &unknown_resend]).await?;
    assert!(adopted.batch.is_none());
    assert_eq!(adopted.duplicates, [resend.object_key, unknown_resend.object_key]);
    Ok(())
}

async fn a_dead_object_is_not_adopted_once_its_resend_has_its_place(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (original, resend) = (object("a"), object("a"));
    ledger.take(&original).await?;
    ledger.take(&resend).await?;
    let batch = ledger.claim_at(NOW).await?;
    let setback =
        Setback { object_key: original.object_key.clone(), fault: Fault::Fatal, reason: "gone".to_owned() };
    ledger.set_back(&batch, vec![setback], 5, NOW).await?;
    let adopted = adopt(&ledger, &[&original, &resend]).await?;
    assert_eq!(adopted.duplicates, [original.object_key]);
    assert_eq!(adopted.batch.context("a batch")?.objects[0].notification, resend);
    Ok(())
}

async fn what_was_adopted_is_tried_again_like_any_other(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let stored = object("stored");
    ledger.take(&stored).await?;
    let batch = ledger.claim_at(NOW).await?;
    ledger.ack(&batch, NOW).await?;
    let batch = adopt(&ledger, &[&stored, &object("b")]).await?.batch.context("a batch")?;
    assert!(!ledger.has_work_at(at(29_999)).await?);
    let again = ledger.claim_at(at(30_000)).await?;
    assert_eq!((again.id, again.look_first), (batch.id, true));
    // One of them cannot be had: the other leaves the batch with what is known of it.
    let other = again.objects.iter().find(|object| object.notification != stored).context("the other")?;
    let object_key = other.notification.object_key.clone();
    let setback = Setback { object_key, fault: Fault::Fatal, reason: "gone".to_owned() };
    ledger.set_back(&again, vec![setback], 5, at(30_000)).await?;
    let left = ledger.claim_at(at(30_000)).await?;
    assert_eq!((left.objects[0].notification.clone(), left.look_first), (stored, true));
    Ok(())
}
