//! How objects come in.

use std::time::Duration;

use anyhow::Result;
use futures_util::future::try_join_all;
use origin_consumer::queue::{Depth, Enqueued, Fault, Missing, Setback};
use tokio::time::{sleep, timeout};

use crate::objects::{LIMITS, NOW, at, body, object};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    an_object_goes_in_once_and_out_once,
    a_resend_counts_once_within_the_window_by_receipt_and_not_after_it,
    without_a_window_both_are_stored,
    of_the_same_object_in_one_group_one_is_new,
    many_at_once_are_all_there_after_a_restart,
    a_resend_takes_the_place_of_a_dead_original,
    a_resend_after_its_original_died_is_new,
    what_was_swept_and_then_notified_is_not_missing,
    a_full_queue_takes_what_it_has_room_for_and_more_when_there_is_room_again,
);

async fn an_object_goes_in_once_and_out_once(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let object = body("a").spans(3).object();
    assert_eq!(ledger.take(&object).await?, Enqueued::New);
    assert_eq!(ledger.take(&object).await?, Enqueued::Known);
    let batch = ledger.claim_at(NOW).await?;
    assert_eq!(batch.objects[0].notification, object);
    assert_eq!((batch.objects.len(), batch.objects[0].enqueued_at, batch.spans()), (1, NOW, 3));
    assert!(!batch.look_first);
    assert!(!ledger.has_work_at(NOW).await?);
    ledger.ack(&batch, NOW).await?;
    assert!(!ledger.has_work_at(at(1_000_000)).await?);
    assert_eq!(ledger.take(&object).await?, Enqueued::Known);
    assert_eq!(ledger.sweep_in(vec![object], NOW).await?, [Enqueued::Known]);
    assert_eq!(ledger.depth().await?, Depth::default());
    Ok(())
}

async fn a_resend_counts_once_within_the_window_by_receipt_and_not_after_it(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let received = |millis| body("a").received(at(millis)).object();
    for (object, enqueued) in [
        (received(5_000), Enqueued::New),
        (received(5_000), Enqueued::Resend),
        // Its notification came late, or the sweep found it.
        (received(0), Enqueued::Resend),
        (received(1_005_000), Enqueued::Resend),
        (received(1_005_001), Enqueued::New),
        (received(1_500_000), Enqueued::Resend),
        (received(2_005_002), Enqueued::New),
    ] {
        let received = object.object_key.received_at().0 - NOW.0;
        assert_eq!(ledger.take(&object).await?, enqueued, "received at {received}");
        assert_eq!(ledger.take(&object).await?, Enqueued::Known, "received at {received}");
    }
    assert_eq!(ledger.take(&body("a").of("other").object()).await?, Enqueued::New);
    assert_eq!(ledger.depth().await?.pending, 4);
    Ok(())
}

async fn without_a_window_both_are_stored(kind: Kind) -> Result<()> {
    let ledger = Ledger::open_with(kind, |config| config.resend_window_seconds = 0).await?;
    let objects = [object("a"), object("a")];
    for object in &objects {
        assert_eq!(ledger.take(object).await?, Enqueued::New);
    }
    assert_eq!(ledger.take(&objects[1]).await?, Enqueued::Known);
    assert_eq!(ledger.claim_at(NOW).await?.objects.len(), 2);
    Ok(())
}

async fn of_the_same_object_in_one_group_one_is_new(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (first, resend, other) = (object("a"), object("a"), object("b"));
    let found = vec![first.clone(), other, first, resend.clone(), resend];
    let enqueued = ledger.sweep_in(found, NOW).await?;
    let expected = [Enqueued::New, Enqueued::New, Enqueued::Known, Enqueued::Resend, Enqueued::Known];
    assert_eq!(enqueued, expected);
    let hundred_times = object("c");
    let enqueued = try_join_all((0..100).map(|_| ledger.take(&hundred_times))).await?;
    assert_eq!(enqueued.iter().filter(|enqueued| **enqueued == Enqueued::New).count(), 1);
    assert_eq!(ledger.depth().await?.pending, 3);
    Ok(())
}

async fn many_at_once_are_all_there_after_a_restart(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let objects: Vec<_> = (0..1_500).map(|n| object(&n.to_string())).collect();
    let enqueued = try_join_all(objects.iter().map(|object| ledger.take(object))).await?;
    assert!(enqueued.iter().all(|enqueued| *enqueued == Enqueued::New));
    let ledger = ledger.restarted().await?;
    assert_eq!(ledger.depth().await?.pending, 1_500);
    let keys: Vec<_> = objects.into_iter().map(|object| object.object_key).collect();
    let unknown = object("unknown").object_key;
    let tenants = ledger.tenants_of(keys.iter().cloned().chain([unknown.clone()]).collect()).await?;
    assert!(keys.iter().all(|key| tenants[key] == "acme") && !tenants.contains_key(&unknown));
    Ok(())
}

async fn a_resend_takes_the_place_of_a_dead_original(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (original, resend) = (object("a"), object("a"));
    ledger.take(&original).await?;
    assert_eq!(ledger.take(&resend).await?, Enqueued::Resend);
    let batch = ledger.claim_at(NOW).await?;
    let setback =
        Setback { object_key: original.object_key.clone(), fault: Fault::Fatal, reason: "gone".to_owned() };
    ledger.set_back(&batch, vec![setback], 5, NOW).await?;
    let next = ledger.claim_at(NOW).await?;
    assert_eq!(next.objects[0].notification, resend);
    assert!(!ledger.retry_dead(&original.object_key, NOW).await?, "both would be stored");
    assert_eq!(ledger.depth().await?.dead, 1);
    Ok(())
}

async fn a_resend_after_its_original_died_is_new(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (original, resend) = (object("a"), object("a"));
    ledger.take(&original).await?;
    let batch = ledger.claim_at(NOW).await?;
    let setback =
        Setback { object_key: original.object_key.clone(), fault: Fault::Fatal, reason: "gone".to_owned() };
    ledger.set_back(&batch, vec![setback], 5, NOW).await?;
    assert_eq!(ledger.take(&resend).await?, Enqueued::New);
    assert!(!ledger.retry_dead(&original.object_key, NOW).await?, "both would be stored");
    assert_eq!(ledger.claim_at(at(100_000)).await?.objects.len(), 1);
    Ok(())
}

async fn what_was_swept_and_then_notified_is_not_missing(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let (swept, notified) = (body("a").received(at(7)).object(), object("b"));
    ledger.take(&notified).await?;
    assert_eq!(ledger.sweep_in(vec![swept.clone()], at(30_000)).await?, [Enqueued::New]);
    let missing = || ledger.missing(NOW, at(1_000));
    assert_eq!(missing().await?, Missing { objects: 2, not_notified: 1, since: Some(at(7)) });
    assert_eq!(ledger.missing(at(8), at(1_000)).await?, Missing::default());
    assert_eq!(ledger.enqueue(swept, at(31_000)).await?, Enqueued::Known);
    assert_eq!(missing().await?, Missing { objects: 2, not_notified: 0, since: None });
    Ok(())
}

async fn a_full_queue_takes_what_it_has_room_for_and_more_when_there_is_room_again(kind: Kind) -> Result<()> {
    let ledger = Ledger::open_with(kind, |config| config.max_pending = 3).await?;
    let found: Vec<_> = (0..5).map(|n| object(&n.to_string())).collect();
    let enqueued = ledger.sweep_in(found.clone(), NOW).await?;
    assert_eq!(enqueued, [Enqueued::New, Enqueued::New, Enqueued::New, Enqueued::Full, Enqueued::Full]);
    assert_eq!(ledger.take(&found[3]).await?, Enqueued::Full);
    assert_eq!(ledger.depth().await?.pending, 3);
    let batch = ledger.claim_at(NOW).await?;
    assert_eq!(batch.objects.len(), 3);
    // Not at once: it is counted now and then.
    let taken = timeout(Duration::from_secs(30), async {
        while ledger.take(&found[3]).await? == Enqueued::Full {
            sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    });
    taken.await??;
    let next = ledger.claim(LIMITS, NOW).await?.batch();
    assert_eq!(next.map(|batch| batch.objects[0].notification.clone()), Some(found[3].clone()));
    Ok(())
}
