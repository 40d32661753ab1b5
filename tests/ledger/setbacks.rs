//! Objects that keep their batch from being stored, and batches that are split.

use anyhow::Result;
use origin_consumer::queue::{Batch, Depth, Enqueued, Fault, Setback, Spared};
use spillway_proto::notification::Notification;

use crate::objects::{NOW, at, body, object};
use crate::stores::{Kind, Ledger, on_both_stores};

on_both_stores!(
    the_others_of_a_batch_that_was_never_inserted_wait_for_another,
    the_others_of_a_batch_that_was_inserted_stay_in_it,
    a_batch_whose_last_object_was_set_back_is_gone,
    poison_is_dead_after_so_many_tries_and_what_passes_is_not,
    an_object_of_another_batch_cannot_be_set_back,
    halves_have_the_objects_of_the_whole_and_its_dangers,
    halves_of_a_batch_that_was_inserted_look_first,
    what_leaves_a_batch_that_looks_first_looks_first_itself,
    a_resend_of_what_is_stored_is_left_to_it,
);

async fn batch_of(ledger: &Ledger, bodies: &[&str]) -> Result<Batch> {
    for body in bodies {
        ledger.take(&object(body)).await?;
    }
    ledger.claim_at(NOW).await
}

fn setback(batch: &Batch, index: usize, fault: Fault) -> Setback {
    let object_key = batch.objects[index].notification.object_key.clone();
    Setback { object_key, fault, reason: "not \0 right".to_owned() }
}

async fn a_resend_of_what_is_stored_is_left_to_it(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    // The ledger has lost what it knew of this one, and hears of it last.
    let stored = body("a").received(at(1)).object();
    let batch = batch_of(&ledger, &["a", "b"]).await?;
    let resend = batch.objects.iter().find(|object| object.notification.sha256 == stored.sha256).unwrap();
    let fault = Fault::Resend { of: stored.object_key.clone() };
    let object_key = resend.notification.object_key.clone();
    let spared =
        ledger.set_back(&batch, vec![Setback { object_key, fault, reason: String::new() }], 5, NOW).await?;
    assert_eq!(spared, Spared { dead: 0, later: 0, resends: 1 });
    assert_eq!(ledger.claim_at(NOW).await?.objects.len(), 1, "the other one");
    let again = object("a");
    assert_eq!(ledger.take(&again).await?, Enqueued::Resend);
    assert_eq!(ledger.take(&stored).await?, Enqueued::New);
    let batch = ledger.claim_at(NOW).await?;
    // Nothing tells that the stored one holds all of the request.
    let predecessors = |notification: &Notification| {
        let object = batch.objects.iter().find(|object| object.notification == *notification);
        object.map(|object| object.predecessors.clone())
    };
    assert_eq!(predecessors(&again), Some(vec![stored.object_key.clone()]));
    assert_eq!(predecessors(&stored), Some(Vec::new()));
    Ok(())
}

async fn the_others_of_a_batch_that_was_never_inserted_wait_for_another(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let batch = batch_of(&ledger, &["a", "b", "c"]).await?;
    let spared = ledger.set_back(&batch, vec![setback(&batch, 1, Fault::Fatal)], 5, NOW).await?;
    assert_eq!(spared, Spared { dead: 1, later: 0, resends: 0 });
    assert_eq!(ledger.depth().await?, Depth { pending: 2, batched: 0, dead: 1 });
    let next = ledger.claim_at(NOW).await?;
    assert_ne!(next.id, batch.id);
    assert_eq!(next.objects, [batch.objects[0].clone(), batch.objects[2].clone()]);
    assert!(!next.look_first);
    assert!(!ledger.has_work_at(at(1_000_000)).await? || ledger.depth().await?.batched == 2);
    Ok(())
}

async fn the_others_of_a_batch_that_was_inserted_stay_in_it(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let batch = batch_of(&ledger, &["a", "b", "c"]).await?;
    ledger.begin_insert(&batch, at(30_000)).await?;
    ledger.release(&batch, NOW, "down".to_owned()).await?;
    let batch = ledger.claim_at(NOW).await?;
    let setbacks = vec![setback(&batch, 0, Fault::Passing), setback(&batch, 1, Fault::Poison)];
    let spared = ledger.set_back(&batch, setbacks, 1, NOW).await?;
    assert_eq!(spared, Spared { dead: 1, later: 1, resends: 0 });
    let again = ledger.claim_at(NOW).await?;
    assert_eq!((again.id, again.inserts, again.abandoned), (batch.id, 1, 0));
    assert_eq!(again.objects, [batch.objects[2].clone()]);
    let later = ledger.claim_at(at(10_000)).await?;
    assert_eq!(later.objects[0].notification, batch.objects[0].notification);
    assert!(later.look_first, "it may have been stored with the batch that it was in");
    let poison = &batch.objects[1].notification.object_key;
    assert!(ledger.retry_dead(poison, at(10_000)).await?);
    assert!(ledger.claim_at(at(10_000)).await?.look_first, "so may the dead one");
    Ok(())
}

async fn a_batch_whose_last_object_was_set_back_is_gone(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let batch = batch_of(&ledger, &["a"]).await?;
    ledger.begin_insert(&batch, at(30_000)).await?;
    ledger.set_back(&batch, vec![setback(&batch, 0, Fault::Fatal)], 5, NOW).await?;
    assert!(!ledger.has_work_at(at(1_000_000)).await?);
    assert_eq!(ledger.depth().await?, Depth { dead: 1, ..Depth::default() });
    Ok(())
}

async fn poison_is_dead_after_so_many_tries_and_what_passes_is_not(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    ledger.take(&object("a")).await?;
    let mut now = NOW;
    for _ in 0..5 {
        let batch = ledger.claim_at(now).await?;
        let spared = ledger.set_back(&batch, vec![setback(&batch, 0, Fault::Passing)], 3, now).await?;
        assert_eq!(spared, Spared { dead: 0, later: 1, resends: 0 });
        now.0 += 60_000;
    }
    for (failures, dead) in [(0, 0), (1, 0), (2, 1)] {
        let batch = ledger.claim_at(now).await?;
        assert_eq!(batch.objects[0].failures, failures);
        let spared = ledger.set_back(&batch, vec![setback(&batch, 0, Fault::Poison)], 3, now).await?;
        assert_eq!(spared, Spared { dead, later: 1 - dead, resends: 0 });
        now.0 += 60_000;
    }
    assert!(!ledger.has_work_at(now).await?);
    Ok(())
}

async fn an_object_of_another_batch_cannot_be_set_back(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let mine = batch_of(&ledger, &["mine"]).await?;
    let other = batch_of(&ledger, &["other"]).await?;
    ledger.set_back(&mine, vec![setback(&other, 0, Fault::Fatal)], 5, NOW).await?;
    assert_eq!(ledger.depth().await?.dead, 0);
    ledger.ack(&other, NOW).await?;
    Ok(())
}

async fn halves_have_the_objects_of_the_whole_and_its_dangers(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    batch_of(&ledger, &["a", "b", "c"]).await?;
    let suspect = ledger.claim_at(at(30_000)).await?;
    ledger.begin_alone(&suspect).await?;
    let whole = ledger.claim_at(at(60_000)).await?;
    assert_eq!(whole.abandoned, 2);
    ledger.split(&whole, at(60_000)).await?;
    let halves = [ledger.claim_at(at(60_000)).await?, ledger.claim_at(at(60_000)).await?];
    assert!(!ledger.has_work_at(at(60_000)).await?);
    let mut objects: Vec<_> = halves.iter().flat_map(|half| half.objects.clone()).collect();
    objects.sort_by_key(|object| object.notification.object_key.to_string());
    assert_eq!(objects, whole.objects);
    for half in &halves {
        assert_ne!(half.id, whole.id);
        assert_eq!((half.abandoned, half.look_first, half.inserts), (1, false, 0));
        ledger.ack(half, at(60_000)).await?;
    }
    Ok(())
}

async fn halves_of_a_batch_that_was_inserted_look_first(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let whole = batch_of(&ledger, &["a", "b", "c", "d"]).await?;
    // The server has refused a row, after it took the rows of another day.
    ledger.begin_insert(&whole, at(30_000)).await?;
    ledger.split(&whole, NOW).await?;
    let half = ledger.claim_at(NOW).await?;
    assert!(half.look_first);
    ledger.split(&half, NOW).await?;
    for _ in 0..3 {
        assert!(ledger.claim_at(NOW).await?.look_first);
    }
    Ok(())
}

async fn what_leaves_a_batch_that_looks_first_looks_first_itself(kind: Kind) -> Result<()> {
    let ledger = Ledger::open(kind).await?;
    let whole = batch_of(&ledger, &["a", "b", "c", "d"]).await?;
    ledger.begin_insert(&whole, at(30_000)).await?;
    ledger.split(&whole, NOW).await?;
    for half in [ledger.claim_at(NOW).await?, ledger.claim_at(NOW).await?] {
        ledger.set_back(&half, vec![setback(&half, 0, Fault::Passing)], 5, NOW).await?;
        // The object that went with the one that was set back.
        let left = ledger.claim_at(NOW).await?;
        assert_eq!((left.objects.len(), left.look_first), (1, true));
    }
    let set_back = ledger.claim_at(at(10_000)).await?;
    assert_eq!((set_back.objects.len(), set_back.look_first), (2, true));
    // The first insert of this one's own: it is set back with the copy that was claimed before it.
    let only = batch_of(&ledger, &["e"]).await?;
    ledger.begin_insert(&only, at(30_000)).await?;
    ledger.set_back(&only, vec![setback(&only, 0, Fault::Poison)], 5, NOW).await?;
    assert!(ledger.claim_at(at(20_000)).await?.look_first);
    Ok(())
}
